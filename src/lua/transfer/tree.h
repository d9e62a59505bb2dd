/* tree.h - messages of nothing but scalars, strings and tables.
   SPDX-License-Identifier: MIT

   Most messages that are not mere numbers are such trees: records, lists of
   records; no table has a metatable, and nothing comes twice. See tree.c. */
#ifndef CAST_TREE_H
#define CAST_TREE_H

#include "../../limits.h"
#include "encoder.h"

/* Tables in each other, at most; no more than are read (tree.c). */
#define CAST_TREE_DEPTH (CAST_PACK_DEPTH < 16u ? CAST_PACK_DEPTH : 16u)
#define CAST_TREE_REST 16u /* messages after one that was no tree: not tried */

/* Writes the n values from `first` on into an encoder that was taken or reset,
   if they are a tree. Else nothing is written. */
bool cast_tree_put(cast_encoder *e, int first, int n);

#endif
