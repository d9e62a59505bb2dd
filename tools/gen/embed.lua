-- embed.lua - the files of lualib/casting as data in C: embedded.h.
-- SPDX-License-Identifier: MIT
--
--   lua tools/gen/embed.lua OUTPUT FILE ...
--
-- For LuaRocks (rock.lua calls it); on any version of Lua. What it writes, and
-- why there are two that do, is told in embed.cmake. Change both.
local output = ...
local out = {[[
/* embedded.h - the files of lualib/casting, made by tools/gen/embed.cmake
   or embed.lua. SPDX-License-Identifier: MIT */
]]}
local list = {}

for _, path in ipairs {select(2, ...)} do
  local name = path:match "([^/\\]*)%.lua$"
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a":gsub("\n$", "") .. "\n"
  file:close()
  out[#out + 1] = ("\nstatic const char *const %s_lua[] = {\n"):format(name)
  for line in text:gmatch "([^\n]*)\n" do
    out[#out + 1] = '  "' .. line:gsub('[\\"?]', "\\%0") .. '\\n",\n'
  end
  out[#out + 1] = "  NULL,\n};\n"
  list[#list + 1] = ('  {"%s", %s_lua},\n'):format(name, name)
end
out[#out + 1] = "\nstatic const cast_embedded cast_embedded_files[] = {\n" ..
  table.concat(list) .. "  {NULL, NULL},\n};\n"

local file = assert(io.open(output, "wb"))
assert(file:write(table.concat(out)))
assert(file:close())
