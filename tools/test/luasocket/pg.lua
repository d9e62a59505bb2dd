-- pg.lua - a small client of PostgreSQL, written as others for LuaSocket are.
-- SPDX-License-Identifier: MIT
--
-- It speaks version 3 of the protocol: start without a password, simple
-- queries, notifications. Values are strings.

local Client = {}
Client.__index = Client

local function int32(n)
  return string.char(math.floor(n / 16777216) % 256,
    math.floor(n / 65536) % 256, math.floor(n / 256) % 256, n % 256)
end
local function number(s, i, size)
  local n = 0
  for k = i, i + size - 1 do n = n * 256 + s:byte(k) end
  return n
end

-- The next message: its kind, a letter, and its body.
function Client:message()
  local head = assert(self.socket:receive(5))
  return head:sub(1, 1), assert(self.socket:receive(number(head, 2, 4) - 4))
end

function Client:send(kind, body)
  assert(self.socket:send(kind .. int32(#body + 4) .. body))
end

-- The values of a row; NULL is nil.
local function row_of(body)
  local row, at = {n = number(body, 1, 2)}, 3
  for i = 1, row.n do
    local size = number(body, at, 4)
    at = at + 4
    if size < 2147483648 then
      row[i] = body:sub(at, at + size - 1)
      at = at + size
    end
  end
  return row
end

-- The rows; or nil and the server's text.
function Client:query(text)
  if text then self:send("Q", text .. "\0") end
  local rows, why = {}, nil
  while true do
    local kind, body = self:message()
    if kind == "D" then rows[#rows + 1] = row_of(body)
    elseif kind == "E" then why = body:match "%zM(.-)%z" or body
    elseif kind == "R" then assert(number(body, 1, 4) == 0, "a password?")
    elseif kind == "Z" then return not why and rows or nil, why
    end
  end
end

-- Waits for a notification: its channel and text.
function Client:notification()
  local kind, body
  repeat kind, body = self:message() until kind == "A"
  return body:match("^([^%z]*)%z([^%z]*)", 5)
end

function Client:close()
  self:send("X", "")
  self.socket:close()
end

return function(connection, user, database)
  local self = setmetatable({socket = assert(connection)}, Client)
  self:send("", int32(196608) .. ("user\0%s\0database\0%s\0\0"):format(user,
    database))
  assert(self:query())
  return self
end
