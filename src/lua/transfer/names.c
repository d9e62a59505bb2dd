/* names.c - names of modules and of what is in them.
   SPDX-License-Identifier: MIT

   What goes by name is a matter of the state as it is now, and not of what was
   sent before: a table in package.loaded; a C function there, or in such a
   table or a table in it; and a metatable in such a table or a table in it
   (a table is taken for one if it has a key that begins with "__"). In the
   standard libraries and among the globals only functions count: the tables
   there are modules too, or the program's own.

   A weak table maps objects to their names: the notes. All modules are in it,
   and it is made anew when package.loaded has other tables than it had
   (fingerprint). Nobody tells of that, so they are looked at for each message
   with tables: see peek.h. Other objects are searched for in all modules, and
   their names are noted when they are found. Such a name is looked up before
   each use, and counts only if the object is still there. That something has no
   name is not noted: the next line of the program may give it one.

   package.loaded is only ever read. To be told of new modules by a searcher
   of our own, or by a wrapped require, was rejected: programs replace these,
   and a module may be put into package.loaded by hand.

   Among several names of one object the one that holds in most states is
   taken; see rank_of. Members that are not fields of a module or of a table
   in a module are not found. Metatables: see classes.c.

   While tables of the program's are walked through nothing is allocated: a
   finalizer might change them, and lua_next does not bear that.

   Owner: the state's packer. Names are strings, keys separated by '\0'. */
#include "names.h"

#include "../../base.h"
#include "../compat/compat.h"
#include "../compat/peek.h"
#include "../compat/single.h"
#include "../compat/stock.h"
#include "packer.h"

/* -- which name is best --------------------------------------------------- */

/* Smaller is better. */
enum {
  RANK_STOCK,  /* a standard library's own: every state has it */
  RANK_MODULE, /* a module, or a field of one */
  RANK_INNER,  /* of a table in a module */
  RANK_ADDED   /* what the program has put among the globals, or into a standard
                  library: it may be missing elsewhere */
};

static int rank_of(const char *module, const char *key, int depth) {
  if (depth > 1) return RANK_INNER;
  if (!cast_stock_has_library(module)) return RANK_MODULE;
  return cast_stock_has_member(module, key) ? RANK_STOCK : RANK_ADDED;
}

/* Can the value at idx be part of a name, its size added to *size? */
static bool is_key(lua_State *L, int idx, size_t *size) {
  size_t more;
  if (lua_type(L, idx) != LUA_TSTRING) return false;
  const char *key = lua_tolstring(L, idx, &more);
  *size += more;
  return *size <= CAST_NAME_MAX && memchr(key, '\0', more) == NULL;
}

/* Shorter ones first. Beyond that any fixed order will do; that of lua_next
   changes from run to run. */
static int compare_keys(lua_State *L, int a, int b) {
  size_t asize, bsize;
  const char *akey = lua_tolstring(L, a, &asize);
  const char *bkey = lua_tolstring(L, b, &bsize);
  if (asize != bsize) return asize < bsize ? -1 : 1;
  return memcmp(akey, bkey, asize);
}

/* -- notes ---------------------------------------------------------------- */

