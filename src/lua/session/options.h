/* options.h - the options of casting.session.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OPTIONS_H
#define CAST_OPTIONS_H

#include "../compat/compat.h"
#include "newsession.h"

/* Reads the table at i; what *o points to stays on the stack, and `init`, or
   nil, is left on its top. Returns what is wrong with them, a text on the
   stack, or NULL. Raises only when out of memory, or what a metamethod
   raises. */
const char *cast_options_read(lua_State *L, int i, cast_options *o);
/* internal.session_problem(options): that text, or nil. */
int cast_lib_session_problem(lua_State *L);

#endif
