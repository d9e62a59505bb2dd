/* packed.c - messages that are packed once and sent any number of times.
   SPDX-License-Identifier: MIT

   Whatever sends values asks here first: a packed message that is the only
   value is sent as it is.

   Owner: a packed message belongs to its references; no locks. */
#include "packed.h"

#include "../../base.h"
#include "../../fork.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/state.h"
#include "pack.h"

static void message_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, cast_message, object));
}

/* The message's references may be the last ones of others: they are put on a
   list instead of being given up in each other (object.h). */
static void message_release(cast_object *o, cast_object **more) {
  cast_msg_drop_later(&CAST_CONTAINER(o, cast_message, object)->msg, more);
}

const cast_type cast_message_type = {"message", message_free, message_release};

cast_message *cast_message_at(lua_State *L, int i) {
  cast_object *o = cast_handle_test(L, i);
  if (o == NULL || o->type != &cast_message_type) return NULL;
  return CAST_CONTAINER(o, cast_message, object);
}

void cast_pack_values(lua_State *L, cast_state *S, int first, int n,
  const char *what, cast_msg *out) {
  if (!cast_pack_values_inline(L, first, n, out))
    cast_pack(S->packer, L, first, n, what, 0, out);
  /* A __save, or a finalizer, may have forked: this is the child. */
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
}

bool cast_message_is_callable(lua_State *L, int i) {
  const cast_message *m = cast_message_at(L, i);
  return m != NULL && m->callable;
}

/* The handle is made first, and has the message before it is packed: when
   packing raises, the collector frees both. */
cast_message *cast_message_new(
  lua_State *L, cast_state *S, int first, int n, cast_pack_how how) {
  cast_handle *h = cast_handle_new(L, &cast_message_type, sizeof(cast_message));
  cast_message *m = cast_calloc(sizeof *m);
  if (m == NULL) cast_raise_memory(L);
  cast_object_init(&m->object, &cast_message_type);
  m->n = n;
  m->callable = lua_isfunction(L, first);
  h->object = &m->object;
  cast_handle_note(L, h);
  cast_pack_as(S->packer, L, first, n, NULL, 0, how, &m->msg);
  cast_handle_weigh(L, S, m->msg.size);
  return m;
}

/* A copy of a packed message is a count; it takes no memory. A task of this
   session may be in there whose handle another has packed. */
bool cast_pack_values_inline(lua_State *L, int first, int n, cast_msg *out) {
  const cast_message *m = NULL;
  if (n == 1 && lua_type(L, first) == LUA_TUSERDATA)
    m = cast_message_at(L, first);
  if (m == NULL) return cast_pack_inline(L, first, n, out);
  cast_msg_dup(out, &m->msg);
  for (uint32_t i = 0; i < out->nrefs; i++) {
    cast_object *o = cast_msg_items(out)[i];
    const cast_giving *giving = o != NULL ? cast_handle_giving(L, o) : NULL;
    if (giving != NULL) giving->again(L, o);
  }
  return true;
}
