-- house.lua - the structure of the sources, measured: who calls whom.
-- SPDX-License-Identifier: MIT
--
--   house.lua CORE BINDING [-q]
--
-- CORE and BINDING are directories that have the object files of the core and
-- of one version of the binding; the layers are those of tools/lint/layers. nm
-- tells of each what it defines and what it refers to, so a call counts even
-- where no header says so. Prints
--   * circles between files, and each reference of a circle;
--   * references from a file to one of a higher layer;
--   * per room, unless -q is given: files, lines, the share of lines that are
--     comments, the longest file and the longest function.
-- Exit status 1 if there is a circle or a reference upwards.
local core, binding, quiet = arg[1], arg[2], arg[3] == "-q"
local layers, root = "tools/lint/layers", "."

local function lines(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

-- -- the graph ----------------------------------------------------------------

-- Object files: .../src/lua/task/park.c.o is src/lua/task/park.c.
local files, object = {}, {}
for _, path in ipairs(lines(("find '%s' '%s' -name '*.c.o' | LC_ALL=C sort")
  :format(core, binding))) do
  local name = path:match "%.dir/(src/.*%.c)%.o$"
  local source = name and not object[name] and io.open(root .. "/" .. name)
  if source then -- not one of a file that is no more
    source:close()
    object[name] = path
    files[#files + 1] = name
  end
end
table.sort(files)
if #files == 0 then
  print("house: no object files in " .. core .. " " .. binding)
  os.exit(1)
end

local definer, uses, wanted = {}, {}, {}
local paths = {}
for _, name in ipairs(files) do paths[#paths + 1] = object[name] end
for _, line in ipairs(lines("nm -A -g '" .. table.concat(paths, "' '") .. "'"))
do
  local path, kind, symbol = line:match "^(.-):%x*%s+(%u)%s+([%a_][%w_]*)$"
  local name = path and path:match "%.dir/(src/.*%.c)%.o$"
  if kind == "U" then
    wanted[#wanted + 1] = {name, symbol}
  elseif name then
    definer[symbol] = name
  end
end
for _, name in ipairs(files) do uses[name] = {} end
for _, pair in ipairs(wanted) do
  local name, symbol = pair[1], pair[2]
  local other = definer[symbol]
  if other and other ~= name then
    uses[name][other] = uses[name][other] or {}
    table.insert(uses[name][other], symbol)
  end
end

local function others(name)
  local list = {}
  for other in pairs(uses[name]) do list[#list + 1] = other end
  table.sort(list)
  return list
end

-- Strongly connected components, after Tarjan.
local function find_circles()
  local number, low, on, stack, count, found = {}, {}, {}, {}, 0, {}
  local function visit(v)
    count = count + 1
    number[v], low[v] = count, count
    stack[#stack + 1] = v
    on[v] = true
    for _, w in ipairs(others(v)) do
      if not number[w] then
        visit(w)
        low[v] = math.min(low[v], low[w])
      elseif on[w] then
        low[v] = math.min(low[v], number[w])
      end
    end
    if low[v] ~= number[v] then return end
    local circle = {}
    repeat
      local w = table.remove(stack)
      on[w] = nil
      circle[#circle + 1] = w
    until w == v
    if #circle > 1 then
      table.sort(circle)
      found[#found + 1] = circle
    end
  end
  for _, name in ipairs(files) do
    if not number[name] then visit(name) end
  end
  return found
end

-- -- layers -------------------------------------------------------------------

-- Words of the list in order; NAME, NAME.c or ROOM/*. As in lint.sh.
local rank, last = {}, 0
for line in io.lines(layers) do
  for word in line:gsub("#.*", ""):gmatch "%S+" do
    last = last + 1
    rank[word] = last
  end
end

local function rank_of(file, called)
  local name = file:match "^src/(.*)%.c$"
  return called and rank[name .. ".h"] or rank[name .. ".c"] or rank[name] or
    rank[(name:match "^(.*)/" or "") .. "/*"]
end

-- -- figures ------------------------------------------------------------------

local function measure(file)
  local m = {lines = 0, code = 0, comment = 0, longest = 0, at = ""}
  local inside, start = false, nil
  for line in io.lines(root .. "/" .. file) do
    m.lines = m.lines + 1
    if inside or line:find "^%s*/%*" or line:find "^%s*//" then
      m.comment = m.comment + 1
      if not inside and line:find "^%s*/%*" then inside = true end
      if line:find "%*/" then inside = false end
    elseif line:find "%S" then
      m.code = m.code + 1
      if line:find "/%*" then m.comment = m.comment + 1 end
      if line:find "/%*" and not line:find "%*/" then inside = true end
    end
    -- A function: from a line in the first column that ends in ") {".
    if not start and line:find "%)%s*{%s*$" and not line:find "^%s*%l+ %(" then
      start = m.lines
    elseif line:find "^}" then
      if start and m.lines - start + 1 > m.longest then
        m.longest = m.lines - start + 1
        m.at = file .. ":" .. start
      end
      start = nil
    end
  end
  return m
end

local function print_rooms()
  local rooms, names = {}, {}
  for _, file in ipairs(lines("cd '" .. root ..
    "' && find src -name '*.[ch]' | LC_ALL=C sort")) do
    local room = file:match "^(.*)/"
    local r = rooms[room]
    if not r then
      r = {files = 0, lines = 0, code = 0, comment = 0, largest = 0,
        largest_at = "", longest = 0, at = ""}
      rooms[room] = r
      names[#names + 1] = room
    end
    local m = measure(file)
    r.files = r.files + 1
    r.lines = r.lines + m.lines
    r.code = r.code + m.code
    r.comment = r.comment + m.comment
    if m.lines > r.largest then r.largest, r.largest_at = m.lines, file end
    if m.longest > r.longest then r.longest, r.at = m.longest, m.at end
  end
  table.sort(names)
  print(("%-20s %5s %6s %9s  %s"):format("room", "files", "lines", "comments",
    "longest file; longest function"))
  for _, name in ipairs(names) do
    local r = rooms[name]
    print(("%-20s %5d %6d %8.1f%%  %s %d; %s %d"):format(name, r.files,
      r.lines, 100 * r.comment / (r.code + r.comment),
      r.largest_at:match "[^/]*$", r.largest, r.at:match "[^/]*$", r.longest))
  end
end

-- -- all of it ----------------------------------------------------------------

local bad = 0
local circles = find_circles()
for _, circle in ipairs(circles) do
  bad = bad + 1
  print("circle of " .. #circle .. " files: " .. table.concat(circle, " "))
  for _, a in ipairs(circle) do
    for _, b in ipairs(circle) do
      if uses[a][b] then
        print("  " .. a .. " -> " .. b .. ": " .. table.concat(uses[a][b], " "))
      end
    end
  end
end
for _, a in ipairs(files) do
  if not rank_of(a) then
    bad = bad + 1
    print(a .. ": has no place in " .. layers)
  end
  for _, b in ipairs(others(a)) do
    if (rank_of(b, true) or 0) > (rank_of(a) or last) then
      bad = bad + 1
      print("upwards: " .. a .. " -> " .. b .. ": " ..
        table.concat(uses[a][b], " "))
    end
  end
end
if not quiet then print_rooms() end
print(#files .. " object files, " .. #circles .. " circles")
os.exit(bad == 0 and 0 or 1)
