-- sendmail.lua - sends a mail with attachments to several people at once.
-- SPDX-License-Identifier: MIT
--
-- The text of the mail is the standard input. Each address gets a copy of its
-- own, by the server that is told for its domain, so that one that is refused
-- does not keep the others waiting. What fails for a while, by a reply that
-- begins with 4 or a connection that breaks off, is tried again.
--
-- What it shows: LuaSocket's socket.smtp and mime, unchanged, in tasks: a task
-- for each address, a deadline for each try, and a channel with as many places
-- as a server may have connections. LuaSocket closes its connections when
-- something fails, but knows nothing of deadlines: so the socket of a try is
-- kept, and closed whatever happens. Ctrl-C cancels all.
--
-- How to run it:
--   echo Hello | ./dev run examples/sendmail.lua -f me@example.org \
--     -s 'Two pictures' -a one.png -a two.png you@example.org
--   ./dev run examples/sendmail.lua --help

local casting = require "casting"
local fs = require "casting.fs"
require("casting.socket").install()

local USAGE = [[
usage: sendmail.lua [options] -f ADDRESS ADDRESS... <TEXT

  -f ADDRESS                  who it is from
  -s TEXT                     the subject
  -a FILE                     attach FILE; may be repeated
  --server HOST[:PORT]        the server for all addresses (default: localhost)
  --route DOMAIN=HOST[:PORT]  the one for addresses in DOMAIN; may be repeated
  --deadline N                N seconds for one try (default 60)
  --tries N                   try N times (default 4)
  --pause N                   wait N seconds before the second try (default 5),
                              then twice as long each time
  --help                      print this
]]

local AT_ONCE = 5 -- connections to a server

local options = {server = "localhost", deadline = 60, tries = 4, pause = 5}
local routes, attached, addresses = {}, {}, {}

local function complain(...)
  io.stderr:write("sendmail: ", string.format(...), "\n")
end

local function refuse(...)
  complain(...)
  io.stderr:write(USAGE)
  os.exit(2)
end

-- A module that may not be there, and which package has it.
local function need(name, package)
  local ok, module = pcall(require, name)
  if ok then return module end
  local why = tostring(module):match "^[^\n]*":gsub(":$", "")
  complain("needs %s: %s", package, why)
  os.exit(1)
end

local smtp = need("socket.smtp", "LuaSocket (lua-socket)")
local socket, url = require "socket", require "socket.url"
local ltn12, mime = require "ltn12", require "mime"

-- ----------------------------------------------------------- the message --

-- A text after filters of LuaSocket's.
local function filtered(text, ...)
  local source = ltn12.source.chain(ltn12.source.string(text),
    ltn12.filter.chain(...))
  local sink, out = ltn12.sink.table()
  assert(ltn12.pump.all(source, sink))
  return table.concat(out)
end

