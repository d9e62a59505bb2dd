/* bytecode.h - bytecode of Lua functions, dumped and loaded seldom.
   SPDX-License-Identifier: MIT

   To dump a function and to load it again costs more than all else in a message
   with one, so a state remembers what it has dumped and loaded. */
#ifndef CAST_BYTECODE_H
#define CAST_BYTECODE_H

#include "../../msg.h"
#include "../compat/compat.h"
#include "packer.h"

/* The state closes: gives up the bytecode that is remembered. */
void cast_bytecode_fini(cast_packer *p);

/* The bytecode of the Lua function at idx, with a reference for the caller.
   Raises Lua's memory error, holding nothing. */
cast_bytes *cast_bytecode_get(cast_packer *p, lua_State *L, int t, int idx);

/* Pushes a function with this bytecode and so many upvalues, which the caller
   sets. A `pure` one (no upvalues, or only the globals) may be one that an
   earlier message brought; `message` is the number of this one. False: what is
   pushed is the error's value. */
bool cast_bytecode_load(cast_packer *p, lua_State *L, cast_bytes *b, bool pure,
  unsigned nups, uint32_t message);

#endif
