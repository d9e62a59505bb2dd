/* tsan_longjmp.c - lets ThreadSanitizer see the jumps of a stock Lua.
   SPDX-License-Identifier: MIT

   Debian builds Lua with _FORTIFY_SOURCE, so lua_error and lua_yield jump by
   __longjmp_chk, which ThreadSanitizer does not know: its record of the call
   stack then grows with each, until it is full. Preloaded before libtsan, this
   sends them through longjmp. */
#include <setjmp.h>

_Noreturn void __longjmp_chk(jmp_buf env, int value);
_Noreturn void __longjmp_chk(jmp_buf env, int value) { longjmp(env, value); }
