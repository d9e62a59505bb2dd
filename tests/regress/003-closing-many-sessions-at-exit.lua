-- Sessions that left the tree of their host while it was walked hid those
-- after them: the process ended only when the grace period was over.
local casting = require "casting"
local started = casting.now()
local probe = [[
  local casting = require "casting"
  local ts = {}
  for i = 1, 8 do ts[i] = casting.session():spawn(function() return 1 end) end
  for i = 1, 8 do ts[i]:await() end
]]
local name = os.tmpname()
local f = assert(io.open(name, "w"))
f:write(probe)
f:close()
local lua = arg[-1] or "lua"
for _ = 1, 10 do os.execute(lua .. " " .. name) end
os.remove(name)
assert(casting.now() - started < 15, "exits took too long")
