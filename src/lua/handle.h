/* handle.h - Lua userdata that hold references to channels, tasks, sessions.
   SPDX-License-Identifier: MIT

   A handle is a full userdata of two words. The state's weak table maps an
   object to its one handle there, so equal handles are the same Lua value. */
#ifndef CAST_HANDLE_H
#define CAST_HANDLE_H

#include "../object.h"
#include "compat.h"

/* The object of the handle at idx, or NULL if that is not a handle (or one
   whose state is closing). The reference stays the handle's. */
cast_object *cast_handle_test(lua_State *L, int idx);
/* Pushes the handle of `o`. Takes over the caller's reference, also when it
   raises (out of memory). */
void cast_handle_push(lua_State *L, cast_object *o);

#endif
