-- 100: on 5.1 os.date of two sessions gave each other's dates: the C library
-- has one buffer for all.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local times = {0, 17277661, 1234567890}
local texts = {"1970-01-01 00:00:00", "1970-07-19 23:21:01",
  "2009-02-13 23:31:30"}

local function count(time, want, rounds)
  local wrong = 0
  for _ = 1, rounds do
    if os.date("!%Y-%m-%d %H:%M:%S", time) ~= want then wrong = wrong + 1 end
  end
  return wrong
end

local tasks, sessions = {}, {}
for i = 1, #times do
  sessions[i] = casting.session()
  tasks[i] = sessions[i]:spawn(count, times[i], texts[i], 100000)
end
-- Nor does the main program, whose function is the interpreter's, disturb them.
for i = 1, 100000 do os.date("!%c", i * 3601) end
for i = 1, #times do
  local wrong = tasks[i]:await(20)
  assert(wrong == 0, ("%s wrong dates in session %d"):format(wrong, i))
  sessions[i]:close()
end
