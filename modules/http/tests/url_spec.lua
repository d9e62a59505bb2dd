-- url_spec.lua - URLs of the client: what they say, and what is none.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local Url = require "casting.http.url"

describe("a URL", function()
  local function parts(text)
    local url, problem = Url.read(text)
    assert.is_nil(problem)
    return ("%s %s %d %s %s"):format(url.scheme, url.host, url.port,
      url.authority, url.target)
  end

  it("has a scheme, a host, a port and a target", function()
    assert.equal("http a.b 80 a.b /", parts "http://a.b")
    assert.equal("https a.b 443 a.b /x?y", parts "HTTPS://A.B/x?y#z")
    assert.equal("https a 80 a:80 /?y", parts "https://a:80?y")
    assert.equal("http a 80 a /", parts "http://a:80/")
    assert.equal("http a 80 a /", parts "http://a:/")
    assert.equal("http ::1 80 [::1] /", parts "http://[::1]")
    assert.equal("http ::ffff:1.2.3.4 8 [::ffff:1.2.3.4]:8 /",
      parts "http://[::ffff:1.2.3.4]:8/")
    assert.equal("http fe80::1%eth0 80 [fe80::1] /",
      parts "http://[fe80::1%25eth0]/")
    assert.equal("http 127.0.0.1 80 127.0.0.1 /%2F",
      parts "http://127.0.0.1/%2F")
    assert.equal("http a_b.c-d. 80 a_b.c-d. //x/../y",
      parts "http://a_b.c-d.//x/../y")
  end)

  it("has a user and a password", function()
    local url = Url.read "http://a%3Db:c:d%20@h"
    assert.equal("a=b", url.user)
    assert.equal("c:d ", url.password)
    assert.equal("http://h/", Url.text(url))
    assert.equal("", Url.read("http://a@h").password)
    assert.is_nil(Url.read("http://h").user)
  end)

  local none = {
    "", "/x", "h", "//h", "http:h", "http:/h", "http//h", "ftp://h",
    "http://", "http:///x", "http://:80", "http://@", "http://a@",
    "http://a b", "http://a\tb", "http://a\r\nb", "http://a\0b", "http://a/\0",
    "http://h/a b", "http://h/\127", "http://h/\195\164", "http://\195\164/",
    "http://h\\@other/", "http://h/\\", "http://h/<", "http://h/\"",
    "http://a@b@c", "http://a@b:c@d", "http://h%41/", "http://h%00/",
    "http://%68/", "http://a..b/", "http://.a/", "http://..",
    "http://a/%", "http://a/%4", "http://a/%4g", "http://a/%%41",
    "http://a%zz@b/", "http://a%3Ab@h/", "http://a[b@h/",
    "http://h:0/", "http://h:65536/", "http://h:x/", "http://h:+1/",
    "http://h:-1/", "http://h:1 /", "http://h:080808/", "http://h:1:2/",
    "http://127.1/", "http://2130706433/", "http://0x7f.0.0.1/",
    "http://0177.0.0.1/", "http://1.2.3.256/", "http://1.2.3.4.5/",
    "http://1.2.3.4./", "http://a.1/", "http://0x/", "http://0x7f/",
    "http://::1/", "http://[::1", "http://[::1/", "http://::1]/",
    "http://[::1]x/", "http://[::1]80/", "http://[]/", "http://[:]/",
    "http://[1.2.3.4]/", "http://[g::1]/", "http://[::1%eth0]/",
    "http://[::1%25]/", "http://[::1%25a b]/", "http://[[::1]]/",
    "http://" .. ("a."):rep(130) .. "b/", "http://h/" .. ("a"):rep(70000),
  }
  for i, text in ipairs(none) do
    it(("is none: %d, %s"):format(i, text:sub(1, 30):gsub("%c", "?")),
      function()
        local url, problem = Url.read(text)
        assert.is_nil(url)
        assert.equal("string", type(problem))
        -- Passwords do not go into messages.
        assert.is_nil(problem:find("@", 1, true))
      end)
  end
end)

