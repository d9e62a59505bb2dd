/* names.c - names of modules and of what is in them.
   SPDX-License-Identifier: MIT

   A weak table maps objects to their names. Modules, and the classes in them
   (tables with an __index), are put there by a look at package.loaded, which
   the encoder asks for once in each message with such things in its tables.
   Other members (C functions, metatables of another kind) are searched for
   when they are first sent, metatables only so often (CAST_NAMES_MISSES). A
   name found is looked at again before each use: package.loaded may have
   changed.

   package.loaded is only ever read. To be told of new modules by a searcher
   of our own, or by a wrapped require, was rejected: programs replace these,
   and a module may be put into package.loaded by hand.

   Among several names of one object the one that holds in most states is
   taken; see rank_of. Members that are not fields of a module or of a table
   in a module are not found.

   Owner: the state's packer. Names are strings, keys separated by '\0'. */
#include "names.h"

/* -- which name is best --------------------------------------------------- */

/* The base library. Other functions among the globals are the program's, and
   may be missing elsewhere. */
static const char *const base_names[] = {"assert", "collectgarbage", "dofile",
  "error", "getmetatable", "ipairs", "load", "loadfile", "next", "pairs",
  "pcall", "print", "rawequal", "rawget", "rawset", "require", "select",
  "setmetatable", "tonumber", "tostring", "type", "xpcall",
#if CAST_LUA < 502
  "gcinfo", "getfenv", "loadstring", "module", "newproxy", "setfenv", "unpack",
#else
  "rawlen", "warn",
#endif
  NULL};
static const char *const library_names[] = {"string", "table", "math", "io",
  "os", "coroutine", "debug", "utf8", "bit32", "bit", "jit", "ffi", "package",
  NULL};

static bool is_among(const char *s, const char *const *names) {
  for (; *names != NULL; names++)
    if (strcmp(s, *names) == 0) return true;
  return false;
}

/* Smaller is better. Programs add to the standard libraries what is elsewhere
   in this version (table.unpack in 5.1), but not what is in no version. */
enum { RANK_BASE, RANK_LIBRARY, RANK_MODULE, RANK_INNER, RANK_GLOBAL };

static int rank_of(const char *module, const char *key, int depth) {
  if (strcmp(module, "_G") == 0)
    return depth == 1 && is_among(key, base_names) ? RANK_BASE : RANK_GLOBAL;
  if (depth > 1) return RANK_INNER;
  return is_among(module, library_names) ? RANK_LIBRARY : RANK_MODULE;
}

/* A search: what for, and the best name until now. */
typedef struct search {
  lua_State *L;
  cast_packer *p;
  int t;
  int target; /* stack index; 0: notes every class instead */
  int best;   /* stack index of the name, or of nil */
  int best_rank;
  bool standard; /* the module is a standard library or the globals */
  int depth;     /* keys in path */
  int path[3];   /* stack indices of module and keys */
} search;

static void push_name(const search *s) {
  lua_pushvalue(s->L, s->path[0]);
  for (int i = 1; i <= s->depth; i++) {
    lua_pushlstring(s->L, "\0", 1);
    lua_pushvalue(s->L, s->path[i]);
  }
  lua_concat(s->L, 2 * s->depth + 1);
}

/* Whether the name on top is a better one than `best`, of equal rank. Any
   fixed order will do: that of lua_next changes from run to run. */
static bool is_better(const search *s) {
  size_t size, best_size;
  const char *name = lua_tolstring(s->L, -1, &size);
  const char *best = lua_tolstring(s->L, s->best, &best_size);
  if (size != best_size) return size < best_size;
  return memcmp(name, best, size) < 0;
}

static int current_rank(const search *s) {
  const char *key = "";
  if (s->depth > 0) key = lua_tostring(s->L, s->path[s->depth]);
  return rank_of(lua_tostring(s->L, s->path[0]), key, s->depth);
}

/* The target was met at path. */
static void met(search *s) {
  int rank = current_rank(s);
  if (!lua_isnil(s->L, s->best) && rank > s->best_rank) return;
  push_name(s);
  if (lua_rawlen(s->L, -1) <= CAST_NAME_MAX &&
      (lua_isnil(s->L, s->best) || rank < s->best_rank || is_better(s))) {
    lua_replace(s->L, s->best);
    s->best_rank = rank;
    return;
  }
  lua_pop(s->L, 1);
}

/* -- notes ---------------------------------------------------------------- */

