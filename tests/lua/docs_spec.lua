-- docs_spec.lua - the code in all documents does what they say, or compiles.
-- SPDX-License-Identifier: MIT
--
-- 1. No document of the project is left out: the list comes from the
--    directories. Only README.md and the manual are elsewhere, in
--    manual_spec.lua, so that both can run at the same time.
-- 2. No code is left out: a block has a language, and it is one that is run
--    or compiled here, or one that is not code.
-- Links between documents are checked by tools/lint/links.sh.

local helper = require "helper"
local snippets = require "snippets"

if not helper.has_children() then
  describe("documents", function()
    pending "listed: no other program can be started here"
  end)
  return
end

local function lines_of(command)
  local list, pipe = {}, io.popen(command)
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local LANGUAGES = {lua = true, c = true, text = true, sh = true}
local documents = snippets.documents()

describe("documents", function()
  it("with examples are among those that are looked at", function()
    local found = {}
    for _, path in ipairs(documents) do
      found[path] = #snippets.of(path, "lua")
    end
    for _, name in ipairs {"tutorial", "coming-from", "patterns",
      "manual/index", "manual/channels", "manual/values"} do
      assert.is_true((found["docs/" .. name .. ".md"] or 0) > 0, name)
    end
    for _, path in ipairs {"README.md", "CONTRIBUTING.md", "CHANGELOG.md",
      "bench/README.md", "docs/c-api.md"} do
      assert.is_true(found[path] ~= nil, path)
    end
  end)

  it("say of each block what it is", function()
    for _, path in ipairs(documents) do
      for _, block in ipairs(snippets.blocks(path)) do
        assert.is_true(LANGUAGES[block.language] == true,
          path .. ":" .. block.line)
      end
    end
  end)
end)

for _, path in ipairs(documents) do
  if not snippets.is_manual(path) then
    describe("in " .. path, function()
      snippets.describe(path, it, pending)
    end)
  end
end

-- ------------------------------------------------------------------ in C --

local HEADERS = [[
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lua.h>
#include <lualib.h>
#include <lauxlib.h>
#define CASTING_IMPORT
#include "casting_import.h"
]]

-- A command that reads C, and finds the headers of a Lua; nil without one.
local function compiler()
  local found = lines_of([[command -v cc; for p in lua5.4 lua-5.4 lua5.3 ]] ..
    [[lua5.1 luajit lua; do pkg-config --cflags $p && break; done 2>&1]])
  local flags = found[#found]
  if not flags or not flags:match "^%-I" then return end
  return "cc -std=c11 -D_POSIX_C_SOURCE=200809L -fsyntax-only -Wall -Wextra" ..
    " -Werror -Wno-unused-function -Wno-unused-parameter -Iinclude " .. flags
end

describe("the C code of docs/c-api.md", function()
  it("compiles, all of it in one file", function()
    local cc = compiler()
    if not cc then
      pending "no C compiler, or no headers of Lua"
      return
    end
    local text = {HEADERS}
    for _, block in ipairs(snippets.of("docs/c-api.md", "c")) do
      text[#text + 1] = ('#line %d "docs/c-api.md"'):format(block.line + 1)
      text[#text + 1] = block.text
    end
    assert.is_true(#text > 2)
    local name = os.tmpname()
    helper.spit(name, table.concat(text, "\n") .. "\n")
    local out = lines_of(cc .. " -x c " .. name .. " 2>&1; echo $?")
    os.remove(name)
    assert.equal("0", table.concat(out, "\n"))
  end)
end)
