/* api_layer.c - layers on streams for C.
   SPDX-License-Identifier: MIT

   What a layer does is in ../io/layer.h. The functions of a layer are called as
   long as there is a stream with it, perhaps after the Lua state that has
   loaded its module is closed: so the module stays loaded. */
#include "../../../include/casting.h"
#include "../../fork.h"
#include "../io/layer.h"
#include "../io/net.h"
#include "../io/net_listener.h"
#include "../state/handle.h"
#include "api.h"

/* Once for each kind, as a rule: it is a search of the system's. */
static void keep_loaded(const casting_layer *how) {
  static _Atomic(const void *) latest; /* (a) */
  /* Relaxed: that it is kept is known to the system. */
  if (atomic_load_explicit(&latest, memory_order_relaxed) == how) return;
  casting_pin(how);
  atomic_store_explicit(&latest, how, memory_order_relaxed);
}

int casting_layer_set(
  lua_State *L, int i, const casting_layer *how, void *state) {
  cast_stream *s = cast_net_stream_test(L, i);
  if (s == NULL || !s->is_socket || s->shared || s->layer != NULL)
    return CASTING_EINVAL;
  if (s->closed || s->shut || cast_forked) return CASTING_ECLOSED;
  if (cast_stream_is_awaited(s)) return CASTING_EINVAL;
  keep_loaded(how);
  return cast_stream_layer(s, how, state);
}

void *casting_layer_get(lua_State *L, int i, const casting_layer *how) {
  const cast_stream *s = cast_net_stream_test(L, i);
  return s != NULL && s->layer != NULL && s->layer->how == how ? s->layer->state
                                                               : NULL;
}

int casting_layers_set(
  lua_State *L, int i, const casting_layers *how, void *ud) {
  cast_object *o = cast_handle_test(L, i);
  if (o == NULL || o->type != &cast_listener_type) return CASTING_EINVAL;
  casting_pin(how);
  casting_pin(how->layer);
  return cast_listener_layers(
    CAST_CONTAINER(o, cast_listener, object), how, ud);
}
