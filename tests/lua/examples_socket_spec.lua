-- examples_socket_spec.lua - the programs of examples/ on LuaSocket's modules,
-- redis-lua and LuaSec, with servers that are tasks of the test.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local fs, net, process =
  require "casting.fs", require "casting.net", require "casting.process"
local LONG = helper.LONG

if not helper.has_children() then
  describe("examples", function()
    pending "run: no other program can be started here"
  end)
  return
end
require("casting.socket").install()
local has_luasocket = pcall(require, "socket.smtp")

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local dir, listeners
local function before() dir, listeners = assert(fs.tempdir()), {} end
local function after()
  for _, listener in ipairs(listeners) do listener:close() end
  assert(fs.remove(dir, {tree = true}))
end
local function file(name, text)
  assert(fs.write(dir .. "/" .. name, text))
  return dir .. "/" .. name
end

-- Serves each connection by f(stream), in a task of the test: the port.
local function serve(f)
  local listener = assert(net.listen("127.0.0.1", 0))
  table.insert(listeners, listener)
  casting.spawn(function() return listener:serve(f, {grace = 0}) end)
  return select(2, listener:name())
end

-- The command that runs examples/NAME.lua.
local function command(name, ...)
  local words = {"exec", helper.command(), "examples/" .. name .. ".lua"}
  for _, word in ipairs {...} do words[#words + 1] = quote(word) end
  return {"sh", "-c", table.concat(words, " "), timeout = 2 * LONG}
end

-- Runs it while tasks of the test go on: its exit status, what it wrote, and
-- what it complained.
local function run(...) return process.run(command(...)) end

-- As run, and it must end well.
local function output(...)
  local status, out, complaint = run(...)
  if status ~= 0 then
    error(("status %s\n%s%s"):format(tostring(status), out, complaint), 2)
  end
  return out, complaint
end

-- Wrong words: the status is 2, with a complaint and how it is used.
local function refuses(name, ...)
  local status, out, complaint = run(name, ...)
  assert.same({2, ""}, {status, out})
  assert.matches("^" .. name .. ": [^\n]*\nusage: " .. name, complaint)
end

-- ------------------------------------------------------------- download --

-- A server of HTTP: answer(path, headers) is called for each request, and
-- writes what it returns.
local function http(answer)
  return serve(function(stream)
    local path = stream:read("l", LONG):match "^GET (%S+) HTTP/1.1\r?$"
    local headers = {}
    for line in function() return stream:read("l", LONG) end do
      local name, value = line:match "^([^:]+): (.-)\r?$"
      if not name then break end
      headers[name:lower()] = value
    end
    stream:write(answer(path, headers), LONG)
    stream:shutdown()
  end)
end

-- An answer; of a body that is cut, the length is that of all of it.
local function ok(body, sent)
  return ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body,
    sent or body)
