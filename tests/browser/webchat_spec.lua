-- webchat_spec.lua - examples/webchat.lua in a browser.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local kit = require "examplekit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

local missing = kit.why_not() or kit.needs "chromium"
if not missing and not pcall(require, "cjson") then missing = "needs cjson" end
if missing then
  describe("webchat in a browser", function() pending(missing) end)
  return
end

local chromium = require "chromium"

describe("webchat in a browser", function()
  local browser, program, url
  before_each(function()
    browser = chromium.start()
    program, url = kit.start("webchat", "--port", "0")
  end)
  after_each(function()
    kit.stop()
    browser:close()
  end)

  local function enter(page, name, room)
    page:fill("#name", name)
    if room then page:fill("#place", room) end
    page:press("Enter", 13)
  end
  local function join(name, width, height, room)
    local page = browser:open(url .. "/#" .. (room or "tea%20room"), width,
      height)
    enter(page, name)
    page:wait "document.querySelector('#state').className === 'on'"
    return page
  end
  local function say(page, text)
    page:click "#text"
    page:type(text)
    page:press("Enter", 13)
  end
  local function hears(page, text)
    page:wait(("[...document.querySelectorAll('#log .said')].some(" ..
      "e => e.textContent === %s)"):format(("%q"):format(text)))
  end
  local function fits(page)
    for _, width in ipairs {1280, 768, 390, 320} do
      page:resize(width, 700)
      assert.same({width, true}, {width, page:eval
        "document.documentElement.scrollWidth <= innerWidth"})
      assert.is_true(page:eval [[[...document.querySelectorAll(
        "button, input")].every(e => {
          const box = e.getBoundingClientRect();
          return box.left >= 0 && box.right <= innerWidth &&
            box.bottom <= innerHeight })]])
    end
  end

  it("lets two pages talk", function()
    local ann = join("Ann", 1280, 800)
    local bob = join("Bob", 390, 800)
    assert.equal("tea room", bob:text "#title")
    ann:wait "document.querySelector('#count').textContent === '2 here'"
    say(ann, "Hello Bob, would you like some tea?")
    hears(bob, "Hello Bob, would you like some tea?")
    local text = "<img src=x onerror=alert(1)> & <b>bold</b>"
    say(bob, text)
    hears(ann, text)
    assert.equal(0, ann:eval "document.querySelectorAll('#log img').length")
    say(ann, ("long"):rep(100))
    hears(bob, ("long"):rep(100))
    say(bob, "Yes, please \240\159\141\181")
    hears(ann, "Yes, please \240\159\141\181")
    ann:picture "webchat-1280"
    bob:picture "webchat-390"
    bob:click "#toggle"
    assert.equal("true", bob:eval
      "document.querySelector('#toggle').getAttribute('aria-expanded')")
    assert.equal("AnnBob (you)", bob:text "#people ul")
    bob:picture "webchat-390-people"
    bob:click "#leave"
    ann:wait "document.querySelector('#count').textContent === '1 here'"
    fits(ann)
    fits(bob)
    assert.same({{}, {}}, {ann.errors, bob.errors})
  end)

  it("names all fields and buttons", function()
    local page = browser:open(url, 390, 800)
    page:picture "webchat-390-door"
    assert.same({"button: Enter", "textbox: Room",
      "textbox: Your name"}, page:controls())
    enter(page, "Ann", "kitchen")
    page:wait "document.querySelector('#count').textContent === '1 here'"
    assert.same({"button: 1 here", "button: Leave", "button: Send",
      "textbox: Message"}, page:controls())
    assert.equal("#kitchen", page:eval "location.hash")
    assert.same({}, page.errors)
  end)

  it("says why a name cannot be had", function()
    join("Ann", 1280, 800)
    local page = browser:open(url .. "/#tea%20room", 1280, 800)
    enter(page, "Ann")
    page:wait "!document.querySelector('#why').hidden"
    assert.equal("Sorry: this name is taken.", page:text "#why")
    page:picture "webchat-1280-door"
    enter(page, "<Ann>")
    page:wait "document.querySelector('#state').className === 'on'"
    page:wait "document.querySelector('#count').textContent === '2 here'"
    assert.equal("<Ann> (you)Ann", page:text "#people ul")
  end)

  it("connects again by itself", function()
    local ann = join("Ann", 1280, 800)
    say(ann, "before")
    hears(ann, "before")
    program:kill "TERM"
    assert.same({"exit", 0}, {program:wait(LONG)})
    ann:wait "document.querySelector('#state').className === ''"
    ann:click "#text"
    ann:type "kept meanwhile"
    ann:picture "webchat-1280-gone"
    kit.start("webchat", "--port", url:match ":(%d+)$")
    ann:wait "document.querySelector('#state').className === 'on'"
    ann:press("Enter", 13)
    hears(ann, "kept meanwhile")
  end)

  it("says good-bye when a page is left", function()
    local ann = join("Ann", 1280, 800)
    local bob = join("Bob", 1280, 800)
    ann:wait "document.querySelector('#count').textContent === '2 here'"
    browser:call("Target.closeTarget", {targetId = bob.target})
    ann:wait "document.querySelector('#count').textContent === '1 here'"
  end)
end)
