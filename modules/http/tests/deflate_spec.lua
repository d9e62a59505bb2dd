-- deflate_spec.lua - websockets whose messages are compressed (RFC 7692).
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local kit = require "wskit"
local core = require "casting.http.core"
local LONG = helper.LONG
local frame, MASK = kit.frame, "\1\2\3\4"
local pair, said = kit.pair, kit.said

after_each(kit.close_all)

local EXTENSIONS = "Sec-WebSocket-Extensions"

describe("compression", function()
  it("is used by both sides if both want it", function()
    local text = ("a text that comes again and again, "):rep(5000)
    local ws, other = pair({compress = true}, {compress = true})
    for _, n in ipairs {0, 1, 1023, 1024, 8192, 65536, #text} do
      for _, kind in ipairs {"text", "binary"} do
        ws:send(text:sub(1, n), kind)
        other:send(text:sub(1, n), kind)
        assert.equal(text:sub(1, n) .. " " .. kind, said(ws, LONG))
        assert.equal(text:sub(1, n) .. " " .. kind, said(other, LONG))
      end
    end
    assert.is_true(ws.stream:stats().written < #text / 2)
    assert.is_true(ws.stream:stats().read < #text / 2)
    ws:send(("\1\2\3"):rep(400), "binary")
    assert.equal(("\1\2\3"):rep(400) .. " binary", said(other, LONG))
  end)

  it("is not used if one side does not want it", function()
    local text = ("again and again, "):rep(1000)
    local ws, other = pair({compress = true})
    ws:send(text)
    assert.equal(text .. " text", said(other, LONG))
    assert.is_true(ws.stream:stats().written > #text)
  end)

  -- {what a client offers, what a server answers}: cases 13 of Autobahn, and
  -- RFC 7692, 7.1
  local NAME = "permessage-deflate"
  local TAKEN = NAME ..
    "; server_no_context_takeover; client_no_context_takeover"
  for _, row in ipairs {
    {NAME, TAKEN},
    {NAME .. "; client_max_window_bits", TAKEN},
    {NAME .. "; client_max_window_bits=9", TAKEN},
    {NAME .. "; server_no_context_takeover", TAKEN},
    {NAME .. "; client_no_context_takeover", TAKEN},
    {NAME .. "; server_max_window_bits=9", TAKEN ..
      "; server_max_window_bits=9"},
    {NAME .. "; server_max_window_bits=\"15\"", TAKEN ..
      "; server_max_window_bits=15"},
    {NAME .. "; server_max_window_bits=8, " .. NAME, TAKEN},
    {"x-other, " .. NAME .. "; a=b, " .. NAME, TAKEN},
    {NAME .. "; server_max_window_bits=8", nil},
    {NAME .. "; server_max_window_bits", nil},
    {NAME .. "; server_max_window_bits=16", nil},
    {NAME .. "; server_max_window_bits=09", nil},
    {NAME .. "; client_max_window_bits=7", nil},
    {NAME .. "; server_no_context_takeover=1", nil},
    {NAME .. "; server_no_context_takeover; server_no_context_takeover", nil},
    {NAME .. "; unknown", nil},
    {"x-webkit-deflate-frame", nil},
  } do
    it("for '" .. row[1] .. "' is '" .. tostring(row[2]) .. "'", function()
      local stream, _, _, head = kit.client_of(function(ws)
        ws:send(("a"):rep(2000))
      end, {compress = true}, {[EXTENSIONS] = row[1]})
      assert.equal(row[2],
        head:match("\r\n" .. EXTENSIONS:gsub("%-", "%%-") .. ": ([^\r]*)"))
      local _, payload, how = kit.read(stream)
      assert.equal(row[2] and 4 or 0, how.rsv)
      assert.equal(row[2] ~= nil, #payload < 2000)
    end)
  end

  -- {what a server answers, taken?}
  for _, row in ipairs {
    {TAKEN, true},
    {NAME .. "; server_no_context_takeover", true},
    {TAKEN .. "; server_max_window_bits=8", true},
    {NAME, false},
    {TAKEN .. "; client_max_window_bits=15", false},
    {TAKEN .. "; unknown", false},
    {TAKEN .. "; server_max_window_bits=7", false},
  } do
    it("as a server answers '" .. row[1] .. "': " .. tostring(row[2]),
      function()
        local _, task = kit.server_of(function() return true end,
          {compress = true}, function(question)
            return kit.answer(question, {[EXTENSIONS] = row[1]})
          end)
        assert.equal(row[2], task:await(LONG) or false)
      end)
  end

  -- {what it is, frames, what comes back}: RFC 7692, 7.2.3, and others
  local HELLO = "\242\72\205\201\201\7\0"
  for _, row in ipairs {
    {"one frame", {{1, HELLO, 4}}, "text Hello"},
    {"fragments", {{1, HELLO:sub(1, 3), 4, false}, {0, HELLO:sub(4)}},
      "text Hello"},
    {"a block that is not compressed",
      {{1, "\0\5\0\250\255Hello\0", 4}}, "text Hello"},
    {"a block that calls itself the last",
      {{1, "\243\72\205\201\201\7\0\0", 4}}, "text Hello"},
    {"two blocks", {{1, "\242\72\5\0\0\0\255\255\202\201\201\7\0", 4}},
      "text Hello"},
    {"nothing", {{1, "\0", 4}}, "text "},
    {"no compression", {{1, "Hello"}}, "text Hello"},
    {"half a block", {{1, HELLO:sub(1, 4), 4}}, "close 1007"},
    {"no block", {{1, "\255\255\255", 4}}, "close 1007"},
    {"bytes behind the last block", {{1, "\243\72\205\201\201\7\0\0abc", 4}},
      "close 1007"},
    {"no UTF-8", {{1, "\0\1\0\254\255\255\0", 4}}, "close 1007"},
    {"the bit on a later fragment", {{1, HELLO:sub(1, 3), 4, false},
      {0, HELLO:sub(4), 4}}, "close 1002"},
    {"the bit on a ping", {{9, HELLO, 4}}, "close 1002"},
    {"another bit", {{1, HELLO, 6}}, "close 1002"},
  } do
    it("of " .. row[1] .. ": " .. row[3], function()
      local stream = kit.client_of(kit.echo, {compress = true},
        {[EXTENSIONS] = NAME})
      for _, f in ipairs(row[2]) do
        stream:write(frame(f[1], f[2], {mask = MASK, rsv = f[3], fin = f[4]}))
      end
      assert.equal(row[3], kit.tell(kit.read(stream)))
    end)
  end

  it("is no way to make a little much", function()
    local codec = core.codec(true, 1, 15)
    local bomb = core.frame(codec, 2, ("\0"):rep(20000000))
    assert.is_true(#bomb < 30000)
    local stream = kit.client_of(kit.echo, {compress = true},
      {[EXTENSIONS] = NAME})
    stream:write(bomb)
    assert.same({"close 1009"}, kit.read_all(stream))
  end)

  -- All of a Lua state share what zlib needs.
  it("is not disturbed by finalizers that send and receive", function()
    local codecs = {}
    for i = 1, 2 do
      codecs[i] = {core.codec(false, 1e6, 15), core.codec(true, 1e6, 15)}
    end
    local function pass(i, text)
      local got = select(3, core.next_frame(codecs[i][2],
        table.concat({core.frame(codecs[i][1], 2, text)}), 0))
      return got == text
    end
    local finalized, right = 0, true
    local newproxy, litter = rawget(_G, "newproxy"), nil
    local function finalize()
      finalized = finalized + 1
      right = pass(2, ("other %d, "):format(finalized):rep(900)) and right
      if finalized < 300 then litter() end
    end
    function litter()
      if newproxy then
        getmetatable(newproxy(true)).__gc = finalize
      else
        setmetatable({}, {__gc = finalize})
      end
    end
    litter()
    local round = 0
    while finalized < 300 do
      round = round + 1
      assert.is_true(pass(1, ("some %d, "):format(round):rep(1000)))
    end
    assert.is_true(right)
  end)

  it("does not make the limit smaller", function()
    local ws, other = pair({compress = true, max_message = 70000},
      {compress = true, max_message = 70000})
    local noise, x = {}, 1
    for i = 1, 70000 do
      x = x * 16807 % 2147483647
      noise[i] = string.char(x % 256)
    end
    noise = table.concat(noise)
    for _, message in ipairs {noise, ("\0"):rep(70000)} do
      ws:send(message, "binary")
      assert.is_true(other:receive(LONG) == message)
    end
  end)
end)
