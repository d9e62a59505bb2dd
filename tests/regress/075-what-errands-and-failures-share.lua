-- 075: what a reading of the sources found. One errand served both the timer of
-- a failure and the report of it: a program that ended at that moment wrote the
-- report without end, or not at all. Handles in messages of casting.on_error
-- were of tasks that had kept their error for their own session.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

-- The message's handle has the error, wherever it is sent.
local failures = casting.channel(10)
casting.on_error(failures)
local session = casting.session()
local function code_of(task)
  local ok, e = task:join(60)
  assert(ok == false)
  return e.code
end
for _, home in ipairs {session, false} do
  local function fails() error {code = 7} end
  local task = home and home:spawn(fails) or casting.spawn(fails)
  local failure = failures:receive(60)
  assert(failure.error.code == 7 and failure.task:name() == task:name())
  task = nil -- luacheck: ignore
  for _ = 1, 3 do collectgarbage() end
  assert(code_of(failure.task) == 7)
  assert(session:spawn(code_of, failure.task):await(60) == 7)
  local there = casting.channel(1)
  there:send(failure.task)
  failure = nil -- luacheck: ignore
  for _ = 1, 3 do collectgarbage() end
  assert(code_of(there:receive()) == 7)
end
session:close()

-- A searcher of the program's changes what require has been asked for.
local list = package["searchers"] or package["loaders"] -- luacheck: ignore
table.insert(list, 1, function(name)
  if name ~= "no such module" then return nil end
  for level = 2, 6 do
    local info = debug.getinfo(level, "f")
    if info and info.func == require then debug.setlocal(level, 1, "other") end
  end
  casting.sleep(0.001)
  return nil
end)
for _ = 1, 3 do
  assert(casting.spawn(pcall, require, "no such module"):await(60) == false)
end
table.remove(list, 1)

-- Sessions that have ended are not counted as those of a module without end.
package.preload.app = function()
  local casting = require "casting"
  local helper = casting.session {name = "helper"}
  return {work = function(x) return x, helper end}
end
local app = require "app"
assert(app.work(1) == 1)
package.loaded.app = nil
local first = true
package.preload.app = function()
  local casting = require "casting"
  casting.session():close()
  if not first then return {work = function(x) return x end} end
  first = false
  for i = 1, 40 do
    local worker = casting.session()
    local x = worker:spawn(function(n)
      return (require("app").work(n))
    end, i):await(60)
    assert(x == i)
    worker:close()
  end
  return true
end
assert(require "app" == true)

-- Modules begin with jit.on(true), also where nothing is compiled.
if jit then
  local limited = casting.session {memory = 64 * 1024 * 1024}
  assert(limited:spawn("jit.on(true) jit.on(true, true) return 1"):await() == 1)
  limited:close()
end
