-- try_smtp.lua - socket.smtp, and logging.email of LuaLogging: mail to a server
-- that stores it.
-- SPDX-License-Identifier: MIT

local kit = require "kit"
local casting = kit.casting

local smtp = require "socket.smtp"
local mime = require "mime"
local ltn12 = require "ltn12"

local port = kit.port "SMTP_PORT"
local store = kit.at "SMTP_STORE" .. "/new"
local fs = casting.fs

-- What is in the store, which is emptied.
local function take_all()
  local got = {}
  for _, name in ipairs((assert(fs.list(store)))) do
    got[#got + 1] = fs.read(store .. "/" .. name)
    fs.remove(store .. "/" .. name)
  end
  return got
end
take_all()

local N = 10
local picture = ("\0\1\2\r\n.\r\n\255"):rep(1000)
kit.at_once(N, function(i)
  assert(smtp.send {from = "<a@example.org>", server = "127.0.0.1",
    port = port, rcpt = {"<b@example.org>", "<c@example.org>"},
    source = smtp.message {
      headers = {subject = "number " .. i, to = "b@example.org"},
      body = {
        {body = mime.eol(0, "a line\n.\n..two dots\nthe end\n")},
        {headers = {["content-type"] = "image/png",
          ["content-transfer-encoding"] = "BASE64"},
          body = ltn12.source.chain(ltn12.source.string(picture),
            ltn12.filter.chain(mime.encode "base64", mime.wrap()))},
      },
    }})
end)
local got, seen = take_all(), {}
kit.same(N, #got, "messages")
for _, text in ipairs(got) do
  text = text:gsub("\r\n", "\n")
  seen[text:match "[Ss]ubject: number (%d+)"] = true
  assert(text:find("\na line\n.\n..two dots\nthe end\n", 1, true), text)
  local coded = text:match "image/png.-\n\n(.-)\n%-%-"
  kit.same(picture, (mime.unb64(coded)), "picture")
end
for i = 1, N do assert(seen[tostring(i)], "one message is not there") end

local ok, why = smtp.send {from = "<a@example.org>", server = "127.0.0.1",
  port = port, rcpt = "<b@example.org> NONE=1",
  source = smtp.message {body = "x"}}
assert(not ok and why:find "^5", tostring(why))

local found, email = pcall(require, "logging.email")
if found then
  local logger = email {rcpt = "<b@example.org>", from = "<a@example.org>",
    server = "127.0.0.1", port = port, headers = {subject = "%level"}}
  logger:info "it works"
  got = take_all()
  kit.same(1, #got, "logs")
  assert(got[1]:find "it works" and got[1]:find "[Ss]ubject: INFO", got[1])
end
