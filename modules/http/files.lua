-- files.lua - files as responses: conditions, ranges, directories.
-- SPDX-License-Identifier: MIT
--
-- RFC 9110, 13 (conditional requests) and 14 (ranges). What is known of a file
-- that is sent, an entry:
--   path, size
--   kind          the field Content-Type; and so on:
--   tag, changed  ETag, Last-Modified; nil: no date can tell when
--   headers       the fields that all of its responses have; no response gets
--                 the table itself, since a handler may change what it finds
--   lines         the same as lines; this and the table are made when they are
--                 needed
--   data          what is in it, if it is small and entries are kept
--   expires       when the entry must be made anew

local casting = require "casting"
local core = require "casting.http.core"
local fs = require "casting.fs"
local parse_date = require "casting.http.date"
local TYPES = require "casting.http.types"

local Files = {}

local PIECE = 65536 -- bytes that are read in one go
local SMALL = 65536 -- bytes of a file that is kept as a whole
local MOST_KEPT = 16777216 -- bytes that are kept of all files, half of it new
local MOST_RANGES = 16
local CONDITIONS = 64 -- a flag of requests
local MOST_AGE = 2147483648 -- of a larger number caches make this one, too
local FIRST_DATE, LAST_DATE = -62135596800, 253402300799 -- of years 1 to 9999

-- -- what is known of files ---------------------------------------------------

local function type_of(path, types)
  local ending = path:match "^.*%.([^./]+)$"
  if not ending then return "application/octet-stream" end
  local lower = ending:lower()
  local own = types and (types[ending] or types[lower])
  if not own then return TYPES[lower] or "application/octet-stream" end
  -- It becomes a part of lines that nobody looks at any more.
  if type(own) ~= "string" or not core.is_value(own) then
    error(("types: that of '%s' must be one line of text"):format(lower), 0)
  end
  return own
end

-- Sets more fields. One of them takes the place of one that is there, however
-- either is spelled.
local function set_fields(fields, more)
  if not more or next(more) == nil then return fields end
  local names = {}
  for name in pairs(fields) do
    if type(name) == "string" then names[name:lower()] = name end
  end
  for name, value in pairs(more) do
    local old = type(name) == "string" and names[name:lower()]
    if old then fields[old] = nil end
    fields[name] = value
  end
  return fields
end

-- The value of a field, by its name in lower case; nil: it is not there, or is
-- no text.
local function said(fields, wanted)
  for name, value in pairs(fields) do
    if type(value) == "string" and type(name) == "string" and
        name:lower() == wanted then
      return value
    end
  end
end

-- The entry of a file that is open; or nil and why.
local function describe(file, path, kind)
  local found, why = file:stat()
  if not found then return nil, why end
  if found.type ~= "file" then
    return nil, ("%s: is a %s"):format(path, found.type)
  end
  local modified = math.floor(found.modified)
  local has_date = modified >= FIRST_DATE and modified <= LAST_DATE
  return {path = path, size = found.size, kind = kind,
    tag = ('"%.0f-%.0f"'):format(found.size, found.modified * 1e6),
    changed = has_date and core.date(modified) or nil, data = false,
    expires = 0}
end

local function age_of(o)
  return o.max_age and ("max-age=%.0f"):format(
    math.max(0, math.min(math.floor(o.max_age), MOST_AGE)))
end

local function headers_of(entry, o)
  if not entry.headers then
    entry.headers = set_fields({["Content-Type"] = entry.kind,
      ["Accept-Ranges"] = "bytes", ETag = entry.tag,
      ["Last-Modified"] = entry.changed,
      ["Cache-Control"] = age_of(o) or nil}, o.headers)
  end
  return entry.headers
end

-- Only if the options have no fields: these might say something again.
local function lines_of(entry, o)
  if not entry.lines then
    local changed, age = entry.changed, age_of(o)
    entry.lines = "Content-Type: " .. entry.kind ..
      "\r\nAccept-Ranges: bytes\r\nETag: " .. entry.tag .. "\r\n" ..
      (changed and "Last-Modified: " .. changed .. "\r\n" or "") ..
      (age and "Cache-Control: " .. age .. "\r\n" or "")
  end
  return entry.lines
end

-- Also in a task that was cancelled, where file:close would raise that again,
-- and the file stay open until it is collected.
local function close(file) pcall(casting.shield, file.close, file) end

-- Opens a file: its entry and the open file; or nil and why.
local function open(path, o)
  local kind = type_of(path, o.types) -- before there is something to be closed
  local file, why = fs.open(path)
  if not file then return nil, why end
  local ok, entry, problem = pcall(describe, file, path, kind)
  if ok and entry then return entry, file end
  close(file)
  if not ok then error(entry, 0) end
  return nil, problem
