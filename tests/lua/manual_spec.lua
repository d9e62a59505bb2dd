-- manual_spec.lua - the examples of the manual and the README do what they say.
-- still: the manual shows tasks that take turns.
-- SPDX-License-Identifier: MIT
--
-- How, is told in snippets.lua. docs_spec.lua has the other documents.

local snippets = require "snippets"

-- Pages without code: what they say is in tables, or of the shell.
local WITHOUT = {["docs/manual/limits.md"] = true,
  ["docs/manual/launcher.md"] = true}

for _, path in ipairs(snippets.documents()) do
  if snippets.is_manual(path) then
    describe("in " .. path, function()
      it("there are examples", function()
        assert.is_true(#snippets.of(path, "lua") > 0 or WITHOUT[path])
      end)
      snippets.describe(path, it, pending)
    end)
  end
end
