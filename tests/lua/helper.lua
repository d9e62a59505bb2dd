-- helper.lua - what the specs share: child interpreters, waiting, misuse.
-- SPDX-License-Identifier: MIT
--
-- On the path of ./dev test and of tools/test/runtest.sh. A function of a spec
-- that is copied into a session does better without this table as an upvalue.

local casting = require "casting"

local helper = {}

-- Seconds that nothing takes which works, be the machine as loaded as it may. A
-- slow build (a sanitizer, valgrind) multiplies it by CASTING_TIME_FACTOR.
local slow = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
helper.slow = slow
helper.LONG = 100 * slow

-- "5.1" ... "5.4"; LuaJIT calls itself 5.1.
helper.version = _VERSION:match "%d+%.%d+"
helper.jit = rawget(_G, "jit") ~= nil
helper.integers = math.type ~= nil

function helper.pack(...)
  return {n = select("#", ...), ...}
end

helper.unpack = table.unpack or unpack

local function quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

-- The interpreter that runs this test, as an absolute path if possible.
local interpreter
function helper.interpreter()
  if interpreter then return interpreter end
  interpreter = os.getenv "LUA"
  if interpreter then return interpreter end
  local pipe = io.popen "readlink /proc/$PPID/exe 2>/dev/null"
  local line = pipe:read "*l"
  pipe:close()
  if line and line:match "lua" then
    interpreter = line
    return line
  end
  local args, lowest = rawget(_G, "arg") or {}, 0
  while args[lowest - 1] do lowest = lowest - 1 end
  interpreter = assert(args[lowest], "which interpreter is this?")
  return interpreter
end

-- A port of 127.0.0.1 at which nobody listens. One that was free a moment ago
-- may be another process's by now, whose tests would meet a stranger.
helper.NOBODY = 1

-- A word for env, for a program that calls os.exit without closing its state: a
-- thread that has ended and was not joined is no fault of it.
helper.LEAVES = 'TSAN_OPTIONS="$TSAN_OPTIONS report_thread_leaks=0"'

