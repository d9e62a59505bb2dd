-- launcher_prompt_spec.lua - `casting -i`: the prompt, and its line editor.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG
local process = casting.process

if not helper.has_children() then
  describe("the prompt", function()
    pending "no other program can be started here"
  end)
  return
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local history = os.tmpname()
local function command(words)
  return "env TERM=vt100 CASTING_HISTORY=" .. history .. " " ..
    helper.command(helper.LEAVES):gsub("'[^']*'$", "") ..
    " sh bin/casting --lua " .. quote(helper.interpreter()) .. " " .. words
end

-- -- the editor ---------------------------------------------------------------

describe("the editor", function()
  local Editor = helper.internal().launcher_editor
  local lines
  local function editor()
    lines = {}
    local e = Editor.new(lines)
    e:begin "> "
    return e
  end
  -- The line after these keys, with a bar at the cursor.
  local function after(keys, e)
    e = e or editor()
    local what = e:feed(keys)
    local text, at = "", e.at
    for i, char in ipairs(e.chars) do
      text = text .. (i == at + 1 and "|" or "") .. char
    end
    return text .. (at == #e.chars and "|" or ""), what
  end

  it("moves and deletes", function()
    for keys, line in pairs {
      ["abc"] = "abc|", ["abc\1x"] = "x|abc", ["abc\1\5x"] = "abcx|",
      ["abc\27[D\27[Dx"] = "ax|bc", ["abc\27OD\27[Cx"] = "abcx|",
      ["abc\2\2\6x"] = "abx|c", ["abc\127"] = "ab|", ["abc\8\8\8\8"] = "|",
      ["abc\1\4"] = "|bc", ["abc\1\27[3~"] = "|bc", ["abc\4"] = "abc|",
      ["abc\27[H\27[Fx"] = "abcx|", ["abc\27[1~x\27[4~y"] = "xabcy|",
      ["ab cd\2\11"] = "ab c|", ["ab cd\2\21"] = "|d", ["ab cd\23x"] = "ab x|",
      ["ab cd \23x"] = "ab x|", ["f(a.b)\23"] = "|", ["ab cd\2\11\25\25"] =
      "ab cdd|", ["ab.cd\27bx"] = "ab.x|cd", ["ab.cd\27\127"] = "ab.|",
      ["ab cd\1\27f\27d"] = "ab|", ["ab cd\1\27[1;5Cx"] = "abx| cd",
      ["\195\164\195\182\2x"] = "\195\164x|\195\182", ["\195\164\127"] = "|",
      ["a\27[999~\27[Z\27Xb"] = "ab|", ["a\27[?bc"] = "ac|",
      ["a\27[\1b"] = "b|a", ["\11\21\23\25"] = "|",
      ["\255\128a"] = "\255\128a|", ["ab\2\0"] = "a|",
      ["\t\127x"] = "x|",
    } do
      assert.equal(line, (after(keys)), ("%q"):format(keys))
    end
  end)

  it("takes keys that come in pieces", function()
    local e = editor()
    for _, byte in ipairs {"a", "\27", "[", "D", "\195", "\164", "\27", "O",
      "F", "b", "\27", "b"} do
      assert.is_nil((select(2, after(byte, e))))
    end
    assert.equal("|\195\164ab", (after("", e)))
  end)

  it("says what has happened, and keeps the rest", function()
    local e = editor()
    assert.equal("line", e:feed "one\rtwo\3\4three\20\12\26\28\n")
    assert.equal("one", e:text())
    e:begin "> "
    assert.equal("cancel", e:feed "")
    e:begin "> "
    for _, what in ipairs {"end", "report", "clear", "stop", "report",
      "line"} do
      assert.equal(what, e:feed "")
    end
    assert.equal("three", e:text())
    assert.is_nil(e:feed "")
  end)

  it("goes through the history", function()
    local e = editor()
    lines[1], lines[2] = "first", "second"
    e:begin "> "
    assert.equal("second|", (after("new\27[A", e)))
    assert.equal("first|", (after("\16\16\16", e)))
    assert.equal("first!|", (after("!", e)))
    assert.equal("new|", (after("\14\14\14", e)))
    assert.equal("first", lines[1])
  end)

  it("draws a row that has the cursor in it", function()
    local e = editor()
    e.columns = 14
    e:feed "abc"
    assert.equal("\r> abc\27[K\r\27[5C", e:draw())
    e:feed "\1"
    assert.equal("\r> abc\27[K\r\27[2C", e:draw())
    e:feed "\5defghijklmn"
    assert.equal("\r> defghijklmn\27[K\r\27[13C", e:draw())
    e:feed "\2\2"
    assert.equal("\r> defghijklmn\27[K\r\27[11C", e:draw())
    e:feed "\1"
    assert.equal("\r> abcdefghijk\27[K\r\27[2C", e:draw())
    e:feed "\21\11\228\184\173a\1\6"
    assert.equal("\r> \228\184\173a\27[K\r\27[4C", e:draw())
    e:feed "\5\29\t"
    assert.equal("\r> \228\184\173a^]  \27[K\r\27[9C", e:draw())
  end)

  it("takes a long line at once", function()
    local e = editor()
    local text = ("x"):rep(200000)
    assert.equal("line", e:feed(text .. "\r"))
    assert.equal(text, e:text())
    assert.is_true(#e:draw() < 200)
  end)
end)

-- -- without a terminal -------------------------------------------------------

describe("a prompt without a terminal", function()
  local function output(input, words)
    local code, out, err = process.run {"sh", "-c", command(words or "-i"),
      input = input, timeout = LONG}
    return (out or ""):gsub("^casting[^\n]*\n", ""), err, code
  end

  it("reads lines, and shows values", function()
    local out, err, code = output "x = 1\nx, 'two', nil\n= x\n\nprint()\nx"
    assert.equal("> > 1\ttwo\tnil\n> 1\n> > \n> 1\n> \n", out)
    assert.equal("", err)
    assert.equal(0, code)
  end)

  it("asks for more as long as something lacks", function()
    local out, err = output(
      "for i = 1, 2 do\nprint(i)\nend\n[[a\nb]]\n(1\n)\nx = {\n")
    assert.equal("> >> >> 1\n2\n> >> a\nb\n> >> 1\n> >> \n", out)
    assert.matches("stdin:1: .*<eof>", err)
  end)

  it("tells of errors and goes on", function()
    local out, err = output("error 'one'\nlocal function f() error 'two'" ..
      " end f() return 1\nx =)\nerror(setmetatable({}, {__tostring =" ..
      " function() return 'mine' end}))\nerror()\nprint(1)\n")
    assert.equal("> > > > > > 1\n> \n", out)
    assert.matches("^stdin:1: one\nstack traceback:\n", err)
    assert.matches("\nstdin:1: two\nstack traceback:\n", err)
    assert.matches("\nstdin:1: unexpected symbol near '%)'\n", err)
    assert.matches("\nmine\n", err)
  end)

  it("has prompts of the program's own", function()
    local out = output "_PROMPT, _PROMPT2 = 'a ', 'b '\n(1\n)\n_PROMPT = {}\n"
    assert.matches("^> a b 1\na table: ", out)
  end)

  it("comes after what the words say", function()
    local out = output("x\n", "-e 'x = 7' -i")
    assert.equal("> 7\n> \n", out)
    local _, err, code = output("x\n", "-e 'error(1)' -i")
    assert.equal(1, code)
    assert.matches("^casting: ", err)
  end)

  -- Another program feeds it; the lines come when it has answered.
  it("lets tasks run while it waits, and tells of their failures", function()
    local p = assert(process.spawn {"sh", "-c", command "-i", stdin = "pipe",
      stdout = "pipe", stderr = "stdout"})
    local function expect(text)
      return assert(p.stdout:read_until(text, 2 ^ 16, LONG))
    end
    expect "> "
    p.stdin:write "casting.spawn(function() print 'ran' error 'lost' end)\n"
    expect "ran\n"
    expect "has failed: stdin:1: lost"
    expect "> "
    p.stdin:write "casting.on_error(casting.channel(1))\n'still'\n"
    expect "still\n"
    p.stdin:close()
    assert.equal("exit", (p:wait(LONG)))
  end)

  it("stops what is run at Ctrl-C, and goes on", function()
    local p = assert(process.spawn {"sh", "-c", "exec " .. command "-i",
      stdin = "pipe", stdout = "pipe", stderr = "stdout"})
    local function expect(text)
      return assert(p.stdout:read_until(text, 2 ^ 16, LONG))
    end
    expect "> "
    for _, text in ipairs {"casting.sleep(1000)",
      helper.jit and "casting.channel():receive()" or
      helper.loops "while true do end"} do
      p.stdin:write("print 'begun' io.flush() " .. text .. "\n")
      expect "begun\n"
      p:kill "INT"
      expect "interrupted!\n"
      expect "> "
    end
    p:kill "INT" -- nothing is run
    assert.equal(1, select(2, p:wait(LONG)))
  end)

  it("ends at the third Ctrl-C if nothing else helps", function()
    local p = assert(process.spawn {"sh", "-c", "exec " .. command "-i",
      stdin = "pipe", stdout = "pipe", stderr = "stdout"})
    assert(p.stdout:read_until("> ", 100, LONG))
    p.stdin:write("print 'begun' io.flush()" ..
      " casting.shield(function() while true do" ..
      " pcall(casting.sleep, 0.01) end end)\n")
    assert(p.stdout:read_until("begun\n", 100, LONG))
    local code
    repeat
      p:kill "INT"
      local how
      how, code = p:wait(0.02)
    until how
    assert.equal(130, code)
  end)
end)

-- -- at a terminal ------------------------------------------------------------

describe("a prompt at a terminal", function()
  local has = io.popen "script -qec 'echo yes' /dev/null </dev/null 2>&1"
  local text = has:read "*a"
  has:close()
  if not text:match "yes" or helper.tsan() then
    return it("edits lines", function()
      pending "there is no program `script` to make a terminal"
    end)
  end

  -- Two words, if the terminal is as it was.
  local MODES = "stty -a | grep -o -e ' icanon' -e ' echo ' | wc -l;"

  -- A prompt without a line. What is typed before goes through the system.
  local FRESH = "\r> \27[K\r\27[2C"

  -- Runs `body` with functions that type keys and wait for text; the shell's
  -- commands `behind` come after the prompt.
  local function terminal(words, behind, body)
    local p = assert(process.spawn {"script", "-qec", "trap : INT; set -m; " ..
      command(words) .. "; " .. (behind or "") .. " echo code $?",
      "/dev/null", stdin = "pipe", stdout = "pipe", stderr = "stdout"})
    local function expect(wanted)
      local got, why, rest = p.stdout:read_until(wanted, 2 ^ 16, LONG)
      return got or error(("%s: %s instead of %q"):format(why, rest, wanted), 2)
    end
    local function keys(bytes) assert(p.stdin:write(bytes)) end
    expect "leaves)\r\n"
    expect(FRESH)
    body(keys, expect)
    p:wait(LONG)
  end

  it("edits lines, and keeps the history", function()
    os.remove(history)
    terminal("-i", nil, function(keys, expect)
      keys "1 + 2x\127\r"
      expect "\r\n3\r\n"
      expect(FRESH)
      keys("\27[A\1" .. "100 + \r")
      expect "103\r\n"
      expect(FRESH)
      keys "(1\r"
      expect ">> "
      keys ")\r"
      expect "\r\n1\r\n"
      expect(FRESH)
      keys "x = \3"
      expect "^C\r\n"
      keys "\4"
      expect "code 0"
    end)
    assert.equal("1 + 2\n100 + 1 + 2\n(1\n)\n", helper.slurp(history))
    terminal("-i", nil, function(keys, expect)
      keys "\16\16\16\r"
      expect "103\r\n"
      expect(FRESH)
      keys "\4"
      expect "code 0"
    end)
    assert.equal("1 + 2\n100 + 1 + 2\n(1\n)\n100 + 1 + 2\n",
      helper.slurp(history))
  end)

  it("lets tasks run, tells of failures and of what they do",
    function()
      terminal("-i", nil, function(keys, expect)
        keys("casting.spawn(function() print 'ran'" ..
          " error 'lost' end) and nil\r")
        expect "ran\r\n"
        expect(FRESH)
        keys "half"
        expect "has failed: stdin:1: lost"
        expect "\r> half\27[K"
        keys "\21_ = casting.spawn(function() casting.sleep(999) end)\r"
        expect(FRESH)
        keys "abc\20"
        local report = expect "\r> abc\27[K"
        assert.matches("sleeping for", report)
        assert.is_nil(report:find("main program", 1, true))
        assert.is_nil(report:find("keyboard", 1, true))
        keys "\3\4"
        expect "code 0"
      end)
    end)

  it("gives the terminal back to what is run, and Ctrl-C stops that", function()
    terminal("-i", MODES,
      function(keys, expect)
        keys "print 'read' print('line ' .. io.read())\r"
        expect "read\r\n"
        keys "typed\n"
        expect "line typed\r\n"
        expect(FRESH)
        keys "print 'begun' casting.sleep(1000)\r"
        expect "begun\r\n"
        keys "\3"
        expect "interrupted!"
        expect(FRESH)
        keys "\4"
        expect "2\r\ncode 0"
      end)
  end)

  it("gives it back when a task ends the program", function()
    terminal("-i", MODES,
      function(keys, expect)
        keys("_ = casting.spawn(function() casting.sleep(0)" ..
          " os.exit(3) end)\r")
        expect "2\r\ncode 0"
      end)
  end)

  it("is stopped by ^Z, and goes on", function()
    terminal("-i", "echo stopped; fg;", function(keys, expect)
      keys "half\26"
      expect "stopped\r\n"
      expect "\r> half\27[K"
      keys "\21'after'\r"
      expect "\r\nafter\r\n"
      expect(FRESH)
      keys "\4"
      expect "code 0"
    end)
  end)
end)

describe("the history", function()
  it("is removed", function() assert(os.remove(history)) end)
end)