describe("a reference", function()
  local base = Url.read "http://u:p@a/b/c/d;p?q"
  local function resolve(text)
    local url, problem = Url.resolve(base, text)
    return url and Url.text(url) or problem
  end

  -- The examples of RFC 3986, 5.4, but for those that are lenient.
  local cases = {g = "b/c/g", ["./g"] = "b/c/g", ["g/"] = "b/c/g/",
    ["/g"] = "g", ["?y"] = "b/c/d;p?y", ["g?y"] = "b/c/g?y",
    ["#s"] = "b/c/d;p?q", ["g#s"] = "b/c/g", ["g?y#s"] = "b/c/g?y",
    [";x"] = "b/c/;x", ["g;x"] = "b/c/g;x", ["g;x?y#s"] = "b/c/g;x?y",
    [""] = "b/c/d;p?q", ["."] = "b/c/", ["./"] = "b/c/", [".."] = "b/",
    ["../"] = "b/", ["../g"] = "b/g", ["../.."] = "", ["../../"] = "",
    ["../../g"] = "g", ["../../../g"] = "g", ["../../../../g"] = "g",
    ["/./g"] = "g", ["/../g"] = "g", ["g."] = "b/c/g.", [".g"] = "b/c/.g",
    ["g.."] = "b/c/g..", ["..g"] = "b/c/..g", ["./../g"] = "b/g",
    ["./g/."] = "b/c/g/", ["g/./h"] = "b/c/g/h", ["g/../h"] = "b/c/h",
    ["g;x=1/./y"] = "b/c/g;x=1/y", ["g;x=1/../y"] = "b/c/y",
    ["g?y/./x"] = "b/c/g?y/./x", ["g?y/../x"] = "b/c/g?y/../x"}
  it("is seen from a URL", function()
    for text, wanted in pairs(cases) do
      assert.equal("http://a/" .. wanted, resolve(text), text)
    end
    assert.equal("http://g/", resolve "//g")
    assert.equal("https://h/x", resolve "https://h/x")
    assert.is_nil(Url.resolve(base, "//g").user)
  end)

  it("may have what no URL has, but bytes of control", function()
    assert.equal("http://a/b/c/x%20y%C3%A4%5C", resolve "x y\195\164\\")
    assert.equal("it has bytes of control", resolve "x\ny")
    assert.equal("its scheme must be http or https, not 'file'",
      resolve "file:///etc/passwd")
    assert.matches("^it must begin with", resolve "javascript:x")
  end)
end)

describe("http.resolve", function()
  local http = require "casting.http"

  it("makes a URL of what a page has in a link", function()
    local page = "http://user:secret@Example.org:80/a/b.html?x#y"
    for reference, wanted in pairs {["c"] = "/a/c", ["../c?d"] = "/c?d",
      ["/"] = "/", [""] = "/a/b.html?x", ["#top"] = "/a/b.html?x",
      ["?z"] = "/a/b.html?z", ["./"] = "/a/", ["c d"] = "/a/c%20d"} do
      assert.equal("http://example.org" .. wanted,
        http.resolve(page, reference))
    end
    assert.equal("https://a:8080/x", http.resolve(page, "HTTPS://A:8080/x#"))
  end)

  it("tells what is none of HTTP", function()
    for _, text in ipairs {"mailto:a@b", "javascript:x", "ftp://a/", "http:",
      "//a b/", "a\nb", "%", "http://127.1/"} do
      local url, why = http.resolve("http://a/", text)
      assert.is_nil(url)
      assert.equal("string", type(why))
    end
  end)

  it("refuses what is no string or no URL", function()
    local function message(...)
      return (tostring(select(2, pcall(http.resolve, ...))))
    end
    assert.matches("#1 to 'resolve' %(string expected, got nil%)", message())
    assert.matches("#2 to 'resolve' %(string expected, got 1%)",
      message("http://a/", 1))
    assert.matches("#1 to 'resolve' %(no URL: it must begin with",
      message("a/b", "c"))
  end)
end)
