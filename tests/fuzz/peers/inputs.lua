-- inputs.lua - requests that are good, changed by chance.
-- SPDX-License-Identifier: MIT
--
-- Chance has a seed, and is the same on all Lua versions.

local Inputs = {}
Inputs.__index = Inputs

local HOST = "Host: x\r\n"
local CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"
local good = {
  "GET / HTTP/1.1\r\n" .. HOST .. "\r\n",
  "GET /a%20b?c=d HTTP/1.1\r\n" .. HOST .. "Accept: */*\r\nX: y\r\n\r\n",
  "HEAD /x HTTP/1.1\r\n" .. HOST .. "\r\n",
  "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "GET http://x/a HTTP/1.1\r\n" .. HOST .. "\r\n",
  "POST /p HTTP/1.1\r\n" .. HOST .. "Content-Length: 5\r\n\r\nhello",
  "POST /p HTTP/1.1\r\n" .. HOST .. "Content-Length: 12\r\n\r\nhello, world",
  "PUT /p HTTP/1.1\r\n" .. HOST .. "Content-Length: 0\r\n\r\n",
  "POST / HTTP/1.1\r\n" .. HOST .. CHUNKED .. "5\r\nhello\r\n0\r\n\r\n",
  "POST / HTTP/1.1\r\n" .. HOST .. CHUNKED ..
    "5;a=b\r\nhello\r\n0C\r\nhello, world\r\n0\r\nX: y\r\n\r\n",
  "POST / HTTP/1.1\r\n" .. HOST .. "Expect: 100-continue\r\n" ..
    "Content-Length: 5\r\n\r\nhello",
  "GET / HTTP/1.1\r\n" .. HOST .. "Connection: Upgrade\r\nUpgrade: foo\r\n\r\n",
  "DELETE /d HTTP/1.1\r\n" .. HOST .. "Connection: keep-alive, x\r\n\r\n",
  "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length: 36\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\nab",
}

local words = {"\r\n", "\n", "\r", "\r\n\r\n", "\n\n", "\r\n ", "\r\n\t", " ",
  "\t", "\v", "\0", ":", ": ", " :", ",", ", ", ";", "=", '"', "\\", "#", "%",
  "%00", "%zz", "%0d%0a", "/", "//", "..", "*", "?", "@", "[", "]", "0", "1",
  "5", "-", "+", "0x", "f", "ffffffff", "100000000", "10000000000000000",
  "GET ", "POST ", "HEAD ", "CONNECT ", "get ", " HTTP/1.1", " HTTP/1.0",
  " HTTP/0.9", " HTTP/2.0", " HTTP/1.2", "http://x", "https://y:80", "Host: y",
  "\r\nHost: y", "Content-Length: 5", "\r\nContent-Length: 5",
  "\r\nContent-Length: 0", "\r\nContent-Length: 1000",
  "\r\nTransfer-Encoding: chunked", "\r\nTransfer-Encoding: identity",
  "\r\nTransfer-Encoding:\tchunked", "\r\nTransfer-Encoding: gzip, chunked",
  "chunked", "identity", "gzip", "close", "keep-alive", "upgrade",
  "\r\nConnection: close", "\r\nConnection: keep-alive",
  "\r\nExpect: 100-continue", "\r\nUpgrade: h2c", "\r\nX: y", "\r\n0\r\n\r\n",
  "5\r\nhello\r\n", "0\r\n\r\n", "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n",
  "\127", "\128", "\255"}

function Inputs.new(seed)
  return setmetatable({state = seed % 2147483646 + 1}, Inputs)
end

-- A number from 1 to n, by the generator of Park and Miller.
function Inputs:below(n)
  self.state = self.state * 16807 % 2147483647
  return math.floor(self.state / 2147483647 * n) + 1
end

function Inputs:one_of(list) return list[self:below(#list)] end

-- Where a line ends, behind its LF; or any place.
function Inputs:place(s)
  if self:below(2) == 1 then return self:below(#s + 1) end
  local ends = {1}
  for at in s:gmatch "\n()" do ends[#ends + 1] = at end
  return self:one_of(ends)
end

-- The first and last byte of a line, with its end.
function Inputs:line(s)
  local from = {}
  for at in s:gmatch "()[^\n]*\n" do from[#from + 1] = at end
  if #from == 0 then return 1, #s end
  local at = self:one_of(from)
  return at, s:find("\n", at, true)
end

local function put(s, from, to, text)
  return s:sub(1, from - 1) .. text .. s:sub(to + 1)
end

local changes = {
  function(self, s) -- a byte becomes another one
    local at = self:below(#s)
    return put(s, at, at, string.char(self:below(256) - 1))
  end,
  function(self, s) -- a bit is turned
    local at, bit = self:below(#s), 2 ^ (self:below(8) - 1)
    local c = s:byte(at)
    c = math.floor(c / bit) % 2 == 1 and c - bit or c + bit
    return put(s, at, at, string.char(c))
  end,
  function(self, s) -- a word comes in
    local at = self:place(s)
    return put(s, at, at - 1, self:one_of(words))
  end,
  function(self, s) -- a word, before or behind the end of a line
    local at, last = self:line(s)
    if self:below(2) == 1 then last = at + 1 end
    return put(s, last - 1, last - 2, self:one_of(words))
  end,
  function(self, s) -- a word instead of bytes
    local at = self:place(s)
    return put(s, at, at + self:below(6) - 1, self:one_of(words))
  end,
  function(self, s) -- a line twice
    local from, to = self:line(s)
    return put(s, from, from - 1, s:sub(from, to))
  end,
  function(self, s) -- a line less
    local from, to = self:line(s)
    return put(s, from, to, "")
  end,
  function(self, s) -- two lines become one, or end otherwise
    local _, to = self:line(s)
    return put(s, to - 1, to, self:one_of {"", " ", "\n", "\r", "\r\r\n"})
  end,
  function(self, s) -- bytes less
    local at = self:place(s)
    return put(s, at, at + self:below(4) - 1, "")
  end,
  function(self, s) -- another digit
    local places = {}
    for at in s:gmatch "()%d" do places[#places + 1] = at end
    if #places == 0 then return s end
    local at = self:one_of(places)
    return put(s, at, at, tostring(self:below(10) - 1))
  end,
  function(self, s) -- the body longer, or the head
    return s .. self:one_of(words)
  end,
  function(self, s) -- something of another request
    local other = self:one_of(good)
    local at, from, to = self:place(s), self:line(other)
    return put(s, at, at - 1, other:sub(from, to))
  end,
  function(self, s) -- letters in the other case
    local from, to = self:line(s)
    local text = s:sub(from, to)
    text = self:below(2) == 1 and text:upper() or text:lower()
    return put(s, from, to, text)
  end,
}

-- The next input: one or two requests, with up to four changes.
function Inputs:next()
  local s = self:one_of(good)
  if self:below(4) == 1 then s = s .. self:one_of(good) end
  for _ = 1, self:below(4) do
    if s == "" then break end
    s = self:one_of(changes)(self, s)
  end
  return s
end

return Inputs
