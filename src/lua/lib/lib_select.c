/* lib_select.c - casting.select.
   SPDX-License-Identifier: MIT

   The cases are written into the task's `extra`, where they stay until its next
   select. To pack the values of a send may call __save, or run a finalizer,
   which may wait; meanwhile anything can happen, even another select of the
   same task. So if any values take memory to be packed, all cases are first
   read into a userdata, and moved to the task when nothing can run any more.
   The handles of the channels are kept on the stack: other tasks may change the
   program's table while the select waits. Handles of streams and sockets are
   kept as well, but what they refer to may move to another session meanwhile,
   and end there: so that is looked up only when nothing runs any more.

   A select that has streams, sockets, listeners or {net.wait, fd, mode} among
   its cases is done by ../io/net_wait.c. Of the cases of both kinds that are
   ready one is chosen by the core (cast_select_files), under the locks of the
   channels: were it composed here of a select over channels and a look at
   descriptors, one of the two kinds would always come first. Its kind of wait
   is another one, so that the others pay nothing.

   Owner: the cases are the task's own while it runs; when they are queued,
   their waiters are guarded by the locks of the channels (select.h). */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../../buffer.h"
#include "../../chan.h"
#include "../../io/signals.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../select.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../io/net_wait.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../task/cases.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/receive.h"
#include "../task/scratch.h"
#include "../task/turn.h"
#include "../transfer/pack.h"
#include "../transfer/packed.h"
#include "chanuse.h"
#include "lib.h"
#include "lib_chan.h"

#include <math.h>
#include <stdio.h>

/* Raises "bad argument #1 to 'select' (case i: what)". */
static _Noreturn void bad_case(lua_State *L, int i, const char *what) {
  cast_arg_error(L, 1, lua_pushfstring(L, "case %d: %s", i, what));
}

/* A channel, and one value more than a message can have. */
#define MOST_ITEMS (CAST_MESSAGE_VALUES + 2)

/* The greatest index in the list at `i`. Its length would be less if there are
   nils in it, as Lua's versions like. */
static int greatest_index(lua_State *L, int i) {
  lua_Number most = 0, k;
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
    if (k > most && k == floor(k)) most = k;
  }
  return most < MOST_ITEMS ? (int)most : MOST_ITEMS;
}

enum { FEW_ITEMS = 8 };

/* Pushes the items of the list at `i` if they are few, have no nil in between,
   and lie in their order: true. False: there is a closer look to take, and
   nothing is pushed. */
static bool push_few(lua_State *L, int i) {
  lua_pushnil(L);
  for (int n = 1; lua_next(L, i); n++) {
    if (n > FEW_ITEMS || lua_type(L, -2) != LUA_TNUMBER ||
        lua_tonumber(L, -2) != n) {
      lua_settop(L, i);
      return false;
    }
    lua_insert(L, -2); /* the key stays on the top */
  }
  return true;
}

/* Pushes the items of the list at `i`, which is on the top, and returns how
   many. A nil in between counts, one at the end cannot be seen. */
static int push_items(lua_State *L, int i) {
  int n = 0;
  if (lua_checkstack(L, FEW_ITEMS + 4) && push_few(L, i))
    return lua_gettop(L) - i;
  n = greatest_index(L, i);
  if (!lua_checkstack(L, n + 2)) return -1;
  for (int k = 1; k <= n; k++) lua_rawgeti(L, i, k);
  return n;
}

#define WANTED_CASE                                                           \
  "channel, {channel, value, ...}, stream, listener, udp socket, process or " \
  "{net.wait, fd, mode} expected"

/* What there is to be told of cases that were read. */
enum {
  UNPACKED = 1, /* values of a send are not packed yet */
  FILES = 2     /* there are streams, listeners or numbers */
};

/* Reads {net.wait, fd, mode}, whose n items are behind `table`. */
static int wait_case(lua_State *L, cast_case *c, int i, int table, int n) {
  const char *why;
  switch (cast_net_wait_case(L, table + 1, n, c, &why)) {
  case CAST_NET_CASE: lua_settop(L, table); return FILES;
  case CAST_NET_WRONG: bad_case(L, i, why);
  default: bad_case(L, i, WANTED_CASE);
  }
}

/* Reads a send, {channel, value, ...}, from the top of the stack, and puts the
   channel in its place. With `ready` the values are packed only if that takes
   no memory; UNPACKED if it would, and the case has no values then. The list
   may be {net.wait, fd, mode} instead. */
