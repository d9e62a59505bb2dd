-- manual_spec.lua - the examples of the manual and the README do what they say.
-- SPDX-License-Identifier: MIT
--
-- An example is a block that begins with ```lua, or ```lua 5.4 if it needs
-- that version. Each runs in an interpreter of its own, behind a line that
-- loads casting. What it prints must be what follows the --> in it, in order;
-- "..." there stands for anything.

local helper = require "helper"

local PRELUDE = 'local casting = require "casting"; '

-- The examples of a document: {line=, text=, version=}.
local function examples(path)
  local list, current, heading, n = {}, nil, path, 0
  for line in (helper.slurp(path) .. "\n"):gmatch "(.-)\n" do
    n = n + 1
    if current and line:match "^```" then
      current.text = table.concat(current, "\n")
      list[#list + 1], current = current, nil
    elseif current then
      current[#current + 1] = line
    elseif line:match "^```lua" then
      current = {line = n, heading = heading, version = line:match "%d%.%d"}
    elseif line:match "^#+ " then
      heading = line:match "^#+ (.*)"
    end
  end
  return list
end

local function expected(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = line:match "%-%-> (.*)$"
  end
  return lines
end

local function matches(line, wanted)
  local pattern = wanted:gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", ".*")
  return line:match("^" .. pattern .. "$") ~= nil
end

local function check(example)
  local lines = {}
  for line in helper.output(PRELUDE .. example.text):gmatch "(.-)\n" do
    lines[#lines + 1] = line
  end
  local wanted = expected(example.text)
  for i = 1, math.max(#lines, #wanted) do
    if not lines[i] or not wanted[i] or not matches(lines[i], wanted[i]) then
      error(("prints %q where %q is promised"):format(
        lines[i] or "nothing", wanted[i] or "nothing"))
    end
  end
end

for _, path in ipairs {"README.md", "docs/manual.md"} do
  describe("in " .. path, function()
    local list = examples(path)
    it("there are examples", function()
      assert.is_true(#list > 0)
    end)
    for _, example in ipairs(list) do
      it(("the one in line %d (%s) holds"):format(example.line,
        example.heading), function()
        if example.version and helper.version < example.version then
          pending("needs Lua " .. example.version)
          return
        end
        if not helper.has_children() then
          pending "no other program can be started here"
          return
        end
        check(example)
      end)
    end
  end)
end
