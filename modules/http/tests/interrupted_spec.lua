-- interrupted_spec.lua - messages that are cut off: by cancellations, timeouts,
-- errors, limits; and what is left of their connections.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local kit = require "rfckit"
local core = require "casting.http.core"
local peers = require "peers"
local client, keep, LONG = peers.client, peers.keep, helper.LONG
local BIG, NARROW = 20000000, 100000 -- bytes of a body, and of room on the way

after_each(function()
  peers.close()
  casting.on_error(nil)
end)

local function get(path)
  return "GET " .. path .. " HTTP/1.1\r\nHost: x\r\n\r\n"
end

-- All that a server of ours answers to these bytes. The client says that it
-- sends no more, so that nobody waits for that.
local function answers(text, handler, options)
  local stream = kit.connect(peers.serve(handler, options))
  stream:write(text)
  stream:shutdown()
  local all, _, rest = stream:read("a", LONG)
  return all or rest or ""
end

-- A call that meets the end of its time at once.
local function too_late(f, ...) return casting.with_timeout(0, f, ...) end

describe("a response", function()
  it("ends the connection if nobody knows what has gone out", function()
    for _, length in ipairs {false, 8} do
      local ended = false
      local text = answers(get "/1" .. get "/2", function(req, res)
        if req.path == "/2" then return res:write "not this one's" end
        if length then res.headers["Content-Length"] = length end
        res:flush()
        assert.same({nil, "timeout"}, {too_late(res.write, res, "abcd")})
        assert.same({nil, "interrupted"}, {res:write "efgh"})
        assert.same({nil, "interrupted"}, {res:finish()})
        ended = true
      end)
      assert.is_true(ended)
      assert.is_nil(text:find("not this", 1, true))
    end
  end)

  -- As a time limit may raise it, at any instruction.
  it("has no other one behind it when an error follows at once", function()
    kit.hide_failures()
    local send, more = core.answer, {false, {"finish", "hello"}, {"finish"},
      {"write", ""}, {"write", "x"}}
    function core.answer(...)
      send(...)
      error("here", 0)
    end
    local texts, e = {}, {}
    for i = 1, #more do
      texts[i] = answers(get "/1" .. get "/2", function(_, res)
        if not more[i] then return res:finish "hello" end
        e[#e + 1] = select(2, pcall(res.finish, res, "hello"))
        e[#e + 1] = select(2, pcall(res[more[i][1]], res, more[i][2]))
      end)
    end
    core.answer = send
    for i = 1, #more do
      assert.is_nil(texts[i]:find("HTTP/1.1 500", 1, true))
      assert.is_nil(texts[i]:find("helloHTTP", 1, true))
    end
    assert.same({"here", "the response was interrupted"}, {e[1], e[2]})
    for i = 3, #e do assert.equal(e[i - 2], e[i]) end
  end)

  it("sends no body without its head", function()
    local ended = false
    local text = answers(get "/", function(_, res)
      local data = ("y"):rep(10000)
      assert.same({nil, "timeout"}, {too_late(res.write, res, data)})
      assert.same({nil, "interrupted"}, {res:write(data)})
      ended = true
    end)
    assert.is_true(ended)
    assert.is_nil(text:find("y", 1, true))
  end)

  it("has one end", function()
    local base = peers.serve(function(req, res)
      if req.path == "/2" then return res:write "second" end
      res:flush()
      casting.spawn(res.finish, res, ("x"):rep(BIG))
      casting.yield()
    end)
    local c = client()
    assert.equal(BIG, #c:request(base .. "/1", {max_body = BIG}).body)
    assert.equal("second", c:request(base .. "/2").body)
    assert.equal(1, c:stats().made)
  end)

  it("to the end of the connection is not taken for all of it", function()
    kit.hide_failures()
    for _, options in ipairs {{}, {log = function() error "no log" end}} do
      local written = casting.channel()
      local base = peers.serve(function(req, res)
        req.stream:option("sendbuffer", NARROW)
        res:flush()
        res:write "a part"
        if options.log then written:close() error "no more" end
        casting.with_timeout(0.05, res.write, res, ("x"):rep(BIG))
        written:close()
      end, options)
      local stream = kit.connect(base)
      stream:option("recvbuffer", NARROW)
      stream:write "GET / HTTP/1.0\r\n\r\n"
      written:receive(LONG)
      local all, why = stream:read("a", LONG)
      assert.is_nil(all)
      assert.is_truthy(why)
    end
  end)

  it("tells its length in digits, once", function()
    for _, length in ipairs {10 / 2, "5.0", "0x5", 5} do
      local text = kit.answers_to("", function(_, res)
        res.headers["Content-Length"] = length
        res:write "12345"
      end)
      assert.equal("5", kit.field(text, "Content-Length"))
    end
    kit.hide_failures()
    assert.equal("500", kit.statuses(kit.answers_to("", function(_, res)
      res.headers["Content-Length"], res.headers["content-length"] = 5, 5
      res:write "12345"
    end)))
  end)

  it("stays in its session, with its request", function()
    local ended = false
    kit.answers_to("", function(req, res)
      local session = keep(casting.session())
      for _, v in ipairs {req, res} do
        assert.error_matches(function()
          session:spawn(function() end, v)
        end, "belongs to one session")
      end
      ended = true
    end)
    assert.is_true(ended)
  end)
end)

describe("the body of a request", function()
  local chunk = "1\r\nx\r\n"

  it("is bounded, however it is read", function()
    local ways = {
      function(req) return req:read() end,
      function(req) return req:read(100) end,
      function(req) return req:read "a" end,
    }
    for _, read in ipairs(ways) do
      local got = 0
      local why
      answers(kit.of_post("Transfer-Encoding: chunked\r\n",
        chunk:rep(2000)), function(req)
        local data, rest
        repeat
          data, why, rest = read(req)
          got = got + #(data or rest or "")
        until not data
      end, {body = 1000})
      assert.equal("too long", why)
      assert.is_true(got <= 1000)
    end
  end)

  it("is read on after a timeout, wherever that was", function()
    local text = kit.of_post("Transfer-Encoding: chunked\r\nConnection: " ..
      "close\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n")
    local _, from = text:find("\r\n\r\n", 1, true)
    for cut = from, #text - 1 do
      local go = casting.channel()
      local base = peers.serve(function(req, res)
        local list = {}
        repeat
          local data, why = req:read()
          if data then list[#list + 1] = data end
          if why == "timeout" then go:close() end
        until why == "closed"
        res:write(table.concat(list))
      end, {timeout = 0.02})
      local stream = kit.connect(base)
      stream:write(text:sub(1, cut))
      go:receive(LONG)
      stream:write(text:sub(cut + 1))
      assert.equal("abcde", stream:read("a", LONG):match "\r\n\r\n(.*)$")
    end
  end)

  it("loses nothing by a read that was cancelled", function()
    for _, lines in ipairs {"Content-Length: 10\r\n",
      "Transfer-Encoding: chunked\r\n"} do
      for _, what in ipairs {"a", 8} do
        local chunks = lines:find "chunked"
        local cancelled = casting.channel()
        local base = peers.serve(function(req, res)
          assert.is_nil((casting.with_timeout(0.05, req.read, req, what)))
          cancelled:close()
          res:write {req:read(3), " ", req:read(), " ", req:read "a"}
        end)
        local stream = kit.connect(base)
        stream:write(kit.of_post(lines .. "Connection: close\r\n",
          chunks and "5\r\n01234\r\n" or "01234"))
        cancelled:receive(LONG)
        stream:write(chunks and "5\r\n56789\r\n0\r\n\r\n" or "56789")
        assert.equal("012 34 56789",
          stream:read("a", LONG):match "\r\n\r\n(.*)$")
      end
    end
  end)

  it("is not there when its handler has returned", function()
    local request
    answers(kit.of_post("Content-Length: 1\r\nConnection: close\r\n", "x"),
      function(req) request = req end)
    for _, name in ipairs {"read", "closed"} do
      assert.error_matches(function() request[name](request) end,
        "'" .. name .. "' of a request that is over")
    end
  end)

  it("must be read before the client's end is waited for", function()
    local ended = false
    answers(kit.of_post("Content-Length: 1\r\nConnection: close\r\n", "x"),
      function(req)
        assert.error_matches(function() req:closed() end, "body was not read")
        req:read "a"
        assert.is_truthy(req:closed())
        ended = true
      end)
    assert.is_true(ended)
  end)
end)

describe("the body of a response", function()
  it("is read on after a timeout, and loses nothing by a cancelled read",
    function()
      local go = casting.channel()
      local base = peers.listen(function(stream)
        peers.hear(stream)
        stream:write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        stream:write "3\r\nabc\r\n"
        go:receive(LONG)
        stream:write "3\r\ndef\r\n0\r\n\r\n"
      end)
      local c = client()
      local r = c:request(base, {stream = true, timeout = 0.05})
      assert.is_nil((casting.with_timeout(0.02, r.read, r, "a")))
      assert.equal("ab", r:read(2))
      assert.same({nil, "timeout", "c"}, {r:read "a"})
      assert.same({nil, "timeout"}, {r:read()})
      go:close()
      local list = {}
      for data in function() return (r:read()) end do list[#list + 1] = data end
      assert.equal("def", table.concat(list))
    end)
end)

describe("a connection of a client", function()
  it("is free for those who wait when its response was collected", function()
    local base = peers.listen(function(stream)
      while peers.hear(stream) do
        stream:write "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
      end
    end)
    local c = client {per_host = 1, timeout = LONG}
    local function drop() c:request(base, {stream = true}) end
    drop()
    local tasks = {}
    for i = 1, 3 do tasks[i] = casting.spawn(c.request, c, base) end
    casting.yield()
    assert.equal(3, c:stats().waiting)
    collectgarbage()
    collectgarbage()
    for i = 1, 3 do assert.equal("hello", tasks[i]:await(LONG).body) end
  end)
end)

describe("the log", function()
  it("tells what has gone out, also of what is no request", function()
    kit.hide_failures()
    local told = casting.channel(math.huge)
    local function ask(text, handler)
      local all = answers(text, handler or function(_, res)
        res:write "x"
      end, {body = 10, log = function(request, status, sent)
        told:send(request.method, request.path, status, sent)
      end})
      local method, path, status, sent = told:receive(LONG)
      assert.equal(tostring(status), kit.statuses(all))
      return ("%s %s %d %d"):format(method, path, status, sent)
    end
    local head = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert.equal("GET /a 200 1", ask(head))
    assert.equal("GET /a 500 22", ask(head, function() error "no" end))
    assert.equal("GET /a 500 22", ask(head, function(_, res)
      res.status = 1000
    end))
    assert.equal("GET /a 200 1", ask(head, function(_, res)
      res:write "x"
      res:flush()
      res.status = 404
    end))
    assert.equal("POST / 413 21",
      ask(kit.of_post("Content-Length: 11\r\n", "")))
    assert.equal("- - 400 28", ask "GET /\r\n\r\n")
  end)

  it("does not hide the failure of a handler", function()
    local failures = casting.channel(math.huge)
    casting.on_error(failures)
    local text = answers(get "/", function() error "my own" end,
      {log = function() error "another" end})
    assert.equal("500", kit.statuses(text))
    collectgarbage()
    local found
    repeat
      found = failures:receive(LONG).error:find("my own", 1, true)
    until found
  end)
end)
