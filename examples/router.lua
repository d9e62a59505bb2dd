-- router.lua - chooses a handler by the method and the path of a request.
-- SPDX-License-Identifier: MIT
--
-- What it shows: a router is a handler that calls other handlers, and some
-- forty lines of Lua; copy it and change it. The first route that fits wins. A
-- path that other methods have is answered with 405 and the field Allow; HEAD
-- goes where GET goes. Parameters are parts of the decoded path, so a "%2F" in
-- one is a slash, and does not match.
--
-- How to run it, with the few routes at its end:
--   ./dev run examples/router.lua [PORT]
--   curl -i http://127.0.0.1:8080/greet/Ann
-- or use it: examples/notes.lua does.

local router = {}

-- "/users/:id" as a pattern, and the names of its parameters.
local function compile(path)
  local names = {}
  local pattern = path:gsub("[^%w/:_]", "%%%0"):gsub(":([%w_]+)", function(name)
    names[#names + 1] = name
    return "([^/]+)"
  end)
  return "^" .. pattern .. "$", names
end

-- Nothing fits but what has these methods, if any.
local function refuse(response, methods)
  local allow = {}
  for method in pairs(methods) do allow[#allow + 1] = method end
  table.sort(allow)
  response.status = allow[1] and 405 or 404
  if allow[1] then response.headers.Allow = table.concat(allow, ", ") end
  response:write(allow[1] and "method not allowed\n" or "not found\n")
end

-- Makes a handler of a list of routes: {method, path, handler}. The parameters
-- of the path are the handler's third argument: a table, by their names.
function router.new(routes)
  local list = {}
  for i, route in ipairs(routes) do
    local pattern, names = compile(route[2])
    list[i] = {method = route[1], pattern = pattern, names = names,
      handler = route[3]}
  end
  return function(request, response)
    local method, methods = request.method, {}
    for _, route in ipairs(list) do
      local found = {request.path:match(route.pattern)}
      if found[1] and (method == route.method or
          method == "HEAD" and route.method == "GET") then
        local parameters = {}
        for i, name in ipairs(route.names) do parameters[name] = found[i] end
        return route.handler(request, response, parameters)
      elseif found[1] then
        methods[route.method] = true
        methods.HEAD = methods.HEAD or methods.GET
      end
    end
    refuse(response, methods)
  end
end

if ... == "router" then return router end -- it was required

-- --------------------------------------------------------------- program --

local http = require "casting.http"
local net = require "casting.net"

local function greet(_, response, parameters)
  response:write("Hello, " .. parameters.name .. "!\n")
end

local function echo(request, response)
  local body, why = request:read "a"
  if not body then response.status = why == "too long" and 413 or 400 end
  response:write(body or why .. "\n")
end

local listener = assert(net.listen("127.0.0.1", tonumber(arg[1]) or 8080))
print(("http://%s:%d/greet/you"):format(listener:name()))
http.serve(listener, router.new {
  {"GET", "/", function(_, response) response:write "Greet somebody.\n" end},
  {"GET", "/greet/:name", greet},
  {"POST", "/echo", echo},
})
