/* pack.h - Lua values to messages and back.
   SPDX-License-Identifier: MIT

   One packer per Lua state (universe), used only by whoever runs that state.
   Encoding copies: afterwards the message shares nothing with the state. */
#ifndef CAST_PACK_H
#define CAST_PACK_H

#include "../msg.h"
#include "compat.h"

typedef struct cast_packer cast_packer;

/* Makes the state's packer: captures the names of library functions and
   modules. Raises a Lua error when out of memory. The packer is a full
   userdata anchored in the registry, freed by the state's end. */
cast_packer *cast_packer_open(lua_State *L);

/* Encodes the n >= 1 values at stack positions first .. first + n - 1 into
   *out (which was empty). Raises a Lua error that names the path, e.g.
   "cannot send a coroutine (argument 2: .handlers[3].co)"; `base` is added to
   the argument's number, `what` replaces the word "argument" if not NULL.
   After an error *out is still empty and nothing is held. The stack is left
   as it was. */
void cast_pack(cast_packer *p, lua_State *L, int first, int n, const char *what,
  int base, cast_msg *out);

/* Pushes the values of *msg and returns how many; drops *msg. Raises a Lua
   error when a value cannot be rebuilt; *msg is then left for its owner to
   drop, so it must lie in memory that outlives the error. */
int cast_unpack(cast_packer *p, lua_State *L, cast_msg *msg);

/* For messages that only hold nils, booleans and numbers: pushes without
   allocating or raising (the caller has ensured CAST_MSG_INLINE free stack
   slots), drops *msg, returns the count; -1 if *msg holds anything else. */
int cast_unpack_plain(lua_State *L, cast_msg *msg);

/* The same, also for short strings: may raise when out of memory; then *msg
   is left to its owner. It runs no Lua code. */
int cast_unpack_simple(lua_State *L, cast_msg *msg);

/* A message of one number, without any Lua state (timers). */
void cast_pack_number(double v, cast_msg *out);

#endif
