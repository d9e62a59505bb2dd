-- watch_again_spec.lua - fs.watch: paths that are added, or found, again.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG
local fs = require "casting.fs"
local watching = require "watching"

if watching.missing() then
  describe("a path that is watched again", function()
    pending(watching.missing())
  end)
  return
end

local told, sh = watching.told, watching.sh
local count_watched = watching.count_watched

local dir
local function make_directory() dir = watching.make_directory() end
local remove_directory = watching.remove_directory

describe("a path that is watched again", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("stays when its move there is told after it was added", function()
    for _, tree in ipairs {true, false} do
      sh "rm -rf b c; mkdir b"
      local watch = assert(fs.watch({dir, dir .. "/b"}, {tree = tree}))
      sh "mv b c"
      assert.is_true(watch:add(dir .. "/c"))
      local list = table.concat(told(watch), ", ")
      assert.truthy(list:find "moved c/ < b")
      assert.falsy(list:find "removed c")
      sh ": >c/f"
      list = told(watch)
      assert.equal("made c/f", list[1])
      watch:close()
    end
  end)

  it("stays when another directory takes its place by a move", function()
    sh "mkdir tree tree/b tree/r"
    local watch = assert(fs.watch(dir .. "/tree", {tree = true}))
    assert.is_true(watch:add(dir .. "/tree/r"))
    assert(os.rename(dir .. "/tree/b", dir .. "/tree/r"))
    local tree = dir .. "/tree"
    assert.same({"moved tree/r/ < tree/b"}, told(watch, tree))
    sh "mkdir tree/r/d"
    assert.same({"made tree/r/d/"}, told(watch, tree))
    watch:close()
  end)

  it("is not told of under the name that another thing has now", function()
    sh "mkdir -p a/b"
    local watch = assert(fs.watch(dir .. "/a", {tree = true}))
    sh "mv a old; mkdir a"
    assert.is_true(watch:add(dir .. "/a"))
    sh "mkdir a/new old/b/x"
    assert.same({"made a/new/"}, told(watch, dir .. "/a"))
    watch:close()
  end)

  it("hides nothing that had happened in a tree before", function()
    for _, path in ipairs {dir, dir .. "/d"} do
      sh "rm -rf d"
      local watch = assert(fs.watch(dir, {tree = true}))
      sh "mkdir -p d/e; touch d/f"
      assert.is_true(watch:add(path))
      local list = {}
      for _, text in ipairs(told(watch)) do list[text] = true end
      assert.truthy(list["made d/"] and list["made d/e/"] and list["made d/f"])
      sh "rm -r d; mkdir d; touch d/g"
      assert.is_true(watch:add(path))
      local removed, made = 0, 0
      for i, text in ipairs(told(watch)) do
        if text == "removed d/" then removed = i end
        if text == "made d/g" then made = i end
      end
      assert.is_true(removed > 0 and made > removed)
      watch:close()
    end
  end)

  it("is there when a file had its name meanwhile", function()
    local watch = assert(fs.watch(dir, {tree = true}))
    sh "mkdir d; rmdir d; touch d; rm d; mkdir d"
    local is = false
    for _, text in ipairs(told(watch)) do
      if text:find "^made d/?$" then is = true end
      if text:find "^removed d/?$" then is = false end
    end
    assert.is_true(is)
    sh "mkdir d/x"
    assert.same({"made d/x/"}, told(watch))
    watch:close()
  end)

  it("is found when a directory takes its place from within", function()
    local watch = assert(fs.watch(dir, {tree = true}))
    for i = 1, 50 do
      sh "rm -rf a b; mkdir a b"
      told(watch)
      assert(fs.mkdir(dir .. "/b/a"))
      assert(os.rename(dir .. "/b/a", dir .. "/a"))
      if i % 2 == 0 then watch:next(0) end
      told(watch)
      sh "mkdir a/x"
      assert.same({"made a/x/"}, told(watch))
    end
    watch:close()
  end)

  it("is told no more if it was a link", function()
    sh "mkdir -p tree out/s other/s; ln -s ../out tree/l"
    local tree = dir .. "/tree"
    local watch = assert(fs.watch(tree, {tree = true}))
    local before = count_watched()
    assert.is_true(watch:add(tree .. "/l/"))
    sh "mkdir out/s/1"
    assert.same({"made tree/l/s/1/"}, told(watch, tree))
    assert.is_true(watch:drop(tree .. "/l"))
    sh "mkdir out/s/2 out/2"
    assert.same({}, told(watch, tree))
    assert.equal(before, count_watched())
    assert.is_true(watch:add(tree .. "/l"))
    sh "rm tree/l; mkdir out/s/3"
    assert.same({"removed tree/l", "removed tree/l/"}, told(watch, tree))
    assert.equal(before, count_watched())
    sh "ln -s ../out tree/l"
    assert.is_true(watch:add(tree .. "/l"))
    sh "ln -sfn ../other tree/l; mkdir out/s/4"
    assert.is_true(watch:add(tree .. "/l"))
    told(watch, tree)
    sh "mkdir out/s/5 other/s/6"
    assert.same({"made tree/l/s/6/"}, told(watch, tree))
    sh "rm tree/l; ln -s ../out tree/n; mv tree/n tree/l; mkdir other/7"
    local list = told(watch, tree)
    assert.equal("removed tree/l/", list[2])
    sh "mkdir out/s/8"
    assert.same({}, told(watch, tree))
    assert.is_false(watch:drop(tree .. "/l"))
    watch:close()
  end)

  it("is gone if it has gone while events were lost", function()
    local most = tonumber(helper.slurp "/proc/sys/fs/inotify/max_queued_events")
    if most > 50000 then return pending "the system's queue is too long" end
    for _, tree in ipairs {true, false} do
      sh "rm -rf a b c; mkdir -p a b/sub; touch a/f a/g"
      local watch = assert(fs.watch({dir .. "/a", dir .. "/b"}, {tree = tree}))
      local f, g = io.open(dir .. "/a/f", "a"), io.open(dir .. "/a/g", "a")
      f:setvbuf "no"
      g:setvbuf "no"
      for _ = 1, most / 2 + 100 do
        f:write "x"
        g:write "x"
      end
      f:close()
      g:close()
      sh "mv b c"
      local removed, lost
      while not lost do
        local event = assert(watch:next(LONG))
        removed = removed or event.kind == "removed" and event.path
        lost = event.kind == "overflow"
      end
      assert.equal(dir .. "/b", removed)
      sh "mkdir c/x c/sub/y"
      assert.same({}, told(watch, dir .. "/a"))
      watch:close()
    end
  end)

  it("stays if one of two tasks that add it is cancelled", function()
    sh "mkdir -p a b/1 b/2"
    for i = 1, 20 do
      local watch = assert(fs.watch(dir .. "/a", {tree = true}))
      local tasks = {}
      for k = 1, 2 do
        tasks[k] = casting.spawn(watch.add, watch, dir .. "/b")
      end
      local first = i % 2 + 1
      if i > 10 then casting.yield() end
      tasks[first]:cancel()
      tasks[first]:join(LONG)
      assert.is_true(tasks[3 - first]:await(LONG))
      sh "mkdir b/2/x"
      assert.same({"made b/2/x/"}, told(watch, dir .. "/a"))
      sh "rmdir b/2/x"
      watch:close()
    end
  end)

  it("is not watched if all tasks that add it are cancelled", function()
    sh "mkdir -p a b/1 b/2"
    local watch = assert(fs.watch(dir .. "/a", {tree = true}))
    local before = count_watched()
    for i = 1, 20 do
      local tasks = {}
      for k = 1, 3 do
        tasks[k] = casting.spawn(watch.add, watch, dir .. "/b")
      end
      if i > 10 then casting.yield() end
      local done = false
      for k = 1, 3 do tasks[k]:cancel() end
      for k = 1, 3 do done = tasks[k]:join(LONG) or done end
      watch:next(0)
      assert.equal(done, watch:drop(dir .. "/b"))
      while watch:next(0) do end
    end
    -- What a helper has just added is released by whoever looks next.
    local deadline = casting.now() + LONG
    while count_watched() ~= before and casting.now() < deadline do
      watch:next(0.01)
    end
    assert.equal(before, count_watched())
    watch:close()
  end)

  it("keeps nobody from events while a tree is added", function()
    sh "mkdir a a/gone b; cd b; mkdir $(seq 300)"
    local watch = assert(fs.watch(dir .. "/a", {tree = true}))
    local order = {}
    local reader = casting.spawn(function()
      local event
      repeat event = watch:next(LONG) until event.path == dir .. "/a/gone"
      repeat event = watch:next(LONG) until event.path == dir .. "/a/mark"
      order[#order + 1] = "told"
    end)
    helper.until_waiting(reader)
    local adder = casting.spawn(function()
      assert(watch:add(dir .. "/b"))
      order[#order + 1] = "added"
    end)
    helper.until_waiting(adder)
    assert(os.remove(dir .. "/a/gone"))
    io.open(dir .. "/a/mark", "w"):close()
    reader:await(LONG)
    adder:await(LONG)
    assert.same({"told", "added"}, order)
    watch:close()
  end)

  it("is found, and what is in it told, if it moves while it is added",
    function()
      local watch = assert(fs.watch(dir, {tree = true}))
      for i = 1, 30 do
        sh(("mkdir -p t%d/a/b/c"):format(i))
        local top = ("%s/t%d"):format(dir, i)
        local reader = i % 2 == 0 and casting.spawn(watch.next, watch, LONG)
        local adder = casting.spawn(watch.add, watch, top)
        if i > 4 then casting.yield() end
        assert(os.rename(top .. "/a", top .. "/n"))
        adder:await(LONG)
        local names = {}
        local function note(event)
          if event then names[event.path] = event.kind end
          return event
        end
        local mark = top .. "/n/b/c/mark"
        io.open(mark, "w"):close()
        if reader then note(reader:await(LONG)) end
        while not names[mark] do
          if not note(watch:next(LONG)) then break end
        end
        assert.truthy(names[mark])
        while watch:next(0) do end
      end
      watch:close()
    end)
end)
