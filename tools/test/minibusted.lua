-- minibusted.lua - the part of busted that casting's specs use, without any
-- library, for Lua versions that busted does not run on. Prints TAP.
-- SPDX-License-Identifier: MIT
--
--   lua tools/test/busted.lua [-o TAP] tests/lua/channel_spec.lua
--
-- A spec that needs more of busted fails here with the name that is missing.

local count, failed = 0, 0
local scopes = {} -- the blocks that enclose what is being defined or run

local function full_name(name)
  local words = {}
  for _, scope in ipairs(scopes) do words[#words + 1] = scope.name end
  words[#words + 1] = name
  return table.concat(words, " ")
end

local function report(name, ok, message)
  count = count + 1
  print(("%s %d - %s"):format(ok and "ok" or "not ok", count, name))
  if ok then return end
  failed = failed + 1
  print("# " .. tostring(message):gsub("\n", "\n# "))
end

local PENDING = {}
local function handler(e)
  if e == PENDING or type(e) == "table" then return e end
  return debug.traceback(tostring(e), 2)
end

function _G.describe(name, body)
  local scope = { name = name, before = {}, after = {}, teardown = {} }
  scopes[#scopes + 1] = scope
  local ok, e = xpcall(body, handler)
  if not ok then report(full_name "(block)", false, e) end
  for _, f in ipairs(scope.teardown) do
    ok, e = xpcall(f, handler)
    if not ok then report(full_name "(teardown)", false, e) end
  end
  scopes[#scopes] = nil
end
_G.context, _G.insulate = _G.describe, _G.describe

function _G.pending(name)
  if scopes.running then error(PENDING, 0) end
  count = count + 1
  print(("ok %d - # SKIP %s"):format(count, full_name(name)))
end

local cleanup
function _G.it(name, body)
  cleanup = {}
  scopes.running = true
  local ok, e = xpcall(function()
    for _, scope in ipairs(scopes) do
      for _, f in ipairs(scope.before) do f() end
    end
    body()
  end, handler)
  local function also(f)
    local fine, problem = xpcall(f, handler)
    if ok and not fine then ok, e = false, problem end
  end
  for _, f in ipairs(cleanup) do also(f) end
  for i = #scopes, 1, -1 do
    for _, f in ipairs(scopes[i].after) do also(f) end
  end
  scopes.running = nil
  if e == PENDING then
    _G.pending(name)
  else
    report(full_name(name), ok, e)
  end
end
_G.test, _G.spec = _G.it, _G.it

function _G.finally(f) cleanup[#cleanup + 1] = f end
function _G.before_each(f) table.insert(scopes[#scopes].before, f) end
function _G.after_each(f) table.insert(scopes[#scopes].after, f) end
function _G.setup(f) f() end
function _G.teardown(f) table.insert(scopes[#scopes].teardown, 1, f) end
_G.lazy_setup, _G.lazy_teardown = _G.setup, _G.teardown

-- -- assertions ---------------------------------------------------------------

local function show(v)
  if type(v) ~= "table" then
    return type(v) == "string" and ("%q"):format(v) or tostring(v)
  end
  local parts = {}
  for k, w in pairs(v) do
    parts[#parts + 1] = tostring(k) .. "=" .. tostring(w)
    if #parts > 20 then break end
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

-- Same shape and equal leaves. `seen` holds the pairs assumed to be the same.
local function same(a, b, seen)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  seen = seen or {}
  if seen[a] == b then return true end
  seen[a] = b
  for k, v in pairs(a) do
    if not same(v, b[k], seen) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local checks = {}
function checks.equal(a, b) return a == b end
checks.equals = checks.equal
function checks.same(a, b) return same(a, b) end
checks["true"] = function(v) return v == true end
checks["false"] = function(v) return v == false end
checks["nil"] = function(v) return v == nil end
function checks.truthy(v) return not not v end
function checks.falsy(v) return not v end
function checks.near(a, b, by) return math.abs(a - b) <= by end
function checks.matches(pattern, s, ...)
  return type(s) == "string" and s:find(pattern, ...) ~= nil
end
checks.match = checks.matches
function checks.error(f, expected)
  local ok, e = pcall(f)
  if ok then return false end
  return expected == nil or same(e, expected)
end
checks.errors, checks.error_matches = checks.error, function(f, pattern)
  local ok, e = pcall(f)
  return not ok and tostring(e):find(pattern) ~= nil
end
for _, t in ipairs { "number", "string", "table", "function", "userdata",
  "boolean", "thread" } do
  checks[t] = function(v) return type(v) == t end
end

-- assert.is_not.equal, assert.are.same, assert.is_true, assert.has_no.errors:
-- words before the last only say whether it is meant the other way round.
local function chain(negated)
  return setmetatable({}, {
    __index = function(_, key)
      local name, negate = key, negated
      while not checks[name] do
        local word, rest = name:match "^(%a+)_(.+)$"
        if not word then word, rest = name, nil end
        if word == "no" or word == "not" then
          negate = not negate
        elseif word ~= "is" and word ~= "are" and word ~= "has"
          and word ~= "have" and word ~= "was" and word ~= "were" then
          error("minibusted has no assert." .. key, 2)
        end
        if not rest then return chain(negate) end
        name = rest
      end
      return function(...)
        local ok = checks[name](...) and true or false
        if ok == negate then
          local words = { select("#", ...) > 0 and show((...)) or nil }
          for i = 2, select("#", ...) do
            words[i] = show((select(i, ...)))
          end
          error(("assert.%s%s(%s)"):format(negate and "not." or "", name,
            table.concat(words, ", ")), 2)
        end
        return ...
      end
    end,
    __call = function(_, ...)
      local ok, message = ...
      if not ok then error(message or "assertion failed!", 2) end
      return ...
    end,
  })
end
_G.assert = chain(false)

-- -- main ------------------------------------------------------------------

local i = 1
while arg[i] do
  if arg[i] == "-o" then
    i = i + 1
  else
    local file = arg[i]
    local chunk, e = loadfile(file)
    if chunk then
      scopes[1] = { name = nil, before = {}, after = {}, teardown = {} }
      local ok, problem = xpcall(chunk, handler)
      if not ok then report(file, false, problem) end
      scopes[1] = nil
    else
      report(file, false, e)
    end
  end
  i = i + 1
end
print("1.." .. count)
os.exit(failed == 0 and 0 or 1, true)
