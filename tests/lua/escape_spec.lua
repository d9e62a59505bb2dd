-- escape_spec.lua - what a program, and a sandbox, can get hold of.
-- SPDX-License-Identifier: MIT
--
-- With the debug library everything of the library's own is found: what its
-- functions have as upvalues, and from there on. Without it none of that may be
-- reached.

local casting = require "casting"
local helper = require "helper"
local net = require "casting.net"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

-- Called in a session that has the debug library. What can be reached without
-- it is looked at first; then what there is. Returns a list of what should not
-- have been reached, and how much there was to be found.
local function look(listener, task, session, channel)
  local c = require "casting"
  local debug, next, type, rawget = debug, next, type, rawget
  local getfenv, setfenv = getfenv, setfenv -- luacheck: ignore
  local sandbox = not pcall(c.named, "x")
  local roots, kept = {}, nil
  local function note(name, v) roots[#roots + 1] = {name, v} end

  -- -- what a program is given ------------------------------------------------

  note("casting", c)
  note("globals", _G)
  note("string", getmetatable "")
  c.scope(function(s)
    kept = s
    note("scope", s)
    s:spawn(function() end)
  end)
  local function boom() error({}, 0) end
  note("failure of a scope", select(2, pcall(c.scope, boom)))
  note("failure of all", select(2, pcall(c.all, {boom})))
  note("failure of race", select(2, pcall(c.race, {boom})))
  note("failure of map", select(2, pcall(c.map, {1}, boom, {sessions = 1})))
  note("error", select(2, pcall(c.supervisor, 5)))
  note("cancellation", select(2, c.with_timeout(0, c.sleep, 10)))
  local sup = c.supervisor {children = {}}
  note("supervisor", sup)
  note("children", sup:which_children())
  note("task", c.self())
  note("session", c.self():session())
  note("stats", c.self():session():stats())
  note("channel", c.channel())
  note("ticker", c.after(10))
  note("message", c.pack(1))
  note("report", c.report and c.report())
  for name, v in next, {listener = listener, ["another's task"] = task,
    ["another's session"] = session, ["another's channel"] = channel} do
    note(name, v)
  end

  -- -- what is reached from there ---------------------------------------------

  local NAMES = {"__index", "__newindex", "__metatable", "__gc", "__close",
    "__name", "__call", "__tostring", "__save", "__mode", "__pairs", "__len",
    "__eq", "group", "guard", "requests", "internal", "builtin", "casting",
    "run", "spawn", "spawn_in", "cancel", "stop", "wait", "start_child",
    "which_children", "send", "receive", "join", "monitor", "unpack", "serve",
    "accept", "close", "lines", "name", "stats", "reason"}
  local reached = {}
  local function visit(v, path, again)
    local is = type(v)
    if is == "nil" or is == "boolean" or is == "number" then return end
    if is ~= "string" then
      if rawequal(v, debug) or reached[v] then return end
      reached[v] = path
    elseif again then
      return
    end
    visit(getmetatable(v), path .. " metatable", true)
    if is == "table" then
      for k, member in next, v do
        visit(k, path .. " key", true)
        visit(member, path .. "." .. tostring(k), true)
      end
    elseif is == "function" and sandbox and getfenv then
      visit(getfenv(v), path .. " environment", true)
    end
    if is == "table" or is == "userdata" then
      for _, k in ipairs(NAMES) do
        local ok, member = pcall(function() return v[k] end)
        if ok then visit(member, path .. "." .. k, true) end
      end
    end
  end
  for _, root in ipairs(roots) do visit(root[2], root[1]) end
  for level = 1, 5 do
    local ok, env = pcall(getfenv or error, level)
    if ok then visit(env, "environment of level " .. level) end
  end

  -- -- what there is ----------------------------------------------------------

  local internal
  for i = 1, 100 do
    local name, v = debug.getupvalue(sup.start_child, i)
    if name == "internal" then internal = v end
    if name == nil then break end
  end
  assert(type(internal) == "table" and internal.session_problem)
  local ours = {}
  local function find(v, path)
    local is = type(v)
    if is ~= "table" and is ~= "function" or rawequal(v, c) or ours[v] then
      return
    end
    -- Functions of Lua itself, which files of the library call.
    if is == "function" and (v == pcall or v == xpcall) then return end
    ours[v] = path
    find(debug.getmetatable(v), path .. " metatable")
    if is == "table" then
      for k, member in next, v do find(member, path .. "." .. tostring(k)) end
      return
    end
    for i = 1, 255 do
      local name, member = debug.getupvalue(v, i)
      if name == nil then break end
      if type(member) == "table" then find(member, path .. "^" .. name) end
    end
    if getfenv then
      find(debug.getfenv(v), path .. " environment") -- luacheck: ignore
    end
  end
  ours[_G] = "globals"
  ours[roots] = "the test's"
  ours[c.cancelled] = "public" -- the class of errors that programs make, too
  find(internal, "internal")
  find(debug.getmetatable(kept), "class of scopes")
  ours[_G], ours[roots], ours[c.cancelled] = nil, nil, nil

  -- -- the two compared -------------------------------------------------------

  -- Methods can be had, and no more.
  local public = {}
  for _, v in ipairs {kept, sup} do
    local index = debug.getmetatable(v).__index
    for _, f in next, index do public[f] = true end
  end
  for _, name in ipairs {"scope", "all", "race", "map", "supervisor"} do
    public[internal[name]] = true
  end
  local bad, count = {}, 0
  for v, path in next, ours do
    count = count + 1
    if reached[v] and not public[v] then
      bad[#bad + 1] = path .. " is " .. reached[v]
    end
    -- No function lets its environment be had, or be changed.
    if type(v) == "function" and sandbox and setfenv then
      if pcall(setfenv, v, {}) then bad[#bad + 1] = "setfenv " .. path end
      if getfenv(v) ~= _G then bad[#bad + 1] = "getfenv " .. path end
    end
  end
  for _, root in ipairs(roots) do
    local v = root[2]
    local mt = debug.getmetatable(v)
    if type(mt) == "table" and type(v) ~= "string" and
        rawget(mt, "__metatable") == nil and mt ~= c.cancelled then
      bad[#bad + 1] = "metatable of " .. root[1]
    end
  end
  sup:stop()
  return table.concat(bad, "\n"), count
end

-- Calls what the library has for itself in all wrong ways: nothing crashes, and
-- nothing acts on what is another's. Returns what has.
local function misuse(task, session)
  local c = require "casting"
  local sup = c.supervisor {children = {}}
  local internal
  for i = 1, 100 do
    local name, v = debug.getupvalue(sup.start_child, i)
    if name == "internal" then internal = v end
    if name == nil then break end
  end
  local values = {false, 5, -1, 1e300, 0 / 0, 2 ^ 31, "x", "serve_session",
    "supervise", "request", {}, {n = -1}, function() end, task, session,
    c.channel(), c.pack(1), c.spawn(function() end),
    coroutine.create(function() end)}
  local function try(f)
    pcall(f)
    for i = 1, #values do
      pcall(f, values[i])
      pcall(f, nil, values[i])
      for k = 1, #values do
        pcall(f, values[i], values[k])
        pcall(f, values[i], values[k], values[i + k])
      end
    end
  end
  local function try_all(list)
    for name, f in next, list do
      -- What tests make memory fail with; and what calls anything.
      if type(f) == "function" and name ~= "starve" and name ~= "pcall" and
          name ~= "xpcall" and not debug.getinfo(f, "S").source:find "lua$" then
        try(f)
      end
    end
  end
  try_all(internal)
  try_all(internal.builtin)
  try_all(internal.sockets)
  pcall(debug.getmetatable(internal).__index, 5, "net_connect")
  local bad = {}
  local function refused(name, ...)
    if pcall(internal[name], ...) then bad[#bad + 1] = name end
  end
  refused("disown", task)
  refused("follow", task)
  refused("follow", c.spawn(function() end), task)
  refused("run", "net_connect", "127.0.0.1", 1)
  refused("run", "group")
  if internal.sockets.connect or internal.sockets.listen then
    bad[#bad + 1] = "sockets"
  end
  if internal.may(task) or internal.may(session) then bad[#bad + 1] = "may" end
  return table.concat(bad, ", ")
end

describe("what the library has for itself", function()
  local listener = assert(net.listen("127.0.0.1", 0))
  local task = casting.spawn(function() casting.sleep(1000) end)
  local libs = {"debug", "string", "table", "math"}
  -- Before 5.2 it belongs to the basic functions.
  if helper.version >= "5.2" then libs[#libs + 1] = "coroutine" end
  local options = {
    ["a session"] = {},
    ["a sandbox"] = {sandbox = true, libs = libs},
  }

  for name, o in pairs(options) do
    it("is out of reach in " .. name, function()
      local session = casting.session(o)
      local bad, count = session:spawn(look, listener, task,
        casting.session(), casting.channel()):await(LONG)
      assert.equal("", bad)
      assert.is_true(count > 50, count)
      session:close(LONG)
    end)
  end

  it("checks what it is called with", function()
    local session = casting.session(options["a sandbox"])
    local other = casting.session()
    local victim = other:spawn("require 'casting'.sleep(1000)")
    local bad = session:spawn(misuse, victim, other):await(LONG)
    assert.equal("", bad)
    assert.is_nil((victim:join(0)))
    session:close(LONG)
    other:close(LONG)
  end)
end)
