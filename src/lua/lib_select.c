/* lib_select.c - casting.select.
   SPDX-License-Identifier: MIT

   The cases are read into the task's extra, where they stay until its next
   select. Packing the values of one may call __save or run a finalizer, and
   that anything, even another select of the same task: so x->cases is not held
   meanwhile, and what was read is looked at again afterwards. */
#include "../../include/casting.h"
#include "../mem.h"
#include "../select.h"
#include "argument.h"
#include "handle.h"
#include "pack.h"
#include "state.h"

#include <math.h>

static void bad_case(lua_State *L, int i, const char *what) {
  cast_arg_error(L, 1, lua_pushfstring(L, "case %d: %s", i, what));
}

/* Room for n cases in t, all zero. */
static cast_extra *make_cases(lua_State *L, cast_ltask *t, uint32_t n) {
  cast_extra *x = cast_extra_make(t);
  if (x == NULL) cast_raise_memory(L);
  for (uint32_t i = 0; i < x->ncases; i++)
    cast_msg_drop(&x->cases[i].waiter.msg);
  x->ncases = 0;
  if (n > x->room) {
    cast_case *cases = cast_realloc(x->cases, n * sizeof *cases);
    if (cases == NULL) cast_raise_memory(L);
    x->cases = cases;
    x->room = n;
  }
  if (n > 0) memset(x->cases, 0, n * sizeof *x->cases);
  x->ncases = n;
  return x;
}

/* How many values the list at `i` has, with holes between them; a nil at its
   end is not seen. */
static int length_of(lua_State *L, int i) {
#if CAST_LUA >= 505 /* where the length of a constructor with nils is a guess */
  int n = 0;
  lua_pushnil(L);
  for (; lua_next(L, i); lua_pop(L, 1))
    if (lua_isinteger(L, -2) && lua_tointeger(L, -2) > n &&
        lua_tointeger(L, -2) < CAST_SELECT_MAX)
      n = (int)lua_tointeger(L, -2);
  return n;
#else
  return (int)lua_rawlen(L, i);
#endif
}

/* {channel, value, ...} on the top of the stack: a send. Leaves the channel's
   place in `k`; packs the values. */
static void send_case(lua_State *L, cast_state *S, cast_extra *x, int i) {
  int table = lua_gettop(L), n = length_of(L, table);
  cast_chan *c;
  cast_msg m;
  if (!lua_checkstack(L, n + 2)) bad_case(L, i, "too many values");
  for (int k = 1; k <= n; k++) lua_rawgeti(L, table, k);
  if (n < 1 || cast_handle_test(L, table + 1) == NULL ||
      cast_handle_test(L, table + 1)->type != &cast_chan_type)
    bad_case(L, i, "channel or {channel, value, ...} expected");
  c = CAST_CONTAINER(cast_handle_test(L, table + 1), cast_chan, object);
  if (n < 2 || lua_isnil(L, table + 2))
    bad_case(L, i, "the first value to send cannot be nil");
  memset(&m, 0, sizeof m);
  /* Packing may call __save, and that anything: x->cases is not held. */
  lua_pushfstring(L, "case %d, value", i);
  lua_insert(L, table + 1); /* the channel and its values move up */
  cast_pack_values(L, S, table + 3, n - 1, lua_tostring(L, table + 1), &m);
  if (x->ncases < (uint32_t)i) {
    cast_pack_undo(S->packer, L, &m);
    cast_misuse(L, "called in a __save or a finalizer, within a select");
  }
  x->cases[i - 1].chan = c;
  x->cases[i - 1].sending = true;
  cast_msg_move(&x->cases[i - 1].waiter.msg, &m);
  lua_settop(L, table);
}

static void read_case(lua_State *L, cast_state *S, cast_extra *x, int i) {
  cast_object *o;
  lua_rawgeti(L, 1, i);
  o = cast_handle_known(L, S, -1);
  if (o != NULL && o->type == &cast_chan_type) {
    x->cases[i - 1].chan = CAST_CONTAINER(o, cast_chan, object);
  } else if (lua_istable(L, -1)) {
    send_case(L, S, x, i);
  } else if (lua_toboolean(L, -1)) {
    bad_case(L, i,
      lua_pushfstring(L, "channel or {channel, value, ...} expected, got %s",
        o != NULL ? o->type->name : luaL_typename(L, -1)));
  }
  lua_pop(L, 1);
}

/* Pushes the index and what the operation gives. */
static int push_case(
  lua_State *L, cast_state *S, cast_ltask *t, uint32_t i, int result) {
  cast_case *c = &t->extra->cases[i];
  if (t->extra->ncases > 1 || result != 0) cast_unsend(L, S, t);
  lua_pushinteger(L, (lua_Integer)i + 1);
  if (result != 0) return 1 + cast_push_failure(L, result);
  if (!c->sending) return 1 + cast_rebuild_values(L, S, t, &c->waiter.msg);
  lua_pushboolean(L, 1);
  return 2;
}

