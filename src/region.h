/* region.h - where slabs come from: many of them out of one mapping.
   SPDX-License-Identifier: MIT

   A slab has CAST_SLAB_SIZE bytes and is aligned to that. Its first word
   belongs to region.c, the rest to its user. Any thread may call these
   functions. */
#ifndef CAST_REGION_H
#define CAST_REGION_H

#include "limits.h"
#include "mem.h"

/* Returns a slab; NULL when out of memory. With `huge` the slab may lie in huge
   pages, so the caller should be one that will use all of it. */
void *cast_region_slab(bool huge);
/* Takes a slab back. */
void cast_region_give(void *slab);
/* Gives all unused regions back to the system. */
void cast_region_flush(void);
/* For tests: the bytes of unused regions now. */
size_t cast_region_kept(void);

#endif
