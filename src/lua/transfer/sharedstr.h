/* sharedstr.h - large strings that states share instead of copying.
   SPDX-License-Identifier: MIT */
#ifndef CAST_SHAREDSTR_H
#define CAST_SHAREDSTR_H

#include "../../msg.h"
#include "../compat/compat.h"
#include "packer.h"

void cast_sharedstr_fini(cast_packer *p);

/* The shared bytes of the string at idx, with a reference for the caller;
   NULL when out of memory. Raises Lua's memory error, holding nothing. */
cast_bytes *cast_sharedstr_get(cast_packer *p, lua_State *L, int t, int idx);

/* Pushes the string of these bytes. */
void cast_sharedstr_push(cast_packer *p, lua_State *L, cast_bytes *b);

#endif
