-- wordcount.lua - counts the words of text files in parallel sessions.
-- SPDX-License-Identifier: MIT
--
-- What it shows: several sessions that take work from one channel;
-- back-pressure (the channel holds a few blocks, and the reader waits while
-- all sessions are busy, so memory stays small however large the files are);
-- results that come back as the return values of tasks.
--
-- How to run it:
--   ./dev run examples/wordcount.lua                     (the project's docs)
--   ./dev run examples/wordcount.lua --check --top 20 /usr/share/doc
--   ./dev run examples/wordcount.lua --sessions 2 'notes/*.txt' README.md
--
-- A word is a run of ASCII letters, digits, inner apostrophes and bytes from
-- 128 up (so UTF-8 letters belong to words; UTF-8 quotes and dashes do not).
-- Capital ASCII letters count as small ones. Files may hold any bytes.

local casting = require "casting"

local USAGE = [[
usage: wordcount.lua [options] [FILE | DIRECTORY | 'GLOB']...

  --top N        print the N most frequent words (default 10)
  --sessions N   count in N parallel sessions (default 4)
  --check        count again in one thread and compare; exit 1 if different
  --help         print this
  --             what follows are names, even if they begin with a dash

Without a name it counts the words of the project's own documents.
]]

local BLOCK = 256 * 1024 -- bytes read at once; a message is about as large
local WORD = "[%w\128-\255]['%w\128-\255]*"
local GAP = "[^'%w\128-\255]"

-- -------------------------------------------------------------- counting --

-- Adds the words of `text` to `counts`. Trailing apostrophes are left on, to
-- be dealt with once per different word in `tidy`.
local function tally(counts, text)
  text = text:lower()
  if text:find("\226", 1, true) then -- general punctuation, U+2000 to U+207F
    text = text:gsub("\226\128[\152\153]", "'")
    text = text:gsub("\226[\128\129][\128-\191]", " ")
  end
  for word in text:gmatch(WORD) do
    counts[word] = (counts[word] or 0) + 1
  end
end

-- The task that runs in every session: counts blocks until there are no more.
local function count_blocks(blocks)
  local counts = {}
  for block in blocks do
    tally(counts, block)
  end
  return counts
end

-- Sums several tables of counts; "users'" and "users" become one word.
local function tidy(tables)
  local sum = {}
  for _, counts in ipairs(tables) do
    for word, n in pairs(counts) do
      local bare = word:gsub("'+$", "")
      sum[bare] = (sum[bare] or 0) + n
    end
  end
  return sum
end

-- --------------------------------------------------------------- reading --

-- Calls emit(block) for block after block of a file, cut between words.
-- Returns true, or nil and what went wrong.
local function each_block(path, emit)
  local file, problem = io.open(path, "rb")
  if not file then
    return nil, problem
  end
  local pieces = {} -- the beginning of a word that goes on in the next block
  local block, why = file:read(BLOCK)
  while block do
    local cut = block:match("^.*()" .. GAP)
    if cut then
      pieces[#pieces + 1] = block:sub(1, cut)
      emit(table.concat(pieces), #block)
      pieces = { block:sub(cut + 1) }
    else
      pieces[#pieces + 1] = block
    end
    block, why = file:read(BLOCK)
  end
  file:close()
  if why then
    return nil, path .. ": " .. why
  end
  emit(table.concat(pieces), 0)
  return true
end

local function read_whole(path)
  local file = assert(io.open(path, "rb"))
  local text = assert(file:read("*a"))
  file:close()
  return text
end

-- ----------------------------------------------------------------- names --

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The names, each ended by a zero byte, that a shell command prints; sorted.
local function names_from(command)
  local names = {}
  local pipe = assert(io.popen(command, "r"))
  for name in pipe:read("*a"):gmatch("[^%z]+") do
    names[#names + 1] = name
  end
  pipe:close()
  table.sort(names)
  return names
end

local function expand_directory(path)
  if path:sub(1, 1) == "-" then
    path = "./" .. path
  end
  return names_from("find -L " .. quote(path) .. " -type f -print0")
end

-- Only the characters that make a glob reach the shell unquoted.
local function expand_glob(glob)
  local safe = glob:gsub("[^%w_./*?%[%]!^-]+", quote)
  return names_from(
    "for f in " .. safe .. '; do [ -e "$f" ] && printf "%s\\0" "$f"; done')
end

local function opens(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

-- Appends the files that `name` stands for to `files`.
local function expand(files, name)
  local found
  if opens(name .. "/.") then
    found = expand_directory(name)
  elseif name:find("[*?[]") and not opens(name) then
    found = {}
    for _, match in ipairs(expand_glob(name)) do
      expand(found, match)
    end
    if #found == 0 then
      found[1] = name -- reading it will say that there is no such file
    end
  else
    found = { name }
  end
  for _, file in ipairs(found) do
    files[#files + 1] = file
  end
end

local function own_documents()
  local here = arg[0]:match("^(.*)[/\\][^/\\]*$") or "."
  local files = {}
  for _, name in ipairs { here .. "/../README.md", here .. "/../docs" } do
    if opens(name) then
      expand(files, name)
    end
  end
  local documents = {}
  for _, name in ipairs(files) do
    if name:find("%.md$") then
      documents[#documents + 1] = name
    end
  end
  return documents
end

-- -------------------------------------------------------------- printing --

-- A function that shows progress on stderr, at most ten times a second, or
-- one that does nothing if stderr is not a terminal.
local function progress_meter(total)
  local status = package.config:sub(1, 1) == "/" and os.execute("test -t 2")
  if status ~= true and status ~= 0 then
    return function() end
  end
  local shown = 0
  return function(files, bytes, done)
    local now = casting.now()
    if done then
      io.stderr:write("\r\27[K")
    elseif now - shown >= 0.1 then
      shown = now
      io.stderr:write(string.format("\r%d of %d files, %.1f MB\27[K",
        files, total, bytes / 1e6))
    end
  end
end

local function print_top(counts, top)
  local words, total = {}, 0
  for word, n in pairs(counts) do
    words[#words + 1] = word
    total = total + n
  end
  table.sort(words, function(a, b)
    if counts[a] ~= counts[b] then
      return counts[a] > counts[b]
    end
    return a < b
  end)
  for i = 1, math.min(top, #words) do
    local word = words[i]
    if #word > 60 then
      word = word:sub(1, 57) .. "..."
    end
    print(string.format("%9d  %s", counts[words[i]], word))
  end
  return total, #words
end

-- ------------------------------------------------------------------ runs --

-- Counts in parallel. Returns the counts, the bytes read, and the files that
-- could be read.
local function count_parallel(files, sessions)
  local blocks = casting.channel(2 * sessions)
  local tasks = {}
  for i = 1, sessions do
    local session = casting.session { name = "counter " .. i }
    tasks[i] = session:spawn(count_blocks, blocks)
  end

  local bytes, readable = 0, {}
  local show = progress_meter(#files)
  for i, path in ipairs(files) do
    local ok, problem = each_block(path, function(block, size)
      bytes = bytes + size
      show(i, bytes)
      blocks:send(block) -- waits while the sessions are behind
    end)
    if ok then
      readable[#readable + 1] = path
    else
      io.stderr:write("wordcount: ", problem, "\n")
    end
  end
  blocks:close()

  local results = {}
  for i, task in ipairs(tasks) do
    results[i] = task:await()
  end
  show(#files, bytes, true)
  return tidy(results), bytes, readable
end

-- Counts again, file by file in one piece, without sessions or channels.
local function count_sequential(files)
  local counts = {}
  for _, path in ipairs(files) do
    tally(counts, read_whole(path))
  end
  return tidy { counts }
end

-- The first difference between two tables of counts, or nil.
local function difference(a, b)
  for word, n in pairs(a) do
    if b[word] ~= n then
      return string.format("%q: %d in parallel, %d sequentially",
        word, n, b[word] or 0)
    end
  end
  for word, n in pairs(b) do
    if not a[word] then
      return string.format("%q: 0 in parallel, %d sequentially", word, n)
    end
  end
end

-- --------------------------------------------------------------- options --

local function refuse(...)
  io.stderr:write("wordcount: ", string.format(...), "\n", USAGE)
  os.exit(2)
end

local function parse(args)
  local options = { top = 10, sessions = 4, names = {} }
  local i, only_names = 1, false
  while args[i] do
    local name = args[i]
    if only_names or name:sub(1, 1) ~= "-" then
      options.names[#options.names + 1] = name
    elseif name == "--" then
      only_names = true
    elseif name == "--check" then
      options.check = true
    elseif name == "--help" then
      io.write(USAGE)
      os.exit(0)
    elseif name == "--top" or name == "--sessions" then
      i = i + 1
      local n = tonumber(args[i])
      local least = name == "--top" and 0 or 1
      if not n or n < least or n > 1000000 or n % 1 ~= 0 then
        refuse("%s needs a whole number from %d up", name, least)
      end
      options[name:sub(3)] = n
    else
      refuse("unknown option %s", name)
    end
    i = i + 1
  end
  return options
end

local function main()
  local options = parse(arg)
  local files = {}
  if #options.names == 0 then
    files = own_documents()
  end
  for _, name in ipairs(options.names) do
    expand(files, name)
  end

  local start = casting.now()
  local counts, bytes, readable = count_parallel(files, options.sessions)
  local seconds = casting.now() - start

  local total, different = print_top(counts, options.top)
  print(string.format("%d words, %d different, in %d files of %.2f MB",
    total, different, #readable, bytes / 1e6))
  print(string.format("%.3f s in %d sessions", seconds, options.sessions))

  local good = #readable == #files
  if options.check then
    start = casting.now()
    local problem = difference(counts, count_sequential(readable))
    print(string.format("%.3f s sequentially", casting.now() - start))
    print(problem and "check: DIFFERENT: " .. problem or "check: equal")
    good = good and not problem
  end
  return good
end

if not main() then
  os.exit(1)
end