static void mark(cast_packer *p, const void *table) {
  uint64_t h = (uint64_t)(uintptr_t)table * UINT64_C(0x9e3779b97f4a7c15);
  uint32_t bit = (uint32_t)(h >> 40) % CAST_NAMES_BITS;
  p->named[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* Pushes a weak table of the packer, made on first use. */
static void push_weak(lua_State *L, int t, int slot) {
  cast_packer_get(L, t, slot);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawseti(L, t, slot);
}

/* Notes the name on top for the object at idx; pops it. */
static void note(cast_packer *p, lua_State *L, int t, int idx) {
  push_weak(L, t, CAST_SLOT_NAMES);
  lua_pushvalue(L, idx);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  if (lua_istable(L, idx)) mark(p, lua_topointer(L, idx));
  lua_pop(L, 2);
}

/* Whether the table on top has a raw __index: it is used as a metatable. */
static bool is_class(const search *s) {
  cast_packer_get(s->L, s->t, CAST_SLOT_INDEX);
  lua_rawget(s->L, -2);
  bool has = !lua_isnil(s->L, -1);
  lua_pop(s->L, 1);
  return has;
}

static bool is_module_name(lua_State *L, int idx) {
  size_t size;
  const char *name = lua_tolstring(L, idx, &size);
  return name != NULL && memchr(name, '\0', size) == NULL;
}

/* Notes the table on top under path, unless it has a better name. */
static void note_class(search *s) {
  lua_State *L = s->L;
  int object = lua_gettop(L);
  push_weak(L, s->t, CAST_SLOT_NAMES);
  lua_pushvalue(L, object);
  lua_rawget(L, -2);
  s->best = lua_gettop(L);
  push_name(s);
  bool better =
    lua_isnil(L, s->best) || (!is_module_name(L, s->best) && is_better(s));
  if (better && lua_rawlen(L, -1) <= CAST_NAME_MAX) note(s->p, L, s->t, object);
  lua_settop(L, object);
}

/* -- walks ---------------------------------------------------------------- */

static void visit_members(search *s, int table);

/* The member on top of the stack, under a string key. Tables in a standard
   library and among the globals do not count: these are modules too, or the
   program's own. */
static void visit(search *s) {
  int object = lua_gettop(s->L);
  bool is_table = lua_istable(s->L, object);
  if (is_table && s->standard) return;
  if (s->target == 0) {
    if (is_table && is_class(s)) note_class(s);
  } else if (lua_rawequal(s->L, object, s->target)) {
    met(s);
  }
  if (is_table && s->depth == 1 && !lua_rawequal(s->L, object, s->path[0] + 1))
    visit_members(s, object);
}

/* Looks at the fields of the table at that index. */
static void visit_members(search *s, int table) {
  lua_State *L = s->L;
  uint32_t left = s->standard ? UINT32_MAX : CAST_NAMES_MEMBERS;
  s->depth++;
  lua_pushnil(L);
  while (left-- > 0 && lua_next(L, table)) {
    s->path[s->depth] = lua_gettop(L) - 1;
    if (lua_type(L, -2) == LUA_TSTRING) visit(s);
    lua_pop(L, 1);
  }
  lua_settop(L, s->path[s->depth - 1] + 1);
  s->depth--;
}

/* Looks at the module at that index, its name below it. */
static void visit_module(search *s, int table) {
  const char *name = lua_tostring(s->L, table - 1);
  s->standard = strcmp(name, "_G") == 0 || is_among(name, library_names);
  s->path[0] = table - 1;
  /* The standard libraries have no classes to note. */
  if (s->target != 0 || !s->standard) visit_members(s, table);
}

static bool is_reserved(lua_State *L, int idx) {
  size_t size;
  const char *name = lua_tolstring(L, idx, &size);
  return cast_names_own(name, size);
}

/* Whether the module at `table`, its name below it, is not known under that
   name, or another one that still holds and is better. */
static bool is_new(search *s, int loaded, int names, int table) {
  lua_State *L = s->L;
  if (!lua_istable(L, table) || lua_type(L, table - 1) != LUA_TSTRING ||
      lua_rawlen(L, table - 1) > CAST_NAME_MAX || is_reserved(L, table - 1) ||
      lua_topointer(L, table) == s->p->globals)
    return false;
  lua_pushvalue(L, table);
  lua_rawget(L, names);
  s->best = lua_gettop(L);
  if (!is_module_name(L, -1)) return true;
  if (lua_rawequal(L, -1, table - 1)) return false;
  lua_pushvalue(L, -1);
  lua_rawget(L, loaded);
  if (!lua_rawequal(L, -1, table)) return true;
  lua_pushvalue(L, table - 1);
  return is_better(s);
}

bool cast_names_refresh(cast_packer *p, lua_State *L, int t) {
  search s = {.L = L, .p = p, .t = t};
  bool fresh = false;
  int top = lua_gettop(L);
  cast_packer_stack(L, 24);
  cast_packer_get(L, t, CAST_SLOT_LOADED);
  push_weak(L, t, CAST_SLOT_NAMES);
  lua_pushnil(L);
  while (lua_next(L, top + 1)) {
    bool is_fresh = is_new(&s, top + 1, top + 2, top + 4);
    lua_settop(L, top + 4);
    if (is_fresh) {
      fresh = true;
      lua_pushvalue(L, -2);
      note(p, L, t, top + 4);
      visit_module(&s, top + 4);
    }
    lua_settop(L, top + 3);
  }
  lua_settop(L, top);
  if (fresh) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, t, CAST_SLOT_UNNAMED);
    lua_pushboolean(L, 0);
    lua_rawseti(L, t, CAST_SLOT_LOOKED);
    p->missed = 0;
  }
  return fresh;
}

