-- examples_http_spec.lua - the programs of examples/ on casting.http, asked by
-- curl.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local kit = require "examplekit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local fs, process = require "casting.fs", require "casting.process"
local LONG = helper.LONG

local missing = kit.why_not() or kit.needs "curl"
if missing then
  describe("examples on casting.http", function() pending(missing) end)
  return
end
local ask, command, start = kit.ask, kit.command, kit.start
after_each(kit.stop)

-- Wrong words: the status is 2, with a complaint and how it is used.
local function refuses(name, ...)
  assert.same({2, ""}, {kit.refuse(name, ...)})
end

describe("examples/webserver.lua", function()
  it("greets whoever asks", function()
    local _, url = start("webserver", "0")
    local status, body = ask(url .. "/?name=Ann%20B")
    assert.same({200, "Hello, Ann B!\n"}, {status, body})
    status, body = ask(url)
    assert.same({200, "Hello, world!\n"}, {status, body})
  end)
end)

describe("examples/router.lua", function()
  it("finds the handler, and the parameters of the path", function()
    local _, url = start("router", "0")
    local function body(...) return (select(2, ask(...))) end
    assert.equal("Greet somebody.\n", body(url))
    assert.equal("Hello, J\195\182rg & Co!\n",
      body(url .. "/greet/J%C3%B6rg%20%26%20Co?x=/"))
    assert.equal("some\nlines", body(url .. "/echo", "-d", "some\nlines"))
    local status, none, fields = ask(url .. "/greet/Ann", "--head")
    assert.same({200, "", "12"}, {status, none, fields["content-length"]})
  end)

  it("knows no other paths", function()
    local _, url = start("router", "0")
    for _, path in ipairs {"/greet", "/greet/", "/greet/a/b", "/greet/a%2Fb",
      "//", "/echo2", "/xecho"} do
      local status, body, fields = ask(url .. path, "--path-as-is")
      assert.same({404, "not found\n"}, {status, body})
      assert.is_nil(fields.allow)
    end
  end)

  it("says which methods a path has", function()
    local _, url = start("router", "0")
    local status, body, fields = ask(url .. "/greet/Ann", "-X", "DELETE")
    assert.same({405, "method not allowed\n", "GET, HEAD"},
      {status, body, fields.allow})
    status, body, fields = ask(url .. "/echo")
    assert.same({405, "method not allowed\n", "POST"},
      {status, body, fields.allow})
  end)

  it("takes the first route that fits, and any text in a path", function()
    local path = package.path
    package.path = "examples/?.lua;" .. path
    local router = require "router"
    package.path = path
    local got
    local function note(name)
      return function(_, _, p) got = {name, p.id, p.b} end
    end
    local handler = router.new {
      {"GET", "/a/new", note "new"}, {"GET", "/a/:id", note "get"},
      {"PUT", "/a/:id", note "put"}, {"GET", "/a/:id/x-:b.txt", note "two"},
      {"GET", "/b/%d+(", note "strange"}}
    local function route(method, target)
      got = nil
      local response = {headers = {}, write = function() end}
      handler({method = method, path = target}, response)
      return got or {response.status, response.headers.Allow}
    end
    assert.same({"new"}, route("GET", "/a/new"))
    assert.same({"put", "new"}, route("PUT", "/a/new"))
    assert.same({"get", "7"}, route("HEAD", "/a/7"))
    assert.same({"two", "7", "y"}, route("GET", "/a/7/x-y.txt"))
    assert.same({404}, route("GET", "/a/7/x-y-txt"))
    assert.same({"strange"}, route("GET", "/b/%d+("))
    assert.same({405, "GET, HEAD, PUT"}, route("POST", "/a/new"))
  end)
end)

-- ---------------------------------------------------------------- notes --

local function get(name)
  local found, module = pcall(require, name)
  return found and module
end

