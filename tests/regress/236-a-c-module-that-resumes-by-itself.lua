-- 236: Where a C module resumed a coroutine by itself, and that another one, a
-- task that computed in the inner one gave way, or was ended, by a yield up to
-- the module, which knew nothing of it; and what ran next was taken for another
-- coroutine.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
if helper.jit or not helper.has_children() then return end
casting.on_error(casting.channel(math.huge)) -- it is cancelled on purpose

local base = os.tmpname()
helper.spit(base .. ".c", [[
typedef struct lua_State lua_State;
extern lua_State *lua_newthread(lua_State *);
extern void lua_pushvalue(lua_State *, int);
extern void lua_pushboolean(lua_State *, int);
extern void lua_pushcclosure(lua_State *, int (*)(lua_State *), int);
extern void lua_xmove(lua_State *, lua_State *, int);
#if LUA >= 504
extern int lua_resume(lua_State *, lua_State *, int, int *);
#define RESUME(co, from, n) lua_resume(co, from, 0, n)
#elif LUA >= 502
extern int lua_resume(lua_State *, lua_State *, int);
#define RESUME(co, from, n) (*(n) = 0, lua_resume(co, from, 0))
#else
extern int lua_resume(lua_State *, int);
#define RESUME(co, from, n) (*(n) = 0, lua_resume(co, 0))
#endif
/* run(f): calls f in a coroutine; has that returned? */
static int run(lua_State *L) {
  lua_State *co = lua_newthread(L);
  int n;
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushboolean(L, RESUME(co, L, &n) == 0);
  return 1;
}
int luaopen_runner(lua_State *L) {
  lua_pushcclosure(L, run, 0);
  return 1;
}
]])
local built = os.execute(
  ("${CC:-cc} -shared -fPIC -DLUA=%d -o %s.so %s.c 2>/dev/null")
  :format(helper.version:gsub("%.", "0") + 0, base, base))
os.remove(base)
os.remove(base .. ".c")
if built ~= 0 and built ~= true then return end -- there is no compiler

casting.threads(1, 1)
local session, other = casting.session(), casting.session()
local ready, rounds = casting.channel(1), casting.channel(math.huge)
local compute = helper.compute
local task = session:spawn(helper.loops [[
  local path, ready, rounds, compute = ...
  local run = assert(package.loadlib(path, "luaopen_runner"))()
  local create, resume = coroutine.create, coroutine.resume
  local function count() for i = 1, 300000 do os.time() end end
  local function nested() resume(create(count)) end
  ready:send(true)
  for _ = 1, 5 do
    rounds:send(run(nested))
    collectgarbage()
  end
  ready:send(true)
  run(function() resume(create(compute)) end)
  while true do end
]], base .. ".so", ready, rounds, compute)
-- Another session waits for the thread meanwhile.
local rival = other:spawn(compute)
assert(ready:receive(20 * helper.slow))
assert(ready:receive(20 * helper.slow), "it does not go on")
os.remove(base .. ".so")
for _ = 1, 5 do
  assert(rounds:receive(0) == true, "the module has seen a yield")
end
task:cancel()
assert(task:join(20 * helper.slow) == false, "the task was not stopped")
rival:cancel()
assert(rival:join(20 * helper.slow) == false)
