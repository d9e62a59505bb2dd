/* lib_chan.c - channels for Lua.
   SPDX-License-Identifier: MIT

   The functions through which each message goes, send, receive and the
   iterator, exist twice (chan_send, chan_send_ours): in a session of the pool
   they find the state in the extra space of the coroutine, without a call of
   Lua's API for the upvalue. That saves 54 instructions of a call, 7 % of a
   round trip of bench/pingpong (callgrind, 5.4). Both have the same body,
   chan_send_in.

   A blocking call here has these steps, in this order: enter (reserves all that
   waiting may need, raises if the task must not wait), pack, enter again
   (packing may have run a finalizer), queue, park. From the moment when a
   waiter is queued nothing can fail. What is packed lies in the task's own
   waiter, where the error path finds it. Sandboxes have a send of their own
   (chan_send_charged), so that others pay nothing for what it does more. */
#include "lib_chan.h"

#include "../../../include/casting.h"
#include "../../account.h"
#include "../../base.h"
#include "../../buffer.h"
#include "../../chan.h"
#include "../../chan_inline.h"
#include "../../fork.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../runtime.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../task/complete.h"
#include "../task/enter.h"
#include "../task/newtask.h"
#include "../task/park.h"
#include "../task/rebuild.h"
#include "../task/receive.h"
#include "../task/scratch.h"
#include "../transfer/number.h"
#include "../transfer/packed.h"
#include "chanuse.h"
#include "lib.h"
#include "lib_batch.h"

#include <math.h>

/* The channel that a function of every message is called with. */
static inline cast_chan *this_chan(lua_State *L, cast_state *S) {
  return CAST_CONTAINER(
    cast_handle_quick(L, S, 1, &cast_chan_type), cast_chan, object);
}

/* The operation did not happen: takes back what was packed for it, and pushes
   nil and the word for the result. */
static int fail_operation(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_unsend(L, S, t);
  return cast_push_failure(L, result);
}

/* -- send and receive ----------------------------------------------------- */

/* The wait of a send is over, or there was none. */
static int finish_send(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  if (CAST_UNLIKELY(result != 0)) return fail_operation(L, S, t, result);
  lua_pushboolean(L, 1);
  return 1;
}

static const cast_wait_kind send_kind = {
  .finish = finish_send, .describe = cast_chan_describe_send, .sends = true};

/* The same of a receive: pushes the values of the message. */
static int finish_receive(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  if (CAST_UNLIKELY(result != 0)) return fail_operation(L, S, t, result);
  return cast_receive_values(L, S, t, &t->base.waiter.msg);
}

static const cast_wait_kind receive_kind = {
  .finish = finish_receive, .describe = cast_chan_describe_receive};

/* Checks the values to send, which begin at 2: nil as the first one would look
   like the end of the channel to its receiver. */
static void check_message(lua_State *L) {
  if (CAST_UNLIKELY(lua_isnoneornil(L, 2)))
    cast_arg_error(L, 2,
      lua_isnone(L, 2) ? "a message needs at least one value"
                       : "the first value of a message cannot be nil");
}

static void pack_message(lua_State *L, cast_state *S, cast_msg *m) {
  cast_pack_values(L, S, 2, lua_gettop(L) - 1, NULL, m);
}

/* channel:send(v, ...). A single number or boolean is packed without a call,
   and cannot run a finalizer; so in that case nothing needs to be entered
   again. */
static inline int chan_send_in(lua_State *L, cast_state *S) {
  cast_chan *c = this_chan(L, S);
  cast_ltask *t = cast_enter_quick(L, S);
  int rc;
  if (lua_gettop(L) != 2 || !cast_number_pack(L, 2, &t->base.waiter.msg)) {
    check_message(L);
    pack_message(L, S, &t->base.waiter.msg);
    cast_enter_again(L, S, t);
  }
  t->arg = NULL;
  rc = cast_chan_send_once(c, &S->session, &t->base, &t->base.waiter);
  if (CAST_UNLIKELY(rc == CAST_GROW))
    rc = cast_chan_send(c, &S->session, &t->base, &t->base.waiter);
  if (rc == CAST_PARKED) return cast_park_quick(L, S, t, &send_kind);
  if (CAST_UNLIKELY(rc != 0)) return fail_operation(L, S, t, rc);
  lua_pushboolean(L, 1);
  return 1;
}

static int chan_send(lua_State *L) {
  return chan_send_in(L, cast_state_here(L));
}

/* In a sandbox each message is charged to its account (packed.c). */
static int chan_send_charged(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_chan *c = this_chan(L, S);
  cast_ltask *t = cast_enter(L, S, OS_FOREVER);
  int rc;
  check_message(L);
  pack_message(L, S, &t->base.waiter.msg);
  cast_chan_note_sent(L, S, c, &t->base.waiter.msg);
  cast_enter_again(L, S, t);
  t->arg = NULL;
  rc = cast_chan_send(c, &S->session, &t->base, &t->base.waiter);
  if (rc == CAST_PARKED) return cast_park(L, S, t, OS_FOREVER, &send_kind);
  return finish_send(L, S, t, rc);
}