/* Sets the table's bit in the filter. */
static void mark(uint64_t *bits, const void *table) {
  uint32_t bit = cast_names_bit(table);
  bits[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* Pushes a weak table of the packer, made on first use. */
static void push_weak(lua_State *L, int t, int slot) {
  (void)cast_single_push_in(L, t, slot, cast_make_weak, "k");
}

/* Notes the name on top for the object at idx, in the slot's table; pops it. */
static void note(cast_packer *p, lua_State *L, int t, int slot, int idx) {
  push_weak(L, t, slot);
  lua_pushvalue(L, idx);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  if (lua_istable(L, idx)) mark(p->named, lua_topointer(L, idx));
  lua_pop(L, 2);
}

void cast_names_give(cast_packer *p, lua_State *L, int idx) {
  cast_packer_stack(L, 8);
  cast_packer_table(p, L);
  lua_insert(L, -2);
  note(p, L, lua_gettop(L) - 1, CAST_SLOT_GIVEN, idx);
  lua_pop(L, 1);
}

/* -- modules -------------------------------------------------------------- */

/* A number that changes when other tables are in package.loaded: the sum of
   their hashed addresses. Without peeking (peek.h) Lua is asked. */
static uint64_t fingerprint(const cast_packer *p, lua_State *L, int t) {
  uint64_t sum = 1;
  const void *module;
  cast_peek k;
  if (cast_peek_open(&k, p->peek, p->modules)) {
    while ((module = cast_peek_next(&k)) != NULL)
      sum += cast_names_mix(module, NULL);
    return sum;
  }
  cast_packer_stack(L, 3);
  cast_packer_get(L, t, CAST_SLOT_LOADED);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    if (lua_istable(L, -1)) sum += cast_names_mix(lua_topointer(L, -1), NULL);
  lua_pop(L, 1);
  return sum;
}

/* That of the globals, whatever package.loaded has under it: resolve.c. */
static bool is_globals(const char *name, size_t size) {
  return size == 2 && memcmp(name, "_G", 2) == 0;
}

/* Is the pair on top a module, other than the globals? */
static bool is_module(const cast_packer *p, lua_State *L) {
  size_t size = 0;
  if (!lua_istable(L, -1) || lua_topointer(L, -1) == p->globals ||
      !is_key(L, -2, &size))
    return false;
  const char *name = lua_tostring(L, -2);
  return !cast_names_is_own(name, size) && !is_globals(name, size);
}

/* Pushes a list of the modules' names and tables by turns, and returns how
   many entries it has; marks the tables, with or without a name. The list has
   room before the walk, in which nothing may be allocated. Modules that were
   loaded in between, by a finalizer, and find no room are left out: rebuild()
   sees that, and does it again. */
static int push_modules(cast_packer *p, lua_State *L, int t, uint64_t *bits) {
  int n = 0, room = 0, loaded, list;
  cast_packer_get(L, t, CAST_SLOT_LOADED);
  loaded = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, loaded); lua_pop(L, 1)) room += 2;
  lua_createtable(L, room, 0);
  list = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, loaded); lua_pop(L, 1)) {
    if (lua_istable(L, -1)) mark(bits, lua_topointer(L, -1));
    if (n + 2 > room || !is_module(p, L)) continue;
    lua_pushvalue(L, -2);
    lua_rawseti(L, list, ++n);
    lua_pushvalue(L, -1);
    lua_rawseti(L, list, ++n);
  }
  lua_replace(L, loaded);
  return n;
}

/* Notes the name on top, unless it has a better one, in `names` for the module
   at idx; pops it. One table may be in package.loaded under several names. */
static void note_module(lua_State *L, int names, int idx) {
  int name = lua_gettop(L);
  lua_pushvalue(L, idx);
  lua_rawget(L, names);
  bool better = lua_isnil(L, -1);
  if (!better) {
    bool is = cast_stock_has_library(lua_tostring(L, name));
    bool was = cast_stock_has_library(lua_tostring(L, -1));
    better = is != was ? is : compare_keys(L, name, name + 1) < 0;
  }
  if (better) {
    lua_pushvalue(L, idx);
    lua_pushvalue(L, name);
    lua_rawset(L, names);
  }
  lua_settop(L, name - 1);
}

/* Names that were given for ever (cast_names_give) are in a table of their own,
   which is not made anew: only their bits are. */
static void mark_given(uint64_t *bits, lua_State *L, int t) {
  cast_packer_get(L, t, CAST_SLOT_GIVEN);
  if (lua_istable(L, -1)) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
      if (lua_istable(L, -2)) mark(bits, lua_topointer(L, -2));
  }
  lua_pop(L, 1);
}

/* Notes the modules, and forgets all else. The new notes and the filter take
   the place of the old ones at the end, when nothing can raise any more. */
static void note_modules(cast_packer *p, lua_State *L, int t) {
  uint64_t bits[CAST_NAMES_BITS / 64] = {0};
  int top = lua_gettop(L), n;
  cast_make_weak(L, "k");
  n = push_modules(p, L, t, bits);
  for (int i = 2; i <= n; i += 2) {
    lua_rawgeti(L, top + 2, i);
    lua_rawgeti(L, top + 2, i - 1);
    note_module(L, top + 1, top + 3);
    lua_pop(L, 1);
  }
  mark_given(bits, L, t);
  if (p->own != NULL) mark(bits, p->own);
  lua_settop(L, top + 1);
  lua_rawseti(L, t, CAST_SLOT_NAMES);
  memcpy(p->named, bits, sizeof bits);
}

/* Makes the notes anew. A finalizer may load a module meanwhile, so it is done
   again until nothing has changed; ten times at most, or one that always does
   would keep this here for ever. */
