-- notes.lua - a web service: notes as JSON, kept in SQLite.
-- SPDX-License-Identifier: MIT
--
--   GET /notes                 {"notes": [...], "next": 20}: 20 notes at most,
--   GET /notes?after=20        the first ones, or those behind "next"
--   POST /notes                makes one: {"title": "...", "text": "..."}
--   GET, PUT, DELETE /notes/1  that one
--
-- What it shows: requests are handled in two sessions, so on two processors.
-- SQLite's functions block: so one session with a thread of its own has the
-- connection. What it is to do comes by a channel, and brings the channel for
-- its answer; tasks wait for that, and threads do not. When a signal ends the
-- program, requests that are under way are answered.
--
-- How to run it (Debian: lua-cjson, lua-sql-sqlite3):
--   ./dev run examples/notes.lua notes.db
--   curl -d '{"title": "Tea", "text": "Assam"}' http://127.0.0.1:8080/notes
--   curl http://127.0.0.1:8080/notes

local casting = require "casting"
local net = require "casting.net"
local process = require "casting.process"

local USAGE = [[
usage: notes.lua [options] FILE       keep notes in FILE, and serve them

  --host HOST     where to listen (default 127.0.0.1)
  --port PORT     the port (default 8080)
  --help          print this
]]

local BODY = 65536     -- bytes of a request's body
local PAGE = 20        -- notes in one answer
local PATIENCE = 10    -- seconds until the database takes a statement
local GRACE = 5        -- seconds for requests that are under way at the end

local function give_up(status, ...)
  io.stderr:write("notes: ", string.format(...), "\n")
  if status == 2 then io.stderr:write(USAGE) end
  os.exit(status)
end

-- A module that may not be there, and which package has it.
local function need(name, package)
  local ok, module = pcall(require, name)
  if ok then return module end
  local why = tostring(module):match "^[^\n]*":gsub(":$", "")
  give_up(1, "needs %s: %s", package, why)
end

package.path = (arg[0]:match "^.*/" or "./") .. "?.lua;" .. package.path
local router = require "router"
local http = need("casting.http", "casting.http")
local cjson = need("cjson", "lua-cjson")
need("luasql.sqlite3", "lua-sql-sqlite3")

-- -------------------------------------------------------------- database --

