-- form.lua - forms in the bodies of requests.
-- SPDX-License-Identifier: MIT
--
-- Two kinds: fields as in a query, and parts with files among them (RFC 7578,
-- RFC 2046). Parts are read as they come. A reader:
--   request
--   mark          what stands between parts: CR LF, two hyphens, the boundary
--   rest          what was read and not given out
--   part          the part whose data comes next; false: a head comes next
--   ended         the last mark has come
--   why           what went wrong
--   n             parts so far

local core = require "casting.http.core"

local Form = {}

local MOST_PARTS = 1000
local MOST_HEAD = 16384 -- bytes of the head of a part

-- -- fields -------------------------------------------------------------------

-- Calls f with each name and value of "a=b&c=d"; what is malformed is left out.
function Form.each(text, f)
  -- From Lua 5.5 on the variables of a loop are constant.
  for first, equal, second in text:gmatch "([^&=]*)(=?)([^&]*)" do
    local name, value = core.decode(first, true), core.decode(second, true)
    if name and value and (name ~= "" or equal ~= "") then f(name, value) end
  end
end

-- A parameter of a field such as Content-Disposition, by its name in lower
-- case: its value; or nil.
local function parameter(text, wanted)
  local at = text:find(";", 1, true)
  while at do
    local name, first = text:match("^;%s*([^%s=;]+)%s*=()", at)
    if not name then return nil end
    local value, last
    if text:sub(first, first) == '"' then
      local parts, n = {}, 0
      last = first + 1
      while true do
        local plain, sign, behind = text:match('^([^"\\]*)(["\\])()', last)
        if not plain then return nil end
        n = n + 1
        parts[n] = plain
        last = behind
        if sign == '"' then break end
        -- Browsers send \ as it is, in names of files on Windows.
        local char = text:sub(last, last)
        n = n + 1
        parts[n] = (char == '"' or char == "\\") and char or "\\" .. char
        last = last + 1
      end
      value = table.concat(parts)
    else
      value, last = text:match("^([^%s;]*)()", first)
    end
    if name:lower() == wanted then return value end
    at = text:match("^%s*();", last)
  end
end

-- What browsers write for a quotation mark and the ends of lines in a name.
local function unescape(text)
  return (text:gsub("%%22", '"'):gsub("%%0[Dd]", "\r"):gsub("%%0[Aa]", "\n"))
end

-- -- parts --------------------------------------------------------------------

local function broken(reader, why)
  reader.why = why
  reader.request.conn.keeps = false
  return nil, why
end

-- Reads on: true; or nil and why. The body must not end before its last mark.
local function read_more(reader)
  local data, why = reader.request:read()
  if data then
    reader.rest = reader.rest .. data
    return true
  end
  if why == "timeout" then return nil, why end
  return broken(reader, why == "closed" and "malformed" or why)
end

-- The next piece of the part's data: a string, perhaps an empty one at the end;
-- or nil and why.
local function next_piece(reader)
  local mark = reader.mark
  while true do
    local rest = reader.rest
    local at, last = rest:find(mark, 1, true)
    if at then
      reader.part = false
      reader.rest = rest:sub(last + 1)
      return rest:sub(1, at - 1)
    end
    local safe = #rest - #mark + 1 -- the mark may begin behind these
    if safe > 0 then
      reader.rest = rest:sub(safe + 1)
      return rest:sub(1, safe)
    end
    local ok, why = read_more(reader)
    if not ok then return nil, why end
  end
end

-- Reads the data of the part to its end: true; or nil and why.
local function skip(reader)
  while reader.part do
    local data, why = next_piece(reader)
    if not data then return nil, why end
  end
  return true
end

-- A part has, beside what programs see:
--   reader
--   text, at      what was read and not given out: from the byte number `at` on
--   more, size    a list of what has come behind that, and how many bytes it is
-- All that a read has got is kept there, so that one that runs out of time, or
-- is cancelled, loses nothing.
local Part = {}
Part.__index = Part
Part.__name = "part"

local function kept(self) return #self.text - self.at + 1 + self.size end

-- The first n bytes of what is kept, or all of it.
local function take(self, n)
  if self.size > 0 then
    self.text = self.text:sub(self.at) .. table.concat(self.more)
    self.at, self.more, self.size = 1, {}, 0
  end
  local data = self.text:sub(self.at, self.at + n - 1)
  self.at = self.at + #data
  if self.at > #self.text then self.text, self.at = "", 1 end
  return data
end

