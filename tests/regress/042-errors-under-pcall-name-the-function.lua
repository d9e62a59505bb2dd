-- pcall(ch.receive, ch, -1) raised "bad argument #2 to '?'": Lua knows a
-- function by the variable that it was called by, and a C function has none.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function expect(number, name, f, ...)
  local ok, e = pcall(f, ...)
  local words = ("bad argument #%d to '%s' ("):format(number, name)
  assert(not ok and e:find(words, 1, true), e)
end

local function try()
  local ch, message = casting.channel(), casting.pack(1)
  local session = casting.session()
  local task = session:spawn("return 1")
  expect(2, "receive", ch.receive, ch, -1)
  expect(2, "send", ch.send, ch)
  expect(2, "try_send", ch.try_send, ch)
  for _, name in ipairs {"send", "receive", "try_send", "try_receive", "close",
    "closed", "capacity", "len"} do
    expect(1, name, ch[name], task)
    expect(1, name, ch[name])
  end
  for _, name in ipairs {"join", "await", "status", "traceback", "cancel",
    "monitor", "link", "unlink", "session", "name"} do
    expect(1, name, task[name], ch)
  end
  for _, name in ipairs {"spawn", "wait", "close", "cancel", "name", "tasks",
    "stats"} do
    expect(1, name, session[name], ch)
  end
  expect(1, "unpack", message.unpack, ch)
  for _, name in ipairs {"channel", "named", "after", "every", "select",
    "spawn", "sleep", "threads", "blocking", "on_error", "report",
    "with_timeout", "shield", "scope", "all", "race", "map", "supervisor"} do
    expect(1, name, casting[name], true)
  end
  expect(1, "run", casting.run, true)
  expect(1, "session", casting.session, {memory = -1})
  expect(1, "pack", casting.pack)
  expect(1, "transferable", casting.transferable)
  expect(1, "is_cancelled", casting.is_cancelled)

  -- By another name it has its own, and a method's arguments count from it.
  local other = casting.channel
  expect(1, "channel", function() other(-1) end)
  expect(1, "receive", function() ch:receive(-1) end)
  local f = ch.receive
  expect(2, "receive", function() f(ch, -1) end)
  session:close()
  return "done"
end

assert(try() == "done")
assert(casting.spawn(try):await(60) == "done")
assert(casting.session():spawn(try):await(60) == "done")
