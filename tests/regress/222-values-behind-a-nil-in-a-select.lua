-- 222: casting.select sent the values of a case up to some nil in it, and which
-- one that was depended on the version.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local ch = casting.channel(1)

-- Sends by a select, and compares what comes with `...`.
local function check(case, ...)
  assert(casting.select {case} == 1)
  local want, got = helper.pack(...), helper.pack(ch:receive())
  assert(got.n == want.n, got.n .. " values, and not " .. want.n)
  for i = 1, want.n do assert(got[i] == want[i]) end
end

check({ch, "a"}, "a")
check({ch, "a", nil, "b"}, "a", nil, "b")
check({ch, "a", nil, "b", nil}, "a", nil, "b")
check({ch, "a", nil, nil, "b", nil, nil, nil}, "a", nil, nil, "b")
check({ch, false, 2, nil, 4, nil, nil, nil, nil, 9, 10, nil}, false, 2, nil, 4,
  nil, nil, nil, nil, 9, 10)
check({ch, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  11)
-- Not in the array of the table, in any order, with other fields.
local case = {name = "ignored"}
case[5], case[1], case[4], case[2] = "e", ch, nil, "b"
check(case, "b", nil, nil, "e")
case = {ch, "a"}
case[4] = "d"
check(case, "a", nil, "d")
case = {}
for i = 12, 2, -1 do case[i] = i end
case[1] = ch
check(case, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
-- As send does, but for nils at the end.
ch:send("a", nil, "b")
assert(select("#", ch:receive()) == 3)

-- What is no list is still refused.
local function refused(case, why)
  local ok, e = pcall(casting.select, {case})
  assert(not ok and e:find(why, 1, true), tostring(e))
end
refused({ch}, "the first value to send cannot be nil")
refused({ch, nil, 1}, "the first value to send cannot be nil")
refused({}, "expected")
refused({nil, ch, 1}, "expected")
case = {ch, "a"}
case[2 ^ 40] = true
refused(case, "values")
