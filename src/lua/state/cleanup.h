/* cleanup.h - what C code refers to while it may raise, given up in any case.
   SPDX-License-Identifier: MIT

   C has no destructors that an error would run. So an operation that owns
   references puts them into one of these, which a userdata on the stack owns:
   the collector gives the references up when the operation has ended, or an
   error has left it. A state that ends does so for all that are still there:
   the end of what they refer to may need the runtime (a failed task is reported
   then), which may stop before the collector comes to them.

   They lie in memory of C's. A userdata can vanish without its finalizer: if
   there is no memory to call one, Lua gives up on it. Then a list that led
   through userdata would lead into freed memory. As it is, what was to be given
   up stays until the state ends, and that is all. */
#ifndef CAST_CLEANUP_H
#define CAST_CLEANUP_H

#include "../../account.h"
#include "../../list.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "state.h"

/* At the beginning of a struct. */
typedef struct cast_cleanup cast_cleanup;
struct cast_cleanup {
  cast_list link;                /* in cast_state.cleanups */
  void (*drop)(cast_cleanup *h); /* NULL: it was called */
  cast_cleanup **owner;          /* the userdata, while it is on the stack */
  cast_account *account; /* a sandbox's: `charged` bytes are charged to it */
  size_t charged;
};

/* Pushes a userdata that owns one of `size` bytes, which are zero but for the
   cast_cleanup, and returns that. drop: gives up what it holds, and neither
   raises nor runs any Lua code. Raises. */
void *cast_cleanup_push(
  lua_State *L, cast_state *S, size_t size, void (*drop)(cast_cleanup *h));
/* The operation has ended, its userdata still being on the stack: drops what is
   there and frees it now. Need not be called, but the collector does not know
   how large it is. */
void cast_cleanup_end(cast_cleanup *h);
/* Pushes one that holds one object, or none (NULL). Raises. */
cast_object **cast_box_push(lua_State *L, cast_state *S);
/* The state ends: all of them give up what they hold. */
void cast_cleanup_run_all(cast_state *S);

#endif
