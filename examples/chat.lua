-- chat.lua - a chat between tasks: members who come, talk and go.
-- SPDX-License-Identifier: MIT
--
-- Rooms pass on what their members say.
--
-- What it shows: tasks as small servers; channels sent through channels; a
-- channel found by its name (the lobby); closing a channel to say goodbye; and
-- order: everyone in a room hears the same things in the same order, so the
-- transcripts come out the same at every run, although every room and every
-- member lives in a session of its own.
--
-- How to run it:
--   ./dev run examples/chat.lua

local casting = require "casting"

-- What the members do, one step after another:
--   { "enter", room }        { "say", room, text }      { "leave", room }
--   { "hear", text }         wait until someone says exactly that, or for
--                            "NAME enters" or "NAME leaves"
--   { "invite", name, room } tell a member, wherever it is, to come
--   { "invited" }            wait for such an invitation
-- Each waits for what it answers to, hence there is only one possible order.
local PLAY = {
  ann = {
    { "enter", "lua" },
    { "invite", "bob", "lua" },
    { "hear", "bob enters" },
    { "say", "lua", "Hello Bob! How do I run two functions at once?" },
    { "hear", "Put each in a session and spawn it there." },
    { "say", "lua", "And how do they talk to each other?" },
    { "hear", "Through channels. Ask Cy, he knows them well." },
    { "invite", "cy", "lua" },
    { "hear", "A channel copies what you send: nothing is shared." },
    { "say", "lua", "So there is nothing to lock. Thank you both!" },
    { "hear", "cy leaves" },
    { "leave", "lua" },
  },
  bob = {
    { "invited" },
    { "enter", "lua" },
    { "hear", "Hello Bob! How do I run two functions at once?" },
    { "say", "lua", "Put each in a session and spawn it there." },
    { "hear", "And how do they talk to each other?" },
    { "say", "lua", "Through channels. Ask Cy, he knows them well." },
    { "hear", "cy enters" },
    { "leave", "lua" },
    { "enter", "tea" },
    { "invite", "dot", "tea" },
    { "hear", "Is the kettle on?" },
    { "say", "tea", "It is. Milk?" },
    { "hear", "dot leaves" },
    { "leave", "tea" },
  },
  cy = {
    { "invited" },
    { "enter", "lua" },
    { "hear", "bob leaves" },
    { "say", "lua", "A channel copies what you send: nothing is shared." },
    { "hear", "So there is nothing to lock. Thank you both!" },
    { "leave", "lua" },
  },
  dot = {
    { "invited" },
    { "enter", "tea" },
    { "say", "tea", "Is the kettle on?" },
    { "hear", "It is. Milk?" },
    { "leave", "tea" },
  },
}

-- ----------------------------------------------------------------- rooms --

-- A room: a task that owns the list of its members, and so needs no lock. It
-- is sent ("enter", name, inbox), ("say", name, text) and ("leave", name), and
-- ends, returning all that happened, when its last member leaves.
local function room(door)
  local members, present, transcript = {}, 0, {}

  local function tell(text, line)
    transcript[#transcript + 1] = line
    for _, inbox in pairs(members) do
      inbox:send(text)
    end
  end

  local what, name, value = door:receive()
  while what do
    if what == "enter" then
      members[name], present = value, present + 1
      tell(name .. " enters", "* " .. name .. " enters")
    elseif what == "say" then
      tell(value, name .. ": " .. value)
    elseif what == "leave" then
      members[name], present = nil, present - 1
      tell(name .. " leaves", "* " .. name .. " leaves")
      if present == 0 then
        door:close()
      end
    end
    what, name, value = door:receive()
  end
  return table.concat(transcript, "\n")
end

-- The lobby: who asks for a room by its name gets the channel that is its
-- door. It is made, in a session of its own, when it is first asked for.
local function lobby(requests)
  local doors, rooms, order = {}, {}, {}
  local name, answer = requests:receive()
  while name do
    if not doors[name] then
      doors[name] = casting.channel()
      local session = casting.session { name = "room " .. name }
      rooms[name] = session:spawn(room, doors[name])
      order[#order + 1] = name
    end
    answer:send(doors[name])
    name, answer = requests:receive()
  end
  local transcripts = {}
  for i, each in ipairs(order) do
    transcripts[i] = "[" .. each .. "]\n" .. rooms[each]:await()
  end
  return table.concat(transcripts, "\n\n")
end

-- --------------------------------------------------------------- members --

-- A member: plays its part and returns how many things it heard. The inbox is
-- unbounded. Were it not, a room that waits to deliver and a member that waits
-- to speak could wait for each other for ever.
local function member(name, part)
  local requests = casting.named("lobby")
  local inbox = casting.named("inbox of " .. name, math.huge)
  local doors, heard = {}, 0
  local act = {}

  local function wait_for(text)
    local message = inbox:receive()
    while message ~= text do
      heard = heard + 1
      message = inbox:receive()
    end
    heard = heard + 1
  end

  function act.enter(where)
    local answer = casting.channel(1)
    requests:send(where, answer)
    doors[where] = answer:receive()
    doors[where]:send("enter", name, inbox)
    wait_for(name .. " enters")
  end

  function act.say(where, text)
    doors[where]:send("say", name, text)
  end

  function act.leave(where)
    doors[where]:send("leave", name)
  end

  function act.hear(text)
    wait_for(text)
  end

  function act.invite(whom)
    casting.named("inbox of " .. whom, math.huge):send("come")
  end

  function act.invited()
    wait_for("come")
  end

  for _, step in ipairs(part) do
    act[step[1]](step[2], step[3])
  end
  return heard
end

-- --------------------------------------------------------------- program --

local requests = casting.named("lobby")
local host = casting.session { name = "lobby" }
local hosting = host:spawn(lobby, requests)

local names = { "ann", "bob", "cy", "dot" }
local tasks = {}
for i, name in ipairs(names) do
  local session = casting.session { name = name }
  tasks[i] = session:spawn(member, name, PLAY[name])
end

local counts = {}
for i, task in ipairs(tasks) do
  counts[i] = names[i] .. " " .. task:await()
end
requests:close() -- nobody will ask for a room any more
print(hosting:await())
print("\nheard: " .. table.concat(counts, ", "))
