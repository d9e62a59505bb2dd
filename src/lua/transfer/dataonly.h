/* dataonly.h - what may leave a sandbox.
   SPDX-License-Identifier: MIT

   Nothing but data and handles: nil, booleans, numbers, strings, tables without
   a metatable, cancellations, and handles of channels, tasks, sessions and
   packed messages of data. So nothing that a sandbox sends has code run where
   it is received, or fails to be received there. */
#ifndef CAST_DATAONLY_H
#define CAST_DATAONLY_H

#include "../../object.h"
#include "encoder.h"

/* Why something is refused. */
#define CAST_DATA_ONLY "what leaves a sandbox is data"

/* May the handle of that object leave a sandbox? */
bool cast_data_is_handle(const cast_packer *p, cast_object *o);
/* Is nothing but data in what was written? */
bool cast_data_is_written(const cast_encoder *e);
/* Raises if that is not so. */
void cast_data_prove(cast_encoder *e);
/* Writes the metatable of a cancellation: the name of that in the receiver's
   casting. */
void cast_data_put_cancelled(cast_encoder *e);

/* May what tree.c has written be sent? It knows no light userdata. */
static inline bool cast_data_may(const cast_encoder *e) {
  return CAST_LIKELY(!e->call.data) || cast_data_is_written(e);
}

#endif