end

-- Entries that are kept, by the path of the request. There are two tables: when
-- the younger one is full it becomes the elder one, which is forgotten. What is
-- used again gets into the younger one.
local Kept = {}
Kept.__index = Kept

local kept_of = setmetatable({}, {__mode = "k"}) -- options -> Kept

-- What is kept for a handler with these options; nil: they want nothing kept.
local function keeper(o)
  local kept = kept_of[o]
  if not kept and o.cache then
    kept = setmetatable(
      {seconds = o.cache, young = {}, old = {}, size = 0}, Kept)
    kept_of[o] = kept
  end
  return kept
end

function Kept:put(path, entry)
  self.size = self.size + #entry.data + 1024
  if self.size > MOST_KEPT / 2 then
    self.old, self.young, self.size = self.young, {}, #entry.data + 1024
  end
  self.young[path] = entry
end

function Kept:get(path)
  local entry = self.young[path]
  if not entry then
    entry = self.old[path]
    if not entry then return nil end
    self.old[path] = nil
    self:put(path, entry)
  end
  if casting.now() < entry.expires then return entry end
  self.young[path] = nil
  return nil
end

-- The entry of a file; and the file, open, if that must be read yet. Or nil and
-- why. `kept`, if there is one, keeps it for requests of the path `key`.
local function find(path, o, kept, key)
  local entry, file = open(path, o)
  if not entry then return nil, file end
  if not kept or entry.size > SMALL then return entry, file end
  -- Some files of the system are not as long as they say, and one that is
  -- being written grows: these are not kept.
  local ok, data = pcall(file.read, file, entry.size + 1, 0)
  if not ok then
    close(file)
    error(data, 0)
  end
  data = data or ""
  if #data ~= entry.size then return entry, file end
  close(file)
  entry.data, entry.expires = data, casting.now() + kept.seconds
  kept:put(key, entry)
  return entry
end

-- -- conditions ---------------------------------------------------------------

-- Is the entity tag of the response in a list of tags? Weak ones are as good if
-- `weak`.
local function has_tag(list, response, weak)
  if list:match "^%s*%*%s*$" then return true end
  local tag = said(response.headers, "etag") or ""
  local is_weak = tag:sub(1, 2) == "W/"
  if is_weak and not weak then return false end
  if is_weak then tag = tag:sub(3) end
  for prefix, one in list:gmatch '(W?/?)("[^"]*")' do
    if one == tag and (weak or prefix == "") then return true end
  end
  return false
end

-- Was it changed after that date? nil: nobody knows.
local function is_newer(response, text)
  local at = text and parse_date(text)
  local modified = at and said(response.headers, "last-modified")
  modified = modified and parse_date(modified)
  if modified then return modified > at end
end

-- 304 or 412, if the conditions of the request want that (RFC 9110, 13.2.2).
-- What the response has for ETag and Last-Modified counts, be it of the file or
-- of the program.
local function judge(request, response)
  local headers = request.headers
  local reads = request.method == "GET" or request.method == "HEAD"
  local list = headers["if-match"]
  if list then
    if not has_tag(list, response) then return 412 end
  elseif is_newer(response, headers["if-unmodified-since"]) then
    return 412
  end
  list = headers["if-none-match"]
  if list then
    if has_tag(list, response, true) then return reads and 304 or 412 end
  else
    local text = headers["if-modified-since"]
    if reads and is_newer(response, text) == false then return 304 end
  end
end

-- -- ranges -------------------------------------------------------------------

-- One range of "first-last", "first-" or "-length": its first byte and how many
-- it has; false: it has none of the file's; nil: it is malformed.
local function range_of(text, size)
  local first, last = text:match "^(%d*)%-(%d*)$"
  if not first or #first > 15 or #last > 15 then return nil end
  first, last = tonumber(first), tonumber(last)
  if not first then
    if not last then return nil end
    if last == 0 or size == 0 then return false end
    if last > size then last = size end
    return size - last, last
  end
  if last and last < first then return nil end
  if first >= size then return false end
  if not last or last >= size then last = size - 1 end
  return first, last - first + 1
end

-- Whether the file is still the one that the client has a part of.
local function is_same(text, response)
  if not text then return true end
  return text == said(response.headers,
    text:sub(1, 1) == '"' and "etag" or "last-modified")
end

