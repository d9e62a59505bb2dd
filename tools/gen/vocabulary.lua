-- vocabulary.lua - renames what tools/gen/vocabulary.txt lists, everywhere.
-- SPDX-License-Identifier: MIT
--
--   lua tools/gen/vocabulary.lua [-n] [FILE ...]    any Lua version
--
-- Runs in the root of a checkout: moves files with git, then changes the files
-- given, or all that the rules are about. Doing it twice changes nothing, so
-- it can be repeated on work that was begun before the renaming, after a merge
-- or a rebase. With -n it only says which files would change. Afterwards:
-- ./dev format.
--
-- A rule is a line of vocabulary.txt; `in` names the files that it is about, by
-- a beginning of their paths, old or new:
--
--   file OLD NEW               a path; the file's name changes wherever it is
--                              mentioned, and the macro that guards a header
--   name OLD NEW [in ...]      a word wherever it stands: code, comments, prose
--   member OLD NEW [in ...] [not ...]
--                              of a struct: where it is declared, after -> and
--                              ., in CAST_CONTAINER and offsetof, and `quoted`
--                              in comments; not behind the variables or members
--                              that `not` lists
--   local OLD NEW in ...       a function, variable, type or constant: in code,
--                              but for members, and in comments if it is `OLD`
--                              or OLD()
--   text OLD => NEW [@ ...]    words in comments and prose

