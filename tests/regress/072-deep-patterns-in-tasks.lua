-- Lua 5.1 matches patterns by recursion, without a limit. What the main
-- program's stack bears crashed in a task, whose stack was half as large; in a
-- session it is refused where it might overflow.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"
local helper = require "helper"

local function find(n)
  return pcall(string.find, ("a"):rep(n), ("a?"):rep(n))
end

-- What the main program can, a task of its can, wherever it runs: at first, and
-- beside one that waits in place and has kept the stack that all began on.
local DEPTH = 60000
local ok = find(DEPTH)
local waiting = casting.channel()
local sorting = casting.spawn(function()
  table.sort({2, 1}, function(a, b) return waiting:receive() and a < b end)
end)
for _ = 1, 2 do
  local task = casting.spawn(find, DEPTH)
  assert(select(2, task:join(helper.LONG)) == ok)
  while sorting:status() ~= "waiting" do casting.yield() end
end
waiting:close()
assert(sorting:join(helper.LONG))

-- In a session each of them raises an error before it gets too deep.
local function refused()
  local text, pattern = ("a"):rep(1e6), ("a?"):rep(1e6)
  local function try(f, ...)
    local matched, why = pcall(f, ...)
    assert(not matched and why:match "pattern too complex", why)
  end
  local function all(p)
    try(string.find, text, p)
    try(string.match, text, p)
    try(string.gsub, text, p, "")
    try(function() return string.gmatch(text, p)() end)
    local gfind = rawget(string, "gfind") -- 5.1's old name
    if gfind then try(function() return gfind(text, p)() end) end
  end
  all(pattern)
  all(("a-"):rep(1e6) .. "b")
  -- Neither a plain text nor a long pattern without depth is meant.
  assert(not string.find(text, pattern, 1, true))
  assert(string.find(text, text) == 1)
  assert(string.find("x?", "?", 1, true) == 2)
  assert(select("#", ("abc"):gsub("%w?", "%0")) == 2)
  assert(("k=v, l=w"):gsub("(%w+)=(%w+)", "%2=%1") == "v=k, w=l")
  assert(("x"):gsub(".", function(c) return c .. c end) == "xx")
  local words = {}
  for w in ("one two"):gmatch "%a+" do words[#words + 1] = w end
  assert(words[1] == "one" and words[2] == "two")
  for _, f in pairs {find = string.find, match = string.match} do
    assert(not pcall(f) and not pcall(f, "x") and not pcall(f, "x", {}))
  end
  local _, why = pcall(function() return (("x"):find()) end)
  assert(why:match "'find'")
  return string.find, string.gmatch -- by name
end

local session = casting.session()
local result, f, g = session:spawn(refused):join(20 * helper.LONG)
assert(result, f)
assert(f == string.find and g == string.gmatch)
assert(session:close(helper.LONG))
