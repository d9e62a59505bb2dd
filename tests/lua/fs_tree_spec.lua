-- fs_tree_spec.lua - casting.fs: directories, names, and temporary files.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local fs = require "casting.fs"
local pack, LONG = helper.pack, helper.LONG

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function shell(text)
  local status = os.execute(text)
  assert.is_true(status == true or status == 0, text)
end

-- A directory for each test.
local dir
local function at(name) return dir .. "/" .. name end
local memory = io.open "/dev/shm/." and "/dev/shm" -- it is faster there
local function begin() dir = assert(fs.tempdir {dir = memory}) end
local function finish() shell("rm -rf " .. quote(dir)) end

-- Runs a shell's commands in that directory.
local function inside(text) shell("cd " .. quote(dir) .. "; " .. text) end

-- nil, "PATH: why"
local function fails(why, path, ...)
  assert.same({n = 2, nil, path .. ": " .. why}, pack(...))
end

local function is_root()
  local pipe = io.popen "id -u"
  local id = pipe:read "*l"
  pipe:close()
  return id == "0"
end

-- Makes directories in each other, `d`, deeper than a path can be long: one of
-- fifty levels is put into another one, and so on.
local function make_deep(levels)
  local chain = ("/d"):rep(49)
  assert(fs.mkdir(at("t1" .. chain), {parents = true}))
  for i = 2, levels / 50 do
    assert(fs.mkdir(at("t" .. i .. chain), {parents = true}))
    assert(fs.rename(at("t" .. i - 1), at("t" .. i .. chain .. "/d")))
  end
  assert(fs.rename(at("t" .. math.floor(levels / 50)), at "d"))
end

local NONE = "no such file or directory"

