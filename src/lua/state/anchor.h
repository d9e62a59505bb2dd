/* anchor.h - what only C refers to, kept from the collector.
   SPDX-License-Identifier: MIT */
#ifndef CAST_ANCHOR_H
#define CAST_ANCHOR_H

#include "../compat/compat.h"
#include "state.h"

/* Keeps the value on the top of L, which it takes, until the number that it
   returns is given back. Raises. */
int cast_anchor(lua_State *L, cast_state *S);
/* Pushes it, without taking memory. */
void cast_anchor_push(lua_State *L, cast_state *S, int at);
void cast_anchor_free(cast_state *S, int at);

#endif
