/* package.c - what a new session's package library starts with.
   SPDX-License-Identifier: MIT

   A session finds modules as its creator does: it gets the same path, cpath and
   loaders in preload. A C function without upvalues is put there as it is. Any
   other function is packed, and unpacked when the session first calls it: to
   unpack it may require modules, also such as have a loader in preload, and
   those may wait, which only a task can. Until then `load_copy` stands in its
   place. A loader that the new state has by itself is kept: LuaJIT's loaders of
   its extensions belong to the state that they were made for.

   The new state has no task yet, so the creator works in it, in protected calls
   (cast_state_call: if the session has a thread of its own, that makes them,
   while the creator waits). Both states may be full: an error in the new one is
   raised in the creator's as "not enough memory". */
#include "package.h"

#include "../../base.h"
#include "../../msg.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "../task/rebuild.h"
#include "../task/scratch.h"
#include "../transfer/pack.h"
#include "../transfer/packed.h"
#include "library.h"
#include "modules.h"
#include "newsession.h"

#if CAST_LUA >= 502
#define PRELOAD "_PRELOAD" /* in the registry: require looks nowhere else */
#endif

/* Pushes the table of loaders in which require looks; `package` is the index of
   that table, which has it on 5.1. */
static void push_preload(lua_State *L, int package) {
#ifdef PRELOAD
  CAST_UNUSED(package);
  lua_getfield(L, LUA_REGISTRYINDEX, PRELOAD);
#else
  if (lua_istable(L, package))
    lua_getfield(L, package, "preload");
  else
    lua_pushnil(L);
#endif
}

/* -- in the new state ----------------------------------------------------- */

/* One field that is copied into the new state: package[name] if it is a text,
   else package.preload[name], which is one of two kinds. */
typedef struct field_copy {
  cast_state *to;         /* the new session */
  const char *name;       /* of the field */
  const char *text;       /* the value of a path, or NULL; */
  size_t size;            /* its bytes */
  lua_CFunction function; /* a loader that is put there as it is, or NULL; */
  bool in_package;        /* on 5.1, with `package` as its environment */
  cast_message *copy;     /* a loader that is unpacked later, or NULL */
  bool taken;             /* found out: the state has a loader of that name, or
                             is a sandbox that may not load the module */
  lua_CFunction call;     /* what is to be called there, protected, ... */
  int status;             /* ... and how that has ended */
} field_copy;

/* Stands for a loader that was packed. Upvalues: the state's box, and the
   message; from the first call on, instead of that, the function which the
   message has been unpacked to. */
static int load_copy(lua_State *L) {
  cast_state *S = cast_state_boxed(L);
  int n = lua_gettop(L);
  if (!lua_isfunction(L, lua_upvalueindex(2))) {
    cast_message *m = cast_message_at(L, lua_upvalueindex(2));
    cast_ltask *t = cast_scratch(L, S);
    if (m == NULL) cast_raise_closed(L);
    cast_msg_dup(&t->base.waiter.msg, &m->msg);
    (void)cast_rebuild_values(L, S, t, &t->base.waiter.msg);
    lua_replace(L, lua_upvalueindex(2));
  }
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, n, LUA_MULTRET);
  return lua_gettop(L);
}

/* Pushes the loader that the new state gets; `package` is an index there. */
static void push_loader(lua_State *L, const field_copy *g, int package) {
  CAST_UNUSED(package);
  if (g->copy != NULL) {
    cast_state_box(L);
    cast_handle_push(L, &g->copy->object);
    lua_pushcclosure(L, load_copy, 2);
    return;
  }
  lua_pushcfunction(L, g->function);
#if CAST_LUA < 502
  if (!g->in_package) return;
  lua_pushvalue(L, package);
  lua_setfenv(L, -2);
#endif
}

/* In the new state: sets the field. */
static int accept(lua_State *L) {
  const field_copy *g = lua_touserdata(L, 1);
  cast_modules_package(L);
  if (g->text != NULL) {
    lua_pushlstring(L, g->text, g->size);
  } else {
    push_preload(L, 2);
    push_loader(L, g, 2);
  }
  lua_setfield(L, -2, g->name);
  return 0;
}

/* In the new state: finds out whether it has such a loader, or must not have
   it. */
static int look(lua_State *L) {
  field_copy *g = lua_touserdata(L, 1);
  cast_modules_package(L);
  push_preload(L, 2);
  lua_getfield(L, -1, g->name);
  g->taken = !lua_isnil(L, -1) || !cast_modules_may(L, g->name);
  return 0;
}

