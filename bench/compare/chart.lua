-- chart.lua - draws docs/benchmarks.svg from the raw numbers.
-- SPDX-License-Identifier: MIT
--
-- A row for each workload and a dot for each program that did it; how far to
-- the right says how many times as fast it is as Go, on a logarithmic scale.
-- The left panel has one thread, the right one two.

local PATH = "docs/benchmarks.svg"

local ROW, TOP, LABELS, PANEL, GAP = 25, 122, 210, 360, 36
local LEFT = { LABELS, LABELS + PANEL + GAP }
local WIDTH = LABELS + 2 * PANEL + GAP + 28
local LOW, HIGH = 1 / 64, 8 -- the scale; what lies outside stands at its end
local TICKS = { { 1 / 64, "1/64" }, { 1 / 16, "1/16" }, { 1 / 4, "1/4" },
  { 1, "Go" }, { 4, "4" } }

-- Those that are drawn, the most important last: it lies on top.
local SERIES = {
  { title = "Erlang", colour = "#a83a6e", shape = "diamond",
    ids = { "erlang-1", "erlang-2" } },
  { title = "plain coroutines, Lua 5.4", colour = "#8a8a8a", shape = "ring",
    ids = { "bare-5.4" } },
  { title = "casting, Lua 5.1", colour = "#e0a030", shape = "dot",
    ids = { "casting-5.1-same", "casting-5.1-two" } },
  { title = "casting, LuaJIT", colour = "#2f9e62", shape = "dot",
    ids = { "casting-luajit-same", "casting-luajit-two" } },
  { title = "casting, Lua 5.4", colour = "#1f5fd0", shape = "dot",
    ids = { "casting-5.4-same", "casting-5.4-two" } },
}

local parts

local function add(format, ...)
  parts[#parts + 1] = format:format(...)
end

local function escape(text)
  return (text:gsub("&", "&amp;"):gsub("<", "&lt;"))
end

local function words(x, y, text, style)
  add('<text x="%.1f" y="%.1f" %s>%s</text>', x, y, style or "", escape(text))
end

local function place(panel, value)
  value = math.max(LOW, math.min(HIGH, value))
  local part = math.log(value / LOW) / math.log(HIGH / LOW)
  return LEFT[panel] + part * PANEL
end

local function mark(series, x, y, title)
  local tip = "<title>" .. escape(title) .. "</title>"
  if series.shape == "diamond" then
    add('<path d="M%.1f %.1fl5 5l-5 5l-5 -5z" fill="%s">%s</path>', x, y - 5,
      series.colour, tip)
  elseif series.shape == "ring" then
    add('<circle cx="%.1f" cy="%.1f" r="4" fill="#fff" stroke="%s" ' ..
      'stroke-width="2">%s</circle>', x, y, series.colour, tip)
  else
    add('<circle cx="%.1f" cy="%.1f" r="5" fill="%s" stroke="#fff" ' ..
      'stroke-width="1">%s</circle>', x, y, series.colour, tip)
  end
end

local function drawn(numbers, list)
  local rows = {}
  for _, w in ipairs(list.workloads) do
    if w.others and w.id ~= "parked" and numbers:rounds(w.id) > 0 then
      rows[#rows + 1] = w
    end
  end
  return rows
end

local function scale(height)
  for panel = 1, 2 do
    words(LEFT[panel], TOP - 38, panel == 1 and "one session, one thread" or
      "two sessions, two threads", 'font-weight="600"')
    for _, tick in ipairs(TICKS) do
      local x = place(panel, tick[1])
      add('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" ' ..
        'stroke-width="%s"/>', x, TOP - 12, x, height,
        tick[1] == 1 and "#333" or "#ddd", tick[1] == 1 and "1.5" or "1")
      words(x, TOP - 18, tick[2], 'text-anchor="middle" fill="#555"')
    end
  end
end

local function legend()
  local x = 20
  for i = #SERIES, 1, -1 do
    local series = SERIES[i]
    mark(series, x, 56, series.title)
    words(x + 11, 60, series.title)
    x = x + 34 + 6.6 * #series.title
  end
end

local function dots(numbers, w, y)
  for panel = 1, 2 do
    for _, series in ipairs(SERIES) do
      local id, go = series.ids[panel], "go-" .. panel
      local value = id and (w.less and numbers:ratio(w.id, go, id) or
        numbers:ratio(w.id, id, go))
      if value then
        mark(series, place(panel, value), y, string.format("%s, %s: %.2f",
          w.title, series.title, value))
      end
    end
  end
end

return function(numbers, list)
  parts = {}
  local rows = drawn(numbers, list)
  local bottom = TOP + ROW * #rows
  add('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" ' ..
    'viewBox="0 0 %d %d" font-family="system-ui, Helvetica, Arial, ' ..
    'sans-serif" font-size="13" fill="#222">', WIDTH, bottom + 34, WIDTH,
    bottom + 34)
  add '<rect width="100%%" height="100%%" fill="#fff"/>'
  words(20, 30, "How many times as fast as Go",
    'font-size="18" font-weight="600"')
  legend()
  for i = 1, #rows do
    if i % 2 == 1 then
      add('<rect x="10" y="%.1f" width="%d" height="%d" fill="#f5f7fa"/>',
        TOP + ROW * (i - 1), WIDTH - 20, ROW)
    end
  end
  scale(bottom + 4)
  for i, w in ipairs(rows) do
    local y = TOP + ROW * (i - 0.5)
    words(20, y + 4.5, w.title)
    dots(numbers, w, y)
  end
  words(20, bottom + 22, string.format("Medians, %s, %s processors, %s. " ..
    "Logarithmic scale; further right is faster. Timers: processor time.",
    numbers.facts.processor or "?", numbers.facts.processors or "?",
    numbers.facts.date or "?"), 'font-size="11" fill="#555"')
  add "</svg>"
  local file = assert(io.open(PATH, "w"))
  file:write(table.concat(parts, "\n"), "\n")
  assert(file:close())
end
