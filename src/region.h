/* region.h - where slabs come from: many of them out of one mapping.
   SPDX-License-Identifier: MIT

   A slab is CAST_SLAB_SIZE bytes at a multiple of that. Its first word is
   region.c's, the rest its user's. */
#ifndef CAST_REGION_H
#define CAST_REGION_H

#include "limits.h"
#include "mem.h"

/* NULL when out of memory. Any thread. huge: for whoever touches all of it. */
void *cast_region_slab(bool huge);
void cast_region_give(void *slab);
/* Gives regions back to the system that no slab is used of. */
void cast_region_flush(void);
/* Bytes of such regions now. */
size_t cast_region_kept(void);

#endif
