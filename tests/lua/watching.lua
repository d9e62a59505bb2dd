-- watching.lua - what tests of fs.watch have in common.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local LONG = helper.LONG

local watching = {}

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function lines_of(command)
  local pipe, list = io.popen(command), {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

-- The directory of a test.
local dir
function watching.make_directory()
  dir = lines_of("mktemp -d")[1]
  return dir
end
function watching.remove_directory()
  os.execute("rm -rf " .. quote(dir))
end

-- Runs lines of the shell in the directory.
function watching.sh(text)
  os.execute(("cd %s && { %s\n}"):format(quote(dir), text))
end

-- The events up to now, each as "kind path", with what is said of a directory
-- and of another name; `dir` is not shown. Such that are about END, a file that
-- is made and removed for this, are left out.
function watching.told(watch, where)
  local last = (where or dir) .. "/END"
  assert(io.open(last, "w")):close()
  os.remove(last)
  local list = {}
  local function shown(path)
    if path == dir then return "." end
    return path:sub(1, #dir + 1) == dir .. "/" and path:sub(#dir + 2) or path
  end
  repeat
    local event, why = watch:next(LONG)
    if not event then error("no event: " .. why, 2) end
    local text = event.kind
    if event.path then text = text .. " " .. shown(event.path) end
    if event.type == "directory" then text = text .. "/" end
    if event.from then text = text .. " < " .. shown(event.from) end
    if event.why then text = text .. ": " .. event.why end
    if event.path ~= last then list[#list + 1] = text end
  until event.path == last and event.kind == "removed"
  return list
end

-- How many things this process has the system watch.
function watching.count_watched()
  return #lines_of "grep -h '^inotify' /proc/$PPID/fdinfo/* 2>/dev/null"
end
function watching.count_watchers()
  return #lines_of "ls -l /proc/$PPID/fd | grep inotify"
end

-- What is there after an event: a table of the paths that was true before, with
-- how often each was told as made.
function watching.follow(there, kind, path, from)
  if kind == "made" then there[path] = (there[path] or 0) + 1 end
  if kind ~= "removed" and kind ~= "moved" then return there end
  local old, after = kind == "moved" and from or path, {}
  for name, n in pairs(there) do
    if name ~= old and name:sub(1, #old + 1) ~= old .. "/" then
      after[name] = (after[name] or 0) + n
    elseif kind == "moved" then
      local new = path .. name:sub(#old + 1)
      after[new] = (after[new] or 0) + n
    end
  end
  return after
end

watching.quote, watching.lines_of = quote, lines_of

-- Why fs.watch cannot be tested here; or nil.
function watching.missing()
  local first, unsupported = require "casting.fs".watch "/"
  if first then first:close() end -- these are counted
  if unsupported then return unsupported end
  return not helper.has_children() and "no other program can be started here"
end

return watching
