/* options.h - the options of casting.session.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OPTIONS_H
#define CAST_OPTIONS_H

#include "../compat/compat.h"
#include "newsession.h"

/* *o = the options of a session about which nothing is said. A string that *o
   points to is pushed. */
void cast_options_default(lua_State *L, cast_options *o);
/* Reads the table at i into *o, which has the default. The strings that *o
   points to stay on the stack, with the option `init`, or nil, on the top.
   Returns NULL, or what is
   wrong with the options: a text on the stack. Raises only for want of memory,
   or what a metamethod raises. */
const char *cast_options_read(lua_State *L, int i, cast_options *o);
/* LuaJIT: is nothing compiled in a session with these options? The option jit
   says so; if it does not, a limit of memory or of cpu does. */
bool cast_options_interpret(const cast_options *o);
/* The limit of so many seconds, more than 0, for cast_options. */
uint64_t cast_options_cpu(double seconds);
/* internal.session_problem(options): what is wrong with them, or nil. */
int cast_lib_session_problem(lua_State *L);

#endif
