/* receive.h - the values of a message that a task has received.
   SPDX-License-Identifier: MIT */
#ifndef CAST_RECEIVE_H
#define CAST_RECEIVE_H

#include "../../msg.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Pushes the values of *m, a message that t has received. *m becomes empty.
   Returns how many. Raises when one cannot be rebuilt. */
int cast_receive_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m);

#endif
