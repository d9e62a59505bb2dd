/* packed.h - messages that are packed once and used many times.
   SPDX-License-Identifier: MIT

   What casting.pack returns: a counted object, with handles like those of
   channels. Its fields are fixed once it is packed, so any session may copy the
   message, which is to count one more reference to its block. */
#ifndef CAST_PACKED_H
#define CAST_PACKED_H

#include "../../account.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../state/state.h"
#include "pack.h"

typedef struct cast_message {
  cast_object object;    /* (a) its count */
  cast_msg msg;          /* (i) the values, encoded */
  int n;                 /* (i) how many there are */
  bool callable;         /* (i) the first is a function: it can be spawned */
  _Atomic bool data;     /* (a) known to be nothing but data (dataonly.h) */
  cast_account *account; /* (i) of the sandbox that made it, to which the struct
                            is charged, one reference; else NULL */
} cast_message;

/* Packs the n values from stack position `first` on, and pushes the message's
   handle. what: how an error names the only value; NULL: they are arguments.
   Raises. */
cast_message *cast_message_new(lua_State *L, cast_state *S, int first, int n,
  const char *what, cast_pack_how how);
/* The message whose handle is at i, or NULL. */
cast_message *cast_message_at(lua_State *L, int i);

/* -- what a send does with its values ------------------------------------- */

/* As cast_pack; a packed message that is the only value stands for what is in
   it, and is not encoded again. */
void cast_pack_values(lua_State *L, cast_state *S, int first, int n,
  const char *what, cast_msg *out);
/* As for the value at idx alone, which errors call item i. */
void cast_pack_item(lua_State *L, cast_state *S, int idx, int i, cast_msg *out);
/* The same if that takes no memory, and so runs nothing; else false. In a
   sandbox each message takes memory. */
bool cast_pack_values_inline(
  lua_State *L, const cast_state *S, int first, int n, cast_msg *out);
/* As cast_pack_values, for a task to be started (CAST_PACK_SPAWN). */
void cast_pack_spawn(
  lua_State *L, cast_state *S, int first, int n, cast_msg *out);
/* Is at i a packed message that begins with a function? */
bool cast_message_is_callable(lua_State *L, int i);

extern const cast_type cast_message_type;

#endif
