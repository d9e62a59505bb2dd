-- files_spec.lua - files as responses: conditions, ranges, directories.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local fs = require "casting.fs"
local http = require "casting.http"
local net = require "casting.net"
local parse_date = require "casting.http.date"
local LONG = helper.LONG

local root, listener

local function serve(handler, options)
  listener = assert(net.listen("127.0.0.1", 0))
  casting.spawn(http.serve, listener, handler, options)
end

before_each(function() root = assert(fs.tempdir()) end)
after_each(function()
  if listener then listener:close() end
  listener = nil
  assert(fs.remove(root, {tree = true}))
end)

local function spit(name, text)
  assert(fs.mkdir((root .. "/" .. name):match "^(.*)/", {parents = true}))
  assert(fs.write(root .. "/" .. name, text))
end

-- Asks for a target with these fields: the status, the fields, the body.
local function get(target, fields, method)
  local stream = assert(net.connect("127.0.0.1", select(2, listener:name())))
  local lines = {(method or "GET") .. " " .. target .. " HTTP/1.1",
    "Host: a", "Connection: close"}
  for name, value in pairs(fields or {}) do
    lines[#lines + 1] = name .. ": " .. value
  end
  stream:write(table.concat(lines, "\r\n") .. "\r\n\r\n")
  local all, why, rest = stream:read("a", LONG)
  stream:close()
  local head, body = (all or rest or why):match "^(.-)\r\n\r\n(.*)$"
  local got = {}
  for name, value in head:gmatch "\r\n([^:]*): ([^\r]*)" do
    got[name:lower()] = value
  end
  return tonumber(head:match "^HTTP/1.1 (%d%d%d)"), got, body
end

local function statuses(list)
  local got = {}
  for i, target in ipairs(list) do got[i] = (get(target)) end
  return got
end

-- The files that are opened in f(...), whatever comes of that.
local function opened_in(f, ...)
  local open, files = fs.open, {}
  function fs.open(...)
    local file, why = open(...)
    files[#files + 1] = file
    return file, why
  end
  pcall(f, ...)
  fs.open = open
  return files
end

describe("a file that is sent", function()
  it("is closed when that is cancelled", function()
    spit("big", ("x"):rep(20000000))
    local done = casting.channel()
    serve(function(_, res)
      res.headers["X-A"] = "a"
      local own = res.headers
      local files = opened_in(casting.with_timeout, 0.02, res.send_file, res,
        root .. "/big")
      done:send {#files, files[1]:close(), res.headers == own}
    end)
    local stream = assert(net.connect("127.0.0.1", select(2, listener:name())))
    stream:write "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert.same({1, false, true}, (done:receive(LONG)))
    stream:close()
  end)
end)

describe("http.files", function()
  it("answers with files and what they are", function()
    spit("a.html", "<p>")
    spit("sub/b.bin.unknown", "\0\1")
    spit("empty.TXT", "")
    serve(http.files(root))
    local status, fields, body = get "/a.html?x=1"
    assert.same({200, "<p>", "3", "text/html; charset=utf-8", "bytes"},
      {status, body, fields["content-length"], fields["content-type"],
        fields["accept-ranges"]})
    assert.matches('^"%x+%-%x+"$', fields.etag)
    assert.is_number(parse_date(fields["last-modified"]))
    status, fields, body = get "/sub/b.bin.unknown"
    assert.same({200, "\0\1", "application/octet-stream"},
      {status, body, fields["content-type"]})
    status, fields, body = get "/empty.TXT"
    assert.same({200, "", "0", "text/plain; charset=utf-8"},
      {status, body, fields["content-length"], fields["content-type"]})
  end)

  it("answers HEAD without a body, and nothing else but GET", function()
    spit("a", ("x"):rep(100000))
    spit("b", "small")
    serve(http.files(root))
    for name, size in pairs {a = "100000", b = "5"} do
      local status, fields, body = get("/" .. name, nil, "HEAD")
      assert.same({200, size, ""}, {status, fields["content-length"], body})
    end
    local status, fields = get("/b", nil, "POST")
    assert.same({405, "GET, HEAD"}, {status, fields.allow})
  end)

  it("sends large files in pieces, whole", function()
    local text = ("0123456789abcdef"):rep(100000)
    spit("large", text)
    for _, cache in ipairs {false, 10} do
      serve(http.files(root, {cache = cache or nil}))
      local status, fields, body = get "/large"
      assert.same({200, tostring(#text)}, {status, fields["content-length"]})
      assert.is_true(body == text)
      listener:close()
    end
  end)

  it("never leaves its directory, and hides files with a dot", function()
    spit("in/a", "inside")
    spit("secret", "outside")
    spit("in/.hidden", "hidden")
    spit("in/.git/config", "hidden")
    spit("in/.well-known/x", "known")
    spit("in/b\\c", "backslash")
    serve(http.files(root .. "/in/"))
    assert.same({200, 200, 200}, statuses {"/a", "/%61", "/.well-known/x"})
    assert.same({404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 400, 404,
      404}, statuses {"/../secret", "/%2e%2e/secret", "/..%2fsecret",
      "/.%2e%2fsecret", "/sub/../../secret", "//a", "/./a", "/.hidden",
      "/.git/config", "/b%5cc", "/a%00", "/a/", "/a/.."})
    listener:close()
    serve(http.files(root .. "/in", {dotfiles = true}))
    assert.same({200, 200, 404, 404},
      statuses {"/.hidden", "/.git/config", "/..", "/../secret"})
  end)

  it("answers for directories with their index", function()
    spit("index.html", "top")
    spit("sub/index.html", "below")
    spit("none/a", "a")
    serve(http.files(root))
    assert.equal("top", select(3, get "/"))
    local status, fields = get "/sub?a=b"
    assert.same({301, "/sub/?a=b"}, {status, fields.location})
    status, fields = get "http://a/sub"
    assert.same({301, "/sub/"}, {status, fields.location})
    assert.equal("below", select(3, get "/sub/"))
    assert.same({404, 404, 404},
      statuses {"/none/", "//sub", "/%2fsub"})
    listener:close()
    serve(http.files(root, {index = false}))
    assert.same({404, 200}, statuses {"/", "/index.html"})
  end)

  it("has fields, types, an age and an answer for what is missing", function()
    spit("a.x", "a")
    spit("b.y", "b")
    serve(http.files(root, {types = {x = "text/x"}, max_age = 60,
      headers = {["X-A"] = "1"}, missing = function(req, res)
        res.status = 404
        res:write("no " .. req.path)
      end}))
    local status, fields = get "/a.x"
    assert.same({200, "text/x", "max-age=60", "1"}, {status,
      fields["content-type"], fields["cache-control"], fields["x-a"]})
    assert.equal("application/octet-stream",
      select(2, get "/b.y")["content-type"])
    assert.equal("no /c", select(3, get "/c"))
  end)

  it("has the program's fields, however they are spelled", function()
    spit("a.txt", "a")
    spit("b.GLB", "b")
    local headers = {["content-TYPE"] = "x/y", ["cache-control"] = "no-store",
      ETAG = 'W/"mine"', ["last-modified"] = "Sun, 06 Nov 1994 08:49:37 GMT"}
    local o = {headers = headers, max_age = 5, types = {GLB = "model/x"}}
    local handler = http.files(root, o)
    serve(function(req, res)
      if req.path == "/b.GLB" then
        res.headers["Etag"] = '"b"'
        headers["content-TYPE"] = nil
      end
      return handler(req, res)
    end)
    local stream = assert(net.connect("127.0.0.1", select(2, listener:name())))
    stream:write "GET /a.txt HTTP/1.0\r\n\r\n"
    local head = stream:read_until("\r\n\r\n", 9999, LONG)
    stream:close()
    for _, line in ipairs {"content-TYPE: x/y", "cache-control: no-store",
      'ETAG: W/"mine"', "last-modified: Sun, 06 Nov 1994 08:49:37 GMT"} do
      local name = line:match "^[^:]*":lower()
      local _, n = ("\n" .. head:lower()):gsub("\n" .. name:gsub("%-", "%%-") ..
        ":", "")
      assert.same({line, 1}, {line, n})
      assert.is_truthy(head:find("\r\n" .. line .. "\r\n", 1, true))
    end
    -- Conditions are about these.
    assert.equal(304, (get("/a.txt", {["If-None-Match"] = 'W/"mine"'})))
    assert.equal(304, (get("/a.txt", {["If-None-Match"] = '"mine"'})))
    assert.equal(412, (get("/a.txt", {["If-Match"] = 'W/"mine"'})))
    assert.equal(304, (get("/a.txt", {["If-Modified-Since"] =
      "Sun, 06 Nov 1994 08:49:37 GMT"})))
    local status, fields = get("/b.GLB", {["If-None-Match"] = '"b"'})
    assert.same({304, '"b"', "model/x"},
      {status, fields.etag, fields["content-type"]})
    status, fields = get("/b.GLB", {["If-None-Match"] = 'W/"mine"'})
    assert.same({200, '"b"'}, {status, fields.etag})
  end)

  it("has an age in whole seconds, not too large", function()
    spit("a", "a")
    for age, text in pairs {[0.5] = "0", [59.9] = "59",
      [math.huge] = "2147483648"} do
      serve(http.files(root, {max_age = age}))
      local status, fields = get "/a"
      assert.same({200, "max-age=" .. text}, {status, fields["cache-control"]})
      listener:close()
    end
  end)

  it("writes no type that would be another field", function()
    spit("a.x", "a")
    for _, kind in ipairs {"a/b\r\nSet-Cookie: c=d", "a\nb", "a\0b", 7, {}} do
      local failed = casting.channel(1)
      casting.on_error(failed)
      serve(http.files(root, {types = {x = kind}, cache = 60}))
      local status, fields = get "/a.x"
      assert.same({500, nil}, {status, fields["set-cookie"]})
      assert.matches("types: that of 'x' must be one line",
        (failed:receive(LONG)).error)
      casting.on_error(nil)
      listener:close()
    end
  end)

  it("looks for reasons behind the path only", function()
    spit("x: is a directory/a", "a")
    serve(http.files(root))
    assert.same({404, 404, 404, 404, 301}, statuses {"/permission%20denied",
      "/x:%20permission%20denied", "/is%20a%20directory",
      "/is%20a%20directory/x", "/x:%20is%20a%20directory"})
  end)

  -- Calls f while files are what `change` makes of them, as a path and a file.
  local function with_files(change, f)
    local real = fs.open
    local ok, e = pcall(function()
      fs.open = function(path, ...)
        local file, why = real(path, ...)
        if not file then return nil, why end
        return change(path, file)
      end
      return f()
    end)
    fs.open = real
    if not ok then error(e, 0) end
  end

  -- The file, with other things said of it.
  local function said_of(file, what)
    return {read = function(_, ...) return file:read(...) end,
      close = function() return file:close() end,
      stat = function()
        local found = file:stat()
        for k, v in pairs(what) do found[k] = v end
        return found
      end}
  end

  it("sends what is not as long as it was said to be", function()
    spit("a", "0123456789")
    for _, o in ipairs {{}, {cache = 60}} do
      for size, text in pairs {[10] = "0123456789", [4096] = "0123456789",
        [4] = "0123", [0] = ""} do
        with_files(function(_, file) return said_of(file, {size = size}) end,
          function()
            serve(http.files(root, o))
            for _ = 1, 2 do
              local status, fields, body = get "/a"
              assert.same({200, tostring(#text), text},
                {status, fields["content-length"], body})
            end
            listener:close()
          end)
      end
    end
  end)

  it("sends what was changed at a time that no date can tell", function()
    spit("a", "a")
    for _, time in ipairs {-1e12, 1e12, 1e17, -1.5} do
      with_files(function(_, file) return said_of(file, {modified = time}) end,
        function()
          serve(http.files(root))
          local status, fields = get "/a"
          assert.same({200, time == -1.5 and "Wed, 31 Dec 1969 23:59:58 GMT"},
            {status, fields["last-modified"] or false})
          assert.equal(304, (get("/a", {["If-None-Match"] = fields.etag})))
          assert.equal(time == -1.5 and 304 or 200, (get("/a",
            {["If-Modified-Since"] = "Sun, 06 Nov 1994 08:49:37 GMT"})))
          listener:close()
        end)
    end
  end)

  it("does not say that nothing is there when it cannot look", function()
    spit("a", "a")
    local failed = casting.channel(1)
    casting.on_error(failed)
    with_files(function(path, file)
      file:close()
      return nil, path .. ": too many open files"
    end, function()
      serve(http.files(root))
      assert.equal(500, (get "/a"))
    end)
    assert.matches("too many open files", (failed:receive(LONG)).error)
    casting.on_error(nil)
  end)

  it("keeps its fields from handlers that go on after an error", function()
    spit("a", "kept")
    for _, o in ipairs {{}, {cache = 60}} do
      local files, after = http.files(root, o), casting.channel(1)
      serve(function(req, res)
        if req.path ~= "/a" then return end
        if req.query.bad then
          if req.query.bad == "own" then res.headers["X-Own"] = "1" end
          local headers = res.headers
          res.finish = function() error("not now", 0) end
          res.write = res.finish
          local ok, e = pcall(files, req, res)
          res.finish, res.write = nil, nil
          after:send {ok, e, res.status, res.headers == headers}
          res.headers["Set-Cookie"] = "secret"
          return res:write "sorry"
        end
        return files(req, res)
      end)
      for _, how in ipairs {"plain", "own"} do
        assert.equal("kept", select(3, get "/a"))
        local status, fields, body = get("/a?bad=" .. how)
        assert.same({200, "secret", "sorry"},
          {status, fields["set-cookie"], body})
        assert.is_nil(fields.etag)
        assert.same({false, "not now", 200, true}, (after:receive(LONG)))
        status, fields, body = get("/a?bad=" .. how, {Range = "bytes=0-0"})
        assert.same({200, "secret", "sorry"},
          {status, fields["set-cookie"], body})
        assert.is_nil(fields["content-range"])
        assert.same({false, "not now", 200, true}, (after:receive(LONG)))
        status, fields, body = get "/a"
        assert.same({200, "kept"}, {status, body})
        assert.is_nil(fields["set-cookie"])
      end
      listener:close()
    end
  end)

  it("works in several sessions", function()
    spit("a", "all")
    serve(http.files(root, {cache = 1}), {sessions = 2})
    for _ = 1, 6 do assert.equal("all", select(3, get "/a")) end
  end)

  it("keeps small files, for a while", function()
    local path = root .. "/a"
    spit("a", "first")
    serve(http.files(root, {cache = 1e6}))
    assert.equal("first", select(3, get "/a"))
    assert(fs.write(path, "second"))
    assert.equal("first", select(3, get "/a"))
    listener:close()
    serve(http.files(root, {cache = 1e-9}))
    assert.equal("second", select(3, get "/a"))
    assert(fs.write(path, "the third"))
    assert.equal("the third", select(3, get "/a"))
  end)

  it("forgets what it keeps when that is much", function()
    serve(http.files(root, {cache = 1e6}))
    for i = 1, 300 do
      spit("f" .. i, ("x"):rep(60000))
      assert.equal(60000, #select(3, get("/f" .. i)))
    end
    assert.equal(60000, #select(3, get "/f1"))
  end)

  it("refuses bad arguments", function()
    local function refuses(text, ...)
      local ok, e = pcall(http.files, ...)
      assert.is_false(ok)
      assert.matches(text, e, 1, true)
    end
    refuses("bad argument #1 to 'files' (path of a directory expected, got nil")
    refuses("path of a directory expected, got \"\"", "")
    refuses("unknown option 'x'", root, {x = 1})
    refuses("cache must be a number of seconds above zero", root, {cache = 0})
    refuses("index must be the name of a file or false", root, {index = "a/b"})
    refuses("types must be a table", root, {types = 1})
    refuses("headers: the header field 'a' must be one line", root,
      {headers = {a = "b\r\nc"}})
  end)
end)

describe("conditions", function()
  local tag, date
  before_each(function()
    spit("a", "0123456789")
    serve(http.files(root))
    local _, fields = get "/a"
    tag, date = fields.etag, fields["last-modified"]
  end)
  local OLD = "Sun, 06 Nov 1994 08:49:37 GMT"
  local LATE = "Sun, 06 Nov 2094 08:49:37 GMT"

  local function check(status, fields, method)
    local got, _, body = get("/a", fields, method)
    assert.equal(status, got)
    if status == 304 then assert.equal("", body) end
  end

  it("If-None-Match", function()
    check(304, {["If-None-Match"] = tag})
    check(304, {["If-None-Match"] = "W/" .. tag})
    check(304, {["If-None-Match"] = '"x", ' .. tag})
    check(304, {["If-None-Match"] = "*"})
    check(304, {["If-None-Match"] = tag}, "HEAD")
    check(200, {["If-None-Match"] = '"x"'})
    check(200, {["If-None-Match"] = tag:sub(2, -2)})
    -- The date is not looked at beside a tag.
    check(200, {["If-None-Match"] = '"x"', ["If-Modified-Since"] = LATE})
  end)

  it("If-Modified-Since", function()
    check(304, {["If-Modified-Since"] = date})
    check(304, {["If-Modified-Since"] = LATE})
    check(200, {["If-Modified-Since"] = OLD})
    check(200, {["If-Modified-Since"] = "yesterday"})
  end)

  it("If-Match", function()
    check(200, {["If-Match"] = tag})
    check(200, {["If-Match"] = "*"})
    check(412, {["If-Match"] = "W/" .. tag})
    check(412, {["If-Match"] = '"x"'})
    check(200, {["If-Match"] = tag, ["If-Unmodified-Since"] = OLD})
  end)

  it("If-Unmodified-Since", function()
    check(200, {["If-Unmodified-Since"] = date})
    check(412, {["If-Unmodified-Since"] = OLD})
    check(200, {["If-Unmodified-Since"] = "yesterday"})
  end)

  it("If-Range", function()
    check(206, {Range = "bytes=1-2", ["If-Range"] = tag})
    check(206, {Range = "bytes=1-2", ["If-Range"] = date})
    check(200, {Range = "bytes=1-2", ["If-Range"] = '"x"'})
    check(200, {Range = "bytes=1-2", ["If-Range"] = "W/" .. tag})
    check(200, {Range = "bytes=1-2", ["If-Range"] = LATE})
  end)

  it("come with the fields of the file", function()
    local _, fields = get("/a", {["If-None-Match"] = tag})
    assert.equal(tag, fields.etag)
    assert.is_nil(fields["content-length"])
  end)
end)

describe("ranges", function()
  local function check(expected, range, size)
    local status, fields, body = get("/a", {Range = range})
    assert.same(expected, {status, fields["content-range"], body})
    if size then assert.equal(size, fields["content-length"]) end
  end

  local function both(name, f)
    for _, cache in ipairs {false, 10} do
      it(name .. (cache and ", of what is kept" or ""), function()
        spit("a", "0123456789")
        serve(http.files(root, {cache = cache or nil}))
        f()
      end)
    end
  end

  both("of one part", function()
    check({206, "bytes 0-0/10", "0"}, "bytes=0-0", "1")
    check({206, "bytes 2-4/10", "234"}, "bytes=2-4")
    check({206, "bytes 5-9/10", "56789"}, "bytes=5-")
    check({206, "bytes 5-9/10", "56789"}, "Bytes= 5-99 ")
    check({206, "bytes 7-9/10", "789"}, "bytes=-3")
    check({206, "bytes 0-9/10", "0123456789"}, "bytes=-30")
    check({206, "bytes 9-9/10", "9"}, "bytes=20-30, 9-9")
  end)

  both("that there are not", function()
    check({416, "bytes */10", ""}, "bytes=10-")
    check({416, "bytes */10", ""}, "bytes=-0")
    check({416, "bytes */10", ""}, "bytes=10-11,12-")
  end)

  both("that are no wish to be met", function()
    local all = "0123456789"
    for _, range in ipairs {"bytes=", "bytes=a-b", "bytes=3-2", "lines=0-1",
      "bytes=1", "bytes=-", "bytes=0-1,x", "bytes=0-8,1-9", "0-1",
      "bytes=" .. ("0-0,"):rep(20), "bytes=0-99999999999999999"} do
      local status, fields, body = get("/a", {Range = range})
      assert.same({200, all}, {status, body})
      assert.is_nil(fields["content-range"])
    end
    assert.equal(200, (get("/a", {Range = "bytes=0-1"}, "HEAD")))
  end)

  both("of several parts", function()
    local status, fields, body = get("/a", {Range = "bytes=0-1, 4-4,-2"})
    assert.equal(206, status)
    local mark = fields["content-type"]:match
      "^multipart/byteranges; boundary=(%w+)$"
    assert.equal(tostring(#body), fields["content-length"])
    local parts = {}
    for range, text in body:gmatch("\r\n%-%-" .. mark ..
      "\r\nContent%-Type: application/octet%-stream\r\n" ..
      "Content%-Range: (bytes [^\r]*)\r\n\r\n(%d+)") do
      parts[#parts + 1] = range .. ": " .. text
    end
    assert.same({"bytes 0-1/10: 01", "bytes 4-4/10: 4", "bytes 8-9/10: 89"},
      parts)
    assert.matches("\r\n%-%-" .. mark .. "%-%-\r\n$", body)
  end)
end)

describe("a range", function()
  it("with a million blanks in it is looked at once", function()
    spit("a", "0123456789")
    serve(http.files(root), {max_header = 8000000})
    local blanks = (" \t"):rep(500000)
    local status, _, body = get("/a", {Range = "bytes=1" .. blanks .. "1"})
    assert.same({200, "0123456789"}, {status, body})
    status, _, body = get("/a", {Range = "bytes=" .. blanks .. "1-2" .. blanks})
    assert.same({206, "12"}, {status, body})
  end)
end)

describe("response:send_file", function()
  it("sends a file, with the fields and the status of the handler", function()
    spit("page.html", "gone")
    serve(function(_, res)
      res.status = 410
      res.headers["x-a"] = "1"
      res.headers["content-type"] = "text/x"
      assert(res:send_file(root .. "/page.html"))
    end)
    local status, fields, body = get("/", {Range = "bytes=0-0"})
    assert.same({410, "1", "text/x", "gone"},
      {status, fields["x-a"], fields["content-type"], body})
  end)

  it("tells why it did not, so that the handler can answer", function()
    serve(function(_, res)
      local ok, why = res:send_file(root .. "/none")
      local also, reason = res:send_file(root)
      res:write {tostring(ok), why:match ": .*", "; ", tostring(also),
        reason:match ": .*"}
    end)
    local _, _, body = get "/"
    assert.equal("nil: no such file or directory; nil: is a directory", body)
  end)

  it("refuses bad arguments, and a response that has begun", function()
    local got = casting.channel(10)
    serve(function(_, res)
      for _, t in ipairs {{}, {1}, {"a", {x = 1}}, {"a", {types = 1}}} do
        got:send(select(2, pcall(res.send_file, res, t[1], t[2])))
      end
      res:write "x"
      got:send(select(2, pcall(res.send_file, res, root .. "/a")))
    end)
    get "/"
    assert.matches("path of a file expected, got nil", (got:receive(LONG)))
    assert.matches("path of a file expected, got number", (got:receive(LONG)))
    assert.matches("unknown option 'x'", (got:receive(LONG)))
    assert.matches("types must be a table", (got:receive(LONG)))
    assert.matches("a response that has begun", (got:receive(LONG)))
  end)

  it("ends the connection of who would take a part for the whole", function()
    spit("a", ("x"):rep(300000))
    local failed = casting.channel(1)
    casting.on_error(failed)
    serve(function(_, res)
      local write = res.write
      res.write = function(self, data) -- the file is cut while it is sent
        assert(fs.write(root .. "/a", "x"))
        return write(self, data)
      end
      res:send_file(root .. "/a")
    end)
    local _, fields, body = get "/"
    assert.equal("300000", fields["content-length"])
    assert.is_true(#body < 300000)
    assert.matches("it has changed", (failed:receive(LONG)).error)
    casting.on_error(nil)
  end)
end)

describe("dates of HTTP", function()
  it("are read in three forms", function()
    for _, text in ipairs {"Sun, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"} do
      assert.equal(784111777, parse_date(text))
    end
    for _, at in ipairs {0, 951782399, 951782400, 1709251199, 4102444800} do
      assert.equal(at, parse_date(http.date(at)))
    end
  end)

  it("are read where there is no os.date", function()
    local date = os.date
    os.date = nil -- luacheck: ignore
    local ok, at = pcall(parse_date, "Sunday, 06-Nov-94 08:49:37 GMT")
    os.date = date -- luacheck: ignore
    assert.same({true, 784111777}, {ok, at})
    local year = tonumber(date "!%Y")
    for _, ahead in ipairs {1, 48, -1, -48} do
      at = parse_date(("Sunday, 06-Nov-%02d 08:49:37 GMT"):format(
        (year + ahead) % 100))
      assert.equal(year + ahead, tonumber(date("!%Y", at)))
    end
  end)

  it("have years of four digits", function()
    assert.equal("Mon, 01 Jan 0001 00:00:00 GMT", http.date(-62135596800))
    assert.equal("Fri, 31 Dec 9999 23:59:59 GMT", http.date(253402300799))
    assert.equal("Thu, 01 Jan 1970 00:00:00 GMT", http.date(0.9))
    assert.equal("Wed, 31 Dec 1969 23:59:59 GMT", http.date(-0.1))
    for _, none in ipairs {253402300800, -62135596801, 67767976233532799, 1e300,
      math.huge, -math.huge, 0 / 0} do
      local ok, e = pcall(http.date, none)
      assert.is_false(ok)
      assert.matches("bad argument #1 to '?.-'? ?%(a time in the years 1 to " ..
        "9999 expected%)", e)
    end
  end)

  it("that are none are nil", function()
    for _, text in ipairs {"", "x", "Sun, 06 Nov 1994 08:49:37",
      "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
      "Sun, 06 Foo 1994 08:49:37 GMT", " Sun, 06 Nov 1994 08:49:37 GMT"} do
      assert.is_nil(parse_date(text))
    end
  end)
end)
