-- seeds.lua - writes the corpus of the fuzzers whose inputs are programs.
-- SPDX-License-Identifier: MIT
--
--   lua tests/fuzz/seeds.lua
--
-- Writes tests/fuzz/corpus/{encode,names,message,websocket}/NAME anew, from the
-- programs below. Those of decode are written by decode.c, see README.md. Run
-- it when instructions have been added: each byte may mean another one then.
local here = arg[0]:match "^(.*)[/\\]" or "."
local encode = dofile(here .. "/encode.lua")
local names = dofile(here .. "/names.lua")

local function write(target, name, program)
  local bytes = {}
  for i = 1, #program do
    local b = program[i]
    bytes[i] = type(b) == "number" and string.char(b % 256) or b
  end
  local path = here .. "/corpus/" .. target .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(table.concat(bytes))
  file:close()
end

-- A writer of programs: each word is the name of an instruction, what is no
-- name is an operand.
local function writer(target, index_of, first)
  return function(name, list)
    local program = {}
    for i = 1, #first do program[i] = first[i] end
    for i = 1, #list do
      program[#program + 1] = index_of[list[i]] or list[i]
    end
    write(target, name, program)
  end
end

local function position(list, v)
  for i = 1, #list do
    if rawequal(list[i], v) then return i - 1 end
  end
  error("no such value: " .. tostring(v))
end

-- -- encode -------------------------------------------------------------------

-- The operand `any` that stands for this scalar; nodes are 0, 1, 2 and so on.
local function scalar(v)
  local n = #encode.scalars + 1
  for b = 96, 255 do
    if b % n == position(encode.scalars, v) then return b end
  end
end

local save = writer("encode", encode.index_of, {0, 0})
local all = {}
for i = 1, #encode.scalars do
  all[#all + 1] = "scalar"
  all[#all + 1] = i - 1
end
save("scalars", all)
save("strings", {"string", 5, "bytes", "long_string", 65, 12, "long_string", 66,
  13, "long_string", 67, 16, "send", 3, 0, "send", 3, 0})
save("integers", {"integer", 0, 0, 0, 1, "integer", 255, 255, 255, 255,
  "integer", 128, 0, 128, 0, "table", "fill", 3, 200})
save("records", {"records", 50, "records", 3, "send", 1, 0, "send", 1, 0})
save("tree", {"table", "table", "table", "append", 0, 3, 1, scalar "a",
  scalar(0.5), "set", 1, scalar "key", 2, "append", 2, 2, scalar(true),
  scalar(-1)})
save("cycle", {"table", "table", "set", 0, scalar "key", 1, "set", 1,
  scalar "a", 0, "set", 1, 0, 1, "set", 0, 1, scalar(3)})
save("holes", {"table", "set", 0, scalar(1), scalar "a", "set", 0, scalar(3),
  scalar "a", "set", 0, scalar(5), scalar "a", "set", 0, scalar(2 ^ 53),
  scalar "a", "fill", 0, 20, "set", 0, scalar(4), 0})
for kind = 0, 3 do
  save("chain" .. kind, {"table", "chain", 0, 60, kind, "set", 0, scalar "key",
    1})
end
save("chains", {"table", "closure", 1, 0, "chain", 1, 20, 0, "chain", 2, 20, 2,
  "chain", 3, 20, 3, "chain", 4, 20, 1, "set", 0, scalar "key", 5})
save("metatables", {"table", "table", "closure", 0, scalar(1), "set", 1,
  scalar "__gc", 2, "set", 1, scalar "__index", 1, "metatable", 0, 1,
  "metatable", 1, 1, "set", 1, scalar "key", 0, "collect", 0})
save("weak", {"table", "table", "set", 1, scalar "__mode", scalar "key",
  "metatable", 0, 1, "set", 0, 1, 0})
save("closures", {"table", "closure", 0, scalar(3), "closure", 1, 0, "closure",
  2, 0, "closure", 3, 0, "send", 3, 0, "send", 3, 0, "send", 3, 0})
save("sharing", {"table", "sharing", 0, scalar "a", "sharing", 1, 2,
  "join_upvalues", 1, 0, 3, 1, "join_upvalues", 4, 0, 2, 0, "set_upvalue", 1, 1,
  1, "send", 3, 0, "send", 3, 0})
save("chunks", {"chunk", 0, "chunk", 1, "chunk", 2, "chunk", 3, "chunk", 5,
  "stripped", 2, "stripped", 4, "send", 3, 0, "send", 3, 0})
save("environment", {"table", "environment", 0, 3, "set", 0, scalar "key", 1,
  "environment", 0, 2, "library", 5, "set_upvalue", 2, 0, 3})
local library = {"table"}
for i = 0, 15 do
  for _, b in ipairs {"library", i, "append", 0, 1, i + 1} do
    library[#library + 1] = b
  end
end
save("library", library)
save("class", {"library", 7, "table", "metatable", 1, 0, "library", 10, "table",
  "metatable", 3, 2, "set", 1, 2, 3, "library", 12})
save("handles", {"handle", "light", 7, "light", 0, "table", "append", 3, 3, 0,
  1, 0, "set", 3, 0, 1})
save("boxes", {"box", "table", "append", 1, 2, 0, 0, "send", 1, 0, "box",
  "send", 1, 210, "send", 1, 240})
save("save", {"library", 15, "table", "save", 1, 0, 2, 0, 1, scalar "a", "save",
  0, 0, 1, 0, 2, "metatable", 2, 3})
save("save_changes", {"library", 15, "table", "append", 1, 2, 0, 0, "save", 1,
  2, 1, 0, 1, "save", 1, 1, 1, 0, 1, "save", 1, 3, 0, scalar "a", "append", 1,
  3, 2, 4, 6})
save("strangers", {"table", "stranger", 0, "append", 0, 1, 1, "send", 2, 0,
  "stranger", 1, "stranger", 2, "stranger", 3, "send", 2, 240})
save("finalizers", {"table", "records", 60, "append", 0, 2, 1, 1, "finalizer",
  0, "finalizer", 1, "collect", 1, "collect", 1, "send", 2, 0})
local failing = {"table", "sharing", 0, 0, "long_string", 65, 13, "handle",
  "records", 5, "append", 0, 4, 1, 2, 3, 4}
for i, f in ipairs {129, 140, 160, 200, 255} do
  writer("encode", encode.index_of, {f, i * 3})("failing" .. i, failing)
end

-- -- names --------------------------------------------------------------------

local function module(name) return position(names.modules, name) end
local function key(name) return position(names.keys, name) end

save = writer("names", names.index_of, {})
save("module", {"table", "set", 1, key "__index", 1, "table", "set", 2,
  key "Point", 1, "module", module "alpha", 2, "send", 1, 2, "send", 2, 1})
save("functions", {"c_function", 0, "c_closure", 1, "lua_function", "table",
  "set", 4, key "a", 1, "set", 4, key "b", 2, "set", 4, key "deep", 3, "module",
  module "beta", 4, "send", 1, 2, "send", 3, 4})
save("inner", {"c_function", 2, "module_at_fields", 1, module "alpha",
  "module_at_fields", 1, module "alpha.inner", "send", 1, 2, "unload",
  module "alpha", "send", 1, 3})
save("libraries", {"library", 0, "library", 1, "library", 4, "library", 6,
  "library", 8, "send", 1, 2, "send", 3, 4, "unload", module "string", "send",
  1, 2, "set", 1, key "a", 5, "send", 5, 1})
save("globals", {"table", "module", module "_G", 1, "c_function", 1,
  "set_global", key "a", 2, "send", 2, 1, "module_at_fields", 2, module "_G",
  "send", 2, 3})
save("changes", {"table", "set", 1, key "__gc", 1, "table", "module",
  module "alpha", 2, "send", 1, 2, "set", 2, key "Point", 1, "send", 1, 2,
  "clear", 2, key "Point", "send", 1, 2, "clear", 1, key "__gc", "collect",
  "send", 1, 2})
save("required", {"table", "preload", module "alpha", 1, "require",
  module "alpha", "send", 1, 0, "unload", module "alpha", "send", 1, 0,
  "require", module "beta"})
save("strange", {"c_function", 3, "module_at_fields", 1, module "zero\0byte",
  "module_at_fields", 1, module "long", "module_at_fields", 1, module(5),
  "module", module "", 2, "module", module "casting.internal", 3, "module",
  module "casting", 4, "send", 1, 2, "set", 2, key "zero\0byte", 1, "set", 2,
  key(1), 1, "set", 2, key "long", 1, "send", 1, 2})
save("function_as_module", {"c_function", 4, "module", module "alpha", 1,
  "send", 1, 0, "metatable", 0, 0, "module", module "alpha", 0, "send", 0, 1})

-- -- message ------------------------------------------------------------------

-- What message.c does at a byte; 128 more: with the second message.
local calls = {"nil", "boolean", "integer", "number", "string", "pointer",
  "channel", "task", "session", "array", "map", "end", "end2", "read", "read2",
  "read3", "read4", "read5", "skip", "rewind", "clear", "raw", "pass", "lua",
  "all", "count"}
local index_of = {}
for i = 1, #calls do index_of[calls[i]] = i - 1 end

save = writer("message", index_of, {})
save("scalars", {"boolean", 1, "nil", "integer", 0, 0, 0, 0, 0, 0, 1, 0, 0,
  "number", 63, 248, 0, 0, 0, 0, 0, 0, "string", 3, "abc", "string", 0,
  "pointer", "count", "all", "rewind", "all", "lua", "all"})
save("handles", {"channel", "task", "session", "array", "channel", "channel",
  "end", "pass", 1, 128 + index_of.all, 128 + index_of.rewind,
  128 + index_of.lua, 128 + index_of.all})
save("tables", {"array", "boolean", 1, "map", "string", 1, "k", "array", "end",
  "boolean", 0, "nil", "end", "end", "boolean", 1, "read", "read", "read",
  "skip", "read", "rewind", "read", "skip", "all"})
save("misuse", {"nil", "boolean", 1, "clear", "end", "clear", "map", "nil",
  "clear", "map", "boolean", 1, "end", "all", "clear", "array", "read", "skip",
  "end", "read", "skip", "skip"})
local deep = {}
for _ = 1, 33 do deep[#deep + 1] = "array" end
for _ = 1, 33 do deep[#deep + 1] = "end" end
save("deep", deep)
save("passed", {"boolean", 1, "pass", 1, "string", 2, "xy", "pass", 0, "all",
  128 + index_of.boolean, 1, 128 + index_of.pass, 0, "read", "read"})
-- Headers and tags as wire.h has them, with what follows cut off or too large.
save("raw", {"raw", 0x04, 0x42, 1, 0, 0, 0, 1, 0, 0, 0, 0x81, 0x61, 3, 0, 0, 0,
  0x70, 1, 0, "x", 0x50, 2, 0x0a, 13, 13, 13, 18, 13})
save("raw_objects", {"raw", 0x83, 0x46, 0, 0, 0, 0, 1, 0, 0, 0, 0x21, "k", 0x80,
  0x0d, 0, 0, 0, 0, 0x0f, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 13, 18,
  19, 24})
save("raw_deep", {"raw", 0x1f, 255, 255, 255, 255, 0x40, 1, 0, 0, 0, 0, 0, 0, 0,
  0x40, 1, 0, 0, 0, 0, 0, 0, 0, 0x60, 2, 0, 0, 0, 0x80, 0x80, 0x10, 24})

-- -- websocket ----------------------------------------------------------------

-- The three settings, see websocket.c, and then frames, or messages.
local CLIENT, SENDS, DEFLATES, BIG, FAILS = 1, 2, 4, 16, 32
local function frames(name, settings, list, piece, fails)
  local program = {settings, piece or 3, fails or 0}
  for i = 1, #list do program[i + 3] = list[i] end
  write("websocket", name, program)
end

local ZERO = "\0\0\0\0" -- a mask that changes nothing
local packed = "\202H\205\201\201W\200@'\1\0"
local zeros = "\236\193\49\1\0\0\0\194\160\245Om\r\15\160\0\0\128w\3"
frames("text", CLIENT, {0x81, 5, "hello", 0x82, 3, "\0\255a", 0x89, 1, "p",
  0x8a, 0, 0x88, 4, "\3\232ok"})
frames("masked", 0, {0x81, 0x85, ZERO, "hello", 0x81, 0x85, "\1\2\3\4",
  "idoh\110", 0x88, 0x80, ZERO})
frames("fragments", CLIENT, {0x01, 4, "gr\195\188", 0x89, 0, 0x00, 2,
  "\195\159", 0x80, 1, "e", 0x02, 0, 0x80, 0}, 0)
frames("half_a_character", CLIENT, {0x01, 3, "a\226\130", 0x80, 1, "\172",
  0x01, 1, "\226", 0x80, 1, "a"})
frames("lengths", CLIENT + BIG, {0x82, 126, 0, 200, ("x"):rep(200), 0x82, 127,
  0, 0, 0, 0, 0, 1, 0, 0, "x"})
frames("long", CLIENT, {0x82, 126, 255, 255, "x"})
frames("wasted", CLIENT, {0x82, 126, 0, 5, "hello"})
frames("negative", CLIENT, {0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0})
frames("packed", CLIENT + DEFLATES, {0xc1, #packed, packed, 0x41, 4,
  packed:sub(1, 4), 0x80, #packed - 4, packed:sub(5)})
frames("packed_and_masked", 3 * DEFLATES, {0xc2, 0x80 + #packed, ZERO, packed,
  0xc1, 0x81, ZERO, 0})
frames("packed_too_long", CLIENT + DEFLATES, {0xc2, #zeros, zeros})
frames("packed_and_big", CLIENT + DEFLATES + BIG, {0xc2, #zeros, zeros, 0xc2, 3,
  "xyz"})
frames("closed", CLIENT, {0x88, 1, 3})
frames("sent", SENDS, {0, 5, 0, "hello", 1, 3, 100, "\0\255a", 2, 2, 3, "pp", 3,
  0, 0, 0, 1, 0, "\255"})
frames("sent_packed", SENDS + BIG + 3 * DEFLATES, {0, 9, 255, "some text", 1, 0,
  0, 1, 200, 255, ("xyz\0!"):rep(40)})
frames("sent_by_server", SENDS + CLIENT + BIG + DEFLATES, {1, 200, 255,
  ("abcde"):rep(40), 0, 40, 255, ("abcde"):rep(8)}, 9)
frames("no_memory", SENDS + BIG + FAILS + 3 * DEFLATES,
  {1, 9, 255, "some text"}, 3, 30)
frames("no_memory_to_read", CLIENT + FAILS + DEFLATES, {0xc1, #packed, packed,
  0x02, 3, "abc", 0x80, 3, "abc"}, 3, 12)