-- part:read([what]): as request:read.
function Part:read(what)
  if what ~= nil and what ~= "a" and
      not (type(what) == "number" and what >= 0 and what % 1 == 0) then
    error("bad argument #1 to 'read' (a number of bytes or \"a\" expected, " ..
      "got " .. (type(what) == "string" and ("%q"):format(what) or type(what))
      .. ")", 2)
  end
  local reader = self.reader
  local wanted = what == "a" and math.huge or what or 1
  while kept(self) < wanted and reader.part == self do
    local data, why = next_piece(reader)
    if not data then return nil, why end
    self.more[#self.more + 1] = data
    self.size = self.size + #data
  end
  if reader.why then return nil, reader.why end
  local data = take(self, type(what) == "number" and what or kept(self))
  if data == "" and what ~= "a" and what ~= 0 then return nil, "closed" end
  return data
end

-- The fields of a part's head; or nil.
local function fields_of(head)
  for line in (head .. "\r\n"):gmatch "(.-)\r\n" do
    if not core.trailer(line) then return nil end
  end
  return core.fields(head, true)
end

-- The last part of a path, since old browsers send one of their user's.
local function base(path) return path:match "^.*[/\\](.*)$" or path end

local function new_part(reader, head)
  local fields = fields_of(head)
  local disposition = fields and fields["content-disposition"]
  local name = disposition and disposition:lower():find "^form%-data%s*;" and
    parameter(disposition, "name")
  if not name then return nil end
  local filename = parameter(disposition, "filename")
  return setmetatable({reader = reader, text = "", at = 1, more = {}, size = 0,
    name = unescape(name),
    filename = filename and base(unescape(filename)), headers = fields,
    type = fields["content-type"] or not filename and "text/plain" or
      "application/octet-stream"}, Part)
end

-- What stands behind a mark: the end, or the head of a part. Returns that;
-- false at the end; or nil and why.
local function read_head(reader)
  while true do
    local rest = reader.rest
    if rest:sub(1, 2) == "--" then
      reader.ended = true
      return false
    end
    local begins = rest:match "^[ \t]*\r\n()"
    if begins then
      local at, last = rest:find("\r\n\r\n", begins, true)
      if at then
        reader.rest = rest:sub(last + 1)
        return rest:sub(begins, at - 1)
      end
    elseif #rest >= 2 and not rest:find "^[ \t]*\r?$" then
      return broken(reader, "malformed")
    end
    if #rest > MOST_HEAD then return broken(reader, "malformed") end
    local ok, why = read_more(reader)
    if not ok then return nil, why end
  end
end

-- The reader of a request's parts; or nil: it has none.
local function new_reader(request)
  local kind = request.headers["content-type"] or ""
  if not kind:lower():find "^multipart/form%-data%s*;" then return nil end
  local boundary = parameter(kind, "boundary")
  if not boundary or boundary == "" or #boundary > 70 or
      boundary:find "[^%w'()+_,%-./:=? ]" then
    return nil
  end
  return {request = request, mark = "\r\n--" .. boundary, rest = "\r\n",
    part = false, started = false, ended = false, why = nil, n = 0}
end

-- Goes behind the mark before the next part: true; or nil and why.
local function go_on(reader)
  if reader.started then return skip(reader) end
  reader.started = true
  reader.part = true -- what stands before the first mark is of nobody's
  return skip(reader)
end

-- request:part(): the next part; nil, "closed" behind the last one; or nil and
-- why.
function Form.part(request)
  local reader = request.reader
  if not reader then
    reader = new_reader(request)
    if not reader then return nil, "not a form" end
    request.reader = reader
  end
  if reader.why then return nil, reader.why end
  if reader.ended then return nil, "closed" end
  local ok, why = go_on(reader)
  if not ok then return nil, why end
  local head
  head, why = read_head(reader)
  if head == false then return nil, "closed" end
  if not head then return nil, why end
  reader.n = reader.n + 1
  if reader.n > MOST_PARTS then return broken(reader, "too long") end
  local part = new_part(reader, head)
  if not part then return broken(reader, "malformed") end
  reader.part = part
  return part
end

-- -- forms --------------------------------------------------------------------

local function add(form, entry)
  form[#form + 1] = entry
  if form[entry.name] == nil then form[entry.name] = entry.value end
end

-- A form is kept with its request: one that ran out of time, or was cancelled,
-- is read on by the next call.
local function read_parts(request, form)
  while true do
    local part, why = request.entry, nil
    if not part then
      part, why = Form.part(request)
      request.entry = part
    end
    if not part then
      if why == "closed" then return form end
      return nil, why
    end
    local value
    value, why = part:read "a"
    if not value then return nil, why end
    request.entry = nil
    add(form, {name = part.name, value = value, filename = part.filename,
      type = part.type})
  end
end

local function read_fields(request, form)
  local text, why, rest = request:read "a"
  if not text then
    if why == "timeout" and rest ~= "" then request.kept = {rest} end
    return nil, why
  end
  Form.each(text, function(name, value)
    if #form == MOST_PARTS then why = "too long" end
    if not why then add(form, {name = name, value = value}) end
  end)
  if why then return nil, why end
  return form
end

-- request:form(): a table of all fields; or nil and why. Called again, the same
-- table.
function Form.read(request)
  if request.form_read then return request.entries end
  if request.form_why then return nil, request.form_why end
  local kind = (request.headers["content-type"] or ""):lower()
  local read = kind:find "^multipart/form%-data" and read_parts or
    kind:find "^application/x%-www%-form%-urlencoded" and read_fields
  if not read then return nil, "not a form" end
  if not request.entries then
    if request.reader or request.got > 0 then
      error("'form' of a request whose body was read", 2)
    end
    request.entries = {}
  end
  local form, why = read(request, request.entries)
  if not form then
    if why ~= "timeout" then request.form_why = why end
    return nil, why
  end
  request.form_read = true
  return form
end

return Form
