-- form_spec.lua - forms in the bodies of requests.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local http = require "casting.http"
local net = require "casting.net"
local LONG = helper.LONG

local listener

after_each(function()
  if listener then listener:close() end
  listener = nil
end)

-- What `handler` returns for a request with that body, of which `piece` bytes
-- go out at once, each after the one before was seen to be read.
local function ask(handler, kind, body, piece, options)
  local got = {}
  listener = assert(net.listen("127.0.0.1", 0))
  local done = casting.channel(1)
  casting.spawn(http.serve, listener, function(req)
    got = {handler(req)}
    done:send(true)
  end, options)
  local stream = assert(net.connect("127.0.0.1", select(2, listener:name())))
  assert(stream:write(("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n" ..
    "Content-Length: %d\r\n\r\n"):format(kind, #body)))
  stream:option("nodelay", true)
  for at = 1, #body, piece or #body + 1 do
    stream:write(body:sub(at, at + (piece or #body + 1) - 1))
    for _ = 1, 3 do casting.yield() end
  end
  stream:shutdown()
  assert(done:receive(LONG))
  stream:close()
  listener:close()
  return got[1], got[2], got[3]
end

local function form(req) return req:form() end
local FIELDS = "application/x-www-form-urlencoded"
local MULTI = "multipart/form-data; boundary=XX"

local function plain(list)
  local got = {}
  for i, entry in ipairs(list) do
    got[i] = entry.name .. "=" .. entry.value ..
      (entry.filename and " " .. entry.filename .. " " .. entry.type or "")
  end
  return got
end

describe("a form", function()
  it("has fields, by name and in order", function()
    local got = ask(form, FIELDS .. "; charset=utf-8",
      "a=1&b=x+y%21&a=2&empty=&bare&%zz=1&=3")
    assert.same({"a=1", "b=x y!", "a=2", "empty=", "bare=", "=3"}, plain(got))
    assert.same({"1", "x y!", "", ""}, {got.a, got.b, got.empty, got.bare})
  end)

  it("is the same one again, and cannot be read behind something else",
    function()
      local body = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1" ..
        "\r\n--XX--\r\n"
      for kind, text in pairs {[FIELDS] = "a=1", [MULTI] = body} do
        local first, second = ask(function(req)
          return req:form(), req:form()
        end, kind, text)
        assert.equal(first, second)
        assert.equal("1", first.a)
        for _, name in ipairs {"read", "part"} do
          local _, why = ask(function(req)
            req[name](req, name == "read" and 1 or nil)
            return pcall(req.form, req)
          end, kind, text)
          if not (kind == FIELDS and name == "part") then
            assert.matches("'form' of a request whose body was read", why)
          end
        end
      end
    end)

  it("goes on after a call that was cancelled", function()
    local parts = "--XX\r\n" ..
      "Content-Disposition: form-data; name=a\r\n\r\n1\r\n--XX\r\n" ..
      "Content-Disposition: form-data; name=b\r\n\r\n2\r\n--XX--\r\n"
    for kind, text in pairs {[FIELDS] = "a=1&b=2&&&&&&", [MULTI] = parts} do
      local cancelled, got = casting.channel(), casting.channel(1)
      listener = assert(net.listen("127.0.0.1", 0))
      casting.spawn(http.serve, listener, function(req)
        assert.is_nil((casting.with_timeout(0.02, req.form, req)))
        cancelled:close()
        got:send(req:form())
      end)
      local stream = assert(net.connect("127.0.0.1",
        select(2, listener:name())))
      stream:write(("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n" ..
        "Content-Length: %d\r\n\r\n"):format(kind, #text))
      stream:write(text:sub(1, -9))
      cancelled:receive(LONG)
      stream:write(text:sub(-8))
      assert.same({"a=1", "b=2"}, plain((got:receive(LONG))))
      stream:close()
      listener:close()
    end
  end)

  it("goes on after its time ran out", function()
    for kind, text in pairs {[FIELDS] = "a=1&b=2", [MULTI] = "--XX\r\n" ..
      "Content-Disposition: form-data; name=a\r\n\r\n1\r\n--XX\r\n" ..
      "Content-Disposition: form-data; name=b\r\n\r\n2\r\n--XX--\r\n"} do
      local late, got = casting.channel(), casting.channel(1)
      listener = assert(net.listen("127.0.0.1", 0))
      casting.spawn(http.serve, listener, function(req)
        local read, why
        repeat
          read, why = req:form()
          if why == "timeout" then late:close() end
        until why ~= "timeout"
        got:send(read)
      end, {timeout = 0.01})
      local stream = assert(net.connect("127.0.0.1",
        select(2, listener:name())))
      stream:write(("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n" ..
        "Content-Length: %d\r\n\r\n"):format(kind, #text))
      stream:write(text:sub(1, 5))
      late:receive(LONG)
      stream:write(text:sub(6))
      assert.same({"a=1", "b=2"}, plain((got:receive(LONG))))
      stream:close()
      listener:close()
    end
  end)

  it("of another kind is none", function()
    for _, kind in ipairs {"text/plain", "multipart/mixed; boundary=x",
      "multipart/form-data", "multipart/form-data; boundary=",
      "multipart/form-data; boundary=\"a\0b\"",
      "multipart/form-data; boundary=" .. ("x"):rep(71),
      "multipart/form-data; boundary=\"x"} do
      if not kind:find "%z" then
        local got, why = ask(form, kind, "a=1")
        assert.same({nil, "not a form"}, {got, why})
      end
    end
  end)

  it("may not have thousands of fields, nor be too long", function()
    assert.equal(1000, #ask(form, FIELDS, ("a&"):rep(1000)))
    local got, why = ask(form, FIELDS, ("a&"):rep(1001))
    assert.same({nil, "too long"}, {got, why})
    local part = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n"
    got, why = ask(form, MULTI, part:rep(1001) .. "--XX--\r\n")
    assert.same({nil, "too long"}, {got, why})
  end)
end)

local BODY = table.concat({
  "This is for nobody.",
  "--XX",
  'Content-Disposition: form-data; name="text"',
  "",
  "one\r\ntwo\r\n--X\r\n",
  "--XX  ",
  'content-disposition: Form-Data; Name="up \\"load\\""; ' ..
    'filename="C:\\dir\\a%22b.png"',
  "Content-Type: image/png",
  "",
  "\0\1\r\n-\r\n--XY",
  "--XX",
  "Content-Disposition: form-data; name=file; filename=/etc/passwd",
  "",
  "",
  "--XX--",
  "and this neither",
}, "\r\n")
local PARTS = {"text=one\r\ntwo\r\n--X\r\n",
  'up "load"=\0\1\r\n-\r\n--XY a"b.png image/png',
  "file= passwd application/octet-stream"}

describe("a form in parts", function()
  it("has fields and files", function()
    local got = ask(form, MULTI, BODY)
    assert.same(PARTS, plain(got))
    assert.equal("one\r\ntwo\r\n--X\r\n", got.text)
    got = ask(form, 'multipart/form-data; charset=x; boundary="XX"', BODY)
    assert.same(PARTS, plain(got))
  end)

  it("is the same in pieces of any size", function()
    for piece = 1, 40 do
      assert.same(PARTS, plain(ask(form, MULTI, BODY, piece)))
    end
  end)

  it("that is cut anywhere is malformed", function()
    local last = BODY:find("--XX--", 1, true)
    for n = 0, last + 4 do
      local got, why = ask(form, MULTI, BODY:sub(1, n))
      assert.same({n, nil, "malformed"}, {n, got, why})
    end
  end)

  it("may be read as it comes", function()
    local got = ask(function(req)
      local list = {}
      local part, why = req:part()
      while part do
        list[#list + 1] = part.name
        if part.name == "text" then
          list[#list + 1] = part:read(5)
          list[#list + 1] = part:read(0)
          list[#list + 1] = part:read "a"
          list[#list + 1] = select(2, part:read())
          list[#list + 1] = select(2, part:read(1))
          list[#list + 1] = part:read "a"
        end
        part, why = req:part()
      end
      list[#list + 1] = why
      list[#list + 1] = select(2, req:part())
      return list
    end, MULTI, BODY, 7)
    assert.same({"text", "one\r\n", "", "two\r\n--X\r\n", "closed", "closed",
      "", 'up "load"', "file", "closed", "closed"}, got)
  end)

  -- Calls f(part, go_on) for a part of ten bytes, of which five have come; the
  -- others come when go_on is called.
  local function halves(f, options)
    listener = assert(net.listen("127.0.0.1", 0))
    local done, wanted = casting.channel(1), casting.channel(1)
    casting.spawn(http.serve, listener, function(req)
      done:send {pcall(f, assert(req:part()), function() wanted:send(true) end)}
    end, options)
    local stream =
      assert(net.connect("127.0.0.1", select(2, listener:name())))
    local head = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n"
    local last = "56789\r\n--XX--\r\n"
    local mark = #"\r\n--XX" -- what may be one is not given out yet
    stream:write(("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n" ..
      "Content-Length: %d\r\n\r\n%s%s"):format(MULTI, #head + mark + 5 + #last,
      head, ("-"):rep(mark) .. "01234"))
    assert(wanted:receive(LONG))
    stream:write(last)
    local got = done:receive(LONG)
    stream:close()
    assert(got[1], got[2])
    return got[2]
  end
  local TEN = "------0123456789"

  for _, what in ipairs {10, "a", 16} do
    it(("loses nothing of read(%s) when that runs out of time"):format(
      tostring(what)), function()
      local got = halves(function(part, go_on)
        local list, told = {}, false
        while true do
          local data, why = part:read(what)
          if data == nil and why ~= "timeout" then break end
          if not data and not told then
            told = true
            go_on()
          end
          list[#list + 1] = data
          if what == "a" and data then break end
        end
        return told and table.concat(list)
      end, {timeout = 0.01})
      assert.equal(TEN, got)
    end)
  end

  it("loses nothing of a read that is cancelled", function()
    local got = halves(function(part, go_on)
      local task = casting.spawn(part.read, part, "a")
      for _ = 1, 20 do casting.yield() end
      task:cancel()
      task:join(LONG)
      go_on()
      local list = {}
      for i = 1, 16 do list[i] = part:read(1) end
      return table.concat(list) .. tostring(part:read(1))
    end)
    assert.equal(TEN .. "nil", got)
  end)

  it("may be large, and is never kept as a whole", function()
    local body = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n" ..
      ("0123456789\r\n--X"):rep(60000) .. "\r\n--XX--"
    local size, most = ask(function(req)
      local part, all, longest = req:part(), 0, 0
      local data = part:read()
      while data do
        all, longest = all + #data, math.max(longest, #data)
        data = part:read()
      end
      return all, longest
    end, MULTI, body)
    assert.equal(15 * 60000, size)
    assert.is_true(most <= 65536 + 10)
  end)

  it("may have long names of files, each of which is looked at once", function()
    local body = {}
    for i = 1, 999 do
      body[i] = '--XX\r\nContent-Disposition: form-data; name=a; filename="' ..
        ("x"):rep(16000) .. "/b" .. i .. '"\r\n\r\n1\r\n'
    end
    body[1000] = "--XX--\r\n"
    local got = ask(form, MULTI, table.concat(body), nil, {body = 20000000})
    assert.same({"b1", "b999"}, {got[1].filename, got[999].filename})
  end)

  it("that is malformed says so", function()
    for _, head in ipairs {"", "Content-Type: a/b", "no colon",
      "Content-Disposition: form-data", "Content-Disposition: form-data; x=y",
      "Content-Disposition: attachment; name=a",
      'Content-Disposition: form-data; name="a',
      "Content-Disposition : form-data; name=a",
      "Content-Disposition: form-data; name=a\r\n folded",
      "Content-Disposition: form-data; name=a\rb",
      "X: " .. ("x"):rep(17000)} do
      local got, why = ask(form, MULTI,
        "--XX\r\n" .. head .. "\r\n\r\n1\r\n--XX--\r\n")
      assert.same({head, nil, "malformed"}, {head, got, why})
    end
    for _, body in ipairs {"", "--XX", "--XX-", "--XXY\r\n--XX--", "--YY--",
      "--XX\n\n"} do
      local got, why = ask(form, MULTI, body)
      assert.same({body, nil, "malformed"}, {body, got, why})
    end
  end)

  it("refuses to be read in another way", function()
    local e = ask(function(req)
      return select(2, pcall(req:part().read, req:part(), "x"))
    end, MULTI, BODY)
    assert.matches("bad argument #1 to 'read'", e)
  end)
end)
