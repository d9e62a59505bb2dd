/* closure.h - writes functions into an encoder.
   SPDX-License-Identifier: MIT

   closure.c does not write values, or it and encode.c would call each other:
   it leaves the value that comes next on the stack, and says so. */
#ifndef CAST_CLOSURE_H
#define CAST_CLOSURE_H

#include "encoder.h"

/* Writes the function on top of the stack, and pops it, or opens a frame. */
cast_put cast_closure_put(cast_encoder *e);
/* The frame of the function on top was opened: what comes is its upvalues, and
   before them its environment, if that is one of its own. */
void cast_closure_begin(cast_encoder *e, cast_frame *f);
/* Pushes the next of these that has to be written. False: there is none any
   more. */
bool cast_closure_next(cast_encoder *e, cast_frame *f);

#endif
