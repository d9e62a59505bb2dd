/* fs_watch.h - what fs.watch needs in C: things to be watched, and events.
   SPDX-License-Identifier: MIT */
#ifndef CAST_FS_WATCH_H
#define CAST_FS_WATCH_H

#include "../state/handle.h"

/* What was asked for by watch_add is a handle of this class, which programs do
   not see. */
extern const cast_class cast_watching_class;

/* In internal.files, for lualib/casting/fs_watch*.lua. */
extern const luaL_Reg cast_watch_functions[];

#endif
