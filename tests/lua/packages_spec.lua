-- packages_spec.lua - other people's modules as upvalues of spawned functions.
-- SPDX-License-Identifier: MIT
--
-- As Debian packages them. One that this Lua version does not have here is
-- skipped, and said so.

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

-- Runs body(module) in two sessions at once, with the module as an upvalue.
local function used_as_upvalue(name, body)
  it(name, function()
    local found, module = pcall(require, name)
    if not found then
      pending(name .. " is not installed for this version")
      return
    end
    local function use() return body(module), module == require(name) end
    local here = body(module)
    local sessions, tasks = {}, {}
    for i = 1, 2 do
      sessions[i] = casting.session()
      tasks[i] = sessions[i]:spawn(use)
    end
    for i = 1, 2 do
      local there, same = tasks[i]:await(LONG)
      assert.equal(here, there)
      assert.is_true(same)
      sessions[i]:close()
    end
  end)
end

describe("modules as upvalues", function()
  used_as_upvalue("cjson", function(cjson)
    local t = cjson.decode '{"a":[1,2,{"b":null}]}'
    assert(t.a[3].b == cjson.null)
    return cjson.encode {t.a[1], "x"}
  end)

  used_as_upvalue("lpeg", function(lpeg)
    local word = lpeg.C(lpeg.R "az" ^ 1)
    return table.concat({lpeg.match(word * " " * word, "some words")}, "+")
  end)

  used_as_upvalue("lfs", function(lfs)
    return lfs.attributes(".", "mode") .. lfs.currentdir()
  end)

  used_as_upvalue("socket", function(socket)
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local client = assert(socket.connect("127.0.0.1", port))
    local peer = server:accept()
    client:send "hello\n"
    local line = peer:receive()
    client:close()
    peer:close()
    server:close()
    return line
  end)

  used_as_upvalue("posix.unistd", function(unistd)
    return tostring(unistd.getpid())
  end)

  used_as_upvalue("posix", function(posix)
    return tostring(posix.getpid "pid")
  end)

  used_as_upvalue("pl.List", function(List)
    return tostring(List {3, 1, 2}:sorted():map(function(x) return x * 2 end))
  end)

  used_as_upvalue("pl.pretty", function(pretty)
    return pretty.write({1, {x = "y"}}, "")
  end)

  it("keep the classes of their objects: penlight's List", function()
    local found, List = pcall(require, "pl.List")
    if not found then
      pending "penlight is not installed for this version"
      return
    end
    local session = casting.session()
    local list = session:spawn(function(list)
      local List = require "pl.List" -- luacheck: ignore
      assert(getmetatable(list) == List)
      return list:append(4)
    end, List {1, 2, 3}):await(LONG)
    assert.is_true(getmetatable(list) == List)
    assert.equal("{1,2,3,4}", tostring(list))
    session:close()
  end)

  it("say what of them cannot cross: a pattern of lpeg", function()
    local found, lpeg = pcall(require, "lpeg")
    if not found then
      pending "lpeg is not installed for this version"
      return
    end
    local ok, why = casting.transferable {pattern = lpeg.P "x"}
    assert.is_nil(ok)
    assert.matches("value: %.pattern", why)
  end)
end)
