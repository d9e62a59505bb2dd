-- net_common.lua - what the functions of casting.net have in common.
-- SPDX-License-Identifier: MIT
--
-- Each of these functions has a file of its own (net_connect.lua and so on).
-- This one is not called net.lua: require "casting.net" would find it in a
-- checkout. The functions in C that they use are in internal.sockets, and take
-- numeric addresses only.

local casting, internal = ...
local error, pcall, type = error, pcall, type
local Check, sockets = internal.check, internal.sockets
local bad, got = internal.bad, internal.got

local Net = {}

local NOT_NAME, NOT_PATH = "not a host name", "not a path of a socket"

-- The seconds that are left until `deadline`; nil: there is none.
function Net.left(deadline)
  if not deadline then return nil end
  local left = deadline - casting.now()
  return left > 0 and left or 0
end

-- The time when so many seconds are over; nil: never.
function Net.deadline(seconds)
  return seconds and casting.now() + seconds
end

-- -- arguments ----------------------------------------------------------------

-- What the argument `host` of the function called `name` is: "inet", "inet6" or
-- "unix"; nil: a name. A second result tells why it can be no host: that is an
-- outcome and no misuse, as hosts often come from elsewhere.
function Net.family(name, host)
  if type(host) ~= "string" then Check.expect(1, name, host, "string") end
  if host == "unix:" then return "unix", NOT_PATH end
  local family, problem = sockets.numeric(host)
  if not problem then return family end
  return family, family == "unix" and problem or NOT_NAME
end

-- The argument `port`, of a host of that family.
function Net.check_port(name, family, port)
  if family == "unix" then return end
  if port == nil then
    bad(2, name, 'a port is missing; only "unix:PATH" has none')
  end
  if type(port) == "string" then
    bad(2, name, "number expected, got string: call tonumber")
  end
  Check.expect(2, name, port, "number")
  if not (port >= 0 and port <= 65535 and port % 1 == 0) then
    bad(2, name, "a port must be an integer from 0 to 65535, got " ..
      got(port))
  end
end

-- What a message shows of the value v of an option that is one of few words.
function Net.shown(v)
  return type(v) == "string" and '"' .. internal.quote(v) .. '"' or got(v)
end

-- The others raise if the value v of an option, in argument i, is bad.

function Net.check_seconds(i, name, option, v)
  if v ~= nil and not Check.is_seconds(v) then
    bad(i, name, option .. " must be a number of seconds, zero or more, got " ..
      got(v))
  end
end

function Net.check_family(i, name, v)
  if v ~= nil and v ~= "inet" and v ~= "inet6" then
    bad(i, name, 'family must be "inet" or "inet6", got ' .. Net.shown(v))
  end
end

function Net.check_boolean(i, name, option, v)
  local problem = Check.mismatch(option, v, "boolean")
  if problem then bad(i, name, problem) end
end

function Net.check_count(i, name, option, v, least)
  if v ~= nil and not Check.is_integer(v, least, 2 ^ 31 - 1) then
    bad(i, name, option .. " must be an integer from " .. least ..
      " to 2147483647, got " .. got(v))
  end
end

-- The option keepalive as a number of seconds; 0: off.
function Net.read_keepalive(i, name, v)
  if v == nil then return 15 end
  if v == false then return 0 end
  if not Check.is_integer(v, 1, 32767) then
    bad(i, name, "keepalive must be false or an integer number of seconds " ..
      "from 1 to 32767, got " .. got(v))
  end
  return v
end

-- A Unix socket has no port: the options may stand in its place. Returns the
-- port, the options, and the number of the argument that they are.
function Net.options(family, port, options)
  if family == "unix" and options == nil and type(port) == "table" then
    return nil, port, 2
  end
  return port, options, 3
end

-- The module casting.tls, which is installed by itself, for the function called
-- `name`.
function Net.tls(name)
  local ok, tls = pcall(casting.require, "casting.tls")
  if not ok then
    error(name .. ": the module casting.tls cannot be loaded: " ..
      internal.builtin.tostring(tls), 0)
  end
  return tls
end

-- -- names --------------------------------------------------------------------

-- Why a host that is of `family`, or a name (nil), has no address of the family
-- `wanted`, if one is wanted, perhaps as it is that of the address `bind`; nil:
-- it may have one.
function Net.misfit(family, wanted, bind)
  if family and wanted and family ~= wanted then
    return "this host has no address of the family " .. wanted ..
      (bind and ", which that of bind has" or "")
  end
end

-- The addresses of a host, a list with its n; or nil and why. `family` is what
-- the host is, if it is no name; `wanted` is the family to look for, or nil.
function Net.addresses(host, family, wanted, timeout)
  if family then
    local problem = Net.misfit(family, wanted)
    if problem then return nil, problem end
    return {host, n = 1}
  end
  local list, why = sockets.resolve(host, wanted, timeout)
  if not list then return nil, why end
  list.n = #list
  return list
end

return Net
