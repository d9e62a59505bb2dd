-- tls_allocfail.lua - TLS whose memory fails at each allocation, OpenSSL's or
-- casting's: an error that says so, or nothing at all; no crash, no leak, no
-- hang, and what is read is right.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/tls_allocfail.lua [SEED] [SCALE [NAME ...]]
--
-- Scale 1: each allocation, which takes an hour; 0.1: about each tenth, drawn
-- from the seed. Names choose some of the scenarios. With VERBOSE in the
-- environment it prints what runs have ended with, and how often.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;./modules/tls/tests/?.lua;" .. package.path
local kit = require "kit"
local helper = require "helper"
local has_memory, cryptomem = pcall(require, "cryptomem")
local casting = require "casting"
local has_tls, tls = pcall(require, "casting.tls")

local function skip(why)
  print("tls_allocfail: skipped, " .. why)
  os.exit(0)
end
if not has_tls then skip "there is no casting.tls" end
if not helper.has_children() then skip "no other program can be started" end
if not has_memory then skip "tests/modules/cryptomem.c is not built" end
if not cryptomem.available() then skip(select(2, cryptomem.available())) end

local seed, scale = kit.arguments()
if not arg[2] then scale = scale / 100 end
local random = kit.generator(seed)
local certs = require("certs").make()
local net = casting.net
local LONG = 30 * (tonumber(os.getenv "CASTING_TIME_FACTOR") or 1)

local what = "?"
local function check(ok, message, ...)
  if not ok then kit.violation("%s: " .. message, what, ...) end
end

local slurp = require("certs").slurp
local SERVER = {server = true, cert = slurp(certs.server.cert),
  key = slurp(certs.server.key), alpn = {"x", "y"},
  hosts = {["other.test"] = {cert = slurp(certs.other.cert),
    key = slurp(certs.other.key)}}}
local CLIENT = {ca = slurp(certs.ca.cert), alpn = {"y"}}

-- -- scenarios ---------------------------------------------------------------

