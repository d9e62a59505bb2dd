/* net_method.c - methods that are written in Lua.
   SPDX-License-Identifier: MIT

   A session may get a stream or a listener without having loaded casting.net,
   so these are methods of their classes as the others are. */
#include "net.h"

static int call(lua_State *L, const char *file, const char *name) {
  return cast_state_here(L)->binding->call(L, file, name);
}

/* listener:serve(f [, options]) */
int cast_listener_serve(lua_State *L) { return call(L, "serve", "serve"); }

/* stream:lines([what]) */
int cast_net_lines(lua_State *L) { return call(L, "net_lines", "lines"); }

/* stream:starttls(options) */
int cast_net_starttls(lua_State *L) {
  return call(L, "net_starttls", "starttls");
}

/* stream:tls([timeout]) */
int cast_net_tls(lua_State *L) { return call(L, "net_tls", "tls"); }