static void rebuild(cast_packer *p, lua_State *L, int t) {
  uint64_t sum;
  int tries = 0;
  cast_packer_stack(L, 16);
  p->loads = 0; /* should this raise an error */
  do {
    sum = fingerprint(p, L, t);
    note_modules(p, L, t);
  } while (fingerprint(p, L, t) != sum && ++tries < 10);
  p->loads = sum;
}

void cast_names_refresh(cast_packer *p, lua_State *L, int t) {
  if (CAST_UNLIKELY(fingerprint(p, L, t) != p->loads)) rebuild(p, L, t);
}

/* -- search --------------------------------------------------------------- */

#define PATH 3 /* parts of the longest: a module and two keys */

/* A search for the place of an object. Paths are kept as strings on the stack,
   and made into a name only at the end, as nothing may be allocated before. */
typedef struct search {
  lua_State *L;
  const void *globals; /* address of the table of globals */
  int target;          /* stack index of the object */
  int path[PATH];      /* stack indices of the module's name and the keys */
  int depth;           /* how many keys the path has now */
  int best;            /* stack index of the best path: PATH slots */
  int best_depth;      /* how many keys that has; -1: none was found */
  int best_rank;       /* RANK_*, of it */
  size_t best_size;    /* bytes of its name */
} search;

/* Is this path better than the best one, which is of the same rank? */
static bool is_better(const search *s, size_t size) {
  if (size != s->best_size) return size < s->best_size;
  if (s->depth != s->best_depth) return s->depth < s->best_depth;
  for (int i = 0; i <= s->depth; i++) {
    int order = compare_keys(s->L, s->path[i], s->best + i);
    if (order != 0) return order < 0;
  }
  return false;
}

/* The target is at the path: keeps that if it is the best name so far. */
static void note_candidate(search *s) {
  lua_State *L = s->L;
  const char *key = "";
  size_t size = (size_t)s->depth; /* what separates them */
  for (int i = 0; i <= s->depth; i++)
    if (!is_key(L, s->path[i], &size)) return;
  if (s->depth > 0) key = lua_tostring(L, s->path[s->depth]);
  int rank = rank_of(lua_tostring(L, s->path[0]), key, s->depth);
  if (s->best_depth >= 0 &&
      (rank > s->best_rank || (rank == s->best_rank && !is_better(s, size))))
    return;
  for (int i = 0; i <= s->depth; i++) {
    lua_pushvalue(L, s->path[i]);
    lua_replace(L, s->best + i);
  }
  s->best_depth = s->depth;
  s->best_rank = rank;
  s->best_size = size;
}

/* Looks at the fields of the table at that index, and of the tables in it if
   `deeper`. Raw, by lua_next: nothing of the program's is called. */
static void search_fields(search *s, int table, bool deeper) {
  lua_State *L = s->L;
  s->depth++;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    int value = lua_gettop(L);
    if (lua_type(L, value - 1) != LUA_TSTRING) continue;
    s->path[s->depth] = value - 1;
    if (lua_rawequal(L, value, s->target)) note_candidate(s);
    if (deeper && lua_istable(L, value) && !lua_rawequal(L, value, table))
      search_fields(s, value, false);
  }
  s->depth--;
}

/* Looks at the module on top, its name below it. Standard libraries only have
   functions that count, so their tables are not looked into. */
static void search_module(search *s, bool standard) {
  int module = lua_gettop(s->L);
  size_t size = 0;
  if (!is_key(s->L, module - 1, &size)) return;
  const char *name = lua_tostring(s->L, module - 1);
  bool is_library = cast_stock_has_library(name);
  if ((is_library && !standard) || cast_names_is_own(name, size)) return;
  if (is_globals(name, size) && lua_topointer(s->L, module) != s->globals)
    return;
  s->path[0] = module - 1;
  if (lua_rawequal(s->L, module, s->target)) note_candidate(s);
  if (lua_istable(s->L, module)) search_fields(s, module, !is_library);
}

/* Searches all modules for the object on top. Leaves PATH slots above it,
   with the best path. casting itself may not be in package.loaded, or not any
   more. */
static search search_all(
  const cast_packer *p, lua_State *L, int t, bool standard) {
  search s = {
    .L = L, .globals = p->globals, .target = lua_gettop(L), .best_depth = -1};
  cast_packer_stack(L, 24);
  lua_settop(L, s.target + PATH);
  s.best = s.target + 1;
  lua_pushliteral(L, "casting");
  cast_packer_get(L, t, CAST_SLOT_OWN);
  search_module(&s, standard);
  cast_packer_get(L, t, CAST_SLOT_LOADED);
  int loaded = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, loaded); lua_pop(L, 1))
    search_module(&s, standard);
  lua_settop(L, s.target + PATH);
  return s;
}

