-- workloads.lua - what `./dev bench http` measures, and on what.
-- SPDX-License-Identifier: MIT
--
-- A workload:
--   id, title
--   load         what the load generator does (load.c)
--   casting      the arguments of casting's server
--   others       what it is compared with: {title, command}
--   own          other arguments of casting's server that it is compared with,
--                on each Lua: {title, arguments}
--   asked        the ratio to each of the others that is aimed at
--   unit         of its figure, if that is not a rate
--   once         it is the same in each round
--   connections  how many, if not 64
-- In commands, a word in capitals behind "@" is one of the places that run.lua
-- knows.

local GO = "env GOMAXPROCS=1 @BUILT/http-go"
local NGINX = "sh bench/http/nginx.sh"
local FILE = "wrk --path /file.txt --like @SCRATCH/files/file.txt"
local CERTIFICATE = "@SCRATCH/cert.pem @SCRATCH/cert.key"

return {
  {id = "hello", title = "hello", load = "wrk --like @SCRATCH/hello", asked = 1,
    casting = "", others = {
      {"Go", GO},
      {"Node", "node bench/http/node.js"},
      {"nginx, Lua", NGINX .. " lua @PEERS/lua @SCRATCH"},
      {"cqueues", "lua5.4 bench/http/cqueues.lua"},
      {"luv", "lua5.4 bench/http/luv.lua"}}},
  {id = "kept", title = "a file of 1 KiB, kept", load = FILE, asked = 0.7,
    casting = "--files @SCRATCH/files --cache 60",
    others = {{"nginx", NGINX .. " kept @SCRATCH/files @SCRATCH"}}},
  {id = "file", title = "the same, not kept", load = FILE, asked = 0.7,
    casting = "--files @SCRATCH/files",
    others = {{"nginx", NGINX .. " files @SCRATCH/files @SCRATCH"}}},
  {id = "tls", title = "hello over TLS", asked = 0.8,
    load = "wrk --tls --like @SCRATCH/hello",
    casting = "--tls " .. CERTIFICATE,
    others = {{"Go", GO .. " " .. CERTIFICATE}}},
  {id = "websocket", title = "websocket, 64 bytes", load = "websocket",
    asked = 1, casting = "--websocket", others = {{"Node, ws",
      "env NODE_PATH=@PEERS/node_modules node bench/http/node.js websocket"}}},
  {id = "compute", title = "200 us of Lua, 2 sessions", asked = 1.7,
    load = "wrk --free --like @SCRATCH/hello",
    casting = "--compute 200 --sessions 2", others = {},
    own = {{"1 session", "--compute 200 --sessions 1"}}},
  {id = "idle", title = "an idle connection", load = "idle", unit = "B",
    once = true, connections = 5000, casting = "", others = {}},
}
