/* fs.h - what the files of casting.fs share.
   SPDX-License-Identifier: MIT */
#ifndef CAST_FS_H
#define CAST_FS_H

#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/state.h"

/* Pushes the table internal.files. */
void cast_fs_open(lua_State *L);

/* For lualib/casting/fs_watch*.lua. What was asked for by watch_add is a handle
   of this class, which programs do not see. */
extern const cast_class cast_watching_class;
int cast_watch_open(lua_State *L);
int cast_watch_add(lua_State *L);
int cast_watch_wait(lua_State *L);
int cast_watch_result(lua_State *L);
int cast_watch_drop(lua_State *L);
int cast_watch_key(lua_State *L);
int cast_watch_parent(lua_State *L);
int cast_watch_below(lua_State *L);
int cast_watch_parse(lua_State *L);

extern const luaL_Reg cast_fs_functions[];

#endif
