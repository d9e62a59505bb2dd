/* outcome.c - how a task has ended, and what it leaves to who joins it.
   SPDX-License-Identifier: MIT

   Joiners in the task's own session get its results by reference, as if the
   task had been a call; joiners in other sessions get copies. So there are two
   places for results, once a task has ended:
     crossing  in base.waiter.msg, packed: plain values, which are cheap, and
               whatever other sessions may ask for
     stored    by reference, for its own session; they belong to the handle of
               the task there, and go when it is collected
   Packing may run Lua code (__save) and take long, so it is not done before
   another session can ask: a task whose handle has not crossed when it ends
   keeps its results (CAST_KEPT), and packs them when the handle first crosses
   (crossing.c).

   What moves (transferable.h) cannot be in both places. Packed for a session
   that has a handle it crosses, as it does in any message. But who is only told
   of the end (CAST_TOLD: by a monitor, or casting.on_error) must not take it
   from its own session, which may use it and can have it stored: then to others
   the results are some that cannot cross. Results that could not be stored,
   since there is no handle to join by, do cross: else nobody would get them.
   When the session gives the handle away later, the results are packed anew.

   Owner: the task's session. Others read base.waiter.msg and `crossing` after
   base.done was set, and under its lock, as they may change once more
   (crossing.c). */
#include "outcome.h"

#include "../../account.h"
#include "../../base.h"
#include "../../lock.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/budget.h"
#include "../stop/cancel.h"
#include "../transfer/pack.h"
#include "../transfer/packed.h"
#include "../transfer/packer.h"
#include "failure.h"
#include "newtask.h"
#include "rebuild.h"

static const char results_key = 0; /* in a table of results: how many */

#if CAST_LUA >= 504
static const char table_key = 0; /* in the registry: handle -> results */
#endif

/* -- results -------------------------------------------------------------- */

/* Are they all plain, and so few that they lie in the message itself? */
static bool is_plain(lua_State *L, int first, int n) {
  if (n > 4) return false; /* each takes at most 9 bytes of a message */
  for (int i = first; i < first + n; i++) {
    int type = lua_type(L, i);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN && type != LUA_TNUMBER)
      return false;
  }
  return true;
}

/* Makes the table on the top, which it pops, the results that belong to the
   handle at that index. From 5.4 on a user value takes memory in each handle,
   so there they are in a table with weak keys; before, they are the user
   value. */
static void set_results(lua_State *L, int handle) {
#if CAST_LUA >= 504
  (void)cast_single_push(L, &table_key, cast_make_weak, "k");
  lua_pushvalue(L, handle);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 2);
#else
  cast_lua_setuservalue(L, handle);
#endif
}

/* Pushes the table of results that belongs to the handle, or something that is
   no table. */
static void get_results(lua_State *L, int handle) {
#if CAST_LUA >= 504
  handle = lua_absindex(L, handle);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  if (!lua_istable(L, -1)) return;
  lua_pushvalue(L, handle);
  lua_rawget(L, -2);
  lua_remove(L, -2);
#elif CAST_LUA >= 502
  lua_getuservalue(L, handle);
#else
  lua_getfenv(L, handle);
#endif
}

typedef struct packing {
  cast_state *S;
  cast_ltask *t; /* which has ended */
  int n;         /* how many results */
  bool failed;   /* it is one, the error */
  cast_pack_how how;
  cast_msg *to;
} packing;

/* Called with a packing and the table of results. */
static int pack_protected(lua_State *L) {
  packing *p = lua_touserdata(L, 1);
  luaL_checkstack(L, p->n, "too many results");
  for (int i = 1; i <= p->n; i++) lua_rawgeti(L, 2, i);
  cast_pack_results(p->S->packer, &p->t->base.object);
  cast_pack_as(p->S->packer, L, 3, p->n, p->failed ? "error" : "result",
    p->failed ? -1 : 0, p->how, p->to);
  cast_pack_results(p->S->packer, NULL);
  return 0;
}

/* Packs the error on the top, which says why results cannot cross; pops it. In
   its place, the text of an error of t, if that cannot leave a sandbox. */
static void pack_reason(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *to) {
  if (S->sandbox != NULL && cast_failed(t) != NULL)
    lua_pushstring(L, cast_failure_error(cast_failed(t)));
  else if (lua_type(L, -1) != LUA_TSTRING)
    lua_pushliteral(L, "results cannot be sent");
  else
    lua_pushvalue(L, -1);
  cast_pack(S->packer, L, lua_gettop(L), 1, NULL, 0, to);
  lua_pop(L, 2);
}

/* An error is known to more than to who joins: it was raised with what others
   have. */
static cast_pack_how how_to_pack(const cast_ltask *t, bool failed, uint8_t as) {
  return as == CAST_TOLD && (t->stored || failed) ? CAST_PACK_TELL
                                                  : CAST_PACK_SEND;
}

/* The error on the top has ended the packing of results. Is it about what ran
   meanwhile, and not about them? */