static void do_call(void *arg) {
  field_copy *g = arg;
  g->status = cast_lua_cpcall(g->to->L, g->call, g);
  lua_settop(g->to->L, 0);
}

/* Calls f in the new state; raises here if that fails. */
static void call_there(lua_State *L, lua_CFunction f, field_copy *g) {
  g->call = f;
  if (!cast_state_call(g->to, do_call, g)) cast_raise_closed(L);
  if (g->status != LUA_OK) cast_raise_memory(L);
}

/* -- in the creator's ----------------------------------------------------- */

static void give_path(
  lua_State *L, int package, cast_state *to, const char *field) {
  field_copy g = {.to = to, .name = field};
  lua_getfield(L, package, field);
  g.text = lua_tolstring(L, -1, &g.size);
  if (g.text != NULL) call_there(L, accept, &g);
  lua_pop(L, 1);
}

/* True for what opens a standard library: which of these a session has is said
   by its option `libs`, and not by its creator's preload. */
static bool is_library(lua_CFunction f) {
  for (const luaL_Reg *l = cast_libs; l->name != NULL; l++)
    if (l->func == f) return true;
  return false;
}

/* Is the function on the top a C function without upvalues (on 5.1: and with a
   usual environment), so that its address is all of it? Then notes it in g. */
static bool is_plain(lua_State *L, field_copy *g, int package) {
  CAST_UNUSED(package);
  if (lua_getupvalue(L, -1, 1) != NULL) {
    lua_pop(L, 1);
    return false;
  }
#if CAST_LUA < 502
  lua_getfenv(L, -1);
  g->in_package = lua_rawequal(L, -1, package);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "_G");
  bool usual = g->in_package || lua_rawequal(L, -1, -3);
  lua_pop(L, 3);
  if (!usual) return false;
#endif
  g->function = lua_tocfunction(L, -1);
  return g->function != NULL; /* LuaJIT's fast functions have no address */
}

/* Protected: packs its argument. */
static int pack_loader(lua_State *L) {
  cast_state *S = cast_state_find(L);
  cast_message_new(L, S, 1, 1, NULL, CAST_PACK_LOADER);
  return 1;
}

/* Packs the function on the top, and puts the message's handle in its place.
   NULL: it cannot be sent; the error is there instead. An error that is not
   about the function, a cancellation or one for want of memory, is raised. */
static cast_message *copy_loader(lua_State *L) {
  lua_pushcfunction(L, pack_loader);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return cast_message_at(L, -1);
  if (cast_cancel_is_error(L, lua_gettop(L)) || cast_is_memory_error(L, -1))
    lua_error(L);
  return NULL;
}

/* Gives the new state the loader on the top, which may be replaced there. A
   copy that came with this session, and was not called yet, is passed on as it
   is. */
static void give_loader(
  lua_State *L, int package, cast_state *to, const char *name) {
  field_copy g = {.to = to, .name = name};
  call_there(L, look, &g);
  if (g.taken) return;
  if (lua_tocfunction(L, -1) == load_copy) {
    (void)lua_getupvalue(L, -1, 2);
    lua_remove(L, -2);
    g.copy = cast_message_at(L, -1); /* NULL: it was called */
  }
  if (g.copy == NULL && (!lua_iscfunction(L, -1) || !is_plain(L, &g, package)))
    g.copy = copy_loader(L);
  if (g.copy != NULL || (g.function != NULL && !is_library(g.function)))
    call_there(L, accept, &g);
}

/* Pushes a copy of the table on the top, to be traversed: packing a loader may
   run __save and finalizers, which may change the table itself. */
static void push_snapshot(lua_State *L) {
  int table = lua_gettop(L);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, table) != 0;) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, table + 1);
  }
}

static void give_loaders(lua_State *L, int package, cast_state *to) {
  int all;
  push_preload(L, package);
  if (!lua_istable(L, -1)) return;
  push_snapshot(L);
  all = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, all) != 0; lua_settop(L, all + 1))
    if (lua_type(L, all + 1) == LUA_TSTRING && lua_isfunction(L, all + 2))
      give_loader(L, package, to, lua_tostring(L, all + 1));
}

void cast_package_give(lua_State *L, cast_state *from, cast_state *to) {
  int top = lua_gettop(L), package = top + 1;
  CAST_UNUSED(from);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  cast_modules_package(L);
  if (lua_istable(L, package)) {
    give_path(L, package, to, "path");
    give_path(L, package, to, "cpath");
  }
  give_loaders(L, package, to);
  lua_settop(L, top);
}
