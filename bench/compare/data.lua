-- data.lua - the raw numbers: a file of rows, and medians of them.
-- SPDX-License-Identifier: MIT
--
-- Lines "#key<TAB>text" say what was measured on; all others are
--   workload<TAB>column<TAB>field<TAB>numbers
-- with a number for each round, in order, or "-" where a program failed. The
-- fields: value (steps a second, bytes, or seconds), pair, floor, cpu, steps.

local data = {}
data.__index = data

function data.new()
  return setmetatable({ facts = {}, order = {}, rows = {} }, data)
end

local function split(text, pattern)
  local words = {}
  for word in text:gmatch(pattern) do
    words[#words + 1] = word
  end
  return words
end

function data.read(path)
  local self = data.new()
  local file = io.open(path)
  if not file then
    return self
  end
  for line in file:lines() do
    local key, text = line:match "^#([^\t]+)\t(.*)$"
    if key then
      self:fact(key, text)
    else
      local words = split(line, "[^\t]+")
      for round, number in ipairs(split(words[4] or "", "%S+")) do
        self:put(words[1], words[2], words[3], round, tonumber(number))
      end
    end
  end
  file:close()
  return self
end

function data:fact(key, text)
  self.facts[key] = text
end

local function row_key(workload, column, field)
  return workload .. "\t" .. column .. "\t" .. field
end

-- Sets a round's number; nil means that it failed.
function data:put(workload, column, field, round, number)
  local key = row_key(workload, column, field)
  local row = self.rows[key]
  if not row then
    row = { n = 0 }
    self.rows[key] = row
    self.order[#self.order + 1] = key
  end
  row[round] = number
  row.n = math.max(row.n, round)
end

-- How many rounds there are of a workload.
function data:rounds(workload)
  local n = 0
  for key, row in pairs(self.rows) do
    if key:sub(1, #workload + 1) == workload .. "\t" then
      n = math.max(n, row.n)
    end
  end
  return n
end

function data:get(workload, column, field, round)
  local row = self.rows[row_key(workload, column, field)]
  return row and row[round]
end

local function median(list)
  local n = #list
  if n == 0 then
    return nil
  end
  table.sort(list)
  return (list[math.floor((n + 1) / 2)] + list[math.ceil((n + 1) / 2)]) / 2
end
data.median_of = median

-- The median over the rounds of f(round), where it is not nil.
function data:median(workload, f)
  local list = {}
  for round = 1, self:rounds(workload) do
    list[#list + 1] = f(round)
  end
  return median(list)
end

function data:value(workload, column, field)
  return self:median(workload, function(round)
    return self:get(workload, column, field or "value", round)
  end)
end

-- The median of the rounds' ratios of a to b.
function data:ratio(workload, a, b, a_field, b_field)
  return self:median(workload, function(round)
    local x = self:get(workload, a, a_field or "value", round)
    local y = self:get(workload, b, b_field or "value", round)
    return x and y and x / y
  end)
end

local function keys(t)
  local list = {}
  for key in pairs(t) do
    list[#list + 1] = key
  end
  table.sort(list)
  return list
end

function data:write(path)
  local file = assert(io.open(path, "w"))
  for _, key in ipairs(keys(self.facts)) do
    file:write("#", key, "\t", self.facts[key], "\n")
  end
  for _, key in ipairs(self.order) do
    local row, words = self.rows[key], {}
    for round = 1, row.n do
      words[round] = row[round] and string.format("%.6g", row[round]) or "-"
    end
    file:write(key, "\t", table.concat(words, " "), "\n")
  end
  assert(file:close())
end

return data
