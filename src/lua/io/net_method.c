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

/* The same for a method of streams: what is none is refused here, where errors
   name the method that was called. */
static int call_for(lua_State *L, const char *file, const char *name) {
  (void)cast_net_stream(L, 1);
  return call(L, file, name);
}

/* stream:lines([what]) */
int cast_net_lines(lua_State *L) { return call_for(L, "net_lines", "lines"); }

/* stream:starttls(options) */
int cast_net_starttls(lua_State *L) {
  return call_for(L, "net_starttls", "starttls");
}

/* stream:tls([timeout]) */
int cast_net_tls(lua_State *L) { return call_for(L, "net_tls", "tls"); }