-- The ranges that are asked for, a list of {first, length}; nil: all of it; an
-- empty list: none that there is. More than a few, or more bytes than the
-- file has, are no wish that has to be met (RFC 9110, 14.2).
local function ranges_of(request, response, entry)
  local text = request.headers.range
  if not text or request.method ~= "GET" then return nil end
  local set = text:match "^[Bb][Yy][Tt][Ee][Ss]=(.*)$"
  if not set or not is_same(request.headers["if-range"], response) then
    return nil
  end
  local list, n, total, members = {}, 0, 0, 0
  for _, member in ipairs(core.split(set, ",")) do
    if member ~= "" then
      members = members + 1
      local first, length = range_of(member, entry.size)
      if first == nil or members > MOST_RANGES then return nil end
      if first then
        n, total = n + 1, total + length
        list[n] = {first, length}
      end
    end
  end
  if members == 0 or total > entry.size then return nil end
  return list
end

-- -- sending ------------------------------------------------------------------

-- Writes `length` bytes from `first` on: true; or nil and why. A file that has
-- become shorter is not mended: the client must see that it has not got all.
local function write_part(response, entry, file, first, length)
  if entry.data then
    return response:write(entry.data:sub(first + 1, first + length))
  end
  while length > 0 do
    local data, why = file:read(math.min(PIECE, length), first)
    if not data then error(why or (entry.path .. ": it has changed"), 0) end
    local ok
    ok, why = response:write(data)
    if not ok then return nil, why end
    first, length = first + #data, length - #data
  end
  return true
end

-- What is in a file that is not large.
local function whole(entry, file)
  if entry.data then return entry.data end
  if entry.size == 0 then return "" end
  local data, why = file:read(entry.size, 0)
  if not data then error(why or (entry.path .. ": it has changed"), 0) end
  return data
end

local function write_whole(response, entry, file)
  if entry.data then return response:finish(entry.data) end
  if response.request.method == "HEAD" or entry.size > PIECE then
    set_fields(response.headers,
      {["Content-Length"] = ("%.0f"):format(entry.size)})
    if response.request.method == "HEAD" then return response:finish() end
    return write_part(response, entry, file, 0, entry.size)
  end
  return response:finish(whole(entry, file))
end

local function write_range(response, entry, file, range)
  response.status = 206
  local first, length = range[1], range[2]
  set_fields(response.headers, {["Content-Length"] = ("%.0f"):format(length),
    ["Content-Range"] = ("bytes %.0f-%.0f/%.0f"):format(first,
      first + length - 1, entry.size)})
  return write_part(response, entry, file, first, length)
end

