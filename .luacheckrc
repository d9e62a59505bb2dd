-- Run by `./dev check lint`. The code must be good on every Lua version, so
-- the globals are those that all of them share.
std = "min"
max_line_length = 80
codes = true
-- Shadowing and unused arguments are normal in tasks and callbacks.
ignore = { "212", "421", "422", "423", "431", "432" }

-- Type stubs declare functions without bodies, with names for the reader.
exclude_files = { "lualib/*.d.lua", "build" }

-- Probing for what only some versions have is part of writing for all.
local some = { "jit", "utf8", "warn", "unpack", "loadstring", "setfenv",
  "getfenv", "table.unpack", "table.pack", "math.type", "math.tointeger",
  "math.maxinteger", "math.mininteger", "debug.upvalueid",
  "debug.upvaluejoin", "coroutine.close", "coroutine.isyieldable", "rawlen",
  "newproxy", "bit32", "bit" }

for _, dir in ipairs { "lualib", "bench", "examples", "tools", "tests/stress",
  "tests/regress", "tests/lua", "tests/fuzz", "tests/browser" } do
  files[dir] = { read_globals = some }
end
files["bin"] = { globals = { "_" }, read_globals = some }
files["tests/lua"].std = "+busted"
files["tests/browser"].std = "+busted"
files["modules/*/tests"] = { std = "+busted" }
