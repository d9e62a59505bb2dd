-- rock.lua - builds the module for LuaRocks out of a checkout.
-- SPDX-License-Identifier: MIT
--
--   lua tools/gen/rock.lua --cc COMPILER --cflags [OPTION ...]
--     --incdir DIR --ld LINKER --libflag [OPTION ...] --libs [OPTION ...]
--
-- The rockspec calls it in the top directory of the sources, with what
-- LuaRocks would build with itself; it writes build/rock/casting.so (.dll on
-- Windows). A release has a generated file, and LuaRocks' own "builtin" build;
-- in a checkout such a file is to be made first. LuaRocks offers no build step
-- but a command, and has no program at hand but Lua and the compiler. So this
-- is Lua, for any version and system, and compiles as well. The compiler is one
-- that takes the options of GCC.
--
-- The words after an option are as a shell has split them: a compiler may be
-- "ccache gcc", and on Windows a path in quotes. LuaRocks before 3.10 runs no
-- commands on Windows (luarocks/luarocks#1535).
local windows = package.config:sub(1, 1) == "\\"
local dir = "build/rock"
io.stdout:setvbuf "line" -- in step with what the compiler prints

-- -- programs -----------------------------------------------------------------

local function native(path)
  return windows and path:gsub("/", "\\") or path
end

local function quote(word)
  if word:find "^[%w_./:=+,-]+$" or windows and word:find "^[%w_./:=+,\\-]+$"
  then
    return word
  end
  if not windows then return "'" .. word:gsub("'", "'\\''") .. "'" end
  return '"' .. word:gsub('(\\*)"', '%1%1\\"'):gsub("\\+$", "%0%0") .. '"'
end

-- Ends the build if the program fails. In Lua 5.1 the result is its status.
local function run(command)
  -- cmd.exe takes the first and the last quote of a line away.
  local ok = os.execute(windows and '"' .. command .. '"' or command)
  if ok ~= true and ok ~= 0 then
    io.stderr:write("rock.lua: this has failed: ", command, "\n")
    os.exit(1)
  end
end

local function line(...)
  local words = {}
  for _, part in ipairs {...} do
    for _, word in ipairs(type(part) == "table" and part or {part}) do
      words[#words + 1] = quote(word)
    end
  end
  return table.concat(words, " ")
end

-- -- files --------------------------------------------------------------------

-- What is in the folder and matches, in order. The shell lists it, for Lua
-- cannot; where that is not cmd.exe, it does so without a program.
local function list(folder, pattern)
  local pipe = assert(io.popen(windows
    and "dir /b " .. native(folder)
    or "cd " .. folder .. " && for f in *; do echo \"$f\"; done"))
  local found = {}
  for name in pipe:lines() do
    name = name:gsub("%s+$", "")
    if name:find(pattern) then found[#found + 1] = folder .. "/" .. name end
  end
  pipe:close()
  table.sort(found)
  return found
end

local function append(to, from)
  for _, v in ipairs(from) do to[#to + 1] = v end
end

local function find_sources()
  local sources = {}
  for _, folder in ipairs {"src", "src/os", "src/io"} do
    append(sources, list(folder, "%.c$"))
  end
  for _, room in ipairs(list("src/lua", "^%w+$")) do
    append(sources, list(room, "%.c$"))
  end
  return sources
end

-- -- the build ----------------------------------------------------------------

local option, current = {}, nil
for _, word in ipairs(arg) do
  local name = word:match "^%-%-(%l+)$"
  if name == "cc" or name == "cflags" or name == "incdir" or name == "ld" or
    name == "libflag" or name == "libs" then
    current = {}
    option[name] = current
  elseif current then
    table.insert(current, word)
  end
end
for _, name in ipairs {"cc", "incdir", "ld"} do
  if not option[name] or #option[name] == 0 then
    io.stderr:write("rock.lua: nothing follows --", name, "\n")
    os.exit(1)
  end
end

-- LuaRocks has seen to Lua's headers, but not to the compiler.
do
  local nowhere = windows and " >NUL 2>NUL" or " >/dev/null 2>&1"
  local command = line(option.cc, "--version") .. nowhere
  local ok = os.execute(windows and '"' .. command .. '"' or command)
  if ok ~= true and ok ~= 0 then
    io.stderr:write("rock.lua: there is no compiler ", line(option.cc),
      "; on Debian: apt-get install -y gcc libc6-dev\n")
    os.exit(1)
  end
end

local folder = native(dir)
run(windows and ("if not exist %s mkdir %s"):format(folder, folder)
  or "mkdir -p " .. folder)
local embed = assert(loadfile "tools/gen/embed.lua")
embed(dir .. "/embedded.h", (unpack or table.unpack)(list("lualib/casting",
  "%.lua$")))

local objects, sources = {}, find_sources()
print(("compiling %d files"):format(#sources))
for _, source in ipairs(sources) do
  local object = dir .. "/" .. source:gsub("^src/", ""):gsub("/", "_")
    :gsub("c$", "o")
  objects[#objects + 1] = object
  run(line(option.cc, option.cflags or {}, "-D_GNU_SOURCE=", "-Iinclude",
    "-I" .. dir, "-I" .. option.incdir[1], "-c", source, "-o", object))
end
local module = dir .. "/casting." .. (windows and "dll" or "so")
print("linking " .. module)
run(line(option.ld, option.libflag or {}, "-o", module, objects,
  option.libs or {}))