-- Runs in a session of its own: does the jobs that come until the channel is
-- closed. A job has statements, which are executed with nothing of others in
-- between: SQL, and a value for each "?" in it. The rows of the last one go to
-- its channel `answer`; or false, and what is wrong.
local function keep(file, jobs)
  local db, why = require("luasql.sqlite3").sqlite3():connect(file)
  if not db then error(why, 0) end

  local function execute(statement)
    local i = 1
    local sql = statement[1]:gsub("%?", function()
      i = i + 1
      local value = statement[i]
      if type(value) == "number" then return ("%.0f"):format(value) end
      return "'" .. db:escape(value) .. "'"
    end)
    local cursor, problem = db:execute(sql)
    if not cursor then error(problem, 0) end
    local rows = {}
    if type(cursor) == "number" then return rows end -- it has no rows at all
    for row in function() return cursor:fetch({}, "a") end do
      rows[#rows + 1] = row
    end
    return rows
  end

  -- LuaSQL begins a statement anew that has rows when the first one is fetched:
  -- so none may have rows and write ("returning").
  execute {[[create table if not exists notes (id integer primary key
    autoincrement, title text not null, text text not null)]]}
  for job in jobs do
    local ok, rows
    for _, statement in ipairs(job) do
      ok, rows = pcall(execute, statement)
      if not ok then break end
    end
    job.answer:send {ok and rows, not ok and rows or nil}
  end
  db:close()
end

-- Has the database execute statements: the rows of the last one.
local function query(jobs, ...)
  local answer = casting.channel(1)
  if not jobs:send({answer = answer, ...}, PATIENCE) then
    error("the database takes no job", 0)
  end
  local result = answer:receive()
  if not result[1] then error("SQLite: " .. result[2], 0) end
  return result[1]
end

-- -------------------------------------------------------------- requests --

local function answer(response, status, value)
  response.status = status
  response.headers["Content-Type"] = "application/json"
  response:write(cjson.encode(value) .. "\n")
end

local function refuse(response, status, why)
  answer(response, status, {error = why})
end

-- The number in a path or a query; nil: it is none.
local function read_number(text)
  return text and #text <= 15 and text:match "^%d+$" and tonumber(text)
end

-- C has strings that end with a zero byte.
local function is_text(value)
  return type(value) == "string" and not value:find("\0", 1, true)
end

-- The note in the body of a request; or nil, and the request was refused.
local function read_note(request, response)
  local body, why = request:read "a"
  if not body then
    return refuse(response, why == "too long" and 413 or 400, why)
  end
  local ok, note = pcall(cjson.decode, body)
  if not ok or type(note) ~= "table" then
    return refuse(response, 400, "the body is no JSON object")
  elseif not is_text(note.title) or note.title == "" then
    return refuse(response, 400, "title must be a text")
  elseif note.text ~= nil and not is_text(note.text) then
    return refuse(response, 400, "text must be a text")
  end
  return note.title, note.text or ""
end

local function list(jobs, request, response)
  local after = read_number(request.query.after or "0")
  if not after then return refuse(response, 400, "after must be a number") end
  local notes = query(jobs,
    {"select * from notes where id > ? order by id limit ?", after, PAGE + 1})
  local next_page
  if #notes > PAGE then
    notes[#notes] = nil
    next_page = notes[PAGE].id
  end
  if #notes == 0 then -- an empty table would be an object
    response.headers["Content-Type"] = "application/json"
    return response:write '{"notes":[]}\n'
  end
  answer(response, 200, {notes = notes, next = next_page})
end

local function create(jobs, request, response)
  local title, text = read_note(request, response)
  if not title then return end
  local note = query(jobs,
    {"insert into notes (title, text) values (?, ?)", title, text},
    {"select * from notes where id = last_insert_rowid()"})[1]
  response.headers.Location = ("/notes/%.0f"):format(note.id)
  answer(response, 201, note)
end

-- Answers with the note, if there is one.
local function the(note, response)
  if not note then return refuse(response, 404, "there is no such note") end
  answer(response, 200, note)
end

local function show(jobs, _, response, parameters)
  local id = read_number(parameters.id) or 0
  the(query(jobs, {"select * from notes where id = ?", id})[1], response)
end

local function change(jobs, request, response, parameters)
  local id = read_number(parameters.id) or 0
  local title, text = read_note(request, response)
  if not title then return end
  the(query(jobs,
    {"update notes set title = ?, text = ? where id = ?", title, text, id},
    {"select * from notes where id = ?", id})[1], response)
end

local function delete(jobs, _, response, parameters)
  local id = read_number(parameters.id) or 0
  local gone = query(jobs, {"delete from notes where id = ?", id},
    {"select changes() as n"})[1].n
  if gone == 0 then return refuse(response, 404, "there is no such note") end
  response.status = 204
end

local function make_handler(jobs)
  local function with(f)
    return function(...) return f(jobs, ...) end
  end
  return router.new {
    {"GET", "/notes", with(list)},
    {"POST", "/notes", with(create)},
    {"GET", "/notes/:id", with(show)},
    {"PUT", "/notes/:id", with(change)},
    {"DELETE", "/notes/:id", with(delete)},
  }
end

-- --------------------------------------------------------------- program --

local function read_arguments()
  local options, i = {host = "127.0.0.1", port = 8080}, 1
  while arg[i] do
    local name = arg[i]:match "^%-%-(.*)"
    if name == "help" then
      io.write(USAGE)
      os.exit(0)
    elseif name and not options[name] then
      give_up(2, "what is %s?", arg[i])
    elseif name then
      i = i + 1
      options[name] = arg[i] or give_up(2, "--%s needs a word", name)
    elseif options.file then
      give_up(2, "one FILE, please")
    else
      options.file = arg[i]
    end
    i = i + 1
  end
  local port = tonumber(options.port)
  if not port or port % 1 ~= 0 or port < 0 or port > 65535 then
    give_up(2, "%s is no port", options.port)
  end
  options.port = port
  return options.file and options or give_up(2, "which FILE?")
end

local options = read_arguments()
local jobs = casting.channel()
local database = casting.session {name = "database", thread = "own"}
  :spawn(keep, options.file, jobs)
local listener, why = net.listen(options.host, options.port)
if not listener then give_up(1, "cannot listen: %s", why) end

-- A database that fails, as at once if there can be no such file, and a signal
-- end the program.
local failure
casting.spawn(function()
  local ok, problem = database:join()
  failure = not ok and problem
  listener:close()
end)
local ends = process.signals("INT", "TERM")
casting.spawn(function()
  ends:receive()
  listener:close()
end)

print(("http://%s:%d/notes"):format(listener:name()))
io.stdout:flush()
http.serve(listener, make_handler(jobs),
  {sessions = 2, body = BODY, grace = GRACE})
jobs:close()
database:join()
if failure then give_up(1, "%s: %s", options.file, failure) end
