-- check.lua - for wrk: counts the answers that are wrong.
-- SPDX-License-Identifier: MIT
--
--     wrk -s check.lua URL -- FILE
--
-- FILE has what each of them must be. Prints a line "wrong: N". wrk calls these
-- functions: setup and done in a state of its own, the others in that of each
-- of its threads.
-- luacheck: globals setup init response done wanted wrong

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wanted = file:read "*a"
  wrong = 0
  file:close()
end

function response(status, _, body)
  if status ~= 200 or body ~= wanted then wrong = wrong + 1 end
end

function done()
  local n = 0
  for _, thread in ipairs(threads) do n = n + thread:get "wrong" end
  io.write("wrong: ", n, "\n")
end
