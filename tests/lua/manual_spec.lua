-- manual_spec.lua - the examples of the manual and the README do what they say.
-- still: the manual shows tasks that take turns.
-- SPDX-License-Identifier: MIT
--
-- How, is told in snippets.lua. docs_spec.lua has the other documents.

local snippets = require "snippets"

for _, path in ipairs {"README.md", "docs/manual.md"} do
  describe("in " .. path, function()
    it("there are examples", function()
      assert.is_true(#snippets.of(path, "lua") > 0)
    end)
    snippets.describe(path, it, pending)
  end)
end
