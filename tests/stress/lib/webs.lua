-- webs.lua - what a server and a client of casting.http do with each other, for
-- http_allocfail.lua: within one session, whose memory may fail at any place.
-- SPDX-License-Identifier: MIT
--
-- webs.NAME(place) returns when all is over; if it raises, webs.tidy ends what
-- there is. What is not as it must be raises an error that begins with
-- "violation: "; any other error, and any answer that says that it is none, may
-- come of memory that was missing.

local casting = require "casting"
local http = require "casting.http"
local net = require "casting.net"

local webs = {}

local LONG = 30 * (tonumber(os.getenv "CASTING_TIME_FACTOR") or 1)

local function check(ok, message, ...)
  if not ok then error("violation: " .. message:format(...), 0) end
end

-- Calls f(...) until it returns.
local function surely(f, ...)
  for _ = 1, 1000 do
    if pcall(f, ...) then return end
  end
  check(false, "it cannot be done")
end

-- Ends what it returned, or why not: that must be told in words.
local function told(v, why)
  if not v then
    check(type(why) == "string" and #why > 0, "no reason is told")
    error(why, 0)
  end
  return v
end

-- What ends a wait for somebody who had no memory to say a word.
local SHORT = LONG / 15

-- What a call of with_server has made.
local mine = {}

-- Ends what a call of webs.NAME has left, when there is memory again: without
-- any, not even the call of a function that cleans up need begin.
function webs.tidy()
  local left = mine
  mine = {}
  if left.client then left.client:close() end
  if left.listener then left.listener:close() end
  -- What was lost for want of memory is found when it is collected.
  collectgarbage()
  collectgarbage()
  if left.task then
    check(left.task:join(LONG) ~= nil, "the server did not end")
    collectgarbage()
  end
  check(not left.client or left.client:stats().busy == 0, "a place is taken")
end

-- Calls f(base, client) beside a server.
local function with_server(handler, f)
  mine = {listener = false, client = false, task = false}
  local listener = assert(net.listen("127.0.0.1", 0))
  mine.listener = listener
  local task = casting.spawn(function()
    local served, why = pcall(http.serve, listener, handler,
      {header = SHORT, timeout = SHORT})
    listener:close() -- nobody waits for it any more
    if not served then error(why, 0) end
  end)
  mine.task = task
  local client = http.client {timeout = SHORT}
  mine.client = client
  local _, port = listener:name()
  f("http://127.0.0.1:" .. port, client)
  client:close()
  listener:close()
  check(task:join(LONG) ~= nil, "the server did not end")
end

-- An answer whose body is what it must be; one with 500 is as good as none.
local function right(wanted, answer, why)
  told(answer, why)
  if answer.status == 500 then error("internal server error", 0) end
  check(answer.body == wanted, "wrong body: %q", answer.body:sub(1, 99))
  return answer
end

function webs.requests()
  with_server(function(req, res)
    local body = told(req:read "a")
    res.headers["X-Path"] = req.path
    res.status = 201
    res:finish(req.query.a .. req.headers["x-b"] .. body)
  end, function(base, client)
    for i = 1, 3 do
      local pieces = {"abc", ("d"):rep(5000)}
      local body, n = table.concat(pieces), 0
      if i == 2 then
        body = function()
          n = n + 1
          return pieces[n]
        end
      end
      local answer = right("12" .. table.concat(pieces), client:request(
        base .. "/p%20q?a=1", {body = body, headers = {["X-B"] = "2"}}))
      check(answer.headers["x-path"] == "/p q", "another path")
    end
  end)
end

function webs.streams()
  local piece = ("0123456789"):rep(700)
  with_server(function(_, res)
    for _ = 1, 5 do told(res:write(piece)) end
  end, function(base, client)
    local answer = told(client:request(base, {stream = true}))
    if answer.status == 500 then error("internal server error", 0) end
    local ok, all, why = pcall(answer.read, answer, "a")
    surely(answer.close, answer)
    if not ok then error(all, 0) end
    told(all, why)
    check(all == piece:rep(5), "%d wrong bytes", #all)
  end)
end

function webs.files(place)
  local content = told(require("casting.fs").read(place))
  local directory, name = place:match "^(.*)(/[^/]+)$"
  with_server(http.files(directory, {cache = 5}), function(base, client)
    for i = 1, 2 do
      right(content, client:request(base .. name))
      local answer = told(client:request(base .. name,
        {headers = {Range = "bytes=10-19"}}))
      check(answer.status == 500 or answer.status == 206 and
        answer.body == content:sub(11, 20), "another part, %d", i)
      answer = told(client:request(base .. "/none"))
      check(answer.status == 404 or answer.status == 500, "it is there")
    end
  end)
end

function webs.forms()
  local function part(name, value)
    return "--X\r\nContent-Disposition: form-data; name=" .. name ..
      "; filename=f\r\n\r\n" .. value .. "\r\n"
  end
  with_server(function(req, res)
    local words = {}
    if req.path == "/parts" then
      local one, why = req:part()
      while one do
        words[#words + 1] = one.name .. #told(one:read "a")
        one, why = req:part()
      end
      if why ~= "closed" then told(nil, why) end
    else
      for _, field in ipairs(told(req:form())) do
        words[#words + 1] = field.name .. #field.value
      end
    end
    res:write(table.concat(words, " "))
  end, function(base, client)
    local body = part("a", ("x"):rep(3000)) .. part("b", "") .. "--X--\r\n"
    local headers = {["Content-Type"] = "multipart/form-data; boundary=X"}
    right("a3000 b0", client:request(base .. "/parts",
      {body = body, headers = headers}))
    right("a3000 b0", client:request(base, {body = body, headers = headers}))
    right("a99 b1 b1", client:request(base,
      {form = {a = ("y"):rep(99), b = {1, 2}}}))
  end)
end

-- ("casting "):rep(4000), as gzip has it.
local PACKED = ("1f8b0800000000000203edc5b10d00200800b05778cd30101617f83f" ..
  "1e62bb34cf6cdf8ab46ddbb66ddbb66ddbb66ddbb66ddbb66ddbb66d" ..
  "dbb66ddbb66ddbb66ddbb66ddbb66ddbb66ddbb66ddbb66ddbb6fdfd" ..
  "0f7cfd0002007d0000"):gsub("%x%x", function(x)
  return string.char(tonumber(x, 16))
end)

function webs.gzip()
  with_server(function(_, res)
    res.headers["Content-Encoding"] = "gzip"
    res:write(PACKED)
  end, function(base, client)
    for _ = 1, 2 do
      right(("casting "):rep(4000), client:request(base))
    end
  end)
end

function webs.websockets()
  local text = ("a message, "):rep(300)
  with_server(function(req)
    local ws = req:websocket {compress = true, closing = SHORT, ping = SHORT}
    if not ws then return end
    for message, kind in ws do
      if not ws:send(message, kind) then break end
    end
  end, function(base)
    local ws = told(http.websocket("ws" .. base:sub(5), {compress = true,
      timeout = SHORT, closing = SHORT}))
    local ok, e = pcall(function()
      for i = 1, 3 do
        local kind = i == 2 and "binary" or "text"
        told(ws:send(text .. i, kind))
        local back, got = told(ws:receive(LONG))
        check(back == text .. i and got == nil or got == kind, "wrong message")
      end
      local messages = ws:messages()
      told(ws:send "last")
      local back, why = messages:receive(LONG)
      check(back == "last" or back == nil and why ~= "timeout",
        "wrong message: %s", tostring(why))
    end)
    surely(ws.close, ws)
    if not ok then error(e, 0) end
  end)
end

function webs.events()
  with_server(function(_, res)
    local events = told(res:events())
    for i = 1, 3 do told(events:send {event = "e", data = "line\n" .. i}) end
  end, function(base, client)
    local wanted = {}
    for i = 1, 3 do
      wanted[i] = ("event: e\ndata: line\ndata: %d\n\n"):format(i)
    end
    local answer = told(client:request(base))
    check(answer.status == 500 or answer.body == table.concat(wanted),
      "wrong events: %q", answer.body)
  end)
end

function webs.cookies()
  with_server(function(req, res)
    if req.path == "/" then
      res.headers["Set-Cookie"] = {"a=1", "b=2; Path=/x"}
      res.headers.Location = "/x"
      res.status = 302
    else
      res:write(req.headers.cookie or "")
    end
  end, function(base, client)
    local answer = told(client:request(base .. "/", {jar = http.jar()}))
    check(answer.status == 500 or answer.body == "b=2; a=1" or
      answer.body == "a=1; b=2", "wrong cookies: %q", answer.body)
  end)
end

return webs
