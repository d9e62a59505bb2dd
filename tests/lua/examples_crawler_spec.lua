-- examples_crawler_spec.lua - the crawler of examples/, on sites that are
-- served here.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local kit = require "examplekit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore

local missing = kit.why_not()
if missing then
  describe("examples/crawler.lua", function() pending(missing) end)
  return
end
local casting = require "casting"
local http, net = require "casting.http", require "casting.net"

local open = {}
local function keep(v)
  open[#open + 1] = v
  return v
end
after_each(function()
  for i = #open, 1, -1 do
    open[i]:close()
    open[i] = nil
  end
end)

describe("examples/crawler.lua", function()
  local function serve(pages)
    local listener = keep(assert(net.listen("127.0.0.1", 0)))
    local asked = {}
    casting.spawn(http.serve, listener, function(request, response)
      asked[request.target] = (asked[request.target] or 0) + 1
      local page = pages[request.target]
      if type(page) == "function" then return page(request, response) end
      response.status = page and 200 or 404
      response.headers["Content-Type"] = "text/html"
      response:write(page or "not found\n")
    end)
    return ("http://127.0.0.1:%d"):format(select(2, listener:name())), asked
  end

  it("visits all pages of a site that it makes up", function()
    local status, out, complaint = kit.run("crawler", "--serve", "1000")
    assert.same({1, ""}, {status, complaint})
    assert.matches("^0 of 1 visited, 0 broken\n", out)
    assert.matches("\n20 broken links:\n", out)
    assert.matches("\n  http://[%d.:]+/gone/7: 404 Not Found, on " ..
      "http://[%d.:]+/page/7\n", out)
    assert.matches("\n1000 pages, 50 redirects, 20 broken\n" ..
      "100 not allowed by robots.txt, 10 elsewhere, 0 beyond the limit\n" ..
      ".* with %d+ connections\n$", out)
    assert.is_nil(out:find("\27", 1, true))
    status, out = kit.run("crawler", "--serve", "1000", "--limit", "10",
      "--connections", "3")
    assert.equal(0, status)
    assert.is_true(tonumber(out:match "with (%d+) connections") <= 3)
    -- Which ones come first depends on the order of the answers.
    local pages, redirects = out:match "\n(%d+) pages, (%d+) redirects, 0 "
    assert.equal(10, pages + redirects)
  end)

  it("finds links as browsers do, and obeys robots.txt", function()
    local url, asked = serve {
      ["/robots.txt"] = "# rules\nUser-agent: other\nDisallow: /\n" ..
        "User-Agent: *\nUser-agent: more # both\nDisallow: /no*.x$\n" ..
        "Disallow: /no/\nAllow: /no/but\nDisallow:\n",
      ["/"] = [[<A class=x HREF='a/b'>1</A> <a href=a/../c?x=1&amp;y=2#z>2</a>
        <!-- <a href="/comment"> --> <a href="/a/b">again</a>
        <a href="mailto:a@b"> <a href="javascript:x()"> <a href="#top">
        <a href="//example.org/x"> <a href="/no/x"> <a href="/no/but">
        <a href="/now.x"> <a href="/now.xy"> <a href="/a b<"> <abbr href="q">
        <a href="https://example.org"> <a href="../../up"> <a href="?q">]],
      ["/a/b"] = '<a href="c"> <a href="./d/../e/."> <a href="/r/0">',
      ["/c?x=1&y=2"] = "", ["/a/c"] = "", ["/a/e/"] = "", ["/no/but"] = "",
      ["/now.xy"] = "", ["/a%20b%3C"] = "", ["/up"] = "", ["/?q"] = "",
      ["/r/0"] = function(_, response)
        response.status, response.headers.Location = 302, "1?x#y"
      end,
      ["/r/1?x"] = "",
    }
    local status, out = kit.run("crawler", url)
    assert.equal(0, status, out)
    assert.matches("\n11 pages, 1 redirects, 0 broken\n2 not allowed by " ..
      "robots.txt, 2 elsewhere, ", out)
    for target, n in pairs(asked) do assert.same({target, 1}, {target, n}) end
  end)

  it("tells what is broken, and ends", function()
    local url = serve {
      ["/"] = '<a href="/loop"><a href="/chain/0"><a href="/cut"><a href="/x">',
      ["/loop"] = function(_, response)
        response.status, response.headers.Location = 301, "/loop"
      end,
      ["/cut"] = function(request) request.stream:abort() end,
    }
    local status, out = kit.run("crawler", url)
    assert.equal(1, status)
    local base = url:gsub("%p", "%%%0")
    assert.matches("  " .. base .. "/cut: [%a ]+, on " .. base .. "/\n", out)
    assert.matches("/loop: a loop of redirects, on " .. base .. "/\n", out)
    assert.matches("\n1 pages, 1 redirects, 4 broken\n", out)
    -- A page with the codes of a terminal in its name.
    url = serve {["/"] = '<a href="/\27[31m">'}
    status, out = kit.run("crawler", url)
    assert.same({1, nil}, {status, out:find("\27", 1, true)})
  end)

  it("goes on, whatever a page has in it", function()
    local url, asked = serve {
      ["/robots.txt"] = "User-agent: *\nDisallow: /" .. ("*a"):rep(40) ..
        "b\nDisallow: /x*y*z$\n",
      ["/"] = "<a href='/" .. ("a"):rep(4000) .. "'><a href=/comments>" ..
        "<a href=/tags><a href=/quotes><a href=/base><a href=/long>" ..
        "<a href=/xyzyz><a href=/xzy><a href='/%'><a href='/%'>" ..
        "<script>'<a href=/no>'</SCRIPT><a href=/2><p title='<a href=/no>'>",
      ["/comments"] = ("<!--"):rep(100000), ["/tags"] = ("<a "):rep(100000),
      ["/quotes"] = ("<a b='\""):rep(50000), ["/xzy"] = "",
      ["/base"] = "<BASE HREF='/c/d'><a href=e>", ["/c/e"] = "",
      ["/long"] = function(_, response)
        response.headers["Content-Type"] = "application/pdf"
        response:write(("x"):rep(5000000))
      end,
      ["/2"] = function(_, response)
        response.status, response.headers.Location = 302, "/1"
      end,
      ["/1"] = function(_, response)
        response.status, response.headers.Location = 302, "/2"
      end,
    }
    local status, out = kit.run("crawler", url)
    assert.equal(1, status)
    local base = url:gsub("%p", "%%%0")
    assert.matches("3 broken links:\n  /%%: a percent sign [^\n]*, on " ..
      base .. "/\n.*/1: a loop of redirects, on " .. base .. "/2\n" ..
      "  .*/a+: 404 Not Found, on ", out)
    assert.matches("\n8 pages, 2 redirects, 3 broken\n1 not allowed ", out)
    assert.same({1, nil}, {asked["/c/e"], asked["/no"]})
  end)

  it("does not visit who cannot be asked for rules", function()
    local url, asked = serve {["/"] = "", ["/robots.txt"] =
      function(_, response) response.status = 503 end}
    local status, _, complaint = kit.run("crawler", url)
    assert.same({1, "crawler: " .. url .. "/robots.txt: 503\n", nil},
      {status, complaint, asked["/"]})
    status, _, complaint = kit.run("crawler", "http://127.0.0.1:1/")
    assert.same({1, "crawler: http://127.0.0.1:1: connection refused\n"},
      {status, complaint})
  end)

  it("explains itself, and refuses what it does not know", function()
    local status, out = kit.run("crawler", "--help")
    assert.equal(0, status)
    assert.matches("^usage: crawler.lua", out)
    for _, args in ipairs {{}, {"x"}, {"ftp://x/"}, {"http://x", "http://y"},
      {"--serve", "0"}, {"--serve"}, {"--serve", "1", "http://x"},
      {"--what", "1"}, {"--connections", "1001", "http://x"}} do
      assert.same({2, ""}, {kit.refuse("crawler", helper.unpack(args))})
    end
  end)
end)
