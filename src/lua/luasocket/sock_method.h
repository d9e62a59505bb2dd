/* sock_method.h - the methods of LuaSocket's objects.
   SPDX-License-Identifier: MIT */
#ifndef CAST_SOCK_METHOD_H
#define CAST_SOCK_METHOD_H

#include "sock.h"

/* sock_property.c: done at once */
int cast_sock_close(lua_State *L);
int cast_sock_getfd(lua_State *L);
int cast_sock_setfd(lua_State *L);
int cast_sock_dirty(lua_State *L);
int cast_sock_getfamily(lua_State *L);
int cast_sock_shutdown(lua_State *L);
int cast_sock_settimeout(lua_State *L);
int cast_sock_gettimeout(lua_State *L);
int cast_sock_getstats(lua_State *L);
int cast_sock_setstats(lua_State *L);
int cast_sock_getpeername(lua_State *L);
int cast_sock_getsockname(lua_State *L);
int cast_sock_listen(lua_State *L);

/* sock_receive.c, sock_send.c */
int cast_sock_receive(lua_State *L);
int cast_sock_send(lua_State *L);

/* sock_option.c */
int cast_sock_setoption(lua_State *L);
int cast_sock_getoption(lua_State *L);

#endif
