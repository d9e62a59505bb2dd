/* classes.c - which tables may be metatables in a module.
   SPDX-License-Identifier: MIT

   A table in a message that has a key that begins with "__" goes by name if it
   is in a module or in a table there. A program may send many that are not,
   objects of its own classes for example, and to look through all modules for
   each would cost more than all else. So the addresses of all tables there are
   kept in a set (a memo of which only the keys are used). It is right as long
   as the modules and the tables in them have the tables that they had: that is
   looked at once for each message with such a key (peek.h). Without peeking the
   set is made anew for each message.

   The set only says what has no name. What is in it is searched for as any
   other object (names.c).

   Owner: the state's packer. */
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/peek.h"
#include "../compat/stock.h"
#include "memo.h"
#include "names.h"
#include "packer.h"

/* -- are these the same? -------------------------------------------------- */

/* Adds the tables in the table to the sum, and those in these if `deeper`.
   False: the table cannot be looked into. */
static bool add_tables(
  const cast_packer *p, const void *table, bool deeper, uint64_t *sum) {
  cast_peek k;
  const void *inner;
  if (!cast_peek_open(&k, p->peek, table)) return false;
  while ((inner = cast_peek_next(&k)) != NULL) {
    *sum += cast_names_mix(inner, table);
    if (deeper && inner != table && inner != p->globals &&
        !add_tables(p, inner, false, sum))
      return false;
  }
  return true;
}

/* A number that changes when there are other tables in the modules, or in
   these; 0: it cannot be told. Each hash has the address of the table around,
   too, so that a table that moves from one module to another makes a
   difference. */
static uint64_t fingerprint(const cast_packer *p) {
  uint64_t sum = 1;
  cast_peek k;
  const void *module;
  if (!cast_peek_open(&k, p->peek, p->modules) ||
      (p->own != NULL && !add_tables(p, p->own, true, &sum)))
    return 0;
  while ((module = cast_peek_next(&k)) != NULL) {
    sum += cast_names_mix(module, NULL);
    if (module != p->globals && !add_tables(p, module, true, &sum)) return 0;
  }
  return sum;
}

/* -- the set -------------------------------------------------------------- */

/* Adds the tables in the table at that index to the set, and those in these if
   `deeper`. Memory for it is C's, so no finalizer runs in the walk. False:
   there is none. */
static bool gather_fields(
  lua_State *L, cast_memo *into, int table, bool deeper) {
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    int value = lua_gettop(L);
    if (!lua_istable(L, value) || lua_type(L, value - 1) != LUA_TSTRING)
      continue;
    const void *key = lua_topointer(L, value);
    if (cast_memo_find(into, key) == NULL && cast_memo_add(into, key) == NULL)
      return false;
    if (deeper && !lua_rawequal(L, value, table) &&
        !gather_fields(L, into, value, false))
      return false;
  }
  return true;
}

/* Adds those of all modules but the standard libraries. False: no memory. */
static bool gather(lua_State *L, int t, cast_memo *into) {
  int top = lua_gettop(L);
  bool done = true;
  cast_packer_stack(L, 24);
  cast_packer_get(L, t, CAST_SLOT_OWN);
  if (lua_istable(L, -1)) done = gather_fields(L, into, top + 1, true);
  cast_packer_get(L, t, CAST_SLOT_LOADED);
  for (lua_pushnil(L); done && lua_next(L, top + 2); lua_settop(L, top + 3))
    if (lua_istable(L, -1) && lua_type(L, -2) == LUA_TSTRING &&
        !cast_stock_has_library(lua_tostring(L, -2)))
      done = gather_fields(L, into, top + 4, true);
  lua_settop(L, top);
  return done;
}

/* Brings the set up to date, for a message. The fingerprint is taken before the
   set is made, so that a change in between is found the next time. False: no
   memory. */
static bool prepare(cast_packer *p, lua_State *L, int t) {
  uint64_t now = fingerprint(p);
  if (p->classes == NULL) {
    p->classes = cast_alloc(sizeof *p->classes);
    if (p->classes == NULL) return false;
    cast_memo_init(p->classes, NULL);
  } else if (now != 0 && now == p->gathered) {
    return true;
  }
  p->gathered = 0;
  cast_memo_clear(p->classes);
  if (!gather(L, t, p->classes)) return false;
  p->gathered = now;
  return true;
}

/* In a closing state the set is freed already: then this raises, too. */
bool cast_names_class(cast_packer *p, lua_State *L, int t, bool *prepared) {
  if (p->closed || (!*prepared && !prepare(p, L, t))) cast_raise_memory(L);
  *prepared = true;
  return cast_memo_find(p->classes, lua_topointer(L, -1)) != NULL &&
         cast_names_search_modules(p, L, t);
}

void cast_names_fini(cast_packer *p) {
  if (p->classes != NULL) cast_memo_fini(p->classes);
  cast_free(p->classes);
  p->classes = NULL;
}
