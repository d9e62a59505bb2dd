-- examplekit.lua - for tests of the programs of examples/ that serve something.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local process = require "casting.process"
local LONG = helper.LONG

local kit = {}

-- Why examples on casting.http cannot be tried; nil: they can be.
function kit.why_not()
  if not helper.has_children() then
    return "no other program can be started here"
  elseif not pcall(require, "casting.http") then
    return "casting.http is not built"
  end
end

-- "needs PROGRAM" if there is none of that name.
function kit.needs(program)
  if process.run {"sh", "-c", "command -v " .. program} ~= 0 then
    return "needs " .. program
  end
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The command that runs examples/NAME.lua; its output comes line by line.
function kit.command(name, ...)
  local words = {"exec", helper.command(helper.LEAVES), "-e",
    quote 'io.stdout:setvbuf "line"', "examples/" .. name .. ".lua"}
  for _, word in ipairs {...} do words[#words + 1] = quote(word) end
  return {"sh", "-c", table.concat(words, " ")}
end

-- Starts one that serves: the program, and the URL that it prints, without its
-- path.
local programs = {}
function kit.start(name, ...)
  local words = kit.command(name, ...)
  words.stdout, words.stderr = "pipe", "pipe"
  local program = assert(process.spawn(words))
  programs[#programs + 1] = program
  local url = program.stdout:read("l", LONG)
  if not url then error(program.stderr:read("a", LONG), 2) end
  return program, url:match "^http://[%d.:]+"
end

-- Ends all of them.
function kit.stop()
  for i = #programs, 1, -1 do
    programs[i]:kill "KILL"
    programs[i]:wait(LONG)
    programs[i] = nil
  end
end

-- Asks for one thing, with more options of curl: the status, the body, and the
-- fields of the header with names in lower case.
function kit.ask(url, ...)
  local status, out, complaint = process.run {"curl", "-sSi", "--max-time",
    tostring(LONG), url, timeout = 2 * LONG, ...}
  if status ~= 0 then error(url .. ": " .. complaint, 2) end
  local head, body = out:match "^(.-\r\n)\r\n(.*)$"
  local fields = {}
  for name, value in head:gmatch "\n([^:\r]+): ([^\r]*)" do
    fields[name:lower()] = value
  end
  return tonumber(head:match "^HTTP/1.1 (%d+)"), body, fields
end

-- Runs one to its end: the status, what it wrote, and what it complained.
function kit.run(name, ...)
  local words = kit.command(name, ...)
  words.timeout = LONG
  return process.run(words)
end

-- Runs one with wrong words, and looks at the complaint, which ends with how it
-- is used: the status and what it wrote.
function kit.refuse(name, ...)
  local status, out, complaint = kit.run(name, ...)
  if not complaint:match("^" .. name .. ": [^\n]*\nusage: " .. name) then
    error(complaint, 2)
  end
  return status, out
end

return kit
