/* stock.h - what the standard libraries of a new Lua state have.
   SPDX-License-Identifier: MIT */
#ifndef CAST_STOCK_H
#define CAST_STOCK_H

#include "../base.h"
#include "compat.h"

/* Finds it out, if nobody has yet: before the others are called. */
void cast_stock_learn(void);
/* Is there a library of that name (the globals' is "_G")? */
bool cast_stock_library(const char *name);
/* And does it have such a member? */
bool cast_stock_member(const char *library, const char *key);

#endif
