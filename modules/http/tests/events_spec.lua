-- events_spec.lua - server-sent events.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local http = require "casting.http"
local net = require "casting.net"
local LONG = helper.LONG
local unpack = table.unpack or unpack -- luacheck: ignore

local listener, stream

-- A connection to a server with that handler, behind the head of its answer.
local function ask(handler, options, request)
  listener = assert(net.listen("127.0.0.1", 0))
  casting.spawn(http.serve, listener, handler, options)
  stream = assert(net.connect("127.0.0.1", select(2, listener:name())))
  stream:write(request or "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
  return assert(stream:read_until("\r\n\r\n", 10000, LONG))
end

-- The data of the next chunk.
local function chunk()
  local size = tonumber(assert(stream:read("l", LONG)), 16)
  local data = size > 0 and assert(stream:read(size, LONG)) or ""
  assert.equal("", stream:read("l", LONG))
  return data
end

after_each(function()
  if stream then stream:close() end
  if listener then listener:close() end
  stream, listener = nil, nil
end)

describe("server-sent events", function()
  it("are lines of text", function()
    local head = ask(function(_, res)
      local events = assert(res:events())
      assert(events:send "hello")
      events:send "one\ntwo\r\nthree\rfour"
      events:send {event = "tick", id = "7", data = "", retry = 1.5}
      events:send {retry = 2}
    end)
    assert.matches("Content%-Type: text/event%-stream\r\n", head)
    assert.matches("Cache%-Control: no%-store\r\n", head)
    assert.equal("data: hello\n\n", chunk())
    assert.equal("data: one\ndata: two\ndata: three\ndata: four\n\n", chunk())
    assert.equal("event: tick\nid: 7\nretry: 1500\ndata: \n\n", chunk())
    assert.equal("retry: 2000\n\n", chunk())
    assert.equal("", chunk())
  end)

  it("have the program's fields, however spelled, but one type", function()
    local head = ask(function(_, res)
      res.headers["content-type"] = "text/plain"
      res.headers["cache-control"] = "no-cache"
      res.headers["X-ACCEL-buffering"] = "yes"
      assert(res:events())
    end)
    local got = {}
    for name, value in head:gmatch "\r\n([^:]*): ([^\r]*)" do
      local lower = name:lower()
      got[lower] = (got[lower] and got[lower] .. ", " or "") .. value
    end
    assert.same({"text/event-stream", "no-cache", "yes"}, {got["content-type"],
      got["cache-control"], got["x-accel-buffering"]})
  end)

  it("are followed by comments when nothing comes", function()
    local go = casting.channel()
    ask(function(_, res)
      local events = res:events {ping = 0.01}
      go:receive()
      events:send "x"
    end)
    assert.equal(":\n\n", chunk())
    assert.equal(":\n\n", chunk())
    go:send(true)
    local data
    repeat data = chunk() until data ~= ":\n\n"
    assert.equal("data: x\n\n", data)
    assert.equal("", chunk())
  end)

  it("end with their client, and cancel the handler", function()
    local told = {}
    ask(function(_, res)
      assert(res:events())
      local _, e = pcall(casting.sleep, LONG)
      told[1] = tostring(e)
      error(e, 0)
    end)
    stream:close()
    helper.until_true(function() return told[1] end, "it is cancelled")
    assert.equal("cancelled: the client has gone", told[1])
  end)

  it("are logged when they were cancelled, by a function that waits", function()
    local told = casting.channel(1)
    ask(function(_, res)
      assert(res:events():send "x")
      casting.sleep(LONG)
    end, {log = function(_, ...)
      casting.sleep(0)
      told:send {...}
    end})
    stream:close()
    local status, sent = unpack(told:receive(LONG))
    assert.same({200, #"data: x\n\n"}, {status, sent})
  end)

  it("are refused before anything goes out", function()
    local e
    local head = ask(function(req, res)
      e = select(2, pcall(res.events, res))
      res:write(tostring(req:read "a"))
    end, nil, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    assert.matches("'events' of a request whose body was not read", e, 1, true)
    assert.matches("text/plain", head, 1, true)
    assert.equal("abc", stream:read(3, LONG))
  end)

  it("do not cancel the handler if it does not want that", function()
    local told = {}
    ask(function(_, res)
      local events = res:events {cancel = false}
      repeat
        local ok = events:send "x"
        casting.sleep(0.001)
      until not ok
      told[1] = events:send "y" == nil
    end)
    stream:close()
    helper.until_true(function() return told[1] ~= nil end, "it has ended")
    assert.is_true(told[1])
  end)

  it("have integers for ids", function()
    ask(function(_, res)
      local events = res:events()
      events:send {id = 12}
      events:send {id = 2 ^ 53}
    end)
    assert.equal("id: 12\n\n", chunk())
    assert.equal("id: 9007199254740992\n\n", chunk())
  end)

  it("refuse what is none", function()
    local e = {}
    ask(function(_, res)
      for i, o in ipairs {1, {x = 1}, {ping = 0}, {cancel = 1}} do
        e[i] = select(2, pcall(res.events, res, o))
      end
      local events = res:events()
      for _, t in ipairs {1, {x = 1}, {data = 1}, {event = "a\nb"},
        {id = "a\rb"}, {id = 1.5}, {id = 2 ^ 60}, {id = "\0"}, {retry = -1},
        {retry = 0 / 0}} do
        e[#e + 1] = select(2, pcall(events.send, events, t))
      end
      e[#e + 1] = select(2, pcall(res.events, res))
    end)
    assert.equal("", chunk())
    for i, text in ipairs {"table expected, got number", "unknown option 'x'",
      "ping must be a number of seconds above zero",
      "cancel must be a boolean", "string or table expected, got number",
      "unknown field 'x'", "data must be a string, got number",
      "event must be one line", "id must be one line",
      "id must be a string or an integer, got number",
      "id must be a string or an integer, got number", "id must be one line",
      "retry must be a number", "retry must be a number",
      "a response that has begun"} do
      assert.matches(text, e[i], 1, true)
    end
  end)
end)
