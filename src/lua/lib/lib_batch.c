/* lib_batch.c - many messages at a time: send_all, receive_many, batches.
   SPDX-License-Identifier: MIT

   send_all packs the whole list before anything is sent, so a value that cannot
   cross leaves all where it was. A list of numbers and the like is packed
   without a protected call; anything else may raise, or run code of the
   program, so a userdata owns the batch meanwhile. While the task waits, the
   wait has a reference to the batch.

   receive_many takes more than one message only if nothing but want of memory
   can keep their values from being made (&data): what was taken out of the
   channel could not be put back. Any other message comes alone, so an error
   costs one message, as with receive.
   Owner: the task's session. */
#include "lib_batch.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../batch.h"
#include "../../chan.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/rebuild.h"
#include "../task/receive.h"
#include "../task/scratch.h"
#include "../transfer/number.h"
#include "../transfer/pack.h"
#include "../transfer/packed.h"
#include "../transfer/wire.h"
#include "chanuse.h"

#include <math.h>

/* The deadline of the timeout at i; *now: it is 0, nothing must wait. */
static uint64_t timeout_at(lua_State *L, int i, bool *now) {
  uint64_t deadline = cast_deadline(L, i);
  *now = deadline != OS_FOREVER && lua_tonumber(L, i) <= 0;
  return deadline;
}

/* The operation of t waits, about b, to which it has the caller's reference. */
static int park(lua_State *L, cast_state *S, cast_ltask *t, cast_batch *b,
  uint64_t deadline, const cast_wait_kind *kind) {
  t->arg = b;
  t->owns_arg = true;
  return cast_park(L, S, t, deadline, kind);
}

/* -- sending -------------------------------------------------------------- */

/* Takes back what was packed and not sent; the last first, as it was packed. */
static void undo(lua_State *L, cast_state *S, cast_batch *b) {
  for (; b->count > b->next; b->count--)
    cast_pack_undo(S->packer, L, &b->msgs[b->count - 1]);
}

static cast_batch *make_batch(
  lua_State *L, cast_state *S, cast_chan *c, size_t n) {
  cast_batch *b = cast_batch_new(c, S->session.account, n > 0 ? n : 1);
  if (b == NULL) cast_raise_memory(L);
  return b;
}

/* What owns the batch while its messages are packed. */
typedef struct holding {
  cast_cleanup cleanup;
  cast_batch *batch; /* one reference, or NULL */
} holding;

static void drop_holding(cast_cleanup *h) {
  cast_batch *b = CAST_CONTAINER(h, holding, cleanup)->batch;
  if (b != NULL) cast_unref(&b->object);
}

typedef struct packing {
  cast_lua_part part;
  cast_state *S;
  cast_batch *batch;
  size_t n;
} packing;

/* Packs the n items of the list at 1. */
static void pack_items(lua_State *L, cast_lua_part *part) {
  packing *p = CAST_CONTAINER(part, packing, part);
  cast_batch *b = p->batch;
  while (b->count < p->n) {
    int i = (int)b->count + 1;
    lua_rawgeti(L, 1, i);
    if (lua_isnil(L, -1))
      cast_arg_error(L, 2, lua_pushfstring(L, "item %d is nil", i));
    b->msgs[b->count] = (cast_msg){.size = 0};
    cast_pack_item(L, p->S, 2, i, &b->msgs[b->count]);
    b->count++;
    cast_chan_note_sent(L, p->S, b->chan, &b->msgs[b->count - 1]);
    lua_settop(L, 1);
  }
}

/* The list may have anything in it. */
static cast_batch *pack_any(
  lua_State *L, cast_state *S, cast_chan *c, size_t n) {
  holding *h = cast_cleanup_push(L, S, sizeof *h, drop_holding);
  packing p = {.part.run = pack_items, .S = S, .n = n};
  p.batch = h->batch = make_batch(L, S, c, n);
  lua_pushvalue(L, 2);
  if (cast_lua_pcall_part(L, 1, &p.part) != LUA_OK) {
    /* If the state has ended in a __save, all that is gone. */
    if (cast_state_find(L) == S && !S->cleaned) undo(L, S, p.batch);
    lua_error(L);
  }
  if (cast_state_find(L) != S || S->cleaned) cast_raise_closed(L);
  h->batch = NULL;
  cast_cleanup_end(&h->cleanup);
  lua_settop(L, 2);
  return p.batch;
}

