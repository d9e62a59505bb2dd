-- webchat.lua - a chat in the browser: WebSockets, with rooms in sessions.
-- SPDX-License-Identifier: MIT
--
-- What it shows: connections are served in some sessions, and rooms live in
-- others. A hash of its name says in which session a room is, so nobody has to
-- be asked where; members and what was said last belong to that session alone.
-- A connection says what its member says through a channel, the door of that
-- session. What is to be told goes into the member's inbox, a channel again,
-- whose other end is a task of the connection that writes. A room never waits:
-- who does not read what it is told is thrown out when its inbox is full.
--
-- The page, webchat.html, is served by the same program. Messages are texts of
-- lines. The browser sends first
--   ROOM, NAME, KEY        a key is drawn by lot; who has it may take its name
--                          over from a connection that was lost
-- and then what its member says. It is sent
--   KIND, TIME, NAME, TEXT
-- with the kinds "here" (the members, at the beginning), "say", "enter",
-- "leave", and "note" (of this program). The websocket is closed with a code
-- from 4000 on and the reason if there is nothing to try again.
--
-- How to run it; Ctrl-C ends it:
--   ./dev run examples/webchat.lua --port 8080

local casting = require "casting"
local fs = require "casting.fs"
local net = require "casting.net"
local process = require "casting.process"

local USAGE = [[
usage: webchat.lua [options]

  --host HOST       where to listen (default 127.0.0.1)
  --port PORT       the port (default 8080)
  --sessions N      in how many sessions to serve, up to 64 (default 2)
  --rooms N         in how many sessions rooms live, up to 64 (default 2)
  --rate N          messages that a member may send in a second (default 2)
  --help            print this
]]

-- Limits. Those of names and texts are in the page, too.
local LONGEST_NAME = 32   -- characters of a name, of a member or a room
local LONGEST_TEXT = 1000 -- characters of what is said
local BACKLOG = 100       -- messages that a member may be behind
local PATIENCE = 10       -- seconds that one message may take to be written
local PAST = 50           -- messages that a room remembers
local MEMBERS = 500       -- in one room
local ROOMS = 200         -- in one session
local CONNECTIONS = 10000
local BURST = 10          -- messages of a member at once, beyond its rate
local GRACE = 3           -- seconds to say good-bye at the end

local function give_up(status, ...)
  io.stderr:write("webchat: ", string.format(...), "\n")
  if status == 2 then io.stderr:write(USAGE) end
  os.exit(status)
end

local found, http = pcall(require, "casting.http")
if not found then give_up(1, "needs casting.http") end

-- ------------------------------------------------------------------ rooms --

local function message(kind, name, text)
  return table.concat({kind, os.time(), name, text}, "\n")
end

