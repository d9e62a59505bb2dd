-- loggrep.lua - counts and finds lines in large files, in parallel sessions.
-- SPDX-License-Identifier: MIT
--
-- It counts lines, words and bytes, as wc does, and lines that match a pattern,
-- as grep does, and prints the first of these in their order.
--
-- What it shows: files that are read in pieces, each by its offset, so that
-- several sessions read one file; tasks that are handed pieces by a channel;
-- results that come back in any order and are put in order again.
--
-- A piece is BLOCK bytes of a file, and has the lines that begin in it. Where
-- its first line begins can be told from the byte before it; the last line is
-- read to its end, in the next piece.
--
-- How to run it:
--   ./dev run examples/loggrep.lua 'error%s+%d+' /var/log/*.log
--   ./dev run examples/loggrep.lua --plain --first 3 'GET /' access.log

local casting = require "casting"
local fs = require "casting.fs"

local USAGE = [[
usage: loggrep.lua [options] PATTERN FILE...

  --plain        the pattern is plain text, not a pattern of Lua's
  --first N      print the first N matching lines (default 10)
  --sessions N   read in N parallel sessions (default 2)
  --help         print this
  --             what follows is no option, even if it begins with a dash
]]

local BLOCK = 1024 * 1024 -- bytes of a piece
local MORE = 4096         -- bytes that are read at once to end a line

-- ------------------------------------------------------------- in sessions --

-- Takes pieces, {number=, path=, from=}, from a channel, and sends what it has
-- counted in each to another one. A file stays open until the next one comes.
local function count(pieces, results, options)
  local fs = require "casting.fs"
  local find, gsub, sub = string.find, string.gsub, string.sub
  local pattern, plain = options.pattern, options.plain
  local path, file, why

  -- The lines that begin in the piece, as one text; or nil and why.
  local function read(from)
    local before = from > 0 and 1 or 0
    local text, problem = file:read(options.block + before, from - before)
    if not text then return problem and nil or "", problem end
    if before == 1 and sub(text, 1, 1) ~= "\n" then
      local first = find(text, "\n", 2, true)
      if not first or first == #text then return "" end
      text = sub(text, first + 1)
    else
      text = sub(text, 1 + before)
    end
    local tail, at = {text}, from + options.block
    local last = text
    while sub(last, -1) ~= "\n" do
      last, problem = file:read(options.more, at)
      if problem then return nil, problem end
      if not last then break end
      at = at + #last
      local stop = find(last, "\n", 1, true)
      if stop then last = sub(last, 1, stop) end
      tail[#tail + 1] = last
    end
    return table.concat(tail)
  end

  local function lines_of(text)
    local n, at = -1, 0
    repeat
      n, at = n + 1, find(text, "\n", at + 1, true)
    until not at
    return n
  end

  -- A match must not cross lines: a pattern is tried on each line; a plain text
  -- is sought in all of them at once.
  local function matches_of(text, found)
    local n, at = 0, 1
    local function keep(from, to)
      n = n + 1
      if #found < options.first then found[#found + 1] = sub(text, from, to) end
    end
    while plain and at <= #text do
      local from = find(text, pattern, at, true)
      if not from then break end
      local stop = find(text, "\n", from, true) or #text + 1
      while from > at and sub(text, from - 1, from - 1) ~= "\n" do
        from = from - 1
      end
      keep(from, stop - 1)
      at = stop + 1
    end
    while not plain and at <= #text do
      local stop = find(text, "\n", at, true) or #text + 1
      if find(sub(text, at, stop - 1), pattern) then keep(at, stop - 1) end
      at = stop + 1
    end
    return n
  end

  for piece in pieces do
    if piece.path ~= path then
      if file then file:close() end
      path = piece.path
      file, why = fs.open(path)
    end
    local result = {number = piece.number, found = {}}
    local text, problem = nil, why
    if file then text, problem = read(piece.from) end
    if text then
      local _, words = gsub(text, "%S+", "")
      result.lines, result.words, result.bytes = lines_of(text), words, #text
      -- Whether a pattern is a good one shows only when it is used.
      local ok, n = pcall(matches_of, text, result.found)
      result.matches = n
      if not ok then result.problem = n:gsub("^[^ ]+:%d+: ", "") end
    else
      result.problem = problem
    end
    results:send(result)
  end
  if file then file:close() end
end

-- ----------------------------------------------------------------- in order --

-- Hands out the pieces of all files. `sizes[i]` is nil for one that cannot be
-- read. Two pieces behind each other are of one file, mostly.
local function hand_out(files, sizes, pieces)
  local number = 0
  for i, path in ipairs(files) do
    for from = 0, (sizes[i] or 0) - 1, BLOCK do
      number = number + 1
      pieces:send {number = number, path = path, from = from}
    end
  end
  pieces:close()
end

-- Takes the results, and calls take(file's number, result) in their order.
local function put_in_order(sizes, results, nfiles, take)
  local waiting, number = {}, 0
  for i = 1, nfiles do
    for _ = 0, (sizes[i] or 0) - 1, BLOCK do
      number = number + 1
      while not waiting[number] do
        local result = results:receive()
        waiting[result.number] = result
      end
      take(i, waiting[number])
      waiting[number] = nil
    end
  end
end

local function search(options)
  local files, sizes, sums = options.files, {}, {}
  local good, shown = true, 0
  local function complain(text)
    io.stderr:write("loggrep: ", text, "\n")
    good = false
  end
  for i, path in ipairs(files) do
    local info, why = fs.stat(path)
    if info and info.type ~= "file" then
      info, why = nil, path .. ": not a file, but a " .. info.type
    end
    if info then
      sizes[i] = info.size
      sums[i] = {matches = 0, lines = 0, words = 0, bytes = 0}
    else
      complain(why)
    end
  end

  local pieces = casting.channel(2 * options.sessions)
  local results = casting.channel(2 * options.sessions)
  local how = {pattern = options.pattern, plain = options.plain, block = BLOCK,
    more = MORE, first = options.first}
  local tasks = {}
  for i = 1, options.sessions do
    local session = casting.session {name = "reader " .. i}
    tasks[i] = session:spawn(count, pieces, results, how)
  end
  tasks[#tasks + 1] = casting.spawn(hand_out, files, sizes, pieces)

  put_in_order(sizes, results, #files, function(i, result)
    local sum = sums[i]
    if result.problem then
      if sum and not sum.failed then complain(result.problem) end
      if sum then sum.failed = true end
      return
    end
    for name, n in pairs(sum) do
      if name ~= "failed" then sum[name] = n + result[name] end
    end
    for _, line in ipairs(result.found) do
      if shown == options.first then break end
      shown = shown + 1
      print(#files > 1 and files[i] .. ":" .. line or line)
    end
  end)
  for _, task in ipairs(tasks) do task:await() end
  return sums, good
end

-- ---------------------------------------------------------------- printing --

local COLUMNS = {"matches", "lines", "words", "bytes"}

local function print_table(files, sums)
  local all, n = {name = "total"}, 0
  local function row(values)
    local out = {}
    for i, column in ipairs(COLUMNS) do
      local value = values[column]
      out[i] = ("%12s"):format(type(value) == "number" and
        ("%.0f"):format(value) or value)
    end
    print(table.concat(out) .. "  " .. values.name)
  end
  local head = {name = "file"}
  for _, column in ipairs(COLUMNS) do head[column], all[column] = column, 0 end
  row(head)
  for i, path in ipairs(files) do
    local sum = sums[i]
    if sum and not sum.failed then
      n = n + 1
      sum.name = path
      row(sum)
      for _, column in ipairs(COLUMNS) do
        all[column] = all[column] + sum[column]
      end
    end
  end
  if n > 1 then row(all) end
end

-- ----------------------------------------------------------------- options --

local function refuse(...)
  io.stderr:write("loggrep: ", string.format(...), "\n", USAGE)
  os.exit(2)
end

local function parse(args)
  local options = {first = 10, sessions = 2, files = {}}
  local i, only_names = 1, false
  while args[i] do
    local word = args[i]
    if only_names or word:sub(1, 1) ~= "-" then
      if not options.pattern then
        options.pattern = word
      else
        options.files[#options.files + 1] = word
      end
    elseif word == "--" then
      only_names = true
    elseif word == "--plain" then
      options.plain = true
    elseif word == "--help" then
      io.write(USAGE)
      os.exit(0)
    elseif word == "--first" or word == "--sessions" then
      i = i + 1
      local n, least = tonumber(args[i]), word == "--first" and 0 or 1
      if not n or n < least or n > 1000000 or n % 1 ~= 0 then
        refuse("%s needs a whole number from %d up", word, least)
      end
      options[word:sub(3)] = n
    else
      refuse("unknown option %s", word)
    end
    i = i + 1
  end
  if not options.pattern then refuse "a pattern is needed" end
  if #options.files == 0 then refuse "a file is needed" end
  return options
end

local options = parse(arg)
local sums, good = search(options)
print_table(options.files, sums)
if not good then os.exit(1) end
