-- 123: What a finalizer calls while its session closes said that there was no
-- task, named other functions or none, or on 5.1 that the handle was closed.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local out = casting.named("123-out", math.huge)
local session = casting.session()
session:spawn(function()
  local casting = require "casting"
  local ch, task = casting.channel(math.huge), casting.self()
  local other, name = casting.session(), "123-out"
  local packed = casting.pack(1)
  local said = {}
  local function say(what, f, ...)
    local ok, e = pcall(f, ...)
    said[#said + 1] = what .. " " .. tostring(ok) .. " " .. tostring(e)
  end
  local function last()
    say("send", ch.send, ch, 1)
    say("receive", ch.receive, ch)
    say("try_send", ch.try_send, ch, 1)
    say("try_receive", ch.try_receive, ch)
    say("join", task.join, task)
    say("spawn", other.spawn, other, "return")
    say("wait", other.wait, other)
    say("unpack", packed.unpack, packed)
    say("select", casting.select, {ch, timeout = 0})
    for _, f in ipairs {"channel", "every", "pack"} do
      say(f, casting[f], 1)
    end
    say("sleep", casting.sleep, 1)
    say("session", casting.session)
    say("spawn", casting.spawn, print)
    say("run", casting.run, print)
    say("yield", casting.yield)
    say("named", casting.named, name)
    say("scope", casting.scope, print)
    say("all", casting.all, {})
    say("race", casting.race, {print})
    say("map", casting.map, {}, print)
    say("supervisor", casting.supervisor, {children = {}})
    say("with_timeout", casting.with_timeout, 1, print)
    say("shield", casting.shield, print)
    say("report", casting.report)
    -- There is no other way out.
    local file = io.open(rawget(_G, "path"), "w")
    file:write(table.concat(said, "\n"), "\n")
    file:close()
  end
  if newproxy then
    local p = newproxy(true)
    getmetatable(p).__gc = last
    kept = p -- luacheck: ignore
  else
    kept = setmetatable({}, {__gc = last}) -- luacheck: ignore
  end
end):await(60)
out:close()
local path = os.tmpname()
session:spawn(function(path) rawset(_G, "path", path) end, path):await(60)
assert(session:close(60))
local file, n = io.open(path), 0
for line in file:lines() do
  local what, ok, e = line:match "^(%S+) (%S+) (.*)$"
  n = n + 1
  assert(ok == "false" and e:find("the session has been closed", 1, true) and
    e:find(what .. ": ", 1, true), line)
end
file:close()
os.remove(path)
assert(n == 26, n)