/* Leaves the best name of the object on top, or nil, above it. */
static int find_best(cast_packer *p, lua_State *L, int t) {
  search s = {.L = L, .p = p, .t = t};
  int top = lua_gettop(L);
  cast_packer_stack(L, 24);
  s.target = top;
  lua_pushnil(L);
  s.best = top + 1;
  cast_packer_get(L, t, CAST_SLOT_LOADED);
  lua_pushnil(L);
  while (lua_next(L, top + 2)) {
    if (lua_istable(L, -1) && lua_type(L, -2) == LUA_TSTRING &&
        !is_reserved(L, -2)) {
      s.path[0] = top + 3;
      if (lua_rawequal(L, -1, top)) met(&s);
      visit_module(&s, top + 4);
    }
    lua_settop(L, top + 3);
  }
  lua_settop(L, top + 1);
  return s.best_rank;
}

/* The name on top, unless it is nil, is noted for the object below it. */
static bool note_best(cast_packer *p, lua_State *L, int t, bool good) {
  if (!good || lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushvalue(L, -1);
  note(p, L, t, lua_gettop(L) - 2);
  return true;
}

bool cast_names_search(cast_packer *p, lua_State *L, int t) {
  find_best(p, L, t);
  return note_best(p, L, t, true);
}

bool cast_names_search_modules(cast_packer *p, lua_State *L, int t) {
  int rank = find_best(p, L, t);
  return note_best(p, L, t, rank == RANK_MODULE || rank == RANK_INNER);
}

bool cast_names_looked(lua_State *L, int t) {
  int top = lua_gettop(L);
  push_weak(L, t, CAST_SLOT_LOOKED);
  lua_pushvalue(L, top);
  lua_rawget(L, -2);
  bool looked = lua_toboolean(L, -1);
  if (!looked) {
    lua_pushvalue(L, top);
    lua_pushboolean(L, 1);
    lua_rawset(L, top + 1);
  }
  lua_settop(L, top);
  return looked;
}

bool cast_names_search_once(cast_packer *p, lua_State *L, int t) {
  int top = lua_gettop(L);
  if (p->missed == CAST_NAMES_MISSES) return false;
  push_weak(L, t, CAST_SLOT_UNNAMED);
  lua_pushvalue(L, top);
  lua_rawget(L, -2);
  bool unnamed = lua_toboolean(L, -1);
  lua_settop(L, top);
  if (unnamed) return false;
  if (cast_names_search(p, L, t)) return true;
  p->missed++;
  push_weak(L, t, CAST_SLOT_UNNAMED);
  lua_pushvalue(L, top);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_settop(L, top);
  return false;
}

void cast_names_give(cast_packer *p, lua_State *L, int idx) {
  cast_packer_stack(L, 8);
  cast_packer_table(p, L);
  lua_insert(L, -2);
  note(p, L, lua_gettop(L) - 1, idx);
  lua_pop(L, 1);
}

/* -- from names to objects ------------------------------------------------ */

/* The first key of name, and the rest (NULL: none). */
static size_t split(const char *name, size_t size, const char **rest) {
  const char *end = memchr(name, '\0', size);
  *rest = end != NULL ? end + 1 : NULL;
  return end != NULL ? (size_t)(end - name) : size;
}

static size_t size_after(const char *name, size_t size, const char *rest) {
  return size - (size_t)(rest - name);
}

/* Pushes the module, or nil if it is not loaded. */
static void push_loaded(
  cast_packer *p, lua_State *L, int t, const char *name, size_t size) {
  if (cast_names_own(name, size)) {
    if (p->module == NULL || !p->module(L, name, size)) lua_pushnil(L);
    return;
  }
  if (size == 2 && memcmp(name, "_G", 2) == 0) {
    cast_packer_get(L, t, CAST_SLOT_GLOBALS);
    return;
  }
  cast_packer_get(L, t, CAST_SLOT_LOADED);
  lua_pushlstring(L, name, size);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

bool cast_names_find(cast_packer *p, lua_State *L, int t) {
  int top = lua_gettop(L);
  const char *name, *rest;
  size_t size;
  cast_packer_stack(L, 8);
  push_weak(L, t, CAST_SLOT_NAMES);
  lua_pushvalue(L, top);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  name = lua_tolstring(L, -1, &size);
  if (name != NULL) {
    size_t first = split(name, size, &rest);
    push_loaded(p, L, t, name, first);
    while (rest != NULL && lua_istable(L, -1)) {
      size = size_after(name, size, rest);
      name = rest;
      lua_pushlstring(L, name, split(name, size, &rest));
      lua_rawget(L, -2);
      lua_remove(L, -2);
    }
    bool holds = rest == NULL && lua_rawequal(L, -1, top);
    lua_pop(L, 1);
    if (holds) return true;
    lua_pushnil(L); /* forget it */
    note(p, L, t, top);
  }
  lua_settop(L, top);
  return false;
}

/* Pushes what require returns, or the error's value. */
static bool push_required(lua_State *L, int t, const char *name, size_t size) {
  cast_packer_get(L, t, CAST_SLOT_GLOBALS);
  cast_packer_get(L, t, CAST_SLOT_REQUIRE);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "the module is not loaded, and there is no 'require'");
    return false;
  }
  lua_pushlstring(L, name, size);
  return lua_pcall(L, 1, 1, 0) == LUA_OK;
}

