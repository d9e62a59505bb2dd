-- chromium.lua - drives a Chromium without a window, for tests of pages.
-- SPDX-License-Identifier: MIT
--
-- It is told what to do through a websocket, with JSON (the "Chrome DevTools
-- Protocol"); so these tests also try casting's own client of websockets. One
-- task receives, and hands each answer to the task that waits for it.
--
-- Waiting is done in the page: an expression is looked at again whenever the
-- document changes, and the answer comes when it is true.

local casting = require "casting"
local cjson = require "cjson"
local fs = require "casting.fs"
local helper = require "helper"
local http = require "casting.http"
local process = require "casting.process"
local LONG = helper.LONG

local Browser, Page = {}, {}
Browser.__index, Page.__index = Browser, Page

-- No sandbox, as tests may be run by root; nothing that asks others.
local FLAGS = {"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
  "--no-first-run", "--no-default-browser-check", "--disable-extensions",
  "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
  "--lang=en", "--remote-debugging-port=0"}

local function receive(self)
  for text in self.ws do
    local message = cjson.decode(text)
    local answer = self.answers[message.id]
    local page = self.pages[message.sessionId]
    if answer then
      self.answers[message.id] = nil
      answer:send(message)
    elseif page and message.method == "Runtime.exceptionThrown" then
      local details = message.params.exceptionDetails
      page.errors[#page.errors + 1] = details.exception and
        details.exception.description or details.text
    elseif page and message.method == "Log.entryAdded" and
      message.params.entry.level == "error" then
      page.errors[#page.errors + 1] = message.params.entry.text
    end
  end
  for _, answer in pairs(self.answers) do answer:close() end
end

-- Starts one, with a new profile.
local function start()
  local self = setmetatable({answers = {}, pages = {}, last = 0}, Browser)
  self.profile = assert(fs.tempdir())
  local words = {"chromium", "--user-data-dir=" .. self.profile,
    stdout = "null", stderr = "pipe", group = true}
  for _, flag in ipairs(FLAGS) do words[#words + 1] = flag end
  words[#words + 1] = "about:blank"
  self.program = assert(process.spawn(words))
  local url, said = nil, {}
  while not url do
    local line, why = self.program.stderr:read("l", LONG)
    if not line then
      error("chromium: " .. why .. "\n" .. table.concat(said, "\n"))
    end
    said[#said + 1] = line
    url = line:match "listening on (ws://%S+)"
  end
  self.drain = casting.spawn(function()
    repeat until not self.program.stderr:read()
  end)
  self.ws = assert(http.websocket(url, {max_message = 67108864}))
  self.task = casting.spawn(receive, self)
  return self
end

-- Has it do something: the result.
function Browser:call(method, params, session)
  self.last = self.last + 1
  local id, answer = self.last, casting.channel(1)
  self.answers[id] = answer
  assert(self.ws:send(cjson.encode {id = id, method = method,
    params = params and next(params) and params or nil, sessionId = session}))
  local message, why = answer:receive(LONG)
  if not message then error(method .. ": " .. why, 2) end
  if message.error then error(method .. ": " .. message.error.message, 2) end
  return message.result
end

function Browser:close()
  pcall(self.call, self, "Browser.close")
  self.ws:close()
  self.task:join()
  if not self.program:wait(LONG) then
    self.program:kill "KILL"
    self.program:wait(LONG)
  end
  self.drain:join()
  fs.remove(self.profile, {tree = true})
end

-- Opens a page in a window of its own, with nothing that others have stored.
function Browser:open(url, width, height)
  local context = self:call("Target.createBrowserContext").browserContextId
  local target = self:call("Target.createTarget",
    {url = "about:blank", browserContextId = context}).targetId
  local session = self:call("Target.attachToTarget",
    {targetId = target, flatten = true}).sessionId
  local page = setmetatable({browser = self, session = session, errors = {},
    target = target}, Page)
  self.pages[session] = page
  page:call "Runtime.enable"
  page:call "Log.enable"
  page:resize(width, height)
  page:call("Page.navigate", {url = url})
  page:wait("location.href !== 'about:blank' && " ..
    "document.readyState === 'complete'")
  return page
end

-- -- pages --------------------------------------------------------------------

function Page:call(method, params)
  return self.browser:call(method, params, self.session)
end

function Page:resize(width, height)
  self:call("Emulation.setDeviceMetricsOverride", {width = width,
    height = height, deviceScaleFactor = 1, mobile = width < 600})
end

-- The value of an expression, perhaps when a promise is kept.
function Page:eval(expression)
  local result = self:call("Runtime.evaluate", {expression = expression,
    returnByValue = true, awaitPromise = true})
  local details = result.exceptionDetails
  if details then
    error(expression .. ": " .. (details.exception and
      details.exception.description or details.text), 2)
  end
  return result.result.value
end

-- Until an expression is true, which depends on the document. A page that is
-- left meanwhile is asked again.
function Page:wait(expression)
  local text = ([[new Promise(kept => {
    const is = () => { try { return %s } catch { return false } };
    if (is()) return kept(true);
    const look = () => {
      if (is()) { observer.disconnect(); kept(true) }
    };
    const observer = new MutationObserver(look);
    observer.observe(document, {subtree: true, childList: true,
      attributes: true, characterData: true});
    document.addEventListener("readystatechange", look);
    window.addEventListener("load", look);
  })]]):format((expression:gsub("%%", "%%%%")))
  local deadline = casting.now() + LONG
  local ok, why
  repeat
    ok, why = pcall(self.eval, self, text)
    if ok then return end
  until casting.now() > deadline or
    not (why:find "navigated" or why:find "context")
  error(expression .. ": " .. tostring(why), 2)
end

function Page:text(selector)
  return self:eval(("document.querySelector(%s).textContent"):format(
    cjson.encode(selector)))
end

-- Clicks where an element is, so it must be seen.
function Page:click(selector)
  local at = self:eval(([[(() => {
    const box = document.querySelector(%s).getBoundingClientRect();
    return {x: box.x + box.width / 2, y: box.y + box.height / 2,
      seen: box.width > 0};
  })()]]):format(cjson.encode(selector)))
  if not at.seen then error(selector .. " cannot be seen", 2) end
  for _, kind in ipairs {"mousePressed", "mouseReleased"} do
    self:call("Input.dispatchMouseEvent",
      {type = kind, x = at.x, y = at.y, button = "left", clickCount = 1})
  end
end

-- Types into what has the focus.
function Page:type(text) self:call("Input.insertText", {text = text}) end

function Page:press(key, code)
  self:call("Input.dispatchKeyEvent", {type = "keyDown", key = key,
    windowsVirtualKeyCode = code, text = key == "Enter" and "\r" or nil})
  self:call("Input.dispatchKeyEvent", {type = "keyUp", key = key,
    windowsVirtualKeyCode = code})
end

-- Replaces the text of a field.
function Page:fill(selector, text)
  self:click(selector)
  self:eval(("document.querySelector(%s).select()"):format(
    cjson.encode(selector)))
  self:type(text)
end

-- What a screen reader tells of the fields and buttons that can be seen: a
-- sorted list of "role: name".
function Page:controls()
  local list = {}
  for _, node in ipairs(self:call "Accessibility.getFullAXTree".nodes) do
    local role = node.role and node.role.value
    if not node.ignored and (role == "textbox" or role == "button") then
      list[#list + 1] = role .. ": " .. (node.name and node.name.value or "")
    end
  end
  table.sort(list)
  return list
end

-- A picture of the page, in the directory that CASTING_SHOTS names, if any.
function Page:picture(name)
  local dir = os.getenv "CASTING_SHOTS"
  if not dir then return end
  local data = self:call("Page.captureScreenshot", {format = "png"}).data
  local _, png = process.run {"base64", "-d", input = data, timeout = LONG}
  assert(fs.write(dir .. "/" .. name .. ".png", png))
end

return {start = start}