static bool is_of_packer(lua_State *L, cast_state *S) {
  return cast_cancel_is_error(L, lua_gettop(L)) ||
         cast_is_memory_error(L, -1) || S->packer->freed ||
         (S->protect.active > 0 && S->protect.refused && !S->protect.final);
}

/* May these results lead to other tasks, and so to themselves? */
static bool lead_to_tasks(cast_msg *m) {
  for (uint32_t i = 0; i < m->nrefs; i++) {
    const cast_object *o = cast_msg_items(m)[i];
    if (o != NULL &&
        (o->type == &cast_task_type || o->type == &cast_message_type))
      return true;
  }
  return false;
}

/* A sandbox's task, with these results, is one that cycle.c looks at. */
static void join_members(lua_State *L, cast_ltask *t, cast_results *r) {
  cast_account *a = t->base.session->account;
  cast_extra *x = t->extra; /* made when it ended (cast_ltask_keep) */
  if (a == NULL || x == NULL || x->member != NULL || !lead_to_tasks(&r->msg))
    return;
  x->member = cast_member_new(a, &t->base.object, 0);
  if (x->member != NULL) return;
  cast_msg_drop(&r->msg);
  r->crossing = CAST_CROSSES_NOTHING;
  cast_raise_memory(L);
}

/* Packs the results in the table at index i into *to, which is empty. If they
   cannot cross, joiners elsewhere get a failure with the reason. Raises when
   out of memory, or cancelled; at the end of the task __save cannot wait, so
   the reason is not for good then. */
static void pack_table(lua_State *L, cast_state *S, cast_ltask *t, int i,
  bool failed, uint8_t as, cast_results *to) {
  packing p = {S, t, 0, failed, how_to_pack(t, failed, as), &to->msg};
  int status;
  i = lua_absindex(L, i);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_rawgetp(L, i, &results_key);
  p.n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (p.n == 0) return; /* they went with another handle */
  cast_msg_drop(&to->msg);
  lua_pushcfunction(L, pack_protected);
  lua_pushlightuserdata(L, &p);
  lua_pushvalue(L, i);
  status = lua_pcall(L, 2, 0, 0);
  if (status != LUA_OK && is_of_packer(L, S)) lua_error(L);
  if (status != LUA_OK) {
    cast_msg_drop(&to->msg);
    pack_reason(L, S, t, &to->msg);
  }
  to->crossing = status == LUA_OK ? CAST_CROSSES_RESULTS : CAST_CROSSES_REASON;
  to->told = p.how == CAST_PACK_TELL ||
             (status != LUA_OK && S->protect.active > 0 && S->protect.refused);
  join_members(L, t, to);
}

void cast_ltask_pack(
  lua_State *L, cast_state *S, cast_ltask *t, uint8_t as, cast_results *r) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (!cast_handle_find(L, &t->base.object)) return;
  get_results(L, -1);
  /* Relaxed: it has ended in this session. */
  if (lua_istable(L, -1))
    pack_table(L, S, t, -1,
      atomic_load_explicit(&t->base.status, memory_order_relaxed) ==
        CAST_FAILED,
      as, r);
  lua_pop(L, 2);
}

void cast_ltask_have(cast_ltask *t, cast_results *r) {
  cast_msg_drop(&t->base.waiter.msg);
  cast_msg_move(&t->base.waiter.msg, &r->msg);
  t->crossing = r->crossing;
  t->told = r->told;
}

/* Under the lock there is only a reference more: the message may be large. */
int cast_ltask_look(
  cast_ltask *t, bool own, cast_msg *to, cast_crossing *crossing) {
  cast_msg_drop(to);
  if (!own) {
    cast_lock_take(&t->base.done.lock);
    t->looks++;
  }
  *crossing = (cast_crossing)t->crossing;
  if (CAST_LIKELY(t->crossing != CAST_CROSSES_NOTHING)) {
    cast_msg_dup(to, &t->base.waiter.msg);
  } else if (t->stored) { /* they are gone */
    cast_pack_text(CAST_NO_MEMORY, to);
    *crossing = CAST_CROSSES_REASON;
  }
  if (!own) cast_lock_drop(&t->base.done.lock);
  return cast_msg_complete(to, &t->base.object);
}

void cast_ltask_anchor(lua_State *L, int by, int handle) {
  by = lua_absindex(L, by);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, handle);
  lua_rawseti(L, -2, 1);
  set_results(L, by);
}

/* Pushes what a joiner in the task's own session gets by reference, and returns
   how many. -1: the handle that had the results was collected; if there is a
   handle now, it was made after that. */
static int push_stored(lua_State *L, cast_ltask *t) {
  int n, handle, top;
  if (!cast_handle_find(L, &t->base.object)) return -1;
  handle = lua_gettop(L);
  get_results(L, handle);
  top = handle + 1;
  if (lua_istable(L, top)) lua_rawgetp(L, top, &results_key);
  if (lua_type(L, -1) != LUA_TNUMBER) {
    lua_settop(L, handle - 1);
    return -1;
  }
  n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n, "too many results");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, top, i);
  lua_remove(L, top);
  lua_remove(L, handle);
  return n;
}

/* Pushes the error of a failed task for which there is no message: the session
   has used its budget up, or there was no memory. */
