-- handshake.lua - how a connection becomes a websocket (RFC 6455, 4).
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local core = require "casting.http.core"
local Url = require "casting.http.url"
local WebSocket = require "casting.http.websocket"
local net = casting.net

local Handshake = {}

local UPGRADES = 8 -- of the flags of a head
local BARE = 8 -- of how a head is written
local MOST = 65536 -- bytes of the head of an answer
local PORTS = {ws = 80, wss = 443}

local function has(flags, flag) return flags % (2 * flag) >= flag end

-- -- options ------------------------------------------------------------------

-- `level`: that of the program, as seen from who calls this.
local function bad(i, problem, level)
  error(("bad argument #%d to 'websocket' (%s)"):format(i, problem), level + 1)
end

local function got(v)
  if type(v) == "number" or type(v) == "boolean" then return tostring(v) end
  return type(v)
end

local function is_list(v, check)
  if type(v) ~= "table" then return false end
  for i = 1, #v do
    if type(v[i]) ~= "string" or not check(v[i]) then return false end
  end
  return true
end

-- Each looks at a value, and returns what is wrong with it.
local function positive(what)
  return function(v)
    if type(v) == "number" and v > 0 then return nil end
    return "must be a number of " .. what .. " above zero"
  end
end

local function bytes(v)
  if type(v) == "number" and v > 0 and (v % 1 == 0 or v == math.huge) then
    return nil
  end
  return "must be an integer above zero, or math.huge"
end

-- Fields of the program's are beside ours. Host is another one than that of the
-- URL where a proxy passes it on.
local OURS = {upgrade = true, connection = true}

local function are_fields(v)
  if type(v) ~= "table" then return "must be a table" end
  for name, value in pairs(v) do
    local lower = type(name) == "string" and name:lower() or ""
    if lower == "host" and (type(value) ~= "string" or
      not value:find "^[!-~]+$" or value:find "[,/?#@\\]") then
      return "must have one host in the field 'host'"
    end
    if OURS[lower] or lower:find("^sec%-websocket%-") then
      return ("must not have the field '%s'"):format(name)
    end
  end
end

local CHECKS = {
  max_message = bytes,
  closing = positive "seconds",
  timeout = positive "seconds",
  ping = function(v)
    if v ~= false then return positive "seconds"(v) end
  end,
  compress = function(v)
    if type(v) ~= "boolean" then return "must be a boolean" end
  end,
  protocols = function(v)
    local seen = {}
    local function is_new_token(s)
      local new = not seen[s]
      seen[s] = true
      return new and core.is_token(s)
    end
    if not is_list(v, is_new_token) then
      return "must be a list of tokens, none of them twice"
    end
  end,
  origins = function(v)
    if v ~= "*" and not is_list(v, function() return true end) then
      return 'must be a list of strings or "*"'
    end
  end,
  headers = are_fields,
  tls = function(v)
    if v ~= true and type(v) ~= "table" and type(v) ~= "userdata" then
      return "must be true, a table or a context"
    end
  end,
}

local SERVER = {max_message = true, closing = true, ping = true,
  compress = true, protocols = true, origins = true, headers = true}
local CLIENT = {max_message = true, closing = true, ping = true,
  compress = true, protocols = true, headers = true, timeout = true,
  tls = true}

local USUAL = {max_message = 1048576, closing = 5, ping = 30}

local function read_options(i, given, known)
  if given == nil then return USUAL end
  if type(given) ~= "table" then
    bad(i, "table expected, got " .. got(given), 4)
  end
  local o = {}
  for k, v in pairs(USUAL) do o[k] = v end
  for k, v in next, given do
    if not known[k] then
      bad(i, ("unknown option '%s'"):format(tostring(k)), 4)
    end
    local problem = CHECKS[k](v)
    if problem then
      bad(i, ("%s %s, got %s"):format(k, problem, got(v)), 4)
    end
    o[k] = v
  end
  return o
