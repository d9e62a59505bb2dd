/* tree.h - messages of nothing but scalars, strings and tables.
   SPDX-License-Identifier: MIT

   Most messages that are not mere numbers are such trees: records, lists of
   records. No table has a metatable, and none comes twice. See tree.c. */
#ifndef CAST_TREE_H
#define CAST_TREE_H

#include "../../limits.h"
#include "encoder.h"

/* Tables in each other that are written, at the most. The reader goes down to
   CAST_PACK_DEPTH, so this must not be more. */
#define CAST_TREE_DEPTH (CAST_PACK_DEPTH < 16u ? CAST_PACK_DEPTH : 16u)

/* Writes the n values from `first` on into an encoder that was taken or reset,
   if they are a tree. Else nothing is written. */
bool cast_tree_put(cast_encoder *e, int first, int n);

#endif
