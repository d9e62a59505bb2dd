-- try_http.lua - socket.http: a hundred requests at once, in one session.
-- SPDX-License-Identifier: MIT

local kit = require "kit"
local casting = kit.casting

-- Each answer takes the server a second, so they are under way together.
local N, SECONDS = 100, 1

local function all(base)
  local http = require "socket.http"
  local ltn12 = require "ltn12"
  local began = casting.now()
  kit.at_once(N, function(i)
    local body, code = http.request(base .. "/slow?" .. i)
    kit.same(200, code, "code")
    kit.same(i .. "\n", body, "body")
  end)
  local took = casting.now() - began
  assert(took < N * SECONDS / 2, "one after the other")
  -- What is sent goes through a filter, and in pieces.
  local text = ("all work and no play "):rep(10000)
  kit.at_once(10, function()
    local parts = {}
    local _, code = http.request {url = base .. "/cat", method = "POST",
      source = ltn12.source.string(text), sink = ltn12.sink.table(parts),
      headers = {["content-length"] = #text}}
    kit.same(200, code, "code")
    kit.same(text, table.concat(parts), "what was posted")
  end)
  local _, why = http.request "http://127.0.0.1:1/"
  kit.same("connection refused", why, "nobody there")
  return took
end

kit.figure("%d URLs of %d s each took %.2f s", N, SECONDS,
  casting.session():spawn(all, "http://" .. kit.at "CGI_PLACE"):await())