-- Tells all members, and remembers what was said.
local function tell(room, kind, name, text)
  local line = message(kind, name, text)
  if kind == "say" then
    room.past[#room.past + 1] = line
    if #room.past > PAST then table.remove(room.past, 1) end
  end
  local packed = casting.pack(line)
  local slow = {}
  for other, member in pairs(room.members) do
    if not member.inbox:try_send(packed) then slow[#slow + 1] = other end
  end
  return slow
end

-- As tell; and who cannot follow leaves, of which the others are told.
local function tell_all(room, kind, name, text)
  local gone = tell(room, kind, name, text)
  local i = 1
  while gone[i] do
    local member = room.members[gone[i]]
    if member then
      member.inbox:close()
      room.members[gone[i]] = nil
      room.count = room.count - 1
      for _, other in ipairs(tell(room, "leave", gone[i], "")) do
        gone[#gone + 1] = other
      end
    end
    i = i + 1
  end
end

local function refuse(inbox, code, why)
  inbox:try_send(false, code, why)
  inbox:close()
end

local function enter(room, name, inbox, key)
  local member = room.members[name]
  if member and member.key ~= key then
    return refuse(inbox, 4001, "this name is taken")
  elseif not member and room.count >= MEMBERS then
    return refuse(inbox, 4002, "the room is full")
  end
  if member then -- the same member comes back
    refuse(member.inbox, 4004, "you are here in another window")
  else
    room.count = room.count + 1
  end
  room.members[name] = {inbox = inbox, key = key}
  local names = {}
  for other in pairs(room.members) do names[#names + 1] = other end
  table.sort(names)
  inbox:try_send(message("here", "", table.concat(names, "\n")))
  for _, line in ipairs(room.past) do inbox:try_send(line) end
  if not member then tell_all(room, "enter", name, "") end
end

-- The rooms of one session. What comes through its door: what is to be done,
-- the room, the name of the member, its inbox, and a key or a text. A room is
-- there while it has members.
local function keep_rooms(door)
  local rooms, count = {}, 0
  for what, place, name, inbox, value in door do
    local room = rooms[place]
    local member = room and room.members[name]
    if what == "enter" then
      if room or count < ROOMS then
        if not room then
          room = {members = {}, count = 0, past = {}}
          rooms[place], count = room, count + 1
        end
        enter(room, name, inbox, value)
      else
        refuse(inbox, 4003, "there are too many rooms")
      end
    elseif member and member.inbox == inbox then
      if what == "say" then
        tell_all(room, "say", name, value)
      else
        room.members[name] = nil
        room.count = room.count - 1
        tell_all(room, "leave", name, "")
      end
    end
    if room and room.count == 0 then rooms[place], count = nil, count - 1 end
  end
end

-- ------------------------------------------------------------ connections --

-- The door behind which a room is.
local function door_of(doors, room)
  local hash = 5381
  for i = 1, #room do hash = (hash * 33 + room:byte(i)) % 4294967296 end
  return doors[hash % #doors + 1]
end

-- How many characters a text has, which is UTF-8, as all of WebSocket's are.
local function length(text)
  return #text:gsub("[\128-\191]", "")
end

local function is_name(text)
  return text and text:find "%S" and not text:find "%c" and
    length(text) <= LONGEST_NAME
end

-- The first message of a browser: room, name and key; or nil.
local function read_greeting(ws)
  local text = ws:receive(PATIENCE)
  local room, name, key = (text or ""):match "^([^\n]*)\n([^\n]*)\n(%w+)$"
  if is_name(room) and is_name(name) and #key <= 64 then
    return room, name, key
  end
end

-- Writes what comes into the inbox to the browser. It ends when the room has
-- closed the inbox, or the browser does not read.
local function write(ws, inbox)
  for text, code, why in inbox do
    if not text then return ws:close(code, why) end
    local ok, sent = casting.with_timeout(PATIENCE, ws.send, ws, text)
    if not ok or not sent then break end
  end
  ws:close(1013, "too slow") -- it may try again later; no effect at the end
end

-- How many of a member's messages are let through: a function that tells it of
-- each one.
local function limiter(rate)
  local credit, last = BURST + rate, casting.now()
  return function()
    local now = casting.now()
    credit = math.min(BURST + rate, credit + (now - last) * rate)
    last = now
    if credit < 1 then return false end
    credit = credit - 1
    return true
  end
end

local function chat(ws, doors, rate)
  local room, name, key = read_greeting(ws)
  if not room then return ws:close(4000, "this is no name") end
  local inbox, door = casting.channel(BACKLOG + PAST), door_of(doors, room)
  if not door:send("enter", room, name, inbox, key) then return end
  local writer = casting.spawn(write, ws, inbox)
  local may = limiter(rate)
  for text in ws do
    local note
    if length(text) > LONGEST_TEXT then
      note = "That is too long: it was not sent."
    elseif not may() then
      note = "Slower, please: the last message was not sent."
    elseif text:find "%S" then
      door:send("say", room, name, inbox, text)
    end
    if note then inbox:try_send(message("note", "", note)) end
  end
  door:send("leave", room, name, inbox)
  inbox:close()
  writer:await()
end

local FIELDS = {
  ["Content-Security-Policy"] = "default-src 'none'; connect-src 'self'; " ..
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; " ..
    "img-src data:; frame-ancestors 'none'",
  ["X-Content-Type-Options"] = "nosniff",
  ["Referrer-Policy"] = "no-referrer",
  ["Cache-Control"] = "no-cache",
}

local function make_handler(doors, page, rate)
  return function(request, response)
    if request.path == "/chat" then
      local ws = request:websocket {max_message = 8 * LONGEST_TEXT}
      if ws then chat(ws, doors, rate) end -- else it was told what is wrong
    elseif request.path ~= "/" then
      response.status = 404
      response:write "not found\n"
    elseif request.method ~= "GET" and request.method ~= "HEAD" then
      response.status, response.headers.Allow = 405, "GET, HEAD"
    else
      response:send_file(page, {headers = FIELDS})
    end
  end
end

-- ---------------------------------------------------------------- program --

local LEAST = {port = 0, sessions = 1, rooms = 1, rate = 1}
local MOST = {port = 65535, sessions = 64, rooms = 64, rate = 1000000}

local function read_arguments()
  local options = {host = "127.0.0.1", port = 8080, sessions = 2, rooms = 2,
    rate = 2}
  for i = 1, #arg, 2 do
    local name, value = arg[i]:match "^%-%-(%l+)$", arg[i + 1]
    if name == "help" then
      io.write(USAGE)
      os.exit(0)
    elseif not options[name or ""] then
      give_up(2, "what is %s?", arg[i])
    elseif not value then
      give_up(2, "--%s needs a word", name)
    elseif LEAST[name] then
      local n = tonumber(value)
      if not n or n % 1 ~= 0 or n < LEAST[name] or n > MOST[name] then
        give_up(2, "--%s: %s is none", name, value)
      end
      value = n
    end
    options[name] = value
  end
  return options
end

local options = read_arguments()
local page = (arg[0]:match "^.*/" or "./") .. "webchat.html"
local there, why = fs.stat(page)
if not there then give_up(1, "%s", why) end
local listener
listener, why = net.listen(options.host, options.port)
if not listener then give_up(1, "cannot listen: %s", why) end

local doors, keepers = {}, {}
for i = 1, options.rooms do
  doors[i] = casting.channel(BACKLOG)
  keepers[i] = casting.session {name = "rooms " .. i}
    :spawn(keep_rooms, doors[i])
end

local ends = process.signals("INT", "TERM")
casting.spawn(function()
  ends:receive()
  listener:close()
end)

print(("http://%s:%d/"):format(listener:name()))
io.stdout:flush()
http.serve(listener, make_handler(doors, page, options.rate), {
  sessions = options.sessions, limit = CONNECTIONS, grace = GRACE})
for i, door in ipairs(doors) do
  door:close()
  keepers[i]:join()
end
