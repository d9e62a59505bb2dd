/* context.c - the pool of C stacks, and switching between them.
   SPDX-License-Identifier: MIT

   See context.h for owners and invariants. Lock: CAST_RANK_POOL for the pool of
   spare stacks. A stack costs two system calls to make and two to free, and its
   pages fault anew, so up to CAST_CONTEXTS_MAX are kept. */
#include "context.h"

#include "../include/casting.h"
#include "limits.h"
#include "lock.h"
#include "mem.h"

static struct {
  cast_lock lock;
  size_t size;                         /* (i) bytes of each stack */
  uint32_t count;                      /* (lock) stacks in `free` */
  os_context *free[CAST_CONTEXTS_MAX]; /* (lock) the spare stacks */
} pool;

void cast_contexts_init(void) {
  uint64_t space = os_space_limit();
  size_t size = os_stack_limit();
  if (size > CAST_STACK_MOST) size = CAST_STACK_MOST;
  if (size < CAST_STACK_LEAST || space < CAST_SPACE_AMPLE)
    size = CAST_STACK_LEAST;
  pool.size = size;
  cast_lock_init(&pool.lock, CAST_RANK_POOL);
}

size_t cast_contexts_size(void) { return pool.size; }

void cast_contexts_fini(void) {
  while (pool.count > 0) os_context_free(pool.free[--pool.count]);
}

/* The first code on a fresh stack: starts the runner's loop. */
static void entry(void *arg) {
  cast_runner *r = arg;
  cast_runner_arrived(r);
  r->loop(r);
  cast_panic(__FILE__, __LINE__, "a runner's loop has returned");
}

/* Puts a context into the pool, or frees it if the pool is full. */
static void give(os_context *c) {
  bool kept = false;
  cast_lock_take(&pool.lock);
  if (pool.count < CAST_CONTEXTS_MAX) {
    pool.free[pool.count++] = c;
    kept = true;
  }
  cast_lock_drop(&pool.lock);
  if (!kept) os_context_free(c);
}

int cast_runner_reserve(cast_runner *r) {
  os_context *c = NULL;
  if (r->spare != NULL) return 0;
  cast_lock_take(&pool.lock);
  if (pool.count > 0) c = pool.free[--pool.count];
  cast_lock_drop(&pool.lock);
  if (c != NULL)
    os_context_reset(c, entry, r);
  else
    c = os_context_new(pool.size, entry, r);
  r->spare = c;
  return c != NULL ? 0 : CASTING_ENOMEM;
}

void cast_runner_arrived(cast_runner *r) {
  os_context *c = r->left;
  if (c == NULL) return;
  r->left = NULL;
  if (r->spare == NULL) {
    os_context_reset(c, entry, r);
    r->spare = c;
  } else {
    give(c);
  }
}

void cast_runner_fork(cast_runner *r, os_context **keep) {
  os_context *from = r->at;
  CAST_ALWAYS(r->spare != NULL && r->left == NULL);
  CAST_ASSERT(cast_lock_holds_none());
  *keep = from;
  r->at = r->spare;
  r->spare = NULL;
  os_context_switch(from, r->at);
}

void cast_runner_jump(cast_runner *r, os_context *to) {
  os_context *from = r->at;
  CAST_ASSERT(r->left == NULL && to != from && cast_lock_holds_none());
  r->left = from;
  r->at = to;
  os_context_switch(from, to);
  cast_panic(__FILE__, __LINE__, "an abandoned stack was continued");
}

void cast_runner_fini(cast_runner *r) {
  CAST_ASSERT(r->left == NULL);
  if (r->spare != NULL) give(r->spare);
  r->spare = NULL;
  cast_blocks_fini(&r->blocks);
  if (r->scratch != NULL) cast_mem_used();
  cast_free(r->scratch);
  r->scratch = NULL;
}

void *cast_runner_scratch(cast_runner *r) {
  void *bytes = r != NULL ? r->scratch : NULL;
  if (bytes == NULL) return cast_alloc(CAST_READ_MOST);
  if (cast_mem_must_fail()) return NULL;
  r->scratch = NULL;
  cast_mem_used();
  return bytes;
}

void cast_runner_scratch_give(cast_runner *r, void *bytes) {
#ifndef CAST_PLAIN_MEMORY
  if (r != NULL && r->scratch == NULL) {
    r->scratch = bytes;
    cast_mem_kept();
    return;
  }
#endif
  CAST_UNUSED(r);
  cast_free(bytes);
}
