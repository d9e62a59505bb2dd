/* fs.h - what the files of casting.fs share.
   SPDX-License-Identifier: MIT */
#ifndef CAST_FS_H
#define CAST_FS_H

#include "../compat/compat.h"
#include "../state/state.h"

/* Pushes the table internal.files. */
void cast_fs_open(lua_State *L);

extern const luaL_Reg cast_fs_functions[];

#endif
