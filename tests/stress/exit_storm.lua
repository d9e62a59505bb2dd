-- exit_storm.lua - child processes that leave the main program in all kinds of
-- states: each ends soon, with the right status, and says nothing on stderr.
-- SPDX-License-Identifier: MIT
--
-- See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local helper = require "helper"

local seed = kit.arguments()
local random = kit.generator(seed)

-- What a task may be doing.
local bodies = {
  "ch:receive()",
  "ch:send(1)",
  "casting.sleep(1000)",
  "casting.select{ch, {ch, 1}}",
  "casting.select{ch, timeout = 1000}",
  "while true do casting.yield() end",
  "while true do end",
  "local s = '' while true do s = (s .. 'x'):sub(1, 100) end",
  "while true do local t = {} t[1] = {t} end",
  "table.sort({3, 2, 1}, function() ch:receive() end)",
  "('x'):gsub('.', function() casting.sleep(1000) end)",
  "pcall(function() ch:receive() end)",
  "pcall(pcall, pcall, ch.receive, ch)",
  "coroutine.wrap(function() ch:receive() end)()",
  "coroutine.wrap(function() pcall(ch.receive, ch) end)()",
  "for v in ch do end",
  "casting.spawn(function() ch:receive() end):join()",
  "local a, b = casting.channel(), casting.channel() " ..
    "casting.spawn(function() for v in a do b:send(v) end end) " ..
    "while true do a:send(1) b:receive() end",
  "local s = casting.session() s:spawn('(...):receive()', ch):join()",
  "local s = casting.session() while true do s:spawn('return 1'):join() end",
  "while true do casting.session():close() end",
  "while true do casting.spawn(function() end):join() end",
  "setmetatable({}, {__index = function() ch:receive() end}).x = " ..
    "setmetatable({}, {__index = function() ch:receive() end}).y",
  "for i = 1, 100 do casting.after(i / 1000) end ch:receive()",
  "local t = casting.every(0.001) for v in t do end",
  "local f = casting.channel(math.huge) for i = 1, 1000 do f:send({i}) end " ..
    "ch:receive()",
  "return",
}

-- How the main program ends; {text, status}.
local endings = {
  {"", 0},
  {"", 0},
  {"return", 0},
  {"casting.sleep(0.001)", 0},
  {"casting.sleep(0.02)", 0},
  {"casting.yield()", 0},
  {"os.exit(0)", 0},
  {"os.exit(7)", 7},
  {"casting.sleep(0.001) os.exit(7)", 7},
  {"casting.spawn(function() os.exit(5) end) never:receive()", 5},
  {"casting.session():spawn('os.exit(6)') never:receive()", 6},
  {"casting.session():spawn('os.exit(6)') " ..
    "table.sort({2, 1}, function() never:receive() end)", 6},
  {"collectgarbage() collectgarbage()", 0},
  {"for _, s in ipairs(sessions) do s:close(0.05) end", 0},
  {"sessions = nil collectgarbage() casting.sleep(0.002)", 0},
}
if helper.version > "5.1" or helper.jit then
  endings[#endings + 1] = {"os.exit(0, true)", 0}
  endings[#endings + 1] = {"casting.sleep(0.001) os.exit(9, true)", 9}
end

local prelude = [[
local casting = require "casting"
local ch, never = casting.channel(), casting.channel()
local sessions = {}
]]

-- These keep a thread for good, so that the exit takes its whole grace period:
-- a few are enough. Two of them can keep all threads that there are, and then
-- no session's task gets to call os.exit.
local computing = {}
for _, body in ipairs(bodies) do
  if body:find "while true" and not body:find "casting" then
    computing[body] = true
  end
end

local function program()
  local parts = {prelude}
  local ending = endings[random(#endings)]
  local needs_thread = ending[1]:find("session():spawn", 1, true)
  if random(4) == 1 then
    parts[#parts + 1] = ("casting.threads(%d, %d)\n"):format(random(2),
      1 + random(3))
  end
  for i = 1, random(4) - 1 do
    parts[#parts + 1] = ("sessions[%d] = casting.session()\n"):format(i)
    for _ = 1, random(4) do
      local body
      repeat
        body = bodies[random(#bodies)]
      until not computing[body] or not needs_thread and random(6) == 1
      parts[#parts + 1] = ("sessions[%d]:spawn(function() %s end)\n")
        :format(i, helper.loops(body))
    end
  end
  for _ = 1, random(5) - 1 do
    -- The main state's tasks run only while the main program blocks, and one
    -- that computes for ever would keep it there, as it should.
    local body
    repeat body = bodies[random(#bodies)] until not body:find "while true"
    parts[#parts + 1] = ("casting.spawn(function() %s end)\n"):format(body)
  end
  parts[#parts + 1] = ending[1] .. "\n"
  return table.concat(parts), ending[2]
end

if not helper.has_children() then
  print "exit_storm: no other program can be started here"
  return
end
local runs, longest = kit.scaled(40, 4), 0
for i = 1, runs do
  local source, status = program()
  local result = helper.run(source)
  kit.check(result.status == status and result.err == "" and
    result.out == "" and result.seconds < 10 * helper.slow,
    "child %d: status %s (not %d) after %.1f s\n%s%s\n-- the program:\n%s",
    i, tostring(result.status), status, result.seconds, result.out,
    result.err, source)
  longest = math.max(longest, result.seconds)
end
print(("exit_storm: %d processes left, the last to leave took %.2f s")
  :format(runs, longest))
