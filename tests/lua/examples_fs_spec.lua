-- examples_fs_spec.lua - the programs of examples/ that read files.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local fs = require "casting.fs"

if not helper.has_children() then
  describe("examples", function()
    pending "run: no other program can be started here"
  end)
  return
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local dir
local function make_directory() dir = assert(fs.tempdir()) end
local function remove_directory() assert(fs.remove(dir, {tree = true})) end
local function file(name, text)
  assert(fs.write(dir .. "/" .. name, text))
  return dir .. "/" .. name
end

-- Its exit status, what it wrote, and what it complained.
local function run(...)
  local words = {helper.command(helper.LEAVES), "examples/loggrep.lua"}
  for _, word in ipairs {...} do words[#words + 1] = quote(word) end
  local pipe = io.popen(("timeout -k 2 %d %s 2>%s </dev/null; echo $?"):format(
    math.ceil(2 * helper.LONG), table.concat(words, " "),
    quote(dir .. "/complaint")))
  local out, status = pipe:read "*a":match "^(.-)(%d+)%s*$"
  pipe:close()
  return tonumber(status), out, fs.read(dir .. "/complaint")
end

-- As run, and it must end well and without a complaint: returns the output.
local function output(...)
  local status, out, complaint = run(...)
  if status ~= 0 or complaint ~= "" then
    error(("status %d\n%s%s"):format(status, out, complaint), 2)
  end
  return out
end

-- What another program says of a file, as numbers with a space between them.
local function tell(command)
  local pipe = io.popen(command)
  local out = pipe:read "*a"
  pipe:close()
  return (out:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

-- The numbers of a table's row.
local function row(out, name)
  for line in out:gmatch "[^\n]+" do
    local numbers, path = line:match "^([%s%d]+)  (%S.*)$"
    if path == name then return (numbers:gsub("%s+", " "):sub(2)) end
  end
end

describe("examples/loggrep.lua", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("counts as wc and grep do, wherever pieces end", function()
    local long = ("a long line "):rep(100000)
    local lines = {}
    for i = 1, 60000 do
      lines[i] = ("%d %s error %d"):format(i, ("x"):rep(i % 50), i % 13)
    end
    local texts = {
      table.concat(lines, "\n") .. "\n",
      "", "\n", "error 1", "\n\nerror 1\n\n",
      long .. "error 1",
      ("error 1\n"):rep(131072) .. "x",        -- a megabyte
      ("x"):rep(1048575) .. "\n" .. long .. "error 1\nlast",
      ("x"):rep(1048576) .. "\nerror 1\n",
      long .. "\n" .. long .. "\nerror 1\n" .. long .. "\n",
    }
    local names = {}
    for i, text in ipairs(texts) do names[i] = file("f" .. i, text) end
    local plain = output("--plain", "--first", "0", "error 1",
      helper.unpack(names))
    local pattern = output("--sessions", "3", "--first", "0", "error [1]",
      helper.unpack(names))
    for _, name in ipairs(names) do
      local want = tell(("grep -c 'error 1' %s; wc -l -w -c <%s"):format(
        quote(name), quote(name)))
      assert.equal(want, row(plain, name))
      assert.equal(want, row(pattern, name))
    end
  end)

  it("prints the first matching lines in order, and sums", function()
    local lines = {}
    for i = 1, 300000 do lines[i] = i % 50000 == 0 and "hit " .. i or "miss" end
    local a = file("a", table.concat(lines, "\n"))
    local b = file("b", "hit b\n")
    local out = output("--first", "7", "^hit", a, b)
    local want = {}
    for i = 1, 6 do want[i] = a .. ":hit " .. i * 50000 end
    want[7] = b .. ":hit b"
    assert.equal(table.concat(want, "\n") .. "\n",
      (out:gsub(" +matches.*", "")))
    assert.equal("7 300000 300008 " .. fs.stat(a).size + 6, row(out, "total"))
    assert.matches("^hit 50000\nhit 100000\n +matches",
      output("--first", "2", "hit", a))
  end)

  it("goes on after what cannot be read, and fails in the end", function()
    local good = file("good", "x\n")
    local none = dir .. "/none"
    local status, out, complaint = run("x", none, dir, good)
    assert.equal(1, status)
    assert.equal("1 1 1 2", row(out, good))
    assert.equal(("loggrep: %s: no such file or directory\n" ..
      "loggrep: %s: not a file, but a directory\n"):format(none, dir),
      complaint)
    status, out, complaint = run("[x", good)
    assert.equal(1, status)
    assert.is_nil(row(out, good))
    assert.matches("^loggrep: malformed pattern[^\n]*\n$", complaint)
  end)

  it("explains itself, and refuses what it does not know", function()
    assert.matches("^usage: loggrep.lua", output "--help")
    for _, args in ipairs {{}, {"x"}, {"--what", "x", "y"},
      {"--first", "x", "x", "y"}, {"--sessions", "0", "x", "y"}} do
      local status, out, complaint = run(helper.unpack(args))
      assert.same({2, ""}, {status, out})
      assert.matches("^loggrep: ", complaint)
    end
    local name = file("-x", "--help\n")
    assert.equal("1 1 1 7", row(output("--", "--help", name), name))
  end)
end)
