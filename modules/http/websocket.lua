-- websocket.lua - websockets (RFC 6455), of both sides, after the handshake.
-- SPDX-License-Identifier: MIT
--
-- Who receives reads from the stream itself; nothing stands in between. A
-- websocket of which nobody receives must be read all the same, since pings
-- want an answer, and the other side may close it. Then a task of its own
-- reads, up to the next message, which it hands over by a channel without
-- room: so a program that does not receive holds the other side back. That
-- task comes when somebody asks for the channel (`messages`), when much is sent
-- and nothing received, or when nobody has received for a while; and it stays.
--
-- 1. An open websocket is being read if a task is inside of stream:read, and
--    then by no other one: whoever reads waits for nothing else meanwhile, not
--    for room to write a pong either.
-- 2. What is not in order with the other side is written in one call.
--
-- A websocket:
--   stream, codec
--   protocol              the subprotocol, if there is one
--   data, at              what was read, and how much of it is done; or false
--   state                 "open"; "closing": a frame of close was sent, and
--                         nothing may follow; "closed": nothing comes any more
--   failed                the other side has done what it must not do
--   code, reason          of the first frame of close; nil: there was none
--   channel               where its task hands messages over; or false
--   reader                that task; or false
--   over                  closes when the state is "closed", if somebody waits;
--                         whoever stops reading before sends to it
--   sends                 how often was sent since something was received
--   pongs                 what a task will write, perhaps nothing; or false
--   closing               seconds that the end may take
--   ping                  seconds of silence; or false
--   seen, heard, pinged   for look: bytes that had come; since when, by its
--                         clock, no more came (false: a message waits, so
--                         nobody reads; true: it has just been taken); a ping
--                         was sent since then

local casting = require "casting"
local core = require "casting.http.core"

local WebSocket = {}
local methods = {}
local next_frame, frame = core.next_frame, core.frame

local TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
local KINDS = {[TEXT] = "text", [BINARY] = "binary"}
local OPCODES = {text = TEXT, binary = BINARY}

local LINGER = 2 -- seconds that a connection has to end
local MUCH = 1048576 -- bytes that are read, and dropped, meanwhile
local MANY = 8 -- messages that are sent before somebody must read
local MOST_PONGS = 4096 -- bytes that wait; of further pings none is answered
local LONGEST = 7.5 -- seconds between two looks
local AGAIN = 0.25 -- the same of who waits for the end

-- -- the end ------------------------------------------------------------------

-- All websockets of this Lua state that are not closed -> the server of a
-- connection, or true: it is a client's.
local all = setmetatable({}, {__mode = "k"})
local keeper, pause = false, math.huge -- the task that looks at them, how often

local function leave(ws)
  all[ws] = nil
  if keeper and not next(all) then
    keeper:cancel()
    keeper, pause = false, math.huge
  end
end

-- Nothing comes any more: who waits for that, or for messages, learns of it.
local function over(ws)
  if ws.state == "closed" then return end
  ws.state = "closed"
  ws.data = false
  leave(ws)
  if ws.over then ws.over:close() end
  if ws.channel then ws.channel:close() end
end

-- The connection has ended before it was closed in order.
local function lost(ws, why, abort)
  if not ws.code then
    ws.code, ws.reason = 1006, why == "closed" and "" or why
  end
  over(ws)
  if abort then return ws.stream:abort() end
  ws.stream:close()
end

