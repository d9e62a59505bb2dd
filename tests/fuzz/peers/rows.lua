-- rows.lua - where our server, nginx 1.22 and Node 20 are known to differ.
-- SPDX-License-Identifier: MIT
--
-- A row:
--   peer    with which of them; nil: with both
--   how     ours "refuses" a request that the peer takes, or waits for more of
--           it; "takes" one that the peer does not; or both take something
--           "other", as two servers never should of which one stands before
--           the other
--   where   the section that decides, of RFC 9112 if it is only a number
--   what    who does what, and why
--   when    a function of the input, with the last request behind it, and of
--           d: d.ours and d.theirs, what was taken, such as "POST 5"; d.head,
--           that of the request which ours takes; d.before, of the one before
-- To refuse more does no harm, so those rows look for something anywhere in the
-- input. The others look at the request itself.

local rows = {}

local function row(peer, how, where, what, when)
  rows[#rows + 1] =
    {peer = peer, how = how, where = where, what = what, when = when}
end

local function has(...)
  local patterns = {...}
  return function(input)
    for _, pattern in ipairs(patterns) do
      if input:find(pattern) then return true end
    end
    return false
  end
end

-- A field of that name, in lower case, whose value has the pattern.
local function field(head, name, pattern)
  for n, value in head:gmatch "\r\n([^\r\n:]*): *([^\r\n]*)" do
    if n:lower() == name and value:lower():find(pattern) then return true end
  end
  return false
end

local function any_field(name, pattern)
  return function(input) return field(input, name, pattern) end
end

local function method(d)
  return d.ours == "last" and "GET" or d.ours:match "^%S+"
end
local function target(head) return head:match "^%s*%S+ (%S+)" or "" end
local function is_chunked(input)
  return input:lower():find("chunked", 1, true) ~= nil
end

-- -- ours refuses -------------------------------------------------------------

row("nginx", "refuses", "2.2",
  "A line that ends with LF alone is one for nginx. A server may do so; a " ..
  "CR before it would be part of the line then.",
  has("^\n", "[^\r]\n"))
row(nil, "refuses", "2.2",
  "Any number of empty lines, with or without CR or LF, may come before a " ..
  "request. Ours takes two; one must be taken.",
  function(input, d)
    -- Behind a body it is not easily seen.
    return input:find "^[\r\n]" or input:find "\r\n\r\n[\r\n]" or
      d.before and (field(d.before, "content-length", "") or
      field(d.before, "transfer-encoding", ""))
  end)
row("nginx", "refuses", "2.2",
  "CR at the end of a value, before CR LF, is left out. It must be refused, " ..
  "or taken for a blank.",
  has "\r\r\n")
row("nginx", "refuses", "9.3",
  "\"keep-alive\" anywhere in Connection keeps a connection of HTTP/1.0; it " ..
  "must be a member of the list.",
  any_field("connection", "keep.alive"))
row("node", "refuses", "9.3",
  "\"keep-alive\" keeps a connection of HTTP/1.0 even beside \"close\", " ..
  "which counts for more.",
  function(input)
    return input:lower():find "connection:.*close" and
      any_field("connection", "keep.alive")(input)
  end)
row(nil, "refuses", "3",
  "There may be several blanks between the parts of the first line, or some " ..
  "behind it. A server may take that; the grammar has one.",
  has "[ \t][ \t]+[^\r\n]*HTTP/%d")
row("nginx", "refuses", "3",
  "Blanks behind the version are left out.",
  has "HTTP/%d+%.%d+ ")
row("nginx", "refuses", "2.3",
  "A first line without a version is HTTP/0.9, which is history.",
  function(_, d) return d.theirs == "0.9" end)
row("node", "refuses", "3",
  "A first line may have no version.",
  has("%u+ [^ \r\n]+[\r\n]"))
row("node", "refuses", "2.3",
  "HTTP/2.0, HTTP/0.9 and the names of other protocols are taken for " ..
  "HTTP/1.1, and the connection ends.",
  has("HTTP/[02]%.%d", "RTSP/", "ICE/"))
row("nginx", "refuses", "2.3",
  "A version may have several digits behind its point, or zeros before it.",
  has("HTTP/0*1%.%d%d+", "HTTP/0+1"))
row(nil, "refuses", "RFC 9110, 4.1",
  "A target may have a fragment, which clients never send.",
  has "[/?%w][^ \r\n]*#[^\r\n]* +HTTP/")
row("node", "refuses", "3.2.4",
  "The target * is the program's matter; it is for OPTIONS alone.",
  has "%*")
row("node", "refuses", "RFC 3986, 2.1",
  "A target with a percent sign without two digits, or with %00, is the " ..
  "program's matter.",
  has("%%%X", "%%%x%X", "%%00"))
row(nil, "refuses", "3.2.2",
  "A target that is a whole URL may have a user, a scheme that is not http " ..
  "or https, no host, a malformed one, or a port that is none.",
  has "%w+ %a[%w+.-]*:[^ \r\n]* ")
row("node", "refuses", "3.2",
  "A target that is neither a path nor a URL is the program's matter.",
  has("^%a+ [^/ ]", "\n%a+ [^/ ]"))
row("nginx", "refuses", "RFC 9110, 5.5",
  "Bytes of control in a value are part of it; only zero, CR and LF must be " ..
  "refused.",
  has "[%z\1-\8\11\12\14-\31\127]")
row("nginx", "refuses", "5.1",
  "A line of the head that is no field, or has a name that is none, is left " ..
  "out.",
  function(input)
    for head in input:gmatch "HTTP/%d[^\n]*\n(.-)\r?\n\r?\n" do
      for line in head:gmatch "[^\r\n]+" do
        if not line:find "^[%w!#$%%&'*+.^_`|~-]+:" then return true end
      end
    end
    return false
  end)
row("node", "refuses", "3.2",
  "Host may come several times, and its value may be anything: a server " ..
  "must answer 400.",
  function(input)
    for head in (input .. "\r\n\r\n"):lower():gmatch "(.-)\r?\n\r?\n" do
      if head:find "\nhost:.*\nhost:" then return true end
    end
    return field(input, "host", "[^%w.:\r\n \t-]") or
      field(input, "host", "[%w:.-][ \t]+[%w:.-]") or
      field(input, "host", ":.*[^%d \t]") or field(input, "host", "^[ \t]*:") or
      field(input, "host", ":%d%d%d%d%d")
  end)
row("nginx", "refuses", "3.2",
  "A value of Host may have a user, a port that is none, or bytes that no " ..
  "host has: a server must answer 400.",
  any_field("host", "[^%w.-]"))
row(nil, "refuses", "RFC 9110, 10.1.1",
  "An expectation that is unknown is ignored, by Node if it has " ..
  "100-continue in it. A server may answer 417.",
  any_field("expect", ""))
row("node", "refuses", "6.3",
  "A tab may stand beside a length or a coding. It is allowed there, but " ..
  "others do not know \"chunked\" with one.",
  has "[%w%-]:[^\r\n]*\t")
row(nil, "refuses", "RFC 9110, 8.6",
  "A length may have more than 15 digits, if those in front are zeros.",
  has "%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d")
row("node", "refuses", "6.1",
  "Chunked may stand behind codings that are unknown or empty, in HTTP/1.0, " ..
  "or not be there: the body is taken as it came. A server should answer " ..
  "501.",
  function(input)
    local n = select(2, input:lower():gsub("\ntransfer%-encoding:", ""))
    return n > 0 and input:find " HTTP/1%.0" or n > 1 or
      field(input, "transfer-encoding", "[^chunked \t]") or
      field(input, "transfer-encoding", "^[ \t]*$")
  end)
row("nginx", "refuses", "7.1",
  "Blanks, or LF alone, may stand behind the size of a chunk, anything " ..
  "behind a semicolon, LF alone behind a chunk; and what stands behind the " ..
  "last one is not looked at.",
  is_chunked)
row("node", "refuses", "7.1.1",
  "Extensions of chunks may have any length, in all, and sizes any number " ..
  "of zeros.",
  is_chunked)

-- -- ours takes ---------------------------------------------------------------

row("nginx", "takes", "RFC 9110, 9.1",
  "A method has capitals, _ and - only, and neither TRACE nor CONNECT is " ..
  "served. Ours takes any token but CONNECT.",
  function(_, d) return method(d):find "[^A-Z_-]" or method(d) == "TRACE" end)

local methods = {}
for name in ([[ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH
  MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS PATCH POST PROPFIND
  PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK
  UNLOCK UNSUBSCRIBE]]):gmatch "%S+" do
  methods[name] = true
end
row("node", "takes", "RFC 9110, 9.1",
  "A method is one of a list. Ours leaves it to the program.",
  function(_, d) return not methods[method(d)] end)
row("nginx", "takes", "3.2.4",
  "OPTIONS * is refused; it is good.",
  function(_, d) return target(d.head) == "*" end)
row("nginx", "takes", "RFC 3986, 5.2.4",
  "A path that leads out of the root is refused. Ours hands it to the " ..
  "program; http.files finds nothing there.",
  function(_, d)
    return target(d.head):gsub("%%2[eE]", "."):find("..", 1, true)
  end)
row("node", "takes", "3.2",
  "Bytes beyond ASCII in a target are refused. They are no URL, but mean " ..
  "nothing else.",
  function(_, d) return target(d.head):find "[\128-\255]" end)
row("node", "takes", "2.3",
  "HTTP/1.2 to HTTP/1.9 are refused; a server answers them as HTTP/1.1.",
  function(_, d) return d.head:find " HTTP/1%.[2-9]" end)
row("nginx", "takes", "3.2",
  "A value of Host that is empty is refused, begins with a dot or has two " ..
  "in a row, or has a tab beside it; it is good by the grammar.",
  function(_, d)
    return field(d.head, "host", "^[ \t]*$") or
      field(d.head, "host", "^[ \t]*%.") or field(d.head, "host", "%.%.") or
      field(d.head, "host", "\t")
  end)
row("nginx", "takes", "RFC 3986, 3.2.2",
  "A host in a target that is a whole URL has letters, digits and few other " ..
  "bytes.",
  function(_, d) return target(d.head):find "^%a+://[^/?]*[^%w.:/?-]" or
    target(d.head):find "^%a+://%." or
    target(d.head):find "^%a+://[^/?]*%.%."
  end)
row("nginx", "takes", "RFC 9110, 5.3",
  "Expect twice is refused. It is a list, which may come in several fields.",
  function(_, d)
    return select(2, d.head:lower():gsub("\r\nexpect:", "")) > 1
  end)
row("node", "takes", "7.1.1",
  "Some extensions of chunks are refused: one without a name, one behind a " ..
  "blank, a quote that is not closed. Ours does not look at them; no line " ..
  "may end in one.",
  function(input, d)
    return field(d.head, "transfer-encoding", "chunked") and
      input:find "\n%x+[ \t]*;"
  end)

-- Whether the connection goes on.
local function before(f)
  return function(input, d) return d.before and f(input, d.before) end
end
row("nginx", "takes", "RFC 9110, 7.6.1",
  "\"close\" anywhere in Connection ends it; it must be a member of the " ..
  "list.",
  before(function(_, head) return field(head, "connection", "close") end))
row("node", "takes", "RFC 9110, 7.6.1",
  "Proxy-Connection counts as Connection does; it is in no standard.",
  before(function(_, head) return field(head, "proxy-connection", "close") end))
row("node", "takes", "RFC 9110, 5.6.3",
  "A tab beside a member of Connection is part of it; it may be a blank.",
  before(function(_, head) return field(head, "connection", "\t") end))
row("node", "takes", "7.1.2",
  "Connection and Content-Length count in the fields behind the last chunk, " ..
  "too. Such fields must not be sent there; ours does not look at them.",
  function(input, d)
    return is_chunked(d.head .. (d.before or "")) and
      (input:lower():find "\r\n0+[ \t;]?[^\r\n]*\r\n.*connection:" or
      input:lower():find "\r\n0+[ \t;]?[^\r\n]*\r\n.*content%-length:")
  end)
row("node", "takes", "RFC 9110, 7.8",
  "A request that offers an upgrade is the last one, if nothing has taken " ..
  "the offer either.",
  before(function(_, head) return field(head, "connection", "upgrade") end))

return rows
