-- pool_spec.lua - the connections of a client: kept, shared, given up.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local http = require "casting.http"
local peers = require "peers"
local answer, client, script = peers.answer, peers.client, peers.script
local pack, LONG = helper.pack, helper.LONG

after_each(peers.close)

-- The body of each response, or why there is none.
local function bodies(c, base, n, options)
  local list = {}
  for i = 1, n do
    local r, why = c:request(base, options)
    list[i] = r and r.body or why
  end
  return table.concat(list, " ")
end

-- The connections that the requests came on.
local function connections(seen)
  local list = {}
  for i, request in ipairs(seen) do list[i] = request.connection end
  return table.concat(list, " ")
end

describe("a connection", function()
  it("is used again", function()
    local base, seen = script {answer "a", answer "b", answer "c"}
    assert.equal("a b c", bodies(client(), base, 3))
    assert.equal("1 1 1", connections(seen))
  end)

  it("is that of the session for http.request", function()
    local base, seen = script {answer "a", answer "b", "hold"}
    assert.equal("a", http.request(base).body)
    assert.equal("b", http.request {url = base}.body)
    assert.equal("1 1", connections(seen))
  end)

  it("is not used again if one side says so", function()
    for _, first in ipairs {answer("a", "Connection: close\r\n"),
      (answer "a"):gsub("1.1", "1.0"), "HTTP/1.1 200 OK\r\n\r\na"} do
      local base, seen = script({first}, {answer "b"})
      assert.equal("a b", bodies(client(), base, 2))
      assert.equal("1 2", connections(seen))
    end
    local base, seen = script {answer "a", answer "b"}
    assert.equal("a a", bodies(client(), base, 2,
      {headers = {Connection = "Close"}}))
    assert.equal("1 2", connections(seen))
    base, seen = script {((answer("a", "Connection: keep-alive\r\n"))
      :gsub("1.1", "1.0")), answer "b"}
    assert.equal("a b", bodies(client(), base, 2))
    assert.equal("1 1", connections(seen))
  end)

  it("with bytes that nobody has asked for is not used again", function()
    for _, first in ipairs {answer "a" .. answer "not mine",
      answer "a" .. "\r\n", "HTTP/1.1 204 X\r\n\r\n" .. "a",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ..
        "1\r\na\r\n0\r\n\r\n" .. answer "not mine"} do
      local base, seen = script({first, "hold"}, {answer "b"})
      assert.matches("^a? b$", bodies(client(), base, 2))
      assert.equal("1 2", connections(seen))
    end
  end)

  it("on which such bytes come later is not used again", function()
    local told = casting.channel()
    local base = peers.listen(function(stream, n)
      peers.hear(stream)
      stream:write(answer("a" .. n))
      if n == 1 then
        told:receive(LONG)
        stream:write(answer "not mine")
        told:send "done"
      end
      stream:read(1, LONG)
    end)
    local c = client()
    assert.equal("a1", c:request(base).body)
    told:send "go on"
    told:receive(LONG)
    assert.equal("a2", c:request(base, {method = "POST"}).body)
    assert.equal(2, c:stats().made)
  end)

  it("that the server has closed is not used again", function()
    local closed = casting.channel()
    local base, _, listener = peers.listen(function(stream, n)
      peers.hear(stream)
      stream:write(answer("a" .. n))
      stream:close()
      if n == 1 then closed:close() end
    end)
    local c = client()
    assert.equal("a1", c:request(base).body)
    closed:receive(LONG)
    -- Of a POST nothing may be tried twice; it is asked before.
    assert.equal("a2", c:request(base, {body = "x"}).body)
    assert.is_truthy(listener)
  end)

  it("is that which was used last", function()
    local base, seen = script {answer "a", answer "b"}
    local c = client()
    local first = c:request(base, {stream = true})
    local second = c:request(base, {stream = true})
    assert.equal("a", second:read "a")
    assert.equal("a", first:read "a")
    assert.equal(2, c:stats().idle)
    assert.equal("b", c:request(base).body)
    assert.equal("1 2 1", connections(seen))
    assert.equal("b", c:request(base).body)
    assert.equal("1 2 1 2", connections(seen))
  end)

  it("of another host, scheme or port is another one", function()
    local base, seen = script {answer "a", answer "b"}
    local c = client()
    assert.equal("a b", bodies(c, base, 2))
    assert.equal("a", c:request((base:gsub("127.0.0.1", "localhost"))).body)
    assert.equal("1 1 2", connections(seen))
  end)
end)

