-- snippets.lua - the code in Markdown files, found and run for the specs.
-- SPDX-License-Identifier: MIT
--
-- A snippet is a block that begins with ```lua, or ```lua 5.4 if it needs
-- that version, or ```lua needs socket.http if it needs a library that may not
-- be there. Each runs in an interpreter of its own, behind a line that
-- loads casting. What it prints must be what follows the --> in it, in order;
-- "..." there stands for anything. A block ```lua file examples/NAME.lua is
-- what stands in that file below its first comment: a program with tests of its
-- own.

local helper = require "helper"

local snippets = {}

local PRELUDE = 'local casting = require "casting"; '

-- The paths of all Markdown files of the project, whatever folder they are in.
function snippets.documents()
  local list = {}
  if not helper.has_children() then return list end
  local pipe = io.popen "find . -path ./build -prune -o -name '*.md' -print"
  for line in pipe:lines() do list[#list + 1] = line:sub(3) end
  pipe:close()
  table.sort(list)
  return list
end

-- Is it README.md or a page of the manual? These have a spec of their own.
function snippets.is_manual(path)
  return path == "README.md" or path:match "^docs/manual/" ~= nil
end

-- The blocks of a document: {line=, heading=, text=, language=, version=,
-- needs=}.
function snippets.blocks(path)
  local list, current, heading, n = {}, nil, path, 0
  for line in (helper.slurp(path) .. "\n"):gmatch "(.-)\n" do
    n = n + 1
    if current and line:match "^```" then
      current.text = table.concat(current, "\n")
      list[#list + 1], current = current, nil
    elseif current then
      current[#current + 1] = line
    elseif line:match "^```" then
      current = {line = n, heading = heading,
        language = line:match "^```(%w*)", version = line:match "%d%.%d",
        needs = line:match "needs ([%w_.]+)",
        file = line:match " file (%S+)"}
    elseif line:match "^#+ " then
      heading = line:match "^#+ (.*)"
    end
  end
  if current then
    error(("%s:%d: the block does not end"):format(path, current.line))
  end
  return list
end

function snippets.of(path, language)
  local list = {}
  for _, block in ipairs(snippets.blocks(path)) do
    if block.language == language then list[#list + 1] = block end
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

-- Can this library be loaded, on top of casting's sockets?
local function is_there(library)
  return helper.run(PRELUDE .. ([[require("casting.socket").install()
    os.exit(pcall(require, %q) and 0 or 1)]]):format(library)).status == 0
end

-- Runs Lua source text, which must print what it promises and complain of
-- nothing.
function snippets.check(text)
  local result, lines = helper.run(PRELUDE .. helper.loops(text)), {}
  if result.status ~= 0 or result.err ~= "" then
    error(("status %s\n%s%s"):format(tostring(result.status), result.out,
      result.err))
  end
  for line in result.out:gmatch "(.-)\n" do
    lines[#lines + 1] = line
  end
  local wanted = expected(text)
  for i = 1, math.max(#lines, #wanted) do
    if not lines[i] or not wanted[i] or not matches(lines[i], wanted[i]) then
      error(("prints %q where %q is promised"):format(
        lines[i] or "nothing", wanted[i] or "nothing"))
    end
  end
end

-- Describes the Lua snippets of a document, each as a test. The functions of
-- the framework are passed on: they are known to specs only.
function snippets.describe(path, it, pending)
  for _, snippet in ipairs(snippets.of(path, "lua")) do
    it(("the one in line %d (%s) holds"):format(snippet.line,
      snippet.heading), function()
      if snippet.file then
        local below = helper.slurp(snippet.file):match "^.-\n\n(.*)\n$"
        if below ~= snippet.text then
          error("it is not what stands in " .. snippet.file)
        end
        return
      end
      if snippet.version and helper.version < snippet.version then
        pending("needs Lua " .. snippet.version)
        return
      end
      if snippet.text:find "casting.http" and
          not pcall(require, "casting.http") then
        pending "casting.http is not built"
        return
      elseif snippet.text:find "tls" and not pcall(require, "casting.tls") then
        pending "casting.tls is not built"
        return
      end
      if not helper.has_children() then
        pending "no other program can be started here"
        return
      end
      if helper.forks() and snippet.text:find("no-such-program", 1, true) then
        pending "nobody learns why a program could not be started"
        return
      end
      if snippet.needs and not is_there(snippet.needs) then
        pending("needs " .. snippet.needs)
        return
      end
      snippets.check(snippet.text)
    end)
  end
end

return snippets
