-- 068: a select that a __save or a finalizer called, while another select of
-- the same task read its cases, took its place; with as many cases the outer
-- one went on with those of the inner one, whose channels might be gone.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function body()
  local casting = require "casting"
  local inner = 0
  local function saves(n)
    return setmetatable({n = n}, {__save = function(v)
      local cases = {}
      for i = 1, v.n do
        cases[i] = i % 2 == 0 and casting.channel() or
          {casting.channel(1), "inner", {i}}
      end
      assert(casting.select(cases) % 2 == 1)
      inner = inner + 1
      local n = v.n
      return function() return {n = n} end
    end})
  end
  for n = 1, 15 do
    local out, other = casting.channel(1), casting.channel()
    local cases = {other, {out, "text", saves(n)}, {other, saves(n)}}
    local i, sent = casting.select(cases)
    assert(i == 2 and sent == true)
    local text, v = out:receive()
    assert(text == "text" and v.n == n)
    -- And waiting.
    local reader = casting.spawn(function() return other:receive() end)
    out:send "full"
    i, sent = casting.select(cases)
    assert(i == 3 and sent == true)
    assert(reader:await().n == n)
    i = casting.select {{out, saves(n)}, timeout = 0}
    assert(i == nil)
  end
  return inner
end

assert(body() == 15 * 5)
assert(casting.spawn(body):await() == 15 * 5)
assert(casting.session():spawn(body):await() == 15 * 5)
