/* peek.c - finds out how Lua tables lie in memory.
   SPDX-License-Identifier: MIT

   No header says it, but it can be watched: in a Lua state made for it, whose
   allocator tells which blocks there are. A new table with room for eight
   entries is two blocks; in the first is the address of the second, or of a
   place in it, and a number that says eight. Eight entries with known values
   show where in the second block values lie, and how they are marked. What was
   found is then tried on other tables. If anything is other than expected,
   nothing is known, and Lua's API is used to look into tables. So it is where
   addresses do not have 64 bits, and where LuaJIT takes no allocator. It is
   found out once in a process, by the thread that asks first; two may do so at
   once (once.h). */
#include "peek.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../once.h"
#include "../../os/os.h"
#include "compat.h"

#define ENTRIES 8

#define BLOCKS_MAX 16

typedef struct block {
  unsigned char *at;
  size_t size;
} block;

/* What is known so far. */
typedef struct lesson {
  block blocks[BLOCKS_MAX]; /* what the allocator of the state has given */
  size_t n;                 /* since n was set to 0 */
  cast_peek_layout found;
} lesson;

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
  lesson *l = ud;
  void *given = cast_mem_lua(NULL, ptr, osize, nsize);
  if (given != NULL && nsize > 0 && l->n < BLOCKS_MAX)
    l->blocks[l->n++] = (block){given, nsize};
  return given;
}

/* -- watching ------------------------------------------------------------- */

/* The address that stands at `at`, which need not be aligned. */
static const void *word_at(const unsigned char *at) {
  const void *word;
  memcpy(&word, at, sizeof word);
  return word;
}

/* Pushes a table with room for so many entries, and finds its two blocks: the
   table itself, and its places. */
static bool push_table(
  lua_State *L, lesson *l, int entries, block *table, block *places) {
  const void *address;
  l->n = 0;
  lua_createtable(L, 0, entries);
  address = lua_topointer(L, -1);
  table->at = places->at = NULL;
  for (size_t i = 0; i < l->n; i++)
    *(l->blocks[i].at == address ? table : places) = l->blocks[i];
  /* Between the members there may be anything. */
  for (size_t i = 0; i < l->n; i++)
    os_defined(l->blocks[i].at, l->blocks[i].size);
  return l->n == 2 && table->at != NULL && places->at != NULL;
}

/* Finds where in the table the address of its first place is. */
static bool find_first(lesson *l, const block *table, const block *places) {
  for (size_t i = 0; i + sizeof(void *) <= table->size; i += sizeof(void *)) {
    const unsigned char *word = word_at(table->at + i);
    if (word < places->at || word >= places->at + places->size) continue;
    l->found.first = (uint32_t)i;
    return true;
  }
  return false;
}

/* Fills the table on the top with tables, whose addresses become values[]. */
static void fill(lua_State *L, const void **values) {
  for (int i = 0; i < ENTRIES; i++) {
    char key[] = {'k', (char)('a' + i), '\0'};
    lua_pushstring(L, key);
    lua_newtable(L);
    values[i] = lua_topointer(L, -1);
    lua_rawset(L, -3);
  }
}

/* Is the value at `at` one of these tables? *tag: how it is marked. */
static bool is_value(
  const unsigned char *at, const void *const *values, uint32_t *tag) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
#if CAST_LUAJIT
  *tag = (uint32_t)(word >> 47);
  word &= (UINT64_C(1) << 47) - 1;
#elif CAST_LUA >= 504
  *tag = at[sizeof word];
#else
  int mark;
  memcpy(&mark, at + sizeof word, sizeof mark);
  *tag = (uint32_t)mark;
#endif
  for (int i = 0; i < ENTRIES; i++)
    if (word == (uint64_t)(uintptr_t)values[i]) return true;
  return false;
}

/* Finds where in a place its value lies, and how far the places are apart. */
static bool find_values(lesson *l, const block *table, const block *places,
  const void *const *values) {
  cast_peek_layout *f = &l->found;
  const unsigned char *first = word_at(table->at + f->first);
  const unsigned char *last = NULL, *end = places->at + places->size;
  uint32_t tag, n = 0;
  for (const unsigned char *at = first; at + 12 <= end; at += 8) {
    if (!is_value(at, values, &tag)) continue;
    if (n == 0) {
      f->value = (uint32_t)(at - first);
      f->tag = tag;
    } else if (n == 1) {
      f->stride = (uint32_t)(at - last);
    }
    if (tag != f->tag || (n > 0 && at - last != (ptrdiff_t)f->stride))
      return false;
    last = at;
    n++;
  }
  return n == ENTRIES && f->value < f->stride &&
         first + (size_t)ENTRIES * f->stride <= end;
}

