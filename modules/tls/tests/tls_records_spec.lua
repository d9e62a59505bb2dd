-- tls_records_spec.lua - records that are none: each ends the connection.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/tls/tests/?.lua;" .. package.path
local kit = require "tlskit"
local netkit = require "netkit"
local certs = require "certs"
local LONG = helper.LONG

after_each(kit.close_all)

-- A connection over a relay: its server, its client, and two functions that put
-- bytes on the way to the server or the client.
local function relayed(max)
  local far, to_server = netkit.tcp()
  local near, to_client = netkit.tcp()
  kit.keep(to_server)
  kit.keep(to_client)
  local function relay(from, to)
    while to:write(from:read(nil, LONG) or "") do end -- luacheck: ignore
  end
  local up = casting.spawn(relay, to_client, to_server)
  local down = casting.spawn(relay, to_server, to_client)
  local server, client = kit.pair(nil, {max = max},
    function() return far, near end)
  server:write "a" -- behind it there is nothing more of the handshake
  client:write "b"
  assert.equal("a", client:read(1, LONG))
  assert.equal("b", server:read(1, LONG))
  up:cancel()
  down:cancel()
  up:join()
  down:join()
  return server, client, to_server, to_client
end

local V = "\3\3"

-- {what it is, bytes}
local rows = {
  {"a record of no type", "\99" .. V .. "\0\5hello"},
  {"application data of 5 bytes", "\23" .. V .. "\0\5hello"},
  {"application data of 100 bytes", "\23" .. V .. "\0\100" .. ("x"):rep(100)},
  {"empty application data", "\23" .. V .. "\0\0"},
  {"much empty application data", ("\23" .. V .. "\0\0"):rep(1000)},
  {"application data that is too long", "\23" .. V .. "\255\255" ..
    ("x"):rep(65535)},
  {"an alert that all is over", "\21" .. V .. "\0\2\1\0"},
  {"a fatal alert", "\21" .. V .. "\0\2\2\40"},
  {"half an alert", "\21" .. V .. "\0\1\1"},
  {"many warnings", ("\21" .. V .. "\0\2\1\90"):rep(1000)},
  {"a change of ciphers", "\20" .. V .. "\0\1\1"},
  {"a strange change of ciphers", "\20" .. V .. "\0\2\1\1"},
  {"an empty message of a handshake", "\22" .. V .. "\0\0"},
  {"a hello", "\22" .. V .. "\0\4\1\0\0\0"},
  {"a wish to negotiate", "\22" .. V .. "\0\4\0\0\0\0"},
  {"a message without an end", "\22" .. V .. "\0\4\1\255\255\255"},
  {"a ticket", "\22" .. V .. "\0\4\4\0\0\0"},
  {"new keys", "\22" .. V .. "\0\5\24\0\0\1\1"},
  {"a heartbeat", "\24" .. V .. "\0\3\1\64\0"},
  {"SSL 2", "\128\46\1\0\2\0\21\0\0\0\16" .. ("x"):rep(60)},
  {"another version", "\23\9\9\0\5hello"},
  {"text", "GET / HTTP/1.0\r\n\r\n"},
  {"zeros", ("\0"):rep(1000)},
}

for _, version in ipairs {"1.2", "1.3"} do
  describe("a connection of TLS " .. version, function()
    for _, row in ipairs(rows) do
      it("ends with " .. row[1], function()
        local server, client, to_server, to_client = relayed(version)
        for _, side in ipairs {{server, to_server}, {client, to_client}} do
          side[2]:write(row[2])
          side[2]:shutdown()
          local bytes, why = side[1]:read(nil, LONG)
          assert.is_nil(bytes)
          assert.matches("^TLS: ", why)
          assert.same({nil, why}, {side[1]:read(nil, LONG)})
          assert.same({nil, why, 0}, {side[1]:write "x"})
          assert.is_true(side[1]:close())
        end
      end)
    end
  end)
end

describe("the end", function()
  it("removes the certificates", function() certs.remove() end)
end)