-- A shell's words that run the interpreter where modules are found as here;
-- with `word` and `helper.environment`, if these are not nil, as more words for
-- env.
function helper.command(word)
  local words = {"env -u LUA_INIT"}
  for _, v in ipairs {"5_1", "5_2", "5_3", "5_4", "5_5"} do
    words[#words + 1] = ("-u LUA_INIT_%s -u LUA_PATH_%s -u LUA_CPATH_%s")
      :format(v, v, v)
  end
  words[#words + 1] = word
  words[#words + 1] = helper.environment
  words[#words + 1] = "LUA_PATH=" .. quote(package.path)
  words[#words + 1] = "LUA_CPATH=" .. quote(package.cpath)
  words[#words + 1] = quote(helper.interpreter())
  return table.concat(words, " ")
end

function helper.slurp(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

function helper.spit(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

-- Whether programs can be started from here. They cannot where a library that
-- every process must load, such as ThreadSanitizer's, is one that the shell
-- does not survive.
local children
function helper.has_children()
  if children == nil then
    local pipe = io.popen "echo yes"
    children = pipe:read "*l" == "yes"
    pipe:close()
  end
  return children
end

local function is_mapped(library)
  local maps = io.open "/proc/self/maps"
  local text = maps and maps:read "*a" or ""
  if maps then maps:close() end
  return text:find(library, 1, true) ~= nil
end

-- Is ThreadSanitizer about?
function helper.tsan() return is_mapped "libtsan" end
function helper.asan() return is_mapped "libasan" end

function helper.valgrind() return is_mapped "vgpreload" end

-- Does an emulator run this, qemu-user (tools/test/ports.sh)? It is one process
-- for two: the system sees its threads, descriptors, signals and memory beside
-- those of the program. A test that looks at them says why it is left out.
function helper.emulated() return os.getenv "CASTING_EMULATED" ~= nil end
helper.EMULATED = "the emulator's own are seen beside those of the program"

-- Does what runs this make a fork of vfork? Then nobody learns why a program
-- could not be started.
function helper.forks() return helper.valgrind() or helper.emulated() end

-- Builds a library for programs that helper.start and helper.command start with
-- helper.preloading: its path, for os.remove; or nil and why not.
function helper.library(source)
  if not helper.has_children() then
    return nil, "no other program can be started here"
  elseif helper.emulated() then
    return nil, "the emulator itself would load it"
  end
  local path = os.tmpname()
  local built = os.execute(("${CC:-cc} -shared -fPIC -o %s %s -ldl 2>/dev/null")
    :format(path, source))
  if built == true or built == 0 then return path end
  os.remove(path)
  return nil, "no C compiler is here"
end
-- Words for helper.environment, with which a program loads that library first;
-- what leaks is then not told.
function helper.preloading(library, words)
  return ("%s LD_PRELOAD=%s ASAN_OPTIONS=" ..
    '"$ASAN_OPTIONS verify_asan_link_order=0 detect_leaks=0"')
    :format(words or "", library)
end

-- Is each block of memory from malloc (CASTING_PLAIN_MEMORY)? Then there are no
-- slabs.
function helper.has_plain_memory()
  return helper.asan() or helper.valgrind()
end

-- Can a process fork while its other threads work? Sanitizers have locks of
-- their own, which their child may find held for ever. So has the library by
-- which LuaJIT raises errors (libgcc, up to version 12), each time.
function helper.can_fork_busy()
  return not (helper.tsan() or is_mapped "libasan" or rawget(_G, "jit"))
end

-- Source text whose endless loops can be interrupted: under ThreadSanitizer a
-- thread gets no signals unless it makes system calls.
function helper.loops(text)
  if not helper.tsan() then return text end
  return (text:gsub("while true do", "%0 os.time()"))
end

-- A function that computes for ever, to be called in any session.
helper.compute = (rawget(_G, "loadstring") or load)(
  helper.loops "while true do end", "=compute")

-- Starts Lua source text in an interpreter of its own; what it returns waits
-- for its end, so several can run at a time. `word` and `signal` (INT unless
-- told): that signal is sent as soon as the child has written the word. It is
-- {status=, out=, err=, seconds=}; status 124 means that it did not end in
-- `limit` seconds.
function helper.start(source, word, signal, limit)
  if not helper.has_children() then
    rawget(_G, "pending") "no other program can be started here"
  end
  local base = os.tmpname()
  local script, out, err = base .. ".lua", base .. ".out", base .. ".err"
  local pid = base .. ".pid"
  helper.spit(script, source)
  helper.spit(out, "")
  local command = helper.command(
    source:find("os.exit", 1, true) and helper.LEAVES or nil)
  local start = ("timeout -k 2 %d sh -c 'echo $$ >%s; exec \"$@\"' sh %s" ..
    " %s >%s 2>%s </dev/null"):format(math.ceil((limit or 100) * slow), pid,
    command, script, out, err)
  if word then
    start = ("{ %s & job=$!; while ! grep -q %s %s && kill -0 $job; do" ..
      " sleep 0.02; done; kill -%s $(cat %s); wait $job; } 2>/dev/null")
      :format(start, quote(word), out, signal or "INT", pid)
  end
  local began = casting.now()
  local pipe = io.popen(start .. "; echo $?")
  return function()
    local status = tonumber((pipe:read "*a"):match "(%d+)%s*$")
    pipe:close()
    local result = {status = status, seconds = casting.now() - began,
      out = helper.slurp(out), err = helper.slurp(err)}
    for _, path in ipairs {base, script, out, err, pid} do os.remove(path) end
    return result
  end
end

-- The same, for one that is waited for at once.
function helper.run(source, word)
  return helper.start(source, word)()
end

-- As helper.run, and the child must have ended well: returns what it wrote.
function helper.output(source)
  local result = helper.run(source)
  if result.status ~= 0 then
    error(("status %s\n%s%s"):format(tostring(result.status), result.out,
      result.err), 2)
  end
  return result.out
end

-- Lets the calling state's tasks run until f() is true. For states that have
-- no event to wait for, such as "that task is parked now".
function helper.until_true(f, what)
  local deadline = casting.now() + helper.LONG
  while not f() do
    if casting.now() > deadline then
      error((what or "it") .. " did not come true in time", 2)
    end
    casting.sleep(0.001)
  end
end

function helper.until_waiting(task)
  helper.until_true(function() return task:status() == "waiting" end,
    "that the task waits")
end

-- f must raise a string that has each of the words in it.
function helper.misuse(f, ...)
  local ok, message = pcall(f)
  if ok then error("no error was raised", 2) end
  if type(message) ~= "string" then
    error("the error is a " .. type(message), 2)
  end
  for i = 1, select("#", ...) do
    local word = select(i, ...)
    if not message:find(word, 1, true) then
      error(("%q does not mention %q"):format(message, word), 2)
    end
  end
end

-- What the parts of the library that are written in Lua share; only the debug
-- library leads there.
function helper.internal()
  pcall(casting.all, {}) -- it is made at the first use
  for _, v in pairs(debug.getregistry()) do
    if type(v) == "table" and rawget(v, "prolong") then return v end
  end
end

-- Busted gives a spec, and each function that it is passed, an environment of
-- its own, and a function takes an environment that is not the globals with it
-- into a session. So a spec begins with `local _ENV = helper.globals(_ENV)`:
-- its functions, but for thin wrappers made here, see the globals.
function helper.globals(env)
  if setfenv then env = getfenv(2) end
  for _, name in ipairs {"describe", "it", "before_each", "after_each"} do
    local original = env[name]
    rawset(_G, name, function(...)
      local n = select("#", ...)
      local f, title = select(n, ...), ...
      -- Inside a test `pending` is another one, which ends the test.
      local function body()
        rawset(_G, "pending", env.pending)
        return f()
      end
      if n == 1 then return original(body) end
      return original(title, body)
    end)
  end
  rawset(_G, "assert", env.assert)
  if setfenv then setfenv(2, _G) end
  return _G
end

-- Where Lua code can be. Each runs f(...) and gives its results.
helper.places = {
  {"the main program", function(f, ...) return f(...) end},
  {"a task of the main state", function(f, ...)
    return casting.spawn(f, ...):await(helper.LONG)
  end},
  {"a task of a session", function(f, ...)
    local session = casting.session()
    local result = helper.pack(session:spawn(f, ...):await(helper.LONG))
    session:close()
    return helper.unpack(result, 1, result.n)
  end},
}

return helper
