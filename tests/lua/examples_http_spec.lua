-- examples_http_spec.lua - the programs of examples/ on casting.http, asked by
-- curl.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local fs, process = require "casting.fs", require "casting.process"
local LONG = helper.LONG

local function why_not()
  if not helper.has_children() then
    return "no other program can be started here"
  elseif not pcall(require, "casting.http") then
    return "casting.http is not built"
  elseif process.run {"sh", "-c", "command -v curl"} ~= 0 then
    return "needs curl"
  end
end

local missing = why_not()
if missing then
  describe("examples on casting.http", function() pending(missing) end)
  return
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The command that runs examples/NAME.lua; its output comes line by line.
local function command(name, ...)
  local words = {"exec", helper.command(), "-e",
    quote 'io.stdout:setvbuf "line"', "examples/" .. name .. ".lua"}
  for _, word in ipairs {...} do words[#words + 1] = quote(word) end
  return {"sh", "-c", table.concat(words, " ")}
end

-- Starts one that serves: the program, and the URL that it prints.
local programs = {}
local function start(name, ...)
  local words = command(name, ...)
  words.stdout, words.stderr = "pipe", "pipe"
  local program = assert(process.spawn(words))
  programs[#programs + 1] = program
  local url = program.stdout:read("l", LONG)
  if not url then error(program.stderr:read("a", LONG), 2) end
  return program, url:match "^http://[%d.:]+"
end
after_each(function()
  for i = #programs, 1, -1 do
    programs[i]:kill "KILL"
    programs[i]:wait(LONG)
    programs[i] = nil
  end
end)

-- Asks for one thing, with more options of curl: the status, the body, and the
-- fields of the header with names in lower case.
local function ask(url, ...)
  local status, out, complaint = process.run {"curl", "-sSi", "--max-time",
    tostring(LONG), url, timeout = 2 * LONG, ...}
  if status ~= 0 then error(url .. ": " .. complaint, 2) end
  local head, body = out:match "^(.-\r\n)\r\n(.*)$"
  local fields = {}
  for name, value in head:gmatch "\n([^:\r]+): ([^\r]*)" do
    fields[name:lower()] = value
  end
  return tonumber(head:match "^HTTP/1.1 (%d+)"), body, fields
end

-- Wrong words: the status is 2, with a complaint and how it is used.
local function refuses(name, ...)
  local words = command(name, ...)
  words.timeout = LONG
  local status, out, complaint = process.run(words)
  assert.same({2, ""}, {status, out})
  assert.matches("^" .. name .. ": [^\n]*\nusage: " .. name, complaint)
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