end

-- -- fields -------------------------------------------------------------------

-- The members of a list with commas, which are tokens: a list, empty if there
-- is no such field; nil: it is malformed.
local function tokens(text)
  local list = {}
  if not text then return list end
  for _, member in ipairs(core.split(text, ",")) do
    if member ~= "" then
      if not core.is_token(member) then return nil end
      list[#list + 1] = member
    end
  end
  return list
end

local function has_word(text, word)
  for _, member in ipairs(tokens(text) or {}) do
    if member:lower() == word then return true end
  end
  return false
end

-- One parameter of an extension: its name and its value, or true; or nil.
local function parameter(text)
  local name, value = text:match "^([^=]*)=(.*)$"
  if name then
    value = core.trim(value)
    value = value:match '^"(.*)"$' or value
    if not core.is_token(value) then return nil end
  end
  name = name and core.trim(name) or text
  if not core.is_token(name) then return nil end
  return name, value or true
end

-- Extensions: a list of tables: the name at 1, and parameters by their names;
-- `twice`: one comes again. nil: they are malformed (RFC 6455, 9.1).
local function extensions(text)
  local list = {}
  if not text then return list end
  for _, member in ipairs(core.split(text, ",")) do
    if member ~= "" then
      local extension
      for _, part in ipairs(core.split(member, ";")) do
        local name, value = parameter(part)
        if not name then return nil end
        if not extension then
          if value ~= true then return nil end
          extension = {name}
        else
          if extension[name] ~= nil then extension.twice = true end
          extension[name] = value
        end
      end
      list[#list + 1] = extension
    end
  end
  return list
end

-- -- compression (RFC 7692) ---------------------------------------------------

local DEFLATE = "permessage-deflate"

local function bits_of(value)
  return value:match "^[89]$" or value:match "^1[0-5]$"
end

-- Whether all parameters are known, and have values as they must.
local function are_right(e)
  if e.twice then return false end
  for name, value in pairs(e) do
    if name == "server_no_context_takeover" or
        name == "client_no_context_takeover" then
      if value ~= true then return false end
    elseif name == "server_max_window_bits" then
      if value == true or not bits_of(value) then return false end
    elseif name == "client_max_window_bits" then
      if value ~= true and not bits_of(value) then return false end
    elseif name ~= 1 then
      return false
    end
  end
  return true
end

-- The first offer that can be met: the answer to it, and the bits of the window
-- for what is sent. Messages are compressed by themselves, in both directions.
-- zlib has no windows of 8 bits.
local function choose(list)
  for _, e in ipairs(list) do
    local bits = e.server_max_window_bits
    if e[1]:lower() == DEFLATE and are_right(e) and bits ~= "8" then
      local answer = DEFLATE ..
        "; server_no_context_takeover; client_no_context_takeover"
      if bits then
        answer = ("%s; server_max_window_bits=%s"):format(answer, bits)
      end
      return answer, tonumber(bits or 15)
    end
  end
  return nil, 0
end

local OFFER = DEFLATE ..
  "; server_no_context_takeover; client_no_context_takeover"

-- Whether that is an answer to OFFER.
local function is_met(e)
  return e[1]:lower() == DEFLATE and are_right(e) and
    e.server_no_context_takeover and not e.client_max_window_bits
end

-- -- the side of a server -----------------------------------------------------

-- Is the page of this server: of the same scheme, host and port? An origin is
-- no more than these, and of a file or a sandboxed frame it is "null".
local function is_ours(request, origin)
  local page = origin:find "^%a+://[^/?#@]+$" and Url.read(origin)
  if not page then return false end
  local scheme = request.stream:tls(0) and "https" or "http"
  local server = Url.read(scheme .. "://" .. request.authority)
  return server and page.origin == server.origin
end

-- May a page of this origin use this server? Without a field Origin it is no
-- page that asks.
local function is_allowed(request, headers, origins)
  local origin = headers.origin
  if not origin or origins == "*" then return true end
  if origins then
    for i = 1, #origins do
      if origins[i] == "*" or origins[i]:lower() == origin:lower() then
        return true
      end
    end
    return false
  end
  return is_ours(request, origin)
end

local ASK = {Upgrade = "websocket", Connection = "Upgrade"}
local ASK_13 = {Upgrade = "websocket", Connection = "Upgrade",
  ["Sec-WebSocket-Version"] = "13"}

-- What is wrong with a request for a websocket: nil; or a status, why, and
-- fields for the answer.
local function look(request, headers, o)
  if request.method ~= "GET" then
    return 405, "a websocket is asked for with GET", {Allow = "GET"}
  elseif not has(request.flags, UPGRADES) or
      not has_word(headers.upgrade, "websocket") then
    return 426, "a websocket is wanted here", ASK
  elseif headers["sec-websocket-version"] ~= "13" then
    return 426, "the version of websockets is 13", ASK_13
  elseif not core.accept(headers["sec-websocket-key"] or "") then
    return 400, "Sec-WebSocket-Key is missing or malformed"
  elseif request.state ~= "done" then
    return 400, "a request for a websocket has no body"
  elseif not is_allowed(request, headers, o.origins) then
    return 403, "pages of this origin may not use this server"
  elseif not tokens(headers["sec-websocket-protocol"]) then
    return 400, "Sec-WebSocket-Protocol is malformed"
  elseif not extensions(headers["sec-websocket-extensions"]) then
    return 400, "Sec-WebSocket-Extensions is malformed"
  elseif request.conn.server.closing then
    return 503, "the server ends"
  end
end

-- The first of ours that the client knows, too.
local function choose_protocol(ours, theirs)
  for _, name in ipairs(ours or {}) do
    for _, other in ipairs(theirs) do
      if name == other then return name end
    end
  end
end

local function answer(headers, o)
  local fields = {}
  for k, v in pairs(o.headers or {}) do fields[k] = v end
  fields.Upgrade, fields.Connection = "websocket", "Upgrade"
  fields["Sec-WebSocket-Accept"] = core.accept(headers["sec-websocket-key"])
  local protocol = choose_protocol(o.protocols,
    tokens(headers["sec-websocket-protocol"]))
  fields["Sec-WebSocket-Protocol"] = protocol
  local extension, bits = nil, 0
  if o.compress then
    extension, bits = choose(extensions(headers["sec-websocket-extensions"]))
  end
  fields["Sec-WebSocket-Extensions"] = extension
  return core.head(101, fields, BARE, -1), protocol, bits
end

-- request:websocket([options]): the websocket; or nil and why, when the client
-- was told.
function Handshake.accept(request, options)
  local conn, response = request.conn, request.response
  local o = read_options(1, options, SERVER)
  if response.state then
    error("'websocket' of a request that was answered", 3)
  elseif request.gone then
    error("'websocket' of a request of which closed() was called", 3)
  end
  -- Not request.headers: it would stay as long as the websocket.
  local headers = core.fields(request.head)
  local status, why, fields = look(request, headers, o)
  if status then
    conn.keeps = false
    response.status, response.pending = status, false
    response.headers = {}
    for k, v in pairs(fields or {}) do response.headers[k] = v end
    response:finish(why .. "\n")
    return nil, why
  end
  local head, protocol, bits = answer(headers, o)
  conn.keeps = false
  response.status, response.state, response.told = 101, "done", 101
  local ok
  ok, why = request.stream:write(head, conn.timeout)
  if not ok then return nil, why end
  local ws = WebSocket.new(request.stream, conn.server, bits, o, protocol)
  conn.special, conn.websocket = true, ws
  return ws
end

-- -- the side of a client -----------------------------------------------------

-- Reads the URL of a websocket; nil: it is none. A fragment has no meaning
-- there (RFC 6455, 3), and a user would go nowhere.
local function read_url(text)
  local url = Url.read(text, PORTS)
  if url and not url.user and not text:find("#", 1, true) then return url end
end

local function question(url, key, o)
  local fields, host = {}, url.authority
  for k, v in pairs(o.headers or {}) do
    if type(k) == "string" and k:lower() == "host" then
      host = v
    else
      fields[k] = v
    end
  end
  fields.Upgrade, fields.Connection = "websocket", "Upgrade"
  fields["Sec-WebSocket-Key"] = key
  fields["Sec-WebSocket-Version"] = "13"
  if o.protocols and o.protocols[1] then
    fields["Sec-WebSocket-Protocol"] = table.concat(o.protocols, ", ")
  end
  if o.compress then fields["Sec-WebSocket-Extensions"] = OFFER end
  return ("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n"):format(url.target, host,
    core.lines(fields))
end

-- The protocol and the bits of what is compressed, as the server has answered;
-- or nil, why, and the status.
local function check_answer(head, key, o)
  head = core.unfold(head)
  local status, reason, flags = core.response(head)
  if not status then return nil, "not a websocket: " .. reason end
  if status ~= 101 then
    return nil, ("the server has answered %d %s"):format(status, reason), status
  end
  local fields = core.fields(head)
  local protocol = fields["sec-websocket-protocol"]
  local list = extensions(fields["sec-websocket-extensions"])
  local bits, why = 0, nil
  if not has(flags, UPGRADES) or
      (fields.upgrade or ""):lower() ~= "websocket" then
    why = "the connection was not upgraded"
  elseif fields["sec-websocket-accept"] ~= core.accept(key) then
    why = "Sec-WebSocket-Accept is wrong"
  elseif protocol and not choose_protocol(o.protocols, {protocol}) then
    why = "a subprotocol that was not asked for"
  elseif not list then
    why = "Sec-WebSocket-Extensions is malformed"
  elseif list[1] then
    if not o.compress or list[2] or not is_met(list[1]) then
      why = "an extension that was not asked for"
    end
    bits = 15
  end
  if why then return nil, "not a websocket: " .. why, status end
  return protocol or false, bits
end

-- The head of the answer; or nil and why.
local function ask(stream, request, left)
  local ok, why = stream:write(request, left())
  if not ok then return nil, why end
  return stream:read_until("\r\n\r\n", MOST, left())
end

-- The websocket of an answer; or nil, why, and the status.
local function take(stream, head, key, o)
  local protocol, bits, status = check_answer(head, key, o)
  if protocol == nil then return nil, bits, status end
  return WebSocket.new(stream, true, bits, o, protocol or nil)
end

-- http.websocket(url [, options]): the websocket; or nil, why and perhaps the
-- status of the answer.
function Handshake.connect(text, options)
  if type(text) ~= "string" then
    bad(1, "string expected, got " .. got(text), 3)
  end
  local o = read_options(2, options, CLIENT)
  local url = read_url(text)
  if not url then return nil, "not a URL of a websocket" end
  local key = core.key()
  local request = question(url, key, o)
  local deadline = casting.now() + (o.timeout or 10)
  local function left() return math.max(0, deadline - casting.now()) end
  local stream, why = net.connect(url.host, url.port, {timeout = left(),
    tls = url.scheme == "wss" and (o.tls or true) or nil})
  if not stream then return nil, why end
  local ok, head
  ok, head, why = pcall(ask, stream, request, left)
  if not ok then
    stream:abort()
    error(head, 0)
  elseif not head then
    stream:close()
    return nil, why
  end
  local ws, status
  ok, ws, why, status = pcall(take, stream, head, key, o)
  if not ok then
    stream:abort()
    error(ws, 0)
  elseif not ws then
    stream:close()
  end
  return ws, why, status
end

return Handshake
