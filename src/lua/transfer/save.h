/* save.h - writes objects that have a __save into an encoder.
   SPDX-License-Identifier: MIT

   A __save returns a constructor, a function or callable table, and arguments
   for it. They are sent instead of the object, and the receiver calls them. */
#ifndef CAST_SAVE_H
#define CAST_SAVE_H

#include "encoder.h"

/* Whether the metatable on top has a __save: pushes it. */
bool cast_save_find(cast_encoder *e);
/* On the stack: object, metatable, __save, which are popped. Calls the __save,
   and opens a frame for the list of what it returned. */
cast_put cast_save_put(cast_encoder *e, const void *key);
/* The list is written: the frame is closed. */
void cast_save_end(cast_encoder *e, const cast_frame *f);

#endif