/* Packs items of the list at 2, up to the first one that takes memory. */
static void pack_simple(lua_State *L, cast_state *S, cast_batch *b, size_t n) {
  cast_msg *m = b->msgs;
  int i = 0;
  for (; i < (int)n; i++, m++) {
    /* Eight on the stack are as good as one, and go in one call. */
    if (i % 8 == 0) lua_settop(L, 2);
    lua_rawgeti(L, 2, i + 1);
    m->size = m->nrefs = 0;
    if (CAST_UNLIKELY(!cast_number_pack(L, -1, m)) &&
        (lua_isnil(L, -1) ||
          !cast_pack_values_inline(L, S, lua_gettop(L), 1, m)))
      break;
  }
  b->count = (size_t)i;
  lua_settop(L, 2);
}

/* The batch of the list at 2. Up to the first item that takes memory, nothing
   can fail here, and no other code runs. */
static cast_batch *pack_list(lua_State *L, cast_state *S, cast_chan *c) {
  size_t n = lua_rawlen(L, 2);
  cast_batch *b;
  if (n >= INT32_MAX) cast_arg_error(L, 2, "the list is too long");
  if (S->session.account != NULL) return pack_any(L, S, c, n);
  b = make_batch(L, S, c, n);
  pack_simple(L, S, b, n);
  if (CAST_LIKELY(b->count == n)) return b;
  undo(L, S, b);
  cast_unref(&b->object);
  return pack_any(L, S, c, n);
}

/* The send of b is over, with that result: pushes what send_all returns, and
   takes back the rest. */
