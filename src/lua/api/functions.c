/* functions.c - the functions of casting.h, for modules that ask for them.
   SPDX-License-Identifier: MIT */
#include "../../../include/casting_import.h"

#include "../lib/lib_casting.h"

#define NAME(result, name, parameters, arguments) name,
#define NAME_VOID(name, parameters, arguments) name,

static const casting_functions all = {
  sizeof(casting_functions), CASTING_FUNCTIONS(NAME, NAME_VOID)};

/* Some of them open the module, which gives a state all of them: so the module
   is told here where they are, and does not name them. */
CAST_AT_LOAD tell_module(void) { cast_module_functions = &all; }
