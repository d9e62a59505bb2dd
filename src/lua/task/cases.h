/* cases.h - the cases of a task's latest select.
   SPDX-License-Identifier: MIT

   They lie in t->extra, and stay there until the next select of the task or its
   end: messages that were not sent may be among them. Owner: the task's
   session. Invariant: `nfiles` of them, the first ones, own a reference in
   `object` (cast_cases_own); nothing else is dropped when they are forgotten,
   so cases that are being read may refer to anything. */
#ifndef CAST_CASES_H
#define CAST_CASES_H

#include "../state/ltask.h"

/* Drops what t's latest select has left, and makes room for n cases, all zero.
   NULL: out of memory. */
cast_extra *cast_cases_make(cast_ltask *t, uint32_t n);
/* Drops messages and descriptors; there are no cases then. */
void cast_cases_drop(cast_ltask *t);
/* The same, and gives their memory back: the task has ended. */
void cast_cases_free(cast_ltask *t);
/* The select is about to look at descriptors: takes a reference for each case
   that has one, and has `file` made of `fd` where that is all there is. False:
   out of memory, and none was taken. */
bool cast_cases_own(cast_extra *x);
/* It is over: calls x->let_go and gives these references up, so that a
   descriptor of the program's is forgotten. */
void cast_cases_disown(cast_extra *x);

#endif