static int finish_select(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  if (result == CASTING_ETIMEOUT || result == CASTING_EINTR)
    return cast_push_failure(L, result);
  return push_case(L, S, t, t->core.wait.index, result);
}

/* Names a few of the cases. */
static void describe_select(lua_State *L, const cast_ltask *t) {
  enum { NAMED = 8 };
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "waiting in select, ");
  for (uint32_t i = 0; i < t->extra->ncases && i < NAMED; i++) {
    const cast_case *c = &t->extra->cases[i];
    luaL_addstring(&b, i == 0 ? "" : ", ");
    if (c->chan == NULL)
      lua_pushliteral(L, "nothing");
    else
      lua_pushfstring(L,
        c->sending ? "to send to channel: %p" : "to receive from channel: %p",
        (void *)&c->chan->object);
    luaL_addvalue(&b);
  }
  if (t->extra->ncases > NAMED) luaL_addstring(&b, ", and more");
  luaL_pushresult(&b);
}

static const cast_wait_kind select_kind = {
  .finish = finish_select, .describe = describe_select};

static uint64_t select_timeout(lua_State *L, bool *now) {
  uint64_t deadline = OS_FOREVER;
  lua_getfield(L, 1, "timeout");
  if (!lua_isnil(L, -1)) {
    double seconds = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(seconds >= 0))
      cast_arg_error(L, 1, "timeout must be a number of seconds, zero or more");
    *now = seconds <= 0;
    deadline = cast_deadline_in(seconds);
  }
  lua_pop(L, 1);
  return deadline;
}

/* Is it an integer from 1 to `max`? (Before 5.3 that takes longer to see.) */
static inline bool is_index(lua_State *L, int idx, lua_Number max) {
#if CAST_LUA >= 503
  if (CAST_LIKELY(lua_isinteger(L, idx))) {
    lua_Number k = (lua_Number)lua_tointeger(L, idx);
    return k >= 1 && k <= max && k <= CAST_SELECT_MAX;
  }
#else
  CAST_UNUSED(L);
  CAST_UNUSED(idx);
  CAST_UNUSED(max);
#endif
  return false;
}

/* How many cases the table has. A case may be nil (`cond and ch` with a nil
   condition), so the greatest index counts, not the border. */
static uint32_t count_cases(lua_State *L, bool *timed) {
  lua_Number max = (lua_Number)lua_rawlen(L, 1);
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    if (is_index(L, -2, max)) {
      lua_pop(L, 1);
      continue;
    }
    if (lua_type(L, -2) == LUA_TNUMBER) {
      lua_Number k = lua_tonumber(L, -2);
      if (k < 1 || k != floor(k) || k > CAST_SELECT_MAX)
        cast_arg_error(L, 1, "cases must be numbered from 1 to 65536");
      if (k > max) max = k;
      lua_pop(L, 1);
      continue;
    }
    *timed = true;
    if (lua_type(L, -2) != LUA_TSTRING ||
        strcmp(lua_tostring(L, -2), "timeout") != 0) {
      cast_arg_error(L, 1,
        lua_pushfstring(L, "unknown field '%s'", cast_lua_describe(L, -2)));
    }
    lua_pop(L, 1);
  }
  return (uint32_t)max;
}

int cast_lib_select(lua_State *L) {
  cast_state *S = cast_state_here(L);
  bool now = false, timed = false;
  uint64_t deadline = OS_FOREVER;
  uint32_t n, which = 0;
  cast_ltask *t;
  cast_extra *x;
  int rc;
  cast_arg_table(L, 1);
  lua_settop(L, 1);
  n = count_cases(L, &timed);
  if (timed) deadline = select_timeout(L, &now);
  t = now ? cast_scratch(L, S) : cast_enter(L, S, deadline);
  x = make_cases(L, t, n);
  for (uint32_t i = 1; i <= n; i++) read_case(L, S, x, (int)i);
  if (!now) cast_enter_again(L, S, t);
  rc = cast_select(&S->session, now ? NULL : &t->core, x->cases, n, &which);
  t->arg = x->cases;
  if (rc == CAST_PARKED) {
    t->selecting = true;
    return cast_park(L, S, t, deadline, &select_kind);
  }
  if (rc == CASTING_EEMPTY) {
    cast_unsend(L, S, t);
    return cast_push_failure(L, CASTING_ETIMEOUT);
  }
  return push_case(L, S, t, which, rc);
}