-- A text for a header, which has room for ASCII only (RFC 2047). A word has
-- whole characters.
local function encoded(text)
  if not text:match "[\128-\255]" then return text end
  local words, word = {}, ""
  for c in text:gmatch "[^\128-\191][\128-\191]*" do
    if #word + #c > 42 then words[#words + 1], word = word, "" end
    word = word .. c
  end
  words[#words + 1] = word
  for i = 1, #words do words[i] = "=?utf-8?B?" .. mime.b64(words[i]) .. "?=" end
  return table.concat(words, "\r\n ")
end

local function text_part(text)
  return {
    headers = {
      ["content-type"] = "text/plain; charset=utf-8",
      ["content-transfer-encoding"] = "quoted-printable",
    },
    body = filtered(text, mime.normalize(), mime.encode "quoted-printable",
      mime.wrap "quoted-printable"),
  }
end

local function file_part(path)
  local data, why = fs.read(path)
  if not data then
    complain("%s", why)
    os.exit(1)
  end
  return {
    headers = {
      ["content-type"] = "application/octet-stream",
      ["content-disposition"] = "attachment; filename*=utf-8''" ..
        url.escape(path:match "[^/]*$"),
      ["content-transfer-encoding"] = "base64",
    },
    body = data == "" and "" or filtered(data, mime.encode "base64",
      mime.wrap "base64"),
  }
end

-- What smtp.message takes. The identifier is the same at each try: if a reply
-- is lost, and the mail comes twice, programs can tell.
local function message_of(text)
  local message = {
    headers = {
      from = "<" .. options.f .. ">",
      to = "<" .. table.concat(addresses, ">,\r\n <") .. ">",
      subject = options.s and encoded(options.s),
      ["message-id"] = ("<%d.%06d.%06d@%s>"):format(os.time(),
        math.random(0, 999999), math.random(0, 999999),
        options.f:match "@(.*)"),
    },
    body = {text_part(text)},
  }
  for _, path in ipairs(attached) do
    table.insert(message.body, file_part(path))
  end
  return message
end

-- --------------------------------------------------------------- sending --

-- As smtp.send, but once the server has the mail nothing is a failure any more:
-- a mail whose farewell breaks off must not be sent again. `protect` makes a
-- function that returns nil and why of one that throws.
local deliver = socket.protect(function(mail)
  local s = smtp.open(mail.server, mail.port, mail.create)
  s:greet()
  s:send(mail)
  if s.tp:command "quit" then s.tp:check "2.." end
  s:close()
  return 1
end)

-- Tries once: true; or nil and why.
local function try(server, address, message)
  local c, problem
  local ok, in_time, good, why = pcall(casting.with_timeout, options.deadline,
    deliver, {
      server = server.host, port = server.port,
      from = "<" .. options.f .. ">", rcpt = "<" .. address .. ">",
      source = smtp.message(message),
      create = function()
        c, problem = socket.tcp()
        return c, problem
      end,
    })
  if c then c:close() end
  if not ok then error(in_time, 0) end           -- a cancellation, or a mistake
  if not in_time then return nil, "timeout" end
  return good, why
end

-- Sends the mail to an address: how many tries it took; or nil and why.
local function send(server, address, message)
  local pause = options.pause
  for n = 1, options.tries do
    server.places:send(true)                     -- waits while all are taken
    local ok, good, why = pcall(try, server, address, message)
    server.places:try_receive()
    if not ok then error(good, 0) end
    if good then return n end
    why = why:gsub("[\r\n]+", " ")
    if why:match "^5%d%d" or n == options.tries then return nil, why end
    complain("%s: %s; try %d of %d follows", address, why, n + 1, options.tries)
    casting.sleep(pause * (0.5 + math.random() / 2))
    pause = 2 * pause
  end
end

-- ------------------------------------------------------------------ main --

local servers = {}

local function server_for(address)
  local name = routes[address:match "@(.*)":lower()] or options.server
  if not servers[name] then
    local host, port = name:match "^(.*):(%d+)$"
    servers[name] = {host = host or name, port = tonumber(port) or 25,
      places = casting.channel(AT_ONCE)}
  end
  return servers[name]
end

local function check_address(text)
  if text and text:match "^[^%s%c<>@]+@[^%s%c<>@]+$" then return text end
  refuse("%s is no address", tostring(text))
end

local i = 1
while arg[i] do
  local word, value = arg[i], arg[i + 1]
  local name = word:match "^%-%-?(%l+)$"
  if word == "--help" then
    io.write(USAGE)
    os.exit(0)
  elseif word:sub(1, 1) ~= "-" then
    addresses[#addresses + 1] = check_address(word)
    i = i - 1
  elseif not value then
    refuse("%s needs a word behind it, or is unknown", word)
  elseif word == "-f" then
    options.f = check_address(value)
  elseif word == "-s" or word == "--server" then
    if not value:match "^%C+$" then refuse("%s needs a line of text", word) end
    options[name] = value
  elseif word == "-a" then
    attached[#attached + 1] = value
  elseif word == "--route" then
    local domain, server = value:match "^([^=]+)=([^=]+)$"
    if not domain then refuse("--route needs DOMAIN=HOST, not %s", value) end
    routes[domain:lower()] = server
  elseif word == "--deadline" or word == "--tries" or word == "--pause" then
    local n = tonumber(value)
    if not n or n <= 0 or n > 1e6 or word == "--tries" and n % 1 ~= 0 then
      refuse("%s needs a number, not %s", word, value)
    end
    options[name] = n
  else
    refuse("what is %s?", word)
  end
  i = i + 2
end
if not options.f then refuse "-f is needed: who is it from?" end
if #addresses == 0 then refuse "an address is needed" end

math.randomseed(os.time())
smtp.TIMEOUT, smtp.DOMAIN = options.deadline, options.f:match "@(.*)"
local message = message_of(casting.stdin:read "a")
local left = {} -- the addresses that have not got it yet
for _, address in ipairs(addresses) do left[address] = true end
local ok, failure = pcall(casting.scope, function(scope)
  for address in pairs(left) do
    scope:spawn(function()
      local tries, why = send(server_for(address), address, message)
      if tries then
        print(("%s: sent%s"):format(address, tries > 1 and
          (" at try %d"):format(tries) or ""))
        left[address] = nil
      else
        complain("%s: not sent: %s", address, why)
      end
    end)
  end
end)
if not ok then
  for address in pairs(left) do complain("%s: perhaps not sent", address) end
  if type(failure) == "table" then failure = failure.error end
  complain("%s", (tostring(failure):gsub("^%S+:%d+: ", "")))
end
os.exit(next(left) and 1 or 0)
