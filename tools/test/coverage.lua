-- coverage.lua - which lines of src/ the tests have run, from gcov's counts.
-- SPDX-License-Identifier: MIT
--
--   coverage.lua BUILD [LINES]
--
-- BUILD is a directory built with -DCASTING_COVERAGE=ON, in which tests have
-- run. A source is compiled several times: for unit tests, and for each version
-- of Lua. A line counts if one of these has code for it, and as run if one of
-- these has run it. Prints the share of lines that were run: of each room, of
-- the core and of the binding, and of the ten files that have the lowest.
-- LINES: the lines that were never run go into that file, as FILE:LINE: text.
--
-- What gcov does not see: a process writes its counts when it exits, so those
-- of one that a signal ends, or that leaves by _exit, are lost (not those of
-- children of unit tests, see unit.h); and lualib/casting/ is not C.
local build, lines_to = arg[1], arg[2]
local LOWEST = 10

local function lines(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

-- -- counts -------------------------------------------------------------------

-- counted[file][number]: was the line run? It is nil for a line without code.
local counted, texts = {}, {}

-- gcov's text: "COUNT:NUMBER:SOURCE LINE". COUNT is "-" for no code and "#####"
-- or "=====" for code that did not run; a "*" says that a part of it did not.
local function read_counts(data)
  local file
  for _, line in ipairs(lines("gcov -t '" .. data .. "' 2>/dev/null")) do
    local count, number, text = line:match "^%s*([^:]+):%s*(%d+):(.*)$"
    number = tonumber(number)
    if number == 0 then
      local source = text:match "^Source:(.*)$"
      if source then file = ("/" .. source):match "/(src/.*)$" end
      if file and not counted[file] then
        counted[file], texts[file] = {}, {}
      end
    elseif file and count and count ~= "-" then
      local run = count:find "^%d" ~= nil
      counted[file][number] = counted[file][number] or run
      texts[file][number] = text
    end
  end
end

-- Not of objects whose source is gone: .../core.dir/src/chan.c.gcno.
local function has_source(path)
  local source = path:match "%.dir/(.*)%.gcno$"
  local file = source and io.open(source)
  if file then file:close() end
  return file ~= nil
end

local data = lines("find '" .. build .. "' -name '*.gcno' | LC_ALL=C sort")
for _, path in ipairs(data) do
  if has_source(path) then read_counts(path) end
end
if #data == 0 then
  print("coverage: no counts in " .. build)
  os.exit(1)
end

-- -- sums ---------------------------------------------------------------------

local function new_sum(name) return {name = name, lines = 0, run = 0} end
local function share(sum) return 100 * sum.run / sum.lines end
local function show(sum)
  print(("%-32s %6d of %6d lines %6.1f %%"):format(sum.name, sum.run, sum.lines,
    share(sum)))
end

local files, rooms, room_of = {}, {}, {}
local core, binding = new_sum "src, the core", new_sum "src/lua, the binding"
for file, run in pairs(counted) do
  local room = file:match "^(.*)/"
  if not room_of[room] then
    room_of[room] = new_sum(room)
    rooms[#rooms + 1] = room_of[room]
  end
  local sum = new_sum(file)
  local whole = file:find "^src/lua/" and binding or core
  for _, was_run in pairs(run) do
    for _, s in ipairs {sum, room_of[room], whole} do
      s.lines = s.lines + 1
      if was_run then s.run = s.run + 1 end
    end
  end
  if sum.lines > 0 then files[#files + 1] = sum end
end
table.sort(rooms, function(a, b) return a.name < b.name end)
table.sort(files, function(a, b)
  if share(a) ~= share(b) then return share(a) < share(b) end
  return a.name < b.name
end)

for _, sum in ipairs(rooms) do show(sum) end
print "lowest:"
for i = 1, math.min(LOWEST, #files) do show(files[i]) end
print "in all:"
show(core)
show(binding)

if lines_to then
  local out = assert(io.open(lines_to, "w"))
  for _, sum in ipairs(files) do
    local numbers = {}
    for number, was_run in pairs(counted[sum.name]) do
      if not was_run then numbers[#numbers + 1] = number end
    end
    table.sort(numbers)
    for _, number in ipairs(numbers) do
      out:write(sum.name, ":", number, ": ", texts[sum.name][number], "\n")
    end
  end
  out:close()
end