describe("a request on a kept connection", function()
  -- A server that closes the nth connections when it hears their mth request,
  -- having said `text`.
  local function breaks(text)
    local heard = 0
    local base = peers.listen(function(stream, n)
      local i = 0
      while peers.hear(stream) do
        i, heard = i + 1, heard + 1
        if i == 2 and n == 1 or i == 1 and n == 2 and text == "twice" then
          if text ~= "twice" then stream:write(text) end
          return
        end
        stream:write(answer("a" .. n))
      end
    end)
    return base, function() return heard end
  end

  it("that was closed just then is made once more", function()
    for _, method in ipairs {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} do
      local base, heard = breaks ""
      local c = client()
      assert.equal("a1", c:request(base).body)
      local r = assert(c:request(base, {method = method}))
      assert.equal(200, r.status)
      assert.equal(3, heard())
      assert.equal(2, c:stats().made)
    end
  end)

  it("is not made twice if that may do harm", function()
    for _, options in ipairs {{method = "POST"}, {method = "PATCH"},
      {method = "PUT", body = function() return nil end}, {form = {}}} do
      local base, heard = breaks ""
      local c = client()
      assert.equal("a1", c:request(base).body)
      assert.same({nil, "closed", n = 2}, pack(c:request(base, options)))
      assert.equal(2, heard())
      assert.equal(0, c:stats().idle + c:stats().busy)
    end
  end)

  it("is not made again when a byte has come", function()
    local base, heard = breaks "H"
    local c = client()
    assert.equal("a1", c:request(base).body)
    assert.same({nil, "truncated", n = 2}, pack(c:request(base)))
    assert.equal(2, heard())
  end)

  it("is made once more, and not again", function()
    local base, heard = breaks "twice"
    local c = client()
    assert.equal("a1", c:request(base).body)
    assert.same({nil, "closed", n = 2}, pack(c:request(base)))
    assert.equal(3, heard())
  end)

  it("is not made again on a new one", function()
    local heard = 0
    local base = peers.listen(function(stream)
      peers.hear(stream)
      heard = heard + 1
    end)
    assert.same({nil, "closed", n = 2}, pack(client():request(base)))
    assert.equal(1, heard)
  end)
end)

describe("idle connections", function()
  -- A server that tells when a connection of it has ended.
  local function telling()
    local ended = casting.channel(100)
    local base = peers.listen(function(stream, n)
      while peers.hear(stream) do stream:write(answer("a" .. n)) end
      ended:send(n)
    end)
    return base, ended
  end

  -- So many at once.
  local function fill(c, base, n)
    local list = {}
    for i = 1, n do list[i] = c:request(base, {stream = true}) end
    for i = 1, n do list[i]:read "a" end
  end

  it("are no more than the client keeps: the oldest go", function()
    local base, ended = telling()
    local c = client {pool = 2}
    fill(c, base, 4)
    assert.equal(1, ended:receive(LONG))
    assert.equal(2, ended:receive(LONG))
    assert.same({idle = 2, busy = 0, waiting = 0, made = 4}, c:stats())
    c = client {pool = 0}
    fill(c, base, 1)
    assert.equal(5, ended:receive(LONG))
  end)

  it("are closed after their time", function()
    local base, ended = telling()
    local c = client {idle = 0.01}
    fill(c, base, 3)
    for i = 1, 3 do assert.equal(i, ended:receive(LONG)) end
    assert.equal(0, c:stats().idle)
    fill(c, base, 1)
    assert.equal(4, ended:receive(LONG))
  end)

  it("are closed with the client", function()
    local base, ended = telling()
    local c = http.client()
    fill(c, base, 2)
    local streamed = c:request(base, {stream = true})
    assert.is_true(c:close())
    assert.is_false(c:close())
    assert.equal(1, ended:receive(LONG))
    assert.equal(0, c:stats().idle)
    assert.error_matches(function() c:request(base) end,
      "the client is closed")
    -- What is under way goes on.
    assert.equal("a2", streamed:read "a")
    assert.is_nil(ended:receive(0))
  end)

  it("are closed by another call when one has failed", function()
    local base, ended = telling()
    local c = http.client()
    fill(c, base, 3)
    local one, other = casting.net.pair()
    local methods = getmetatable(one).__index
    one:close()
    other:close()
    local close, n = methods.close, 0
    function methods.close(...)
      n = n + 1
      if n == 2 then error("not enough memory", 0) end
      return close(...)
    end
    local ok, e = pcall(c.close, c)
    local again = c:close()
    methods.close = close
    assert.same({false, "not enough memory", false}, {ok, e, again})
    for i = 1, 3 do assert.equal(i, ended:receive(LONG)) end
    assert.equal(0, c:stats().idle)
  end)

  it("go with a client that nobody has any more", function()
    local base, ended = telling()
    do
      local c = http.client {idle = 0.01}
      c:request(base)
    end
    assert.equal(1, ended:receive(LONG))
  end)
end)

