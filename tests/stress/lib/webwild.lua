-- webwild.lua - servers and clients of casting.http that behave badly, for
-- http_chaos.lua: whatever they do, it must end with them.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local http = require "casting.http"
local net = require "casting.net"
local kit = require "kit"

local webwild = {}

local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
local LONG = 30 * factor
local text = ("0123456789abcdef"):rep(20000)

-- An address of this computer that no other process uses, if it has more than
-- one. Clients here go on when a server has ended, and would meet the process
-- to which the system gives its port next.
function webwild.address()
  local n = tonumber(tostring({}):match "%x+$", 16) / 4096 + os.time()
  local address = ("127.%d.%d.%d"):format(math.floor(n / 65536) % 256,
    math.floor(n / 256) % 256, math.floor(n) % 254 + 1)
  local listener = net.listen(address, 0)
  if not listener then return "127.0.0.1" end
  listener:close()
  return address
end

-- -- a server -----------------------------------------------------------------

local handlers = {
  function() error("at once", 0) end,
  function(_, res)
    res:write(text)
    error("in the middle", 0)
  end,
  function(req) req.stream:abort() end,
  function(req, res)
    res:write(text:sub(1, 5000))
    req.stream:close()
  end,
  function(_, res)
    casting.sleep(0.003)
    res:write "late"
  end,
  function(_, res)
    for _ = 1, 10 do
      if not res:write(text) then return end
    end
  end,
  function(req)
    req:closed {cancel = true}
    casting.sleep(0.02)
  end,
  function(req, res)
    req:closed():receive(0.01)
    res:write "x"
  end,
  function(req, res)
    res:write(req:read() or "nothing")
  end,
  function(req, res)
    res:flush()
    req:read "a"
  end,
  function(_, res)
    res.headers["Content-Length"] = 100
    res:write "less"
  end,
  function(_, res) res.headers.Connection = "close" res:finish "x" end,
  function() casting.self():cancel "itself" casting.yield() end,
  function(_, res)
    local other = casting.spawn(function() res:write(text) end)
    res:write "x"
    other:cancel()
  end,
  function(_, res)
    local events = res:events {ping = 0.001}
    for _ = 1, 10 do
      casting.sleep(0.002)
      if not events or not events:send "x" then return end
    end
  end,
  function(req)
    local part = req:part()
    while part do part = req:part() end
  end,
  function(req, res)
    casting.with_timeout(0.002, function() req:read "a" end)
    res:write "x"
  end,
  function(_, res) res:send_file "/none" res:send_file "/proc/self/status" end,
  -- Websockets.
  function(req) req:websocket() end,
  function(req)
    local ws = req:websocket()
    if ws then error("with a websocket", 0) end
  end,
  function(req)
    local ws = req:websocket {compress = true}
    while ws and ws:send(text) do end -- luacheck: ignore
  end,
  function(req)
    local ws = req:websocket {ping = 0.001, closing = 0.002}
    if ws then ws:receive(0.01) end
  end,
  function(req)
    local ws = req:websocket()
    if not ws then return end
    casting.spawn(ws.send, ws, text)
    casting.spawn(function() while ws:receive() do end end) -- luacheck: ignore
    casting.sleep(0.002)
    ws:close(4000, "enough")
  end,
  function(req)
    local ws = req:websocket()
    if not ws then return end
    local messages = ws:messages()
    casting.select {messages, timeout = 0.005}
    ws.stream:abort()
    messages:receive(0.01)
  end,
}

