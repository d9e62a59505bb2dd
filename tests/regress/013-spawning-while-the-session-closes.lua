-- A task that called casting.spawn when its session had been told to close,
-- but the cancellation had not arrived yet, failed with an error of its own
-- ("the session is closed"), and that was even reported.
local casting = require "casting"
local s, started, go = casting.session(), casting.channel(1), casting.channel(1)
local task = s:spawn(function()
  started:send(true)
  while not go:try_receive() do end
  casting.spawn(function() end)
end)
started:receive()
assert(s:close(0) == nil)
go:send(true)
local ok, err = task:join()
assert(not ok and casting.is_cancelled(err), tostring(err))
s:close()