local function write_ranges(response, entry, file, ranges)
  -- What stands between parts must not stand in them, and nobody is to know it
  -- who could write it into the file: it is drawn by lot.
  local mark, total, heads = core.key():gsub("%W", ""), 0, {}
  local kind = said(response.headers, "content-type")
  kind = kind and "Content-Type: " .. kind .. "\r\n" or ""
  for i, range in ipairs(ranges) do
    heads[i] = ("\r\n--%s\r\n%sContent-Range: bytes %.0f-%.0f/%.0f\r\n\r\n")
      :format(mark, kind, range[1], range[1] + range[2] - 1, entry.size)
    total = total + #heads[i] + range[2]
  end
  local last = "\r\n--" .. mark .. "--\r\n"
  response.status = 206
  set_fields(response.headers,
    {["Content-Length"] = ("%.0f"):format(total + #last),
      ["Content-Type"] = "multipart/byteranges; boundary=" .. mark})
  for i, range in ipairs(ranges) do
    local ok, why = response:write(heads[i])
    if not ok then return nil, why end
    ok, why = write_part(response, entry, file, range[1], range[2])
    if not ok then return nil, why end
  end
  return response:write(last)
end

-- Answers with what the file is, as the request wants it.
local function answer(request, response, entry, file)
  if response.status ~= 200 then return write_whole(response, entry, file) end
  local status = judge(request, response)
  if status then
    response.status = status
    if status == 412 then response.headers = {} end
    return response:finish()
  end
  local ranges = ranges_of(request, response, entry)
  if not ranges then return write_whole(response, entry, file) end
  if #ranges == 1 then return write_range(response, entry, file, ranges[1]) end
  if #ranges > 1 then return write_ranges(response, entry, file, ranges) end
  response.status = 416
  response.headers =
    {["Content-Range"] = ("bytes */%.0f"):format(entry.size)}
  return response:finish()
end

local function answer_whole(request, response, entry, file)
  local ok, why = answer(request, response, entry, file)
  if ok and response.state ~= "done" then return response:finish() end
  return ok, why
end

-- Is all of a file that is not large wanted, with the fields that it has itself
-- and no others? Then these are lines already, or as good as that.
local function is_plain(request, response, entry, o)
  return (entry.data or entry.size <= PIECE and request.method == "GET") and
    request.flags % (2 * CONDITIONS) < CONDITIONS and
    response.status == 200 and not response.state and
    not response.pending and not o.headers and
    next(response.headers) == nil and not rawget(request, "headers")
end

local function finish(response, entry, file)
  return response:finish(whole(entry, file))
end

local function send_plainly(response, entry, file, o)
  response.lines = lines_of(entry, o)
  local ok, done, why = pcall(finish, response, entry, file)
  response.lines = nil
  if file then close(file) end
  if ok then return done, why end
  error(done, 0)
end

-- The same, to the end of the response. The fields are those of the entry, but
-- for those that the handler has set; which has its own table back behind it,
-- and may answer in another way when nothing was sent but an error raised.
local function respond(request, response, entry, file, o)
  if is_plain(request, response, entry, o) then
    return send_plainly(response, entry, file, o)
  end
  local own, status = response.headers, response.status
  local fields = {}
  for name, value in pairs(headers_of(entry, o)) do fields[name] = value end
  response.headers = set_fields(fields, own)
  local ok, done, why = pcall(answer_whole, request, response, entry, file)
  if file then close(file) end
  response.headers = own
  if ok then return done, why end
  if not response.state then response.status = status end
  error(done, 0)
end

-- Sends the file at `path`: true; or nil and why there is none, and nothing was
-- sent, or why the client has not got all of it.
function Files.send(request, response, path, o, kept)
  local entry, file = find(path, o, kept, request.path)
  if not entry then return nil, file end
  return respond(request, response, entry, file, o)
end

-- -- directories --------------------------------------------------------------

local function refuse(response, status, text)
  response.status = status
  return response:finish(text .. "\n")
end

-- The path below the root, or nil: it could lead out of it, or is hidden.
local function below(path, dotfiles)
  if path:find("[%z\\]") or path:sub(1, 1) ~= "/" then return nil end
  if path:find("//", 1, true) then return nil end
  if not path:find("/.", 1, true) then return path end
  for name in path:gmatch "/([^/]*)" do
    if name == "." or name == ".." then return nil end
    if name:sub(1, 1) == "." and not dotfiles and name ~= ".well-known" then
      return nil
    end
  end
  return path
end

-- The target with a slash behind its path.
local function with_slash(request)
  local path = request.target:match "^[^?]*"
  path = path:gsub("^%a+://[^/]*", "")
  return path .. "/" .. (request.text and "?" .. request.text or "")
end

-- Is that the reason, and not only a part of the path before it?
local function is_reason(why, reason)
  return why:sub(-#reason - 2) == ": " .. reason
end

-- Reasons that tell nothing of the file: it may well be there.
local TROUBLES = {"too many open files", "too many open files in system",
  "cannot allocate memory", "input/output error"}

local function miss(request, response, o)
  if o.missing then return o.missing(request, response) end
  return refuse(response, 404, "not found")
end

-- Answers with a file in the directory `root`.
function Files.serve(request, response, root, o)
  if request.method ~= "GET" and request.method ~= "HEAD" then
    set_fields(response.headers, {Allow = "GET, HEAD"})
    return refuse(response, 405, "only GET and HEAD")
  end
  local kept = keeper(o)
  local entry = kept and kept:get(request.path)
  if entry then return respond(request, response, entry, nil, o) end
  local path = below(request.path, o.dotfiles)
  if not path then return miss(request, response, o) end
  if path:sub(-1) == "/" then
    if not o.index then return miss(request, response, o) end
    path = path .. o.index
  end
  local ok, why = Files.send(request, response, root .. path, o, kept)
  if ok or response.state then return ok, why end
  if path == request.path and is_reason(why, "is a directory") then
    set_fields(response.headers, {Location = with_slash(request)})
    return refuse(response, 301, "see the path with a slash")
  elseif is_reason(why, "permission denied") then
    return refuse(response, 403, "forbidden")
  end
  for _, reason in ipairs(TROUBLES) do
    if is_reason(why, reason) then error(why, 0) end
  end
  return miss(request, response, o)
end

-- A handler that does so. It can be copied into other sessions: it has no more
-- of this module than the module itself, which they load.
function Files.handler(root, o)
  root = root:gsub("(.)/+$", "%1")
  return function(request, response)
    return Files.serve(request, response, root, o)
  end
end

return Files
