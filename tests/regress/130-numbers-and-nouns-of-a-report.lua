-- 130: casting.report said "1 more sessions, with 0 tasks and what busy ones
-- have", and of a task that sleeps that it does so with a timeout.
-- still: a task that sleeps does nothing else.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local function plain(text, ...)
  for _, word in ipairs {...} do
    assert(text:find(word, 1, true), ("no %q in %s"):format(word, text))
  end
end

local first = casting.session {name = "first"}
local ch = casting.channel()
local function sleeper() require("casting").sleep(100) end
local tasks = {first:spawn(sleeper)}
helper.until_waiting(tasks[1])
local text = casting.report()
plain(text, "sleeping for ")
assert(not text:find "with a timeout", text)
plain(casting.report(0), "\n1 more session with 1 task\n")
tasks[2] = first:spawn(function(ch) ch:receive(100) end, ch)
helper.until_waiting(tasks[2])
plain(casting.report(), "waiting to receive", ", with a timeout\n")
plain(casting.report(0), "\n1 more session with 2 tasks\n")
plain(casting.report(1), "session 'first': 1 more task\n")

local second = casting.session {name = "second"}
second:spawn(sleeper)
plain(casting.report(0), "\n2 more sessions with 3 tasks\n")

-- One that computes.
local begun = casting.channel()
local busy = casting.session {jit = false}
busy:spawn(function(begun, compute)
  begun:send(true)
  compute()
end, begun, helper.compute)
begun:receive()
text = casting.report(0)
if text:find "busy" then -- it was not interrupted by chance
  plain(text, "\n2 more sessions with 3 tasks\n",
    "\n1 more session, busy or closed\n")
end
for _, session in ipairs {first, second} do session:close() end
busy:close()
os.exit(0)