-- Reads to the end, and drops that.
local function drain(stream)
  local deadline, left = casting.now() + LINGER, MUCH
  repeat
    local data = stream:read(nil, math.max(0, deadline - casting.now()))
    left = left - (data and #data or left)
  until left <= 0
end

-- Calls f(stream), and closes the stream whatever comes of that.
local function close_after(stream, f)
  local ok, e = pcall(f, stream)
  stream:close()
  if not ok and casting.is_cancelled(e) then error(e, 0) end
end

-- Ends our side first. The other side may have sent more, and the system would
-- throw away what was written if that was not read.
local function end_first(stream)
  stream:shutdown() -- which is an error if a task is writing
  drain(stream)
end

-- Both sides have sent a frame of close. It is for the server to end the
-- connection.
local function part(ws)
  local client = all[ws] == true
  over(ws)
  close_after(ws.stream, client and drain or end_first)
end

-- Pongs that wait, which go before anything else.
local function take_pongs(ws)
  local pongs = ws.pongs
  if pongs then ws.pongs = "" end
  return pongs or ""
end

-- Writes a frame of close, the last one.
local function write_close(ws, body, seconds)
  ws.state = "closing"
  local last = take_pongs(ws) .. frame(ws.codec, CLOSE, body)
  return ws.stream:write(last, seconds)
end

-- The other side has sent a frame of close.
local function answer_close(ws, code, reason)
  if ws.state == "open" then
    ws.code, ws.reason = code, reason
    local body = code == 1005 and "" or core.close_body(code, "")
    local ok, why = write_close(ws, body, ws.closing)
    if not ok then return lost(ws, why) end
  end
  part(ws)
end

-- The other side does what it must not do: nothing is read any more.
local function fail(ws, code, why)
  ws.data, ws.failed = false, true
  if ws.state == "open" then
    ws.code, ws.reason = code, why
    if not write_close(ws, core.close_body(code, why), LINGER) then
      over(ws)
      return ws.stream:abort()
    end
  end
  over(ws)
  close_after(ws.stream, end_first)
end

local function ended(ws)
  return nil, "closed", ws.code, ws.reason
end

-- -- reading ------------------------------------------------------------------

-- Is a task reading? Then a second one must not. With a timeout of 0 others may
-- run before the question is answered, and none between that and the return;
-- without one the question would itself be a read that others meet.
local function is_read(ws)
  return not pcall(ws.stream.read, ws.stream, 0, 0)
end

local function write_pongs(ws)
  repeat
    local pongs = take_pongs(ws)
  until pongs == "" or not ws.stream:write(pongs)
  ws.pongs = false
end

local function answer_ping(ws, bytes)
  local pongs = ws.pongs
  if ws.state ~= "open" or (pongs and #pongs > MOST_PONGS) then return end
  local pong = frame(ws.codec, PONG, bytes)
  -- First of all, since there may be no memory for it, or no room for a task:
  -- then this one is lost. It runs later.
  if not pongs and not pcall(casting.spawn, write_pongs, ws) then return end
  ws.pongs = pongs and pongs .. pong or pong
end

-- Who stops reading before the end lets the one that closes read.
local function let_close(ws)
  if ws.over then ws.over:try_send(true) end
end

-- The next message and its kind; nil and "timeout"; or nil: there is none any
-- more. `closer`: this is for the sake of the end, when messages are dropped.
local function read_message(ws, timeout, closer)
  local stream, deadline = ws.stream, nil
  while true do
    local data = ws.data
    if data then
      local at, opcode, a, b = next_frame(ws.codec, data, ws.at)
      if not at then
        ws.data = false
      else
        ws.at = at
        if opcode == TEXT or opcode == BINARY then
          if ws.state == "open" then return a, KINDS[opcode] end
        elseif opcode == PING then
          answer_ping(ws, a)
        elseif opcode == CLOSE then
          answer_close(ws, a, b)
        elseif opcode == 0 then
          fail(ws, a, b)
        end
      end
    elseif ws.state == "closed" or ws.failed then
      return nil
    elseif ws.state == "closing" and not closer then
      let_close(ws)
      return nil
    else
      local why
      if timeout then
        if deadline then
          timeout = math.max(0, deadline - casting.now())
        else
          deadline = casting.now() + timeout
        end
      end
      data, why = stream:read(nil, timeout)
      if data then
        if ws.state ~= "closed" then ws.data, ws.at = data, 0 end
      elseif why == "timeout" then
        if ws.state == "open" or closer then return nil, why end
      else
        lost(ws, why)
      end
    end
  end
end

local function hand_over(ws)
  local channel = ws.channel
  while true do
    local message, kind = read_message(ws, nil, true)
    if not message then return end
    ws.heard = false
    channel:send(message, kind)
    ws.heard = true
  end
end

-- The task that reads where nobody receives. If it fails, for want of memory,
-- nobody would read any more.
local function read_on(ws)
  local ok, e = pcall(hand_over, ws)
  if ok then return end
  pcall(lost, ws, tostring(e), true)
  error(e, 0)
end

-- Begins that task, unless somebody reads. Returns whether it is there.
local function attend(ws)
  local reads = not ws.channel and is_read(ws)
  if ws.channel then return true end
  if reads then
    ws.sends = -64 -- it is no use to ask again and again
    return false
  end
  local channel = casting.channel()
  ws.reader = casting.spawn(read_on, ws) -- which runs later
  ws.channel, ws.sends = channel, -math.huge
  return true
end

-- -- silence ------------------------------------------------------------------

local function write_ping(ws)
  if ws.state == "open" then ws.stream:write(frame(ws.codec, PING, "")) end
end

-- The time of the looks, which stands still when this process does: what came
-- meanwhile has not been read yet, and is no silence of the other side.
local clock, late = 0, false

local function look(ws)
  local now = clock
  -- It may have had no memory to begin, or to say that it ends.
  if ws.reader and ws.reader:status() == "failed" then
    return lost(ws, "its task has failed", true)
  end
  local read = ws.stream:stats().read
  if not ws.heard then return end
  if read ~= ws.seen or ws.heard == true then
    ws.seen, ws.heard, ws.pinged = read, now, false
  end
  if not ws.channel and not is_read(ws) then
    ws.heard = now
    ws.sends = ws.sends + MANY / 2
    if ws.state == "open" and ws.sends >= MANY then attend(ws) end
    return
  end
  local silence = now - ws.heard
  if not ws.ping or ws.state ~= "open" then return end
  if ws.pinged and silence >= 2 * ws.ping then
    lost(ws, "no answer to a ping", true)
  elseif not ws.pinged and silence >= ws.ping then
    ws.pinged = true
    casting.spawn(write_ping, ws)
  end
end

-- Looks at all of them: after so many seconds, of which `wanted` were meant to
-- pass. A late look does not count, but for one behind another, as when there
-- is always too much to do.
local function look_at_all(seconds, wanted)
  local list = {}
  late = not late and seconds > 2 * wanted
  if not late then clock = clock + wanted end
  -- Others come while one is looked at.
  for ws in pairs(all) do list[#list + 1] = ws end
  for i = 1, #list do pcall(look, list[i]) end
end

-- What fails for want of memory ends neither this nor the look at others.
local function keep()
  local before = casting.now()
  while next(all) do
    local wanted = pause
    casting.sleep(wanted)
    local now = casting.now()
    pcall(look_at_all, now - before, wanted)
    before = now
  end
end

local function enter(ws, server)
  local wanted = math.min((ws.ping or 4 * LONGEST) / 4, LONGEST)
  all[ws] = server
  if wanted >= pause then return end
  local task = casting.spawn(keep) -- there may be no memory for it
  if keeper then keeper:cancel() end
  keeper, pause = task, wanted
end

-- -- for programs -------------------------------------------------------------

local function bad(fname, i, problem)
  error(("bad argument #%d to '%s' (%s)"):format(i, fname, problem), 3)
end

local function got(v)
  if type(v) == "number" or type(v) == "boolean" then return tostring(v) end
  return type(v)
end

-- ws:send(data [, kind]): true; or nil, "closed", code, reason.
function methods:send(data, kind)
  local opcode = kind == nil and TEXT or OPCODES[kind]
  if type(data) ~= "string" then
    if type(data) ~= "number" then
      bad("send", 1, "string expected, got " .. got(data))
    end
    data = tostring(data)
  end
  if not opcode then
    bad("send", 2, '"text" or "binary" expected, got ' ..
      (type(kind) == "string" and ("%q"):format(kind) or got(kind)))
  end
  if self.state ~= "open" then return ended(self) end
  local head, body = frame(self.codec, opcode, data)
  if not head then
    bad("send", 1, 'a text must be UTF-8, others are sent as "binary"')
  end
  local sends = self.sends + 1
  self.sends = sends
  if sends >= MANY then attend(self) end
  if self.pongs then head = take_pongs(self) .. head end
  local ok, why = self.stream:write(body and {head, body} or head)
  if ok then return true end
  -- Perhaps the other side has said why, and that was not read yet.
  return nil, "closed", self.code or 1006,
    self.reason or (why == "closed" and "" or why)
end

-- ws:receive([timeout]): message, kind; nil, "timeout"; or nil, "closed", code,
-- reason.
function methods:receive(timeout)
  if timeout ~= nil then
    if type(timeout) ~= "number" or timeout ~= timeout or timeout < 0 then
      bad("receive", 1, "timeout must be a number from 0 on, got " ..
        got(timeout))
    end
    if timeout == math.huge then timeout = nil end
  end
  local message, kind
  if self.channel then
    message, kind = self.channel:receive(timeout)
  else
    if self.state ~= "open" then return ended(self) end
    self.sends = 0
    message, kind = read_message(self, timeout)
  end
  if message then return message, kind end
  if kind == "timeout" then return nil, kind end
  return ended(self)
end

-- ws:messages(): a channel with the messages, which closes at the end.
function methods:messages()
  if not self.channel then
    if self.state ~= "open" then
      self.channel = casting.channel()
      self.channel:close()
    elseif not attend(self) then
      error("another task is receiving from this websocket", 2)
    end
  end
  return self.channel
end

-- Sends a frame of close, if `body` is not nil, and waits for the end.
local function shut(ws, body)
  local deadline = casting.now() + ws.closing
  if body then
    local ok = write_close(ws, body, ws.closing)
    -- Its task reads on, to the end, and drops what comes.
    if ws.channel then ws.channel:close() end
    if not ok then return end
  end
  while ws.state ~= "closed" do
    local left = deadline - casting.now()
    if left <= 0 then return end
    if ws.failed or ws.channel or is_read(ws) then
      if not ws.over then ws.over = casting.channel() end
      -- A task that is cancelled while it reads cannot tell.
      ws.over:receive(math.min(left, AGAIN))
    else
      read_message(ws, left, true)
    end
  end
end

local function may_send(code)
  return type(code) == "number" and code % 1 == 0 and
    ((code >= 1000 and code <= 1003) or (code >= 1007 and code <= 1014) or
    (code >= 3000 and code <= 4999))
end

-- ws:close([code [, reason]]): true; false: it was closed before.
function methods:close(code, reason)
  if code == nil then code = 1000 end
  if reason == nil then reason = "" end
  if not may_send(code) then
    bad("close", 1, "a code that may be sent expected, got " .. got(code))
  end
  local body = type(reason) == "string" and core.close_body(code, reason)
  if not body then
    bad("close", 2, "a reason of at most 123 bytes of UTF-8 expected, got " ..
      got(reason))
  end
  if self.state == "closed" then return false end
  local first = self.state == "open"
  if first then self.code, self.reason = code, reason end
  local ok, e = pcall(shut, self, first and body or nil)
  if self.state ~= "closed" then
    over(self)
    self.stream:abort()
  end
  if not ok then error(e, 0) end
  return first
end

function methods:closed() return self.state ~= "open" end

WebSocket.meta = {
  __index = methods,
  __name = "websocket",
  __tostring = function(self) return "websocket: " .. self.state end,
  __call = function(self)
    local message, kind = self:receive()
    return message, kind
  end,
  __close = function(self, e) self:close(e ~= nil and 1011 or 1000) end,
  __save = function()
    error("a websocket stays in its session: send its messages", 0)
  end,
}

-- -- for the handshakes, and the server ---------------------------------------

WebSocket.look = look_at_all -- for tests, which need not wait then

-- Makes one of a stream on which nothing but frames comes any more. `server`:
-- that of the connection, or true for the side of a client. `bits`: see
-- core.codec.
function WebSocket.new(stream, server, bits, o, protocol)
  local codec = core.codec(server == true, o.max_message, bits)
  local ws = setmetatable({stream = stream, codec = codec, data = false, at = 0,
    state = "open", failed = false, channel = false, over = false, sends = 0,
    pongs = false, closing = o.closing, ping = o.ping, seen = 0, heard = true,
    pinged = false, reader = false}, WebSocket.meta)
  if protocol then ws.protocol = protocol end
  if server ~= true then server.leave = WebSocket.leave end
  enter(ws, server)
  return ws
end

-- The listener of a server was closed.
function WebSocket.leave(server)
  for ws, its in pairs(all) do
    if its == server then casting.spawn(ws.close, ws, 1001) end
  end
end

local function hurry(ws) write_close(ws, core.close_body(1001, ""), 0) end

-- The handler of a request has returned, or has raised e.
function WebSocket.finish(ws, ok, e)
  if ok then
    ws:close()
  elseif not casting.is_cancelled(e) then
    ws:close(1011)
  elseif ws.state ~= "closed" then
    if ws.state == "open" then pcall(casting.shield, hurry, ws) end
    lost(ws, "cancelled")
  end
end

return WebSocket
