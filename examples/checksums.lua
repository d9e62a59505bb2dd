-- checksums.lua - checksums and line counts of files, in parallel.
-- SPDX-License-Identifier: MIT
--
-- What it shows: casting.map with real work on real input. Names go out to
-- the sessions, which read the files; results come back in the order of the
-- names, whoever was first. A file that cannot be read is a result, not a
-- failure. Progress is shown on stderr while that is a terminal.
--
-- How to run it:
--   ./dev run examples/checksums.lua             (the project's documents)
--   ./dev run examples/checksums.lua --check /usr/share/doc/lua5.4 README.md
--
-- Each line has an Adler-32 checksum (RFC 1950), lines, bytes and the name.

local casting = require "casting"

-- Runs in each session.
local function look_at(name)
  local file, problem = io.open(name, "rb")
  if not file then return {problem = problem} end
  local a, b, lines, bytes = 1, 0, 0, 0
  local block, why = file:read(65536)
  while block do
    for i = 1, #block do
      local byte = block:byte(i)
      a = (a + byte) % 65521
      b = (b + a) % 65521
      if byte == 10 then lines = lines + 1 end
    end
    bytes = bytes + #block
    block, why = file:read(65536)
  end
  file:close()
  if why then return {problem = name .. ": " .. why} end
  return {sum = ("%04x%04x"):format(b, a), lines = lines, bytes = bytes}
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function is_directory(path)
  local file = io.open(path .. "/.", "rb")
  if file then file:close() end
  return file ~= nil
end

-- A file is itself, a directory all files in it; what `find` cannot read there,
-- it complains of itself.
local function names_in(paths)
  local names = {}
  for _, path in ipairs(paths) do
    if path:sub(1, 1) == "-" then path = "./" .. path end
    if is_directory(path) then
      local pipe = assert(io.popen("find " .. quote(path)
        .. " -type f | LC_ALL=C sort"))
      for name in pipe:lines() do names[#names + 1] = name end
      pipe:close()
    else
      names[#names + 1] = path -- who reads it says what is wrong with it
    end
  end
  return names
end

local check, paths = false, {}
for _, word in ipairs(arg) do
  if word == "--check" then
    check = true
  elseif word:sub(1, 2) == "--" then
    io.stderr:write("checksums: unknown option ", word, "\n",
      "usage: checksums.lua [--check] [FILE | DIRECTORY]...\n")
    os.exit(2)
  else
    paths[#paths + 1] = word
  end
end
if #paths == 0 then
  paths[1] = (arg[0]:match("^(.*)[/\\][^/\\]*$") or ".") .. "/../docs"
end

local names = names_in(paths)
local terminal = os.execute "test -t 2"
local progress
if terminal == true or terminal == 0 then -- 0 on 5.1
  function progress(done, total)
    io.stderr:write(("\r%d of %d files%s"):format(done, total,
      done == total and "\n" or ""))
  end
end

local results = casting.map(names, look_at, {progress = progress})

local failed, wrong = 0, 0
for i, name in ipairs(names) do
  local result = results[i]
  if result.problem then
    io.stderr:write("checksums: ", result.problem, "\n")
    failed = failed + 1
  else
    print(("%s %7d %9d  %s"):format(result.sum, result.lines, result.bytes,
      name))
    if check and look_at(name).sum ~= result.sum then wrong = wrong + 1 end
  end
end
if check then
  print(wrong == 0 and "check: equal" or "check: DIFFERENT")
end
if failed + wrong > 0 then os.exit(1) end
