/* require.c - Lua's own require, which tells of what it loads.
   SPDX-License-Identifier: MIT

   Lua's require finds its searchers in the table `package`, to which it has a
   reference of its own: an upvalue or, on 5.1, its environment. There we put a
   table with a single searcher, `search`. That asks the program's searchers,
   and lets one task load a module while others wait (load.c). So require stays
   the same function, also for code that keeps it in a local. A require that the
   program has put in its place is not touched, nor is package.searchers;
   modules in package.loaded are returned as ever; and require itself calls the
   loader, so a module finds the usual calls on its stack.
   casting.net is part of casting: no searcher is asked for it, so it is found
   wherever casting was, and a session's start does not pay for it. In a sandbox
   `search` refuses all that is not listed (modules.c); it asks the registry for
   that, since finalizers call it, too, when the state's box is empty.

   Rejected: see DESIGN, "Modules that are being loaded". */
#include "require.h"

#include "../../os/os.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "library.h"
#include "modules.h"

#if CAST_LUA >= 502
#define SEARCHERS "searchers"
#define RESULTS 2 /* of a searcher: the loader, and something for it */
#else
#define SEARCHERS "loaders"
#define RESULTS 1
#endif

enum { BOX = 1, PACKAGE, REQUIRE }; /* upvalues of `search` */

/* -- the searcher --------------------------------------------------------- */

/* Raises Lua 5.1's error, with the place where require was called. */
static int raise_loop(lua_State *L) {
  luaL_where(L, 2);
  lua_pushfstring(
    L, "loop or previous error loading module '%s'", lua_tostring(L, 1));
  lua_concat(L, 2);
  return lua_error(L);
}

/* The loader of a module that another task has loaded meanwhile: returns its
   value, the upvalue. */
static int give_loaded(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  return 1;
}

/* If the module whose name is at 1 is loaded now, pushes a loader that returns
   it. */
static bool push_loaded(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  lua_remove(L, -2);
#if CAST_LUA < 502
  if (cast_load_is_mark(L, -1)) raise_loop(L); /* it has failed */
#endif
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushcclosure(L, give_loaded, 1);
  return true;
}

/* Asks the program's searchers for the module at 1. Pushes the loader (and its
   data) from the first that finds it, and returns how many values these are.
   Returns 0 if none does, with their messages, or nil, on the top. */
static int ask_searchers(lua_State *L) {
  int said; /* the index of the messages so far */
  lua_settop(L, 1);
  lua_getfield(L, lua_upvalueindex(PACKAGE), SEARCHERS);
  if (!lua_istable(L, 2)) {
    luaL_where(L, 2);
    lua_pushliteral(L, "'package." SEARCHERS "' must be a table");
    lua_concat(L, 2);
    return lua_error(L);
  }
  lua_pushnil(L);
  said = 3;
  for (int i = 1;; i++) {
    lua_rawgeti(L, 2, i);
    if (lua_isnil(L, -1)) break;
    lua_pushvalue(L, 1);
    lua_call(L, 1, RESULTS);
    if (lua_isfunction(L, said + 1)) return RESULTS;
    lua_settop(L, said + 1);
    if (!lua_isstring(L, said + 1)) {
      lua_pop(L, 1);
    } else if (lua_isnil(L, said)) {
      lua_replace(L, said);
    } else {
      /* From 5.4 on the messages do not begin with a line end. */
      if (CAST_LUA >= 504) lua_pushliteral(L, "\n\t");
      if (CAST_LUA >= 504) lua_insert(L, said + 1);
      lua_concat(L, CAST_LUA >= 504 ? 3 : 2);
    }
  }
  lua_settop(L, said);
  return 0;
}

/* The task whose call of require has called `search`. NULL: the main program
   has, or search was called by something else than require. */
static cast_ltask *find_task(lua_State *L, cast_state *S) {
  cast_task *base = S->session.current;
  lua_Debug ar;
  bool is;
  if (!lua_getstack(L, 1, &ar)) return NULL;
  lua_getinfo(L, "f", &ar);
  is = lua_rawequal(L, -1, lua_upvalueindex(REQUIRE));
  lua_pop(L, 1);
  if (!is || base == NULL || L == S->work) return NULL;
  return cast_ltask_of(base);
}

/* Waits until no other task loads the module at 1, or until it shows that these
   tasks wait for each other: then true. L is in a call of require, a C function
   without a continuation, so t blocks in place. */
static bool await_others(lua_State *L, cast_state *S, cast_ltask *t) {
  const char *name = lua_tostring(L, 1);
  int top = lua_gettop(L);
  bool circular = false;
  while (!circular && cast_load_has_other(S, t, name)) {
    (void)cast_enter(L, S, OS_FOREVER);
    if (cast_load_wait(L, S, t, name) == CAST_PARKED)
      (void)cast_park(L, S, t, OS_FOREVER, &cast_load_kind);
    circular = lua_toboolean(L, -1);
    lua_settop(L, top);
  }
  return circular;
}

/* Waits while another task loads the module at 1. Then t begins to load it, or
   finds it loaded: then returns NULL, with a loader on the top. Several may
   have waited, and another may have begun by the time that t goes on: hence the
   loop. */
static cast_load *await_turn(lua_State *L, cast_state *S, cast_ltask *t) {
  lua_CFunction f = lua_tocfunction(L, lua_upvalueindex(REQUIRE));
  cast_load *l;
  do {
    bool circular = await_others(L, S, t);
    if (push_loaded(L)) return NULL;
    if (circular) raise_loop(L);
    l = cast_load_begin(L, S, t, f);
  } while (l == NULL);
  return l;
}