#if CAST_HAS_OURS
static int chan_send_ours(lua_State *L) {
  return chan_send_in(L, cast_state_ours(L));
}
#endif

/* Receives with a deadline, or without one (OS_FOREVER): then by the quick ways
   to enter and to park. */
static inline int receive_until(
  lua_State *L, cast_state *S, cast_chan *c, uint64_t deadline) {
  cast_ltask *t = deadline == OS_FOREVER ? cast_enter_quick(L, S)
                                         : cast_enter(L, S, deadline);
  int rc;
  t->arg = NULL;
  rc = cast_chan_receive(c, &S->session, &t->base, &t->base.waiter);
  if (rc == CAST_PARKED)
    return deadline == OS_FOREVER ? cast_park_quick(L, S, t, &receive_kind)
                                  : cast_park(L, S, t, deadline, &receive_kind);
  if (CAST_LIKELY(rc == 0 && cast_number_unpack(L, &t->base.waiter.msg)))
    return 1;
  return finish_receive(L, S, t, rc);
}

/* Receives if a message is there; `if_empty` is the result if none is. It works
   also where no task runs, as in finalizers. */
static int try_receive(
  lua_State *L, cast_state *S, cast_chan *c, int if_empty) {
  cast_ltask *t = cast_scratch(L, S);
  int rc = cast_chan_receive(c, &S->session, NULL, &t->base.waiter);
  return finish_receive(L, S, t, rc == CASTING_EEMPTY ? if_empty : rc);
}

/* channel:receive(timeout). A timeout of zero does not wait. */
static int receive_within(lua_State *L, cast_state *S, cast_chan *c) {
  uint64_t deadline = cast_deadline(L, 2);
  if (lua_tonumber(L, 2) > 0) return receive_until(L, S, c, deadline);
  return try_receive(L, S, c, CASTING_ETIMEOUT);
}

/* channel:receive([timeout]) */
static inline int chan_receive_in(lua_State *L, cast_state *S) {
  cast_chan *c = this_chan(L, S);
  if (CAST_UNLIKELY(lua_gettop(L) > 1 && !lua_isnil(L, 2)))
    return receive_within(L, S, c);
  return receive_until(L, S, c, OS_FOREVER);
}

static int chan_receive(lua_State *L) {
  return chan_receive_in(L, cast_state_here(L));
}

#if CAST_HAS_OURS
static int chan_receive_ours(lua_State *L) {
  return chan_receive_in(L, cast_state_ours(L));
}
#endif

static int chan_try_receive(lua_State *L) {
  return try_receive(
    L, cast_state_here(L), cast_chan_arg(L, 1), CASTING_EEMPTY);
}

static int chan_try_send(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_chan *c = cast_chan_arg(L, 1);
  cast_ltask *t;
  check_message(L);
  t = cast_scratch(L, S);
  pack_message(L, S, &t->base.waiter.msg);
  cast_chan_note_sent(L, S, c, &t->base.waiter.msg);
  return finish_send(
    L, S, t, cast_chan_send(c, &S->session, NULL, &t->base.waiter));
}

/* `for v, ... in ch`: the channel itself is called as the iterator, with two
   more arguments that mean nothing here. */
static inline int chan_call_in(lua_State *L, cast_state *S) {
  cast_chan *c = this_chan(L, S);
  lua_settop(L, 1);
  return receive_until(L, S, c, OS_FOREVER);
}

static int chan_call(lua_State *L) {
  return chan_call_in(L, cast_state_here(L));
}

#if CAST_HAS_OURS
static int chan_call_ours(lua_State *L) {
  return chan_call_in(L, cast_state_ours(L));
}
#endif

/* internal.peek(channel, i): the values of message number i, from 0, of those
   that it buffers; nothing if there is none. What moves is in no message that
   this is called for (once.lua). */
int cast_lib_peek(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_chan *c = cast_chan_arg(L, 1);
  lua_Number i = cast_arg_number(L, 2);
  cast_ltask *t = cast_scratch(L, S);
  cast_arg_check(L, i >= 0 && i < 9e15, 2, "not an index");
  if (!cast_chan_peek(c, (size_t)i, &t->base.waiter.msg)) return 0;
  return cast_rebuild_values(L, S, t, &t->base.waiter.msg);
}

/* -- the rest ------------------------------------------------------------- */

/* channel:close(). In the child of a fork it does nothing: none of the tasks
   that a close would wake exist there. */
static int chan_close(lua_State *L) {
  cast_chan *c = cast_chan_arg(L, 1);
  lua_pushboolean(
    L, !cast_forked && cast_chan_close(c, &cast_state_here(L)->session));
  return 1;
}

/* __close. When a state is closed, its handles were emptied before that: then
   there is nothing to close. */
static int chan_close_scope(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0;
  return chan_close(L);
}

static int chan_closed(lua_State *L) {
  lua_pushboolean(L, cast_chan_is_closed(cast_chan_arg(L, 1)));
  return 1;
}

static void push_size(lua_State *L, size_t n) {
  lua_pushinteger(L, (lua_Integer)n);
}

