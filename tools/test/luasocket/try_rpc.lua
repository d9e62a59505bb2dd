-- try_rpc.lua - LuaXMLRPC and LuaSOAP: clients over socket.http, and a small
-- server with their parts for servers.
-- SPDX-License-Identifier: MIT

local kit = require "kit"
local casting = kit.casting

local socket = require "socket"
local xmlrpc = require "xmlrpc"
local soap = require "soap"

local methods = {}
function methods.add(a, b) return a + b end
function methods.fails() error "on purpose" end
xmlrpc.srvMethods(methods)

local function answer_xmlrpc(text)
  local name, arguments = xmlrpc.srvDecode(text)
  local ok, result = pcall(xmlrpc.dispatch(name), unpack(arguments or {}))
  if not ok then result = {code = 3, message = result} end
  return xmlrpc.srvEncode(result, not ok)
end

local function answer_soap(text)
  local namespace, method, entries = soap.decode(text)
  local product = 1
  for _, e in ipairs(entries) do product = product * tonumber(e[1]) end
  return soap.encode {namespace = namespace, method = method .. "Response",
    entries = {{tag = "product", product}}}
end

local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()

local function serve(client)
  local path = client:receive():match "^POST (%S+)"
  local size
  repeat
    local line = client:receive()
    size = size or tonumber(line:lower():match "^content%-length: (%d+)")
  until line == ""
  local text = client:receive(size)
  local body = path == "/soap" and answer_soap(text) or answer_xmlrpc(text)
  client:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" ..
    "Content-Type: text/xml\r\nConnection: close\r\n\r\n%s"):format(#body,
    body))
  client:close()
end

local listener = casting.spawn(function()
  while true do
    local client = server:accept()
    if not client then return end
    casting.spawn(serve, client)
  end
end)

local base = "http://127.0.0.1:" .. port
require "xmlrpc.http"
kit.at_once(20, function(i)
  local ok, sum = xmlrpc.http.call(base .. "/rpc", "add", i, 100)
  kit.same(true, ok, "add")
  kit.same(i + 100, sum, "add")
end)
local ok, text, code = xmlrpc.http.call(base .. "/rpc", "fails")
assert(not ok and text:find "on purpose", text)
kit.same(3, tonumber(code), "the code of a fault")

local client = require "soap.client"
kit.at_once(20, function(i)
  local space, method, entries = client.call {url = base .. "/soap",
    soapaction = "multiply", namespace = "http://example.org/",
    method = "multiply", entries = {{tag = "a", i}, {tag = "b", 7}}}
  kit.same("http://example.org/", space, "namespace")
  kit.same("multiplyResponse", method, "method")
  kit.same(i * 7, tonumber(entries[1][1]), "product")
end)
server:close()
listener:await()
