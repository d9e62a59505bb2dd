/* fs.h - what the files of casting.fs share.
   SPDX-License-Identifier: MIT */
#ifndef CAST_FS_H
#define CAST_FS_H

#include "../../io/fileop.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/state.h"

extern const cast_class cast_fs_class; /* of open files */

/* -- operations ----------------------------------------------------------- */

/* An operation, with memory for what it brings; see cast_fileop_new. Raises
   when out of memory. Nothing of Lua may run until it is sent. */
cast_fileop *cast_fs_op(lua_State *L, cast_state *S,
  const cast_fileop_kind *kind, cast_openfile *f, const char *path,
  const char *to, size_t ndata);
/* A library function returns what this returns: sends the operation, and waits
   for its outcome, which it pushes. */
int cast_fs_wait(lua_State *L, cast_state *S, cast_ltask *t, cast_fileop *op);
/* The same for one that the caller has made itself, with the result rc. */
int cast_fs_done(lua_State *L, cast_state *S, cast_fileop *op, intptr_t rc);
/* The same after a call that needed no waiting, whose outcome is the string at
   the top: lets others run now and then. */
int cast_fs_give(lua_State *L, cast_state *S, cast_ltask *t);

/* nil, and a text: the path and what is said of rc. */
int cast_fs_failure(lua_State *L, const char *path, intptr_t rc);
/* Pushes what lies in memory of its own, which is freed, also if that
   raises. */
void cast_fs_push_and_free(lua_State *L, char *at, size_t size);
/* Pushes a table about a file. */
void cast_fs_push_info(lua_State *L, const os_file_info *info);

/* -- the functions, called by lualib/casting/fs_*.lua --------------------- */

int cast_fs_load(lua_State *L);
int cast_fs_save(lua_State *L);
int cast_fs_open_file(lua_State *L);
int cast_fs_look(lua_State *L);
int cast_fs_list(lua_State *L);
int cast_fs_mkdir(lua_State *L);
int cast_fs_rename(lua_State *L);
int cast_fs_remove(lua_State *L);
int cast_fs_temp(lua_State *L);

/* A method that is written in Lua: file:lines([what]). */
int cast_fs_lines(lua_State *L);

/* Pushes the table internal.files. */
void cast_fs_open(lua_State *L);

extern const luaL_Reg cast_fs_functions[];

#endif
