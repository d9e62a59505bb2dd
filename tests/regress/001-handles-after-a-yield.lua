-- A message that held handles was read as if it were plain numbers when it
-- reached a task that had yielded (5.1, LuaJIT): the process ended silently.
local casting = require "casting"
local ch, s = casting.channel(), casting.session()
local t = s:spawn(function() return tostring((ch:receive())) end)
for _ = 1, 50 do
  s:spawn(function() return tostring((ch:receive())) end)
  ch:send(casting.channel())
end
ch:send(casting.channel())
local ok, text = t:join(10)
assert(ok == true and text:match("^channel: "), tostring(text))
