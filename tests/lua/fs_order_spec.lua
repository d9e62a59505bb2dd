-- fs_order_spec.lua - casting.fs: the order of calls, cancellation, sessions
-- that share a file, the collector, and the end of programs.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local fs = require "casting.fs"
local LONG = helper.LONG

-- A directory for each test.
local dir
local function at(name) return dir .. "/" .. name end
local function begin() dir = assert(fs.tempdir()) end
local function finish() assert.is_true(fs.remove(dir, {tree = true})) end

local function open(text, mode)
  helper.spit(at "f", text)
  return assert(fs.open(at "f", mode))
end

local function await_all(tasks)
  for i, task in ipairs(tasks) do tasks[i] = task:await(LONG) or false end
  return tasks
end

local BIG = ("0123456789abcdef"):rep(500000) -- takes a while

-- How many descriptors this process has.
local function descriptors()
  collectgarbage()
  collectgarbage()
  return #fs.list "/proc/self/fd"
end

describe("the order", function()
  before_each(begin)
  after_each(finish)

  it("is that of the calls for a file, whoever makes them", function()
    for _, mode in ipairs {"w", "a"} do
      local file, tasks, want = open("", mode), {}, {}
      for i = 1, 1000 do
        tasks[i] = casting.spawn(file.write, file, i .. "\n")
        want[i] = i .. "\n"
      end
      for i, ok in ipairs(await_all(tasks)) do assert.is_true(ok, i) end
      assert.is_true(file:close())
      assert.equal(table.concat(want), helper.slurp(at "f"))
    end
  end)

  it("holds for reads, and for closing", function()
    local lines, tasks = {}, {}
    for i = 1, 1000 do lines[i] = "line " .. i end
    local file = open("\n" .. table.concat(lines, "\n"), "r+")
    -- Behind a write, all wait for their turn.
    local writer = casting.spawn(file.write, file, BIG, 2 ^ 21)
    tasks[1] = casting.spawn(file.read, file, "l")
    for i = 1, 1000 do tasks[i + 1] = casting.spawn(file.read, file, "l") end
    local closing = casting.spawn(file.close, file)
    local late = casting.spawn(file.read, file)
    assert.is_true(writer:await(LONG))
    local got = await_all(tasks)
    assert.equal("", table.remove(got, 1))
    assert.equal(lines[999], got[999])
    got[1000], lines[1000] = nil, nil
    assert.same(lines, got)
    assert.is_true(closing:await(LONG))
    assert.is_nil((late:await(LONG)))
  end)

  it("is that of the calls for a path", function()
    local f, g, tasks = at "f", at "g", {}
    local function call(...) tasks[#tasks + 1] = casting.spawn(...) end
    call(fs.write, f, BIG)
    call(fs.write, f, "1", {append = true})
    call(fs.stat, f)
    call(fs.write, f, "2", {atomic = true})
    call(fs.read, f)
    call(fs.write, f, "3", {append = true})
    call(fs.read, f)
    call(fs.rename, f, g)
    call(fs.read, f)
    call(fs.mkdir, f)
    call(fs.list, f)
    call(fs.remove, f)
    call(fs.stat, f)
    local r = {}
    for i, value in ipairs(await_all(tasks)) do r[i] = value end
    r[3] = r[3].size
    assert.same({true, true, #BIG + 1, true, "2", true, "23", true, false, true,
      {}, true, false}, r)
    assert.equal("23", helper.slurp(g))
  end)

  it("is that of the calls for either path of a renaming", function()
    local f, g = at "f", at "g"
    local one = casting.spawn(fs.write, f, BIG)
    local two = casting.spawn(fs.rename, f, g)
    local three = casting.spawn(fs.write, g, "new")
    await_all {one, two, three}
    assert.equal(3, fs.stat(g).size)
  end)
end)

describe("a cancelled call", function()
  before_each(begin)
  after_each(finish)

  it("to read has not moved the position", function()
    local lines = {}
    for i = 1, 400 do lines[i] = ("%d %s"):format(i, ("x"):rep(i % 50)) end
    local text = table.concat(lines, "\n") .. "\n"
    for _, what in ipairs {"L", 7, "some"} do
      local file, got = open(text, "r+"), {}
      local function read()
        if what == "some" then return file:read() end
        return file:read(what)
      end
      for i = 1, 3000 do
        local blocker -- then the read waits for its turn
        if i % 3 == 0 then
          blocker = casting.spawn(file.write, file, "", 0)
        end
        local task = casting.spawn(read)
        for _ = 1, i % 4 do casting.yield() end
        task:cancel()
        local ok, v = task:join(LONG)
        if ok and v then got[#got + 1] = v end
        if ok and v == nil then break end
        if blocker then blocker:join(LONG) end
        if i % 5 == 0 then got[#got + 1] = read() end
      end
      got[#got + 1] = file:read "a"
      assert.equal(text, table.concat(got))
      file:close()
    end
  end)

  it("to read a device has not lost bytes of it", function()
    -- This one tells how many bytes were read by what follows.
    local file = fs.open "/proc/self/maps"
    local first = file:read "L"
    for _ = 1, 50 do
      local task = casting.spawn(file.read, file, "L")
      casting.yield()
      task:cancel()
      local ok, line = task:join(LONG)
      if ok and line then first = first .. line end
    end
    assert.equal(#first, file:seek())
    file:close()
  end)

  it("under a deadline has not moved the position", function()
    local file = open(("0123456789"):rep(2000), "r+")
    local sum = 0
    for i = 1, 300 do
      local blocker = casting.spawn(file.write, file, BIG:sub(1, 1000), 30000)
      local ok, part = casting.with_timeout(i % 3 * 0.0001, file.read, file, 10)
      if ok then
        sum = sum + #part
      else
        assert.equal("timeout", part)
      end
      assert.equal(sum, file:seek())
      blocker:await(LONG)
    end
    file:close()
  end)

  it("to write in one step has done it or not, and never late", function()
    local f, sizes = at "f", {}
    for i = 1, 200 do
      fs.write(f, "old")
      local text = BIG:sub(1, 1 + i * 1000)
      local task = casting.spawn(fs.write, f, text, {atomic = true})
      for _ = 1, i % 7 do casting.yield() end
      task:cancel()
      task:join(LONG)
      if i % 2 == 0 then
        -- Whatever comes later is what remains.
        assert.is_true(fs.write(f, "new", {atomic = i % 3 == 0}))
        assert.equal("new", fs.read(f))
      else
        local size = fs.stat(f).size
        assert.is_true(size == 3 or size == #text, size)
        sizes[size == 3] = true
      end
      assert.same({"f"}, (fs.list(dir)))
    end
    assert.is_true(sizes[true])
  end)

  it("to write is made all the same", function()
    local f, file = at "g", open("", "w")
    for i = 1, 100 do
      local task = casting.spawn(fs.write, f, i .. "\n", {append = true})
      local other = casting.spawn(file.write, file, i .. "\n")
      casting.yield() -- both have called it
      task:cancel()
      other:cancel()
    end
    file:close()
    local want = {}
    for i = 1, 100 do want[i] = i .. "\n" end
    assert.is_true(fs.write(f, "", {append = true}))
    assert.equal(table.concat(want), fs.read(f))
    assert.equal(table.concat(want), helper.slurp(at "f"))
  end)

  it("to open or to make leaves nothing behind", function()
    local before = descriptors()
    for i = 1, 300 do
      local tasks = {casting.spawn(fs.open, dir .. "/.", "r"),
        casting.spawn(fs.temp, {dir = dir}),
        casting.spawn(fs.tempdir, {dir = dir}),
        casting.spawn(fs.open, "/dev/null", "r")}
      for _ = 1, i % 4 do casting.yield() end
      for _, task in ipairs(tasks) do task:cancel() end
      for j, task in ipairs(tasks) do
        local ok, made, path = task:join(LONG)
        if ok and j == 2 then
          made:close()
          assert.is_true(fs.remove(path))
        elseif ok and j == 3 then
          assert.is_true(fs.remove(made))
        elseif ok and made then
          made:close()
        end
      end
    end
    helper.until_true(function()
      return descriptors() <= before and #fs.list(dir) == 0
    end, "that nothing is left")
  end)

  it("of a cancelled task raises before anything is done", function()
    local task = casting.spawn(function()
      pcall(casting.sleep, 100)
      local ok, e = pcall(fs.write, at "x", "x")
      local again, e2 = pcall(fs.read, at "x")
      return ok, casting.is_cancelled(e), again, casting.is_cancelled(e2)
    end)
    helper.until_waiting(task)
    task:cancel()
    assert.same({false, true, false, true}, {task:await(LONG)})
    assert.is_nil((fs.stat(at "x")))
  end)
end)

describe("a file of several sessions", function()
  before_each(begin)
  after_each(finish)

  it("is written whole and in order", function()
    local file = open("", "w")
    local sessions, tasks = {}, {}
    for i = 1, 2 do
      sessions[i] = casting.session()
      tasks[i] = sessions[i]:spawn(function(file, name)
        for n = 1, 500 do
          assert(file:write {name, " ", n, " ", ("x"):rep(n % 100), "\n"})
        end
      end, file, "s" .. i)
    end
    await_all(tasks)
    file:close()
    local last = {s1 = 0, s2 = 0}
    for line in fs.lines(at "f") do
      local name, n, rest = line:match "^(s%d) (%d+) (x*)$"
      n = tonumber(n)
      assert.equal(last[name] + 1, n)
      assert.equal(n % 100, #rest)
      last[name] = n
    end
    assert.same({s1 = 500, s2 = 500}, last)
    for _, session in ipairs(sessions) do session:close() end
  end)

  it("gives each line once", function()
    local lines = {}
    for i = 1, 4000 do lines[i] = tostring(i) end
    local file = open(table.concat(lines, "\n"))
    local sessions, tasks = {}, {}
    for i = 1, 2 do
      sessions[i] = casting.session()
      tasks[i] = sessions[i]:spawn(function(file)
        local got = {}
        for line in file:lines() do got[#got + 1] = line end
        return got
      end, file)
    end
    local seen, n = {}, 0
    for _, got in ipairs(await_all(tasks)) do
      local last = 0
      for _, line in ipairs(got) do
        assert.is_nil(seen[line])
        assert.is_true(tonumber(line) > last)
        seen[line], last, n = true, tonumber(line), n + 1
      end
    end
    assert.equal(4000, n)
    for _, session in ipairs(sessions) do session:close() end
  end)
end)

describe("while a file is read", function()
  before_each(begin)
  after_each(finish)

  local function make_lines()
    local lines = {}
    for i = 1, 3000 do lines[i] = i .. (" "):rep(i % 200) end
    return lines
  end

  -- Each read and each finalizer of it take lines: none is lost.
  it("finalizers may use it", function()
    local lines = make_lines()
    local file, seen, n = open(table.concat(lines, "\n")), {}, 0
    local function take(line)
      assert(line == nil or not seen[line])
      if line then seen[line], n = true, n + 1 end
      return line
    end
    local function garbage()
      local function finalizer() take(file:read "l") end
      if helper.version >= "5.2" then
        return setmetatable({}, {__gc = finalizer})
      end
      local proxy = newproxy(true)
      getmetatable(proxy).__gc = finalizer
      return proxy
    end
    local i = 0
    repeat
      i = i + 1
      if i % 3 == 0 then garbage() end
      if i % 50 == 0 then collectgarbage() end
      local line = take(file:read "l")
    until not line
    collectgarbage()
    assert.equal(#lines, n)
    for _, line in ipairs(lines) do assert.is_true(seen[line]) end
    file:close()
  end)

  it("hooks may use it", function()
    local lines = make_lines()
    local file, seen, busy = open(table.concat(lines, "\n")), {}, false
    local task = casting.spawn(function()
      debug.sethook(function()
        if busy then return end
        busy = true
        local ok, line = pcall(file.read, file, "l")
        if ok and line then seen[line] = true end
        busy = false
      end, "", 50)
      for line in file:lines() do
        seen[line] = true
      end
      debug.sethook()
    end)
    task:await(LONG)
    for line in file:lines() do seen[line] = true end
    for _, line in ipairs(lines) do assert.is_true(seen[line], line) end
    file:close()
  end)
end)

describe("reports", function()
  before_each(begin)
  after_each(finish)

  it("name the file for which a task waits", function()
    local file = open(("x"):rep(1000), "r+")
    local want, tasks = {["reading " .. at "f"] = true,
      ["writing " .. at "f"] = true, ["seeking in " .. at "f"] = true}, {}
    local found = {}
    helper.until_true(function()
      tasks[1] = casting.spawn(file.write, file, BIG, 2000)
      tasks[2] = casting.spawn(file.read, file, 1)
      tasks[3] = casting.spawn(file.seek, file, "set")
      for _ = 1, 3 do casting.yield() end
      local text = casting.report()
      for words in pairs(want) do
        if text:find(words, 1, true) then found[words] = true end
      end
      await_all(tasks)
      tasks = {}
      for words in pairs(want) do
        if not found[words] then return false end
      end
      return true
    end, "a report of all of them")
    file:close()
  end)
end)

describe("a program", function()
  if not helper.has_children() then
    pending "no other program can be started here"
    return
  end
  before_each(begin)
  after_each(finish)

  local function check(expected, source)
    local result = helper.run(("local dir = %q\n"):format(dir) .. [[
      local casting = require "casting"
      local fs = casting.fs
    ]] .. source)
    -- What the leak detector says of threads that it cannot stop.
    local err = result.err:gsub("==%d+==Running thread [^\n]*\n", "")
    assert.same({expected, "", 0}, {result.out, err, result.status})
  end

  it("may end while calls are under way", function()
    for _, last in ipairs {"", "os.exit(0)", "casting.yield() os.exit(0)",
      "casting.yield() os.exit(0, true)"} do
      check("end\n", [[
        local text = ("x"):rep(1000000)
        local file, path = fs.temp {dir = dir}
        local session = casting.session()
        for i = 1, 10 do
          casting.spawn(fs.write, dir .. "/" .. i, text)
          casting.spawn(file.write, file, text)
          casting.spawn(file.read, file, "a")
          session:spawn(function(dir)
            require "casting".fs.remove(dir .. "/none", {tree = true})
          end, dir)
        end
        io.write "end\n"
        io.stdout:flush()
      ]] .. last)
      assert.is_true(fs.remove(dir, {tree = true}))
      assert.is_true(fs.mkdir(dir))
    end
  end)

  it("that has no descriptors left closes what is left over", function()
    local old = helper.environment
    helper.environment = "sh -c 'ulimit -n 40; exec \"$@\"' sh env"
    local ok, e = pcall(check, "300\n60\n", [[
      fs.write(dir .. "/f", "x\n")
      local n = 0
      collectgarbage "stop"
      for i = 1, 100 do
        if assert(fs.open(dir .. "/f")):read "l" == "x" then n = n + 1 end
        if assert(fs.temp {dir = dir}) then n = n + 1 end
        if assert(fs.read(dir .. "/f")) == "x\n" then n = n + 1 end
      end
      print(n)
      local kept = {}
      for i = 1, 60 do
        local file, why = fs.open(dir .. "/f")
        if not file then
          assert(why == dir .. "/f: too many open files", why)
          kept[i % 2 + 1] = nil
        end
        kept[i] = file or false
        n = i
      end
      print(n)
    ]])
    helper.environment = old
    assert(ok, e)
  end)

  it("that has forked has no files that work, and both end", function()
    check("child false\nparent true\n", [[
      local ok, fork = pcall(function() return require "posix.unistd".fork end)
      if not ok then
        io.write "child false\nparent true\n" -- there is no fork
        return
      end
      fs.write(dir .. "/f", "x")
      local pid = fork()
      if pid == 0 then
        io.write("child ", tostring((pcall(fs.read, dir .. "/f"))), "\n")
        io.stdout:flush()
        os.exit(0)
      end
      require "posix.sys.wait".wait(pid)
      io.write("parent ", tostring(fs.read(dir .. "/f") == "x"), "\n")
    ]])
  end)

  it("without a limit of tasks waits for many files", function()
    check("2000\n", [[
      local n = 0
      local tasks = {}
      for i = 1, 1000 do
        tasks[i] = casting.spawn(function()
          local path = dir .. "/" .. i % 100
          assert(fs.write(path, i .. "\n", {atomic = i % 2 == 0}))
          n = n + 1
          assert(fs.read(path))
          n = n + 1
        end)
      end
      for _, task in ipairs(tasks) do task:await() end
      print(n)
    ]])
  end)
end)
