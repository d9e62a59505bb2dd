-- chatserver.lua - a chat over TCP, with rooms, in several sessions.
-- SPDX-License-Identifier: MIT
--
-- A member connects (nc localhost 4000), says its name, and is in the room
-- "lobby". From then on each line is said to all in the room, but for
--   /join ROOM   goes to another room      /who    tells who is in this one
--   /quit        leaves
--
-- What it shows: listener:serve over several sessions. Members of one room are
-- served by different sessions, so the room is a task that owns the list of its
-- members, and is found by its name (casting.named). Each member is two tasks:
-- one reads its lines, the other writes what the room says. A member that does
-- not read what it is told fills its own channel, and is thrown out: nobody
-- waits for the slowest.
--
-- How to run it:
--   ./dev run examples/chatserver.lua 4000
--   ./dev run examples/chatserver.lua --check          tries itself

local casting = require "casting"
local net = require "casting.net"

local BACKLOG = 100   -- lines that a member may be behind
local SILENCE = 600   -- seconds after which a silent member has to go

-- ----------------------------------------------------------------- rooms --

-- A room: receives ("enter", name, inbox), ("say", name, text), ("leave", name)
-- and ("who", name). It lives as long as the server.
local function room(door)
  local members = {}

  local function tell(text)
    for name, inbox in pairs(members) do
      if not inbox:try_send(text) then     -- full, or closed
        inbox:close()
        members[name] = nil
      end
    end
  end

  for what, name, value in door do
    if what == "enter" then
      if members[name] then
        value:try_send "* this name is taken"
        value:close()
      else
        members[name] = value
        tell("* " .. name .. " enters")
      end
    elseif what == "say" then
      tell(name .. ": " .. value)
    elseif what == "leave" and members[name] == value then
      members[name] = nil
      tell("* " .. name .. " leaves")
    elseif what == "who" and members[name] then
      local names = {}
      for other in pairs(members) do names[#names + 1] = other end
      table.sort(names)
      members[name]:try_send("* here are " .. table.concat(names, ", "))
    end
  end
  for _, inbox in pairs(members) do inbox:close() end
end

-- The keeper opens rooms: it is asked with ("open", name, answer), and ends
-- when its channel is closed.
local function keeper(requests)
  local doors, tasks = {}, {}
  for _, name, answer in requests do
    if not doors[name] then
      doors[name] = casting.channel(BACKLOG)
      tasks[#tasks + 1] = casting.spawn(room, doors[name])
    end
    answer:send(doors[name])
  end
  for _, door in pairs(doors) do door:close() end
  for _, task in ipairs(tasks) do task:await() end
end

-- --------------------------------------------------------------- members --

-- Serves a member, in whatever session it is.
local function member(requests)
  return function(stream)
    stream:write "your name?\n"
    local name = stream:read("l", 60)
    if not name or not name:match "^%w+$" then return end
    local inbox, door = casting.channel(BACKLOG), nil

    local function enter(where)
      local answer = casting.channel(1)
      if not requests:send("open", where, answer) then return end
      local other = answer:receive()
      if door then door:send("leave", name, inbox) end
      door = other
      door:send("enter", name, inbox)
    end

    local writer = casting.spawn(function()
      for text in inbox do
        if not stream:write(text .. "\n", 10) then break end
      end
      stream:close()                       -- wakes the reader
    end)

    enter "lobby"
    while door do
      local line = stream:read("l", SILENCE)
      if not line or line == "/quit" then break end
      local where = line:match "^/join (%w+)$"
      if where then
        enter(where)
      elseif line == "/who" then
        door:send("who", name)
      elseif line ~= "" then
        door:send("say", name, line)
      end
    end
    if door then door:send("leave", name, inbox) end
    inbox:close()
    writer:await()
  end
end

-- Serves until the listener is closed.
local function serve(listener, sessions)
  local requests = casting.channel(BACKLOG)
  local host = casting.session { name = "rooms" }
  local keeping = host:spawn(keeper, requests)
  local ok, why = listener:serve(member(requests), {
    sessions = sessions,
    limit = 10000,
    grace = 1,
  })
  requests:close()
  keeping:await()
  host:close()
  return ok, why
end

-- ----------------------------------------------------------------- check --

-- Ann and Bob meet, talk, and part; what each hears is the same at every run.
local function check()
  local listener = assert(net.listen("127.0.0.1", 0))
  local server = casting.spawn(serve, listener, 2)

  local function join(name)
    local stream = assert(net.connect(listener:name()))
    assert(stream:read("l", 60) == "your name?")
    stream:write(name .. "\n")
    return stream
  end
  local function say(stream, text) assert(stream:write(text .. "\n")) end
  local function hear(who, stream)
    print(who .. " hears: " .. tostring(stream:read("l", 60)))
  end

  local ann = join "ann"
  hear("ann", ann)
  local bob = join "bob"
  hear("ann", ann)
  hear("bob", bob)
  say(ann, "hello bob")
  hear("ann", ann)
  hear("bob", bob)
  say(bob, "/who")
  hear("bob", bob)
  say(bob, "/join kitchen")
  hear("ann", ann)
  hear("bob", bob)
  say(ann, "/join kitchen")
  hear("ann", ann)
  hear("bob", bob)
  say(bob, "/quit")
  hear("ann", ann)
  bob:close()
  ann:close()
  listener:close()
  assert(server:await())
  print "check: the server has ended"
end

-- ------------------------------------------------------------------ main --

if arg[1] == "--check" then return check() end
local port = tonumber(arg[1] or "4000")
if not port or port < 0 or port > 65535 or port % 1 ~= 0 then
  io.stderr:write("chatserver: ", arg[1], " is no port\n",
    "usage: chatserver.lua [PORT | --check]\n")
  os.exit(2)
end
local listener, why = net.listen("*", port)
if not listener then
  io.stderr:write(("chatserver: port %d: %s\n"):format(port, why))
  os.exit(1)
end
print(("listening on port %d"):format(port))
serve(listener, 2)
