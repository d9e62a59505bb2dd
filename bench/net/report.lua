-- report.lua - the table of `./dev bench net`, as Markdown.
-- SPDX-License-Identifier: MIT
--
-- In each cell the figure and, behind it, its ratio to the C loop's, the median
-- of those of the rounds.

local tool = dofile "bench/compare/tool.lua"

local FACTS = { "processor", "processors", "memory", "kernel", "casting",
  "Lua 5.4", "Go", "luv", "cqueues", "Node", "load", "date" }

local function figure(x, unit)
  if not x then
    return "-"
  elseif unit == "calls" then
    return ("%.3g"):format(x)
  end
  return tool.human(x) .. (unit or "")
end

-- A row of one field of a workload.
local function add_row(numbers, list, w, title, field, unit)
  local cells, any = { title }, false
  for _, column in ipairs(list.columns) do
    local x = numbers:value(w.id, column.id, field)
    local r = column.id ~= "c" and
      numbers:ratio(w.id, column.id, "c", field, field)
    any = any or x
    cells[#cells + 1] = x and r and r < math.huge and r == r and
      ("%s (%s)"):format(figure(x, unit), tool.ratio(r)) or figure(x, unit)
  end
  if any then
    print(tool.row(cells))
  end
end

return function(numbers, list)
  for _, key in ipairs(FACTS) do
    print(key .. ": " .. (numbers.facts[key] or "?"))
  end
  print ""
  local titles = { "" }
  for _, column in ipairs(list.columns) do
    titles[#titles + 1] = column.title
  end
  print(tool.row(titles))
  print(tool.rule(#titles))
  for _, w in ipairs(list.workloads) do
    if numbers:rounds(w.id) > 0 then
      local unit = w.unit or "/s"
      add_row(numbers, list, w, ("%s (%d)"):format(w.title,
        numbers:rounds(w.id)), "value", unit)
      if not w.less then
        add_row(numbers, list, w, "- p99, ns", "p99", "")
        add_row(numbers, list, w, "- processor time of the server, ns", "cpu",
          "")
        add_row(numbers, list, w, "- how often it rested", "rests", "calls")
      elseif w.idle and w.traced then
        add_row(numbers, list, w, "- how often it woke", "rests", "calls")
      elseif w.traced then
        add_row(numbers, list, w, "- rate under strace", "rate", "/s")
      end
    end
  end
end