/* Replaces the best path by its name, which is noted, or by nothing: false. */
static bool take_name(cast_packer *p, lua_State *L, int t, const search *s) {
  lua_settop(L, s->best + s->best_depth);
  if (s->best_depth < 0) return false;
  for (int i = 1; i <= s->best_depth; i++) {
    lua_pushlstring(L, "\0", 1);
    lua_insert(L, s->best + 2 * i - 1);
  }
  lua_concat(L, 2 * s->best_depth + 1);
  /* Not noted: any module would be a better place, should one get it. */
  if (s->best_rank == RANK_ADDED) return true;
  lua_pushvalue(L, s->best);
  note(p, L, t, CAST_SLOT_NAMES, s->target);
  return true;
}

/* Finds the name of the object on top; `standard`: also in the standard
   libraries. */
static bool find_or_search(cast_packer *p, lua_State *L, int t, bool standard) {
  search s;
  if (cast_names_find(p, L, t)) return true;
  s = search_all(p, L, t, standard);
  return take_name(p, L, t, &s);
}

bool cast_names_search(cast_packer *p, lua_State *L, int t) {
  return find_or_search(p, L, t, true);
}

bool cast_names_search_modules(cast_packer *p, lua_State *L, int t) {
  return find_or_search(p, L, t, false);
}

/* Is the table on top in package.loaded? */
static bool is_loaded(lua_State *L, int t) {
  int top = lua_gettop(L);
  bool is = false;
  cast_packer_get(L, t, CAST_SLOT_LOADED);
  for (lua_pushnil(L); !is && lua_next(L, top + 1); lua_pop(L, 1))
    is = lua_rawequal(L, -1, top);
  lua_settop(L, top);
  return is;
}

/* __index is looked up first: most classes have it. Otherwise all keys are. */
bool cast_names_has_special_key(lua_State *L, int t) {
  int table = lua_gettop(L);
  bool is;
  cast_packer_get(L, t, CAST_SLOT_INDEX);
  lua_rawget(L, table);
  is = !lua_isnil(L, -1);
  lua_settop(L, table);
  lua_pushnil(L);
  while (!is && lua_next(L, table)) {
    size_t size;
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) continue;
    const char *key = lua_tolstring(L, -1, &size);
    is = size >= 2 && key[0] == '_' && key[1] == '_';
  }
  lua_settop(L, table);
  return is;
}

/* Pushes what is noted for the object on top, if that still holds: the object
   is what the name leads to, and if it is a table in a module, it still has a
   key that begins with "__". Names that were given hold without being looked
   up. */
static bool find_noted(cast_packer *p, lua_State *L, int t, int slot) {
  int top = lua_gettop(L);
  size_t size;
  cast_packer_get(L, t, slot);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushvalue(L, top);
  lua_rawget(L, -2);
  lua_replace(L, top + 1);
  const char *name = lua_tolstring(L, -1, &size);
  bool holds = name != NULL;
  if (holds && slot != CAST_SLOT_GIVEN) {
    cast_names_look(p, L, t, name, size);
    holds = lua_rawequal(L, -1, top);
    lua_pop(L, 1);
    if (holds && lua_istable(L, top) && memchr(name, '\0', size) != NULL) {
      lua_pushvalue(L, top);
      holds = cast_names_has_special_key(L, t);
      lua_pop(L, 1);
    }
  }
  if (!holds) lua_pop(L, 1);
  return holds;
}

bool cast_names_find(cast_packer *p, lua_State *L, int t) {
  cast_packer_stack(L, 16);
  if (p->own != NULL && lua_topointer(L, -1) == p->own) {
    lua_pushliteral(L, "casting");
    return true;
  }
  if (find_noted(p, L, t, CAST_SLOT_NAMES) ||
      find_noted(p, L, t, CAST_SLOT_GIVEN))
    return true;
  /* A module may have another name now, or a new one may have the address of
     one that is gone: the fingerprint does not tell. */
  if (!lua_istable(L, -1) || lua_topointer(L, -1) == p->globals ||
      !is_loaded(L, t))
    return false;
  rebuild(p, L, t);
  return find_noted(p, L, t, CAST_SLOT_NAMES);
}
