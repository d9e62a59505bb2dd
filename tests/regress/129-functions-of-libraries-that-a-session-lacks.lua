-- 129: A function of a library that a session was made without was looked for
-- as a module, and the error listed in how many places.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local session = casting.session {libs = {}}
local format, concat = string.format, table.concat

local function fails_with(task, words)
  local ok, e = task:join(60)
  assert(ok == false and e:find(words, 1, true) and not e:find "\n", e)
end

fails_with(session:spawn(function() return format("%d", 1) end),
  "cannot receive 'string.format' (value 1: upvalue 'format'): " ..
  "this session has no library 'string'")
fails_with(session:spawn(format, "%d", 1),
  "cannot receive 'string.format' (value 1): this session has no library")
fails_with(session:spawn("return ...", {{concat}}),
  "cannot receive 'table.concat' (value 2: [1][1]): " ..
  "this session has no library 'table'")
fails_with(session:spawn("return ...", string),
  "cannot receive module 'string' (value 2): this session has no library")
session:close()

-- A file or preloaded module of the name is as good.
package.preload.utf8 = package.preload.utf8 or function() return {} end
package.preload.string = function() return {} end
session = casting.session {libs = {}}
fails_with(session:spawn("return ...", concat), "has no library 'table'")
package.preload.string = nil
session:close()

-- Other modules are told of as ever.
package.loaded["129-none"] = {f = io.write}
session = casting.session()
local module = package.loaded["129-none"]
local ok, e = session:spawn("return ...", module):join(60)
assert(ok == false and e:find("module '129-none' not found", 1, true), e)
session:close()
