-- Tasks that met sessions which the end of the program had closed failed, and
-- were reported on stderr, though nothing was wrong with them.
local lua = os.getenv "LUA" or arg[-1] or "lua"
local name, out = os.tmpname(), os.tmpname()
local f = assert(io.open(name, "w"))
f:write [[
  local casting = require "casting"
  for _ = 1, 4 do
    casting.session():spawn(function()
      local casting = require "casting"
      local s = casting.session()
      while true do s:spawn("return 1"):join() end
    end)
  end
  casting.sleep(0.005)
]]
f:close()
for _ = 1, 20 do
  os.execute(("%s %s 2>>%s"):format(lua, name, out))
end
f = assert(io.open(out))
local said = f:read "*a"
f:close()
os.remove(name)
os.remove(out)
assert(said == "", said)
