-- run.lua - measures casting.http beside others; `./dev bench http` calls it.
-- SPDX-License-Identifier: MIT
--
-- In every round each workload is done by casting on both Luas and by what it
-- is compared with (workloads.lua), one after the other, each by a new load
-- generator with a new server (load.c); in every second round the other way
-- round.
--
-- Options:
--   --rounds N     default 5
--   --seconds S    how long a run measures; default 2; wrk has whole ones
--   --only A,B     only these workloads
--   --smoke        a moment of everything. Fails if any program does, or gives
--                  a wrong answer

local here = arg[0]:match "^(.*/)[^/]*$" or "./"
local tool = dofile(here .. "../compare/tool.lua")
local workloads = dofile(here .. "workloads.lua")

local options = tool.options("bench http", {rounds = 5, seconds = 2}, "smoke",
  "rounds seconds", "only")
if options.smoke then options.rounds, options.seconds = 1, 0.1 end

local BUILT = "build/compare"
local PLACES = {BUILT = BUILT, PEERS = BUILT .. "/http",
  SCRATCH = BUILT .. "/http/scratch"}
local LUAS = {{"lua5.4", "casting, 5.4"}, {"luajit", "casting, LuaJIT"}}

local failures = 0

local function with_places(text)
  return (text:gsub("@(%u+)", PLACES))
end

-- -- what is served -----------------------------------------------------------

local function must(command)
  if not os.execute(command .. " >/dev/null 2>&1") then
    error("bench http: failed: " .. command, 0)
  end
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function make_scratch()
  local folder = PLACES.SCRATCH
  must(("rm -rf %s && mkdir -m 700 %s %s/files"):format(folder, folder, folder))
  write(folder .. "/hello", "Hello, World!")
  write(folder .. "/files/file.txt", ("0123456789abcde\n"):rep(64))
  must(with_places("openssl req -x509 -newkey ec -pkeyopt " ..
    "ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2 " ..
    "-keyout @SCRATCH/cert.key -out @SCRATCH/cert.pem"))
end

-- -- runs ---------------------------------------------------------------------

local function casting(lua, args)
  return ("env 'LUA_PATH=%s/%s/?.lua;;' 'LUA_CPATH=%s/%s/?.so;;' %s " ..
    "bench/http/casting.lua %s"):format(BUILT, lua, BUILT, lua, lua, args)
end

-- The servers of a workload: {title, command}. Those of casting come first.
local function servers_of(w)
  local list = {}
  for _, lua in ipairs(LUAS) do
    list[#list + 1] = {lua[2], casting(lua[1], w.casting)}
  end
  for _, other in ipairs(w.others) do list[#list + 1] = other end
  for _, own in ipairs(w.own or {}) do
    for _, lua in ipairs(LUAS) do
      list[#list + 1] = {lua[2] .. ", " .. own[1], casting(lua[1], own[2])}
    end
  end
  return list
end

-- Runs it; returns the fields of its line, or nothing.
local function run(w, command)
  local line = with_places(
    ("timeout -k 2 300 %s/http-load %s --seconds %g%s -- %s"):format(BUILT,
    w.load, options.seconds, w.connections and " --connections " ..
    (options.smoke and 50 or w.connections) or "", command))
  local text = tool.output(line)
  local fields = {figure = tonumber(text:match "^[^\t\n]+\t([^\t]+)\t")}
  for key, number in text:gmatch "\t(%l+)=([^\t\n]+)" do
    fields[key] = tonumber(number)
  end
  if fields.figure and (fields.errors or 0) == 0 then return fields end
  failures = failures + 1
  io.stderr:write("bench http: failed: ", line, "\n", text, "\n")
end

-- All rounds of a workload: of each server a list of what each round got, or
-- false.
local function measure(w, servers)
  local got = {}
  for k = 1, #servers do got[k] = {} end
  for round = 1, w.once and 1 or options.rounds do
    for i = 1, #servers do
      local k = round % 2 == 1 and i or #servers + 1 - i
      got[k][round] = run(w, servers[k][2]) or false
    end
  end
  return got
end

-- -- the table ----------------------------------------------------------------

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

local function figure_of(rounds, field)
  local list = {}
  for _, fields in ipairs(rounds) do
    list[#list + 1] = fields and fields[field] or nil
  end
  return median(list)
end

-- The median of the rounds' own ratios.
local function ratio_of(a, b, field)
  local list = {}
  for round, fields in ipairs(a) do
    local others = b[round]
    if fields and others and fields[field] and others[field] then
      list[#list + 1] = fields[field] / others[field]
    end
  end
  return median(list)
end

-- What casting on a Lua is beside the k-th server: by rates, and by processor
-- time; above 1 it is better. It is not compared with casting on another Lua.
local function beside(w, got, i, k)
  if k <= #LUAS or w.own and (k - i) % #LUAS ~= 0 then return "" end
  return tool.ratio(ratio_of(got[i], got[k], "figure")) .. " / " ..
    tool.ratio(ratio_of(got[k], got[i], "cpu"))
end

local function row(w, servers, got, k)
  local figure, cpu = figure_of(got[k], "figure"), figure_of(got[k], "cpu")
  local busy = figure_of(got[k], "busy")
  local cells = {k == 1 and w.title or "", servers[k][1],
    figure and tool.human(figure) .. (w.unit or "/s") or "-",
    cpu and ("%.2f us"):format(cpu / 1000) or "-",
    busy and ("%.2f"):format(busy) or "-"}
  for i = 1, #LUAS do cells[#cells + 1] = beside(w, got, i, k) end
  cells[#cells + 1] = k > #LUAS and tool.ratio(w.asked) or ""
  print(tool.row(cells))
end

local function describe()
  for _, line in ipairs {{"nginx", "(nginx -v 2>&1) | sed 's,.*: nginx.,,'"},
    {"Go", "go version | sed 's/^go version go//'"}, {"Node", "node --version"},
    {"ws", "sed -n 's/.*\"version\": \"\\(.*\\)\".*/\\1/p' " ..
      with_places "@PEERS/node_modules/ws/package.json"},
    {"processor",
      "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1"},
    {"load", "uptime | sed 's/.*average: //'"}} do
    print(line[1] .. ": " .. tool.output(line[2]))
  end
end

local function main()
  make_scratch()
  describe()
  local titles = {"", "", "figure", "processor", "busy", "5.4 beside it",
    "LuaJIT beside it", "asked"}
  print("\n" .. tool.row(titles) .. "\n" .. tool.rule(#titles))
  for _, w in ipairs(workloads) do
    if tool.is_wanted(options.only, w.id) then
      local servers = servers_of(w)
      local got = measure(w, servers)
      for k = 1, #servers do row(w, servers, got, k) end
      io.stdout:flush()
    end
  end
end

local ok, why = pcall(main)
os.execute("rm -rf " .. PLACES.SCRATCH)
if not ok then io.stderr:write(tostring(why), "\n") end
if ok and failures == 0 and options.smoke then print "every program works" end
os.exit(ok and failures == 0 and 0 or 1)
