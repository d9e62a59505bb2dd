-- luv.lua - programs run to their end by luv, libuv's binding.
-- SPDX-License-Identifier: MIT
--
-- luv.lua N WIDTH: runs "true" N times, WIDTH at a time, with both outputs read
-- to their ends, and prints the seconds that it took.

local uv = require "luv"

local n, width = tonumber(arg[1]), tonumber(arg[2])

-- A program and two pipes have to end.
local function run(done)
  local out, err = uv.new_pipe(false), uv.new_pipe(false)
  local left = 3
  local texts = {}
  local handle
  local function one_less(what)
    if not what:is_closing() then what:close() end
    left = left - 1
    if left == 0 then done() end
  end
  handle = assert(uv.spawn("true", {stdio = {nil, out, err}}, function(code)
    assert(code == 0)
    one_less(handle)
  end))
  for _, pipe in ipairs {out, err} do
    pipe:read_start(function(_, text)
      if text then texts[#texts + 1] = text else one_less(pipe) end
    end)
  end
end

local began = uv.hrtime()
for _ = 1, width do
  local left = math.floor(n / width)
  local function again()
    left = left - 1
    if left >= 0 then run(again) end
  end
  again()
end
uv.run()
print((uv.hrtime() - began) / 1e9)
