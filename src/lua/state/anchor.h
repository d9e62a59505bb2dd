/* anchor.h - what only C refers to, kept from the collector.
   SPDX-License-Identifier: MIT */
#ifndef CAST_ANCHOR_H
#define CAST_ANCHOR_H

#include "../compat/compat.h"
#include "state.h"

/* Pops the value on the top of L and keeps it from the collector. Returns the
   number of its place, to be given back by cast_anchor_free. Raises when out of
   memory. */
int cast_anchor(lua_State *L, cast_state *S);
/* Pushes the value at that place, without taking memory. */
void cast_anchor_push(lua_State *L, cast_state *S, int at);
/* Lets the value go. Takes no memory and does not raise. */
void cast_anchor_free(cast_state *S, int at);

#endif
