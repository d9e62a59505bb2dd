-- retry_spec.lua - casting.retry: calls that are tried again, with pauses.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, misuse, LONG = helper.pack, helper.misuse, helper.LONG

for _, place in ipairs(helper.places) do
  local title, run = place[1], place[2]

  describe("casting.retry in " .. title, function()
    it("tries until there is a result", function()
      assert.same(pack(3, "a", nil, "c", nil), pack(run(function()
        local casting, n = require "casting", 0
        return casting.retry {backoff = 0.001} (function(...)
          n = n + 1
          if n == 1 then error "no" end
          if n == 2 then return nil, "closed" end
          return n, ...
        end, "a", nil, "c", nil)
      end)))
    end)

    it("gives up with the last error, or the last word", function()
      assert.same(pack(false, "no 4", 4, nil, "word 3", "more"), pack(run(
        function()
          local casting, n, m = require "casting", 0, 0
          local ok, e = pcall(casting.retry {times = 4, backoff = 0},
            function() n = n + 1 error("no " .. n, 0) end)
          return ok, e, n, casting.retry {backoff = 0} (function()
            m = m + 1
            return nil, "word " .. m, "more"
          end)
        end)))
    end)
  end)
end

describe("casting.retry", function()
  it("takes nothing, nil and false for results", function()
    local function once(...)
      local n, results = 0, {n = select("#", ...), ...}
      local got = pack(casting.retry {backoff = 0} (function()
        n = n + 1
        return helper.unpack(results, 1, results.n)
      end))
      assert.equal(1, n)
      assert.same(results, got)
    end
    once()
    once(nil)
    once(false)
    once(false, "why")
    once(1, nil, 3)
  end)

  it("asks whether to go on", function()
    local asked, n = {}, 0
    local ok, e = pcall(casting.retry {times = math.huge, backoff = 0,
      when = function(e, try)
        asked[#asked + 1] = e .. try
        return e ~= "fatal"
      end}, function()
      n = n + 1
      if n == 2 then return nil, "word" end
      error(n == 3 and "fatal" or "no", 0)
    end)
    assert.is_false(ok)
    assert.equal("fatal", e)
    assert.same({"no1", "word2", "fatal3"}, asked)
  end)

  it("pauses longer each time, up to a limit", function()
    local start, n = casting.now(), 0
    pcall(casting.retry {times = 5, backoff = 0.01, factor = 2, limit = 0.03,
      jitter = 0}, function() n = n + 1 error "no" end)
    assert.equal(5, n)
    assert.is_true(casting.now() - start >= 0.01 + 0.02 + 0.03 + 0.03)
    -- With the greatest jitter there may be no pause at all.
    pcall(casting.retry {times = 5, backoff = 1e-6, factor = 1e300,
      limit = 0.001, jitter = 1}, error)
  end)

  it("ends when its task is cancelled", function()
    local n = 0
    local retry = casting.retry {times = math.huge, backoff = 0.001}
    local task = casting.spawn(retry, function()
      n = n + 1
      casting.sleep(0.001)
      error "no"
    end)
    helper.until_true(function() return n > 2 end)
    task:cancel()
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(e))
    assert.same(pack(nil, "timeout"), pack(casting.with_timeout(0.01, retry,
      function() error "no" end)))
    -- An error of `when` is that of the call.
    assert.same(pack(false, "bad"), pack(pcall(casting.retry {backoff = 0,
      when = function() error("bad", 0) end}, error, "no")))
  end)

  it("can be used again and again", function()
    local retry, sum = casting.retry {times = 2, backoff = 0}, 0
    for i = 1, 50 do
      local n = 0
      sum = sum + retry(function()
        n = n + 1
        return n == 2 and i or error "no"
      end)
    end
    assert.equal(1275, sum)
    local many = 0
    pcall(casting.retry {times = 3000, backoff = 0},
      function() many = many + 1 error "no" end)
    assert.equal(3000, many)
  end)

  it("is named by errors", function()
    local function bad(options, word)
      misuse(function() casting.retry(options) end, "#1 to 'retry'", word)
    end
    bad(5, "table expected, got number")
    bad({tries = 5}, "unknown option 'tries'")
    for _, v in ipairs {0, 1.5, -1, 0 / 0, "3"} do bad({times = v}, "times") end
    for _, v in ipairs {-1, 0 / 0, math.huge, "3"} do
      bad({backoff = v}, "backoff must be")
    end
    for _, v in ipairs {0.5, math.huge, 0 / 0} do
      bad({factor = v}, "factor")
    end
    for _, v in ipairs {-1, 0 / 0, {}} do bad({limit = v}, "limit must be") end
    for _, v in ipairs {-1, 2, 0 / 0, true} do bad({jitter = v}, "jitter") end
    bad({when = 1}, "when must be a function, got 1")
    misuse(function() casting.retry()(5) end, "#1 to 'retry'",
      "function expected, got number")
  end)
end)
