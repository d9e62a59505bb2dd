-- fs_again_spec.lua - what casting.fs once did wrong.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local casting = require "casting"
local fs = casting.fs

local dir
local function at(name) return dir .. "/" .. name end

describe("casting.fs", function()
  before_each(function() dir = assert(fs.tempdir()) end)
  after_each(function() assert.is_true(fs.remove(dir, {tree = true})) end)

  it("lets others run at the end of a file", function()
    helper.spit(at "log", "")
    local reader, writer = fs.open(at "log"), fs.open(at "log", "a")
    casting.spawn(function()
      for _ = 1, 3 do casting.yield() end
      writer:write "line\n"
    end)
    local line
    repeat line = reader:read "l" until line
    assert.equal("line", line)
    reader:close()
    local n, over = 0, false
    casting.spawn(function() over = true end)
    repeat n = n + 1 until reader:read() == nil and over
    assert.is_true(n > 0)
  end)

  it("reads all of a file that has grown beyond what it was", function()
    local file, path = fs.temp {dir = dir}
    assert.is_true(file:truncate(65 * 2 ^ 20))
    assert.equal(65 * 2 ^ 20, #file:read "a")
    file:close()
    assert.is_true(fs.remove(path))
  end)

  it("keeps no long line in memory", function()
    helper.spit(at "long", ("x"):rep(3 * 2 ^ 20))
    local file = fs.open(at "long")
    for _ = 1, 3 do
      local line, why = file:read "l"
      assert.is_nil(line)
      assert.equal(at "long" .. ": too long", why)
    end
    assert.equal(3 * 2 ^ 20, #file:read("l", {max = 2 ^ 22}))
    assert.is_nil(file:read "l")
  end)

  it("begins at the end where it only appends", function()
    helper.spit(at "log", "12345")
    local file = fs.open(at "log", "a")
    assert.equal(5, file:seek())
    assert.is_true(file:truncate())
    assert.equal(5, fs.stat(at "log").size)
    assert.equal(0, fs.open(at "log", "a+"):seek())
    file:close()
    local ok, why, n = file:write "x"
    assert.is_nil(ok)
    assert.equal("closed", why)
    assert.equal(0, n)
  end)

  it("names the path that is missing", function()
    helper.spit(at "f", "")
    assert.equal(at "none/f" .. ": no such file or directory",
      select(2, fs.rename(at "f", at "none/f")))
    assert.equal(at "none" .. ": no such file or directory",
      select(2, fs.rename(at "none", at "f")))
  end)

  it("removes a tree that goes deep, back and deep again", function()
    local deep = "a/b/c/d/e/f/g/h/"
    for _, path in ipairs {deep .. "i/j/k", deep .. "z/y/x/w"} do
      assert.is_true(fs.mkdir(at(path), {parents = true}))
      helper.spit(at(path .. "/file"), "")
    end
    assert.is_true(fs.remove(at "a", {tree = true}))
    assert.is_nil(fs.stat(at "a"))
  end)

  it("refuses lists that are too many, also if they are empty", function()
    local list = {}
    for _ = 1, 40 do list = {list, list} end
    helper.misuse(function() fs.write(at "f", list) end, "'write'",
      "too many lists")
  end)

  it("keeps the place of a rename in both queues", function()
    local tasks = {casting.spawn(fs.write, at "f", ("x"):rep(2 ^ 22)),
      casting.spawn(fs.rename, at "f", at "g"),
      casting.spawn(fs.write, at "g", "new")}
    for _, task in ipairs(tasks) do assert.is_true(task:await()) end
    assert.equal("new", fs.read(at "g"))
  end)

  it("is not confused by finalizers that wait", function()
    local function garbage()
      local function finalizer() pcall(casting.sleep, 0) end
      if helper.version >= "5.2" then
        setmetatable({}, {__gc = finalizer})
      else
        getmetatable(newproxy(true)).__gc = finalizer
      end
    end
    for i = 1, 200 do
      garbage()
      if i % 10 == 0 then collectgarbage() end
      local file, path = fs.temp {dir = dir}
      assert.equal("file", fs.stat(path).type)
      assert.is_nil((fs.read(at("none" .. i))))
      file:close()
    end
  end)
end)
