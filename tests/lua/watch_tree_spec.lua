-- watch_tree_spec.lua - fs.watch of trees, and what it must not lose.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG
local fs = require "casting.fs"
local watching = require "watching"

if watching.missing() then
  describe("a watched tree", function()
    pending(watching.missing())
  end)
  return
end

local told, sh, lines_of = watching.told, watching.sh, watching.lines_of
local count_watched, follow = watching.count_watched, watching.follow
local quote = watching.quote

local dir
local function make_directory() dir = watching.make_directory() end
local remove_directory = watching.remove_directory

describe("a watched tree", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("has what is there, and tells of directories that are made", function()
    sh "mkdir -p a/b; touch a/b/f; ln -s . a/loop; ln -s /nowhere a/none"
    local watch = assert(fs.watch(dir, {tree = true}))
    sh "mkdir a/b/c; rm a/b/f"
    assert.same({"made a/b/c/", "removed a/b/f"}, told(watch))
    sh "mkdir -p x/y/z; touch x/1 x/y/2 x/y/z/3"
    local list = told(watch)
    assert.equal("made x/", table.remove(list, 1))
    table.sort(list)
    assert.same({"made x/1", "made x/y/", "made x/y/2", "made x/y/z/",
      "made x/y/z/3"}, list)
    sh "echo >x/y/z/3; rm x/y/z/3; rmdir x/y/z"
    assert.same({"changed x/y/z/3", "written x/y/z/3", "removed x/y/z/3",
      "removed x/y/z/"}, told(watch))
    watch:close()
  end)

  it("follows directories that are moved", function()
    sh "mkdir -p in/a/b/c in/d"
    local watch = assert(fs.watch(dir .. "/in", {tree = true}))
    local all = count_watched()
    sh "mv in/a in/d/e"
    assert.same({"moved in/d/e/ < in/a"}, told(watch, dir .. "/in"))
    sh "mkdir in/a; mkdir in/d/e/b/c/new in/a/b"
    local list = told(watch, dir .. "/in")
    table.sort(list)
    assert.same({"made in/a/", "made in/a/b/", "made in/d/e/b/c/new/"}, list)
    sh "mv in/d/e out"                 -- out, and changed there
    assert.same({"removed in/d/e/"}, told(watch, dir .. "/in"))
    assert.equal(all - 3 + 2, count_watched())
    sh "touch out/b/lost; mv out in/back; touch in/back/b/c/new/file"
    list = told(watch, dir .. "/in")
    assert.equal("made in/back/", table.remove(list, 1))
    table.sort(list)
    for i = #list, 1, -1 do
      if not list[i]:match "^made" then table.remove(list, i) end
    end
    assert.same({"made in/back/b/", "made in/back/b/c/",
      "made in/back/b/c/new/", "made in/back/b/c/new/file",
      "made in/back/b/lost"}, list)
    sh "rm -r in/back in/a in/d"
    told(watch, dir .. "/in")
    assert.equal(all - 4, count_watched())
    watch:close()
  end)

  it("is dropped with what is below it, but for what was added", function()
    sh "mkdir -p a/b/c/d"
    local before = count_watched()
    local watch = assert(fs.watch(dir, {tree = true}))
    assert.equal(before + 5, count_watched())
    assert.is_true(watch:add(dir .. "/a/b"))
    assert.is_true(watch:add(dir .. "/a/b"))
    assert.is_true(watch:drop(dir))
    assert.equal(before + 3, count_watched())
    sh "mkdir a/no a/b/c/yes"
    assert.same({"made a/b/c/yes/"}, told(watch, dir .. "/a/b"))
    assert.is_true(watch:add(dir))
    assert.is_true(watch:drop(dir .. "/a/b"))
    sh "mkdir a/1 a/b/c/2"
    assert.same({"made a/1/", "made a/b/c/2/"}, told(watch))
    assert.is_true(watch:drop(dir))
    assert.equal(before, count_watched())
    watch:close()
  end)

  it("is told of as a whole while it is made", function()
    local watch = assert(fs.watch(dir, {tree = true}))
    local made = io.popen(("cd %s && for i in 1 2 3 4; do " ..
      "for j in 1 2 3 4; do mkdir -p $i/$j/x/y; : >$i/$j/f; " ..
      ": >$i/$j/x/y/g; mv $i/$j/x/y $i/$j/x/z; done; done; " ..
      ": >END; rm END"):format(quote(dir)))
    local times, ended = {}, false
    while not ended do
      local event = assert(watch:next(LONG))
      times = follow(times, event.kind, event.path:sub(#dir + 2),
        event.from and event.from:sub(#dir + 2))
      ended = event.kind == "removed" and event.path == dir .. "/END"
    end
    made:close()
    local want = {}
    for _, name in ipairs(lines_of(
      ("cd %s && find . -mindepth 1"):format(quote(dir)))) do
      want[name:sub(3)] = 1
    end
    assert.same(want, times)
    watch:close()
  end)

  it("is not misled by a new directory with the name of a moved one", function()
    sh "mkdir out"
    local watch = assert(fs.watch(dir .. "/out", {tree = true}))
    -- When the first one is looked for, the second one is found.
    sh "mkdir out/a; touch out/a/1; mv out/a out/b; mkdir out/a; touch out/a/2"
    local there = {}
    local function take()
      for _, text in ipairs(told(watch, dir .. "/out")) do
        local kind, path, from = text:match "^(%a+) ([^ ]*[^ /])/? ?<? ?(.*)$"
        there = follow(there, kind, path, from)
      end
    end
    take()
    sh "touch out/b/3 out/a/4"
    take()
    assert.same({["out/a"] = 1, ["out/a/2"] = 1, ["out/a/4"] = 1,
      ["out/b"] = 1, ["out/b/1"] = 1, ["out/b/3"] = 1}, there)
    watch:close()
  end)

  it("leaves nothing of what was cancelled", function()
    sh "mkdir -p a b/1/2/3 c"
    local before = count_watched()
    local watch = assert(fs.watch(dir .. "/a", {tree = true}))
    for i = 1, 20 do
      local task = casting.spawn(function() watch:add(dir .. "/b") end)
      for _ = 1, i % 3 do casting.yield() end
      task:cancel()
      if task:join(LONG) then watch:drop(dir .. "/b") end
      if i % 2 == 0 then assert.is_true(watch:add(dir .. "/c")) end
    end
    helper.until_true(function()
      watch:next(0)
      return count_watched() == before + 2
    end, "that only a and c are watched")
    sh "touch b/1/no c/yes"
    assert.same({"made c/yes", "attributes c/yes", "written c/yes"},
      told(watch, dir .. "/c"))
    watch:close()
  end)

  it("is found anew when events were lost", function()
    local most = tonumber(helper.slurp "/proc/sys/fs/inotify/max_queued_events")
    if most > 50000 then return pending "the system's queue is too long" end
    sh "mkdir -p a/b/c; touch f g"
    local watch = assert(fs.watch(dir, {tree = true}))
    local all = count_watched()
    local f, g = io.open(dir .. "/f", "a"), io.open(dir .. "/g", "a")
    f:setvbuf "no"
    g:setvbuf "no"
    for _ = 1, most / 2 + 100 do
      f:write "x"
      g:write "x"
    end
    f:close()
    g:close()
    sh "mv a/b other; mkdir -p a/b/n; rmdir other/c"
    local n = 0
    for event in watch do
      n = n + 1
      if event.kind == "overflow" then break end
      assert.equal("changed", event.kind)
    end
    assert.is_true(n > most - 10 and n <= most + 1)
    sh "touch other/1 a/b/n/2"
    local list = told(watch)
    assert.same({"made other/1", "attributes other/1", "written other/1",
      "made a/b/n/2", "attributes a/b/n/2", "written a/b/n/2"}, list)
    assert.equal(all + 1, count_watched())
    watch:close()
  end)
end)

describe("a watched tree, when events lag behind,", function()
  before_each(make_directory)
  after_each(remove_directory)

  -- Is a file told of that is made in each of these directories?
  local function assert_watched(watch, names)
    local missing, n = {}, 0
    for _, name in ipairs(names) do
      sh("touch " .. name .. "/probe")
      missing[dir .. "/" .. name .. "/probe"] = true
      n = n + 1
    end
    while n > 0 do
      local event = assert(watch:next(LONG))
      if event.kind == "made" and missing[event.path] then
        missing[event.path] = nil
        n = n - 1
      end
    end
  end

  it("finds a directory whose parent was moved", function()
    sh "mkdir a"
    local watch = assert(fs.watch(dir, {tree = true}))
    sh "mkdir -p a/n/m; mv a b"
    local there = {a = 1}
    for _, text in ipairs(told(watch)) do
      local kind, path, from = text:match "^(%a+) ([^ ]*[^ /])/? ?<? ?(.*)$"
      there = follow(there, kind, path, from)
    end
    if not there["b/n/m"] then
      local event = watch:next(LONG)
      assert.same({"made", dir .. "/b/n/m"}, {event.kind, event.path})
    end
    there["b/n/m"] = nil
    assert.same({b = 1, ["b/n"] = 1}, there)
    sh "mkdir b/x; mv b c; mv c b"
    told(watch)
    assert_watched(watch, {"b", "b/n", "b/n/m", "b/x"})
    watch:close()
  end)

  it("does not take another directory for one that was moved", function()
    sh "mkdir a"
    local before = count_watched()
    local watch = assert(fs.watch(dir, {tree = true}))
    sh "mkdir a/n; mv a b; mkdir -p a/n; touch a/n/1 b/n/2"
    local there = {a = 1}
    for _, text in ipairs(told(watch)) do
      local kind, path, from = text:match "^(%a+) ([^ ]*[^ /])/? ?<? ?(.*)$"
      there = follow(there, kind, path, from)
    end
    assert.same({a = 1, ["a/n"] = 1, ["a/n/1"] = 1, b = 1, ["b/n"] = 1,
      ["b/n/2"] = 1}, there)
    assert_watched(watch, {"a", "a/n", "b", "b/n"})
    assert.equal(before + 5, count_watched())
    watch:close()
  end)

  it("tells of what takes the place of something it has told of", function()
    sh "mkdir tree out out/dd; echo new >out/n"
    local root = dir .. "/tree"
    local watch = assert(fs.watch(root, {tree = true}))
    sh "mkdir tree/d; echo old >tree/d/x"
    repeat until watch:next(LONG).path == root .. "/d/x"
    sh "mv -f out/n tree/d/x"
    assert.same({"made tree/d/x"}, told(watch, root))
    sh "mkdir -p tree/e/sub"
    repeat until watch:next(LONG).path == root .. "/e/sub"
    assert(os.rename(dir .. "/out/dd", root .. "/e/sub"))
    assert.same({"made tree/e/sub/"}, told(watch, root))
    sh "mkdir tree/e/sub/x"
    assert.same({"made tree/e/sub/x/"}, told(watch, root))
    watch:close()
  end)

  it("tells a task that waits of what another one could not add", function()
    sh "mkdir a b"
    sh(("cd b; for i in $(seq 22); do mkdir %s; cd %s || exit; " ..
      "done 2>/dev/null"):format(("x"):rep(200), ("x"):rep(200)))
    local watch = assert(fs.watch(dir .. "/a", {tree = true}))
    local task = casting.spawn(function() return watch:next(LONG) end)
    helper.until_waiting(task)
    assert.is_true(watch:add(dir .. "/b"))
    local event = task:await(LONG)
    assert.equal("failed", event.kind)
    assert.matches("too long", event.why)
    watch:close()
  end)

  it("keeps what was told of others when a path is dropped", function()
    sh "mkdir -p a/d/s b; ln -s a link"
    local watch = assert(fs.watch({dir .. "/a", dir .. "/a/d/s", dir .. "/b"},
      {tree = true}))
    sh "mv a/d gone"
    assert.equal(dir .. "/a/d", watch:next(LONG).path)
    assert.is_true(watch:drop(dir .. "/b"))
    local event = watch:next(LONG)
    assert.same({"removed", dir .. "/a/d/s"}, {event.kind, event.path})
    watch:close()
  end)

  it("does not watch again what is dropped after events were lost", function()
    local most = tonumber(helper.slurp "/proc/sys/fs/inotify/max_queued_events")
    if most > 50000 then return pending "the system's queue is too long" end
    sh "mkdir a b; touch a/f a/g"
    local before = count_watched()
    local watch = assert(fs.watch({dir .. "/a", dir .. "/b"}, {tree = true}))
    local f, g = io.open(dir .. "/a/f", "a"), io.open(dir .. "/a/g", "a")
    f:setvbuf "no"
    g:setvbuf "no"
    for _ = 1, most / 2 + 100 do
      f:write "x"
      g:write "x"
    end
    f:close()
    g:close()
    while watch:next(0) do end -- a helper is at work now, perhaps
    watch:drop(dir .. "/a")
    watch:drop(dir .. "/b")
    while watch:next(0.05) do end
    assert.equal(before, count_watched())
    watch:close()
  end)
end)

describe("a watch without memory", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("goes on when there is some again", function()
    sh "for i in $(seq 400); do : >f$i; done"
    local failed = 0
    for keep = 100000, 600000, 50000 do
      local box = casting.session {memory = 3e6}
      local ok, result = box:spawn(function(dir, spare)
        local watch = assert(require "casting.fs".watch(dir))
        watch:next(0)
        for i = 1, 400 do os.remove(dir .. "/f" .. i) end
        local fill = {}
        for i = 1, 4000 do fill[i] = false end
        for i = 1, 4000 do fill[i] = nil end
        for _, size in ipairs {8000, 1000, 200} do
          while pcall(function()
            fill[#fill + 1] = ("x"):rep(size - 30) .. #fill
          end) do end
        end
        while spare > 0 and #fill > 0 do
          spare = spare - #fill[#fill]
          fill[#fill] = nil
        end
        collectgarbage()
        local ok = pcall(watch.next, watch, 0)
        fill = nil -- luacheck: ignore
        collectgarbage()
        while watch:next(0) do end
        assert(io.open(dir .. "/last", "w")):close()
        local event = watch:next(10)
        watch:close()
        return {ok, event and event.kind}
      end, dir, keep):join(LONG)
      box:close(LONG)
      if ok then
        assert.equal("made", result[2])
        if not result[1] then failed = failed + 1 end
      end
      sh "rm -f last; for i in $(seq 400); do : >f$i; done"
    end
    if failed == 0 then return pending "there was always memory" end
  end)
end)