/* search(name), called by require: returns what searchers return. When it has
   returned a loader, the load goes on until load.c finds that the call of
   require is over; when no searcher has found the module, it ends here. */
static int search(lua_State *L) {
  cast_state *S = *(cast_state **)lua_touserdata(L, lua_upvalueindex(BOX));
  cast_ltask *t = S != NULL ? find_task(L, S) : NULL;
  const char *name = lua_tostring(L, 1);
  const cast_lib_part *part;
  uint64_t number = 0;
  int n;
  lua_settop(L, 1);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  part = S != NULL && name != NULL ? cast_libs_part(name) : NULL;
  if (part != NULL && cast_libs_has(S, part->lib)) {
    lua_pushcfunction(L, S->binding->open_part);
    return 1;
  }
  if (name != NULL && !cast_modules_may(L, name)) {
    cast_modules_refuse(L);
    return 1;
  }
  if (t != NULL) {
    if (t->loading) cast_load_again(L, S, t);
    cast_load *l = await_turn(L, S, t);
    if (l == NULL) return 1;
    number = cast_load_number(l);
  } else if (S != NULL && name != NULL && cast_load_has_other(S, NULL, name)) {
    (void)cast_enter(L, S, OS_FOREVER); /* raises: there is no task */
  }
  n = ask_searchers(L);
#if CAST_LUA < 502
  /* There a finalizer unloads a C library as the state closes. Tasks of a host
     that are unwound after that may call its functions: the library stays
     mapped. */
  if (n > 0 && S != NULL && S->host != NULL && lua_iscfunction(L, -n))
    os_pin((const void *)(uintptr_t)lua_tocfunction(L, -n));
#endif
  if (n > 0) return n;
  /* While a searcher waited, the load may have been found ended, and freed: so
     it is looked for by its number. */
  if (number != 0) cast_load_end(L, S, number);
  return 1;
}

/* -- in the place of package ---------------------------------------------- */

/* Pushes the table that the require on the top takes for package. */
static bool push_own(lua_State *L) {
#if CAST_LUA >= 502
  return lua_getupvalue(L, -1, 1) != NULL;
#else
  lua_getfenv(L, -1);
  return true;
#endif
}

/* Pops a table, which the require below it takes for package from now on. */
static void set_own(lua_State *L) {
#if CAST_LUA >= 502
  lua_setupvalue(L, -2, 1);
#else
  lua_setfenv(L, -2);
#endif
}

/* Pushes the global require, and package. False: it is not Lua's own require,
   which refers to package, or not as it was made. */
static bool find_require(lua_State *L) {
  int top = lua_gettop(L);
  bool is;
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  if (!lua_istable(L, -1)) return false; /* no libraries at all */
  lua_pushglobaltable(L);
  lua_pushliteral(L, "require");
  lua_rawget(L, -2);
  lua_getfield(L, top + 1, "package");
  lua_replace(L, top + 1);
  lua_replace(L, top + 2);
  lua_insert(L, top + 1); /* require, package */
  is = lua_iscfunction(L, top + 1) && lua_istable(L, top + 2);
  lua_pushvalue(L, top + 1);
  if (is) is = push_own(L) && lua_rawequal(L, -1, top + 2);
  lua_settop(L, top + 2);
  return is;
}

#if CAST_LUA < 502
/* A loader and a searcher by which we learn the mark that require puts into
   package.loaded while a module is being loaded: the address of a variable in
   Lua's source, which no function returns. */
static int note_mark(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  cast_load_note_mark(L);
  return 0;
}
static int find_mark(lua_State *L) {
  lua_pushcfunction(L, note_mark);
  return 1;
}

/* From `top` on the stack has require, package, the table that will take its
   place, and the list of searchers there. Lets require load a module that does
   not exist, whose loader sees the mark. */
static void open_mark(lua_State *L, int top) {
  static const char name[] = "casting.mark";
  int status;
  lua_pushcfunction(L, find_mark);
  lua_rawseti(L, top + 3, 1);
  lua_pushvalue(L, top);
  lua_pushvalue(L, top + 2);
  set_own(L); /* leaves require on the top */
  lua_pushstring(L, name);
  status = lua_pcall(L, 1, 0, 0);
  lua_pushvalue(L, top);
  lua_pushvalue(L, top + 1);
  set_own(L); /* as it was, since the call may have failed */
  lua_pop(L, 1);
  if (status != LUA_OK) lua_error(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushnil(L);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}
#endif

/* Pushes the searcher; require and package lie from `top` on. */
static void push_search(lua_State *L, int top) {
  cast_state_box(L);
  lua_pushvalue(L, top + 1);
  lua_pushvalue(L, top);
  lua_pushcclosure(L, search, REQUIRE);
}

/* In each step that may fail require is whole: its reference is replaced
   last. */
void cast_require_open(lua_State *L) {
  int top = lua_gettop(L) + 1;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (find_require(L)) {
    lua_newtable(L); /* top + 2 */
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, top + 2, SEARCHERS);
    /* If require looks there for anything else, it finds package's. */
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, top + 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, top + 2);
    push_search(L, top);
#if CAST_LUA < 502
    open_mark(L, top);
#endif
    lua_rawseti(L, top + 3, 1);
    lua_pushvalue(L, top);
    lua_pushvalue(L, top + 2);
    set_own(L);
  }
  lua_settop(L, top - 1);
}
