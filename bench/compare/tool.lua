-- tool.lua - what `./dev bench compare` and `./dev bench net` share.
-- SPDX-License-Identifier: MIT
--
-- Options, commands and their output, facts about the machine, and the texts of
-- tables.

local tool = {}

-- Reads the options of the program into `options`: `flags` is a list of words
-- in blanks; a number or a word follows those of the other two.
function tool.options(title, options, flags, numbers, words)
  local function is(list, name)
    return (" " .. list .. " "):find(" " .. name .. " ", 1, true)
  end
  local i = 1
  while arg[i] do
    local name = arg[i]:match "^%-%-(%l+)$" or "?"
    if is(flags, name) then
      options[name] = true
    elseif is(numbers, name) then
      i = i + 1
      options[name] = assert(tonumber(arg[i]), "--" .. name ..
        " needs a number")
    elseif is(words, name) then
      i = i + 1
      options[name] = assert(arg[i], "--" .. name .. " needs a word")
    else
      io.stderr:write(title, ": unknown option ", arg[i], "\n")
      os.exit(2)
    end
    i = i + 1
  end
  return options
end

-- What a command prints, without the blanks at its end.
function tool.output(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null"))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

-- Is a word in the list of --only, or is there no such list?
function tool.is_wanted(only, id)
  return not only or ("," .. only .. ","):find("," .. id .. ",", 1, true)
end

-- ----------------------------------------------------------------- facts --

-- Notes what a command prints, or the part of it that matches.
function tool.fact(numbers, key, command, pattern)
  local text = tool.output(command)
  numbers:fact(key, pattern and text:match(pattern) or text)
end

-- What the machine is; nothing that names it.
function tool.machine(numbers)
  tool.fact(numbers, "date", "date -u +%Y-%m-%d")
  tool.fact(numbers, "processor",
    "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo", "^[^\n]+")
  tool.fact(numbers, "processors", "nproc")
  tool.fact(numbers, "memory", "sed -n 's/^MemTotal: *//p' /proc/meminfo")
  tool.fact(numbers, "kernel", "uname -sr", "^%S+ %d+%.%d+")
  tool.fact(numbers, "casting",
    "sed -n 's/.*define CASTING_VERSION \"\\(.*\\)\"/\\1/p' include/casting.h")
end

-- ---------------------------------------------------------------- tables --

function tool.ratio(x)
  if not x then
    return "-"
  end
  return (x >= 10 and "%.0f" or x >= 0.095 and "%.2f" or "%.3f"):format(x)
end

function tool.human(x)
  if not x then
    return "-"
  elseif x >= 1e6 then
    return ("%.3g M"):format(x / 1e6)
  elseif x >= 1e3 then
    return ("%.3g k"):format(x / 1e3)
  end
  return ("%.3g"):format(x)
end

function tool.row(cells)
  return "| " .. table.concat(cells, " | ") .. " |"
end

-- The line below the titles of so many columns, of which the first is text.
function tool.rule(n)
  return "| --- |" .. (" --: |"):rep(n - 1)
end

return tool