static int get_field(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

/* Replaces the table on top by its field, which may come from __index. */
static bool descend(lua_State *L, const char *key, size_t size) {
  if (lua_istable(L, -1)) {
    lua_pushlstring(L, key, size);
    lua_rawget(L, -2);
    if (!lua_isnil(L, -1)) {
      lua_remove(L, -2);
      return true;
    }
    lua_pop(L, 1);
  }
  lua_pushcfunction(L, get_field);
  lua_insert(L, -2);
  lua_pushlstring(L, key, size);
  if (lua_pcall(L, 2, 1, 0) != LUA_OK) return false;
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  lua_pushliteral(L, "the module has no such member");
  return false;
}

/* Replaces what a name that named a table or a function is not. */
static bool check_type(lua_State *L) {
  if (lua_istable(L, -1) || lua_isfunction(L, -1)) return true;
  lua_pushfstring(L, "it is a %s here", luaL_typename(L, -1));
  lua_remove(L, -2);
  return false;
}

bool cast_names_resolve(
  cast_packer *p, lua_State *L, const char *name, size_t size) {
  const char *rest;
  cast_packer_stack(L, 8);
  cast_packer_table(p, L);
  int t = lua_gettop(L);
  size_t first = split(name, size, &rest);
  push_loaded(p, L, t, name, first);
  /* While 5.1 loads a module, package.loaded has a mark in its place. */
  bool ok = lua_istable(L, -1);
  if (!ok) {
    lua_pop(L, 1);
    ok = p->module != NULL && p->module(L, name, first);
    if (!ok) ok = push_required(L, t, name, first);
  }
  while (ok && rest != NULL) {
    size = size_after(name, size, rest);
    name = rest;
    first = split(name, size, &rest);
    ok = descend(L, name, first);
  }
  if (ok) ok = check_type(L);
  lua_remove(L, t);
  return ok;
}

void cast_names_describe(lua_State *L, const char *name, size_t size) {
  const char *rest;
  luaL_Buffer b;
  size_t first = split(name, size, &rest);
  cast_packer_stack(L, LUA_MINSTACK);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, rest == NULL ? "module '" : "'");
  if (first == 2 && memcmp(name, "_G", 2) == 0 && rest != NULL) {
    size = size_after(name, size, rest);
    name = rest;
  }
  for (size_t i = 0; i < size; i++)
    luaL_addchar(&b, name[i] == '\0' ? '.' : name[i]);
  luaL_addchar(&b, '\'');
  luaL_pushresult(&b);
}
