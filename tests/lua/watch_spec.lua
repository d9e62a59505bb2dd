-- watch_spec.lua - fs.watch: what happens in directories.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG
local fs = require "casting.fs"

local first, unsupported = fs.watch "/"
if first then first:close() end -- these are counted
if unsupported then
  describe("fs.watch", function()
    it("says where the system has nothing like it", function()
      assert.equal("/: operation not supported", unsupported)
    end)
  end)
  return
end

if not helper.has_children() then
  describe("fs.watch", function()
    pending "no other program can be started here"
  end)
  return
end

local watching = require "watching"
local told, sh, lines_of = watching.told, watching.sh, watching.lines_of
local count_watched, count_watchers =
  watching.count_watched, watching.count_watchers
local quote = watching.quote

local dir
local function make_directory() dir = watching.make_directory() end
local remove_directory = watching.remove_directory

describe("fs.watch", function()
  before_each(make_directory)
  after_each(remove_directory)

  for _, place in ipairs(helper.places) do
    it("tells what happens, in " .. place[1], function()
      local list = place[2](function(dir)
        local watch = assert(require "casting.fs".watch(dir))
        local file = assert(io.open(dir .. "/a", "w"))
        file:write "text"
        file:close()
        os.rename(dir .. "/a", dir .. "/b")
        os.remove(dir .. "/b")
        local list = {}
        for i = 1, 5 do
          local event = watch:next()
          list[i] = {event.kind, event.path, event.from, event.type}
        end
        list[6] = select(2, watch:next(0))
        list[7] = watch:close()
        return list
      end, dir)
      local a, b = dir .. "/a", dir .. "/b"
      assert.same({{"made", a}, {"changed", a}, {"written", a},
        {"moved", b, a}, {"removed", b}, "timeout", true}, list)
    end)
  end

  it("watches several paths, and takes more and fewer", function()
    sh "mkdir a b c"
    local watch = assert(fs.watch {dir .. "/a", dir .. "/b/"})
    sh "touch a/1 b/2 c/3; mkdir b/sub"
    assert.is_true(watch:add(dir .. "/c"))
    assert.same({"made a/1", "attributes a/1", "written a/1", "made b/2",
      "attributes b/2", "written b/2", "made b/sub/"},
      told(watch, dir .. "/c"))
    assert.is_true(watch:drop(dir .. "/b"))
    assert.is_false(watch:drop(dir .. "/b"))
    assert.is_false(watch:drop(dir .. "/b/sub"))
    sh "rm b/2 c/3"
    assert.same({"removed c/3"}, told(watch, dir .. "/c"))
    watch:close()
  end)

  it("says what cannot be watched", function()
    local before = count_watchers()
    local none = dir .. "/none"
    assert.same(pack(nil, none .. ": no such file or directory"),
      pack(fs.watch(none)))
    assert.same(pack(nil, none .. ": no such file or directory"),
      pack(fs.watch({dir, none}, {tree = true})))
    local watch = fs.watch(dir)
    sh "touch file"
    assert.same(pack(nil, dir .. "/file/: not a directory"),
      pack(watch:add(dir .. "/file/")))
    watch:close()
    assert.same(pack(nil, "closed"), pack(watch:add(dir)))
    assert.equal(before, count_watchers())
  end)

  it("is an iterator, which ends when it is closed", function()
    local watch = fs.watch(dir)
    sh "mkdir a; mkdir b"
    local names = {}
    for event in watch do
      names[#names + 1] = event.path
      if #names == 2 then watch:close() end
    end
    assert.same({dir .. "/a", dir .. "/b"}, names)
    assert.is_false(watch:close())
    assert.same(pack(nil, "closed"), pack(watch:next(0)))
  end)

  it("lets others run while a task waits", function()
    local watch = fs.watch(dir)
    local task = casting.spawn(function() return watch:next(LONG) end)
    helper.until_waiting(task)
    local report = casting.report()
    assert.matches("watching " .. dir:gsub("%p", "%%%0") .. " for", report)
    sh "mkdir x"
    assert.same({kind = "made", path = dir .. "/x", type = "directory"},
      task:await(LONG))
    local began = casting.now()
    assert.same(pack(nil, "timeout"), pack(watch:next(0.02)))
    assert.is_true(casting.now() - began >= 0.015)
    watch:close()
  end)

  it("is for one task at a time", function()
    local watch = fs.watch(dir)
    local task = casting.spawn(function() return watch:next(LONG) end)
    helper.until_waiting(task)
    helper.misuse(function() watch:next(0) end, "next: another task is waiting")
    watch:close()
    assert.same(pack(nil, "closed"), pack(task:await(LONG)))
  end)

  it("loses nothing when a task that waits is cancelled", function()
    local watch = fs.watch(dir, {tree = true})
    for i = 1, 8 do
      local task = casting.spawn(function() return watch:next() end)
      helper.until_waiting(task)
      task:cancel()
      sh(("mkdir -p %d/sub; mkdir %d/x"):format(i, i))
      assert.is_false((task:join(LONG)))
      task = casting.spawn(function() return watch:next() end)
      casting.yield() -- an event, or a helper looks at what is new
      task:cancel()
      local ok, event = task:join(LONG)
      if ok then assert.equal(dir .. "/" .. i, event.path) end
      local list = told(watch)
      if not ok then assert.equal(i .. "/", table.remove(list, 1):sub(6)) end
      table.sort(list)
      assert.same({("made %d/sub/"):format(i), ("made %d/x/"):format(i)}, list)
    end
    watch:close()
  end)

  it("stays in its session", function()
    local watch = fs.watch(dir)
    local channel = casting.channel(1)
    helper.misuse(function() channel:send(watch) end,
      "a watch is used in its own session only")
    local box = casting.session()
    helper.misuse(function()
      box:spawn(function() return watch end)
    end, "a watch is used in its own session only")
    assert.is_true(box:close(LONG))
    sh "mkdir x"
    assert.same({"made x/"}, told(watch))
    watch:close()
  end)

  it("has a text, and to-be-closed variables", function()
    local watch = fs.watch(dir)
    assert.equal("watch: " .. dir, tostring(watch))
    assert.equal("casting.watch", getmetatable(watch))
    watch:close()
    assert.equal("watch (closed)", tostring(watch))
    if helper.version < "5.4" then return end
    local closed = (load or loadstring)([[
      local watch
      do local w <close> = ...; watch = w end
      return watch:close()
    ]])(fs.watch(dir))
    assert.is_false(closed)
  end)

  it("refuses what is wrong", function()
    local watch = fs.watch(dir)
    helper.misuse(function() fs.watch() end, "'watch'", "paths expected")
    helper.misuse(function() fs.watch {} end, "'watch'", "no path")
    helper.misuse(function() fs.watch {dir, 1} end, "'watch'", "string")
    helper.misuse(function() fs.watch "a\0b" end, "'watch'", "zero byte")
    helper.misuse(function() fs.watch(dir, {trees = true}) end, "#2", "trees")
    helper.misuse(function() fs.watch(dir, {tree = 1}) end, "#2", "boolean")
    helper.misuse(function() watch:next(-1) end, "'next'", "timeout")
    helper.misuse(function() watch:next "x" end, "'next'", "timeout")
    helper.misuse(function() watch:add(1) end, "'add'", "string")
    helper.misuse(function() watch:add "a\0b" end, "'add'", "zero byte")
    helper.misuse(function() watch:drop {} end, "'drop'", "string")
    helper.misuse(function() watch.next({}) end, "'next'", "watch expected")
    helper.misuse(function() watch.close "x" end, "'close'", "watch expected")
    watch:close()
  end)

  it("is not for a sandbox without it", function()
    local box = casting.session {sandbox = true}
    assert.matches("casting.fs is not available in a sandbox",
      select(2, box:spawn(function()
        return require "casting".fs
      end):join(LONG)))
    assert.is_true(box:close(LONG))
    box = casting.session {sandbox = true, libs = {"casting.fs"}}
    assert.same(pack(nil, "timeout"), pack(box:spawn(function(dir)
      return require "casting.fs".watch(dir):next(0)
    end, dir):await(LONG)))
    assert.is_true(box:close(LONG))
  end)

  it("takes the number of no standard stream", function()
    local script = helper.spit(dir .. "/script.lua", ([[
      local watch = assert(require "casting.fs".watch %q)
      print(io.popen "ls -l /proc/$PPID/fd/[012]":read "*a":match "inotify")
      watch:close()
    ]]):format(dir))
    assert.same({"nil"}, lines_of(helper.command() .. " " .. quote(script) ..
      " <&-"))
  end)

  it("is closed with its session, and by the collector", function()
    collectgarbage()
    collectgarbage()
    local before = count_watchers()
    local box = casting.session()
    box:spawn(function(dir)
      kept = require "casting.fs".watch(dir) -- luacheck: ignore
    end, dir):await(LONG)
    assert.equal(before + 1, count_watchers())
    assert.is_true(box:close(LONG))
    assert.equal(before, count_watchers())
    casting.spawn(function() fs.watch(dir) end):await(LONG)
    collectgarbage()
    collectgarbage()
    assert.equal(before, count_watchers())
  end)
end)

describe("a watched name", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("may have any bytes", function()
    local name = "a'b\n\255\1 \195\188"
    local watch = fs.watch(dir)
    assert(io.open(dir .. "/" .. name, "w")):close()
    os.rename(dir .. "/" .. name, dir .. "/" .. ("x"):rep(255))
    assert.same({"made " .. name, "written " .. name, "moved " ..
      ("x"):rep(255) .. " < " .. name}, told(watch))
    watch:close()
  end)

  it("is told by each path by which it is watched", function()
    sh "mkdir a; ln -s a link; touch file; ln file other"
    local before = count_watched()
    local watch = fs.watch {dir .. "/a", dir .. "/link", dir .. "/a//",
      dir .. "/file", dir .. "/other"}
    assert.equal(before + 2, count_watched())
    sh "mkdir a/x; echo >>file"
    local want = {"made a/x/", "made link/x/", "changed file", "changed other",
      "written file", "written other"}
    assert.is_true(watch:add(dir))
    assert.same(want, told(watch))
    assert.is_true(watch:drop(dir .. "/a"))
    assert.is_true(watch:drop(dir .. "/file"))
    sh "rmdir a/x; chmod 600 file"
    assert.same({"removed link/x/", "attributes file", "attributes other"},
      told(watch))
    sh "mv a b; rm other"
    assert.same({"moved b/ < a", "removed link/", "attributes other",
      "removed other"}, told(watch))
    assert.is_true(watch:drop(dir))
    assert.is_false(watch:drop(dir .. "/link")) -- it was told as removed
    assert.is_true(watch:drop(dir .. "/other"))
    assert.equal(before, count_watched())
    watch:close()
  end)

  it("is watched once, however often it is added", function()
    local before = count_watched()
    local watch = fs.watch {dir, dir, dir .. "/"}
    assert.equal(before + 1, count_watched())
    sh "mkdir x"
    assert.same({"made x/"}, told(watch))
    assert.is_true(watch:drop(dir))
    assert.equal(before, count_watched())
    assert.is_false(watch:drop(dir))
    watch:close()
  end)

  it("has forgotten what was before, when it is added again", function()
    local watch = fs.watch(dir)
    sh "mkdir old"
    assert.is_true(watch:drop(dir))
    assert.is_true(watch:add(dir))
    sh "mkdir new"
    assert.same({"made new/"}, told(watch))
    sh "mkdir 1 2 3"
    assert.equal(dir .. "/1", watch:next(LONG).path) -- 2 and 3 were read, too
    watch:drop(dir)
    watch:add(dir)
    sh "mkdir last"
    assert.same({"made last/"}, told(watch))
    watch:close()
  end)

  it("is not watched any more when it is gone", function()
    sh "mkdir a b c; touch a/f b/f c/f"
    local watch = fs.watch {dir .. "/a/f", dir .. "/b/f", dir .. "/c", dir}
    sh "rm a/f; mv b/f b/g; echo >b/g; mv c d; touch d/x"
    assert.same({"attributes a/f", "removed a/f", "removed b/f",
      "moved d/ < c", "removed c/"}, told(watch))
    for _, name in ipairs {"/a/f", "/b/f", "/c"} do
      assert.is_false(watch:drop(dir .. name))
    end
    watch:close()
  end)

  it("is told as removed or made if it comes or goes", function()
    sh "mkdir in out; touch out/a in/b in/c"
    local watch = fs.watch(dir .. "/in")
    sh "mv out/a in/a; mv in/b out/b; mv in/c in/d; mv in/d in/e"
    assert.same({"made in/a", "removed in/b", "moved in/d < in/c",
      "moved in/e < in/d"}, told(watch, dir .. "/in"))
    assert.is_true(watch:add(dir .. "/out"))
    sh "mv in/a out/x"
    assert.same({"moved out/x < in/a"}, told(watch, dir .. "/out"))
    sh "mv in/e ."                     -- and nothing follows
    local event = watch:next(LONG)
    assert.same({"removed", dir .. "/in/e"}, {event.kind, event.path})
    watch:close()
  end)
end)

-- Runs Lua source text where this user may have so many watchers, and watch so
-- many things: returns what it wrote; nil: that cannot be set here.
local function limited(watchers, watched, source)
  local script = helper.spit(dir .. "/limited.lua",
    "local casting = require 'casting'\nlocal fs = require 'casting.fs'\n" ..
    "local dir = " .. ("%q"):format(dir) .. "\n" .. source)
  local list = lines_of(("unshare -Ur sh -c %s 2>&1"):format(quote(
    ("cd /proc/sys/user && echo %d >max_inotify_instances && " ..
    "echo %d >max_inotify_watches && cd - >/dev/null && echo set && exec %s %s")
    :format(watchers, watched, helper.command(), script))))
  if table.remove(list, 1) ~= "set" then return nil end
  return table.concat(list, "\n")
end

describe("the limits of fs.watch", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("are told of; what the collector can find is used", function()
    local text = limited(2, 100, [[
      for i = 1, 20 do assert(fs.watch(dir)) end
      local a, b = assert(fs.watch(dir)), assert(fs.watch(dir))
      print(fs.watch(dir))
      a:close()
      print(fs.watch(dir) ~= nil)
    ]])
    if not text then return pending "no limits can be set here" end
    assert.equal("nil\t" .. dir .. ": too many watches: " ..
      "see fs.inotify.max_user_instances\ntrue", text)
  end)

  it("leave nothing half watched", function()
    sh "mkdir -p a b/1/2/3/4; mkdir -p c"
    local text = limited(5, 4, [[
      local watch = assert(fs.watch(dir .. "/a", {tree = true}))
      print(watch:add(dir .. "/b"))
      print(watch:add(dir .. "/c"))
      os.execute("mkdir -p " .. dir .. "/c/1/2/3")
      for i = 1, 4 do
        local event = watch:next(10)
        print(event.kind, event.path:sub(#dir + 2), event.why)
      end
      print(watch:next(0))
    ]])
    if not text then return pending "no limits can be set here" end
    local why = "too many things are watched: see fs.inotify.max_user_watches"
    assert.equal(("nil\t%s/b: %s\ntrue\nmade\tc/1\tnil\nmade\tc/1/2\tnil\n" ..
      "made\tc/1/2/3\tnil\nfailed\tc/1/2/3\t%s\nnil\ttimeout")
      :format(dir, why, why), text)
  end)
end)

describe("what the system tells", function()
  it("is not trusted", function()
    local parse = helper.internal().files.watch_parse
    assert.same({}, parse "")
    for size = 1, 15 do
      assert.same({{number = 0, what = "overflow"}}, parse(("\0"):rep(size)))
    end
    local function event(number, what, cookie, name, size)
      return string.char(number, 0, 0, 0, what % 256, math.floor(what / 256), 0,
        0, cookie, 0, 0, 0, size or #name, 0, 0, 0) .. name
    end
    assert.same({
      {number = 7, what = "from", cookie = 9, name = "abc"},
      {number = 8, what = "gone"},
      {number = 8, what = "changed", name = "x"},
      {number = 8, what = "written", name = "x"},
      {number = 0, what = "overflow"},
    }, parse(event(7, 0x40, 9, "abc\0\0\0") .. event(8, 0x400, 0, "") ..
      event(8, 0xa, 0, "x") .. event(1, 1, 0, "abc") .. event(7, 1, 0, "abc",
      4)))
    local seed = 42
    for _ = 1, 2000 do
      local bytes = {}
      for i = 1, 1 + seed % 40 do
        seed = seed * 16807 % 2147483647
        bytes[i] = string.char(seed % (seed % 3 == 0 and 256 or 3))
      end
      for _, e in ipairs(parse(table.concat(bytes))) do
        assert.equal("string", type(e.what))
      end
    end
  end)
end)
