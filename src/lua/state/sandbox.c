/* sandbox.c - sessions that are not trusted.
   SPDX-License-Identifier: MIT

   A session that was made with `sandbox = true` is a sandbox, and so is every
   session that a sandbox makes. Each has a cast_sandbox, which leads to that of
   its maker; what is trusted has none. The code in a sandbox may do whatever it
   can to get out. So for each way there is an invariant:
   1. Its Lua state has no function that reaches files, or memory that Lua does
      not guard, and no bytecode but what a packer has made of a function:
      ../session/restrict.c.
   2. No code is loaded into it but by its own `load`, and modules that its
      maker has listed. What require goes by is out of its reach:
      ../session/modules.c.
   3. The functions of ours check their arguments. Those of `internal`, which
      are not for programs, are in no table, upvalue or argument that it
      reaches: the files of lualib/casting look for functions of casting in a
      table of their own (../lib/embed.c), for basic ones in another
      (../session/builtin.c); their environments cannot be had (restrict.c), nor
      their classes, which have __metatable and a table of methods that is
      nowhere else. And those which act on others ask whether this sandbox may,
      as the methods do.
   4. It acts on itself and on what it has made: cast_sandbox_may. The methods
      that act are guarded by the classes' sandbox_methods (handle.h), so that
      trusted sessions pay nothing; casting's functions that reach the process
      raise (../lib/lib_casting.c). No channel that a handle leads to takes
      orders, since anybody can send into it (lualib/casting/request.lua).
   5. What it makes is a sandbox, with no library and no module that it lacks:
      ../session/options.c; newsession.c asserts it.
   6. What leaves it is data and handles. The encoder refuses the rest, and what
      it has written is looked through once more: ../transfer/dataonly.c. Code
      goes into sessions that it has made, with the start of a task or session,
      and nowhere else (CAST_PACK_SPAWN).
   7. Nothing of it runs where nothing could stop it: it has no finalizers of
      its own (restrict.c), and error handlers and __close handlers can be
      stopped (compat/seal.h). C functions that compute are the exception.
   8. What others see of it is bounded: texts of errors (../task/run.c), reports
      of failures (cast_sandbox_may_tell), names of sessions.
   9. No right is looked up in its globals or modules: rights are here, in fixed
      fields, and in the registry.

   Owner: the session, and the sandboxes below it; all fields are fixed, but for
   a counter. */
#include "sandbox.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "state.h"

static void sandbox_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, cast_sandbox, object));
}

/* Sandboxes can be in each other to any depth. */
static void sandbox_release(cast_object *o, cast_object **more) {
  cast_sandbox *b = CAST_CONTAINER(o, cast_sandbox, object);
  if (b->parent != NULL) cast_unref_later(&b->parent->object, more);
}

static const cast_type sandbox_type = {
  "sandbox", sandbox_free, sandbox_release};

cast_sandbox *cast_sandbox_new(const cast_state *maker, uint32_t libs) {
  cast_sandbox *b = cast_calloc(sizeof *b);
  if (b == NULL) return NULL;
  cast_object_init(&b->object, &sandbox_type);
  if (maker != NULL && maker->sandbox != NULL)
    b->parent = cast_ref(&maker->sandbox->object);
  b->libs = libs;
  return b;
}

void cast_sandbox_drop(cast_sandbox *b) {
  if (b != NULL) cast_unref(&b->object);
}

bool cast_sandbox_may(const cast_state *S, const cast_state *target) {
  const cast_sandbox *b = target->sandbox;
  if (S->sandbox == NULL) return true;
  while (b != NULL && b != S->sandbox) b = b->parent;
  return b != NULL;
}

void cast_sandbox_check(lua_State *L, const cast_state *S,
  const cast_state *target, const char *what) {
  if (cast_sandbox_may(S, target)) return;
  lua_pushfstring(L, "%s: session '", what);
  cast_state_push_name(L, target);
  lua_pushliteral(L, "' was not made by this sandbox");
  lua_concat(L, 3);
  cast_lua_error(L, "%s", lua_tostring(L, -1));
}

/* The topmost sandbox counts, so that to make more of them is of no use.
   Relaxed: a number that orders nothing. */
bool cast_sandbox_may_tell(cast_sandbox *b) {
  uint64_t now = os_now(), told, next;
  while (b->parent != NULL) b = b->parent;
  told = atomic_load_explicit(&b->told_ns, memory_order_relaxed);
  do {
    next = (told > now ? told : now) + CAST_TAME_NS;
    if (next - now > (uint64_t)CAST_TAME_REPORTS * CAST_TAME_NS) return false;
  } while (!atomic_compare_exchange_weak_explicit(
    &b->told_ns, &told, next, memory_order_relaxed, memory_order_relaxed));
  return true;
}
