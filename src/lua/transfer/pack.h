/* pack.h - Lua values to messages and back.
   SPDX-License-Identifier: MIT

   One packer per Lua state (universe), used only by the runner of that state.
   Encoding copies: afterwards the message shares nothing with the state, and
   can be unpacked in any other, on any thread. */
#ifndef CAST_PACK_H
#define CAST_PACK_H

#include "../../context.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"

typedef struct cast_packer cast_packer;

/* Makes the state's packer. Raises a Lua error when out of memory. The packer
   is a full userdata anchored in the registry, freed by the state's end.
   *runner is what runs the state, or NULL: the memory of messages comes from
   its blocks, and goes back there. Where none is ever known, `runner` is
   NULL. */
cast_packer *cast_packer_open(lua_State *L, cast_runner *const *runner);
/* The module on top is casting: that is its name, whether or not package.loaded
   has it. Raises. */
void cast_packer_own(cast_packer *p, lua_State *L);

/* The state ends: gives up what the packer refers to. It remembers nothing any
   more, but finalizers that run later can still use it. */
void cast_packer_close(cast_packer *p, bool stuck);

/* Pushes what is in one of the packer's slots (packer.h), and makes no value
   for it. Takes two places of the stack. */
void cast_packer_push(cast_packer *p, lua_State *L, int slot);

/* Encodes the n >= 1 values at stack positions first .. first + n - 1 into
   *out (which was empty). Raises a Lua error that names the path, e.g.
   "cannot send a coroutine (argument 2: .handlers[3].co)"; `base` is added to
   the argument's number, `what` replaces the word "argument" if not NULL.
   After an error *out is still empty and nothing is held. The stack is left
   as it was. */
void cast_pack(cast_packer *p, lua_State *L, int first, int n, const char *what,
  int base, cast_msg *out);

/* SEND: what moves (transferable.h) has moved afterwards. COPY: the message is
   to be sent many times, so such things are errors. TRY: it will not be sent;
   they are fine, and stay; and errors have no position in front. TELL: as COPY,
   because the message only tells of values that are somebody's (outcome.c).
   SPAWN: as SEND, TRY_SPAWN: as TRY, and LOADER: as COPY, but the receiver is a
   session that may run what the sender says: from a sandbox these alone take
   more than data (dataonly.h). */
typedef enum {
  CAST_PACK_SEND,
  CAST_PACK_COPY,
  CAST_PACK_TRY,
  CAST_PACK_TELL,
  CAST_PACK_SPAWN, /* from here on: of code, too */
  CAST_PACK_TRY_SPAWN,
  CAST_PACK_LOADER
} cast_pack_how;
static inline bool cast_pack_tries(cast_pack_how how) {
  return how == CAST_PACK_TRY || how == CAST_PACK_TRY_SPAWN;
}
void cast_pack_as(cast_packer *p, lua_State *L, int first, int n,
  const char *what, int base, cast_pack_how how, cast_msg *out);

/* What is packed next, at once, is the results of this task (NULL: they were
   packed). For a handle of the task itself among them the message has NULL in
   place of a reference, or the task would keep itself alive: its results belong
   to it. See cast_msg_complete. Nothing moves, and nothing is done about
   handles of other tasks: crossing.c sees to both. */
void cast_pack_results(cast_packer *p, cast_object *task);

/* The same for a few scalars and short strings, which takes no memory, and so
   runs no finalizer and raises nothing. False: they are something else, or too
   many. */
bool cast_pack_inline(lua_State *L, int first, int n, cast_msg *out);

/* Drops a message that this state has packed and that is not sent after all:
   what has moved moves back (transferable.c), and tasks whose handles are in it
   are not given away (crossing.c). Does not raise. */
void cast_pack_undo(cast_packer *p, lua_State *L, cast_msg *m);

/* Pushes the values of *msg and returns how many; drops *msg. Raises a Lua
   error when a value cannot be rebuilt; *msg is then left for its owner to
   drop, so it must lie in memory that outlives the error. */
int cast_unpack(cast_packer *p, lua_State *L, cast_msg *msg);

/* For messages that only hold nils, booleans and numbers: pushes without
   allocating or raising (the caller has ensured LUA_MINSTACK free stack slots),
   drops *msg, returns the count; -1 if *msg holds anything else, or more. */
int cast_unpack_plain(lua_State *L, cast_msg *msg);

/* The same, also for short strings: may raise when out of memory; then *msg
   is left to its owner. It runs no Lua code. */
int cast_unpack_simple(lua_State *L, cast_msg *msg);

/* A message of one number, without any Lua state (timers). */
void cast_pack_number(double v, cast_msg *out);
/* And of one text of at most 31 bytes. */
void cast_pack_text(const char *text, cast_msg *out);

#endif
