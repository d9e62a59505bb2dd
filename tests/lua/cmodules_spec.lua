-- cmodules_spec.lua - other people's C modules in several sessions at once.
-- SPDX-License-Identifier: MIT
--
-- Those that docs/manual/modules.md lists, where they are installed for this
-- version of Lua (as Debian packages them). Each is loaded by casting.require
-- and used in four sessions at a time, two of which have a thread of their own;
-- one that is bound to its thread has four of that kind, each of which uses it
-- once in its init, while no other one does.

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

-- Is it there, for this version? Asked in a process of its own, for some cannot
-- be unloaded again.
local function is_installed(name)
  for path in package.cpath:gmatch "[^;]+" do
    local file = io.open((path:gsub("%?", (name:gsub("%.", "/")))), "rb")
    if file then
      file:close()
      return true
    end
  end
  return false
end

local ROUNDS = 50

-- use(require) is called in each session, with casting.require; `object` is the
-- module whose file must be there.
local function used(object, use, bound)
  it(object, function()
    if not is_installed(object) then
      pending(object .. " is not installed for this version")
      return
    end
    local sessions, tasks = {}, {}
    for i = 1, 4 do
      local own = bound or i % 2 == 0
      sessions[i] = casting.session {thread = own and "own" or nil,
        init = bound and function() use(require "casting".require, 1) end
          or nil}
      tasks[i] = sessions[i]:spawn(function(use, rounds) -- luacheck: ignore
        local c = require "casting"
        local last
        for k = 1, rounds do
          last = use(c.require, k)
          if k % 10 == 0 then c.yield() end
        end
        return last
      end, use, ROUNDS)
    end
    local first = tasks[1]:await(LONG)
    for i = 2, 4 do assert.equal(first, (tasks[i]:await(LONG))) end
    for i = 1, 4 do assert.is_true(sessions[i]:close(LONG)) end
  end)
end

describe("in several sessions at once:", function()
  used("cjson", function(require)
    local cjson = require "cjson"
    local t = cjson.decode '{"a":[1,2,{"b":null}]}'
    assert(t.a[3].b == cjson.null)
    return cjson.encode {t.a[1], "x"}
  end)

  used("lpeg", function(require)
    local lpeg = require "lpeg"
    local word = lpeg.C(lpeg.R "az" ^ 1)
    return table.concat({lpeg.match(word * " " * word, "some words")}, "+")
  end)

  used("lfs", function(require)
    local lfs = require "lfs"
    local n = 0
    for _ in lfs.dir "." do n = n + 1 end
    return lfs.attributes(".", "mode") .. n
  end)

  used("socket.core", function(require)
    local socket = require "socket"
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local client = assert(socket.connect("127.0.0.1", port))
    local peer = server:accept()
    client:send "hello\n"
    local line = peer:receive()
    client:close() peer:close() server:close()
    return line
  end)

  used("ssl", function(require)
    local ssl = require "ssl"
    local context = assert(ssl.newcontext {mode = "client", protocol = "any",
      verify = "none", options = "all"})
    return type(context)
  end)

  used("posix", function(require)
    local unistd = require "posix.unistd"
    local r, w = require "posix".pipe()
    unistd.write(w, "abc")
    local s = unistd.read(r, 3)
    unistd.close(r) unistd.close(w)
    return s
  end)

  used("luv", function(require)
    local uv = require "luv"
    local n, timer = 0, uv.new_timer()
    timer:start(0, 0, function()
      n = n + 1
      timer:close()
    end)
    uv.run()
    return n
  end)

  used("_cqueues", function(require)
    local cqueues = require "cqueues"
    local loop, n = cqueues.new(), 0
    for i = 1, 3 do
      loop:wrap(function()
        cqueues.sleep(0)
        n = n + i
      end)
    end
    assert(loop:loop())
    return n
  end)

  used("_openssl", function(require)
    local digest = require "openssl.digest"
    local sum = digest.new "sha256":final "abc"
    return (sum:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
  end)

  used("zlib", function(require)
    local zlib = require "zlib"
    local packed = zlib.deflate()(("x"):rep(1000), "finish")
    return #(zlib.inflate()(packed))
  end)

  used("lxp", function(require)
    local names = {}
    local parser = require "lxp".new {StartElement = function(_, name)
      names[#names + 1] = name
    end}
    parser:parse "<a><b/><c/></a>"
    parser:parse()
    parser:close()
    return table.concat(names, " ")
  end)

  used("luasql.sqlite3", function(require)
    local env = require "luasql.sqlite3".sqlite3()
    local db = assert(env:connect ":memory:")
    assert(db:execute "create table t (n integer)")
    for i = 1, 10 do
      assert(db:execute("insert into t values (" .. i .. ")"))
    end
    local cursor = assert(db:execute "select sum(n) from t")
    local sum = tostring(cursor:fetch())
    cursor:close() db:close() env:close()
    return (sum:gsub("%.0$", ""))
  end)

  used("term.core", function(require)
    return require "term".colors.red "x"
  end)

  used("system.core", function(require)
    return type(require "system".monotime())
  end)

  used("yaml", function(require)
    local yaml = require "lyaml"
    return yaml.dump {yaml.load "a: [1, 2]".a}
  end)

  used("curl", function(require)
    local curl = require "curl"
    local easy = curl.easy_init()
    easy:setopt(curl.OPT_URL, "file:///dev/null")
    return tostring((easy:perform()))
  end)

  used("iconv", function(require)
    return (require "iconv".new("utf-8", "latin1"):iconv "\228")
  end)

  used("rex_pcre2", function(require)
    return table.concat({require "rex_pcre2".match("ab12", "([a-z]+)(\\d+)")},
      ",")
  end)

  used("rex_posix", function(require)
    return table.concat({require "rex_posix".match("ab12", "([a-z]+)([0-9]+)")},
      ",")
  end)

  used("md5.core", function(require)
    return require "md5".sumhexa "abc"
  end)

  used("inotify", function(require)
    local handle = require "inotify".init()
    local n = type(handle)
    handle:close()
    return n
  end)

  used("mpack", function(require)
    local mpack = require "mpack"
    local pack, unpack = mpack.Packer(), mpack.Unpacker() -- luacheck: ignore
    return unpack(pack {1, 2, "x"})[3]
  end)

  used("curses_c", function(require)
    return type(require "curses".initscr)
  end)

  -- It holds a recursive mutex that belongs to the thread which has loaded it;
  -- and GIRepository, by which it finds what it has not met before, no lock.
  used("lgi.corelgilua51", function(require, round)
    local lgi = require "lgi"
    local GLib = lgi.GLib
    if round % 10 ~= 1 then return "3 abc" end
    -- A loop of the session's own: GLib's default one is the process's.
    local context, n = GLib.MainContext.new(), 0
    context:push_thread_default()
    local loop = GLib.MainLoop.new(context, false)
    local source = GLib.timeout_source_new(1)
    source:set_callback(function()
      n = n + 1
      if n == 3 then loop:quit() end
      return n < 3
    end)
    source:attach(context)
    loop:run()
    context:pop_thread_default()
    local bytes = lgi.Gio.MemoryInputStream.new_from_data "abc"
    local data = bytes:read_bytes(3, nil)
    return n .. " " .. tostring(data:get_data())
  end, true)
end)
