/* region.c - where slabs come from: many of them out of one mapping.
   SPDX-License-Identifier: MIT

   CAST_REGION_SLABS slabs are mapped at a time, as a region. Mapping one by one
   would take a system call for each, and next to each, because of its
   alignment, a gap that nobody uses but whose first page is touched. The part
   of a region that is not cut into slabs yet is not touched, so it takes no
   memory.

   A state with many slabs gets them from regions for which the system is asked
   to use huge pages: one of these costs a small part of five hundred page
   faults. Other states get ordinary pages, for they leave the end of their
   slabs untouched.

   Owner: a slab belongs to its user from cast_region_slab to cast_region_give.
   Everything else is guarded by one lock, a leaf, since slabs are rarely asked
   for. Invariants:
   1. A region is in `some` of its pool if it has an unused slab. The regions
      without any used slab are at the end of that list; `nempty` counts them.
   2. The first word of a used slab is the address of its region.
   3. In the child of a fork (fork.h) a thread of the parent may have been in
      the middle of any change here. So the child has pools of its own. A region
      of the parent's enters them when the child gives a slab of it back, and
      then has only such slabs; no region is freed in the child. */
#include "region.h"

#include "fork.h"
#include "limits.h"
#include "list.h"
#include "lock.h"

#ifdef CAST_PLAIN_MEMORY
#define KEPT_MAX 0u /* so that tools see what is freed */
#else
#define KEPT_MAX CAST_REGIONS_KEPT
#endif
#define SIZE ((size_t)CAST_REGION_SLABS * CAST_SLAB_SIZE)

/* A slab that was given back, at its beginning. */
typedef struct free_slab {
  struct free_slab *next; /* the next one of the same region */
} free_slab;

typedef struct region {
  cast_list link;  /* (lock) in `some` of its pool, or in no list */
  char *base;      /* (i) the mapping: SIZE bytes */
  free_slab *free; /* (lock) slabs that were given back */
  uint32_t cut;    /* (lock) how many slabs, the first ones, were ever used */
  uint32_t used;   /* (lock) how many slabs are used now */
  bool huge;       /* (i) it belongs to the pool of huge pages */
  bool forked;     /* (lock) it belongs to the pools of a fork's child */
} region;

typedef struct pool {
  cast_list
    some; /* (lock) regions with an unused slab; zero before first use */
  uint32_t nempty; /* (lock) how many of them have no used slab */
} pool;

static struct {
  cast_lock lock;
  pool pools[2][2]; /* [of the child of a fork][of huge pages] */
} all = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

static pool *pool_of(bool huge) { return &all.pools[cast_forked][huge]; }

static region *region_of(cast_list *link) {
  return CAST_CONTAINER(link, region, link);
}

/* With the lock: a region with an unused slab, or NULL. Makes the list before
   its first use. */
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

/* With the lock: takes a slab of r, which has an unused one. */
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
  /* Mapping is not done under the lock. If two threads come here at once, each
     makes a region, and both are used. */
  r = new_region(huge);
  if (r == NULL) return NULL;
  cast_lock_take(&all.lock);
  (void)first(p);
  cast_list_unshift(&p->some, &r->link);
  slab = take(r);
  cast_lock_drop(&all.lock);
  return slab;
}

/* Invariant 3, with the lock: takes a region of the parent's over. Its counts
   may be wrong, so no slab is cut off it any more. */
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

/* Frees the regions of p without a used slab. */
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
