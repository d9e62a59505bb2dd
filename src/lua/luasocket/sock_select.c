/* sock_select.c - waiting for many descriptors, of whatever objects.
   SPDX-License-Identifier: MIT

   The descriptors are numbers in a list: first those to read from, then those
   to write to. What select returns is found by asking the system about all of
   them (poll); if none is ready the task waits for all (wait_all), and asks
   again. Unlike LuaSocket's select this has no most number, and no most of
   them. */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../os/os.h"
#include "../compat/auxiliary.h"
#include "../io/net_wait.h"
#include "../task/cases.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/turn.h"
#include "sock.h"

#include <limits.h>

/* The list at index 1, how many it has (2), and how many of them are to be read
   from (3). */
typedef struct listed {
  uint32_t n, nread;
} listed;

static listed check_numbers(lua_State *L) {
  lua_Number n = luaL_checknumber(L, 2), nread = luaL_checknumber(L, 3);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argcheck(L, n >= 0 && n <= CAST_SOCK_SETSIZE, 2, "too many sockets");
  luaL_argcheck(L, nread >= 0 && nread <= n, 3, "too many sockets");
  return (listed){(uint32_t)n, (uint32_t)nread};
}

static int number_at(lua_State *L, uint32_t i) {
  int fd;
  lua_rawgeti(L, 1, (int)i + 1);
  fd = (int)lua_tonumber(L, -1); /* in its range: socket_select.lua */
  lua_pop(L, 1);
  return fd;
}

static uint32_t event_of(listed m, uint32_t i) {
  return i < m.nread ? OS_READABLE : OS_WRITABLE;
}

/* poll(list, n, nread): which are ready, as a list of true and false, and how
   many. One that is not open is ready: whoever uses it is told. */
int cast_sock_poll(lua_State *L) {
  listed m = check_numbers(L);
  os_look looks[OS_LOOKS_MOST];
  uint32_t nready = 0;
  lua_createtable(L, (int)m.n, 0);
  for (uint32_t at = 0; at < m.n; at += OS_LOOKS_MOST) {
    uint32_t some = m.n - at < OS_LOOKS_MOST ? m.n - at : OS_LOOKS_MOST;
    for (uint32_t i = 0; i < some; i++)
      looks[i] = (os_look){number_at(L, at + i), event_of(m, at + i), 0};
    os_poll_all(looks, some);
    for (uint32_t i = 0; i < some; i++) {
      nready += looks[i].ready != 0;
      lua_pushboolean(L, looks[i].ready != 0);
      lua_rawseti(L, -2, (int)(at + i) + 1);
    }
  }
  lua_pushinteger(L, nready);
  return 2;
}

static int push_outcome(lua_State *L, int rc) {
  lua_pushboolean(L, rc == 0 || rc == CASTING_EINVAL || rc == CASTING_ECLOSED);
  return 1;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  int rc = cast_net_wait_end(t, result);
  CAST_UNUSED(S);
  if (rc == CASTING_ECANCELLED || rc == CAST_DEADLOCK) return 0;
  if (rc == CASTING_ENOMEM) cast_raise_memory(L);
  return push_outcome(L, rc);
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  if (t->extra->ncases == 1) return cast_net_wait_describe(b, t);
  cast_buffer_form(
    b, "waiting for one of %u sockets", (unsigned)t->extra->ncases);
}

static const cast_wait_kind select_kind = {.finish = finish,
  .again = cast_net_select_again,
  .describe = describe,
  .cleans_up = true};

/* wait_all(list, n, nread [, seconds]): true: one is ready, or closed; false:
   the time has passed. */
int cast_sock_wait_all(lua_State *L) {
  listed m = check_numbers(L);
  double seconds = luaL_optnumber(L, 4, -1);
  uint64_t deadline = seconds < 0 ? OS_FOREVER : cast_deadline_in(seconds);
  cast_state *S = cast_state_here(L);
  cast_ltask *t = cast_enter(L, S, deadline);
  cast_extra *x;
  int rc;
  if (seconds == 0) {
    cast_turn_first(L, S, t);
    return push_outcome(L, CASTING_ETIMEOUT);
  }
  /* A select of nothing is a sleep. */
  x = cast_cases_make(t, m.n > 0 ? m.n : 1);
  if (x == NULL) cast_raise_memory(L);
  for (uint32_t i = 0; i < m.n; i++) {
    x->cases[i].numbered = true;
    x->cases[i].fd = number_at(L, i);
    x->cases[i].side = event_of(m, i) == OS_READABLE ? CAST_READ : CAST_WRITE;
  }
  if (!cast_cases_own(x)) cast_raise_memory(L);
  rc = cast_net_select(S, t, true);
  if (rc != CAST_PARKED) return finish(L, S, t, rc);
  t->arg = x->cases;
  return cast_park(L, S, t, deadline, &select_kind);
}
