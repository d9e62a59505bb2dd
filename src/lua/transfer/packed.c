/* packed.c - messages that are packed once and sent any number of times.
   SPDX-License-Identifier: MIT

   Whatever sends values asks here first: a packed message that is the only
   value is sent as it is.

   Owner: a packed message belongs to its references; no locks. */
#include "packed.h"

#include "../../account.h"
#include "../../base.h"
#include "../../fork.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/state.h"
#include "dataonly.h"
#include "pack.h"
#include "packer.h"

cast_message *cast_message_at(lua_State *L, int i) {
  cast_object *o = cast_handle_test(L, i);
  if (o == NULL || o->type != &cast_message_type) return NULL;
  return CAST_CONTAINER(o, cast_message, object);
}

/* A message that was packed before is to be sent once more: a task of this
   session may be in there whose handle another has packed. */
static void give_again(lua_State *L, cast_msg *m) {
  for (uint32_t i = 0; i < m->nrefs; i++) {
    cast_object *o = cast_msg_items(m)[i];
    const cast_giving *giving = o != NULL ? cast_handle_giving(L, o) : NULL;
    if (giving != NULL) giving->again(L, o);
  }
}

static void dup_packed(lua_State *L, const cast_message *m, cast_msg *out) {
  cast_msg_dup(out, &m->msg);
  give_again(L, out);
}

/* What a sandbox sends of a packed message: another one, with the same content
   and a charge of its own, which lies in any number of channels. The objects
   are shared, with the charge of the packed one among them; what refers to them
   is not. */
static void copy_charged(
  lua_State *L, cast_state *S, const cast_message *m, cast_msg *out) {
  cast_msg from = m->msg, to;
  uint32_t n = from.nrefs;
  size_t bytes = from.size + n * sizeof(cast_object *);
  cast_object *charge = cast_packer_charge(S->packer, L, bytes, NULL, 0);
  if (charge == NULL) cast_raise_memory(L);
  cast_msg_drop(out); /* what a finalizer's failed operation may have left */
  if (cast_msg_init_from(
        &to, from.size, n + 1, cast_packer_blocks(S->packer)) != 0) {
    cast_unref(charge);
    cast_raise_memory(L);
  }
  for (uint32_t i = 0; i < n; i++)
    cast_msg_items(&to)[i] = cast_ref(cast_msg_items(&from)[i]);
  cast_msg_items(&to)[n] = charge;
  memcpy(cast_msg_data(&to), cast_msg_data(&from), from.size);
  cast_msg_move(out, &to);
  give_again(L, out);
}

/* In a session with an account each message is charged. A packed one that was
   packed elsewhere, with more than data in it, is left to the encoder, which
   refuses its handle for the same reason. */
static void pack_charged(lua_State *L, cast_state *S, int first, int n,
  const char *what, int base, cast_msg *out) {
  cast_message *m = n == 1 ? cast_message_at(L, first) : NULL;
  if (m != NULL && cast_data_is_handle(S->packer, &m->object))
    copy_charged(L, S, m, out);
  else
    cast_pack(S->packer, L, first, n, what, base, out);
}

static void pack_values(lua_State *L, cast_state *S, int first, int n,
  const char *what, int base, cast_msg *out) {
  if (CAST_UNLIKELY(S->packer->account != NULL))
    pack_charged(L, S, first, n, what, base, out);
  else if (!cast_pack_values_inline(L, S, first, n, out))
    cast_pack(S->packer, L, first, n, what, base, out);
  /* A __save, or a finalizer, may have forked: this is the child. */
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
}

void cast_pack_values(lua_State *L, cast_state *S, int first, int n,
  const char *what, cast_msg *out) {
  pack_values(L, S, first, n, what, 0, out);
}

void cast_pack_item(
  lua_State *L, cast_state *S, int idx, int i, cast_msg *out) {
  pack_values(L, S, idx, 1, "item", i - 1, out);
}

void cast_pack_spawn(
  lua_State *L, cast_state *S, int first, int n, cast_msg *out) {
  cast_message *m = n == 1 ? cast_message_at(L, first) : NULL;
  if (m != NULL && S->packer->account != NULL)
    copy_charged(L, S, m, out);
  else if (m != NULL)
    dup_packed(L, m, out);
  else
    cast_pack_as(S->packer, L, first, n, NULL, 0, CAST_PACK_SPAWN, out);
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L); /* as above */
}

bool cast_message_is_callable(lua_State *L, int i) {
  const cast_message *m = cast_message_at(L, i);
  return m != NULL && m->callable;
}

/* Garbage is collected if there seems to be no memory: more packed messages. */
static void charge_struct(lua_State *L, cast_account *a) {
  if (cast_account_hold(a, sizeof(cast_message))) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  if (!cast_account_hold(a, sizeof(cast_message))) cast_raise_memory(L);
}

/* The handle is made first, and has the message before it is packed: when
   packing raises, the collector frees both. */
cast_message *cast_message_new(lua_State *L, cast_state *S, int first, int n,
  const char *what, cast_pack_how how) {
  cast_handle *h = cast_handle_new(L, &cast_message_type, sizeof(cast_message));
  cast_account *a = S->packer->account;
  cast_message *m;
  charge_struct(L, a);
  m = cast_calloc(sizeof *m);
  if (m == NULL) {
    cast_account_release(a, sizeof *m);
    cast_raise_memory(L);
  }
  m->account = a;
  cast_object_init(&m->object, &cast_message_type);
  m->n = n;
  m->callable = lua_isfunction(L, first);
  h->object = &m->object;
  cast_handle_note(L, h);
  CAST_ASSERT(what == NULL || n == 1);
  cast_pack_as(
    S->packer, L, first, n, what, what != NULL ? -1 : 0, how, &m->msg);
  /* Relaxed: nobody else has it yet. */
  if (S->packer->leaves != NULL && how < CAST_PACK_SPAWN)
    atomic_store_explicit(&m->data, true, memory_order_relaxed);
  cast_handle_weigh(L, S, m->msg.size);
  return m;
}

/* A copy of a packed message is a count; it takes no memory. */
bool cast_pack_values_inline(
  lua_State *L, const cast_state *S, int first, int n, cast_msg *out) {
  const cast_message *m = NULL;
  if (CAST_UNLIKELY(S->packer->account != NULL)) return false;
  if (n == 1 && lua_type(L, first) == LUA_TUSERDATA)
    m = cast_message_at(L, first);
  if (m == NULL) return cast_pack_inline(L, first, n, out);
  dup_packed(L, m, out);
  return true;
}