end
local function part(body, from)
  return ("HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n" ..
    "Content-Range: bytes %d-%d/%d\r\n\r\n%s"):format(#body - from, from,
    #body - 1, #body, body:sub(from + 1))
end
local function other(status, more)
  return ("HTTP/1.1 %s\r\nContent-Length: 5\r\n%s\r\nsorry"):format(status,
    more or "")
end

-- A server of FTP that has `files`, and knows of the commands that `lacks` has
-- not: what it was told, in order.
local function ftp(files, lacks)
  local told, data = {}, nil
  local replies = {USER = "331 who", PASS = "230 in", TYPE = "200 ok",
    QUIT = "221 bye"}
  local port = serve(function(stream)
    local from, reply = 0, "220 hello"
    while stream:write(reply .. "\r\n", LONG) do
      local line = stream:read("l", LONG)
      if not line then return end
      local name, text = line:match "^(%u+) ?(.-)\r?$"
      table.insert(told, text == "" and name or name .. " " .. text)
      reply = lacks[name] and "502 not here" or replies[name]
      if reply then -- luacheck: ignore
      elseif name == "EPSV" then
        data = assert(net.listen("127.0.0.1", 0))
        reply = ("229 Extended (|||%d|)"):format(select(2, data:name()))
      elseif name == "REST" then
        from, reply = tonumber(text), "350 go on"
      elseif not files[text] then
        reply = "550 no such file"
      elseif name == "SIZE" then
        reply = "213 " .. #files[text]
      elseif name == "MDTM" then
        reply = "213 20200101000000"
      elseif name == "RETR" then
        stream:write "150 here it comes\r\n"
        local connection = assert(data:accept(LONG))
        connection:write(files[text]:sub(from + 1), LONG)
        connection:close()
        data:close()
        reply = "226 done"
      end
    end
  end)
  return port, told
end

local LOAD = ("0123456789"):rep(30000)

local function download(...)
  return run("download", "-d", dir, ...)
end

describe("examples/download.lua", function()
  if not has_luasocket then return pending "needs LuaSocket" end
  before_each(before)
  after_each(after)

  it("fetches several files at a time, by HTTP and FTP", function()
    local both = casting.channel()
    local port = http(function(path, headers)
      if path:match "^/a" then -- each waits for the other
        casting.all {function() both:send(1) end, function() both:receive() end}
      end
      return path == "/chunks" and "HTTP/1.1 200 OK\r\n" ..
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" or
        path == "/to?x" and "HTTP/1.1 302 Found\r\nLocation: /a%20b\r\n\r\n" or
        ok(path .. (headers.authorization or ""))
    end)
    local files, told = ftp({["d/e f"] = LOAD}, {})
    local web = "http://127.0.0.1:" .. port
    local status, out, complaint = download(web .. "/a1", web .. "/to?x",
      web .. "/chunks", web:gsub("//", "//joe:a%%40b@") .. "/",
      ("ftp://joe:secret@127.0.0.1:%d/d/e%%20f"):format(files))
    assert.same({0, ""}, {status, out})
    assert.same({"a1", "chunks", "e f", "index.html", "to"}, (fs.list(dir)))
    assert.equal("/a1", fs.read(dir .. "/a1"))
    assert.equal("/a%20b", fs.read(dir .. "/to"))
    assert.equal("hello", fs.read(dir .. "/chunks"))
    assert.equal("/Basic am9lOmFAYg==", fs.read(dir .. "/index.html"))
    assert.equal(LOAD, fs.read(dir .. "/e f"))
    assert.same({"USER joe", "PASS secret", "TYPE i", "SIZE d/e f", "EPSV",
      "RETR d/e f", "QUIT"}, told)
    assert.matches("\ne f: 300%.0 kB, %d+%.%d s\n", "\n" .. complaint)
  end)

  it("goes on where it was, by HTTP", function()
    local ranges, dates = {}, {}
    local port = http(function(path, headers)
      ranges[#ranges + 1] = headers.range or "all"
      dates[#dates + 1] = headers["if-unmodified-since"]
      local from = tonumber((headers.range or ""):match "bytes=(%d+)%-$")
      if path == "/whole" then return ok(LOAD) end      -- knows no ranges
      if path == "/same" then
        return other("416 What", "Content-Range: bytes */10\r\n")
      end
      if path == "/new" and from == 10 then return other "412 No" end
      return from and part(LOAD, from) or ok(LOAD, LOAD:sub(1, 20000))
    end)
    local web = ("http://127.0.0.1:%d/"):format(port)
    local function try(name, before)
      ranges = {}
      if before then file(name .. ".part", before) end
      local status, _, complaint = download("--tries", "3", web .. name)
      if status ~= 0 then error(complaint) end
      return table.concat(ranges, " "), fs.read(dir .. "/" .. name)
    end
    -- An answer that is shorter than it has promised is gone on with.
    assert.same({"all bytes=16384-", LOAD}, {try "cut"})
    assert.same({"bytes=10-", LOAD}, {try("rest", LOAD:sub(1, 10))})
    assert.same({"bytes=10-", LOAD}, {try("whole", ("x"):rep(10))})
    assert.same({"bytes=10-", "0123456789"}, {try("same", "0123456789")})
    assert.same({"bytes=10- all bytes=16384-", LOAD},
      {try("new", "x 12345678")})
    assert.matches("^%a%a%a, %d%d %a%a%a %d+ %d%d:%d%d:%d%d GMT$", dates[1])
    assert.same({"cut", "new", "rest", "same", "whole"}, (fs.list(dir)))
  end)

  it("goes on where it was, by FTP", function()
    local port, told = ftp({old = LOAD}, {})
    file("old.part", LOAD:sub(1, 10))
    assert.equal(0, (download(("ftp://127.0.0.1:%d/old"):format(port))))
    assert.equal(LOAD, fs.read(dir .. "/old"))
    assert.matches("MDTM old REST 10 EPSV RETR old", table.concat(told, " "))
    port, told = ftp({new = LOAD}, {REST = true, MDTM = true, SIZE = true})
    file("new.part", "x")
    assert.equal(0, (download(("ftp://127.0.0.1:%d/new"):format(port))))
    assert.equal(LOAD, fs.read(dir .. "/new"))
    assert.matches("MDTM new REST 1 .* EPSV RETR new",
      table.concat(told, " "))
  end)

  it("tells what it cannot fetch, and keeps what has come", function()
    local port = http(function(path)
      return path == "/cut" and ok(LOAD, LOAD:sub(1, 70000)) or
        path == "/loop" and "HTTP/1.1 301 Moved\r\nLocation: /loop\r\n\r\n" or
        path == "/out" and "HTTP/1.1 302 No\r\nLocation: file:///x\r\n\r\n" or
        path == "/busy" and other "503 Busy" or other "404 Not Found"
    end)
    local web = "http://127.0.0.1:" .. port
    local none = ("ftp://127.0.0.1:%d/absent"):format((ftp({}, {})))
    local status, out, complaint = download("--tries", "1", web .. "/cut",
      web .. "/none", web .. "/loop", web .. "/out", web .. "/busy", none)
    assert.same({1, ""}, {status, out})
    for _, text in ipairs {web .. "/cut: ended after 65536 of 300000 bytes",
      web .. "/none: 404 Not Found", web .. "/loop: too many redirections",
      web .. "/out: redirected from http to file", web .. "/busy: 503 Busy",
      none .. ": 550 no such file"} do
      assert.is_true(complaint:find("\ndownload: " .. text .. "\n", 1, true) ~=
        nil, text)
    end
    assert.same({"cut.part"}, (fs.list(dir)))
    file("cut", "")
    status, out, complaint = download(web .. "/cut")
    assert.same({1, "", ("cut: FAILED\ndownload: %s/cut: %s/cut is there " ..
      "already\n"):format(web, dir)}, {status, out, complaint})
  end)

  it("looks at certificates and the names in them", function()
    local there, ssl = pcall(require, "ssl")
    local key, certificate = dir .. "/key", dir .. "/certificate"
    if not there or process.run {"sh", "-c", ("openssl req -x509 -newkey " ..
      "rsa:2048 -nodes -keyout %s -out %s -subj /CN=x -addext " ..
      "subjectAltName=DNS:localhost,DNS:*.example.org"):format(key,
      certificate)} ~= 0 then
      return pending "needs LuaSec and openssl"
    end
    local socket = require "socket"
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local task = casting.spawn(function()
      while true do
        local c = server:accept()
        if not c then return end
        c = assert(ssl.wrap(c, {mode = "server", protocol = "any", key = key,
          certificate = certificate}))
        if c:dohandshake() then
          repeat local line = c:receive() until not line or line == ""
          c:send(ok "secret")
        end
        c:close()
      end
    end)
    local local_url = ("https://localhost:%d/a"):format(port)
    local number_url = ("https://127.0.0.1:%d/b"):format(port)
    local status, _, complaint = download("--cafile", certificate, local_url,
      number_url)
    assert.equal(1, status)
    assert.equal("secret", fs.read(dir .. "/a"))
    assert.matches("/b: the certificate is not one for 127%.0%.0%.1\n$",
      complaint)
    status, _, complaint = download(number_url)
    assert.equal(1, status)
    assert.matches("/b: certificate verify failed\n$", complaint)
    assert.equal(0, (download("--insecure", number_url)))
    assert.equal("secret", fs.read(dir .. "/b"))
    server:close()
    task:await(LONG)
  end)

  it("ends when a signal comes", function()
    local program
    local port = http(function()
      casting.spawn(function()
        casting.sleep(0.2)
        program:kill "TERM"
      end)
      return ok(LOAD, LOAD:sub(1, 65536)), casting.sleep(0.5)
    end)
    local words = command("download", "-d", dir,
      ("http://127.0.0.1:%d/file"):format(port))
    words.timeout, words.stderr = nil, "null"
    program = assert(process.spawn(words))
    assert.same({"exit", 143}, {program:wait(LONG)})
  end)

  it("explains itself, and refuses what it does not know", function()
    assert.matches("^usage: download.lua", (output("download", "--help")))
    for _, args in ipairs {{}, {"--what"}, {"-j"}, {"-j", "0"}, {"-d"},
      {"--timeout", "x"}, {"gopher://host/"}, {"http:///x"}, {"ftp://host/d/"},
      {"http://host/a%2Fb"}, {"http://host/.."}, {"ftp://host/a%0Ab"},
      {"http://a/x", "http://b/x"}} do
      refuses("download", helper.unpack(args))
    end
  end)
end)
