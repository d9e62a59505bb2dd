-- http_peers.lua - the server of casting.http beside nginx and Node, with the
-- same bytes.
-- SPDX-License-Identifier: MIT
--
--   http_peers.lua [SECONDS [SEED]]   all traps, then inputs made by chance
--   http_peers.lua -l                 the traps, and what each server takes
--   http_peers.lua FILE ...           these inputs, and the same
--
-- What matters is which requests a server takes for such, and how many: where
-- two of them stand one behind the other and disagree, requests are smuggled.
-- So the methods of requests and the sizes of bodies are compared, and that of
-- a last request, which stands behind each input. How one says no is not.
--
-- The table in peers/rows.lua has the differences that are known. One that no
-- row explains is made smaller and told, and the exit status is 1.

local casting = require "casting"
local fs = require "casting.fs"

local place = (arg[0]:match "^(.*)/" or ".") .. "/peers"
package.path = place .. "/?.lua;" .. package.path
local Inputs = require "inputs"
local rows = require "rows"
local Servers = require "servers"
local traps = require "traps"

local TASKS = 8
local MOST = 10 -- differences that are told

local function printable(s)
  return (s:gsub("[%c\\\127-\255]", function(c)
    return c == "\r" and "\\r" or c == "\n" and "\\n" or c == "\\" and "\\\\"
      or ("\\x%02x"):format(c:byte())
  end))
end

-- -- comparing ----------------------------------------------------------------

local function ask_all(servers, input)
  local found = {}
  for _, name in ipairs(Servers.names) do
    found[name] = Servers.ask(servers, name, input)
  end
  return found
end

-- Where the peer differs first, as peers/rows.lua has it; nil: nowhere.
local function difference(found, peer)
  local ours, theirs = found.casting.taken, found[peer].taken
  local heads = found.casting.heads
  for at = 1, math.max(#ours, #theirs) do
    if ours[at] ~= theirs[at] then
      return {peer = peer, ours = ours[at], theirs = theirs[at], at = at,
        head = heads[at], before = heads[at - 1], how = not ours[at] and
          "refuses" or not theirs[at] and "takes" or "other"}
    end
  end
end

local used = {} -- row -> how often

local function explained(input, d)
  for _, row in ipairs(rows) do
    if row.how == d.how and (not row.peer or row.peer == d.peer) and
        row.when(input .. Servers.last, d) then
      used[row] = (used[row] or 0) + 1
      return row
    end
  end
end

-- A difference that no row explains, or a server that does not end.
local function fault(input, found)
  for _, name in ipairs(Servers.names) do
    if found[name].over == "hangs" then return name .. " hangs" end
  end
  for _, peer in ipairs {"nginx", "node"} do
    local d = difference(found, peer)
    if d and not explained(input, d) then
      return ("not as %s: ours %s"):format(peer, d.how == "other" and
        "takes another one" or d.how)
    end
  end
end

-- -- telling ------------------------------------------------------------------

-- Takes bytes away as long as the fault stays the same.
local function smaller(servers, input, what)
  if what:find "hangs$" then return input end -- that would take long
  local size = math.floor(#input / 2)
  while size >= 1 do
    local at = 1
    while at <= #input do
      local less = input:sub(1, at - 1) .. input:sub(at + size)
      if fault(less, ask_all(servers, less)) == what then
        input = less
      else
        at = at + size
      end
    end
    size = math.floor(size / 2)
  end
  return input
end

local function summary(found)
  local parts = {}
  for _, name in ipairs(Servers.names) do
    local f = found[name]
    local last = f.over ~= "last" and f.over ~= "nothing" and f.over or nil
    local taken = table.concat(f.taken, ", ")
    parts[#parts + 1] = ("%s: %s%s"):format(name, taken,
      last and (taken == "" and last or ", " .. last) or
        taken == "" and "nothing" or "")
  end
  return table.concat(parts, " | ")
end

local function short(s)
  s = printable(s)
  return #s > 1000 and s:sub(1, 1000) .. "..." or s
end

local function tell(name, input, found, what)
  print(("%s\n  %s\n  %s%s"):format(name, short(input), summary(found),
    what and "\n  " .. what or ""))
end

-- -- running ------------------------------------------------------------------

-- Calls f for what next_input gives, in several tasks: name, input, found and
-- what is wrong.
local function each(servers, next_input, f)
  casting.scope(function(scope)
    for _ = 1, TASKS do
      scope:spawn(function()
        for name, input in next_input do
          local found = ask_all(servers, input)
          f(name, input, found, fault(input, found))
        end
      end)
    end
  end)
end

local function list(servers, inputs)
  for _, t in ipairs(inputs) do
    local found = ask_all(servers, t[2])
    tell(t[1], t[2], found, fault(t[2], found))
    for _, peer in ipairs {"nginx", "node"} do
      local d = difference(found, peer)
      local row = d and explained(t[2], d)
      if row then print(("  %s: %s"):format(peer, row.what)) end
    end
  end
end

local function check(servers, seconds, seed)
  local inputs, deadline = Inputs.new(seed), casting.now() + seconds
  local n, failures = 0, 0
  each(servers, function()
    n = n + 1
    if failures >= MOST then return end
    if traps[n] then return traps[n][1], traps[n][2] end
    if casting.now() < deadline then
      return ("seed %d, input %d"):format(seed, n), inputs:next()
    end
  end, function(name, input, found, what)
    if not what then return end
    failures = failures + 1
    if failures > MOST then return end
    local less = smaller(servers, input, what)
    tell(name, less, ask_all(servers, less), what)
  end)
  local idle = 0
  for _, row in ipairs(rows) do
    if not used[row] then
      idle = idle + 1
      print("no input has needed this row: " .. row.what)
    end
  end
  print(("%d inputs, %d traps among them, seed %d"):format(n, #traps, seed))
  return failures
end

local function main(...)
  local first, second = ...
  local servers, failures = Servers.start(place), 0
  if first == "-l" then
    list(servers, traps)
  elseif first and not tonumber(first) then
    local inputs = {}
    for i, path in ipairs {...} do
      inputs[i] = {path, assert(fs.read(path))}
    end
    list(servers, inputs)
  else
    failures = check(servers, tonumber(first or 20),
      tonumber(second or os.time()))
    print(failures == 0 and "1 passed, 0 failed" or "0 passed, 1 failed")
  end
  Servers.stop(servers)
  return failures == 0 and 0 or 1
end

os.exit(casting.run(main, ...), true)
