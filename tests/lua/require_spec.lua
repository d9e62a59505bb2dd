-- require_spec.lua - casting.require: one session at a time loads.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

local there = pcall(require, "processes") -- tests/modules is built

-- Puts loaders into package.preload, for sessions that are made from here on.
local function preload(loaders)
  for name, f in pairs(loaders) do package.preload[name] = f end
  return function()
    for name in pairs(loaders) do
      package.preload[name], package.loaded[name] = nil, nil
    end
  end
end

describe("casting.require", function()
  it("returns what require does", function()
    local done = preload {["r.plain"] = function(name) return {name = name} end}
    local first = pack(casting.require "r.plain")
    assert.equal("r.plain", first[1].name)
    assert.is_true(first[1] == require "r.plain")
    assert.equal(select("#", require "r.plain"), 1)
    assert.is_true(casting.require "r.plain" == first[1])
    done()
  end)

  it("raises what require does, with the place of the call", function()
    local ok, why = pcall(function() casting.require "r.none" end)
    assert.is_false(ok)
    assert.matches("^.*require_spec.*:%d+: module 'r.none' not found", why)
    local done = preload {["r.bad"] = function() error {code = 5} end}
    ok, why = pcall(casting.require, "r.bad")
    assert.is_false(ok)
    assert.equal(5, why.code)
    done()
    helper.misuse(function() casting.require() end, "require", "string")
    helper.misuse(function() casting.require {} end, "require", "string")
  end)

  it("calls the require of the program", function()
    local session = casting.session()
    assert.equal("mine: x", session:spawn(function()
      local c = require "casting"
      require = function(name) return "mine: " .. name end -- luacheck: ignore
      return c.require "x"
    end):await(LONG))
    session:close()
  end)

  it("lets nested calls of the same task through", function()
    local done = preload {
      ["r.a"] = function()
        local c = require "casting"
        return {b = c.require "r.b", c = require "r.c"}
      end,
      ["r.b"] = function() return {c = require "casting".require "r.c"} end,
      ["r.c"] = function() return "c" end,
    }
    local a = casting.require "r.a"
    assert.equal("c", a.b.c)
    assert.equal("c", a.c)
    done()
  end)

  it("loads in one session at a time", function()
    if not there then return pending "needs tests/modules" end
    local sessions, tasks = {}, {}
    for i = 1, 12 do
      sessions[i] = casting.session {thread = i % 2 == 0 and "own" or nil}
      tasks[i] = sessions[i]:spawn(function()
        return require "casting".require "bound.slow".most()
      end)
    end
    for i = 1, 12 do
      assert.equal(1, tasks[i]:await(LONG))
      sessions[i]:close()
    end
  end)

  -- A loader that waits until it is told to go on.
  local function waiting(name)
    local begun, go = casting.channel(), casting.channel()
    local done = preload {[name] = function()
      begun:send(true)
      return go:receive() or error "closed"
    end}
    return begun, go, done
  end

  it("has others wait meanwhile, and tells of it", function()
    local begun, go, done = waiting "r.long"
    local a, b = casting.session {name = "first"}, casting.session()
    local t = a:spawn(function() return require "casting".require "r.long" end)
    begun:receive(LONG)
    local u = b:spawn(function()
      return require "casting".require "r.long"
    end)
    helper.until_waiting(u)
    assert.matches("waiting to load a module, while session 'first' loads",
      casting.report())
    go:send(1)
    assert.equal(1, t:await(LONG))
    begun:receive(LONG)
    go:send(2)
    assert.equal(2, u:await(LONG))
    a:close() b:close()
    done()
  end)

  it("does not wait for what is loaded", function()
    local begun, go, done = waiting "r.long"
    local a = casting.session()
    local t = a:spawn(function() return require "casting".require "r.long" end)
    begun:receive(LONG)
    assert.is_true(casting.require "casting" == casting)
    go:send(1)
    t:await(LONG)
    a:close()
    done()
  end)

  it("is left by a timeout and a cancellation", function()
    local begun, go, done = waiting "r.long"
    local a, b = casting.session(), casting.session()
    local t = a:spawn(function() return require "casting".require "r.long" end)
    begun:receive(LONG)
    assert.same(pack(nil, "timeout"), pack(b:spawn(function()
      local c = require "casting"
      return c.with_timeout(0.005, c.require, "r.long")
    end):await(LONG)))
    local u = b:spawn(function() require "casting".require "r.long" end)
    helper.until_waiting(u)
    u:cancel()
    assert.is_true(casting.is_cancelled(select(2, u:join(LONG))))
    -- The main program waits in line as well.
    assert.same(pack(nil, "timeout"),
      pack(casting.with_timeout(0.005, casting.require, "r.long")))
    go:send(1)
    assert.equal(1, t:await(LONG))
    a:close() b:close()
    done()
  end)

  it("is given up by errors, cancellation, and a session's close", function()
    local begun, go, done = waiting "r.long"
    local function load() return require "casting".require "r.long" end
    local function check_free()
      local s = casting.session()
      local t = s:spawn(load)
      assert.is_true(begun:receive(LONG))
      go:send "free"
      assert.equal("free", t:await(LONG))
      s:close()
    end
    -- An error.
    local a = casting.session()
    local t = a:spawn(function()
      local c = require "casting"
      local ok, why = pcall(c.require, "r.long")
      return ok, tostring(why)
    end)
    begun:receive(LONG)
    go:close()
    assert.is_false((t:await(LONG)))
    done()
    begun, go, done = waiting "r.long"
    check_free()
    -- A cancellation.
    local b = casting.session()
    t = b:spawn(load)
    begun:receive(LONG)
    helper.until_waiting(t)
    t:cancel()
    t:join(LONG)
    check_free()
    -- A session that closes.
    local c = casting.session()
    c:spawn(load)
    begun:receive(LONG)
    c:close(LONG)
    check_free()
    a:close() b:close()
    done()
  end)

  it("shares its turn among the tasks of a session", function()
    -- The first task loads r.x by casting.require, and there waits for the load
    -- of r.y, which the second began, and which calls casting.require, too.
    local reached, go = casting.channel(), casting.channel()
    local done = preload {
      ["r.x"] = function()
        reached:send(true)
        go:receive()
        return {y = require "r.y"}
      end,
      ["r.y"] = function()
        reached:send(true)
        go:receive()
        return {z = require "casting".require "r.z"}
      end,
      ["r.z"] = function() return "z" end,
    }
    local session = casting.session()
    local t = session:spawn(function() return require "r.y".z end)
    reached:receive(LONG)
    local u = session:spawn(function()
      return require "casting".require "r.x".y.z
    end)
    reached:receive(LONG)
    go:send(1)
    go:send(1)
    assert.equal("z", t:await(LONG))
    assert.equal("z", u:await(LONG))
    session:close()
    done()
  end)

  it("grants its turn to all tasks of a session that wait", function()
    local begun, go, done = waiting "r.long"
    local a, b = casting.session(), casting.session()
    local undo = preload {
      ["r.one"] = function() return {two = require "r.two"} end,
      ["r.two"] = function() return require "casting".require "r.three" end,
      ["r.three"] = function() return 3 end,
    }
    b:close()
    b = casting.session()
    local t = a:spawn(function() return require "casting".require "r.long" end)
    begun:receive(LONG)
    local u = b:spawn(function()
      return require "casting".require "r.one".two
    end)
    local v = b:spawn(function() return require "r.two" end)
    helper.until_waiting(u)
    helper.until_waiting(v)
    go:send(1)
    t:await(LONG)
    assert.equal(3, u:await(LONG))
    assert.equal(3, v:await(LONG))
    a:close() b:close()
    undo()
    done()
  end)

  it("fails in an init for which a load waits", function()
    local done = preload {
      ["r.maker"] = function()
        local c = require "casting"
        local ok, why = pcall(c.session, {init = function()
          require "casting".require "r.other"
        end})
        return {ok = ok, why = tostring(why)}
      end,
      ["r.other"] = function() return 1 end,
    }
    local m = casting.require "r.maker"
    assert.is_false(m.ok)
    assert.matches("waits for this session's init", m.why)
    -- An init beside it waits.
    local session = casting.session {init = function()
      x = require "casting".require "r.other" -- luacheck: ignore
    end}
    assert.equal(1, session:spawn(function() return x end):await(LONG)) -- luacheck: ignore
    session:close()
    done()
  end)

  it("has an init wait while another task of its maker loads", function()
    local begun, go, done = waiting "r.long"
    local undo = preload {
      ["r.maker"] = function()
        local s = require "casting".session {init = function()
          x = require "casting".require "r.other" -- luacheck: ignore
        end}
        return s:spawn(function() return x end):await() -- luacheck: ignore
      end,
      ["r.other"] = function() return 7 end,
    }
    local a = casting.session()
    local t = a:spawn(function() return require "casting".require "r.long" end)
    begun:receive(LONG)
    local u = a:spawn(function() return (require "r.maker") end)
    helper.until_waiting(u)
    go:send(1)
    assert.equal(1, t:await(LONG))
    assert.equal(7, u:await(LONG))
    a:close()
    undo()
    done()
  end)

  it("tells of a session that has no require", function()
    helper.misuse(function()
      local session = casting.session()
      local ok, why = session:spawn(function()
        local c = require "casting"
        require = nil -- luacheck: ignore
        return c.require "r.none"
      end):join(LONG)
      session:close()
      if not ok then error(why, 0) end
    end, "require")
  end)
end)
