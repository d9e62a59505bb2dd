/* anchor.h - what only C refers to, kept from the collector.
   SPDX-License-Identifier: MIT */
#ifndef CAST_ANCHOR_H
#define CAST_ANCHOR_H

#include "state.h"

/* Keeps the value on the top of L, which it takes, until the number that it
   returns is given back. Raises. */
int cast_anchor(lua_State *L, cast_state *S);
/* Makes room for n. Raises. */
void cast_anchor_ready(lua_State *L, cast_state *S, int n);
/* Keeps a coroutine, without taking memory. 0: there is no room. */
int cast_anchor_thread(cast_state *S, lua_State *co);
/* Pushes it, without taking memory. */
void cast_anchor_push(lua_State *L, cast_state *S, int at);
void cast_anchor_free(cast_state *S, int at);

#endif
