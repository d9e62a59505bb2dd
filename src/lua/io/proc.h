/* proc.h - what the files of casting.process share.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PROC_H
#define CAST_PROC_H

#include "../../io/subprocess.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/state.h"

extern const cast_class cast_process_class;

/* Pushes the handle of a new process, which is not started yet. Raises. */
cast_process *cast_proc_push(lua_State *L, const cast_state *S);
/* Makes the table on the top, which it pops, the fields of the handle at idx:
   its streams. Raises. */
void cast_proc_set_fields(lua_State *L, int idx);

/* start(arguments, environment, directory, stdin, stdout, stderr, group, run),
   for lualib/casting/process_*.lua: a process; or nil, why. With a table `run`,
   its field `process` is that process before it is started; it ends with its
   call (stop). */
int cast_proc_start(lua_State *L);
int cast_proc_is_stream(lua_State *L);
int cast_proc_problem(lua_State *L);
int cast_proc_stream_problem(lua_State *L);
/* cut(text, n): its first n bytes. */
int cast_proc_cut(lua_State *L);
/* stop(process, grace), of one that ends with its call: true; false: it has
   ended, or cannot be told. */
int cast_proc_stop(lua_State *L);

/* Pushes the table internal.processes. */
void cast_proc_open(lua_State *L);

extern const luaL_Reg cast_proc_functions[];

#endif
