/* lib_signals.h - process.signals.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_SIGNALS_H
#define CAST_LIB_SIGNALS_H

#include "../compat/compat.h"

int cast_lib_signals(lua_State *L);

#endif