static int list_case(
  lua_State *L, cast_state *S, cast_case *c, int i, bool ready) {
  int table = lua_gettop(L), n = push_items(L, table);
  bool packed = true;
  char what[32];
  if (n < 0) bad_case(L, i, "too many values");
  if (n < 1 || cast_handle_test(L, table + 1) == NULL ||
      cast_handle_test(L, table + 1)->type != &cast_chan_type)
    return wait_case(L, c, i, table, n);
  if (n < 2 || lua_isnil(L, table + 2))
    bad_case(L, i, "the first value to send cannot be nil");
  c->chan = CAST_CONTAINER(cast_handle_test(L, table + 1), cast_chan, object);
  c->sending = true;
  (void)snprintf(what, sizeof what, "case %d, value", i);
  if (ready)
    packed = cast_pack_values_inline(L, S, table + 2, n - 1, &c->waiter.msg);
  else
    cast_pack_values(L, S, table + 2, n - 1, what, &c->waiter.msg);
  cast_chan_note_sent(L, S, c->chan, &c->waiter.msg);
  lua_settop(L, table + 1);
  lua_replace(L, table);
  return packed ? 0 : UNPACKED;
}

/* Reads a case that is none of channels, `o` being what it is the handle of. */
static int net_case(lua_State *L, cast_case *c, int i, const cast_object *o) {
  const char *why;
  switch (cast_net_case(L, -1, c, &why)) {
  case CAST_NET_CASE: return FILES;
  case CAST_NET_WRONG: bad_case(L, i, why);
  default:
    bad_case(L, i,
      lua_pushfstring(L, WANTED_CASE ", got %s",
        o != NULL ? o->type->name : luaL_typename(L, -1)));
  }
}

/* Reads case i, and pushes its channel or socket, or false for a case
   that is never ready. */
static int read_case(
  lua_State *L, cast_state *S, cast_case *c, int i, bool ready) {
  cast_object *o;
  lua_rawgeti(L, 1, i);
  o = cast_handle_known(L, S, -1);
  if (o != NULL && o->type == &cast_chan_type)
    c->chan = CAST_CONTAINER(o, cast_chan, object);
  else if (lua_istable(L, -1))
    return list_case(L, S, c, i, ready);
  else if (lua_toboolean(L, -1))
    return net_case(L, c, i, o);
  return 0;
}

/* Reads all n cases, and returns what there is to be told of them. Their
   handles stay on the stack or, if `kept` is not 0, in the table at that
   index. */
static int read_cases(lua_State *L, cast_state *S, cast_case *cases, uint32_t n,
  int kept, bool ready) {
  int found = 0;
  for (uint32_t i = 1; i <= n; i++) {
    found |= read_case(L, S, &cases[i - 1], (int)i, ready);
    if (kept != 0) lua_rawseti(L, kept, (int)i);
  }
  return found;
}

static cast_extra *make_cases(lua_State *L, cast_ltask *t, uint32_t n) {
  cast_extra *x = cast_cases_make(t, n);
  if (x == NULL) cast_raise_memory(L);
  return x;
}

/* The userdata with cases that are being read. */
typedef struct reading {
  cast_cleanup stack;
  uint32_t n;        /* of the cases; 0 when they were moved to the task */
  cast_case cases[]; /* own the messages that were packed */
} reading;

/* The state has ended meanwhile: drops what was packed. */
static void drop_reading(cast_cleanup *h) {
  reading *r = CAST_CONTAINER(h, reading, stack);
  for (; r->n > 0; r->n--) cast_msg_drop(&r->cases[r->n - 1].waiter.msg);
}

/* An error ends the select: what was packed to be sent is given back. If the
   state has ended in a __save, all that is gone. */
static void undo_reading(lua_State *L, cast_state *S, reading *r) {
  if (cast_state_find(L) != S || S->cleaned) return;
  for (; r->n > 0; r->n--) {
    cast_msg *m = &r->cases[r->n - 1].waiter.msg;
    if (!cast_msg_is_empty(m)) cast_pack_undo(S->packer, L, m);
  }
}

static reading *push_reading(lua_State *L, cast_state *S, uint32_t n) {
  size_t size = sizeof(reading) + n * sizeof(cast_case);
  reading *r = cast_cleanup_push(L, S, size, drop_reading);
  r->n = n;
  return r;
}

