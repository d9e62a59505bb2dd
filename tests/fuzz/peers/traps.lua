-- traps.lua - requests that servers have understood in different ways, by name.
-- SPDX-License-Identifier: MIT

local traps = {}

local function trap(name, input) traps[#traps + 1] = {name, input} end

local HOST = "Host: x\r\n"
local function line(name, first)
  trap(name, first .. "\r\n" .. HOST .. "\r\n")
end
local function get(name, fields)
  trap(name, "GET / HTTP/1.1\r\n" .. HOST .. fields .. "\r\n")
end
local function post(name, fields, body)
  trap(name, "POST / HTTP/1.1\r\n" .. HOST .. fields .. "\r\n" .. body)
end
local function chunks(name, body)
  post(name, "Transfer-Encoding: chunked\r\n", body)
end
local function length(name, text, body)
  post(name, "Content-Length:" .. text .. "\r\n", body or "hello")
end
local function coding(name, text, body)
  post(name, "Transfer-Encoding:" .. text .. "\r\n",
    body or "5\r\nhello\r\n0\r\n\r\n")
end
-- A request that must not be seen.
local HIDDEN = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"

-- -- the first line -----------------------------------------------------------

line("good", "GET / HTTP/1.1")
line("good HEAD", "HEAD / HTTP/1.1")
trap("good OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
line("another method", "PURGE / HTTP/1.1")
line("a method of nobody", "FOO / HTTP/1.1")
line("a method in lower case", "get / HTTP/1.1")
line("a method with a dash", "M-SEARCH / HTTP/1.1")
line("a method with a colon", "GE:T / HTTP/1.1")
line("CONNECT", "CONNECT x:80 HTTP/1.1")
line("TRACE", "TRACE / HTTP/1.1")
line("PRI", "PRI * HTTP/2.0")
line("two blanks before the target", "GET  / HTTP/1.1")
line("two blanks before the version", "GET /  HTTP/1.1")
line("a blank behind the version", "GET / HTTP/1.1 ")
line("a blank before the method", " GET / HTTP/1.1")
line("a tab before the target", "GET\t/ HTTP/1.1")
line("a tab before the version", "GET /\tHTTP/1.1")
line("a tab in the target", "GET /a\tb HTTP/1.1")
line("a vertical tab", "GET\v/ HTTP/1.1")
line("a blank in the target", "GET /a b HTTP/1.1")
line("a CR in the target", "GET /a\rb HTTP/1.1")
line("a CR behind the version", "GET / HTTP/1.1\r")
line("a zero byte in the target", "GET /a\0b HTTP/1.1")
line("a byte of 0x7f in the target", "GET /\127 HTTP/1.1")
line("bytes beyond ASCII in the target", "GET /\195\164 HTTP/1.1")
line("a fragment", "GET /a#b HTTP/1.1")
line("quotes and braces in the target", 'GET /"<>{}|\\^` HTTP/1.1')
line("no slash", "GET a HTTP/1.1")
line("a query without a path", "GET ?a HTTP/1.1")
line("* with GET", "GET * HTTP/1.1")
line("two slashes", "GET //x/y HTTP/1.1")
line("dots", "GET /a/../b HTTP/1.1")
line("dots that lead out", "GET /../b HTTP/1.1")
line("percent signs alone", "GET /% HTTP/1.1")
line("half a percent sign", "GET /%2 HTTP/1.1")
line("a percent sign with no digits", "GET /%zz HTTP/1.1")
line("%00", "GET /%00 HTTP/1.1")
line("%0d%0a", "GET /%0d%0aX:y HTTP/1.1")
line("%2e%2e%2f", "GET /%2e%2e%2fx HTTP/1.1")
line("a percent sign in the query", "GET /?%zz HTTP/1.1")
line("%u", "GET /%u0041 HTTP/1.1")
line("a whole URL", "GET http://x/a HTTP/1.1")
line("a whole URL of another host", "GET http://y/a HTTP/1.1")
line("a whole URL without a path", "GET http://x HTTP/1.1")
line("a whole URL with a user", "GET http://u@x/ HTTP/1.1")
line("a whole URL in capitals", "GET HTTP://X/ HTTP/1.1")
line("a whole URL of another scheme", "GET ftp://x/ HTTP/1.1")
line("a whole URL without a host", "GET http:///a HTTP/1.1")
line("a whole URL with a port", "GET http://x:80/a HTTP/1.1")
line("a whole URL with a bad port", "GET http://x:99999/a HTTP/1.1")
line("a whole URL with a host of signs", "GET http://a+b;c/ HTTP/1.1")
line("a URL without slashes", "GET http:x HTTP/1.1")
line("HTTP/1.2", "GET / HTTP/1.2")
line("HTTP/1.9", "GET / HTTP/1.9")
line("HTTP/1.10", "GET / HTTP/1.10")
line("HTTP/1.01", "GET / HTTP/1.01")
line("HTTP/01.1", "GET / HTTP/01.1")
line("HTTP/2.0", "GET / HTTP/2.0")
line("HTTP/0.9 by name", "GET / HTTP/0.9")
line("HTTP/1", "GET / HTTP/1")
line("HTTP/1.", "GET / HTTP/1.")
line("http in lower case", "GET / http/1.1")
line("another protocol", "GET / ICE/1.0")
line("RTSP", "OPTIONS / RTSP/1.0")
line("no version", "GET /")
line("no target", "GET HTTP/1.1")
line("no method", "/ HTTP/1.1")
trap("HTTP/0.9", "GET /\r\n")
trap("HTTP/0.9 and a request", "GET /\r\n" .. HIDDEN)
trap("an empty line before", "\r\nGET / HTTP/1.1\r\n" .. HOST .. "\r\n")
trap("two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\n" .. HOST .. "\r\n")
trap("three empty lines before",
  "\r\n\r\n\r\nGET / HTTP/1.1\r\n" .. HOST .. "\r\n")
trap("many empty lines before",
  ("\r\n"):rep(9) .. "GET / HTTP/1.1\r\n" .. HOST .. "\r\n")
trap("a bare LF before", "\nGET / HTTP/1.1\r\n" .. HOST .. "\r\n")
trap("a bare CR before", "\rGET / HTTP/1.1\r\n" .. HOST .. "\r\n")
trap("a zero byte before", "\0GET / HTTP/1.1\r\n" .. HOST .. "\r\n")
trap("blanks in a line before",
  "  \r\nGET / HTTP/1.1\r\n" .. HOST .. "\r\n")
trap("the beginning of TLS", "\22\3\1\0\5hello")
trap("empty lines between",
  "POST / HTTP/1.1\r\n" .. HOST .. "Content-Length: 0\r\n\r\n\r\n\r\n")

-- -- lines and fields ---------------------------------------------------------

trap("LF everywhere", "GET / HTTP/1.1\nHost: x\n\n")
trap("LF behind the first line", "GET / HTTP/1.1\nHost: x\r\n\r\n")
trap("LF behind a field", "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n")
trap("LF for the empty line", "GET / HTTP/1.1\r\nHost: x\r\n\n")
trap("CR everywhere", "GET / HTTP/1.1\rHost: x\r\r")
trap("CR behind a field", "GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n")
trap("CR CR LF", "GET / HTTP/1.1\r\r\nHost: x\r\r\n\r\r\n")
trap("LF CR", "GET / HTTP/1.1\r\nHost: x\n\r\n")
get("a CR in a value", "X: a\rb\r\n")
get("a field in a value by LF", "X: a\nContent-Length: 5\r\n")
get("a zero byte in a value", "X: a\0b\r\n")
get("a zero byte in a name", "X\0: a\r\n")
get("a bell in a value", "X: \7\r\n")
get("0x7f in a value", "X: \127\r\n")
get("bytes beyond ASCII in a value", "X: \195\164\255\r\n")
get("bytes beyond ASCII in a name", "X\195: a\r\n")
get("an empty value", "X:\r\n")
get("a value of blanks", "X:  \t \r\n")
get("no blank behind the colon", "X:y\r\n")
get("a blank before the colon", "X : y\r\n")
get("a tab before the colon", "X\t: y\r\n")
get("a blank in a name", "X y: z\r\n")
get("a blank before a name", " X: y\r\n")
get("no colon", "nothing\r\n")
get("no name", ": y\r\n")
get("a name with an underscore", "X_Y: z\r\n")
get("a name with a bracket", "X(: y\r\n")
get("a name with a slash", "X/Y: z\r\n")
get("a folded value", "X: a\r\n b\r\n")
get("a value folded by a tab", "X: a\r\n\tb\r\n")
get("a value folded to nothing", "X:\r\n \r\n")
trap("folded before the first field",
  "GET / HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n")
get("a long value", "X: " .. ("a"):rep(20000) .. "\r\n")
get("a long name", ("a"):rep(5000) .. ": x\r\n")
get("many fields", ("X: y\r\n"):rep(150))
line("a long target", "GET /" .. ("a"):rep(20000) .. " HTTP/1.1")

-- -- Host, and the connection -------------------------------------------------

trap("no Host", "GET / HTTP/1.1\r\n\r\n")
trap("no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n")
trap("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n")
get("two Hosts", "Host: y\r\n")
get("the same Host again", "Host: x\r\n")
trap("two Hosts in one",
  "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n")
for _, host in ipairs {{"a user", "u@x"}, {"a path", "x/y"},
  {"a bad port", "x:abc"}, {"a port too high", "x:99999"}, {"a blank", "x y"},
  {"brackets", "[::1]:80"}, {"half a bracket", "[::1"},
  {"an underscore", "x_y"}, {"a query", "x?y"}, {"no name", ":80"},
  {"bytes beyond ASCII", "\195\164"}, {"two colons", "x:80:80"}} do
  trap("a Host with " .. host[1],
    "GET / HTTP/1.1\r\nHost: " .. host[2] .. "\r\n\r\n")
end
trap("HTTP/1.0 ends",
  "GET / HTTP/1.0\r\n" .. HOST .. "\r\n" .. HIDDEN)
trap("HTTP/1.0 keep-alive",
  "GET / HTTP/1.0\r\n" .. HOST .. "Connection: keep-alive\r\n\r\n")
trap("HTTP/1.0 Keep-Alive in capitals",
  "GET / HTTP/1.0\r\n" .. HOST .. "Connection: KEEP-ALIVE\r\n\r\n")
get("close", "Connection: close\r\n")
get("close in capitals", "Connection: CLOSE\r\n")
get("close in a list", "Connection: x, close\r\n")
get("close in a second field",
  "Connection: keep-alive\r\nConnection: close\r\n")
get("close and keep-alive", "Connection: close, keep-alive\r\n")
trap("HTTP/1.0 keep-alive, then close", "GET / HTTP/1.0\r\n" .. HOST ..
  "Connection: keep-alive\r\nConnection: close\r\n\r\n")
trap("HTTP/1.0 close, then keep-alive", "GET / HTTP/1.0\r\n" .. HOST ..
  "Connection: close\r\nConnection: keep-alive\r\n\r\n")
trap("keep-alive before a tab",
  "GET / HTTP/1.0\r\n" .. HOST .. "Connection: keep-alive\t\r\n\r\n")
get("close in quotes", 'Connection: "close"\r\n')
get("closed", "Connection: closed\r\n")
get("Proxy-Connection", "Proxy-Connection: close\r\n")
get("Connection names Host", "Connection: host, content-length\r\n")
get("Upgrade to nothing", "Connection: upgrade\r\nUpgrade: foo\r\n")
get("Upgrade to HTTP/2", "Connection: Upgrade, HTTP2-Settings\r\n" ..
  "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n")
get("Upgrade to a websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\n" ..
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " ..
  "dGhlIHNhbXBsZSBub25jZQ==\r\n")
post("Upgrade with a body",
  "Connection: upgrade\r\nUpgrade: foo\r\nContent-Length: 5\r\n", "hello")
post("Expect", "Expect: 100-continue\r\nContent-Length: 5\r\n", "hello")
post("Expect in capitals",
  "Expect: 100-CONTINUE\r\nContent-Length: 5\r\n", "hello")
post("Expect something else", "Expect: tea\r\nContent-Length: 5\r\n", "hello")
post("Expect twice in one",
  "Expect: 100-continue, 100-continue\r\nContent-Length: 5\r\n", "hello")
get("Expect without a body", "Expect: 100-continue\r\n")

-- -- lengths ------------------------------------------------------------------

length("good length", " 5")
length("length with a plus", " +5")
length("length with a minus", " -5")
length("length with a blank behind", " 5 ")
length("length with a tab", "\t5")
length("length with a tab behind", " 5\t")
length("length with a blank in it", " 5 5")
length("length with a list", " 5, 5")
length("length with a list of different ones", " 5, 6")
length("length with a comma", " 5,")
length("length in hexadecimal", " 0x5")
length("length with a point", " 5.0")
length("length with leading zeros", " 0005")
length("length with many leading zeros", " " .. ("0"):rep(30) .. "5")
length("length in quotes", ' "5"')
length("an empty length", "")
length("a length of blanks", "   ")
length("a length of letters", " five")
length("length with an exponent", " 5e0")
length("length too long for 32 bits", " 4294967301")
length("length too long for 64 bits", " 18446744073709551621")
length("length with a zero byte", " 5\0")
length("length with a vertical tab", " \v5")
length("length with digits of Unicode", " \217\165")
length("length folded", "\r\n 5")
post("a name with a blank behind", "Content-Length : 5\r\n", "hello")
post("a name with a zero byte", "Content-Length\0: 5\r\n", "hello")
post("a name with an underscore for a dash", "Content_Length: 5\r\n", "hello")
post("the same length twice",
  "Content-Length: 5\r\nContent-Length: 5\r\n", "hello")
post("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello")
post("two lengths, the longer one first",
  "Content-Length: 6\r\nContent-Length: 5\r\n", "hello")
post("a body of GET", "", "")
trap("GET with a body",
  "GET / HTTP/1.1\r\n" .. HOST .. "Content-Length: 5\r\n\r\nhello")
trap("HEAD with a body",
  "HEAD / HTTP/1.1\r\n" .. HOST .. "Content-Length: 5\r\n\r\nhello")
trap("DELETE with a body",
  "DELETE / HTTP/1.1\r\n" .. HOST .. "Content-Length: 5\r\n\r\nhello")
trap("OPTIONS with a body",
  "OPTIONS / HTTP/1.1\r\n" .. HOST .. "Content-Length: 5\r\n\r\nhello")
trap("GET with a request for a body", "GET / HTTP/1.1\r\n" .. HOST ..
  ("Content-Length: %d\r\n\r\n"):format(#HIDDEN) .. HIDDEN)
post("no length, but a body", "", HIDDEN)
length("length too short", " 3")
length("length too long", " 50")
post("LF LF in a head with a length",
  "Content-Length: 5\n\n", "hello")

-- -- codings ------------------------------------------------------------------

coding("good chunks", " chunked")
coding("chunked in capitals", " CHUNKED")
coding("chunked without a blank", "chunked")
coding("chunked behind a tab", "\tchunked")
coding("chunked before a tab", " chunked\t")
coding("chunked behind a vertical tab", " \vchunked")
coding("chunked before blanks", " chunked  ")
coding("chunked in quotes", ' "chunked"')
coding("chunked with a parameter", " chunked;q=1")
coding("chunked twice in a list", " chunked, chunked")
coding("chunked and an empty member", " chunked,")
coding("an empty member and chunked", " , chunked")
coding("gzip and chunked", " gzip, chunked")
coding("chunked and gzip", " chunked, gzip")
coding("identity", " identity")
coding("identity and chunked", " identity, chunked")
coding("an empty coding", "")
coding("xchunked", " xchunked")
coding("chunkedx", " chunkedx")
coding("chunked with a zero byte", " chunked\0")
coding("chunked folded", "\r\n chunked")
coding("chunked and a folded line", " chunked\r\n x")
coding("gzip alone", " gzip")
post("chunked in a second field",
  "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
  "5\r\nhello\r\n0\r\n\r\n")
post("chunked in two fields",
  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
  "5\r\nhello\r\n0\r\n\r\n")
post("chunked, then identity",
  "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
  "5\r\nhello\r\n0\r\n\r\n")
post("a coding's name with a blank behind", "Transfer-Encoding : chunked\r\n",
  "5\r\nhello\r\n0\r\n\r\n")
post("a coding's name with an underscore", "Transfer_Encoding: chunked\r\n",
  "5\r\nhello\r\n0\r\n\r\n")
post("a coding's name behind a blank", " Transfer-Encoding: chunked\r\n",
  "5\r\nhello\r\n0\r\n\r\n")
post("a coding behind a bare LF", "X: y\nTransfer-Encoding: chunked\r\n",
  "5\r\nhello\r\n0\r\n\r\n")
post("a coding behind a bare CR", "X: y\rTransfer-Encoding: chunked\r\n",
  "5\r\nhello\r\n0\r\n\r\n")
post("length and chunks",
  "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
  "5\r\nhello\r\n0\r\n\r\n")
post("chunks and length",
  "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
  "0\r\n\r\n" .. HIDDEN)
post("length and identity",
  "Content-Length: 5\r\nTransfer-Encoding: identity\r\n", "hello")
post("length and a coding that is unknown",
  "Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n", "hello")
trap("chunks in HTTP/1.0", "POST / HTTP/1.0\r\n" .. HOST ..
  "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" ..
  "5\r\nhello\r\n0\r\n\r\n")
trap("chunks of GET", "GET / HTTP/1.1\r\n" .. HOST ..
  "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
trap("chunks of HEAD", "HEAD / HTTP/1.1\r\n" .. HOST ..
  "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
get("TE", "TE: trailers, chunked\r\n")

-- -- chunks -------------------------------------------------------------------

chunks("no chunks", "0\r\n\r\n")
chunks("a size in capitals", "A\r\n0123456789\r\n0\r\n\r\n")
chunks("a size in lower case", "a\r\n0123456789\r\n0\r\n\r\n")
chunks("a size with zeros", "0005\r\nhello\r\n000\r\n\r\n")
chunks("a size with many zeros", ("0"):rep(40) .. "5\r\nhello\r\n0\r\n\r\n")
chunks("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n")
chunks("a size with a plus", "+5\r\nhello\r\n0\r\n\r\n")
chunks("a size with a minus", "-5\r\nhello\r\n0\r\n\r\n")
chunks("a size behind a blank", " 5\r\nhello\r\n0\r\n\r\n")
chunks("a size before a blank", "5 \r\nhello\r\n0\r\n\r\n")
chunks("a size before a tab", "5\t\r\nhello\r\n0\r\n\r\n")
chunks("a size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n")
chunks("a size that is no number", "g\r\nhello\r\n0\r\n\r\n")
chunks("an empty size", "\r\nhello\r\n0\r\n\r\n")
chunks("a size of 32 bits and 5", "100000005\r\nhello\r\n0\r\n\r\n")
chunks("a size of 64 bits and 5", "10000000000000005\r\nhello\r\n0\r\n\r\n")
chunks("a size of 63 bits", "7fffffffffffffff\r\nhello\r\n0\r\n\r\n")
chunks("a size of 64 bits", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n")
chunks("an extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n")
chunks("an extension in quotes", '5;a="b;c"\r\nhello\r\n0\r\n\r\n')
chunks("an extension with a line end in quotes",
  '5;a="\r\nhello\r\n0\r\n\r\n')
chunks("an extension with a bare LF", "5;a\nhello\r\n0\r\n\r\n")
chunks("an extension with a bare CR", "5;a\rb\r\nhello\r\n0\r\n\r\n")
chunks("an extension with a zero byte", "5;a\0\r\nhello\r\n0\r\n\r\n")
chunks("an extension without a name", "5;\r\nhello\r\n0;\r\n\r\n")
chunks("an extension behind blanks", "5 ; a = b\r\nhello\r\n0\r\n\r\n")
chunks("an extension with a comma", "5,a\r\nhello\r\n0\r\n\r\n")
chunks("a long extension", "5;" .. ("a"):rep(9000) ..
  "\r\nhello\r\n0\r\n\r\n")
chunks("many extensions", ("1;" .. ("a"):rep(90) .. "\r\nx\r\n"):rep(300) ..
  "0\r\n\r\n")
chunks("LF behind a size", "5\nhello\r\n0\r\n\r\n")
chunks("CR behind a size", "5\rhello\r\n0\r\n\r\n")
chunks("LF behind a chunk", "5\r\nhello\n0\r\n\r\n")
chunks("CR behind a chunk", "5\r\nhello\r0\r\n\r\n")
chunks("nothing behind a chunk", "5\r\nhello0\r\n\r\n")
chunks("two bytes behind a chunk", "5\r\nhelloXX0\r\n\r\n")
chunks("a chunk too long", "4\r\nhello\r\n0\r\n\r\n")
chunks("a chunk too short", "6\r\nhello\r\n0\r\n\r\n")
chunks("LF at the end", "5\r\nhello\r\n0\r\n\n")
chunks("LF behind the last size", "5\r\nhello\r\n0\n\r\n")
chunks("no empty line at the end", "5\r\nhello\r\n0\r\n")
chunks("no last chunk", "5\r\nhello\r\n\r\n")
chunks("a last chunk of several zeros", "5\r\nhello\r\n0000\r\n\r\n")
chunks("fields behind the last chunk", "0\r\nX: y\r\n\r\n")
chunks("a length behind the last chunk",
  "0\r\nContent-Length: 5\r\n\r\n")
chunks("Host behind the last chunk", "0\r\nHost: y\r\n\r\n")
chunks("a malformed field behind the last chunk", "0\r\nX y\r\n\r\n")
chunks("a folded field behind the last chunk", "0\r\nX: y\r\n z\r\n\r\n")
chunks("LF behind a field behind the last chunk", "0\r\nX: y\n\r\n")
chunks("a bare CR in a field behind the last chunk", "0\r\nX: y\rz\r\n\r\n")
chunks("a request behind the last chunk", "0\r\n" .. HIDDEN)
chunks("many fields behind the last chunk",
  "0\r\n" .. ("X: y\r\n"):rep(300) .. "\r\n")
chunks("a request in a chunk",
  ("%x\r\n%s\r\n0\r\n\r\n"):format(#HIDDEN, HIDDEN))

-- -- several ------------------------------------------------------------------

trap("two requests", HIDDEN .. HIDDEN)
trap("a request and garbage", HIDDEN .. "garbage\r\n\r\n")
trap("nothing", "")
trap("garbage", "garbage\r\n\r\n")

return traps
