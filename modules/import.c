/* import.c - the functions of casting.h in a module that is not linked with it.
   SPDX-License-Identifier: MIT

   A part of each module in C; its opener calls casting_import. */
#define CASTING_IMPORT
#include "../include/casting_import.h"