describe("requests to one host", function()
  -- A server whose answers wait until they are let go.
  local function waiting()
    local gate = casting.channel()
    local asked = casting.channel(100)
    local base = peers.listen(function(stream)
      while true do
        local head = peers.hear(stream)
        if not head then return end
        asked:send(head:match "/(%S*)")
        gate:receive(LONG)
        stream:write(answer "a")
      end
    end)
    return base .. "/", gate, asked
  end

  it("take turns, in order", function()
    local base, gate, asked = waiting()
    local c = client {per_host = 1}
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = casting.spawn(function() return c:request(base .. i) end)
    end
    for i = 1, 4 do
      assert.equal(tostring(i), asked:receive(LONG))
      assert.equal(4 - i, c:stats().waiting)
      gate:send(true)
      assert.equal("a", tasks[i]:await(LONG).body)
    end
    assert.equal(1, c:stats().made)
  end)

  it("get the place of one that has failed, or was cancelled", function()
    local base, gate, asked = waiting()
    local c = client {per_host = 1}
    local first = casting.spawn(function() return c:request(base .. 1) end)
    assert.equal("1", asked:receive(LONG))
    local second = casting.spawn(function()
      return c:request(base .. 2)
    end)
    local third = casting.spawn(function() return c:request(base .. 3) end)
    casting.yield()
    second:cancel()
    second:join(LONG)
    first:cancel()
    first:join(LONG)
    assert.equal("3", asked:receive(LONG))
    gate:send(true)
    gate:send(true)
    assert.equal("a", third:await(LONG).body)
    assert.same({idle = 1, busy = 0, waiting = 0, made = 2}, c:stats())
  end)

  it("that wait too long get nothing", function()
    local base, gate, asked = waiting()
    local c = client {per_host = 1}
    local first = casting.spawn(function() return c:request(base .. 1) end)
    assert.equal("1", asked:receive(LONG))
    assert.same({nil, "timeout", n = 2},
      pack(c:request(base .. 2, {timeout = 0.01})))
    assert.same({idle = 0, busy = 1, waiting = 0, made = 1}, c:stats())
    local third = casting.spawn(function()
      return pack(c:request(base .. 3))
    end)
    casting.yield()
    c:close()
    assert.same({nil, "closed", n = 2}, third:await(LONG))
    gate:send(true)
    assert.equal("a", first:await(LONG).body)
    assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
  end)

  it("are as many at once as there may be", function()
    local now, most = 0, 0
    local base = peers.serve(function(_, res)
      now = now + 1
      most = math.max(most, now)
      casting.yield()
      res:write "a"
      casting.yield()
      now = now - 1
    end)
    local c = client {per_host = 5}
    local done = 0
    casting.scope(function(scope)
      for _ = 1, 200 do
        scope:spawn(function()
          if c:request(base).body == "a" then done = done + 1 end
        end)
      end
    end)
    assert.equal(200, done)
    assert.is_true(most <= 5)
    assert.equal(5, c:stats().made)
  end)

  it("find the place of what was forgotten", function()
    local base = script {answer "a"}
    local c = client {per_host = 1}
    do
      local r = c:request(base, {stream = true})
      assert.equal(200, r.status)
      r = nil -- luacheck: ignore
    end
    collectgarbage()
    collectgarbage()
    assert.equal("a", assert(c:request(base, {timeout = LONG})).body)
  end)
end)

describe("a request that is cancelled", function()
  local function hangs(text)
    local asked, ended = casting.channel(10), casting.channel(10)
    local base = peers.listen(function(stream)
      stream:read_until("\r\n\r\n", nil, LONG)
      if text then stream:write(text) end
      asked:send(true)
      while stream:read(nil, LONG) do asked:send(true) end
      ended:send(true)
    end)
    return base, asked, ended
  end

  local cases = {["before the head"] = {},
    ["in the head"] = {"HTTP/1.1 200 OK\r\nA: b"},
    ["in the body"] = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"},
    ["in a chunk"] =
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"},
    ["while its body goes out"] = {nil, {body = function()
      casting.sleep(1000)
    end}}}
  for name, case in pairs(cases) do
    it(name .. " closes its connection", function()
      local base, asked, ended = hangs(case[1])
      local c = client()
      local task = casting.spawn(function()
        return c:request(base, case[2])
      end)
      assert.is_true(asked:receive(LONG))
      casting.yield()
      task:cancel()
      task:join(LONG)
      assert.is_true(ended:receive(LONG))
      assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
    end)
  end

  it("by a deadline of the program closes it, too", function()
    local base, _, ended = hangs()
    local c = client()
    assert.same({nil, "timeout", n = 2},
      pack(casting.with_timeout(0.02, c.request, c, base)))
    assert.is_true(ended:receive(LONG))
    assert.equal(0, c:stats().busy)
  end)
end)

