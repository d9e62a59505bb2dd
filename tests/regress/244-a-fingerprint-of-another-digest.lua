-- 244: When OpenSSL's memory failed twice in a row, stream:tls() could tell the
-- SHA-1 of a certificate as its SHA-256: OpenSSL compares digests by names, and
-- without the memory to look them up it takes any two for the same.
-- SPDX-License-Identifier: MIT
local helper = require "helper"
local has_memory, cryptomem = pcall(require, "cryptomem") -- before OpenSSL
if not has_memory or not cryptomem.available() then return end
if not pcall(require, "casting.tls") or not helper.has_children() then
  return
end
package.path = "./modules/tls/tests/?.lua;" .. package.path
local casting = require "casting"
local certs = require("certs").make()
local LONG = helper.LONG

local a, b = casting.net.pair()
local task = casting.spawn(a.starttls, a, {server = true,
  cert = certs.server.cert, key = certs.server.key, timeout = LONG})
assert(b:starttls {ca = certs.ca.cert, name = "localhost", timeout = LONG})
assert(task:await())
local right = b:tls().peer.sha256
assert(#right == 64)

for _, many in ipairs {1, 2, 3, 20} do
  local n = 0
  repeat
    n = n + 1
    cryptomem.starve(n, many)
    local ok, info = pcall(b.tls, b)
    local failed = cryptomem.starve()
    cryptomem.starve(0)
    assert(not ok or info.peer.sha256 == right, "another fingerprint")
    assert(ok or tostring(info):find("memory", 1, true), info)
  until not failed
end
b:close()
a:close()
require("certs").remove()