local dry, only = false, {}
for _, a in ipairs(arg) do
  if a == "-n" then dry = true else only[#only + 1] = a end
end

local function lines_of(command)
  local p = assert(io.popen(command))
  local all = {}
  for l in p:lines() do all[#all + 1] = l end
  p:close()
  return all
end

local function read(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  local s = f:read "*a"
  f:close()
  return s
end

-- -- rules --------------------------------------------------------------------

local files, names, members, locals, texts = {}, {}, {}, {}, {}
local old_path = {} -- new path -> old path

local function guard_of(path)
  return "CAST_" .. path:match "([^/]+)%.h$":upper() .. "_H"
end

local function add(to, rule)
  local of = to[rule.old] or {}
  to[rule.old] = of
  of[#of + 1] = rule
end

local function parse(line, where)
  local old, new, at = line:match "^text%s+(.-)%s+=>%s*(.*)$"
  if old then
    local text, files_of = new:match "^(.-)%s*@%s*(.*)$"
    local rule = {old = old, new = text or new}
    if files_of then
      rule.where = {}
      for w in files_of:gmatch "%S+" do rule.where[#rule.where + 1] = w end
    end
    texts[#texts + 1] = rule
    return
  end
  local words = {}
  for w in line:gmatch "%S+" do words[#words + 1] = w end
  local kind = words[1]
  assert(#words >= 3, where .. "three words at least")
  local rule = {old = words[2], new = words[3]}
  for i = 4, #words do
    if words[i] == "in" or words[i] == "not" then
      at = {}
      rule[words[i] == "in" and "where" or "unless"] = at
    else
      at[#at + 1] = words[i]
    end
  end
  if rule.unless then
    for _, w in ipairs(rule.unless) do rule.unless[w] = true end
  end
  if kind == "file" then
    files[#files + 1] = rule
    old_path[rule.new] = rule.old
    local from, to = rule.old:match "[^/]+$", rule.new:match "[^/]+$"
    if from ~= to then add(names, {old = from, new = to}) end
    if rule.old:match "%.h$" then
      add(names, {old = guard_of(rule.old), new = guard_of(rule.new)})
    end
  elseif kind == "name" then
    add(names, rule)
  elseif kind == "member" then
    add(members, rule)
  elseif kind == "local" then
    assert(rule.where, where .. "in which files?")
    add(locals, rule)
  else
    error(where .. "what is " .. kind .. "?")
  end
end

local table_file = arg[0]:gsub("%.lua$", ".txt")
local number = 0
for line in io.lines(table_file) do
  number = number + 1
  if line:match "%S" and not line:match "^#" then
    parse(line, table_file .. ":" .. number .. ": ")
  end
end

local function applies(rule, path)
  if not rule.where then return true end
  for _, w in ipairs(rule.where) do
    if path:sub(1, #w) == w then return true end
    local old = old_path[path]
    if old and old:sub(1, #w) == w then return true end
  end
  return false
end

-- The rule for that word in that file, behind `receiver` if it is a member; or
-- nil.
local function rule_of(set, word, path, receiver)
  for _, rule in ipairs(set[word] or {}) do
    if applies(rule, path) and
      not (rule.unless and receiver and rule.unless[receiver]) then
      return rule
    end
  end
  return nil
end

-- -- comments and prose -------------------------------------------------------

-- Words by rules of the kind `name`; a file's name is a word, too.
local function change_names(s, path)
  return (s:gsub("[%w_]+%.?[%w_]*", function(word)
    local rule = rule_of(names, word, path)
    if rule then return rule.new end
    local first, rest = word:match "^([%w_]+)(%..*)$"
    if not first then return nil end
    rule = rule_of(names, first, path)
    local last = rest:sub(2)
    local other = rule_of(names, last, path)
    if not rule and not other then return nil end
    return (rule and rule.new or first) .. "." .. (other and other.new or last)
  end))
end

local function change_quoted(s, path)
  s = s:gsub("`([%w_]+)`", function(word)
    local rule = rule_of(members, word, path) or rule_of(locals, word, path)
    return rule and "`" .. rule.new .. "`"
  end)
  s = s:gsub("([%w_]+)(%-?[>.])([%w_]+)", function(before, dot, word)
    local rule = rule_of(members, word, path, before)
    return rule and before .. dot .. rule.new
  end)
  return (s:gsub("%f[%w_]([%w_]+)%(", function(word)
    local rule = rule_of(locals, word, path)
    return rule and rule.new .. "("
  end))
end

local function pattern_of(words)
  return (words:gsub("%p", "%%%0"):gsub("%s+", "(%%s+)"))
end

local function change_texts(s, path)
  for _, rule in ipairs(texts) do
    if applies(rule, path) then
      local first = rule.old:match "^[%w_]" and "%f[%w_]" or ""
      local last = rule.old:match "[%w_]$" and "%f[^%w_]" or ""
      local pattern = "()" .. first .. pattern_of(rule.old) .. last .. "()( ?)"
      s = s:gsub(pattern, function(...)
        local got = {...}
        local space, text = got[#got], rule.new
        -- A line's end within the words comes behind them, or before.
        for i = 2, #got - 2 do
          if got[i]:find "\n" then
            if space == " " then
              space = got[i]
            elseif text:find " " then
              text = text:gsub(" ([^ ]*)$", function(w) return got[i] .. w end)
            else
              text = got[i] .. text
            end
          end
        end
        return text .. space
      end)
    end
  end
  return s
end

local function length(s) return #(s:gsub("[\128-\191]", "")) end

-- Words that are beyond the margin go to the next line of their paragraph.
local function wrap(s, column, width, prose)
  if not s:find "\n" and column + length(s) <= width then return s end
  local all = {}
  for line in (s .. "\n"):gmatch "(.-)\n" do all[#all + 1] = line end
  local i = 1
  while i <= #all do
    local line = all[i]
    local start = i == 1 and column or 0
    local indent = line:match "^%s*"
    if i == 1 and not prose then indent = (" "):rep(start) .. "   " end
    local marker = line:gsub("^%s*", ""):match "^[%d]*[.-] +" or ""
    local ruler = line:match "^/%* %-%- "
    if start + length(line) > width and not ruler then
      local cut
      for at in line:gsub(" %*/$", "_*/"):gmatch "() " do
        if start + length(line:sub(1, at - 1)) <= width and at > #indent then
          cut = at
        end
      end
      if cut and line:sub(1, cut):match "%S" then
        local over = line:sub(cut + 1)
        local next_line = all[i + 1]
        all[i] = line:sub(1, cut - 1)
        indent = indent .. (" "):rep(#marker)
        if next_line and next_line:match "%S" and
          next_line:match "^%s*" == indent and
          not next_line:match "^%s*SPDX" and
          not next_line:match "^%s*%d+%. " and
          not next_line:match "^%s*%- " and not next_line:match "%S   " then
          all[i + 1] = indent .. over .. " " .. next_line:sub(#indent + 1)
        else
          table.insert(all, i + 1, indent .. over)
        end
      end
    end
    i = i + 1
  end
  return table.concat(all, "\n")
end

local function change_comment(s, path)
  return change_texts(change_quoted(change_names(s, path), path), path)
end

-- -- C ------------------------------------------------------------------------

-- Tokens: {kind, text}; kind: space, comment, string, word, sign.
local function tokens_of(s)
  local all, at = {}, 1
  local function take(kind, to)
    all[#all + 1] = {kind, s:sub(at, to)}
    at = to + 1
  end
  while at <= #s do
    local c = s:sub(at, at)
    if s:find("^/%*", at) then
      take("comment", (select(2, s:find("*/", at + 2, true))))
    elseif s:find("^%s", at) then
      take("space", (select(2, s:find("^%s+", at))))
    elseif s:find("^[%a_]", at) then
      take("word", (select(2, s:find("^[%w_]+", at))))
    elseif s:find("^%d", at) then
      take("sign", (select(2, s:find("^[%w_.]+", at))))
    elseif c == '"' or c == "'" then
      local to = at + 1
      while s:sub(to, to) ~= c do
        to = to + (s:sub(to, to) == "\\" and 2 or 1)
      end
      take("string", to)
    elseif s:find("^%->", at) then
      take("sign", at + 1)
    else
      take("sign", at)
    end
  end
  return all
end

-- Is the word at i a member that is declared, used, or named to a macro?
local function member_at(all, i, before, body, calls)
  local p, q = all[before[1]], all[before[2]]
  local n = i + 1
  while all[n] and (all[n][1] == "space" or all[n][1] == "comment") do
    n = n + 1
  end
  local next_sign = all[n] and all[n][2] or ""
  if p and (p[2] == "->" or p[2] == ".") then return true, q and q[2] end
  local call = calls[#calls]
  if call and p and p[2] == "," then
    if call.of == "CAST_CONTAINER" and call.commas == 2 then return true end
    if call.of == "offsetof" and call.commas == 1 then return true end
  end
  if body ~= "struct" then return false end
  if call then
    return #calls == 1 and next_sign == ")" and p ~= nil and p[2] == "*" and
      q ~= nil and q[2] == "("
  end
  return next_sign:match "^[;,%[:]$" ~= nil
end

local function change_c(s, path)
  local all = tokens_of(s)
  local bodies, calls, before = {}, {}, {}
  local depth = {}
  for i, t in ipairs(all) do
    local kind, text = t[1], t[2]
    if kind == "comment" then
      t[2] = change_comment(text, path)
      t.changed = t[2] ~= text
    elseif kind == "string" then
      local p, q = all[before[1]], all[before[2]]
      if p and p[2] == "include" and q and q[2] == "#" then
        t[2] = change_names(text, path)
      end
    elseif kind == "word" then
      local is, of = member_at(all, i, before, bodies[#bodies], calls)
      local rule = rule_of(names, text, path)
      if not rule and is then
        rule = rule_of(members, text, path, of)
      elseif not rule then
        rule = rule_of(locals, text, path)
      end
      if rule then t[2] = rule.new end
    elseif text == "{" then
      local body = "code"
      for back = 1, 2 do
        local p = all[before[back]]
        local w = p and p.was or p and p[2]
        if w == "struct" or w == "union" then body = "struct" end
        if back == 1 and p and p[1] ~= "word" then break end
      end
      bodies[#bodies + 1] = body
      depth[#depth + 1] = calls
      calls = {}
    elseif text == "}" then
      bodies[#bodies] = nil
      calls = table.remove(depth) or {}
    elseif text == "(" then
      local p = all[before[1]]
      calls[#calls + 1] = {of = p and p[2] or "", commas = 0}
    elseif text == ")" then
      calls[#calls] = nil
    elseif text == "," and #calls > 0 then
      calls[#calls].commas = calls[#calls].commas + 1
    end
    if kind ~= "space" and kind ~= "comment" then
      before = {i, before[1]}
    end
  end
  local out, column = {}, 0
  for _, t in ipairs(all) do
    -- Those behind code are left to the writer.
    local alone = (out[#out] or "\n"):find "\n"
    if t.changed and alone then t[2] = wrap(t[2], column, 80) end
    out[#out + 1] = t[2]
    local last = t[2]:match "\n([^\n]*)$"
    column = last and #last or column + #t[2]
  end
  return table.concat(out)
end

-- -- everything ---------------------------------------------------------------

local function change_prose(s, path)
  if not path:match "%.md$" then return change_comment(s, path) end
  local out, block, fenced, table_row = {}, {}, false, false
  local function flush()
    if #block > 0 then
      local old = table.concat(block, "\n")
      local new = change_comment(old, path)
      if new ~= old and not fenced and not table_row then
        new = wrap(new, 0, 120, true)
      end
      out[#out + 1] = new
    end
    block = {}
  end
  for line in s:gmatch "([^\n]*)\n" do
    local fence, row = line:match "^```" ~= nil, line:match "^[|#]" ~= nil
    if fence or row ~= table_row or not line:match "%S" then flush() end
    table_row = row
    if fence then
      out[#out + 1] = line
      fenced = not fenced
    elseif not line:match "%S" then
      out[#out + 1] = line
    else
      block[#block + 1] = line
    end
  end
  flush()
  return table.concat(out, "\n") .. "\n"
end

local function is_ours(path)
  if path:match "^tools/gen/vocabulary" or path == "src/lua/lib/embedded.c" or
    path == "src/os/switch.h" or path == "docs/GLOSSARY.md" then
    return false
  end
  return path:match "^src/" or path:match "^tests/unit/" or
    path:match "^tests/fuzz/" or path:match "^tests/model/" or
    path:match "^docs/[^/]*%.md$" or path:match "^tools/" or
    path:match "^bench/.*%.[ch]$" or
    path:match "^[%w_.-]*%.rockspec$" or path == "CMakeLists.txt" or
    path == "CONTRIBUTING.md" or path == "dev"
end

local function main()
  if not dry then
    for _, rule in ipairs(files) do
      if read(rule.old) then
        assert(not read(rule.new), rule.new .. " is there already")
        local rc = os.execute(("git mv '%s' '%s'"):format(rule.old, rule.new))
        assert(rc == 0 or rc == true, rule.old)
      end
    end
  end
  if #only == 0 then only = lines_of "git ls-files" end
  for _, path in ipairs(only) do
    local s = is_ours(path) and read(path)
    if s then
      local new
      if path:match "%.[ch]$" then
        new = change_c(s, path)
      else
        new = change_prose(s, path)
      end
      if new ~= s then
        print(path)
        if not dry then
          local f = assert(io.open(path, "wb"))
          f:write(new)
          f:close()
        end
      end
    end
  end
end

main()