static int push_lost(lua_State *L, cast_ltask *t) {
  cast_state *S = cast_state_of(t->base.session);
  if (cast_budget_is_over(S))
    cast_budget_push(L, S);
  else
    lua_pushliteral(L, CAST_NO_MEMORY);
  return 1;
}

/* A trusted session has got the results or the error of a task that it, or
   another, has made in a sandbox, in *m: they are charged no more (see
   cast_ltask_left). The charge of a message is the last of its objects. */
static void taken(const cast_ltask *t, cast_msg *m) {
  cast_object *o = m->nrefs > 0 ? cast_msg_items(m)[m->nrefs - 1] : NULL;
  if (o != NULL && o->type == &cast_charge_type)
    cast_charge_end(CAST_CONTAINER(o, cast_charge, object));
  if (cast_failed(t) != NULL) cast_failure_taken(cast_failed(t));
}

int cast_ltask_outcome(
  lua_State *L, cast_state *S, cast_ltask *self, cast_ltask *t) {
  cast_status how =
    (cast_status)atomic_load_explicit(&t->base.status, memory_order_relaxed);
  bool own = t->base.session == &S->session;
  cast_crossing crossing;
  int n;
  lua_pushboolean(L, how == CAST_DONE);
  if (how == CAST_CANCELLED) {
    cast_cancel_push(L, cast_cancel_reason(t));
    return 2;
  }
  if (how == CAST_FAILED)
    atomic_store_explicit(&t->joined, true, memory_order_relaxed);
  if (own && t->stored && (n = push_stored(L, t)) >= 0) return 1 + n;
  if (cast_ltask_look(t, own, &self->base.waiter.msg, &crossing) != 0)
    cast_raise_memory(L);
  if (CAST_UNLIKELY(t->uncharged && S->session.account == NULL))
    taken(t, &self->base.waiter.msg);
  if (crossing == CAST_CROSSES_NOTHING)
    return how == CAST_FAILED ? 1 + push_lost(L, t) : 1;
  if (crossing == CAST_CROSSES_REASON) {
    lua_pop(L, 1);
    lua_pushboolean(L, 0);
  }
  return 1 + cast_rebuild_values(L, S, self, &self->base.waiter.msg);
}

/* -- the end -------------------------------------------------------------- */

/* The results become the session's own: from now on the task cannot be shared
   without its results being packed. False: it is shared already. */
static bool keep_own(cast_ltask *t) {
  uint8_t own = CAST_OWN;
  /* PAIR share. */
  return atomic_compare_exchange_strong_explicit(&t->shared, &own, CAST_KEPT,
           memory_order_acq_rel, memory_order_acquire) ||
         own == CAST_KEPT;
}

/* Pushes the results as a table. They are moved from the coroutine into it, and
   the coroutine gets the table in their place: cast_protect calls this
   again when a finalizer in it wanted to wait, and was refused. */
static void push_results(lua_State *L, cast_ending *e) {
  if (e->tabled) {
    lua_pushvalue(e->co, -1);
    lua_xmove(e->co, L, 1);
    return;
  }
  lua_createtable(L, e->nres, 1);
  lua_pushinteger(L, e->nres);
  lua_rawsetp(L, -2, &results_key);
  for (int i = e->nres; i > 0; i--) {
    lua_xmove(e->co, L, 1);
    lua_rawseti(L, -2, i);
  }
  lua_pushvalue(L, -1);
  lua_xmove(L, e->co, 1);
  e->tabled = true;
}

int cast_ltask_keep(lua_State *L) {
  cast_ending *e = lua_touserdata(L, 1);
  cast_ltask *t = e->t;
  if (e->results.crossing != CAST_CROSSES_NOTHING) return 0;
  /* What follows cannot fail, or the results would be lost: with an account a
     message takes memory. */
  if (e->S->session.account == NULL && !e->tabled &&
      is_plain(e->co, lua_gettop(e->co) - e->nres + 1, e->nres)) {
    luaL_checkstack(L, e->nres, NULL);
    lua_xmove(e->co, L, e->nres);
    cast_pack(e->S->packer, L, 2, e->nres, "result", 0, &e->results.msg);
    e->results.crossing = CAST_CROSSES_RESULTS;
    return 0;
  }
  if (!cast_handle_find(L, &t->base.object) && keep_own(t))
    return 0; /* no handle, and there can be none: no joiner can ask */
  /* Now, because others read `extra` when the task has ended. */
  if (e->S->session.account != NULL && cast_extra_make(t) == NULL)
    cast_raise_memory(L);
  lua_settop(L, 1);
  push_results(L, e);
  /* A finalizer may have made the task's first handle, or shared it. */
  if (cast_handle_find(L, &t->base.object)) {
    lua_pushvalue(L, 2);
    set_results(L, 3);
    t->stored = true;
  }
  /* Relaxed: if another shares it at this moment, either will do. */
  if (!keep_own(t))
    pack_table(L, e->S, t, 2, e->failed,
      atomic_load_explicit(&t->shared, memory_order_relaxed), &e->results);
  return 0;
}