describe("examples/notes.lua", function()
  local cjson = get "cjson"
  if not cjson then return pending "needs lua-cjson" end
  if not get "luasql.sqlite3" then return pending "needs lua-sql-sqlite3" end

  local dir, file
  before_each(function()
    dir = assert(fs.tempdir())
    file = dir .. "/notes.db"
  end)
  after_each(function() assert(fs.remove(dir, {tree = true})) end)

  local function serve()
    local program, url = start("notes", "--port", "0", file)
    return url .. "/notes", program
  end
  -- As ask, with a decoded body; `value` is sent as JSON.
  local function json(method, url, value)
    local status, body, fields
    if value then
      status, body, fields = ask(url, "-X", method, "-H",
        "Content-Type: application/json", "--data-binary",
        type(value) == "string" and value or cjson.encode(value))
    else
      status, body, fields = ask(url, "-X", method)
    end
    if body ~= "" then
      assert.equal("application/json", fields["content-type"])
      body = cjson.decode(body)
    end
    return status, body, fields
  end

  it("makes, shows, changes and deletes notes", function()
    local url = serve()
    local status, body = json("GET", url)
    assert.same({200, {notes = {}}}, {status, body})
    local fields
    status, body, fields = json("POST", url, {title = "Tea", text = "Assam"})
    assert.same({201, {id = 1, title = "Tea", text = "Assam"}, "/notes/1"},
      {status, body, fields.location})
    status, body = json("GET", url .. "/1")
    assert.same({200, {id = 1, title = "Tea", text = "Assam"}}, {status, body})
    status, body = json("PUT", url .. "/1", {title = "More tea"})
    assert.same({200, {id = 1, title = "More tea", text = ""}}, {status, body})
    status, body = json("GET", url)
    assert.same({200, {notes = {{id = 1, title = "More tea", text = ""}}}},
      {status, body})
    status, body = json("DELETE", url .. "/1")
    assert.same({204, ""}, {status, body})
    for _, method in ipairs {"GET", "DELETE"} do
      status, body = json(method, url .. "/1")
      assert.same({404, {error = "there is no such note"}}, {status, body})
    end
    status, body = json("PUT", url .. "/1", {title = "x"})
    assert.same({404, {error = "there is no such note"}}, {status, body})
    -- Numbers do not come again.
    assert.equal(2, select(2, json("POST", url, {title = "x"})).id)
  end)

  it("takes any text for text", function()
    local url = serve()
    local text = "it's \"?\" %s ' or 1=1; drop table notes; -- \\\n\195\188"
    local _, note = json("POST", url, {title = text, text = text .. text})
    assert.same({text, text .. text}, {note.title, note.text})
    _, note = json("GET", url .. "/1")
    assert.same({text, text .. text}, {note.title, note.text})
    for _, id in ipairs {"1%27", "-1", "1e0", "0x1", "01x", "9999999999999999",
      "%20"} do
      assert.equal(404, (json("GET", url .. "/" .. id)))
    end
  end)

  it("lists many, a page after the other", function()
    local url = serve()
    local tasks = {}
    for i = 1, 45 do
      tasks[i] = casting.spawn(function()
        return (select(2, json("POST", url, {title = "note " .. i})).id)
      end)
      if i % 9 == 0 then for k = i - 8, i do tasks[k]:await(LONG) end end
    end
    local seen, sizes, after = {}, {}, 0
    repeat
      local _, page = json("GET", ("%s?after=%.0f"):format(url, after))
      sizes[#sizes + 1] = #page.notes
      for _, note in ipairs(page.notes) do seen[note.title] = note.id end
      after = page.next
    until not after
    assert.same({20, 20, 5}, sizes)
    for i = 1, 45 do
      assert.equal(tasks[i]:await(LONG), seen["note " .. i])
    end
    local status, body = json("GET", url .. "?after=x")
    assert.same({400, {error = "after must be a number"}}, {status, body})
  end)

  it("refuses what is no note", function()
    local url = serve()
    for body, why in pairs {["{"] = "the body is no JSON object",
      ["3"] = "the body is no JSON object", ["[]"] = "title must be a text",
      ["{}"] = "title must be a text", ['{"title":""}'] =
        "title must be a text", ['{"title":1}'] = "title must be a text",
      ['{"title":"a\\u0000b"}'] = "title must be a text",
      ['{"title":"a","text":[]}'] = "text must be a text",
      ['{"title":"a","text":null}'] = "text must be a text"} do
      local status, answer = json("POST", url, body)
      assert.same({400, {error = why}}, {status, answer})
    end
    local long = dir .. "/long"
    assert(fs.write(long, '{"title":"' .. ("x"):rep(100000) .. '"}'))
    assert.equal(413, (ask(url, "--data-binary", "@" .. long)))
    local status, _, fields = ask(url .. "/1", "-X", "PATCH")
    assert.same({405, "DELETE, GET, HEAD, PUT"}, {status, fields.allow})
    assert.same({notes = {}}, (select(2, json("GET", url))))
  end)

  it("keeps them when a signal has ended it", function()
    for i, signal in ipairs {"TERM", "INT"} do
      local url, program = serve()
      assert.equal(201, (json("POST", url, {title = signal})))
      assert.equal(i, #select(2, json("GET", url)).notes)
      program:kill(signal)
      assert.same({"exit", 0}, {program:wait(LONG)})
      assert.equal("", program.stderr:read("a", LONG))
    end
  end)

  it("tells why it cannot serve", function()
    local words = command("notes", "--port", "0", dir .. "/none/notes.db")
    words.timeout = LONG
    local status, _, complaint = process.run(words)
    assert.equal(1, status)
    assert.matches("^notes: " .. dir:gsub("%p", "%%%0") ..
      "/none/notes%.db: .*unable to open database file\n$", complaint)
  end)

  it("goes on after a statement that has failed", function()
    local url, program = serve()
    assert.equal(200, (json("GET", url)))
    local db = require("luasql.sqlite3").sqlite3():connect(file)
    assert(db:execute "begin exclusive")
    local status, body = ask(url, "-d", '{"title":"x"}')
    assert.same({500, "internal server error\n"}, {status, body})
    assert(db:execute "commit")
    db:close()
    assert.equal(201, (json("POST", url, {title = "x"})))
    program:kill "TERM"
    assert.same({"exit", 0}, {program:wait(LONG)})
    assert.matches("SQLite: .*database is locked", program.stderr:read "a")
  end)

  it("explains itself, and refuses what it does not know", function()
    local words = command("notes", "--help")
    words.timeout = LONG
    local status, out = process.run(words)
    assert.equal(0, status)
    assert.matches("^usage: notes.lua", out)
    for _, args in ipairs {{}, {"a", "b"}, {"--what", "a"}, {"--port"},
      {"--port", "x", "a"}, {"--port", "65536", "a"}} do
      refuses("notes", helper.unpack(args))
    end
  end)
end)

-- ------------------------------------------------------------ fileserver --

describe("examples/fileserver.lua", function()
  local dir
  before_each(function()
    dir = assert(fs.tempdir())
    assert(fs.mkdir(dir .. "/root/sub", {parents = true}))
    assert(fs.write(dir .. "/secret.txt", "secret"))
    assert(fs.write(dir .. "/root/hello.txt", "Hello, world"))
    assert(fs.write(dir .. "/root/.hidden", "hidden"))
  end)
  after_each(function() assert(fs.remove(dir, {tree = true})) end)
  local function serve(...)
    local program, url = start("fileserver", "--port", "0", dir .. "/root", ...)
    return url, program
  end

  it("serves files, their types and parts of them", function()
    local url = serve()
    local status, body, fields = ask(url .. "/hello.txt")
    assert.same({200, "Hello, world", "text/plain; charset=utf-8"},
      {status, body, fields["content-type"]})
    status, body, fields = ask(url .. "/hello.txt", "-H", "Range: bytes=7-")
    assert.same({206, "world", "bytes 7-11/12"},
      {status, body, fields["content-range"]})
    status, body = ask(url .. "/hello.txt", "--head")
    assert.same({200, ""}, {status, body})
    assert.equal(405, (ask(url .. "/hello.txt", "-d", "x")))
  end)

  it("lists directories with any names in them", function()
    for _, name in ipairs {"<b>&\"'.txt", "50% off?#.txt", "java:script",
      "\195\188.txt"} do
      assert(fs.write(dir .. "/root/sub/" .. name, ("x"):rep(1234)))
    end
    assert(fs.mkdir(dir .. "/root/sub/<i>"))
    local url = serve()
    local status, body, fields = ask(url .. "/sub/")
    assert.same({200, "text/html; charset=utf-8"},
      {status, fields["content-type"]})
    assert.is_nil(body:find("<b>", 1, true))
    assert.is_nil(body:find("<i>", 1, true))
    assert.truthy(body:find("1.2 kB", 1, true))
    assert.truthy(body:find('href="../"', 1, true))
    local seen = 0
    for link in body:gmatch 'href="%./([^"]*)"' do
      assert.equal(200, (ask(url .. "/sub/" .. link)))
      seen = seen + 1
    end
    assert.equal(5, seen)
    local _, _, redirect = ask(url .. "/sub")
    assert.equal("/sub/", redirect.location)
    -- One with a page of its own is not listed.
    assert(fs.write(dir .. "/root/sub/index.html", "a page"))
    assert.equal("a page", (select(2, ask(url .. "/sub/"))))
  end)

  it("shows nothing that is outside or hidden", function()
    local url = serve()
    for _, path in ipairs {"/../secret.txt", "/sub/../../secret.txt",
      "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/sub/..%2f..%2f", "/..",
      "/../", "/%2e%2e/", "/sub/../", "//", "//etc/", "/sub//", "/..\\",
      "/%5c..%5c", "/./", "/.hidden", "/none/", "/none", "/hello.txt/"} do
      local status, body = ask(url .. path, "--path-as-is")
      assert.same({path, 404, "not found\n"}, {path, status, body})
    end
    assert.equal(400, (ask(url .. "/%00", "--path-as-is")))
    local body = select(2, ask(url))
    assert.is_nil(body:find("hidden", 1, true))
    local all = serve "--hidden"
    body = select(2, ask(all))
    assert.truthy(body:find(".hidden", 1, true))
    assert.equal("hidden", (select(2, ask(all .. "/.hidden"))))
    assert.equal(404, (ask(all .. "/../", "--path-as-is")))
  end)

  it("writes a line for each request, and ends with a signal", function()
    local url, program = serve()
    ask(url .. "/hello.txt", "-A", 'a "b"\\', "-e", "http://x/")
    local line = program.stdout:read("l", LONG)
    assert.matches('^127%.0%.0%.1 %- %- %[%d+/%a+/%d+:[%d:]+ %+0000%] ' ..
      '"GET /hello%.txt HTTP/1%.1" 200 12 "http://x/" ' ..
      '"a \\x22b\\x22\\x5c"$', line)
    ask(url .. "/none")
    assert.matches('" 404 10 ', (program.stdout:read("l", LONG)))
    program:kill "TERM"
    assert.same({"exit", 0}, {program:wait(LONG)})
    assert.same({"", ""}, {program.stdout:read("a", LONG),
      program.stderr:read("a", LONG)})
  end)

  it("explains itself, and refuses what it does not know", function()
    local status, out = kit.run("fileserver", "--help")
    assert.equal(0, status)
    assert.matches("^usage: fileserver.lua", out)
    for _, args in ipairs {{"a", "b"}, {"--what"}, {"--port"}, {"--port", "x"},
      {"--port", "65536"}, {"--sessions", "0"}, {"--sessions", "1.5"}} do
      refuses("fileserver", helper.unpack(args))
    end
    local complaint
    status, out, complaint = kit.run("fileserver", "--port", "0", dir .. "/no")
    assert.same({1, ""}, {status, out})
    assert.matches("^fileserver: .*/no: .*no such file", complaint)
    status, out, complaint = kit.run("fileserver", dir .. "/secret.txt")
    assert.same({1, "", "fileserver: " .. dir ..
      "/secret.txt: not a directory\n"}, {status, out, complaint})
  end)
end)
