/* forked.h - what the child of a fork does first, in tests.
   SPDX-License-Identifier: MIT

   A child lacks the threads that owned what it inherits. So valgrind finds
   leaks there that are none, and would change how the child ends: it is told
   not to look for leaks in the child. Sanitizers look in a process that exits,
   and these children do not. */
#ifndef CAST_FORKED_H
#define CAST_FORKED_H

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

static inline void test_forked(void) {
#if defined(VALGRIND_CLO_CHANGE)
  VALGRIND_CLO_CHANGE("--leak-check=no");
#endif
}

#endif
