-- mandelbrot.lua - draws the Mandelbrot set in parallel sessions.
-- SPDX-License-Identifier: MIT
--
-- What it shows: a farm of sessions that compute. Row numbers go out through
-- one channel, finished rows come back through another in any order; a session
-- that is done sooner takes the next row sooner.
--
-- How to run it:
--   ./dev run examples/mandelbrot.lua                      (mandelbrot.png)
--   ./dev run examples/mandelbrot.lua --size 1200 --sessions 8 big.png
--   ./dev run examples/mandelbrot.lua --check set.ppm
--
-- Options: --size W (width, default 480; the height is 3/4 of it),
-- --sessions N (default 4), --limit N (iterations, default 200), --check (draw
-- again without sessions and compare). A file name that ends in .ppm gives a
-- PPM picture, any other a PNG. The checksum printed depends only on the size
-- and the limit: not on the Lua version, nor on the number of sessions.

local casting = require "casting"

local LEFT, TOP, WIDTH = -2.1, 1.05, 2.8 -- of the part of the plane shown

-- --------------------------------------------------------------- drawing --

-- One row as a string, a byte for each point: 0 in the set, else a colour.
local function draw_row(y, width, limit)
  local step = WIDTH / width
  local ci = TOP - (y + 0.5) * step
  local row = {}
  for x = 0, width - 1 do
    local cr = LEFT + (x + 0.5) * step
    local zr, zi, zr2, zi2 = 0.0, 0.0, 0.0, 0.0
    local n = 0
    while n < limit and zr2 + zi2 <= 4.0 do
      zi = 2.0 * zr * zi + ci
      zr = zr2 - zi2 + cr
      zr2, zi2 = zr * zr, zi * zi
      n = n + 1
    end
    row[x + 1] = string.char(n == limit and 0 or n % 255 + 1)
  end
  return table.concat(row)
end

-- The task that runs in every session.
local function draw_rows(numbers, rows, width, limit)
  for y in numbers do
    rows:send(y, draw_row(y, width, limit))
  end
end

local function draw_parallel(width, height, limit, sessions)
  local numbers = casting.channel(sessions)
  local rows = casting.channel(2 * sessions)
  local farm = {}
  for i = 1, sessions do
    farm[i] = casting.session { name = "painter " .. i }
    farm[i]:spawn(draw_rows, numbers, rows, width, limit)
  end
  local feeder = casting.spawn(function()
    for y = 0, height - 1 do
      numbers:send(y)
    end
    numbers:close()
  end)
  local picture = {}
  for _ = 1, height do
    local y, row = rows:receive()
    picture[y + 1] = row
  end
  feeder:await()
  for i = 1, sessions do
    farm[i]:wait()
    farm[i]:close()
  end
  return picture
end

local function draw_alone(width, height, limit)
  local picture = {}
  for y = 0, height - 1 do
    picture[y + 1] = draw_row(y, width, limit)
  end
  return picture
end

-- --------------------------------------------------------------- colours --

-- The 256 colours: each a string of three bytes.
local function make_palette()
  local palette = { [0] = "\0\0\0" }
  local function wave(i, phase)
    return math.floor(127.5 + 127.4 * math.cos(i * 0.09 + phase))
  end
  for i = 1, 255 do
    palette[i] = string.char(wave(i, 3.6), wave(i, 2.9), wave(i, 2.2))
  end
  return palette
end

-- -------------------------------------------------------------- checksums --

local floor = math.floor

-- XOR[256 * a + b] is the exclusive or of two bytes: Lua 5.1 has no operator
-- for it, and later versions do not agree on one.
local XOR = { [0] = 0 }
for a = 0, 255 do
  for b = 0, 255 do
    local halves = XOR[256 * floor(a / 2) + floor(b / 2)]
    XOR[256 * a + b] = 2 * halves + (a + b) % 2
  end
end

-- The table of CRC-32, its entries split into four bytes, lowest first.
local CRC = { {}, {}, {}, {} }
for n = 0, 255 do
  local c0, c1, c2, c3 = n, 0, 0, 0
  for _ = 1, 8 do
    local odd = c0 % 2 == 1
    c0 = floor(c0 / 2) + c1 % 2 * 128
    c1 = floor(c1 / 2) + c2 % 2 * 128
    c2 = floor(c2 / 2) + c3 % 2 * 128
    c3 = floor(c3 / 2)
    if odd then -- the polynomial is ED B8 83 20
      c0, c1 = XOR[256 * c0 + 0x20], XOR[256 * c1 + 0x83]
      c2, c3 = XOR[256 * c2 + 0xB8], XOR[256 * c3 + 0xED]
    end
  end
  CRC[1][n], CRC[2][n], CRC[3][n], CRC[4][n] = c0, c1, c2, c3
end

