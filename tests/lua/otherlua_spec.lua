-- otherlua_spec.lua - a module that was built for another Lua says so.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore

local TITLES = {["lua5.1"] = "Lua 5.1", ["lua5.2"] = "Lua 5.2",
  ["lua5.3"] = "Lua 5.3", ["lua5.4"] = "Lua 5.4", ["lua5.5"] = "Lua 5.5",
  luajit = "LuaJIT"}
local own = helper.jit and "luajit" or "lua" .. helper.version

-- Where the builds of all versions lie, and the file of one.
local builds = package.cpath:match("([^;]*)/" .. own:gsub("%p", "%%%0") ..
  "/%?%.so")
local function file_of(tag)
  local name = builds and ("%s/%s/casting.so"):format(builds, tag)
  local file = name and io.open(name, "rb")
  if file then file:close() end
  return file and name
end

describe("a module for another Lua", function()
  local others = {}
  for tag in pairs(TITLES) do
    if tag ~= own and file_of(tag) then others[#others + 1] = tag end
  end
  table.sort(others)
  if #others == 0 or not helper.has_children() then
    pending "there is none, or no other program can be started here"
    return
  end

  for _, tag in ipairs(others) do
    it("names both versions: " .. tag, function()
      local out = helper.output(([[
        package.cpath = %q
        for _, name in ipairs {"casting", "casting.net"} do
          print(select(2, pcall(require, name)))
        end
        -- The interpreter works, whatever it has loaded.
        print(("x"):rep(3), #{1, 2, 3}, select("#", nil, nil))
      ]]):format(builds .. "/" .. tag .. "/?.so"))
      -- 5.1 and LuaJIT do not tell a module where it is.
      local file = helper.version == "5.1" and "" or ", not to " .. file_of(tag)
      local said = ("casting was built for %s, and this is %s: package.cpath" ..
        " is to lead to a build for %s%s\n"):format(TITLES[tag], TITLES[own],
        TITLES[own], file)
      assert.equal(said .. said .. "xxx\t3\t2\n", out)
    end)
  end

  it("does not keep the right one from being loaded", function()
    local right = builds .. "/" .. own .. "/?.so"
    assert.equal("false\ntrue\n", helper.output(([[
      package.cpath = %q
      print((pcall(require, "casting")))
      package.cpath = %q
      package.loaded.casting = nil -- 5.1 notes there that it has failed
      local casting = require "casting"
      print(casting.spawn(function() return true end):await())
    ]]):format(builds .. "/" .. others[1] .. "/?.so", right)))
  end)
end)