/* Finds where the table says how many places it has: the only position that is
   right for tables of several sizes. */
static bool find_count(lua_State *L, lesson *l) {
  static const int entries[] = {ENTRIES, 2, 16, 64};
  bool may[64];
  int n = 0;
  memset(may, 1, sizeof may);
  for (size_t k = 0; k < sizeof entries / sizeof entries[0]; k++) {
    block table, places;
    if (!push_table(L, l, entries[k], &table, &places)) return false;
    for (uint32_t i = 0; i < sizeof may; i++) {
      l->found.count = i;
      may[i] = may[i] && i + (CAST_LUAJIT ? 4 : 1) <= table.size &&
               (!CAST_LUAJIT || i % 4 == 0) &&
               cast_peek_count(&l->found, table.at) == (size_t)entries[k];
    }
  }
  for (uint32_t i = 0; i < sizeof may; i++) {
    if (!may[i]) continue;
    l->found.count = i;
    n++;
  }
  return n == 1;
}

/* -- trying --------------------------------------------------------------- */

/* Does a look into the table on the top find the tables that lua_next finds? */
static bool is_right(lua_State *L, const cast_peek_layout *how) {
  uintptr_t sum = 0;
  uint32_t n = 0;
  cast_peek p;
  const void *table;
  if (!cast_peek_open(&p, how, lua_topointer(L, -1))) return false;
  while ((table = cast_peek_next(&p)) != NULL) {
    sum += (uintptr_t)table;
    n++;
  }
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (!lua_istable(L, -1) || lua_type(L, -2) != LUA_TSTRING) continue;
    sum -= (uintptr_t)lua_topointer(L, -1);
    n--;
  }
  return sum == 0 && n == 0;
}

/* A function as a value. */
static int no_table(lua_State *L) {
  CAST_UNUSED(L);
  return 0;
}

/* A value of any kind. */
static void push_some(lua_State *L, int i) {
  switch (i % 7) {
  case 0: lua_pushnil(L); break;
  case 1: lua_pushboolean(L, 1); break;
  case 2: lua_pushnumber(L, 0.5); break;
  case 3: lua_pushliteral(L, "text"); break;
  case 4: lua_pushcfunction(L, no_table); break;
  case 5: (void)cast_lua_newuserdata(L, 8); break;
  default: lua_newtable(L); break;
  }
}

/* Tries that as a table grows, shrinks, and has values of all kinds. */
static bool try_all(lua_State *L, const cast_peek_layout *how) {
  bool right;
  lua_newtable(L);
  right = is_right(L, how);
  for (int i = 0; right && i < 200; i++) {
    char key[] = {(char)('a' + i % 25), (char)('a' + i / 7 % 13), '\0'};
    lua_pushstring(L, key);
    push_some(L, i * i + i / 3);
    lua_rawset(L, -3);
    right = is_right(L, how);
  }
  return right;
}

static int learn(lua_State *L) {
  lesson *l = lua_touserdata(L, 1);
  const void *values[ENTRIES];
  block table, places;
  lua_settop(L, 0);
  lua_gc(L, LUA_GCSTOP, 0);
  if (!push_table(L, l, ENTRIES, &table, &places) ||
      !find_first(l, &table, &places))
    return 0;
  fill(L, values);
  if (!find_values(l, &table, &places, values) || !find_count(L, l)) return 0;
  l->found.known = true;
  l->found.known = try_all(L, &l->found);
  return 0;
}

/* *found.known: whether all went as expected. False: there was no memory to
   find out. */
static bool find_out(cast_peek_layout *found) {
  lesson l = {.n = 0};
  int status = LUA_OK;
  lua_State *L = NULL;
  bool may = CAST_PEEK && sizeof(void *) == 8;
  if (may) {
    cast_mem_spare(CAST_LUAJIT); /* it crashes if memory fails here */
#if CAST_LUA >= 505
    L = lua_newstate(allocate, &l, 0);
#else
    L = lua_newstate(allocate, &l);
#endif
    cast_mem_spare(false);
  }
  if (L != NULL) {
    status = cast_lua_cpcall(L, learn, &l);
    lua_close(L);
  }
  *found = l.found;
  return status == LUA_OK && (L != NULL || CAST_LUAJIT || !may);
}

const cast_peek_layout *cast_peek_learn(void) {
  static const cast_peek_layout unknown;
  static cast_peek_layout layout;
  static cast_once once;
  cast_peek_layout found;
  if (!cast_once_is_known(&once)) {
    if (!find_out(&found)) return &unknown;
    cast_once_tell(&once, &layout, &found, sizeof layout);
  }
  return &layout;
}