-- The CRC-32 of a string as four bytes, highest first.
local function crc32(text)
  local t0, t1, t2, t3 = CRC[1], CRC[2], CRC[3], CRC[4]
  local c0, c1, c2, c3 = 255, 255, 255, 255
  for i = 1, #text do
    local k = XOR[256 * c0 + text:byte(i)]
    c0 = XOR[256 * c1 + t0[k]]
    c1 = XOR[256 * c2 + t1[k]]
    c2 = XOR[256 * c3 + t2[k]]
    c3 = t3[k]
  end
  return string.char(255 - c3, 255 - c2, 255 - c1, 255 - c0)
end

-- The Adler-32 checksum of a string, as a number.
local function adler32(text)
  local a, b = 1, 0
  for i = 1, #text do
    a = (a + text:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return b * 65536 + a
end

-- -------------------------------------------------------------- pictures --

local function big_endian(n)
  return string.char(floor(n / 16777216) % 256, floor(n / 65536) % 256,
    floor(n / 256) % 256, n % 256)
end

-- A zlib stream of stored blocks: valid, and needs no compressor.
local function zlib_stored(data)
  local parts = { "\120\1" }
  for first = 1, #data, 65535 do
    local block = data:sub(first, first + 65534)
    local low, high = #block % 256, floor(#block / 256)
    local last = first + 65535 > #data and 1 or 0
    parts[#parts + 1] = string.char(last, low, high, 255 - low, 255 - high)
    parts[#parts + 1] = block
  end
  parts[#parts + 1] = big_endian(adler32(data))
  return table.concat(parts)
end

local function png(picture, width, height, palette)
  local function chunk(kind, data)
    return big_endian(#data) .. kind .. data .. crc32(kind .. data)
  end
  -- 8 bits of palette index for a point; every row begins with filter 0.
  local header = big_endian(width) .. big_endian(height) .. "\8\3\0\0\0"
  return "\137PNG\r\n\26\n" .. chunk("IHDR", header)
    .. chunk("PLTE", table.concat(palette, "", 0, 255))
    .. chunk("IDAT", zlib_stored("\0" .. table.concat(picture, "\0")))
    .. chunk("IEND", "")
end

local function ppm(picture, width, height, palette)
  local body = table.concat(picture):gsub(".", function(point)
    return palette[point:byte()]
  end)
  return string.format("P6\n%d %d\n255\n", width, height) .. body
end

-- --------------------------------------------------------------- program --

local function usage(complaint)
  local out = complaint and io.stderr or io.stdout
  if complaint then out:write("mandelbrot: ", complaint, "\n") end
  out:write("usage: mandelbrot.lua [--size W] [--sessions N]",
    " [--limit N] [--check] [FILE.png | FILE.ppm]\n")
  os.exit(complaint and 2 or 0)
end

local function fail(why)
  io.stderr:write("mandelbrot: ", tostring(why), "\n")
  os.exit(1)
end

-- Whether the picture can be written is known before it is drawn. What a file
-- of that name holds stays as it is until then.
local function check_place(name)
  local before = io.open(name, "rb")
  if before then before:close() end
  local file, why = io.open(name, "ab")
  if not file then fail(why) end
  file:close()
  if not before then os.remove(name) end
end

local function parse(args)
  local options = { size = 480, sessions = 4, limit = 200,
    file = "mandelbrot.png" }
  local i = 1
  while args[i] do
    local name = args[i]:match("^%-%-(%l+)$")
    if name == "help" then
      usage()
    elseif name == "check" then
      options.check = true
    elseif name == "size" or name == "sessions" or name == "limit" then
      i = i + 1
      local n = tonumber(args[i])
      if not n or n < 1 or n > 65536 or n % 1 ~= 0 then
        usage("--" .. name .. " needs a whole number from 1 to 65536")
      end
      options[name] = n
    elseif args[i]:sub(1, 1) == "-" then
      usage("unknown option " .. args[i])
    else
      options.file = args[i]
    end
    i = i + 1
  end
  return options
end

local options = parse(arg)
local width, limit = options.size, options.limit
local height = math.max(1, floor(width * 3 / 4))
check_place(options.file)

local start = casting.now()
local picture = draw_parallel(width, height, limit, options.sessions)
print(string.format("%.3f s in %d sessions",
  casting.now() - start, options.sessions))

local points = table.concat(picture)
local _, inside = points:gsub("%z", "")
local step = WIDTH / width
print(string.format("%d x %d points, %d in the set: area %.4f",
  width, height, inside, inside * step * step))
print(string.format("checksum %.0f", adler32(points)))

local write = options.file:lower():find("%.ppm$") and ppm or png
local file, why = io.open(options.file, "wb")
if not file then fail(why) end
local ok, problem = file:write(write(picture, width, height, make_palette()))
if ok then ok, problem = file:close() end -- what it held back is written here
if not ok then fail(options.file .. ": " .. tostring(problem)) end
print("wrote " .. options.file)

if options.check then
  start = casting.now()
  local equal = points == table.concat(draw_alone(width, height, limit))
  print(string.format("%.3f s without sessions", casting.now() - start))
  print(equal and "check: equal" or "check: DIFFERENT")
  if not equal then
    os.exit(1)
  end
end
