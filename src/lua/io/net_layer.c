/* net_layer.c - what the layer of a stream tells of itself.
   SPDX-License-Identifier: MIT

   The module of the layer need not be loaded in this state: a sandbox that was
   given the stream may not have it. */
#include "layer.h"
#include "net.h"

/* Protected. */
static int tell(lua_State *L) {
  const cast_layer *l = lua_touserdata(L, 1);
  lua_settop(L, 0);
  (void)l->how->tell(l->state, L);
  return 1;
}

/* tell(stream): what its layer says; nil: there is none that does. */
int cast_net_tell(lua_State *L) {
  cast_layer *l;
  int status;
  lua_settop(L, 1);
  lua_pushcfunction(L, tell);
  /* Nothing may raise from here to the call. A finalizer may have closed the
     stream before. */
  l = cast_layer_hold(cast_net_stream(L, 1));
  if (l == NULL) return 0;
  lua_pushlightuserdata(L, l);
  status = lua_pcall(L, 1, 1, 0);
  cast_layer_told(l);
  return status == LUA_OK ? 1 : lua_error(L);
}
