-- report.lua - writes the tables of docs/benchmarks.md from the raw numbers.
-- SPDX-License-Identifier: MIT
--
-- Only what stands between the markers is replaced; the prose around it is
-- written by hand and has no numbers.

local tool = dofile "bench/compare/tool.lua"
local ratio, human = tool.ratio, tool.human

local PATH = "docs/benchmarks.md"
local BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

local text

local function add(line)
  text[#text + 1] = line
end

-- A paragraph, filled with the arguments and broken into lines.
local function prose(format, ...)
  local line = ""
  add ""
  for word in format:format(...):gmatch "%S+" do
    if #line + #word >= 120 then
      add(line)
      line = ""
    end
    line = line .. (line == "" and "" or " ") .. word
  end
  add(line)
end

local function heading(title)
  add ""
  add("### " .. title)
end

local function row(cells)
  add(tool.row(cells))
end

local function head(...)
  add ""
  row { ... }
  add(tool.rule(select("#", ...)))
end

-- ---------------------------------------------------------------- tables --

local FACTS = { "processor", "processors", "memory", "kernel", "casting",
  "Lua 5.4", "LuaJIT", "Lua 5.1", "Go", "Erlang", "date" }

local function facts(numbers, list)
  local fewest, most = math.huge, 0
  for _, w in ipairs(list.workloads) do
    local n = numbers:rounds(w.id)
    if n > 0 then
      fewest, most = math.min(fewest, n), math.max(most, n)
    end
  end
  head("what", "")
  text[#text] = "| --- | --- |"
  for _, key in ipairs(FACTS) do
    row { key, numbers.facts[key] or "?" }
  end
  row { "rounds", ("%d to %d; figures are medians"):format(fewest, most) }
end

-- casting's columns: of every version in all places.
local function versions(list, places)
  local columns = {}
  for _, version in ipairs(list.LUAS) do
    for _, place in ipairs(places) do
      columns[#columns + 1] = { version = version, place = place,
        id = "casting-" .. version .. "-" .. place }
    end
  end
  return columns
end

local function short(version)
  return version == "luajit" and "JIT" or version
end

local SHORT = { same = "same", one = "1 w.", two = "2 w." }

-- A round's pair rate of Lua 5.4 is the median of those that its columns had.
local function pair_of(numbers, w, round)
  local pairs_ = {}
  for _, place in ipairs(w.places) do
    pairs_[#pairs_ + 1] = numbers:get(w.id, "casting-5.4-" .. place, "pair",
      round)
  end
  return numbers.median_of(pairs_)
end

local function pair_table(numbers, list)
  heading "Beside the pair rate"
  prose("Steps a second, divided by the resume/yield pairs a second that a " ..
    "bare coroutine of the same Lua makes (Go and Erlang: of Lua 5.4).")
  local columns = versions(list, { "same", "one", "two" })
  local titles = {}
  for i, c in ipairs(columns) do
    titles[i] = short(c.version) .. " " .. SHORT[c.place]
  end
  for _, t in ipairs { "Go 1", "Go 2", "Erl. 1", "Erl. 2" } do
    titles[#titles + 1] = t
  end
  head("workload", table.unpack(titles))
  for _, w in ipairs(list.workloads) do
    if w.pair and numbers:rounds(w.id) > 0 then
      local cells = { w.title }
      for _, c in ipairs(columns) do
        cells[#cells + 1] = ratio(numbers:ratio(w.id, c.id, c.id, "value",
          "pair"))
      end
      for _, id in ipairs { "go-1", "go-2", "erlang-1", "erlang-2" } do
        cells[#cells + 1] = ratio(numbers:median(w.id, function(round)
          local x, y = numbers:get(w.id, id, "value", round),
            pair_of(numbers, w, round)
          return x and y and x / y
        end))
      end
      row(cells)
    end
  end
end

local function has_others(w)
  return w.others and w.id ~= "parked"
end

-- How many times as fast as Go and Erlang; for CPU time how many times less.
local function others_table(numbers, list)
  heading "Beside Go and Erlang"
  prose("How many times as fast casting is as Go and Erlang: in one session " ..
    "beside one thread of theirs, in two sessions on two workers beside two " ..
    "threads. More is better. The last column is about the same program on " ..
    "plain coroutines: how many times as fast casting is as that.")
  local columns, titles = versions(list, { "same", "two" }), {}
  for _, other in ipairs { "Go", "Erl." } do
    for _, c in ipairs(columns) do
      titles[#titles + 1] = short(c.version) .. " / " ..
        other .. (c.place == "same" and " 1" or " 2")
    end
  end
  titles[#titles + 1] = "5.4 / bare"
  head("workload", table.unpack(titles))
  for _, w in ipairs(list.workloads) do
    if has_others(w) and numbers:rounds(w.id) > 0 then
      local cells = { w.title }
      for _, other in ipairs { "go", "erlang" } do
        for _, c in ipairs(columns) do
          local id = other .. (c.place == "same" and "-1" or "-2")
          local r = w.less and numbers:ratio(w.id, id, c.id) or
            numbers:ratio(w.id, c.id, id)
          cells[#cells + 1] = ratio(r)
        end
      end
      cells[#cells + 1] = ratio(numbers:ratio(w.id, "casting-5.4-same",
        "bare-5.4"))
      row(cells)
    end
  end
end

local function rates_table(numbers, list)
  heading "The figures themselves"
  prose("Steps a second; for the timers seconds of all processors. " ..
    "The pair rate of Lua 5.4, LuaJIT and 5.1 was %s, %s and %s.",
    human(numbers:value("pingpong", "casting-5.4-same", "pair")),
    human(numbers:value("pingpong", "casting-luajit-same", "pair")),
    human(numbers:value("pingpong", "casting-5.1-same", "pair")))
  local ids, titles = {}, {}
  for _, c in ipairs(versions(list, { "same", "two" })) do
    ids[#ids + 1] = c.id
    titles[#titles + 1] = short(c.version) .. " " ..
      SHORT[c.place]
  end
  for _, c in ipairs { { "bare-5.4", "bare 5.4" },
    { "bare-luajit", "bare JIT" }, { "go-1", "Go 1" }, { "go-2", "Go 2" },
    { "erlang-1", "Erl. 1" }, { "erlang-2", "Erl. 2" } } do
    ids[#ids + 1], titles[#titles + 1] = c[1], c[2]
  end
  head("workload", table.unpack(titles))
  for _, w in ipairs(list.workloads) do
    if has_others(w) and numbers:rounds(w.id) > 0 then
      local cells = { w.title }
      for _, id in ipairs(ids) do
        cells[#cells + 1] = human(numbers:value(w.id, id))
      end
      row(cells)
    end
  end
end

local function floors_table(numbers, list)
  heading "Beside what Lua itself needs"
  prose("The floor is the same without casting: bare coroutines made and " ..
    "finished, or parked; Lua states made with all libraries and closed, or " ..
    "kept. For rates more is better, for memory less.")
  head("what", "Lua", "casting", "floor", "ratio")
  for _, c in ipairs { { "spawn", "-same" }, { "cycle", "" }, { "parked", "" },
    { "live", "" } } do
    for _, w in ipairs(list.workloads) do
      if w.id == c[1] and numbers:rounds(w.id) > 0 then
        for _, version in ipairs(list.LUAS) do
          local id = "casting-" .. version .. c[2]
          row { w.title, list.TITLES[version], human(numbers:value(w.id, id)) ..
            (w.less and "B" or "/s"), human(numbers:value(w.id, id, "floor")) ..
            (w.less and "B" or "/s"),
            ratio(numbers:ratio(w.id, id, id, "value", "floor")) }
        end
      end
    end
  end
  prose("A parked goroutine takes %sB, a parked Erlang process %sB.",
    human(numbers:value("parked", "go-1")),
    human(numbers:value("parked", "erlang-1")))
end

-- ------------------------------------------------------------------ file --

return function(numbers, list)
  text = {}
  facts(numbers, list)
  add ""
  add "![speed beside Go](benchmarks.svg)"
  pair_table(numbers, list)
  others_table(numbers, list)
  floors_table(numbers, list)
  rates_table(numbers, list)
  add ""
  local file = assert(io.open(PATH))
  local old = file:read("*a")
  file:close()
  local first, last = old:find(BEGIN, 1, true), old:find(END, 1, true)
  assert(first and last, PATH .. " has lost its markers")
  file = assert(io.open(PATH, "w"))
  file:write(old:sub(1, first - 1), BEGIN, "\n", table.concat(text, "\n"), "\n",
    old:sub(last))
  assert(file:close())
end
