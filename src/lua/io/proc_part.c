/* proc_part.c - the functions of casting.process in C.
   SPDX-License-Identifier: MIT */
#include "../session/library.h"
#include "proc.h"

const luaL_Reg cast_proc_functions[] = {
  {"start", cast_proc_start},
  {"is_stream", cast_proc_is_stream},
  {"problem", cast_proc_problem},
  {"stream_problem", cast_proc_stream_problem},
  {"stop", cast_proc_stop},
  {"cut", cast_proc_cut},
  {NULL, NULL},
};

/* A sandbox without the library may have been given a process. */
void cast_proc_open(lua_State *L) {
  lua_newtable(L);
  if (!cast_libs_has(cast_state_find(L), CAST_LIB_PROCESS)) return;
  cast_state_box(L);
  luaL_setfuncs(L, cast_proc_functions, 1);
}
