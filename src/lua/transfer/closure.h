/* closure.h - writes functions into an encoder.
   SPDX-License-Identifier: MIT */
#ifndef CAST_CLOSURE_H
#define CAST_CLOSURE_H

#include "encoder.h"

/* Writes the function on top of the stack; as the functions of encoder.h. */
cast_put cast_closure_put(cast_encoder *e);
/* The frame of the function on top is open: its upvalues come, and before them
   its environment, if that is one of its own. */
void cast_closure_begin(cast_encoder *e, cast_frame *f);
/* Pushes the next value of these that is to be written; false: there is none
   any more. */
bool cast_closure_next(cast_encoder *e, cast_frame *f);

#endif
