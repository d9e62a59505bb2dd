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
  local words = {"exec", helper.command(helper.LEAVES),
    "examples/" .. name .. ".lua"}
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

describe("examples on LuaSocket", function()
  it("tell which package is missing", function()
    for _, name in ipairs {"download", "sendmail", "redisjobs"} do
      local path = package.path
      package.path = "./none/?.lua"
      local words = command(name, "--help")
      package.path = path
      local status, out, complaint = process.run(words)
      assert.same({1, ""}, {status, out})
      assert.matches("^" .. name .. ": needs LuaSocket %(lua%-socket%): " ..
        "module 'socket[^\n]*\n$", complaint)
    end
  end)
end)

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
    local asked = 0
    local port = http(function(path, headers)
      asked = asked + 1 -- the first ones wait for each other
      helper.until_true(function() return asked >= 3 end)
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
    local ended = casting.channel()
    local port = http(function()
      program:kill "TERM"
      ended:receive(LONG)
      return ok(LOAD)
    end)
    local words = command("download", "-d", dir,
      ("http://127.0.0.1:%d/file"):format(port))
    words.timeout, words.stderr = nil, "null"
    program = assert(process.spawn(words))
    assert.same({"exit", 143}, {program:wait(LONG)})
    ended:close()
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

-- ------------------------------------------------------------- sendmail --

-- A server of SMTP. `answer(command, argument)` may have an answer of its own,
-- or false to hang up; "DONE" is when the mail has come. The mails, in order.
local function smtp(answer)
  local mails = {}
  local port = serve(function(stream)
    local reply, to = "220 hello", nil
    while reply and stream:write(reply .. "\r\n", LONG) do
      local line = stream:read("l", LONG)
      if not line then return end
      local name, text = line:match "^(%u+) ?(.-)\r?$"
      reply = answer(name, text)
      if name == "RCPT" then to = text:match "<(.*)>" end
      if name == "DATA" and reply == nil then
        stream:write "354 go on\r\n"
        local mail = {to = to}
        for l in function() return stream:read("l", LONG) end do
          if l:match "^%.\r?$" then break end
          table.insert(mail, (l:gsub("^%.", ""):gsub("\r$", "")))
        end
        table.insert(mails, mail)
        reply = answer("DONE", to)
      end
      if reply == nil then reply = name == "QUIT" and "221 bye" or "250 ok" end
    end
  end)
  return "127.0.0.1:" .. port, mails
end

-- Runs it with a text as its input.
local function sendmail(text, ...)
  local words = command("sendmail", "-f", "me@here.org", "--pause", "0.05", ...)
  words.input = text
  local status, out, complaint = process.run(words)
  local lines = {}
  for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  return status, table.concat(lines, "\n"), complaint
end

describe("examples/sendmail.lua", function()
  if not has_luasocket then return pending "needs LuaSocket" end
  before_each(before)
  after_each(after)

  it("sends to several servers at once, with attachments", function()
    local greeted = 0
    local function answer(name)
      if name == "EHLO" then -- each waits for the other
        greeted = greeted + 1
        helper.until_true(function() return greeted == 2 end)
      end
    end
    local one, mails = smtp(answer)
    local two, others = smtp(answer)
    local data = ("\0\1\255"):rep(1000)
    local status, out, complaint = sendmail("Gr\195\188\195\159e\n.\nbye",
      "-s", ("\195\188"):rep(30), "-a", file("a \"b\"", data), "--server", one,
      "--route", "Two.org=" .. two, "a@one.org", "b@two.org")
    assert.same({0, "a@one.org: sent\nb@two.org: sent", ""},
      {status, out, complaint})
    assert.same({1, 1}, {#mails, #others})
    assert.same({"a@one.org", "b@two.org"}, {mails[1].to, others[1].to})
    local mime = require "mime"
    local mail = table.concat(mails[1], "\n")
    for _, text in ipairs {"To: <a@one.org>,\n <b@two.org>\n",
      "From: <me@here.org>\n", "\n\nGr=C3=BC=C3=9Fe\n.\nbye",
      "Subject: =?utf-8?B?" .. mime.b64(("\195\188"):rep(21)) ..
      "?=\n =?utf-8?B?" .. mime.b64(("\195\188"):rep(9)) .. "?=\n",
      "filename*=utf-8''a%20%22b%22\n"} do
      assert.is_true(mail:find(text, 1, true) ~= nil, text)
    end
    local body = mail:match "base64.-\n\n(.-)\n\n%-%-"
    assert.equal(data, (mime.unb64((body:gsub("\n", "")))))
    assert.equal(mail:match "Message%-ID: [^\n]*",
      table.concat(others[1], "\n"):match "Message%-ID: [^\n]*")
  end)

  it("tries again what fails for a while, and nothing else", function()
    local times = {}
    local server, mails = smtp(function(name, text)
      local who = text:match "^TO:<(%l+)@" or text:match "^(%l+)@"
      local n = (times[name .. (who or "")] or 0) + 1
      times[name .. (who or "")] = n
      if name == "QUIT" then return false end      -- is no failure
      if name == "RCPT" and who == "busy" and n < 3 then return "451 busy" end
      if name == "RCPT" and who == "never" then return "450 never" end
      if name == "RCPT" and who == "unknown" then return "550 no one" end
      if name == "DONE" and who == "cut" and n == 1 then return false end
      if name == "DONE" and who == "slow" and n == 1 then
        casting.sleep(LONG)
      end
    end)
    local status, out, complaint = sendmail("", "--server", server, "--tries",
      "3", "--deadline", tostring(2 * helper.slow), "busy@a.org", "never@a.org",
      "unknown@a.org", "cut@a.org", "slow@a.org", "good@a.org")
    assert.equal(1, status)
    assert.equal("busy@a.org: sent at try 3\ncut@a.org: sent at try 2\n" ..
      "good@a.org: sent\nslow@a.org: sent at try 2", out)
    local got = {}
    for _, mail in ipairs(mails) do got[mail.to] = (got[mail.to] or 0) + 1 end
    assert.same({["busy@a.org"] = 1, ["cut@a.org"] = 2, ["slow@a.org"] = 2,
      ["good@a.org"] = 1}, got)
    for _, text in ipairs {"never@a.org: not sent: 450 never",
      "unknown@a.org: not sent: 550 no", "slow@a.org: timeout; try 2 of 3",
      "cut@a.org: closed; try 2 of 3"} do
      assert.is_true(("\n" .. complaint):find("\nsendmail: " .. text, 1,
        true) ~= nil, complaint)
    end
    assert.is_nil(complaint:match "unknown@a.org: 550")
  end)

  it("explains itself, and refuses what it does not know", function()
    assert.matches("^usage: sendmail.lua", (output("sendmail", "--help")))
    for _, args in ipairs {{}, {"a@b"}, {"-f", "a@b"}, {"-f", "a", "a@b"},
      {"-f", "a@b", "a>@b"}, {"-f", "a@b", "-s", "a\nBcc: c@d", "a@b"},
      {"-f", "a@b", "--tries", "0", "a@b"}, {"--what", "x"}, {"-f"},
      {"-f", "a@b", "--route", "x", "a@b"}} do
      refuses("sendmail", helper.unpack(args))
    end
    local status, _, complaint = sendmail("", "-a", dir .. "/none", "a@b")
    assert.same({1, ("sendmail: %s/none: no such file or directory\n"):format(
      dir)}, {status, complaint})
  end)
end)

-- ------------------------------------------------------------ redisjobs --

-- A server that knows as much of Redis as the program needs: its lists; those
-- who wait for something in one, by their numbers; and all connections.
local function redis()
  local server = {lists = {}, waiting = {}, streams = {}}
  local ids = 0

  local function text(v) return ("$%d\r\n%s\r\n"):format(#v, v) end

  local function give()
    for id, w in pairs(server.waiting) do
      local list = server.lists[w.key]
      if list and list[1] then
        server.waiting[id] = nil
        w.channel:send(table.remove(list, 1))
      end
    end
  end

  function server.push(name, where, ...)
    server.lists[name] = server.lists[name] or {}
    local list = server.lists[name]
    for _, v in ipairs {...} do table.insert(list, where or #list + 1, v) end
    local n = #list
    give()
    return (":%d\r\n"):format(n)
  end

  function server.wait_for(n)
    helper.until_true(function()
      local count = 0
      for _ in pairs(server.waiting) do count = count + 1 end
      return count == n
    end, n .. " that wait")
  end

  local function answer(stream, id, words)
    local name = words[1]
    if name == "RPUSH" then
      return server.push(words[2], nil, helper.unpack(words, 3))
    elseif name == "LPUSH" then
      return server.push(words[2], 1, words[3])
    elseif name == "CLIENT" and words[2] == "ID" then
      return (":%d\r\n"):format(id)
    elseif name == "CLIENT" then
      local w = server.waiting[tonumber(words[3])]
      server.waiting[tonumber(words[3])] = nil
      if w then w.channel:send(false) end
      return w and ":1\r\n" or ":0\r\n"
    end
    local w = {key = words[2], channel = casting.channel(1)}
    server.waiting[id] = w
    give()
    local i, v = casting.select {w.channel, stream}
    server.waiting[id] = nil
    return i == 1 and (v and "*2\r\n" .. text(w.key) .. text(v) or "*-1\r\n")
  end

  server.port = serve(function(stream)
    ids = ids + 1
    local id = ids
    server.streams[id] = stream
    while true do
      local n = tonumber((stream:read("l", LONG) or ""):match "%d+")
      if not n then break end
      local words = {}
      for i = 1, n do
        words[i] = stream:read(tonumber(stream:read("l", LONG):match "%d+"))
        stream:read("l", LONG)
      end
      local reply = answer(stream, id, words)
      if not reply or not stream:write(reply, LONG) then break end
    end
    server.streams[id] = nil
  end)
  return server
end

-- Starts it: the program, and its output.
local function start(server, ...)
  local words = command("redisjobs", "--server", "127.0.0.1:" .. server.port,
    "work", ...)
  words.timeout, words.stdout, words.stderr = nil, "pipe", "pipe"
  local program = assert(process.spawn(words))
  local out = casting.spawn(function() return program.stdout:read "a" end)
  local err = casting.spawn(function() return program.stderr:read "a" end)
  return program, function(signal)
    if signal then program:kill(signal) end
    local how, code = program:wait(LONG)
    return how, code, out:await(LONG):match "([^\n]*)\n$", err:await(LONG)
  end
end

describe("examples/redisjobs.lua", function()
  if not has_luasocket then return pending "needs LuaSocket" end
  if not pcall(require, "redis") then return pending "needs redis-lua" end
  before_each(before)
  after_each(after)

  it("fills the queue", function()
    local server = redis()
    assert.equal("2500 jobs in q\n", (output("redisjobs", "--queue", "q",
      "--server", "127.0.0.1:" .. server.port, "fill", "2500")))
    assert.same({2500, "1", "0"}, {#server.lists.q, server.lists.q[1],
      server.lists.q[2500]})
  end)

  it("works on jobs in many tasks, until it is told to end", function()
    local server = redis()
    local _, limit = process.run {"sh", "-c", "ulimit -n"}
    local tasks = (tonumber(limit) or 1e9) > 2200 and 1000 or 200
    local _, stop = start(server, "--tasks", tostring(tasks))
    server.wait_for(tasks)
    for i = 1, 3 * tasks do server.push("jobs", nil, tostring(i % 5)) end
    server.push("jobs", nil, "bad")
    helper.until_true(function()
      return not server.lists.jobs[1] and server.lists["jobs:failed"]
    end)
    assert.same({"exit", 0, ("%d jobs done, 1 failed"):format(3 * tasks),
      "redisjobs: failed: bad: not a number\n" ..
      "redisjobs: TERM: no more jobs are taken\n"}, {stop "TERM"})
    assert.same({"bad"}, server.lists["jobs:failed"])
  end)

  it("makes connections again", function()
    local server = redis()
    local _, stop = start(server, "--tasks", "10")
    server.wait_for(10)
    for _, stream in pairs(server.streams) do stream:close() end
    server.wait_for(0)
    server.wait_for(10)
    server.push("jobs", nil, "0", "0")
    server.wait_for(10)
    local how, code, last, complaint = stop "INT"
    assert.same({"exit", 0, "2 jobs done, 0 failed"}, {how, code, last})
    assert.matches("^redisjobs: INT: no more jobs are taken\n$",
      (complaint:gsub("redisjobs: connection error: closed\n", "")))
  end)

  it("puts back what it cannot finish", function()
    local server = redis()
    server.push("jobs", nil, "1000000")
    local _, stop = start(server, "--tasks", "3", "--grace",
      tostring(math.ceil(helper.slow)))
    server.wait_for(2)
    assert.same({"exit", 1, "0 jobs done, 0 failed",
      "redisjobs: TERM: no more jobs are taken\n" ..
      "redisjobs: put back: 1000000\n"}, {stop "TERM"})
    assert.same({"1000000"}, server.lists.jobs)
  end)

  it("explains itself, and refuses what it does not know", function()
    assert.matches("^usage: redisjobs.lua", (output("redisjobs", "--help")))
    for _, args in ipairs {{}, {"play"}, {"fill"}, {"fill", "x"}, {"work", "1"},
      {"--tasks", "0", "work"}, {"--what", "work"}, {"--server"}} do
      refuses("redisjobs", helper.unpack(args))
    end
    local status, out, complaint = run("redisjobs", "--server", "127.0.0.1:1",
      "fill", "1")
    assert.same({1, "", "redisjobs: could not connect to 127.0.0.1:1 " ..
      "[connection refused]\n"}, {status, out, complaint})
  end)
end)