-- Serves as long as the listener is there; the path says which handler it is.
function webwild.serve(listener, options)
  return http.serve(listener, function(req, res)
    local n = tonumber(req.path:match "%d+") or 1
    return handlers[n % #handlers + 1](req, res)
  end, options)
end

-- -- clients ------------------------------------------------------------------

-- A connection to one of the servers, and the beginning of a request.
local function connect(o)
  return net.connect(o.address, o.ports[o.random(#o.ports)], 0.05)
end

local function url(o, scheme)
  return ("%s://%s:%d/%s/%d/%d"):format(scheme or "http", o.address,
    o.ports[o.random(#o.ports)], o.random(3) == 1 and "ws" or "text",
    o.random(5000), o.random(1000))
end

local function ask(o, options)
  options = options or {}
  options.timeout = options.timeout or 0.05
  local r, why = o.client:request(url(o), options)
  if r and r.status == 200 and r.body and #r.body > 5000000 then
    o.wrong:try_send "a body of too many bytes"
  end
  return r, why
end

local function get(o)
  return ("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(o.random(1000))
end

local function post(o, fields)
  return ("POST /%d HTTP/1.1\r\nHost: x\r\n%s\r\n"):format(o.random(1000),
    fields)
end

local CHUNKED = "Transfer-Encoding: chunked\r\n"

-- What a client sends, and how it ends.
local texts = {
  function(o) return get(o):sub(1, o.random(30)) end,
  function(o) return get(o):rep(o.random(50)) end,
  function(o) return get(o) .. "nonsense\r\n\r\n" .. get(o) end,
  function(o) return post(o, "Content-Length: 100000\r\n") .. "some" end,
  function(o) return post(o, "Content-Length: 300000\r\n") .. text end,
  function(o)
    return post(o, "Content-Length: 10\r\nExpect: 100-continue\r\n")
  end,
  function(o) return post(o, CHUNKED) .. "5\r\nabcde\r\n" end,
  function(o) return post(o, CHUNKED) .. "5\r\nabcdefgh\r\n" end,
  function(o)
    return post(o, CHUNKED) .. ("1;" .. ("x"):rep(1000) .. "\r\na\r\n"):rep(99)
  end,
  function(o)
    return post(o, CHUNKED) .. ("1\r\na\r\n"):rep(5000) .. "0\r\n\r\n"
  end,
  function() return text end,
  function() return "\0\1\2\255\r\n\r\n" end,
  function(o)
    local boundary = "Content-Type: multipart/form-data; boundary=b\r\n"
    return post(o, boundary .. "Content-Length: 5000\r\n") .. "--b\r\n" ..
      "Content-Disposition: form-data; name=a\r\n\r\n" .. text:sub(1, 3000)
  end,
  function(o)
    return ("GET /ws/%d HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" ..
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" ..
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"):format(
      o.random(1000)) .. ("\137\128\0\0\0\0"):rep(o.random(100)) ..
      text:sub(1, o.random(100))
  end,
}

local ends = {
  function(s) s:abort() end,
  function(s) s:close() end,
  function(s)
    s:shutdown()
    s:read("a", 0.02)
  end,
  function(s, o)
    for _ = 1, o.random(10) do
      if not s:read(o.random(100), 0.005) then break end
    end
  end,
  function(s)
    while s:read(nil, 0.01) do casting.yield() end
  end,
}

local clients = {
  function(o)
    local s = connect(o)
    if not s then return end
    s:write(texts[o.random(#texts)](o), 0.02)
    ends[o.random(#ends)](s, o)
    s:close()
  end,
  function(o) -- byte by byte
    local s = connect(o)
    if not s then return end
    local all = texts[o.random(#texts)](o):sub(1, 200)
    for i = 1, o.random(#all) do
      if not s:write(all:sub(i, i), 0.01) then break end
      if i % 10 == 0 then casting.sleep(0.0005) end
    end
    ends[o.random(#ends)](s, o)
    s:close()
  end,
  function(o) ask(o) end,
  function(o) ask(o, {timeout = o.random(40) / 10000}) end,
  function(o) ask(o, {body = text:sub(1, o.random(100000))}) end,
  function(o)
    local n = 0
    ask(o, {body = function()
      n = n + 1
      if n == 3 then error("the body fails", 0) end
      return text:sub(1, 30000)
    end})
  end,
  function(o)
    ask(o, {body = function()
      casting.sleep(0.001)
      return o.random(10) > 1 and "piece" or nil
    end})
  end,
  function(o) -- dropped, or closed
    local r = ask(o, {stream = true})
    if r then r:read(o.random(1000)) end
    if r and o.random(2) == 1 then r:close() end
  end,
  function(o)
    casting.with_timeout(o.random(50) / 10000, ask, o, {timeout = 1})
  end,
  function(o)
    local list = {}
    for i = 1, o.random(8) do list[i] = casting.spawn(ask, o) end
    casting.sleep(o.random(30) / 10000)
    for i = 1, #list, 2 do list[i]:cancel() end
  end,
  function(o)
    local client = http.client {per_host = 1, timeout = 0.02}
    local function one() return client:request(url(o)) end
    for _ = 1, 4 do casting.spawn(one) end
    casting.sleep(o.random(30) / 10000)
    client:close()
  end,
  function(o)
    local ws = http.websocket(url(o, "ws"), {timeout = 0.05, closing = 0.01})
    if not ws then return end
    local a = casting.spawn(function()
      while ws:send(text:sub(1, o.random(20000))) do end -- luacheck: ignore
    end)
    local b = casting.spawn(function()
      while ws:receive() do end -- luacheck: ignore
    end)
    casting.sleep(o.random(30) / 10000)
    local way = o.random(5)
    if way == 1 then a:cancel() end
    if way == 2 then b:cancel() end
    if way == 3 then ws.stream:abort() end
    if way == 4 then ws.stream:write("\255\255\255", 0.01) end
    if way < 5 then ws:close() end
  end,
  function(o)
    local ws = http.websocket(url(o, "ws"), {timeout = 0.05, closing = 0.01,
      ping = 0.001, compress = true})
    if not ws then return end
    casting.select {ws:messages(), timeout = 0.005}
    if o.random(2) == 1 then ws:close() end
  end,
  function(o)
    local t = casting.spawn(http.websocket, url(o, "ws"), {timeout = 1})
    casting.sleep(o.random(20) / 10000)
    t:cancel()
  end,
}

-- Behaves badly for a while. `wrong` is a channel for what must not be.
function webwild.attack(address, ports, seed, wrong)
  local random = kit.generator(seed)
  local o = {address = address, ports = ports, random = random, wrong = wrong,
    client = http.client {timeout = 0.1, pool = random(4) - 1,
      per_host = random(3)}}
  for _ = 1, random(30) do
    local ok, e = pcall(clients[random(#clients)], o)
    if not ok and casting.is_cancelled(e) then error(e, 0) end
  end
  if random(2) == 1 then o.client:close() end
end

-- A server that is there for a moment, and must end when its listener does.
function webwild.roll(address, seed, sessions, wrong)
  local random = kit.generator(seed)
  local listener = assert(net.listen(address, 0))
  local _, port = listener:name()
  local graces = {0, 0.001, 0.05}
  local server = casting.spawn(webwild.serve, listener,
    {sessions = sessions, grace = graces[random(3)], header = 0.02,
      idle = 0.02, timeout = 0.02})
  for _ = 1, 3 do
    casting.spawn(webwild.attack, address, {port}, random(1e6), wrong)
  end
  casting.sleep(random(200) / 10000)
  listener:close()
  local ended = server:join(LONG)
  if ended == nil then
    wrong:send("a server did not end\n" .. casting.report(1000))
  end
end

return webwild
