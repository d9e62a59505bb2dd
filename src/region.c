/* region.c - where slabs come from: many of them out of one mapping.
   SPDX-License-Identifier: MIT

   The system is asked for CAST_REGION_SLABS slabs at a time: one by one each
   would take a call, and next to each, for the sake of its alignment, a gap
   that nobody uses but whose first page is touched. What is not cut off yet
   of a region is not touched, so it takes no memory.

   A state with many slabs gets them out of regions that the system is to fill
   with huge pages, which costs a small part of what five hundred page faults
   do. Other states must not: they leave the end of their slabs untouched.

   Owner: a slab is its user's, from cast_region_slab to cast_region_give. All
   else is under one lock, a leaf: a slab is rare. Invariants:
   1. A region is in `some` of its pool if it has a slab that is not used, and
      those with none in use at all are at its end; `nempty` counts them.
   2. The first word of a slab that is used is its region.
   3. In the child of a fork (fork.h) another thread of the parent's may have
      been in the middle of anything here. So the child has pools of its own, in
      which a region of the parent's has what the child gives back, and none is
      freed. */
#include "region.h"

#include "fork.h"
#include "limits.h"
#include "list.h"
#include "lock.h"

#ifdef CAST_PLAIN_MEMORY
#define KEPT_MAX 0u /* tools are to see what is freed */
#else
#define KEPT_MAX CAST_REGIONS_KEPT
#endif
#define SIZE ((size_t)CAST_REGION_SLABS * CAST_SLAB_SIZE)

typedef struct free_slab {
  struct free_slab *next;
} free_slab;

typedef struct region {
  cast_list link;  /* (c) in `some`, or in no list */
  char *base;      /* (i) */
  free_slab *free; /* (c) slabs that were given back */
  uint32_t cut;    /* (c) slabs that were ever used: the first ones */
  uint32_t used;   /* (c) slabs now */
  bool huge;       /* (i) which pool */
  bool forked;     /* (c) of the child's pool */
} region;

typedef struct pool {
  cast_list some;  /* (c) regions with slabs to be had; zero before first use */
  uint32_t nempty; /* (c) regions in it of which none is used */
} pool;

static struct {
  cast_lock lock;
  pool pools[2][2]; /* [of the child of a fork][of huge pages] */
} all = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

static pool *pool_of(bool huge) { return &all.pools[cast_forked][huge]; }

static region *region_of(cast_list *link) {
  return CAST_CONTAINER(link, region, link);
}

/* With the lock. */
static region *first(pool *p) {
  if (p->some.next == NULL) cast_list_init(&p->some);
  return cast_list_is_empty(&p->some) ? NULL : region_of(p->some.next);
}

static region *new_region(bool huge) {
  region *r = cast_calloc(sizeof *r);
  if (r == NULL) return NULL;
  r->huge = huge;
  r->forked = cast_forked;
  r->base = cast_alloc_aligned(huge ? SIZE : CAST_SLAB_SIZE, SIZE, huge);
  if (r->base != NULL) return r;
  cast_free(r);
  return NULL;
}

static void free_region(region *r) {
  CAST_ASSERT(r->used == 0);
  cast_free_aligned(r->base, SIZE);
  cast_free(r);
}

/* With the lock: a slab of r, which has one. */
static void *take(region *r) {
  free_slab *slab = r->free;
  if (slab != NULL)
    r->free = slab->next;
  else
    slab = (free_slab *)(void *)(r->base + (size_t)r->cut++ * CAST_SLAB_SIZE);
  r->used++;
  if (r->free == NULL && r->cut == CAST_REGION_SLABS)
    cast_list_remove(&r->link);
  memcpy(slab, &r, sizeof r);
  return slab;
}

void *cast_region_slab(bool huge) {
  pool *p = pool_of(huge);
  region *r;
  void *slab = NULL;
  bool was_empty = false;
  if (cast_mem_must_fail()) return NULL;
  cast_lock_take(&all.lock);
  r = first(p);
  if (r != NULL) {
    was_empty = r->used == 0;
    p->nempty -= was_empty;
    slab = take(r);
  }
  cast_lock_drop(&all.lock);
  if (was_empty) {
    cast_mem_used(); /* the region, and what describes it */
    cast_mem_used();
  }
  if (r != NULL) return slab;
  /* Not under the lock. Should two threads come here, there are two. */
  r = new_region(huge);
  if (r == NULL) return NULL;
  cast_lock_take(&all.lock);
  (void)first(p);
  cast_list_unshift(&p->some, &r->link);
  slab = take(r);
  cast_lock_drop(&all.lock);
  return slab;
}

/* Invariant 3. With the lock. */
static void adopt(region *r, pool *p) {
  (void)first(p);
  cast_list_init(&r->link);
  r->free = NULL;
  r->cut = CAST_REGION_SLABS;
  r->forked = true;
}

void cast_region_give(void *slab) {
  free_slab *s = slab;
  region *r;
  pool *p;
  bool is_empty, kept;
  memcpy(&r, slab, sizeof r);
  p = pool_of(r->huge);
  cast_lock_take(&all.lock);
  if (CAST_UNLIKELY(r->forked != cast_forked)) adopt(r, p);
  CAST_ASSERT(r->used > 0);
  s->next = r->free;
  r->free = s;
  is_empty = --r->used == 0;
  kept = !is_empty || p->nempty < KEPT_MAX || cast_forked;
  cast_list_remove(&r->link);
  if (!is_empty)
    cast_list_unshift(&p->some, &r->link);
  else if (kept)
    cast_list_push(&p->some, &r->link);
  p->nempty += is_empty && kept;
  cast_lock_drop(&all.lock);
  if (!kept) free_region(r);
  if (!is_empty || !kept) return;
  cast_mem_kept();
  cast_mem_kept();
}

static void flush(pool *p) {
  region *r;
  do {
    cast_lock_take(&all.lock);
    r = first(p);
    if (r != NULL) r = region_of(p->some.prev);
    if (r != NULL && r->used > 0) r = NULL;
    if (r != NULL) {
      cast_list_remove(&r->link);
      p->nempty--;
    }
    cast_lock_drop(&all.lock);
    if (r == NULL) break;
    cast_mem_used();
    cast_mem_used();
    free_region(r);
  } while (true);
}

void cast_region_flush(void) {
  flush(pool_of(false));
  flush(pool_of(true));
}

size_t cast_region_kept(void) {
  cast_lock_take(&all.lock);
  size_t n = pool_of(false)->nempty + pool_of(true)->nempty;
  cast_lock_drop(&all.lock);
  return n * SIZE;
}
