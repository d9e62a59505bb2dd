/* closure.h - writes functions into an encoder.
   SPDX-License-Identifier: MIT */
#ifndef CAST_CLOSURE_H
#define CAST_CLOSURE_H

#include "encoder.h"

/* Writes the function on top of the stack; as cast_encode_value. */
bool cast_closure_put(cast_encoder *e);
/* The frame of the function on top is open: writes its environment, if that
   is one of its own. */
void cast_closure_begin(cast_encoder *e, cast_frame *f);
/* Goes on with its upvalues; true at their end. */
bool cast_closure_step(cast_encoder *e, cast_frame *f);

#endif
