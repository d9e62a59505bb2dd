/* handle.c - handles.
   SPDX-License-Identifier: MIT

   The registry has the weak table of handles (object -> handle) under the
   address of known_key, and a metatable under the address of each type. To make
   a handle takes memory, so a finalizer may run meanwhile, which may do
   anything: receive handles, even one of the same object. So nothing is noted
   before the handle is there, and only then it gets its reference.
   Owner: the session's.
   Invariants:
   1. Handles of one object in one state are one userdata: it is in the weak
      table from when its object is set until it is collected.
   2. S->handles.cache has addresses of handles that are not finalized yet. */
#include "handle.h"

#include "../../base.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../object.h"
#include "../../session.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../compat/finalizer.h"
#include "../compat/single.h"
#include "argument.h"
#include "state.h"

#include <stdio.h>

/* In the registry: object -> its handle, weak. */
static const char known_key = 0;

#define GIB ((size_t)1 << 30)

void cast_handle_open(lua_State *L) {
  (void)cast_single_push(L, &known_key, cast_make_weak, "v");
  lua_pop(L, 1);
}

/* Closes a handle: gives its reference up. */
static void empty(cast_handle *h) {
  cast_object *o = h->object;
  h->object = NULL;
  cast_unref(o);
}

/* A handle that is collected is not in the weak table any more. One that is
   still there is finalized because lua_close has begun. Then the host ends
   first, while all its handles are whole: tasks that wait have to be unwound
   yet, and may use them. (The finalizer of the state's box comes too late for
   that: lua_close calls finalizers in reverse order of creation, and the box
   was made at first.) */
static int handle_gc(lua_State *L) {
  cast_handle *h = cast_handle_at(L, 1);
  cast_state *S = cast_state_boxed(L);
  bool closing, strays;
  if (h == NULL || (S == NULL && cast_state_is_kept(L))) return 0;
  if (S != NULL) S->handles.cache[cast_handle_slot(h)] = NULL;
  if (h->object == NULL) return 0;
  /* Another handle of the object may have been made since. */
  closing = (cast_handle_find(L, h->object) && lua_touserdata(L, -1) == h) ||
            cast_finalizer_is_last(L);
  strays = S != NULL && cast_last_is_stray(S);
  /* Relaxed: it is set by this state's owner. */
  if (S != NULL && S->host != NULL &&
      (closing || strays ||
        atomic_load_explicit(&S->ending, memory_order_relaxed))) {
    if (!strays) S->binding->end(L);
    S = cast_state_boxed(L);
    if (S != NULL) cast_finalizer_keep(L, 1); /* the end is under way */
    if (S != NULL || h->object == NULL || cast_state_is_kept(L)) return 0;
  }
  empty(h);
  return 0;
}

/* Empties the handles in the table on the top, if it is one: its keys (at is
   -2) or its values (-1). Pops it. */
static void empty_all(lua_State *L, int at) {
  if (lua_istable(L, -1)) {
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
      cast_handle *h = cast_handle_at(L, at);
      if (h != NULL && h->object != NULL) empty(h);
    }
  }
  lua_pop(L, 1);
}

void cast_handles_release(lua_State *L) {
  luaL_checkstack(L, 4, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &known_key);
  empty_all(L, -1);
  cast_finalizer_push_kept(L);
  empty_all(L, -2);
}

void cast_handle_push_address(lua_State *L, const char *title, const void *at) {
  char text[64];
  (void)snprintf(text, sizeof text, "%.32s: %p", title, at);
  lua_pushstring(L, text);
}

static int handle_tostring(lua_State *L) {
  cast_handle *h = cast_handle_at(L, 1);
  if (h == NULL) cast_arg_type_error(L, 1, "handle of casting");
  if (h->object == NULL)
    lua_pushliteral(L, "casting handle (closed)");
  else
    cast_handle_push_address(L, h->object->type->name, h->object);
  return 1;
}

const luaL_Reg cast_handle_meta[] = {
  {"__gc", handle_gc}, {"__tostring", handle_tostring}, {NULL, NULL}};

/* luaL_setfuncs with the state's box as the upvalue. */
static void set_functions(lua_State *L, const luaL_Reg *list) {
  if (list == NULL) return;
  cast_state_box(L);
  luaL_setfuncs(L, list, 1);
}

/* The class of handles of such objects; NULL: they have no handles. */
static const cast_class *class_of(
  const cast_binding *binding, const cast_type *type) {
  const cast_class *const *c = binding->classes;
  while (*c != NULL && (*c)->type != type) c++;
  return *c;
}

/* __index of a class with fields: upvalues are the state's box, the methods,
   and the function of the fields. */
static int index_fields(lua_State *L) {
  lua_pushvalue(L, 2); /* nil, if a program has called this without a key */
  lua_rawget(L, lua_upvalueindex(2));
  if (!lua_isnil(L, -1)) return 1;
  lua_settop(L, 2);
  return lua_tocfunction(L, lua_upvalueindex(3))(L);
}

