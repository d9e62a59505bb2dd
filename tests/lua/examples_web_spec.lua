-- examples_web_spec.lua - the chat and the proxy of examples/, through
-- casting's own client.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local kit = require "examplekit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

local missing = kit.why_not()
if missing then
  describe("examples on the web", function() pending(missing) end)
  return
end
local http = require "casting.http"

local open = {}
local function keep(v)
  open[#open + 1] = v
  return v
end
after_each(function()
  for i = #open, 1, -1 do
    open[i]:close()
    open[i] = nil
  end
  kit.stop()
end)

-- ---------------------------------------------------------------- webchat --

describe("examples/webchat.lua", function()
  local url, program
  local function serve(...)
    program, url = kit.start("webchat", "--port", "0", ...)
  end
  local function connect()
    return keep(assert(http.websocket(url:gsub("^http", "ws") .. "/chat")))
  end
  -- Comes into a room: the websocket, and who is there.
  local function enter(room, name, key)
    local ws = connect()
    ws:send(table.concat({room, name, key or name .. "key"}, "\n"))
    local kind, names = assert(ws:receive(LONG)):match "^(%l+)\n%d+\n\n(.*)$"
    assert.equal("here", kind)
    return ws, names
  end
  -- The next message: kind, name, text.
  local function hear(ws)
    local text, why, code, reason = ws:receive(LONG)
    if not text then return why, code, reason end
    return text:match "^(%l+)\n%d+\n([^\n]*)\n(.*)$"
  end
  local function heard(ws, ...) assert.same({...}, {hear(ws)}) end

  it("serves its page, and nothing else", function()
    serve()
    local answer = http.request(url .. "/")
    assert.same({200, "text/html; charset=utf-8"},
      {answer.status, answer.headers["content-type"]})
    assert.matches("default%-src 'none'",
      answer.headers["content-security-policy"])
    assert.matches("</html>%s*$", answer.body)
    -- What others have written must not become HTML.
    for _, word in ipairs {"innerHTML", "insertAdjacent", "document.write",
      "outerHTML", "eval("} do
      assert.is_nil(answer.body:find(word, 1, true))
    end
    assert.equal(404, http.request(url .. "/x").status)
    assert.equal(404, http.request(url .. "/webchat.lua").status)
    assert.equal(405, http.request(url .. "/", {body = "x"}).status)
    assert.equal(426, http.request(url .. "/chat").status)
  end)

  it("lets members of a room talk", function()
    serve("--sessions", "2", "--rooms", "3")
    local ann = enter("lobby", "Ann")
    heard(ann, "enter", "Ann", "")
    local bob, names = enter("lobby", "Bob")
    assert.equal("Ann\nBob", names)
    heard(ann, "enter", "Bob", "")
    heard(bob, "enter", "Bob", "")
    ann:send "hello <b>Bob</b>\n\195\188"
    heard(ann, "say", "Ann", "hello <b>Bob</b>\n\195\188")
    heard(bob, "say", "Ann", "hello <b>Bob</b>\n\195\188")
    bob:close()
    heard(ann, "leave", "Bob", "")
  end)

  it("keeps many rooms apart, and what was said in each", function()
    serve("--sessions", "2", "--rooms", "3")
    local first = {}
    for i = 1, 12 do
      local room = "room " .. i
      first[i] = enter(room, "Ann")
      heard(first[i], "enter", "Ann", "")
      first[i]:send("in " .. room)
      heard(first[i], "say", "Ann", "in " .. room)
    end
    for i = 1, 12 do
      local ws, names = enter("room " .. i, "Bob")
      assert.equal("Ann\nBob", names)
      heard(ws, "say", "Ann", "in room " .. i)
      heard(ws, "enter", "Bob", "")
      heard(first[i], "enter", "Bob", "")
      ws:close()
      heard(first[i], "leave", "Bob", "")
    end
    -- Of a room without members nothing is left.
    local stays = enter("room 1", "Cid")
    heard(first[1], "enter", "Cid", "")
    first[2]:close()
    local again
    helper.until_true(function()
      again = connect()
      again:send "room 2\nBob\nk"
      local text = again:receive(LONG)
      if not text:find "Ann" then return true end
      again:close()
    end, "the room is empty")
    heard(again, "enter", "Bob", "")
    stays:close()
  end)

  it("gives a name to one, who may come back", function()
    serve()
    local ann = enter("lobby", "Ann", "a1")
    heard(ann, "enter", "Ann", "")
    local other = connect()
    other:send "lobby\nAnn\na2"
    heard(other, "closed", 4001, "this name is taken")
    local again, names = enter("lobby", "Ann", "a1")
    assert.equal("Ann", names)
    heard(ann, "closed", 4004, "you are here in another window")
    again:send "here I am"
    heard(again, "say", "Ann", "here I am")
  end)

  it("refuses what is no name", function()
    serve()
    for _, text in ipairs {"", "lobby", "lobby\nAnn", "lobby\n\nkey",
      "\nAnn\nkey", "lobby\n \nkey", "lobby\nA\tnn\nkey", "lobby\nAnn\nk k",
      "lobby\n" .. ("x"):rep(33) .. "\nkey",
      ("\195\188"):rep(33) .. "\nAnn\nkey"} do
      local ws = connect()
      ws:send(text)
      heard(ws, "closed", 4000, "this is no name")
    end
    local ws = enter(("\195\188"):rep(32), "Ann")
    heard(ws, "enter", "Ann", "")
  end)

  it("tells of its limits", function()
    serve()
    local ann = enter("lobby", "Ann")
    heard(ann, "enter", "Ann", "")
    ann:send(("x"):rep(1001))
    heard(ann, "note", "", "That is too long: it was not sent.")
    ann:send(("\195\188"):rep(1000))
    heard(ann, "say", "Ann", ("\195\188"):rep(1000))
    for _ = 1, 30 do ann:send "again" end
    local kinds = {}
    for _ = 1, 30 do
      local kind = hear(ann)
      kinds[kind] = (kinds[kind] or 0) + 1
    end
    assert.is_true(kinds.say >= 9 and kinds.note >= 1)
    ann:send(("x"):rep(8001))
    heard(ann, "closed", 1009, "the message is too long")
  end)

  it("throws out who does not read, and nobody waits for it", function()
    serve("--rate", "1000000")
    local slow = enter("lobby", "Slow")
    local ann = enter("lobby", "Ann")
    -- More than the inbox and the buffers of the system have room for.
    local text = ("\240\159\144\140"):rep(1000)
    local kind, name
    repeat
      ann:send(text)
      repeat
        kind, name = hear(ann)
        assert.not_equal("closed", kind)
      until kind == "say" or kind == "leave"
    until kind == "leave"
    assert.equal("Slow", name)
    heard(ann, "say", "Ann", text)
    local why, code
    repeat why, code = hear(slow) until why == "closed"
    assert.truthy(code == 1013 or code == 1006)
  end)

  it("says good-bye when a signal ends it", function()
    for _, signal in ipairs {"TERM", "INT"} do
      serve()
      local ann = enter("lobby", "Ann")
      heard(ann, "enter", "Ann", "")
      program:kill(signal)
      assert.equal(1001, (select(2, hear(ann))))
      assert.same({"exit", 0}, {program:wait(LONG)})
      assert.equal("", program.stderr:read("a", LONG))
    end
  end)

  it("explains itself, and refuses what it does not know", function()
    local status, out = kit.run("webchat", "--help")
    assert.equal(0, status)
    assert.matches("^usage: webchat.lua", out)
    for _, args in ipairs {{"a"}, {"--what", "1"}, {"--port"}, {"--port", "x"},
      {"--port", "65536"}, {"--rooms", "0"}, {"--sessions", "65"},
      {"--rate", "0"}} do
      assert.same({2, ""}, {kit.refuse("webchat", helper.unpack(args))})
    end
  end)
end)
