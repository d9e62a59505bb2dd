-- 049: what failed because of a task that it awaited told only where it had
-- called await, and nothing of where the error came from.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function fails_first(what)
  local function raises_it() error(what, 0) end
  raises_it()
  return 1
end

local function passes_on(task)
  local function awaits_it() task:await() end
  awaits_it()
  return 1
end

local function has(text, ...)
  local at = 1
  for _, word in ipairs {...} do
    local _, last = text:find(word, at, true)
    assert(last, ("no %q in order in %s"):format(word, text))
    at = last
  end
end

-- The origin comes first, whatever the value is and in whichever session.
local other, third = casting.session(), casting.session {name = "third"}
for _, what in ipairs {"a text", {code = 7}, 42} do
  local first = other:spawn(fails_first, what)
  local second = third:spawn(passes_on, first)
  local last = casting.spawn(passes_on, second)
  local ok, e = last:join(60)
  assert(ok == false and (e == what or e.code == 7))
  has(last:traceback(), "stack traceback:", "raises_it", "\nawaited by task ",
    "'third', stack traceback:", "awaits_it", "\nawaited by task ", "'main'",
    "awaits_it")
  has(second:traceback(), "raises_it", "awaited by", "awaits_it")
end

-- The value is the very one, and pcall sees nothing else.
local value = {}
local task = casting.spawn(fails_first, value)
local ok, e = pcall(task.await, task)
assert(not ok and rawequal(e, value))
task = casting.spawn(fails_first, "text")
ok, e = pcall(task.await, task)
assert(not ok and e == "text")

-- One that wraps the text is the same error; another one is not.
task = casting.spawn(fails_first, "the cause")
local wrapping = casting.spawn(function()
  local _, why = pcall(task.await, task)
  error("cannot go on: " .. why)
end)
assert(wrapping:join(60) == false)
has(wrapping:traceback(), "cannot go on: the cause\nstack", "raises_it",
  "awaited by")
local unlike = casting.spawn(function()
  pcall(task.await, task)
  error {}
end)
assert(unlike:join(60) == false)
assert(not unlike:traceback():find "raises_it")

-- The way through many tasks is bounded, and has both ends.
task = casting.spawn(fails_first, "deep")
for _ = 1, 100 do task = casting.spawn(passes_on, task) end
assert(task:join(60) == false)
local text = task:traceback()
assert(#text < 8300, #text)
has(text, "raises_it", "\n\t...", "awaits_it")

-- So is one whose lines are long.
local long = ("f"):rep(60000)
local source = ("local function %s() error 'x' end %s() return 1"):format(
  long, long)
task = casting.spawn((loadstring or load)(source, "=" .. long))
local awaiting = casting.spawn(passes_on, task)
assert(awaiting:join(60) == false)
assert(#awaiting:traceback() < 8300 + 200)
other:close()
third:close()