describe("a connection that ends anywhere", function()
  -- Each answer is cut off behind each of its bytes: what comes is an error, or
  -- the whole, and never a part; and the next request is as good as ever.
  local cases = {
    ["with a length"] = answer "hello",
    ["in chunks"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ..
      "2\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
    ["behind another one"] = "HTTP/1.1 100 Continue\r\n\r\n" .. answer "hello",
  }
  for name, text in pairs(cases) do
    for _, how in ipairs {"close", "abort"} do
      it(name .. " is told from a whole one: " .. how, function()
        local cut = 0
        local base = peers.listen(function(stream)
          while peers.hear(stream) do
            if cut < #text then
              if cut > 0 then stream:write(text:sub(1, cut)) end
              stream[how](stream)
              return
            end
            stream:write(text)
          end
        end)
        local c = client()
        for i = 0, #text do
          cut = i
          -- A POST is not made again.
          local r, why = c:request(base, {body = "x"})
          if i == #text then
            assert.equal("hello", r.body)
          else
            assert.is_nil(r)
            assert.is_true(why == "truncated" or why == "closed" and
              (i == 0 or how == "abort") or
              how == "abort" and why == "connection reset by peer", why)
          end
          cut = #text
          assert.equal("hello", c:request(base).body)
          assert.equal(0, c:stats().busy)
        end
      end)
    end
  end
end)

describe("many requests", function()
  -- A generator of our own: that of Lua differs from version to version.
  local function generator(seed)
    return function(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
    end
  end

  -- Servers that do all that servers may do, and much that they must not; tasks
  -- that are cancelled, run out of time, or leave an answer unread. Whatever
  -- comes back belongs to the request, and at the end no place is held.
  it("never get the answer of another one", function()
    local random = generator(42)
    local base = peers.listen(function(stream)
      while true do
        local head = peers.hear(stream)
        if not head then return end
        local word = head:match "^%S+ /(%S+)"
        for _ = 1, random(4) do casting.yield() end
        local kind = random(8)
        local text = answer(word)
        if kind == 1 then
          text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ..
            ("%x\r\n%s\r\n0\r\n\r\n"):format(#word, word)
        elseif kind == 2 then
          text = text .. answer "not yours"
        elseif kind == 3 then
          text = text:sub(1, random(#text))
        elseif kind == 4 then
          text = answer(word, "Connection: close\r\n")
        end
        local cut = random(#text)
        stream:write(text:sub(1, cut))
        casting.yield()
        stream:write(text:sub(cut + 1))
        if kind >= 2 and kind <= 4 or random(10) == 1 then return end
      end
    end)
    local c = client {per_host = 6, pool = 4, timeout = LONG}
    local right, none, wrong = 0, 0, {}
    local tasks = {}
    local function ask(i)
      local word = ("word%d"):format(i)
      local options = {stream = random(3) == 1, body = random(4) == 1 and
        ("x"):rep(random(60000)) or nil}
      if random(8) == 1 then options.timeout = random(5) / 10000 end
      local r = c:request(base .. "/" .. word, options)
      local body = r and r.body
      if r and not body then
        body = r:read(random(3)) or ""
        casting.yield()
        if random(3) > 1 then body = body .. (r:read "a" or "") end
        r:close()
        if word:sub(1, #body) == body then body = word end
      end
      if not r then
        none = none + 1
      elseif body == word then
        right = right + 1
      else
        wrong[#wrong + 1] = word .. ": " .. body
      end
    end
    for i = 1, 400 do
      tasks[i] = casting.spawn(ask, i)
      if random(5) == 1 then tasks[random(i)]:cancel() end
      if random(3) == 1 then casting.yield() end
    end
    for i = 1, #tasks do tasks[i]:join(LONG) end
    assert.same({}, wrong)
    assert.is_true(right > 100 and none > 10)
    -- A task that was cancelled while it read has left its answer to the
    -- collector, and the place with it.
    collectgarbage()
    collectgarbage()
    local stats = c:stats()
    assert.equal(0, stats.busy)
    assert.equal(0, stats.waiting)
  end)
end)