local open = {}
local function keep(v)
  open[#open + 1] = v
  return v
end

-- Ends what it returned, or why not: that must be told in words.
local function told(v, why)
  if not v then
    check(type(why) == "string" and #why > 0, "no reason is told")
    error(why, 0)
  end
  return v
end

local function contexts(version)
  local server = told(tls.context(SERVER))
  CLIENT.max = version
  return server, told(tls.context(CLIENT))
end

-- Returns why it has failed; or nil.
local function serve(stream, server)
  local ok, why = stream:starttls(server)
  if not ok then return why end
  ok, why = stream:read("l", LONG)
  if not ok then return why end
  ok, why = stream:write {ok, " ", ("x"):rep(20000), "\n"}
  return not ok and why or nil
end

-- A connection, a word in both directions, and the end. Returns whether its
-- session was resumed.
local function meet(server, client)
  local a, b = net.pair()
  keep(a)
  keep(b)
  local task = casting.spawn(function()
    local served, why = pcall(serve, a, server)
    a:close() -- also after a failure: else the client waits for words
    if not served then error(why, 0) end
    return why == nil, why
  end)
  local function body()
    told(b:starttls {context = client, name = "localhost", timeout = LONG})
    local info = told(b:tls())
    check(info.alpn == "y" and #info.peer.sha256 == 64 and
      info.peer.subject == "CN=localhost" and info.peer.not_after and
      info.peer.names[1] == "localhost", "wrong information")
    told(b:write "hello\n")
    local line = told(b:read("l", LONG))
    check(line == "hello " .. ("x"):rep(20000), "wrong bytes")
    local rest, why = b:read("a", LONG)
    check(rest == "" or why == "truncated" or why == "closed" or
      not rest and why:find "memory" or why:find "TLS: ", "no end: %s",
      tostring(why))
    return info.resumed
  end
  local ok, result = pcall(body)
  b:close()
  local joined, served, why = task:join(LONG)
  check(joined ~= nil, "the server did not end\n%s", casting.report())
  if not ok then error(result, 0) end
  if not joined then error(served, 0) end
  if not served then error(why, 0) end
  return result
end

local scenarios, names = {}, {}
local function scenario(name, f)
  scenarios[name], names[#names + 1] = f, name
end

scenario("contexts", function()
  local server = contexts()
  told(server:reload(SERVER))
end)

for _, version in ipairs {"1.2", "1.3"} do
  local server, client = contexts(version)
  scenario("connections of TLS " .. version, function()
    client:reload(CLIENT) -- there is nothing to resume yet
    for _ = 1, 2 do meet(server, client) end
  end)
end

do
  local server, client = contexts()
  scenario("keys of tickets", function()
    require("casting.tls.core").age(server, 50000)
    for _ = 1, 2 do meet(server, client) end
  end)
  scenario("a refused handshake", function()
    local a, b = net.pair()
    keep(a)
    keep(b)
    local task = casting.spawn(function() return a:starttls(server) end)
    local ok, why = b:starttls {context = client, name = "other.example"}
    b:close()
    check(not ok and why, "it was not refused")
    local joined, served = task:join(LONG)
    check(joined ~= nil, "the server did not end")
    if not joined then error(served, 0) end
  end)
end

scenario("bad options", function()
  for _, o in ipairs {{cert = "/none", ca = CLIENT.ca},
    {ca = "-----BEGIN X-----\n"}, {ciphers = "NONE"},
    {server = true, cert = SERVER.cert, key = slurp(certs.locked.key)}} do
    local context, why = tls.context(o)
    check(not context and type(why) == "string" and #why > 0, "no reason")
  end
end)

-- -- the run -----------------------------------------------------------------

local failures = casting.channel(math.huge)
casting.on_error(failures) -- what tasks fail with is no concern here

-- Kinds of memory: start(n, many) has the n-th allocation fail, state() says
-- whether one has, and how many blocks there are.
local kinds = {{"OpenSSL's", cryptomem.starve, cryptomem.starve}}
local starve = helper.internal().starve
if starve then kinds[2] = {"casting's", starve, starve} end

local function blocks()
  local n = select(2, cryptomem.starve())
  if starve then n = n + select(2, starve()) end
  return n
end

local function clean_up()
  for i = #open, 1, -1 do
    repeat local ok = pcall(open[i].close, open[i]) until ok
    open[i] = nil
  end
  while failures:try_receive() do end -- luacheck: ignore
  collectgarbage()
  collectgarbage()
end

local outcomes = {}
local function attempt(name, kind, n, many)
  what = ("%s, %s memory failing at %d + %d"):format(name, kind[1], n, many)
  if os.getenv "TRACE" then io.stderr:write(what, "\n") end
  kind[2](n, many)
  local ok, e = pcall(scenarios[name])
  local failed = kind[3]()
  kind[2](0)
  clean_up()
  check(ok or failed, "an error without a failure: %s", tostring(e))
  local text = ok and "fine" or tostring(e)
  outcomes[text] = (outcomes[text] or 0) + 1
  return failed
end

-- What is kept for later grows to some bound; a leak goes on.
local peak = 0
local function sound(name, kind, n, many)
  local before
  for round = 1, 2 do
    before = blocks()
    for _ = 1, 60 do attempt(name, kind, n, many) end
    local deadline = casting.now() + LONG / 10
    while blocks() > before + 40 and casting.now() < deadline do
      casting.sleep(0.001)
      collectgarbage()
    end
    if blocks() <= before + 40 then break end
    check(round == 1, "%d blocks are left by 60 runs", blocks() - before)
  end
  peak = math.max(peak, blocks())
end

local chosen, runs = {}, 0
for i = 3, #arg do chosen[i - 2] = arg[i] end
if #chosen == 0 then chosen = names end
for _, name in ipairs(chosen) do
  check(scenarios[name], "there is no scenario %s", name)
  for _, kind in ipairs(kinds) do
    for _ = 1, 3 do attempt(name, kind, 0, 1) end -- what is made once, is now
    for _, many in ipairs {1, 2, 20} do
      local n = 0
      repeat
        n = n + (scale >= 1 and 1 or random(math.floor(2 / scale)))
        local failed = attempt(name, kind, n, many)
        if failed and blocks() > peak then sound(name, kind, n, many) end
        runs = runs + 1
      until not failed
      if os.getenv "VERBOSE" then
        print(("%s, %s: %d allocations, %d in a row"):format(name, kind[1], n,
          many))
      end
    end
  end
end
require("certs").remove()
if os.getenv "VERBOSE" then
  local list = {}
  for text, n in pairs(outcomes) do list[#list + 1] = {n, text} end
  table.sort(list, function(x, y) return x[1] > y[1] end)
  for _, row in ipairs(list) do print(("%6d %s"):format(row[1], row[2])) end
end
print(("tls_allocfail: %d runs"):format(runs))
