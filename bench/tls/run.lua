-- run.lua - measures casting.tls beside nginx and a server in C; `./dev bench
-- tls` calls it.
-- SPDX-License-Identifier: MIT
--
-- In every round each workload is done by casting and by what it is compared
-- with, one after the other, each by a new load generator with a new server
-- (load.c); in every second round the other way round.
--
-- Options:
--   --rounds N     default 5
--   --seconds S    about how long a run measures; default 1
--   --only A,B     only these workloads
--   --smoke        a few steps of everything. Fails if any program does

local here = arg[0]:match "^(.*/)[^/]*$" or "./"
local tool = dofile(here .. "../compare/tool.lua")

local options = tool.options("bench tls", {rounds = 5, seconds = 1}, "smoke",
  "rounds seconds", "only")

local BUILT = "build/compare/"
local SCRATCH = BUILT .. "tls/"
local LUA = ("LUA_PATH='%slua5.4/?.lua;;' LUA_CPATH='%slua5.4/?.so;;'")
  :format(BUILT, BUILT)
local BYTES = 5e8 -- for each second

-- What is run for a workload: `load`, with the seconds or bytes behind it; its
-- peer; the kind of key; and the arguments of casting's server.
local workloads = {
  {id = "ec", title = "full handshakes, P-256", peer = "nginx", key = "ec",
    load = "handshakes"},
  {id = "rsa", title = "full handshakes, RSA 2048", peer = "nginx", key = "rsa",
    load = "handshakes"},
  {id = "polite", title = "the same with P-256 and goodbyes", peer = "nginx",
    key = "ec", load = "handshakes --polite"},
  {id = "get16", title = "sending, 16 KiB a write", peer = "c", key = "ec",
    load = "get", args = "16384"},
  {id = "get64", title = "sending, 64 KiB a write", peer = "c", key = "ec",
    load = "get", args = "65536"},
  {id = "put", title = "receiving", peer = "c", key = "ec", load = "put"},
  {id = "idle", title = "5,000 idle connections", peer = "nginx", key = "ec",
    load = "idle", idle = 5000},
  {id = "kept", title = "the same with buffers", peer = "nginx", key = "ec",
    load = "idle", idle = 5000, args = "--buffers"},
}

local failures = 0

-- -- certificates -------------------------------------------------------------

local function must(command)
  local ok = os.execute(command .. " >/dev/null 2>&1")
  if not ok then error("bench tls: failed: " .. command, 0) end
end

local function make_certificates()
  must("rm -rf " .. SCRATCH .. " && mkdir -m 700 " .. SCRATCH)
  for name, kind in pairs {ec = "ec -pkeyopt ec_paramgen_curve:P-256",
    rsa = "rsa:2048"} do
    must(("openssl req -x509 -newkey %s -nodes -subj /CN=localhost -days 2 " ..
      "-keyout %s.key -out %s.pem"):format(kind, SCRATCH .. name,
      SCRATCH .. name))
  end
end

-- -- runs ---------------------------------------------------------------------

local function server(w, column)
  local identity = SCRATCH .. w.key .. ".pem " .. SCRATCH .. w.key .. ".key"
  if column == "c" then return BUILT .. "tls-server " .. identity end
  if column == "nginx" then
    return "sh bench/tls/nginx.sh " .. identity .. " " .. SCRATCH
  end
  return "lua5.4 bench/tls/casting.lua " .. identity .. " " .. (w.args or "")
end

local function load(w)
  local seconds = options.smoke and 0.05 or options.seconds
  if w.idle then
    return w.load .. " --connections " .. (options.smoke and 50 or w.idle)
  elseif w.peer == "c" then
    return ("%s --bytes %.0f"):format(w.load, BYTES * seconds)
  end
  return w.load .. " --seconds " .. seconds
end

-- Runs it; returns its figure and the processor time of a step, or nothing.
local function run(w, column)
  local line = ("%s timeout -k 2 300 %stls-load %s -- %s"):format(LUA, BUILT,
    load(w), server(w, column))
  local text = tool.output(line)
  local figure = tonumber(text:match "^[^\t\n]+\t([^\t]+)\t")
  if not figure or (tonumber(text:match "errors=(%d+)") or 0) > 0 then
    failures = failures + 1
    io.stderr:write("bench tls: failed: ", line, "\n", text, "\n")
    return nil
  end
  return figure, tonumber(text:match "cpu=([%d.]+)")
end

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

-- Lists of numbers, one of each round.
local function lists()
  return {figure = {}, cpu = {}}
end

-- One round; adds to the numbers of casting, of the peer, and to their ratios:
-- above 1 casting is better.
local function measure(w, round, ours, theirs, ratios)
  local got = {}
  for k = 1, 2 do
    local column = (round + k) % 2 == 0 and "casting" or w.peer
    got[column] = {run(w, column)}
  end
  local a, b = got.casting, got[w.peer]
  if not a[1] or not b[1] then return end
  local function add(field, x, y)
    if not x then return end
    table.insert(ours[field], x)
    table.insert(theirs[field], y)
    table.insert(ratios[field], x / y)
  end
  add("figure", a[1], b[1])
  add("cpu", a[2], b[2])
end

-- -- the table ----------------------------------------------------------------

local function cells_of(list, unit)
  local x = median(list)
  return x and tool.human(x) .. unit or "-"
end

-- The processor time of a handshake, or of a byte.
local function cpu_of(w, list)
  local x = median(list)
  if not x then return "-" end
  if w.peer == "c" then return ("%.3f ns"):format(x) end
  return ("%.0f us"):format(x / 1000)
end

local function row(w)
  local ours, theirs, ratios = lists(), lists(), lists()
  -- Memory is the same in each round.
  for round = 1, (options.smoke or w.idle) and 1 or options.rounds do
    measure(w, round, ours, theirs, ratios)
  end
  local unit = w.idle and "B" or w.peer == "c" and "B/s" or "/s"
  local cpu = median(ratios.cpu)
  print(tool.row {w.title, w.peer, cells_of(ours.figure, unit),
    cells_of(theirs.figure, unit), tool.ratio(median(ratios.figure)),
    cpu_of(w, ours.cpu), cpu_of(w, theirs.cpu), tool.ratio(cpu and 1 / cpu)})
end

local function main()
  make_certificates()
  for _, line in ipairs {{"OpenSSL", "openssl version"},
    {"nginx", "(nginx -v 2>&1) | sed 's,.*: nginx.,,'"}, {"processor",
      "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1"},
    {"load", "uptime | sed 's/.*average: //'"}} do
    print(line[1] .. ": " .. tool.output(line[2]))
  end
  local titles = {"", "beside", "casting", "it", "ratio", "casting, processor",
    "it, processor", "ratio"}
  print("\n" .. tool.row(titles) .. "\n" .. tool.rule(#titles))
  for _, w in ipairs(workloads) do
    if tool.is_wanted(options.only, w.id) then row(w) end
  end
end

local ok, why = pcall(main)
os.execute("rm -rf " .. SCRATCH)
if not ok then io.stderr:write(tostring(why), "\n") end
if ok and failures == 0 and options.smoke then print "every program works" end
os.exit(ok and failures == 0 and 0 or 1)
