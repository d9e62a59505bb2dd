-- 019: a module without functions, as an upvalue of the first function that
-- was sent, was copied and did not go by name.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

package.preload["regress.data"] = function() return {size = 3} end
local data = require "regress.data"
local session = casting.session()
assert(session:spawn(function()
  return data == require "regress.data" and data.size == 3
end):await(20), "a copy of the module")
session:close()