/* Looks up once more, after other code has run, what the cases with streams,
   sockets and listeners are about: their handles are in the table at `kept`.
   From here on nothing runs. */
static void find_files(lua_State *L, reading *r, int kept) {
  for (uint32_t i = 0; i < r->n; i++) {
    cast_case *c = &r->cases[i];
    if (c->object == NULL) continue;
    c->object = NULL;
    c->file = NULL;
    lua_rawgeti(L, kept, (int)i + 1);
    (void)net_case(L, c, (int)i + 1, cast_handle_test(L, -1));
    lua_pop(L, 1);
  }
}

/* What reads the cases with everything that is sent. */
typedef struct packing {
  cast_lua_part part;
  cast_state *S;
  cast_ltask *t;
  reading *r;
  cast_extra *x; /* room for the cases in t */
  bool files;    /* some have descriptors */
} packing;

/* With the table of the cases at 1, and that which keeps handles at 2. Of what
   is packed for the first cases something may have moved when a later one
   fails. */
static void pack_cases(lua_State *L, cast_lua_part *part) {
  packing *p = CAST_CONTAINER(part, packing, part);
  reading *r = p->r;
  p->files = (read_cases(L, p->S, r->cases, r->n, 2, false) & FILES) != 0;
  if (p->files) find_files(L, r, 2);
  p->x = make_cases(L, p->t, r->n);
}

/* Reads the n cases into t: at once if nothing that is sent takes memory, else
   by way of a userdata. From its end on nothing runs until the select waits.
   *files: some of them have descriptors. */
static cast_extra *get_cases(
  lua_State *L, cast_state *S, cast_ltask *t, uint32_t n, bool *files) {
  int kept = n > CAST_SELECT_FEW ? lua_gettop(L) : 0, found;
  cast_extra *x = make_cases(L, t, n);
  packing p = {.part.run = pack_cases, .S = S, .t = t};
  found = read_cases(L, S, x->cases, n, kept, true);
  *files = (found & FILES) != 0;
  if (CAST_LIKELY((found & UNPACKED) == 0)) return x;
  lua_settop(L, 1);
  lua_createtable(L, (int)n, 0);
  p.r = push_reading(L, S, n);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  if (cast_lua_pcall_part(L, 2, &p.part) != LUA_OK) {
    undo_reading(L, S, p.r);
    lua_error(L);
  }
  *files = p.files; /* the table may be another by now */
  for (uint32_t i = 0; i < n; i++) {
    p.x->cases[i] = p.r->cases[i];
    cast_msg_move(&p.x->cases[i].waiter.msg, &p.r->cases[i].waiter.msg);
  }
  p.r->n = 0;
  cast_cleanup_end(&p.r->stack);
  return p.x;
}

/* Case i has happened, with that result: pushes its index, and what its
   operation returns. Messages packed for the other cases are taken back. */
static int push_case(
  lua_State *L, cast_state *S, cast_ltask *t, uint32_t i, int result) {
  cast_case *c = &t->extra->cases[i];
  if (t->extra->ncases > 1 || result != 0) cast_unsend(L, S, t);
  lua_pushinteger(L, (lua_Integer)i + 1);
  if (c->chan == NULL) return 1;
  if (result != 0) return 1 + cast_push_failure(L, result);
  if (!c->sending) return 1 + cast_receive_values(L, S, t, &c->waiter.msg);
  lua_pushboolean(L, 1);
  return 2;
}

/* The wait is over. */
static int finish_select(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  if (result == CASTING_ETIMEOUT || result == CASTING_EINTR)
    return cast_push_failure(L, result);
  return push_case(L, S, t, t->base.wait.index, result);
}

/* The same for one with descriptors, also of a task that is cancelled. */
static int finish_net_select(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_net_select_over(t);
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) return 0;
  if (result == CASTING_ENOMEM) cast_raise_memory(L);
  return finish_select(L, S, t, result);
}

