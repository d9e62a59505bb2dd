/* sharedstr.h - large strings that states share instead of copying.
   SPDX-License-Identifier: MIT

   A string of CAST_SHARED_STRING bytes or more travels as counted bytes outside
   of any Lua state, which all messages with that string refer to. */
#ifndef CAST_SHAREDSTR_H
#define CAST_SHAREDSTR_H

#include "../../msg.h"
#include "../compat/compat.h"
#include "packer.h"

/* The state closes: gives up the shared bytes that are remembered. */
void cast_sharedstr_fini(cast_packer *p);

/* The shared bytes of the string at idx, with a reference for the caller;
   NULL when out of memory. Raises Lua's memory error, holding nothing. */
cast_bytes *cast_sharedstr_get(cast_packer *p, lua_State *L, int t, int idx);

/* Pushes the string of these bytes: the same Lua string as the last time, if it
   is remembered. May raise. */
void cast_sharedstr_push(cast_packer *p, lua_State *L, cast_bytes *b);

#endif
