/* terminal.h - what the launcher's prompt needs of a terminal.
   SPDX-License-Identifier: MIT */
#ifndef CAST_TERMINAL_H
#define CAST_TERMINAL_H

#include "../compat/compat.h"

/* Pushes the table internal.terminals. */
void cast_terminal_open(lua_State *L);

#endif