/* For the task dump: names the first few cases. */
static void describe_select(cast_buffer *b, const cast_ltask *t) {
  enum { NAMED = 8 };
  cast_buffer_add(b, "waiting in select, ");
  for (uint32_t i = 0; i < t->extra->ncases && i < NAMED; i++) {
    const cast_case *c = &t->extra->cases[i];
    cast_buffer_add(b, i == 0 ? "" : ", ");
    if (c->file != NULL) {
      cast_net_describe_case(b, c);
    } else if (c->chan == NULL) {
      cast_buffer_add(b, "nothing");
    } else {
      cast_buffer_add(b, c->sending ? "to send to " : "to receive from ");
      if (!cast_signals_describe(b, c->chan))
        cast_buffer_form(b, "channel: %p", (void *)&c->chan->object);
    }
  }
  if (t->extra->ncases > NAMED) cast_buffer_add(b, ", and more");
}

static const cast_wait_kind select_kind = {
  .finish = finish_select, .describe = describe_select};

static const cast_wait_kind net_select_kind = {.finish = finish_net_select,
  .again = cast_net_select_again,
  .describe = describe_select,
  .cleans_up = true};

/* The deadline by the field `timeout`; *now: the select must not wait. */
static uint64_t select_timeout(lua_State *L, bool *now) {
  uint64_t deadline = OS_FOREVER;
  lua_getfield(L, 1, "timeout");
  if (!lua_isnil(L, -1)) {
    double seconds = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(seconds >= 0))
      cast_arg_error(L, 1,
        lua_pushfstring(L,
          "timeout must be a number of seconds, zero or more, got %s",
          cast_arg_got(L, -1)));
    *now = seconds <= 0;
    deadline = cast_deadline_in(seconds);
  }
  lua_pop(L, 1);
  return deadline;
}

/* Is the value an integer from 1 to `max`? A quick answer for the usual key;
   false means that count_cases looks closer (always before 5.3, which has no
   quick test). */
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

/* How many cases the table has: its greatest index, and not its length, as a
   case may be nil (`cond and ch` with a nil condition). Any other key must be
   "timeout": then *timed. */
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
    if (!cast_arg_is(L, -2, "timeout"))
      cast_arg_error(
        L, 1, lua_pushfstring(L, "unknown field '%s'", cast_arg_quote(L, -2)));
    lua_pop(L, 1);
  }
  return (uint32_t)max;
}

/* It did not wait, with that result: pushes what the select returns. */
static int conclude(
  lua_State *L, cast_state *S, cast_ltask *t, uint32_t which, int rc) {
  if (rc != CASTING_EEMPTY) return push_case(L, S, t, which, rc);
  cast_unsend(L, S, t);
  return cast_push_failure(L, CASTING_ETIMEOUT);
}

/* The end of a select with descriptors among its cases. */
static int net_select(
  lua_State *L, cast_state *S, cast_ltask *t, uint64_t deadline, bool now) {
  int rc = CASTING_ENOMEM;
  if (now) cast_turn_owe(S, t);
  if (cast_cases_own(t->extra)) rc = cast_net_select(S, t, !now);
  t->arg = t->extra->cases;
  if (rc == CAST_PARKED) return cast_park(L, S, t, deadline, &net_select_kind);
  cast_net_select_over(t);
  if (rc != CASTING_ENOMEM) return conclude(L, S, t, t->base.wait.index, rc);
  cast_unsend(L, S, t);
  cast_raise_memory(L);
}

/* casting.select(cases) */
int cast_lib_select(lua_State *L) {
  cast_state *S = cast_state_here(L);
  bool now = false, timed = false;
  uint64_t deadline = OS_FOREVER;
  bool files;
  uint32_t n, which = 0;
  cast_ltask *t;
  cast_extra *x;
  int rc;
  cast_arg_table(L, 1);
  lua_settop(L, 1);
  n = count_cases(L, &timed);
  if (timed) deadline = select_timeout(L, &now);
  if (now && CAST_UNLIKELY(S->streak.owed)) cast_turn_pay(L, S);
  if (n > CAST_SELECT_FEW) lua_createtable(L, (int)n, 0);
  t = now ? cast_scratch(L, S) : cast_enter(L, S, deadline);
  x = get_cases(L, S, t, n, &files);
  if (!now) cast_enter_again(L, S, t);
  if (files) return net_select(L, S, t, deadline, now);
  rc = cast_select(&S->session, now ? NULL : &t->base, x->cases, n, &which);
  t->arg = x->cases;
  if (rc == CAST_PARKED) {
    t->selecting = true;
    return cast_park(L, S, t, deadline, &select_kind);
  }
  return conclude(L, S, t, which, rc);
}
