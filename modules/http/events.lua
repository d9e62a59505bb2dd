-- events.lua - server-sent events: a response that goes on.
-- SPDX-License-Identifier: MIT
--
-- The format is that of the HTML standard, 9.2, for EventSource in browsers.

local casting = require "casting"

local Events = {}
Events.__index = Events
Events.__name = "events"

local KNOWN = {data = "string", event = "string", id = "string",
  retry = "number"}
local EXACT = 2 ^ 53 -- all integers up to here are numbers of all versions

-- A field that is one line.
local function line(t, name)
  local value = t[name]
  if value == nil then return "" end
  if type(value) == "number" then value = ("%.0f"):format(value) end
  if value:find "[%z\r\n]" then
    error(("bad argument #1 to 'send' (%s must be one line)"):format(name), 3)
  end
  return name .. ": " .. value .. "\n"
end

local function check(t)
  for name, value in next, t do
    local wanted = KNOWN[name]
    local is_number = name == "id" and type(value) == "number" and
      value % 1 == 0 and math.abs(value) <= EXACT
    if type(value) ~= wanted and not is_number then
      error(("bad argument #1 to 'send' (%s)"):format(wanted and
        ("%s must be a %s%s, got %s"):format(name, wanted,
        name == "id" and " or an integer" or "", type(value)) or
        ("unknown field '%s'"):format(tostring(name))), 3)
    end
  end
  local retry = t.retry
  if retry and not (retry >= 0 and retry < 1e9) then
    error("bad argument #1 to 'send' (retry must be a number of seconds)", 3)
  end
end

-- events:send(event): true; or nil and why, when the client has gone. A text is
-- one with that for its data.
function Events:send(t)
  if type(t) == "string" then
    t = {data = t}
  elseif type(t) ~= "table" then
    error("bad argument #1 to 'send' (string or table expected, got " ..
      type(t) .. ")", 2)
  end
  check(t)
  local parts = {line(t, "event"), line(t, "id"), "", ""}
  if t.retry then
    parts[3] = ("retry: %d\n"):format(math.floor(t.retry * 1000))
  end
  if t.data then
    local data = t.data:gsub("\r\n?", "\n"):gsub("\n", "\ndata: ")
    parts[4] = "data: " .. data .. "\n"
  end
  self.sent = true
  return self.response:write(table.concat(parts) .. "\n")
end

-- What nothing comes of is taken for broken, by proxies between the two. So an
-- empty comment is sent now and then.
local function ping(self, response, seconds)
  repeat
    casting.sleep(seconds)
    local quiet = not self.sent
    self.sent = false
  until quiet and not response:write ":\n\n"
end

-- The fields that go with events. There is one type, and the program's others
-- count, however they are spelled.
local function set_fields(headers)
  local said = {}
  for name in pairs(headers) do
    local lower = type(name) == "string" and name:lower() or name
    if lower == "content-type" then headers[name] = nil end
    said[lower] = true
  end
  headers["Content-Type"] = "text/event-stream"
  if not said["cache-control"] then headers["Cache-Control"] = "no-store" end
  if not said["x-accel-buffering"] then
    headers["X-Accel-Buffering"] = "no" -- nginx passes it on at once
  end
end

-- response:events([options])
function Events.begin(response, o)
  -- What may be refused comes first, while the handler can answer otherwise.
  if o.cancel ~= false then response.request:closed {cancel = true} end
  local self = setmetatable({response = response, sent = false}, Events)
  response.conn.special = true
  response.conn.pinger = casting.spawn(ping, self, response, o.ping or 15)
  set_fields(response.headers)
  local ok, why = response:flush()
  if not ok then return nil, why end
  return self
end

return Events
