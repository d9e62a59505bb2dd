-- socket_select.lua - select(read, write, timeout), of casting.socket.
-- SPDX-License-Identifier: MIT
--
-- Anything that has a method getfd can be waited for, as in LuaSocket; what has
-- none, or no number, is passed over. What is dirty() is ready at once.

local _, internal = ...
local type = type
local bad = internal.bad
local Net, Sock, steps =
  internal.net_common, internal.socket_common, internal.luasocket

-- Its number, or nil.
local function number_of(object)
  local getfd = object.getfd
  if getfd == nil then return nil end
  local fd = steps.number(getfd(object))
  if not fd or not (fd >= 0 and fd <= 2147483647) then return nil end
  return fd - fd % 1
end

local function is_dirty(object)
  local dirty = object.dirty
  return dirty ~= nil and dirty(object)
end

-- Adds the objects of a list to all that are waited for: their numbers, and the
-- objects, a number once. Those of `dirty`, if that is a list, which need not
-- be waited for go there.
local function collect(all, list, dirty)
  local seen = {}
  local i = 1
  while list and list[i] ~= nil do
    local object = list[i]
    local fd = number_of(object)
    if fd and not seen[fd] then
      seen[fd] = true
      if dirty and is_dirty(object) then
        dirty.n = dirty.n + 1
        dirty[dirty.n] = object
      else
        all.n = all.n + 1
        all.fds[all.n] = fd
        all.objects[all.n] = object
      end
    end
    i = i + 1
  end
end

-- A list, and from each object to its place.
local function both_ways(list, n)
  local to = {}
  for i = 1, n do
    to[i] = list[i]
    to[list[i]] = i
  end
  return to
end

local function outcome(all, dirty, ready)
  local read, write, nread, nwrite = {}, {}, 0, 0
  for i = 1, dirty.n do
    nread = nread + 1
    read[nread] = dirty[i]
  end
  for i = 1, all.n do
    if ready[i] and i <= all.nread then
      nread = nread + 1
      read[nread] = all.objects[i]
    elseif ready[i] then
      nwrite = nwrite + 1
      write[nwrite] = all.objects[i]
    end
  end
  return both_ways(read, nread), both_ways(write, nwrite)
end

local function check(i, list)
  if list ~= nil and type(list) ~= "table" then
    bad(i, "select", "table expected, got " .. type(list))
  end
end

return function(read, write, timeout)
  local seconds = -1
  check(1, read)
  check(2, write)
  if timeout ~= nil then
    seconds = steps.number(timeout)
    if not seconds then
      bad(3, "select", "number expected, got " .. type(timeout))
    end
  end
  local all, dirty = {n = 0, nread = 0, fds = {}, objects = {}}, {n = 0}
  collect(all, read, dirty)
  all.nread = all.n
  collect(all, write)
  local deadline = Net.deadline(seconds >= 0 and seconds or nil)
  Sock.take_turn()
  local over = false
  while true do
    local ready, count = steps.poll(all.fds, all.n, all.nread)
    if count > 0 or dirty.n > 0 then return outcome(all, dirty, ready) end
    if over then return {}, {}, "timeout" end
    over = not steps.wait_all(all.fds, all.n, all.nread, Net.left(deadline))
  end
end
