-- webtalk.lua - a server whose answers can be foretold, and clients that look
-- at them, for http_chaos.lua: whatever happens around them, all is answered,
-- and rightly.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local http = require "casting.http"
local net = require "casting.net"
local kit = require "kit"

local webtalk = {}

local LONG = 120 * (tonumber(os.getenv "CASTING_TIME_FACTOR") or 1)
local MOST = 200000
local LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
local long = LETTERS:rep(math.floor(MOST / #LETTERS) + 2)

-- The text of n bytes with number k.
local function text_of(n, k) return long:sub(k % 36 + 1, k % 36 + n) end
webtalk.text_of = text_of

local PACKED = "\31\139\8\0\0\0\0\0\2\3\237\200\177\9\0\33\16\0\176Un\128" ..
  "\199\157\14\20\181\208\230\221\31\231\16\1462g\180\248s\181\47r\215\200" ..
  "\158s\1518RJ" .. ("\41\165\148RJ"):rep(19) .. "\41\165\148R\190\153\23" ..
  "\220\167\23J\16\164\0\0"
local UNPACKED = ("the same, and again. "):rep(2000)

-- -- the server ---------------------------------------------------------------

local handlers = {}

-- A text, in one of the ways that a body has to go out.
function handlers.text(req, res, n, k)
  local text = text_of(n, k)
  local way = k % 4
  res.headers["X-Number"] = k
  if way == 0 then return res:finish(text) end
  if way == 1 then res.headers["Content-Length"] = n end
  if way == 2 then res:flush() end
  for i = 1, n, 5000 do
    if not res:write(text:sub(i, i + 4999)) then return end
    if way == 3 then res:flush() end
  end
end

-- What has come, at once or piece by piece.
function handlers.echo(req, res, _, k)
  if k % 2 == 0 then
    local body, why = req:read "a"
    if not body then
      res.status = 400
      body = why
    end
    return res:finish(body)
  end
  while true do
    local piece, why = req:read()
    if not piece then
      if why ~= "closed" then error(why, 0) end
      return
    end
    if not res:write(piece) then return end
  end
end

function handlers.skip(_, res) res:write "skipped" end

function handlers.form(req, res)
  local form, why = req:form()
  if not form then error(why, 0) end
  for _, entry in ipairs(form) do
    res:write(entry.name .. "=" .. entry.value .. ";")
  end
end

function handlers.packed(_, res)
  res.headers["Content-Encoding"] = "gzip"
  res:finish(PACKED)
end

function handlers.events(_, res, n)
  local events = res:events()
  for i = 1, n do
    if not events or not events:send {id = tostring(i), data = "x"} then
      return
    end
  end
end

function handlers.slow(_, res, n)
  casting.sleep(n / 10000)
  res:write "slow"
end

function handlers.raise() error("as was asked for", 0) end

function handlers.ws(req)
  local ws = req:websocket {compress = true}
  if not ws then return end
  while true do
    local message, kind = ws:receive()
    if not message or not ws:send(message, kind) then return end
  end
end

-- Serves until the listener is closed; `root` is a directory.
function webtalk.serve(listener, root, options)
  local files = http.files(root)
  return http.serve(listener, function(req, res)
    local what, n, k = req.path:match "^/(%a+)/?(%d*)/?(%d*)$"
    if what == "file" then return files(req, res) end
    local handler = handlers[what]
    if not handler then
      res.status = 404
      return
    end
    return handler(req, res, tonumber(n) or 0, tonumber(k) or 0)
  end, options)
end

-- -- the clients --------------------------------------------------------------

local asks = {}

local function expect(ok, message, ...)
  if not ok then error(message:format(...), 0) end
end

-- An answer that is as it must be.
local function right(answer, why, status, body)
  expect(answer, "no answer: %s", tostring(why))
  expect(answer.status == status, "status %d", answer.status)
  expect(answer.body == body, "%d bytes of a body, not %d", #answer.body, #body)
  return answer
end

local function size_of(random)
  return random(4) == 1 and random(MOST) or random(2000)
end

function asks.text(o)
  local n, k = size_of(o.random), o.random(1000)
  local answer, why =
    o.client:request(("%s/text/%d/%d"):format(o.base, n, k))
  right(answer, why, 200, text_of(n, k))
  expect(answer.headers["x-number"] == tostring(k), "another answer")
end

function asks.echo(o)
  local n, k = size_of(o.random), o.random(1000)
  local text, body = text_of(n, k), nil
  if k % 3 == 0 then
    local at = 1
    body = function()
      if at > n then return nil end
      local piece = text:sub(at, at + 3000)
      at = at + #piece
      if k % 5 == 0 then casting.yield() end
      return piece
    end
  end
  local answer, why = o.client:request(("%s/echo/0/%d"):format(o.base,
    o.random(1000)), {body = body or text})
  right(answer, why, 200, text)
end

function asks.skip(o)
  local answer, why = o.client:request(o.base .. "/skip",
    {body = text_of(size_of(o.random), 1)})
  right(answer, why, 200, "skipped")
end

function asks.form(o)
  local k = o.random(1000)
  local answer, why = o.client:request(o.base .. "/form",
    {form = {a = tostring(k), b = {"1 2", "&="}}})
  right(answer, why, 200, ("a=%d;b=1 2;b=&=;"):format(k))
end

function asks.packed(o)
  local answer, why = o.client:request(o.base .. "/packed")
  expect(right(answer, why, 200, UNPACKED).decoded == "gzip", "not decoded")
end

function asks.events(o)
  local n, all = o.random(20), {}
  for i = 1, n do all[i] = ("id: %d\ndata: x\n\n"):format(i) end
  local answer, why = o.client:request(o.base .. "/events/" .. n)
  right(answer, why, 200, table.concat(all))
end

function asks.file(o)
  local answer, why = o.client:request(o.base .. "/file")
  right(answer, why, 200, text_of(50000, 7))
  answer, why = o.client:request(o.base .. "/file",
    {headers = {Range = "bytes=100-199"}})
  right(answer, why, 206, text_of(50000, 7):sub(101, 200))
end

function asks.raise(o)
  local answer, why = o.client:request(o.base .. "/raise")
  right(answer, why, 500, "internal server error\n")
end

function asks.head(o)
  local n = o.random(MOST)
  local answer, why = o.client:request(("%s/text/%d/4"):format(o.base, n),
    {method = "HEAD"})
  right(answer, why, 200, "")
  expect(answer.headers["content-length"] == tostring(n), "another length")
end

-- A body that is read as it comes, or is given up.
function asks.stream(o)
  local n, k = size_of(o.random), o.random(1000)
  local answer, why = o.client:request(("%s/text/%d/%d"):format(o.base, n, k),
    {stream = true})
  expect(answer, "no answer: %s", tostring(why))
  local text, at = text_of(n, k), 1
  while true do
    local piece
    if o.random(20) == 1 then return answer:close() end
    piece, why = answer:read(o.random(2) == 1 and o.random(20000) or nil)
    if not piece then break end
    expect(text:sub(at, at + #piece - 1) == piece, "wrong bytes at %d", at)
    at = at + #piece
  end
  expect(why == "closed" and at == n + 1, "%s at %d of %d", why, at, n)
end

-- An answer that nobody waits for any more: what comes next is none of it.
function asks.late(o)
  local answer, why = o.client:request(o.base .. "/slow/100",
    {timeout = 0.002})
  if not answer then return expect(why == "timeout", "no answer: %s", why) end
  right(answer, why, 200, "slow")
end

function asks.cancelled(o)
  local t = casting.spawn(o.client.request, o.client, o.base .. "/slow/50")
  casting.sleep(o.random(60) / 10000)
  t:cancel()
  t:join()
end

-- Requests one behind the other, and answers that are read when it suits.
function asks.pipeline(o)
  local stream = assert(net.connect(o.address, o.port))
  local all, wanted, n = {}, {}, o.random(20)
  for i = 1, n do
    local size, k = o.random(3000), o.random(250) * 4
    all[i] = ("GET /text/%d/%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(size, k)
    wanted[i] = text_of(size, k)
  end
  local text = table.concat(all)
  if o.random(2) == 1 then
    local at = o.random(#text)
    stream:write(text:sub(1, at))
    casting.sleep(0.001)
    text = text:sub(at + 1)
  end
  stream:write(text)
  for i = 1, n do
    if o.random(10) == 1 then casting.sleep(0.002) end
    local head, why = stream:read_until("\r\n\r\n", nil, LONG)
    expect(head, "no answer in a row: %s", tostring(why))
    local size = tonumber(head:match "\r\nContent%-Length: (%d+)")
    expect(size == #wanted[i] and stream:read(size, LONG) == wanted[i],
      "another answer in a row")
  end
  stream:shutdown()
  local rest = stream:read("a", LONG)
  expect(rest == "", "more answers than requests")
  stream:close()
end

function asks.websocket(o)
  local random = o.random
  local ws, why = http.websocket(("ws://%s:%d/ws"):format(o.address, o.port),
    {compress = random(2) == 1, timeout = LONG})
  expect(ws, "no websocket: %s", tostring(why))
  local n, sent = random(20), {}
  local sender = casting.spawn(function()
    for i = 1, n do
      sent[i] = {text_of(size_of(random), random(1000)),
        random(2) == 1 and "text" or "binary"}
      if not ws:send(sent[i][1], sent[i][2]) then return false end
    end
    return true
  end)
  for i = 1, n do
    if random(10) == 1 then casting.sleep(0.001) end
    local message, kind
    if random(5) == 1 then
      repeat -- a wait that ends early takes nothing
        message, kind = ws:receive(0.001)
      until message or kind ~= "timeout"
    else
      message, kind = ws:receive(LONG)
    end
    expect(message, "no message: %s", tostring(kind))
    expect(message == sent[i][1] and kind == sent[i][2], "another message")
  end
  expect(sender:await(LONG), "a message was not sent")
  expect(ws:close(4000, "enough"), "the other side has closed")
  local message, closed, code, reason = ws:receive(LONG)
  expect(message == nil and closed == "closed" and code == 4000 and
    reason == "enough", "not closed, but %s", tostring(closed))
end

local names = {}
for name in pairs(asks) do names[#names + 1] = name end
table.sort(names)

-- Asks until `stop` is closed; returns how often. What is wrong is raised.
function webtalk.talk(address, port, seed, stop)
  local random = kit.generator(seed)
  local o = {address = address, port = port, random = random,
    base = ("http://%s:%d"):format(address, port),
    client = http.client {timeout = LONG, pool = random(8) - 1,
      per_host = random(4)}}
  local n = 0
  while not stop:closed() do
    n = n + 1
    local name = names[random(#names)]
    local ok, e = pcall(asks[name], o)
    if not ok then error(name .. ": " .. tostring(e), 0) end
  end
  collectgarbage() -- what was streamed and dropped
  local stats = o.client:stats()
  expect(stats.busy == 0 and stats.waiting == 0,
    "%d connections are busy, and %d wait", stats.busy, stats.waiting)
  o.client:close()
  stats = o.client:stats()
  expect(stats.idle == 0, "%d connections are idle", stats.idle)
  return n
end

return webtalk