/* A maker (single.h): the metatable of handles of the class `arg`. */
static void make_class(lua_State *L, const void *arg) {
  const cast_class *c = arg;
  const cast_state *S = cast_state_find(L);
  bool ours, sandbox;
  if (S == NULL) cast_raise_closed(L);
  ours = S->host == NULL;
  sandbox = S->sandbox != NULL;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_newtable(L);
  set_functions(L, cast_handle_meta);
  set_functions(L, c->meta);
  if (ours) set_functions(L, c->our_meta);
  if (sandbox) set_functions(L, c->sandbox_meta);
  lua_newtable(L);
  set_functions(L, c->methods);
  if (ours) set_functions(L, c->our_methods);
  if (sandbox) set_functions(L, c->sandbox_methods);
  if (c->field != NULL) {
    cast_state_box(L);
    lua_insert(L, -2);
    lua_pushcfunction(L, c->field);
    lua_pushcclosure(L, index_fields, 3);
  }
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, c->title);
  lua_setfield(L, -2, "__metatable");
  lua_pushstring(L, c->title);
  lua_setfield(L, -2, "__name");
}

cast_object *cast_handle_check_slow(
  lua_State *L, cast_state *S, int idx, const cast_type *type) {
  cast_object *o = cast_handle_check(L, idx, type);
  const cast_handle *h = cast_handle_at(L, idx);
  S->handles.cache[cast_handle_slot(h)] = h;
  return o;
}

cast_object *cast_handle_check(lua_State *L, int idx, const cast_type *type) {
  cast_handle *h = cast_handle_at(L, idx);
  if (CAST_LIKELY(h != NULL && h->object != NULL && h->object->type == type))
    return h->object;
  cast_arg_type_error(L, idx, type->name);
}

bool cast_handle_find(lua_State *L, const cast_object *o) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &known_key);
  lua_rawgetp(L, -1, o);
  lua_remove(L, -2);
  if (cast_handle_test(L, -1) == o) return true;
  lua_pop(L, 1);
  return false;
}

const cast_giving *cast_handle_giving(lua_State *L, const cast_object *o) {
  const cast_state *S = cast_state_find(L);
  const cast_class *c = S != NULL ? class_of(S->binding, o->type) : NULL;
  return c != NULL ? c->giving : NULL;
}

/* The collector is told only when much has come together: to ask whether it is
   stopped, and a step of it, cost more than most operations. */
void cast_handle_weigh(lua_State *L, cast_state *S, size_t size) {
#if CAST_LUA >= 503
  S->handles.gc_debt += size + CAST_GC_DEBT_HANDLE;
  if (CAST_LIKELY(S->handles.gc_debt < CAST_GC_DEBT_MAX)) return;
  size = S->handles.gc_debt;
  S->handles.gc_debt = 0;
  if (lua_gc(L, LUA_GCISRUNNING, 0) <= 0) return;
#if CAST_LUA >= 505
  lua_gc(L, LUA_GCSTEP, size);
#else
  lua_gc(L, LUA_GCSTEP, (int)(size < GIB ? size >> 10 : GIB >> 10));
#endif
#else
  CAST_UNUSED(L);
  CAST_UNUSED(S);
  CAST_UNUSED(size);
#endif
}

cast_handle *cast_handle_new(lua_State *L, const cast_type *type, size_t size) {
  cast_state *S = cast_state_find(L);
  const cast_binding *binding;
  cast_handle *h;
  if (S == NULL || S->closing || cast_forked) cast_raise_closed(L);
  binding = S->binding; /* a finalizer may end the state while h is made */
  cast_handle_weigh(L, S, size);
  h = cast_lua_newuserdata(L, sizeof *h);
  h->tag = &cast_handle_tag;
  h->object = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, type);
  if (CAST_UNLIKELY(lua_isnil(L, -1))) {
    lua_pop(L, 1);
    CAST_ASSERT(class_of(binding, type) != NULL);
    (void)cast_single_push(L, type, make_class, class_of(binding, type));
  }
  lua_setmetatable(L, -2);
#if CAST_LUA < 504
  if (CAST_UNLIKELY(cast_state_find(L) == NULL)) cast_raise_closed(L);
#endif
  return h;
}

void cast_handle_note(lua_State *L, cast_handle *h) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &known_key);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, h->object);
  lua_pop(L, 1);
}

/* A finalizer that runs while the handle is made may make one of the same
   object: then that one is pushed, and the new one is garbage, without a
   reference. */
void cast_handle_push(lua_State *L, cast_object *o) {
  cast_handle *h;
  if (cast_state_find(L) == NULL) cast_raise_closed(L);
  luaL_checkstack(L, 4, NULL);
  if (cast_handle_find(L, o)) return;
  h = cast_handle_new(L, o->type, 0);
  if (CAST_UNLIKELY(cast_handle_find(L, o))) {
    lua_remove(L, -2);
    return;
  }
  if (o->type == &cast_session_type)
    cast_session_handle(CAST_CONTAINER(o, cast_session, object));
  else
    cast_ref(o);
  h->object = o;
  cast_handle_note(L, h);
}
