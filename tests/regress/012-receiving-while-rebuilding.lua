-- A constructor that received while its own message was being rebuilt threw
-- that message away under the decoder's feet.
local casting = require "casting"
local a, b = casting.channel(8), casting.channel(8)
local pair = setmetatable({ "left", "right" }, {
  __save = function(v)
    return function(x, y)
      local z = b:receive()
      return { x, y, z }
    end, v[1], v[2]
  end,
})
a:send(pair, ("x"):rep(100), { 1, { 2 }, 3 })
b:send({ "from b", ("y"):rep(100) })
local v, s, t = a:receive()
assert(v[1] == "left" and v[2] == "right" and v[3][1] == "from b")
assert(s == ("x"):rep(100) and t[2][1] == 2 and t[3] == 3)

-- And what a failing constructor leaves behind does not pile up or confuse.
local bad = setmetatable({}, {
  __save = function() return function() error("no", 0) end end,
})
for i = 1, 100 do
  a:send(bad, {})
  assert(not pcall(a.receive, a))
  a:send({ i })
  assert(a:receive()[1] == i)
end