static int chan_capacity(lua_State *L) {
  cast_chan *c = cast_chan_arg(L, 1);
  if (c->capacity == CAST_UNBOUNDED)
    lua_pushnumber(L, (lua_Number)HUGE_VAL);
  else
    push_size(L, c->capacity);
  return 1;
}

static int chan_len(lua_State *L) {
  push_size(L, cast_chan_len(cast_chan_arg(L, 1)));
  return 1;
}

static const luaL_Reg chan_methods[] = {
  {"send", chan_send},
  {"receive", chan_receive},
  {"try_send", chan_try_send},
  {"try_receive", chan_try_receive},
  {"send_all", cast_chan_send_all},
  {"receive_many", cast_chan_receive_many},
  {"batches", cast_chan_batches},
  {"close", chan_close},
  {"closed", chan_closed},
  {"capacity", chan_capacity},
  {"len", chan_len},
  {NULL, NULL},
};

static const luaL_Reg chan_meta[] = {
  {"__len", chan_len},
  {"__call", chan_call},
  {"__close", chan_close_scope},
  {NULL, NULL},
};

#if CAST_HAS_OURS
/* Those that take the place of the above in sessions of the pool. */
static const luaL_Reg chan_our_methods[] = {
  {"send", chan_send_ours},
  {"receive", chan_receive_ours},
  {NULL, NULL},
};

static const luaL_Reg chan_our_meta[] = {
  {"__call", chan_call_ours},
  {NULL, NULL},
};
#endif

/* A sandbox closes what it has made, itself or in sessions of its own: to close
   acts on all who use the channel. */
static int guarded_close(lua_State *L) {
  const cast_member *m = cast_chan_arg(L, 1)->member;
  const cast_state *S = cast_state_here(L);
  if (m == NULL || !cast_account_is_below(m->account, S->session.account))
    return cast_lua_error(L, "close: the channel was not made by this sandbox");
  return chan_close(L);
}

static int guarded_close_scope(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0;
  return guarded_close(L);
}

/* Those that take their place in sandboxes. */
static const luaL_Reg chan_sandbox_methods[] = {
  {"send", chan_send_charged},
  {"close", guarded_close},
  {NULL, NULL},
};

static const luaL_Reg chan_sandbox_meta[] = {
  {"__close", guarded_close_scope},
  {NULL, NULL},
};

const cast_class cast_chan_class = {
  .type = &cast_chan_type,
  .title = "casting.channel",
  .methods = chan_methods,
  .meta = chan_meta,
  .sandbox_methods = chan_sandbox_methods,
  .sandbox_meta = chan_sandbox_meta,
#if CAST_HAS_OURS
  .our_methods = chan_our_methods,
  .our_meta = chan_our_meta,
#endif
};

/* -- making channels ------------------------------------------------------ */

/* A capacity: a whole number, or math.huge. */
static size_t check_capacity(lua_State *L, int i) {
  /* 2^48 messages are beyond any memory. */
  lua_Number n = cast_arg_count(L, i, "capacity", 281474976710655.0);
  return n == (lua_Number)HUGE_VAL ? CAST_UNBOUNDED : (size_t)n;
}

cast_chan *cast_chan_push(lua_State *L, size_t capacity) {
  cast_handle *h = cast_handle_new(L, &cast_chan_type, sizeof(cast_chan));
  const cast_state *S = cast_state_find(L);
  cast_account *a;
  cast_chan *c;
  if (S == NULL) cast_raise_closed(L); /* by a finalizer, meanwhile */
  a = S->session.account;
  c = cast_chan_new(capacity);
  if (c == NULL) cast_raise_memory(L);
  h->object = &c->object;
  if (CAST_UNLIKELY(a != NULL) && cast_chan_join(c, a) != 0) {
    lua_gc(L, LUA_GCCOLLECT, 0); /* others that nobody has any more */
    if (cast_chan_join(c, a) != 0) cast_raise_memory(L);
  }
  cast_handle_note(L, h);
  return c;
}

/* casting.channel([capacity]) */
int cast_lib_channel(lua_State *L) {
  size_t capacity = 0;
  cast_state_here(L);
  if (!lua_isnoneornil(L, 1)) capacity = check_capacity(L, 1);
  cast_chan_push(L, capacity);
  return 1;
}

/* casting.named(name [, capacity]) */
int cast_lib_named(lua_State *L) {
  size_t size, capacity = 0;
  const char *name = cast_arg_string(L, 1, &size);
  bool given = !lua_isnoneornil(L, 2);
  cast_object **box;
  cast_chan *c;
  int rc;
  cast_state *S = cast_state_here(L);
  if (given) capacity = check_capacity(L, 2);
  box = cast_box_push(L, S);
  c = cast_runtime_named(name, size, given ? &capacity : NULL, &rc);
  if (c == NULL) {
    if (rc == CASTING_ENOMEM) cast_raise_memory(L);
    cast_arg_error(L, 2,
      lua_pushfstring(
        L, "channel '%s' exists with another capacity", cast_arg_quote(L, 1)));
  }
  *box = &c->object;
  cast_handle_push(L, *box);
  return 1;
}
