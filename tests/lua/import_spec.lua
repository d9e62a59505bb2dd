-- import_spec.lua - modules in C that are not linked with casting.
-- SPDX-License-Identifier: MIT
--
-- Built with the unit tests (tests/modules/imported.c).

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore

if not pcall(require, "imported") then
  describe("casting_import", function()
    pending "needs tests/modules/imported.c, which is not built here"
  end)
  return
end

-- Runs the function in a session of its own; returns what it does, or raises.
local function inside(f, ...)
  local session = casting.session()
  local task = session:spawn(f, ...)
  local ok, result = task:join()
  session:close()
  assert(ok, result)
  return result
end

describe("casting_import", function()
  it("finds the functions in the main program", function()
    local imported = require "imported"
    local major, minor, patch = casting._VERSION:match "(%d+)%.(%d+)%.(%d+)"
    assert.equal(major * 10000 + minor * 100 + patch, imported.version())
    assert.equal("timeout", imported.sleep(0.001))
  end)

  it("finds them in sessions, which have not required casting", function()
    local function use()
      local imported = require "imported"
      return imported.sleep(0.001) .. imported.version()
    end
    local wanted = "timeout" .. require "imported".version()
    local tasks, sessions = {}, {}
    for i = 1, 4 do
      sessions[i] = casting.session()
      tasks[i] = sessions[i]:spawn(use)
    end
    for i = 1, 4 do
      local ok, result = tasks[i]:join()
      assert.is_true(ok, result)
      assert.equal(wanted:gsub("%.0$", ""), (result:gsub("%.0$", "")))
      sessions[i]:close()
    end
  end)

  -- The functions that are in use stay what they are.
  it("refuses an older casting, and another one", function()
    local function again(how)
      local imported = require "imported"
      local ok, why = pcall(imported.again, how)
      assert(not ok and imported.version() > 0)
      return why
    end
    local older = "a module needs casting " .. casting._VERSION ..
      ", and there is an older one"
    assert.equal(older, inside(again, "none"))
    assert.equal(older, inside(again, "older"))
    assert.equal("a module is used with two castings in one process",
      inside(again, "other"))
    assert.equal("timeout", require "imported".sleep(0.001))
  end)
end)