static int conclude(lua_State *L, cast_state *S, cast_batch *b, int result) {
  size_t sent = b->next;
  int n;
  if (CAST_LIKELY(result == 0)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  undo(L, S, b);
  n = cast_push_interrupt(L, result);
  if (n == 0) return 0;
  lua_pushinteger(L, (lua_Integer)sent);
  return n + 1;
}

/* Also of a task that is cancelled. */
static int finish_send_all(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_batch *b = t->arg;
  if (result != 0 && result != CASTING_ECLOSED) cast_batch_left(b);
  return conclude(L, S, b, result);
}

static const cast_wait_kind send_all_kind = {.finish = finish_send_all,
  .describe = cast_chan_describe_send,
  .cleans_up = true};

/* channel:send_all(list [, timeout]) */
int cast_chan_send_all(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_chan *c = cast_chan_arg(L, 1);
  uint64_t deadline;
  bool now, room;
  cast_batch *b;
  cast_ltask *t;
  int rc, n;
  cast_arg_table(L, 2);
  deadline = timeout_at(L, 3, &now);
  lua_settop(L, 2);
  t = now ? cast_scratch(L, S) : cast_enter(L, S, deadline);
  b = pack_list(L, S, c);
  room = now || cast_enter_anew(L, S, t);
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
  /* What a finalizer's failed operation may have left. */
  if (CAST_UNLIKELY(!cast_msg_is_empty(&t->base.waiter.msg)))
    cast_msg_drop(&t->base.waiter.msg);
  rc = !room ? CASTING_ENOMEM
             : cast_batch_send(b, &S->session, now ? NULL : &t->base);
  if (rc == CAST_PARKED) return park(L, S, t, b, deadline, &send_all_kind);
  if (rc == CASTING_EFULL) rc = CASTING_ETIMEOUT;
  if (CAST_UNLIKELY(rc != 0)) {
    size_t sent = b->next;
    undo(L, S, b);
    cast_unref(&b->object);
    n = cast_push_failure(L, rc);
    lua_pushinteger(L, (lua_Integer)sent);
    return n + 1;
  }
  cast_unref(&b->object);
  lua_pushboolean(L, 1);
  return 1;
}

/* -- receiving ------------------------------------------------------------ */

/* Is the only value of m a scalar or a string of its own? */
static bool is_scalar(cast_msg *m) {
  return m->size > 1 && wire_is_scalar(cast_msg_data(m)[1]);
}

/* Can nothing but want of memory keep the values of a message from being made?
   By its header: one of numbers and the like, or of tables of such; or of a
   single value, which has to be looked at. */
#define TIMES32(x) TIMES16(x), TIMES16(x)
#define TIMES16(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
static const cast_fits data = {.first = {[1] = CAST_FITS_PERHAPS,
                                 [WIRE_TREE] = TIMES32(CAST_FITS),
                                 [WIRE_TREE | WIRE_REFS] = TIMES32(CAST_FITS),
                                 [WIRE_PLAIN] = TIMES32(CAST_FITS),
                                 [WIRE_PLAIN | WIRE_REFS] = TIMES32(CAST_FITS)},
  .look = is_scalar};

/* For how many messages a receive has room at once: for a few, and as many as
   there are. */
static size_t room_for(cast_chan *c, size_t most) {
  size_t room = 64;
  if (most <= room) return most;
  if (most > CAST_BATCH_MOST) most = CAST_BATCH_MOST;
  if (c->capacity == 0) return most;
  room += cast_chan_len(c);
  return room < most ? room : most;
}

/* Makes a table of the n values on top, as table.pack does. */
static void gather(lua_State *L, int n) {
  luaL_checkstack(L, 3, NULL);
  lua_createtable(L, n, 1);
  lua_insert(L, -n - 1);
  lua_pushinteger(L, n);
  lua_setfield(L, -n - 2, "n");
  for (; n > 0; n--) lua_rawseti(L, -n - 1, n);
}

/* Pushes the values of the message *m, which was received: one value. */
static CAST_NOINLINE void push_item(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  int n = cast_receive_values(L, S, t, m);
  if (CAST_UNLIKELY(n != 1)) gather(L, n);
}

/* Pushes the list of what b has received, which r holds. */
static int push_list(
  lua_State *L, cast_state *S, cast_ltask *t, cast_rebuild *r, cast_batch *b) {
  int n = (int)b->count;
  cast_msg *m = b->msgs;
  lua_createtable(L, n, 0);
  for (int i = 1; i <= n; i++, m++) {
    if (CAST_UNLIKELY(!cast_number_unpack(L, m))) push_item(L, S, t, m);
    lua_rawseti(L, -2, i);
  }
  b->next = b->count;
  cast_rebuild_end(S, r);
  return 1;
}

/* The first message has come: takes what else there is by now. */
static int finish_receive_many(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_batch *b = t->arg;
  cast_rebuild *r;
  if (result != 0) return cast_push_failure(L, result);
  r = cast_rebuild_begin(L, S, t, &t->base.waiter.msg);
  r->held = &b->object;
  t->owns_arg = false;
  cast_batch_make_room(b, room_for(b->chan, b->most));
  b->msgs[0] = (cast_msg){.size = 0};
  cast_msg_move(&b->msgs[0], &r->msg);
  b->count = 1;
  (void)cast_batch_receive(b, &S->session, NULL, &data);
  return push_list(L, S, t, r, b);
}

static const cast_wait_kind receive_many_kind = {
  .finish = finish_receive_many, .describe = cast_chan_describe_receive};

static int receive_many(lua_State *L, cast_state *S, cast_chan *c, size_t most,
  uint64_t deadline, bool now) {
  cast_ltask *t = now ? cast_scratch(L, S) : cast_enter(L, S, deadline);
  cast_rebuild *r = cast_rebuild_begin(L, S, t, &t->base.waiter.msg);
  cast_batch *b = cast_batch_new(c, S->session.account, room_for(c, most));
  int rc;
  if (b == NULL) {
    cast_rebuild_end(S, r);
    cast_raise_memory(L);
  }
  b->most = most;
  r->held = &b->object;
  rc = cast_batch_receive(b, &S->session, now ? NULL : &t->base, &data);
  if (CAST_LIKELY(rc == 0)) return push_list(L, S, t, r, b);
  r->held = NULL;
  cast_rebuild_end(S, r);
  cast_batch_make_room(b, 1);
  if (rc == CAST_PARKED) return park(L, S, t, b, deadline, &receive_many_kind);
  cast_unref(&b->object);
  return cast_push_failure(L, rc == CASTING_EEMPTY ? CASTING_ETIMEOUT : rc);
}

/* Argument i: how many messages. More than any memory has room for are as good
   as all. */
static size_t check_most(lua_State *L, int i) {
  lua_Number n = cast_arg_number(L, i);
  if (CAST_UNLIKELY(!(n >= 1) || n != floor(n)))
    cast_arg_error(L, i,
      lua_pushfstring(L, "a positive integer or math.huge expected, got %s",
        cast_arg_got(L, i)));
  return n < 1e9 ? (size_t)n : (size_t)1000000000;
}

/* channel:receive_many(max [, timeout]) */
int cast_chan_receive_many(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_chan *c = cast_chan_arg(L, 1);
  size_t most = check_most(L, 2);
  bool now;
  uint64_t deadline = timeout_at(L, 3, &now);
  lua_settop(L, 1);
  return receive_many(L, S, c, most, deadline, now);
}

/* The iterator; its upvalues: the state's box, the channel, how many. */
static int next_batch(lua_State *L) {
  cast_state *S = cast_state_here(L);
  size_t most = (size_t)lua_tonumber(L, lua_upvalueindex(3));
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(2));
  return receive_many(L, S, cast_chan_arg(L, 1), most, OS_FOREVER, false);
}

/* channel:batches(max) */
int cast_chan_batches(lua_State *L) {
  cast_state_here(L);
  (void)cast_chan_arg(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushnumber(L, (lua_Number)check_most(L, 2));
  lua_pushcclosure(L, next_batch, 3);
  return 1;
}
