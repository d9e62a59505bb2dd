-- timeserver.lua - a server that tells the time by UDP, and clients that ask.
-- SPDX-License-Identifier: MIT
--
-- A question is a datagram with any word in it; the answer is that word and the
-- time of day, in UTC. UDP may lose either of them, so a client asks again when
-- no answer comes, and waits twice as long each time; and it knows the answer
-- to its question by the word, since an answer to an earlier one may come late.
--
-- What it shows: sockets for datagrams; several tasks that receive from one
-- socket, each datagram for one of them; a socket that moves to another
-- session; timeouts.
--
-- How to run it:
--   ./dev run examples/timeserver.lua                both, in one program; the
--                                       server ignores each fourth question
--   ./dev run examples/timeserver.lua --serve HOST PORT [SECONDS]
--   ./dev run examples/timeserver.lua --ask HOST PORT
-- HOST is an address in numbers, such as 127.0.0.1 or ::1.

local casting = require "casting"

local WAIT, TRIES = 0.05, 6 -- seconds until the second try; how many tries

-- ---------------------------------------------------------------- server --

-- Runs in the session that the socket has moved to. Four tasks answer: while
-- one of them is busy, the next one receives. They end when the socket is
-- closed. `ignored` is how often a question gets no answer: 4 is each fourth.
local function serve(socket, done, ignored)
  local casting = require "casting" -- luacheck: ignore
  local count = 0

  local function answer()
    while true do
      local word, host, port = socket:receive()
      if not word then return end -- it was closed
      count = count + 1
      if #word <= 100 and not (ignored and count % ignored == 0) then
        local now = os.date("!%Y-%m-%d %H:%M:%S UTC")
        socket:send(word .. " " .. now, host, port)
      end
    end
  end

  for _ = 1, 4 do casting.spawn(answer) end
  done:receive() -- until it is closed, or a time has passed
  socket:close()
  return count
end

-- ---------------------------------------------------------------- client --

-- The time, and how often it was asked for; or nil, why: "timeout", or that
-- nobody is there.
local function ask(socket, word)
  local casting = require "casting" -- luacheck: ignore
  local wait = WAIT
  for try = 1, TRIES do
    socket:send(word)
    local deadline = casting.now() + wait
    repeat
      local rest = math.max(deadline - casting.now(), 0)
      local text, why = socket:receive(rest)
      local answered, time = (text or ""):match "^(%S+) (.*)$"
      if answered == word then return time, try end
      if not text and why ~= "timeout" then return nil, why end
    until not text
    wait = wait * 2
  end
  return nil, "timeout"
end

-- A connected socket hears only its peer, and is told if nobody is there.
local function client(host, port, name, questions)
  local casting = require "casting" -- luacheck: ignore
  local socket = assert(casting.net.udp(host:find ":" and "::" or "0.0.0.0", 0))
  assert(socket:connect(host, port))
  local answers, tries = 0, 0
  for i = 1, questions do
    local time, n = ask(socket, name .. i)
    if time then
      answers, tries = answers + 1, tries + n
    end
  end
  socket:close()
  return answers, tries
end

-- --------------------------------------------------------------- program --

local function fail(message)
  io.stderr:write("timeserver: ", message, "\n")
  os.exit(2)
end

local function address(host, port)
  port = tonumber(port)
  if not host or not port then fail "HOST PORT expected" end
  return host, port
end

local function start(host, port, ignored)
  local socket, why = casting.net.udp(host, port)
  if not socket then fail(tostring(why)) end
  local bound, number = socket:name()
  local done = casting.channel()
  local session = casting.session {name = "time"}
  local task = session:spawn(serve, socket, done, ignored) -- it moves there
  return bound, number, done, task
end

local what = arg[1]
if what == nil then
  local host, port, done, server = start("127.0.0.1", 0, 4)
  local clients, answers, tries = {}, 0, 0
  for i = 1, 3 do
    local session = casting.session {name = "client " .. i}
    clients[i] = session:spawn(client, host, port, "q" .. i .. ".", 5)
  end
  for i = 1, 3 do
    local n, asked = clients[i]:await()
    answers, tries = answers + n, tries + asked
  end
  done:close()
  local count = server:await()
  print(("15 questions: %d answers, %d datagrams sent again"):format(answers,
    tries - answers))
  print(answers == 15 and count >= tries and "check: all answered" or
    "check: WRONG")
elseif what == "--serve" then
  local host, port = address(arg[2], arg[3])
  local seconds = tonumber(arg[4] or math.huge)
  if not seconds then fail "SECONDS must be a number" end
  local bound, number, done, server = start(host, port)
  print(("serving on %s, port %d"):format(bound, number))
  io.stdout:flush()
  if seconds < math.huge then
    casting.sleep(seconds)
    done:close()
  end
  server:await()
elseif what == "--ask" then
  local host, port = address(arg[2], arg[3])
  local socket, none = casting.net.udp(host:find ":" and "::" or "0.0.0.0", 0)
  if not socket then fail(none) end
  local ok, why = socket:connect(host, port)
  if not ok then fail(why) end
  local time, reason = ask(socket, "time")
  if not time then fail(reason) end
  print(time)
else
  fail("what is " .. what .. "? usage: timeserver.lua" ..
    " [--serve HOST PORT [SECONDS] | --ask HOST PORT]")
end
