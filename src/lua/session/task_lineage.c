/* task_lineage.c - the lineage of what a task makes.
   SPDX-License-Identifier: MIT

   A task that is loading a module makes sessions of a new lineage, which
   belongs to that load. Any other task makes sessions of the lineage that was
   passed on to it when it was spawned, or else of its session's. See
   lineage.c. */
#include "task_lineage.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/lineage.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* *out = the lineage of what t makes now, without a reference, or NULL. The
   lineage of a load is made when it is first asked for, as most modules make no
   session. False: out of memory. */
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
  if (*of_load == NULL) *of_load = cast_lineage_new(*out, name);
  *out = *of_load;
  return *out != NULL;
}

/* The usual cause is a program whose file is named like a module that its
   sessions require, so the error asks for it. */
static _Noreturn void raise_endless(lua_State *L, const cast_lineage *l) {
  lua_pushfstring(L,
    "module '%s' makes sessions while it is loaded, which load it again, and "
    "so on; there are %d of them (is the program's file named like a module "
    "that its sessions require?)",
    (const char *)l->name, (int)CAST_LINEAGE_MAX);
  cast_misuse(L, lua_tostring(L, -1));
}

cast_lineage *cast_lineage_push(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_object **box = cast_box_push(L, S);
  cast_lineage *l;
  if (!find(L, S, t, &l)) cast_raise_memory(L);
  if (l == NULL) return NULL;
  *box = cast_ref(&l->object);
  /* Relaxed: it is compared with a limit, and orders nothing. */
  if (cast_lineage_must_count(S, l) &&
      atomic_load_explicit(&l->first->again, memory_order_relaxed) >=
        CAST_LINEAGE_MAX)
    raise_endless(L, l);
  return l;
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