describe("fs.walk", function()
  before_each(begin)
  after_each(finish)

  local function walk(path, options)
    local out = {}
    for p, kind, why in fs.walk(path, options) do
      out[#out + 1] = ("%s %s%s"):format(p:gsub("^" .. dir:gsub("%p", "%%%0"),
        "@"), kind, why and " " .. why or "")
    end
    return out
  end

  it("goes through all, in order, and follows no link", function()
    inside "mkdir -p b/c a B; touch b/c/f b/z a.x; ln -s ../b a/l; mkfifo p"
    local all = {"@ directory", "@/B directory", "@/a directory",
      "@/a/l link", "@/a.x file", "@/b directory", "@/b/c directory",
      "@/b/c/f file", "@/b/z file", "@/p pipe"}
    assert.same(all, walk(dir))
    assert.same(all, walk(dir, {depth = 3}))
    assert.same(all, walk(dir, {depth = math.huge}))
    assert.same({"@ directory"}, walk(dir, {depth = 0}))
    assert.same({"@ directory", "@/B directory", "@/a directory",
      "@/a.x file", "@/b directory", "@/p pipe"}, walk(dir, {depth = 1}))
    assert.same({"@/b/z file"}, walk(at "b/z"))
    -- The link that it begins with is followed.
    assert.same({"@/a/l directory", "@/a/l/c directory", "@/a/l/c/f file",
      "@/a/l/z file"}, walk(at "a/l"))
    assert.same({"@/b/ directory", "@/b/c directory", "@/b/c/f file",
      "@/b/z file"}, walk(at "b/"))
  end)

  it("works in a session, and in coroutines", function()
    inside "mkdir -p a/b; touch a/b/c"
    local session = casting.session()
    assert.equal("directory directory directory file", session:spawn(
      function(path)
        local out = {}
        local step = coroutine.wrap(function()
          for _, kind in require "casting.fs".walk(path) do
            coroutine.yield(kind)
          end
        end)
        for kind in step do out[#out + 1] = kind end
        return table.concat(out, " ")
      end, dir):await(LONG))
    session:close()
  end)

  it("tells which directory cannot be listed, and goes on", function()
    inside "mkdir a b c; touch a/f c/f"
    local out = {}
    for path, kind, why in fs.walk(dir) do
      if path == at "a" then shell("rm -r " .. quote(at "b")) end
      out[#out + 1] = path:match "[^/]*$" .. " " .. kind
      if why then out[#out + 1] = why end
    end
    table.remove(out, 1)
    assert.same({"a directory", "f file", "b directory",
      at "b: " .. NONE, "c directory", "f file"}, out)
  end)

  it("raises that there is nothing", function()
    helper.misuse(function() fs.walk(at "x")() end,
      "fs_tree_spec.lua:", "walk: " .. at "x: " .. NONE)
  end)

  it("says what is wrong with its arguments", function()
    helper.misuse(function() fs.walk() end, "'walk'", "#1")
    helper.misuse(function() fs.walk "" end, "'walk'", "#1")
    helper.misuse(function() fs.walk "a\0b" end, "'walk'", "#1")
    helper.misuse(function() fs.walk(dir, 1) end, "'walk'", "#2")
    helper.misuse(function() fs.walk(dir, {dept = 1}) end, "'walk'", "dept")
    helper.misuse(function() fs.walk(dir, {depth = "1"}) end, "'walk'", "#2")
    helper.misuse(function() fs.walk(dir, {depth = -1}) end, "'walk'", "#2")
  end)
end)

describe("fs.mkdir", function()
  before_each(begin)
  after_each(finish)

  it("makes one, or all that is missing on the way", function()
    assert.is_true(fs.mkdir(at "a"))
    fails("file exists", at "a", fs.mkdir(at "a"))
    fails(NONE, at "x/y", fs.mkdir(at "x/y"))
    assert.is_true(fs.mkdir(at "x//y/z/", {parents = true}))
    assert.is_true(fs.mkdir(at "x/y/z", {parents = true}))
    assert.equal("directory", fs.stat(at "x/y/z").type)
    assert.is_true(fs.mkdir("/", {parents = true}))
    assert.is_true(fs.mkdir(".", {parents = true}))
    helper.spit(at "f", "")
    local ok, why = fs.mkdir(at "f", {parents = true})
    assert.same({nil, at "f: file exists"}, {ok, why})
    ok, why = fs.mkdir(at "f/g", {parents = true})
    assert.is_nil(ok)
    assert.matches(at "f":gsub("%p", "%%%0"), why)
    inside "ln -s x l; ln -s none dangling"
    assert.is_true(fs.mkdir(at "l/y/new", {parents = true}))
    assert.is_nil((fs.mkdir(at "dangling", {parents = true})))
  end)

  it("gives it a mode, without the mask", function()
    inside "mkdir m"
    fs.mkdir(at "a")
    fs.mkdir(at "b", {mode = 448})
    assert.equal(fs.stat(at "m").mode, fs.stat(at "a").mode)
    assert.equal(448, fs.stat(at "b").mode)
    -- So that what is missing in them can be made, those on the way have more.
    assert.is_true(fs.mkdir(at "c/d", {parents = true, mode = 320}))
    assert.equal(320, fs.stat(at "c/d").mode)
    assert.is_true(fs.mkdir(at "e/", {parents = true, mode = 320}))
    assert.equal(320, fs.stat(at "e").mode)
  end)

  it("is made by many at a time", function()
    local tasks = {}
    for i = 1, 50 do
      tasks[i] = casting.spawn(fs.mkdir, at("a/b/c/" .. i % 7),
        {parents = true})
    end
    for _, task in ipairs(tasks) do assert.is_true(task:await(LONG)) end
    assert.equal(7, #fs.list(at "a/b/c"))
  end)

  it("says what is wrong with its arguments", function()
    helper.misuse(function() fs.mkdir() end, "'mkdir'", "#1")
    helper.misuse(function() fs.mkdir("a", true) end, "'mkdir'", "#2")
    helper.misuse(function() fs.mkdir("a", {parent = 1}) end, "'mkdir'")
    helper.misuse(function() fs.mkdir("a", {parents = 1}) end, "'mkdir'", "#2")
    helper.misuse(function() fs.mkdir("a", {mode = 1e9}) end, "'mkdir'", "#2")
  end)
end)

describe("fs.rename", function()
  before_each(begin)
  after_each(finish)

  it("gives another name, and replaces what has it", function()
    helper.spit(at "a", "a")
    helper.spit(at "b", "b")
    assert.is_true(fs.rename(at "a", at "b"))
    assert.equal("a", helper.slurp(at "b"))
    fails(NONE, at "a", fs.rename(at "a", at "b"))
    inside "mkdir -p d/x e f"
    assert.is_true(fs.rename(at "d", at "e"))
    assert.same({"b", "e", "f"}, (fs.list(dir)))
    fails("directory not empty", at "f", fs.rename(at "f", at "e"))
    fails("is a directory", at "b", fs.rename(at "b", at "e"))
    fails("not a directory", at "e", fs.rename(at "e", at "b"))
    fails("invalid argument", at "e", fs.rename(at "e", at "e/x/y"))
    helper.misuse(function() fs.rename() end, "'rename'", "#1")
    helper.misuse(function() fs.rename("a") end, "'rename'", "#2")
    helper.misuse(function() fs.rename("a", "") end, "'rename'", "#2")
  end)
end)

describe("fs.remove", function()
  before_each(begin)
  after_each(finish)

  it("removes files, links and empty directories", function()
    inside "touch f keep; ln -s keep l; mkdir d e; touch e/f; ln -s e le"
    assert.is_true(fs.remove(at "f"))
    fails(NONE, at "f", fs.remove(at "f"))
    assert.is_true(fs.remove(at "l"))
    assert.is_true(fs.remove(at "d"))
    fails("directory not empty", at "e", fs.remove(at "e"))
    assert.is_true(fs.remove(at "le"))
    assert.same({"e", "keep"}, (fs.list(dir)))
    fails("not a directory", at "keep/", fs.remove(at "keep/"))
  end)

  it("never removes what a link leads to", function()
    inside "mkdir e; touch e/f; ln -s e l; mkdir empty; ln -s empty le"
    for _, name in ipairs {"l/", "le/", "l/.", "le//"} do
      fs.remove(at(name))
      assert.equal("directory", fs.stat(at "empty").type)
      assert.equal("file", fs.stat(at "e/f").type)
    end
    for _, name in ipairs {"l", "l/", "le", "le//"} do
      fs.remove(at(name), {tree = true})
      assert.equal("directory", fs.stat(at "empty").type)
      assert.equal("file", fs.stat(at "e/f").type)
    end
  end)

  it("removes a tree, but not what links in it lead to", function()
    inside "mkdir -p t/a/b out; touch out/f t/a/f t/.h; mkfifo t/p"
    inside "ln -s ../out t/l; ln -s ../../out/f t/a/l; ln -s none t/n"
    assert.is_true(fs.remove(at "t", {tree = true}))
    assert.same({"out"}, (fs.list(dir)))
    assert.same({"f"}, (fs.list(at "out")))
    fails(NONE, at "t", fs.remove(at "t", {tree = true}))
    assert.is_true(fs.remove(at "out/f", {tree = true}))
    assert.is_true(fs.remove(at "out/", {tree = true}))
    assert.same({}, (fs.list(dir)))
  end)

  it("removes trees however deep, over which fs.walk goes", function()
    make_deep(5000)
    local n, last = 0
    for _, _, why in fs.walk(dir) do n, last = n + 1, why or last end
    -- A path that is too long for the system cannot be listed.
    if last then
      assert.matches(": file name too long$", last)
      assert.is_true(n > 2000)
    else
      assert.equal(5001, n)
    end
    assert.is_true(fs.remove(at "d", {tree = true}))
    assert.same({}, (fs.list(dir)))
  end)

  it("stops at what cannot be removed", function()
    if is_root() then
      local ok = os.execute(("mkdir -p %s; mount -t tmpfs none %s 2>/dev/null")
        :format(quote(at "t/a/m"), quote(at "t/a/m")))
      if ok ~= true and ok ~= 0 then
        pending "everything can be removed here"
        return
      end
      local r = pack(fs.remove(at "t", {tree = true}))
      shell("umount " .. quote(at "t/a/m"))
      fails("device or resource busy", at "t/a/m", helper.unpack(r, 1, r.n))
    else
      inside "mkdir -p t/a/m; touch t/a/m/f; chmod 555 t/a/m"
      local r = pack(fs.remove(at "t", {tree = true}))
      inside "chmod 755 t/a/m"
      fails("permission denied", at "t/a/m/f", helper.unpack(r, 1, r.n))
    end
  end)

  it("is refused in a directory that is read only", function()
    if is_root() then
      pending "root may write everywhere"
      return
    end
    inside "mkdir d; touch d/f; chmod 555 d"
    local why = "permission denied"
    fails(why, at "d/f", fs.remove(at "d/f"))
    fails(why, at "d/g", fs.write(at "d/g", ""))
    fails(why, at "d/f", fs.write(at "d/f", "", {atomic = true}))
    fails(why, at "d/g", fs.mkdir(at "d/g"))
    inside "chmod 755 d"
  end)

  it("says what is wrong with its arguments", function()
    helper.misuse(function() fs.remove() end, "'remove'", "#1")
    helper.misuse(function() fs.remove "" end, "'remove'", "#1")
    helper.misuse(function() fs.remove("a", true) end, "'remove'", "#2")
    helper.misuse(function() fs.remove("a", {tree = 1}) end, "'remove'", "#2")
    helper.misuse(function() fs.remove("a", {t = true}) end, "'remove'", "#2")
  end)
end)

describe("fs.temp", function()
  before_each(begin)
  after_each(finish)

  it("makes files and directories that only this user has", function()
    local seen = {}
    for _ = 1, 20 do
      local file, path = fs.temp {dir = dir}
      assert.is_nil(seen[path])
      seen[path] = true
      assert.matches("^" .. dir:gsub("%p", "%%%0") .. "/casting%-%w+$", path)
      assert.is_true(file:write "text")
      assert.equal(0, file:seek "set")
      assert.equal("text", file:read "a")
      assert.equal(384, file:stat().mode)
      assert.is_true(file:close())
      local d = fs.tempdir {dir = dir}
      assert.is_nil(seen[d])
      seen[d] = true
      assert.equal(448, fs.stat(d).mode)
    end
    assert.equal(40, #fs.list(dir))
  end)

  it("makes them in TMPDIR, or in /tmp", function()
    local function run(environment)
      local old = helper.environment
      helper.environment = environment
      local out = helper.output [[
        local fs = require "casting.fs"
        local file, path = fs.temp()
        local d = fs.tempdir()
        fs.remove(path)
        fs.remove(d)
        print(path:match "(.*)/", d:match "(.*)/")
      ]]
      helper.environment = old
      return out
    end
    assert.equal(dir .. "\t" .. dir .. "\n", run("TMPDIR=" .. quote(dir)))
    assert.equal("/tmp\t/tmp\n", run "-u TMPDIR")
  end)

  it("tells what is wrong", function()
    fails(NONE, at "none", fs.tempdir {dir = at "none"})
    fails(NONE, at "none", fs.temp {dir = at "none"})
    for _, name in ipairs {"temp", "tempdir"} do
      local quoted = "'" .. name .. "'"
      helper.misuse(function() fs[name] "x" end, quoted, "#1")
      helper.misuse(function() fs[name] {x = 1} end, quoted, "#1")
      helper.misuse(function() fs[name] {dir = 1} end, quoted, "#1")
      helper.misuse(function() fs[name] {dir = ""} end, quoted, "#1")
      helper.misuse(function() fs[name] {dir = "a\0"} end, quoted, "#1")
    end
  end)
end)
