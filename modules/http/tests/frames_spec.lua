-- frames_spec.lua - what comes of frames, right and wrong, on both sides.
-- SPDX-License-Identifier: MIT
--
-- The numbers are those of the cases of the Autobahn test suite, which has made
-- a list of what goes wrong in implementations. Of each case there is what it
-- is about; how it is done is our own. Sizes are smaller here.

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local kit = require "wskit"
local core = require "casting.http.core"

after_each(kit.close_all)

-- -- how a case is written ----------------------------------------------------

-- {number, what is sent, what comes back [, bytes of a piece]}. What comes back
-- ends with "close CODE"; without that the case ends with a close of ours, and
-- the answer to it.

local function part(opcode, payload, o)
  return {opcode, payload or "", o}
end
local function text(s, o) return part(1, s, o) end
local function binary(s, o) return part(2, s, o) end
local function more(s, o) return part(0, s, o) end
local function ping(s, o) return part(9, s, o) end
local function pong(s, o) return part(10, s, o) end
local function close(code, reason, o)
  return part(8, (code and kit.code(code) or "") .. (reason or ""), o)
end
local function bytes(s) return s end -- of no frame

local NOT_LAST = {fin = false}
local OCTETS = 1

local cases = {}
local function add(...) cases[#cases + 1] = {...} end

-- -- 1: echoes ----------------------------------------------------------------

for i, n in ipairs {0, 125, 126, 127, 128, 65535, 65536} do
  local s, b = ("*"):rep(n), ("\254"):rep(n)
  add("1.1." .. i, {text(s)}, {"text " .. s})
  add("1.2." .. i, {binary(b)}, {"binary " .. b})
end
add("1.1.8", {text(("*"):rep(65536))}, {"text " .. ("*"):rep(65536)}, 997)
add("1.2.8", {binary(("\254"):rep(65536))}, {"binary " .. ("\254"):rep(65536)},
  997)

-- -- 2: pings and pongs -------------------------------------------------------

local long = ("p"):rep(125)
local ten, pongs = {}, {}
for i = 1, 10 do
  ten[i] = ping("payload " .. i)
  pongs[i] = "pong payload " .. i
end

add("2.1", {ping()}, {"pong "})
add("2.2", {ping "Hello, world!"}, {"pong Hello, world!"})
add("2.3", {ping "\0\255\254\253"}, {"pong \0\255\254\253"})
add("2.4", {ping(long)}, {"pong " .. long})
add("2.5", {ping(long .. "p")}, {"close 1002"})
add("2.6", {ping(long)}, {"pong " .. long}, OCTETS)
add("2.7", {pong()}, {})
add("2.8", {pong "unsolicited"}, {})
add("2.9", {pong "unsolicited", ping "after it"}, {"pong after it"})
add("2.10", ten, pongs)
add("2.11", ten, pongs, OCTETS)

-- -- 3: reserved bits ---------------------------------------------------------

add("3.1", {text("x", {rsv = 1})}, {"close 1002"})
add("3.2", {text "a", text("x", {rsv = 2}), ping "x"},
  {"text a", "close 1002"})
add("3.3", {text "a", text("x", {rsv = 3})}, {"text a", "close 1002"}, 7)
add("3.4", {text "a", text("x", {rsv = 4}), ping "x"}, {"text a", "close 1002"},
  OCTETS)
add("3.5", {binary("x", {rsv = 5})}, {"close 1002"})
add("3.6", {ping("x", {rsv = 6})}, {"close 1002"})
add("3.7", {close(1000, nil, {rsv = 7})}, {"close 1002"})

-- -- 4: opcodes ---------------------------------------------------------------

for i, first in ipairs {3, 11} do
  for k = 0, 4 do
    local number = ("4.%d.%d"):format(i, k + 1)
    if k < 2 then
      add(number, {part(first + k, k == 1 and "x" or "")}, {"close 1002"})
    else
      add(number, {text "a", part(first + k, k == 3 and "x" or ""), ping()},
        {"text a", "close 1002"}, k == 4 and OCTETS or nil)
    end
  end
end

-- -- 5: fragments -------------------------------------------------------------

local halves = {text("frag", NOT_LAST), more "ment"}
local with_ping = {text("frag", NOT_LAST), ping "p", more "ment"}
add("5.1", {ping("x", NOT_LAST), more "y"}, {"close 1002"})
add("5.2", {pong("x", NOT_LAST), more "y"}, {"close 1002"})
add("5.3", halves, {"text fragment"})
add("5.4", halves, {"text fragment"}, 5)
add("5.5", halves, {"text fragment"}, OCTETS)
add("5.6", with_ping, {"pong p", "text fragment"})
add("5.7", with_ping, {"pong p", "text fragment"}, 5)
add("5.8", with_ping, {"pong p", "text fragment"}, OCTETS)
for i, fin in ipairs {true, true, true, false, false, false} do
  add("5." .. 8 + i, {more("x", {fin = fin}), text "a"}, {"close 1002"},
    ({[2] = 5, [3] = OCTETS, [5] = 5, [6] = OCTETS})[i])
end
add("5.15", {halves[1], halves[2], more "x", text "a"},
  {"text fragment", "close 1002"})
add("5.16", {more("x", NOT_LAST), text("a", NOT_LAST), more "b"},
  {"close 1002"})
add("5.17", {more "x", text("a", NOT_LAST), more "b"}, {"close 1002"})
add("5.18", {text("a", NOT_LAST), text "b"}, {"close 1002"})
local five = {text("1", NOT_LAST), more("2", NOT_LAST), ping "p",
  more("3", NOT_LAST), more("4", NOT_LAST), ping "q", more "5"}
add("5.19", five, {"pong p", "pong q", "text 12345"}, 3)
add("5.20", five, {"pong p", "pong q", "text 12345"}, OCTETS)

-- -- 6: UTF-8 -----------------------------------------------------------------

local GREEK = "Hello-\194\181@\195\159\195\182\195\164\195\188\195\160\195" ..
  "\161-UTF-8!!"
local WORD = "\206\186\225\189\185\207\131\206\188\206\181"
local SURROGATE = "\237\160\128"

local function each(s)
  local list = {}
  for i = 1, #s do
    list[i] = part(i == 1 and 1 or 0, s:sub(i, i), {fin = i == #s})
  end
  return list
end

add("6.1.1", {text ""}, {"text "})
add("6.1.2", {text("", NOT_LAST), more("", NOT_LAST), more ""}, {"text "})
add("6.1.3", {text("", NOT_LAST), more("mid", NOT_LAST), more ""},
  {"text mid"})
add("6.2.1", {text(GREEK)}, {"text " .. GREEK})
add("6.2.2", {text(GREEK:sub(1, 8), NOT_LAST), more(GREEK:sub(9))},
  {"text " .. GREEK})
add("6.2.3", each(GREEK), {"text " .. GREEK})
add("6.2.4", each(WORD), {"text " .. WORD})
add("6.3.1", {text(WORD .. SURROGATE .. "edited")}, {"close 1007"})
add("6.3.2", each(WORD .. SURROGATE .. "edited"), {"close 1007"})
-- The end never comes: what is wrong is seen before that.
add("6.4.1", {text(WORD, NOT_LAST), more("\244\144\128\128", NOT_LAST)},
  {"close 1007"})
add("6.4.2", {text(WORD .. "\244", NOT_LAST), more("\144", NOT_LAST)},
  {"close 1007"})
add("6.4.3", {text(WORD .. "\244\144", {length = 100})}, {"close 1007"})
add("6.4.4", {text(WORD .. "\244\144", {length = 100})}, {"close 1007"}, OCTETS)

-- {from, texts}: UTF-8, or not
local good = {
  ["6.5"] = {WORD, "\206\186", "\225\189\185", "\0", "a\0b"},
  ["6.7"] = {"\0", "\194\128", "\224\160\128", "\240\144\128\128"},
  ["6.9"] = {"\127", "\223\191", "\239\191\191", "\244\143\191\191"},
  ["6.11"] = {"\237\159\191", "\238\128\128", "\239\191\189",
    "\244\143\191\191"},
  ["6.22"] = {"\239\191\190", "\239\191\191", "\240\159\191\190",
    "\240\159\191\191", "\240\175\191\190", "\243\191\191\191",
    "\244\143\191\190"},
  ["6.23"] = {"\239\191\185", "\239\191\186", "\239\191\187", "\239\191\188",
    "\239\191\189", "\239\187\191"},
}
local wrong = {
  ["6.6"] = {"\206", "\206\186\225", "\206\186\225\189", "\240\144\128",
    "\225", "\244\143\191"},
  ["6.8"] = {"\248\136\128\128\128", "\252\132\128\128\128\128"},
  ["6.10"] = {"\247\191\191\191", "\251\191\191\191\191",
    "\253\191\191\191\191\191"},
  ["6.12"] = {"\128", "\191", "\128\191", "\128\191\128", "\128\191\128\191"},
  ["6.13"] = {"\192 \193 ", "\224 \239 ", "\240 \247 ", "\248 ", "\252 "},
  ["6.14"] = {"\192", "\224\128", "\240\128\128", "\223", "\239\191",
    "\247\191\191"},
  ["6.15"] = {"\192\224\128\240\128\128\223\239\191"},
  ["6.16"] = {"\254", "\255", "\254\254\255\255"},
  ["6.17"] = {"\192\175", "\224\128\175", "\240\128\128\175",
    "\248\128\128\128\175"},
  ["6.18"] = {"\193\191", "\224\159\191", "\240\143\191\191"},
  ["6.19"] = {"\192\128", "\224\128\128", "\240\128\128\128"},
  ["6.20"] = {"\237\160\128", "\237\173\191", "\237\174\128", "\237\176\128",
    "\237\190\128", "\237\191\191"},
  ["6.21"] = {"\237\160\128\237\176\128", "\237\173\191\237\191\191",
    "\237\175\191\237\191\191"},
}
for number, list in pairs(good) do
  for i, s in ipairs(list) do
    add(("%s.%d"):format(number, i), {text(s)}, {"text " .. s})
  end
end
for number, list in pairs(wrong) do
  for i, s in ipairs(list) do
    add(("%s.%d"):format(number, i), {text(s)}, {"close 1007"})
    add(("%s.%d, in pieces"):format(number, i), each(s), {"close 1007"})
  end
end

-- -- 7: closing ---------------------------------------------------------------

local quarter = ("x"):rep(65536)
add("7.1.1", {text "a", close(1000)}, {"text a", "close 1000"})
add("7.1.2", {close(1000), close(1000)}, {"close 1000"})
add("7.1.3", {close(1000), ping "late"}, {"close 1000"})
add("7.1.4", {close(1000), text "late"}, {"close 1000"})
add("7.1.5", {text("frag", NOT_LAST), close(1000), more "ment"},
  {"close 1000"})
add("7.1.6", {text(quarter), text "a", close(1000), ping "late"},
  {"text " .. quarter, "text a", "close 1000"})
add("7.3.1", {close()}, {"close "})
add("7.3.2", {part(8, "a")}, {"close 1002"})
add("7.3.3", {close(1000)}, {"close 1000"})
add("7.3.4", {close(1000, "bye")}, {"close 1000"})
add("7.3.5", {close(1000, ("*"):rep(123))}, {"close 1000"})
add("7.3.6", {close(1000, ("*"):rep(124))}, {"close 1002"})
add("7.5.1", {close(1000, WORD .. SURROGATE)}, {"close 1007"})
for i, code in ipairs {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011,
  3000, 3999, 4000, 4999} do
  add("7.7." .. i, {close(code)}, {"close " .. code})
end
for i, code in ipairs {0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} do
  add("7.9." .. i, {close(code)}, {"close 1002"})
end
add("7.13.1", {close(5000)}, {"close 1002"})
add("7.13.2", {close(65535)}, {"close 1002"})

-- -- 9: sizes -----------------------------------------------------------------

local function fragments(opcode, s, size)
  local list = {}
  for i = 1, #s, size do
    list[#list + 1] = part(i == 1 and opcode or 0, s:sub(i, i + size - 1),
      {fin = i + size > #s})
  end
  return list
end

local LIMIT = 100000 -- the option max_message, here
for i, n in ipairs {65536, LIMIT} do
  local s = ("*"):rep(n)
  add("9.1." .. i, {text(s)}, {"text " .. s})
  add("9.2." .. i, {binary(s)}, {"binary " .. s})
end
add("9.1.3", {text(("*"):rep(LIMIT + 1))}, {"close 1009"})
add("9.2.3", {binary(("*"):rep(LIMIT + 1))}, {"close 1009"})
add("9.2.4", {binary("", {length = 2 ^ 40})}, {"close 1009"})
for i, size in ipairs {64, 256, 1024, 4096, 16384} do
  local n = math.min(65536, size * 200)
  add("9.3." .. i, fragments(1, ("*"):rep(n), size), {"text " .. ("*"):rep(n)})
  add("9.4." .. i, fragments(2, ("*"):rep(n), size),
    {"binary " .. ("*"):rep(n)})
  add("9.5." .. i, {text(("*"):rep(n))}, {"text " .. ("*"):rep(n)}, size)
end
add("9.3.6", fragments(1, ("*"):rep(LIMIT + 1), 4096), {"close 1009"})
add("9.4.6", fragments(2, ("*"):rep(LIMIT + 1), 4096), {"close 1009"})
for i, n in ipairs {0, 16, 125, 1024} do
  local list, back = {}, {}
  for k = 1, 100 do
    list[k], back[k] = binary(("*"):rep(n)), "binary " .. ("*"):rep(n)
  end
  add("9.7." .. i, list, back)
end
add("10.1.1", fragments(1, ("*"):rep(65536), 1300),
  {"text " .. ("*"):rep(65536)})

-- What has no number there.
add("a length of two bytes that is too short for them",
  {text("abc", {size = 2})}, {"close 1002"})
add("a length of eight bytes that is too short for them",
  {text("abc", {size = 8})}, {"close 1002"})
add("a length with its first bit",
  {part(2, "", {size = 8, length = 2 ^ 63})}, {"close 1002"})
add("HTTP", {bytes "GET / HTTP/1.1\r\nHost: x\r\n\r\n"}, {"close 1002"})

-- -- both sides ---------------------------------------------------------------

-- What is sent, as one string. A client masks with the mask.
local function assemble(list, mask)
  local out = {}
  for i, f in ipairs(list) do
    if type(f) == "string" then
      out[i] = f
    else
      local o = {mask = mask}
      for k, v in pairs(f[3] or {}) do o[k] = v end
      out[i] = kit.frame(f[1], f[2], o)
    end
  end
  return table.concat(out)
end

-- Sends what a case says on a stream, and reads what comes back. Without a mask
-- it is the side of a server.
local function run(case, stream, mask)
  local list, wanted, size = {}, {}, case[4]
  for i, f in ipairs(case[2]) do list[i] = f end
  for i, word in ipairs(case[3]) do wanted[i] = word end
  if not (wanted[#wanted] or ""):find "^close" then
    list[#list + 1] = close(1000)
    wanted[#wanted + 1] = "close 1000"
  end
  local all = assemble(list, mask)
  local writer = casting.spawn(function()
    for i = 1, #all, size or #all do
      if not stream:write(all:sub(i, i + (size or #all) - 1)) then break end
      casting.yield()
    end
  end)
  local got = kit.read_all(stream, not mask)
  writer:join()
  assert.same(wanted, got)
end

local OPTIONS = {max_message = LIMIT}

describe("a server of websockets", function()
  for i, case in ipairs(cases) do
    it(case[1], function()
      local stream = kit.client_of(kit.echo, OPTIONS)
      run(case, stream, i % 2 == 0 and "\0\0\0\0" or "\1\127\128\254")
    end)
  end
end)

describe("a client of websockets", function()
  for _, case in ipairs(cases) do
    it(case[1], function()
      local stream, task = kit.server_of(kit.echo, OPTIONS)
      run(case, stream)
      task:await(helper.LONG)
    end)
  end
end)

-- -- without sockets ----------------------------------------------------------

describe("a codec", function()
  -- All that is in the bytes, which come n at a time.
  local function decode(all, n, client)
    local codec, list = core.codec(client, LIMIT, 0), {}
    for i = 1, #all, n do
      local s, at = all:sub(i, i + n - 1), 0
      while at do
        local opcode, a
        at, opcode, a = core.next_frame(codec, s, at)
        if at then list[#list + 1] = opcode .. " " .. tostring(a) end
        if opcode == 0 or opcode == 8 then return list end
      end
    end
    return list
  end

  it("finds the same, however the bytes come", function()
    for _, case in ipairs(cases) do
      local all = assemble(case[2], "\7\200\33\164")
      if #all < 5000 then
        local wanted = decode(all, #all)
        for n = 1, 9 do
          assert.same(wanted, decode(all, n), case[1])
        end
      end
    end
  end)

  it("writes what another one reads", function()
    local client, server = core.codec(true, 1e6, 0), core.codec(false, 1e6, 0)
    for _, n in ipairs {0, 1, 125, 126, 8192, 8193, 65535, 65536, 99999} do
      local s = ("abcdefg"):rep(n):sub(1, n)
      for _, pair in ipairs {{client, server}, {server, client}} do
        local head, body = core.frame(pair[1], 2, s)
        local all = head .. (body or "")
        local at, opcode, back = core.next_frame(pair[2], all, 0)
        assert.equal(#all, at)
        assert.equal(2, opcode)
        assert.is_true(s == back)
      end
    end
  end)
end)
