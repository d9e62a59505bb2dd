-- 233: On LuaJIT a task that had nested coroutines, each with thousands of
-- protected calls, was unwound one call at a time, and took seconds to stop. In
-- sandboxes it is ended at once now, as with the other versions.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
casting.on_error(casting.channel(math.huge)) -- it is cancelled on purpose

local source = helper.loops [[
  local ready, made, depth, wrapped = ...
  local pcall, create, resume = pcall, coroutine.create, coroutine.resume
  local level
  local function nest(n, left)
    if n > 0 then
      pcall(nest, n - 1, left)
    elseif left > 0 then
      level(left)
    else
      ready:send(true)
    end
    while true do end
  end
  function level(left)
    local function body() nest(depth, left - 1) end
    if wrapped then
      pcall(coroutine.wrap(body))
    else
      resume(create(body))
    end
    while true do end
  end
  level(made)
]]
-- Coroutines in coroutines, and calls in each. The others allow 200 in all.
local made, depth = 40, 3000
if not helper.jit then made, depth = 2, 40 end
for _, wrapped in ipairs {false, true} do
  local box = casting.session {sandbox = true, memory = 4e8}
  local ready = casting.channel(1)
  local task = box:spawn(source, ready, made, depth, wrapped)
  assert(ready:receive(20 * helper.slow))
  local began = casting.now()
  task:cancel()
  assert(task:join(20 * helper.slow) == false)
  local took = casting.now() - began
  assert(took < 1.5 * helper.slow, "stopping took " .. took .. " s")
  assert(box:close(20 * helper.slow))
end

-- What these functions do else is what the library does.
local box = casting.session {sandbox = true}
box:spawn [[
  local create, resume, wrap, yield, status = coroutine.create,
    coroutine.resume, coroutine.wrap, coroutine.yield, coroutine.status
  local co = create(function(a, b)
    local c = yield(a + b)
    error({c}, 0)
  end)
  local ok, sum = resume(co, 1, 2)
  assert(ok == true and sum == 3 and status(co) == "suspended")
  local e
  ok, e = resume(co, "x")
  assert(ok == false and e[1] == "x" and status(co) == "dead")
  ok, e = resume(co)
  assert(ok == false and e == "cannot resume dead coroutine")
  local f = wrap(function(...)
    assert(select("#", ...) == 3)
    assert(select("#", yield(nil, nil)) == 0)
    error "told"
  end)
  assert(select("#", f(nil, nil, nil)) == 2)
  ok, e = pcall(f)
  assert(ok == false and e:find "told$")
  ok, e = pcall(f)
  assert(ok == false and e:find "cannot resume dead coroutine$")
  ok, e = pcall(resume, 1)
  assert(ok == false and e:find "bad argument #1 to")
  local own
  own = create(function() return resume(own) end)
  ok, sum, e = resume(own)
  assert(ok == true and sum == false and e:find "^cannot resume non%-suspended"
    or e:find "running", e)
]]:await()
assert(box:close(20 * helper.slow))
