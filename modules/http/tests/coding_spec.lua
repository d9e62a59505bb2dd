-- coding_spec.lua - bodies that are compressed.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local core = require "casting.http.core"
local peers = require "peers"
local process = require "casting.process"
local answer, client, script = peers.answer, peers.client, peers.script
local LONG = helper.LONG

after_each(peers.close)

local function gzip(text)
  local code, packed = process.run {"gzip", "-n", input = text, timeout = LONG}
  assert.equal(0, code)
  return packed
end

-- Ten bytes stand before the data of gzip, and eight behind.
local function raw(text) return gzip(text):sub(11, -9) end

local function zlib(text)
  local a, b = 1, 0
  for i = 1, #text do
    a = (a + text:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return "\120\156" .. raw(text) .. string.char(math.floor(b / 256), b % 256,
    math.floor(a / 256), a % 256)
end

local TEXT = ("All work and no play. "):rep(2000)

local function coded(packed, coding, more)
  return answer(packed, "Content-Encoding: " .. (coding or "gzip") .. "\r\n" ..
    (more or ""))
end

local function ask(text, options)
  local base, seen = script {text}
  local c = client()
  local r, why = c:request(base, options)
  return r, why, seen, c
end

describe("a compressed body", function()
  it("is unpacked", function()
    for coding, packed in pairs {gzip = gzip(TEXT), ["X-GZip"] = gzip(TEXT),
      deflate = zlib(TEXT)} do
      local r, why, _, c = ask(coded(packed, coding))
      assert.is_nil(why)
      assert.equal(TEXT, r.body)
      assert.equal(coding:lower(), r.decoded)
      assert.is_nil(r.headers["content-encoding"])
      assert.is_nil(r.headers["content-length"])
      assert.equal(1, c:stats().idle)
    end
    assert.equal(TEXT, ask(coded(raw(TEXT), "deflate")).body)
  end)

  it("may have several parts, and none", function()
    assert.equal("onetwo", ask(coded(gzip "one" .. gzip "two")).body)
    assert.equal("two", ask(coded(gzip "" .. gzip "two")).body)
    assert.equal("", ask(coded(gzip "")).body)
    assert.equal("", ask(coded "").body)
    local r = ask(("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" ..
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
    assert.equal("", r.body)
    r = ask("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" .. gzip "bare")
    assert.equal("bare", r.body)
  end)

  it("comes byte by byte", function()
    local packed = gzip(TEXT)
    local chunks = packed:gsub(".", "1\r\n%0\r\n")
    local r, why = ask("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" ..
      "Transfer-Encoding: chunked\r\n\r\n" .. chunks .. "0\r\n\r\n")
    assert.is_nil(why)
    assert.equal(TEXT, r.body)
  end)

  it("is unpacked no more when it is closed, or too long", function()
    local base = script {coded(gzip(TEXT)), "hold"}
    local r = client():request(base, {stream = true})
    assert.equal(TEXT:sub(1, 7), r:read(7))
    local incoming = r.exchange.incoming
    r:close()
    local function unpack_more()
      return core.inflate(incoming.inflater, gzip "x", 1, 10)
    end
    assert.is_nil((unpack_more()))
    local make = core.inflater
    function core.inflater(...)
      incoming = {inflater = make(...)}
      return incoming.inflater
    end
    local _, why = ask(coded(gzip(TEXT)), {max_body = 10})
    core.inflater = make
    assert.equal("too long", why)
    assert.is_nil((unpack_more()))
  end)

  it("is read in pieces", function()
    local base = script {coded(gzip(TEXT)), answer "next"}
    local c = client()
    local r = c:request(base, {stream = true})
    assert.equal(TEXT:sub(1, 7), r:read(7))
    assert.equal(TEXT:sub(8, 20007), r:read(20000))
    local rest = {}
    while true do
      local piece, why = r:read()
      if not piece then
        assert.equal("closed", why)
        break
      end
      rest[#rest + 1] = piece
    end
    assert.equal(TEXT:sub(20008), table.concat(rest))
    assert.equal("", r:read "a")
    assert.equal("next", c:request(base).body)
    assert.equal(1, c:stats().made)
  end)

  it("is left as it is if the program wants that", function()
    local packed = gzip(TEXT)
    for _, options in ipairs {{decode = false},
      {headers = {["Accept-Encoding"] = "gzip, br"}},
      {headers = {Range = "bytes=0-"}}} do
      local r, _, seen = ask(coded(packed), options)
      assert.equal(packed, r.body)
      assert.is_false(r.decoded)
      assert.equal("gzip", r.headers["content-encoding"])
      assert.is_nil(seen[1].head:find("Encoding: gzip\r", 1, true))
    end
    assert.equal("x", ask(coded("x", "br")).body)
    assert.equal("x", ask(coded("x", "gzip, gzip")).body)
  end)

  it("of HEAD is none", function()
    local r = ask("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" ..
      "Content-Length: 33\r\n\r\n", {method = "HEAD"})
    assert.equal("gzip", r.headers["content-encoding"])
    assert.equal("33", r.headers["content-length"])
  end)

  it("may be broken", function()
    local packed = gzip(TEXT)
    local cases = {{"no gzip", "malformed"}, {packed .. "xy", "malformed"},
      {packed .. ("x"):rep(20), "malformed"}, {packed:sub(1, -2), "truncated"},
      {packed:sub(1, 5), "truncated"}, {packed:sub(1, 50), "truncated"},
      {packed:sub(1, -9) .. ("\0"):rep(8), "malformed"},
      {packed .. packed:sub(1, 12), "truncated"}}
    for i, case in ipairs(cases) do
      local r, why, _, c = ask(coded(case[1]))
      assert.is_nil(r)
      assert.equal(case[2], why, i)
      assert.equal(0, c:stats().idle + c:stats().busy)
    end
    local r, why = ask(coded(zlib(TEXT) .. "x", "deflate"))
    assert.is_nil(r)
    assert.equal("malformed", why)
  end)

  it("that is cut off anywhere is no body", function()
    local packed = gzip "a short text"
    for i = 1, #packed - 1 do
      local r, why = ask(coded(packed:sub(1, i)))
      assert.is_nil(r)
      assert.equal("truncated", why)
    end
  end)

  it("counts as what it becomes", function()
    local r, why, _, c = ask(coded(gzip(("\0"):rep(3000000))),
      {max_body = 100000})
    assert.is_nil(r)
    assert.equal("too long", why)
    assert.equal(0, c:stats().idle)
    assert.equal(100, #ask(coded(gzip(("\0"):rep(100))),
      {max_body = 100}).body)
  end)

  it("that becomes very long needs little memory", function()
    local packed = gzip(("\0"):rep(30000000))
    local base = script {coded(packed)}
    local s = casting.session {memory = 3000000}
    local n = s:spawn(function(base)
      local r = assert(require("casting.http").request(base, {stream = true}))
      local n = 0
      while true do
        local piece = r:read()
        if not piece then return n end
        n = n + #piece
      end
    end, base):await(LONG)
    assert.equal(30000000, n)
    s:close()
  end)

  it("whose inflater finds no memory is an error of Lua's", function()
    local s = casting.session {memory = 3000000}
    -- It collects before it ends: where Lua itself has no memory, as the next
    -- task may, a collection runs no finalizers.
    local ok, e = s:spawn(function()
      local core = require "casting.http.core"
      local made, why = pcall(function()
        local all = {}
        for i = 1, 1000 do all[i] = core.inflater(true) end
        return #all
      end)
      collectgarbage()
      if not made then error(why, 0) end
    end):join(LONG)
    assert.is_false(ok)
    assert.matches("not enough memory", tostring(e))
    -- What nobody has any more makes room.
    assert.equal("done", s:spawn(function()
      local core = require "casting.http.core"
      for _ = 1, 1000 do core.inflater(true) end
      return "done"
    end):await(LONG))
    s:close()
  end)
end)

describe("an inflater", function()
  it("takes no more after its end", function()
    local z = core.inflater(true)
    local packed = gzip "x"
    local out, at, whole = core.inflate(z, packed, 1, 100)
    assert.equal("x", out)
    assert.equal(#packed + 1, at)
    assert.is_true(whole)
    core.inflated(z)
    core.inflated(z)
    assert.is_nil(core.inflate(z, packed, 1, 100))
  end)

  it("looks at its arguments", function()
    local z = core.inflater(true)
    assert.error_matches(function() core.inflate(z, "x", 0, 1) end,
      "out of range")
    assert.error_matches(function() core.inflate(z, "x", 3, 1) end,
      "out of range")
    assert.error_matches(function() core.inflate(z, "x", 1, 0) end,
      "out of range")
    assert.error_matches(function() core.inflate({}, "x", 1, 1) end,
      "inflater")
  end)
end)
