-- 190: A server failed when its session had its limit of tasks, or no memory
-- left for a moment, because of its connections: all of them were cut, and the
-- listener stayed open with nobody behind it. A connection beyond the limit of
-- tasks was accepted and dropped. And a group that was made true again without
-- memory never ended.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local net, LONG = casting.net, helper.LONG
local failures = casting.channel(math.huge)
casting.on_error(failures)

local function server(options, f, how)
  local listener = assert(net.listen("127.0.0.1", 0))
  local session = casting.session(options)
  local task = session:spawn(function(l, f, how) return l:serve(f, how) end,
    listener, f, how)
  helper.until_true(function() return listener:stats().waiting > 0 end)
  return listener, task, session
end

local function connect(listener, line)
  local c = assert(net.connect(listener:name()))
  if line then c:write(line) end
  return c
end

local function echo(stream)
  local line = stream:read "l"
  if line then stream:write(line .. "\n") end
end

-- Six tasks: serve, the one that accepts, and four connections. The others
-- wait.
do
  local listener, task, session = server({tasks = 6}, echo)
  local clients = {} -- luacheck: ignore
  for i = 1, 10 do clients[i] = connect(listener) end
  helper.until_true(function() return listener:stats().accepted == 5 end)
  for i = 1, 10 do
    clients[i]:write(i .. "\n")
    assert(clients[i]:read("l", LONG) == tostring(i))
    clients[i]:close()
  end
  -- One that waits for a task does not keep the server from its end.
  for i = 1, 6 do clients[i] = connect(listener) end
  helper.until_true(function() return listener:stats().accepted == 15 end)
  listener:close()
  assert(clients[5]:read("a", LONG) == "")
  for i = 1, 4 do clients[i]:close() end
  assert(task:await(LONG) == true)
  session:close()
end

-- Tasks that a connection makes leave none for the one that accepts.
do
  local listener, task, session = server({tasks = 6}, function(stream)
    local tasks, stop = {}, casting.channel()
    for i = 1, 9 do
      local ok, t = pcall(casting.spawn, stop.receive, stop)
      tasks[i] = ok and t or nil
    end
    stream:write(#tasks .. "\n")
    stream:read "l"
    stop:close()
    for i = 1, #tasks do tasks[i]:join() end
    stream:write "end\n"
  end)
  local first = connect(listener)
  assert(tonumber(first:read("l", LONG)) == 3)
  local second = connect(listener)
  helper.until_true(function() return listener:stats().accepted == 2 end)
  first:write "\n"
  assert(first:read("l", LONG) == "end")
  assert(second:read("l", LONG) == "3")
  second:close()
  listener:close()
  assert(task:await(LONG) == true)
  session:close()
end

-- A connection holds all memory, down to pieces of so many bytes, until it is
-- told to let go. Others may fail meanwhile, each alone; where garbage is not
-- collected when memory is short, also a while after that.
for _, least in ipairs {1000, 500, 120} do
  local release = casting.channel()
  local listener, task, session = server({memory = 3e6}, function(stream)
    local line = stream:read "l"
    if line == "hog" then
      local all, n, rep = {}, 0, string.rep -- luacheck: ignore
      for i = 1, 3000 do all[i] = false end
      local function grow(size)
        all[n + 1] = rep("x", size) .. n
        n = n + 1
      end
      for _, size in ipairs {300000, 30000, 3000, 1000, 500, 250, 120} do
        while size >= least and pcall(grow, size) do end -- luacheck: ignore
      end
      pcall(release.receive, release)
      all = nil -- luacheck: ignore
    end
    stream:write "answer\n"
  end)
  local quiet, hog = connect(listener), connect(listener, "hog\n")
  helper.until_true(function() return listener:stats().accepted >= 2 end)
  local clients = {} -- luacheck: ignore
  for i = 1, 10 do clients[i] = connect(listener, "hello\n") end
  helper.until_true(function() return listener:stats().accepted >= 3 end)
  release:close()
  hog:read("a", LONG)
  quiet:close()
  local answer
  helper.until_true(function()
    answer = connect(listener, "later\n"):read("l", LONG)
    return answer == "answer" or task:status() == "failed"
  end)
  assert(answer == "answer")
  listener:close()
  assert(task:await(LONG) == true)
  session:close()
end
