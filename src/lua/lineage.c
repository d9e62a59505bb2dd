/* lineage.c - the modules whose loading has led to a session.
   SPDX-License-Identifier: MIT

   A module may make sessions while it is loaded, and these may require it, so
   that it is loaded again there, and makes sessions again: without end, if
   nothing stops it. A program whose file has the name of such a module does it
   by mistake. So a session knows in the course of which loads it was made, it
   and the sessions that have led to it: a task that loads a module makes
   sessions of another lineage than its own session's, and so do the tasks that
   it spawns meanwhile. For each module, the sessions made so below the first
   load of it are counted, as long as they live.

   A lineage is a list that begins with the latest load. It is shared by the
   sessions of that load, in any thread, and fixed but for the count. */
#include "lineage.h"

#include "../mem.h"
#include "argument.h"
#include "held.h"
#include "load.h"
#include "state.h"

struct cast_lineage {
  cast_object object;
  cast_lineage *parent;   /* (i) one reference, or NULL */
  cast_lineage *first;    /* (i) the oldest one with that name; may be self */
  _Atomic uint32_t again; /* (a) of the first: sessions below it that live */
  char name[];            /* (i) */
};

cast_lineage *cast_lineage_ref(cast_lineage *l) {
  if (l != NULL) cast_ref(&l->object);
  return l;
}

void cast_lineage_drop(cast_lineage *l) {
  if (l != NULL) cast_unref(&l->object);
}

void cast_lineage_drop_later(cast_lineage *l, cast_object **more) {
  if (l != NULL) cast_unref_later(&l->object, more);
}

static void lineage_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, cast_lineage, object));
}

static void lineage_release(cast_object *o, cast_object **more) {
  cast_lineage *l = CAST_CONTAINER(o, cast_lineage, object);
  cast_lineage_drop_later(l->parent, more);
}

static const cast_type lineage_type = {
  "lineage", lineage_free, lineage_release};

/* One reference for the caller. NULL: out of memory. */
static cast_lineage *new_lineage(cast_lineage *parent, const char *name) {
  size_t size = strlen(name) + 1;
  cast_lineage *l = cast_calloc(sizeof *l + size);
  if (l == NULL) return NULL;
  cast_object_init(&l->object, &lineage_type);
  memcpy(l->name, name, size);
  l->parent = cast_lineage_ref(parent);
  l->first = l;
  for (; parent != NULL; parent = parent->parent)
    if (strcmp(parent->name, name) == 0) l->first = parent;
  return l;
}

/* Of what t makes now: *out is borrowed, or NULL. False: out of memory. */
static bool find(
  lua_State *L, cast_state *S, cast_ltask *t, cast_lineage **out) {
  cast_lineage **of_load;
  const char *name;
  *out = t->extra != NULL && t->extra->lineage != NULL ? t->extra->lineage
                                                       : S->lineage;
  if (CAST_LIKELY(!t->loading)) return true;
  cast_load_settle(L, S, t);
  of_load = cast_load_lineage(S, t, &name);
  if (of_load == NULL) return true;
  if (*of_load == NULL) *of_load = new_lineage(*out, name);
  *out = *of_load;
  return *out != NULL;
}

static _Noreturn void raise_endless(lua_State *L, const cast_lineage *l) {
  lua_pushfstring(L,
    "module '%s' makes sessions while it is loaded, which load it again, and "
    "so on; there are %d of them (is the program's file named like a module "
    "that its sessions require?)",
    (const char *)l->name, (int)CAST_LINEAGE_MAX);
  cast_misuse(L, lua_tostring(L, -1));
}

/* Is a session of that lineage, made in S, one that a further load of the same
   module makes? */
static bool is_counted(const cast_state *S, const cast_lineage *l) {
  return l != NULL && l != S->lineage && l->first != l;
}

cast_lineage *cast_lineage_push(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_object **box = cast_box_push(L, S);
  cast_lineage *l;
  if (!find(L, S, t, &l)) cast_raise_memory(L);
  if (l == NULL) return NULL;
  *box = cast_ref(&l->object);
  /* Relaxed: a count. */
  if (is_counted(S, l) && atomic_load_explicit(&l->first->again,
                            memory_order_relaxed) >= CAST_LINEAGE_MAX)
    raise_endless(L, l);
  return l;
}

bool cast_lineage_count(const cast_state *S, cast_lineage *l) {
  if (!is_counted(S, l)) return false;
  /* Relaxed: a count. */
  atomic_fetch_add_explicit(&l->first->again, 1, memory_order_relaxed);
  return true;
}

void cast_lineage_uncount(cast_lineage *l) {
  /* Relaxed: a count. */
  atomic_fetch_sub_explicit(&l->first->again, 1, memory_order_relaxed);
}

bool cast_lineage_spawn(
  lua_State *L, cast_state *S, cast_ltask *t, cast_ltask *task) {
  cast_lineage *l;
  cast_extra *x;
  if (!find(L, S, t, &l)) return false;
  if (l == S->lineage) return true;
  x = cast_extra_make(task);
  if (x == NULL) return false;
  x->lineage = cast_ref(&l->object);
  return true;
}
