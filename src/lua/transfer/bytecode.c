/* bytecode.c - what a state remembers of functions that it sent and received.
   SPDX-License-Identifier: MIT

   Out: a weak table maps each function sent to a userdata that holds its
   bytecode. Programs that make the same closure anew each time send another
   function each time; so the bytecode of the last few is also found by content,
   after a dump. All messages of one function refer to the same bytes, and that
   is how the receiver knows it again.

   In: the same bytes (by address) mean the same function. A function that has
   upvalues of its own must be made anew for each message; when it comes for the
   second time, a function that makes such closures is made (factory.c), so that
   it is loaded twice at most. A pure one is remembered itself, by the address
   of its bytes, with a reference so that the address stays taken. It is given
   to each message once only, so that equal functions of one message stay
   different. Beyond that nothing can tell it from another one, except by `==`
   between messages, which Lua leaves open, and by a changed environment, which
   is looked at before each use.

   Owner: the state's packer. */
#include "bytecode.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../list.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "factory.h"
#include "fixed.h"
#include "packer.h"

/* What was done so far for a function with upvalues. */
enum {
  LOADS_NONE,
  LOADS_ONCE, /* it was loaded once: the next time a factory is made */
  LOADS_MADE, /* there is a factory for it */
  LOADS_NEVER /* there cannot be one, or making it has failed */
};

/* Bytecode, or what there is of it while it is dumped. A userdata points to it,
   in memory of C's: see state/cleanup.h. */
typedef struct code {
  cast_list link;        /* in the packer's list */
  cast_bytes *bytes;     /* one reference; NULL before, and after the end */
  char *scratch;         /* while it is dumped: what has come, ... */
  size_t size, capacity; /* ... and its size */
  uint32_t hash;         /* of the bytes, when all are there */
} code;

/* Frees what it has; its userdata may be finalized later. */
static void code_fini(code *c) {
  cast_free(c->scratch);
  c->scratch = NULL;
  if (c->bytes != NULL) cast_unref(&c->bytes->object);
  c->bytes = NULL;
}

/* __gc; upvalue: the packer, which is closed already if `freed`. The end of the
   Lua state may finalize one of the recent ones before the packer, which must
   not borrow its bytes any more then. */
static int code_gc(lua_State *L) {
  code **at = lua_touserdata(L, 1), *c = *at;
  cast_packer *p = lua_touserdata(L, lua_upvalueindex(1));
  if (c == NULL || p->freed) return 0;
  *at = NULL;
  for (uint32_t i = 0; i < CAST_BYTECODE_KEPT; i++)
    if (c->bytes != NULL && p->recent[i].bytes == c->bytes)
      p->recent[i].bytes = NULL;
  cast_list_remove(&c->link);
  code_fini(c);
  cast_free(c);
  return 0;
}

/* What is borrowed goes first, then what it is borrowed from. */
void cast_bytecode_fini(cast_packer *p) {
  cast_list *node;
  for (uint32_t i = 0; i < CAST_BYTECODE_KEPT; i++)
    if (p->recent[i].bytes != NULL) p->recent[i].bytes = NULL;
  while ((node = cast_list_shift(&p->codes)) != NULL) {
    code *c = CAST_CONTAINER(node, code, link);
    code_fini(c);
    if (!p->stuck) cast_free(c);
  }
  for (uint32_t i = 0; i < CAST_BYTECODE_KEPT; i++) {
    cast_bytes *function = p->loaded[i].function, *made = p->loaded[i].made;
    if (function == NULL && made == NULL) continue;
    p->loaded[i].function = p->loaded[i].made = NULL;
    if (function != NULL) cast_unref(&function->object);
    if (made != NULL) cast_unref(&made->object);
  }
}

/* Pushes the slot's table, made on first use. */
static void push_table(lua_State *L, int t, int slot) {
  /* Small at first: many sessions load one function only. */
  (void)cast_single_push_in(L, t, slot, cast_make_table, NULL);
}

/* Pushes the weak table of functions and userdata. */
static void push_codes(lua_State *L, int t) {
  (void)cast_single_push_in(L, t, CAST_SLOT_CODE, cast_make_weak, "k");
}

/* -- out ------------------------------------------------------------------ */

/* The lua_Writer: collects the dump in memory of C's, which the userdata owns,
   so an error within lua_dump loses nothing. */
static int write(lua_State *L, const void *from, size_t size, void *ud) {
  code *c = ud;
  CAST_UNUSED(L);
  if (size == 0) return 0;
  if (size > c->capacity - c->size) {
    size_t capacity = c->capacity == 0 ? 1024 : 2 * c->capacity;
    while (capacity - c->size < size) capacity *= 2;
    char *more = cast_realloc(c->scratch, capacity);
    if (more == NULL) return CASTING_ENOMEM;
    c->scratch = more;
    c->capacity = capacity;
  }
  memcpy(c->scratch + c->size, from, size);
  c->size += size;
  return 0;
}

/* Eight bytes at a time: this is done for each new closure that is sent. */
static uint32_t hash_of(const char *s, size_t size) {
  uint64_t h = size;
  for (; size >= 8; s += 8, size -= 8) {
    uint64_t word;
    memcpy(&word, s, 8);
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 32;
  }
  for (; size > 0; s++, size--)
    h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
  return (uint32_t)(h ^ h >> 32);
}

/* Is equal bytecode among the recent ones? Then pushes its userdata. */
static bool find_recent(cast_packer *p, lua_State *L, int t, const code *c) {
  for (uint32_t i = 0; i < CAST_BYTECODE_KEPT; i++) {
    const cast_recent *r = &p->recent[i];
    if (r->bytes == NULL || r->hash != c->hash || r->bytes->size != c->size ||
        memcmp(r->bytes->data, c->scratch, c->size) != 0)
      continue;
    push_table(L, t, CAST_SLOT_RECENT);
    lua_rawgeti(L, -1, (int)i + 1);
    lua_remove(L, -2);
    return true;
  }
  return false;
}

/* Makes the userdata on top one of the recent ones, in place of the oldest. The
   array keeps it alive, so the borrowed bytes are valid. */
static void add_recent(cast_packer *p, lua_State *L, int t, const code *c) {
  cast_recent *recent =
    cast_packer_array(p, p->recent, CAST_BYTECODE_KEPT, sizeof *recent);
  if (p->closed || recent == NULL || c->size > CAST_BYTECODE_BYTES) return;
  p->recent = recent;
  push_table(L, t, CAST_SLOT_RECENT);
  uint32_t i = p->next_recent;
  p->recent[i].bytes = NULL; /* in case the next line raises */
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (int)i + 1);
  lua_pop(L, 1);
  p->recent[i].hash = c->hash;
  p->recent[i].bytes = c->bytes;
  p->next_recent = (i + 1) % CAST_BYTECODE_KEPT;
}

/* Pushes the userdata of the bytecode of the function at idx. What may need
   memory of Lua's comes first: once the userdata is there, no finalizer may run
   until the bytes are in it, as one could end the state, and with it what the
   userdata has. */
static void dump(cast_packer *p, lua_State *L, int t, int idx) {
  push_table(L, t, CAST_SLOT_RECENT); /* so that it is there: see above */
  lua_pop(L, 1);
  cast_packer_meta(p, L, t, CAST_SLOT_CODE_META, code_gc);
  code **at = cast_lua_newuserdata(L, sizeof *at), *c;
  *at = NULL;
  lua_insert(L, -2);
  lua_setmetatable(L, -2);
  c = cast_calloc(sizeof *c);
  if (c == NULL) cast_raise_memory(L);
  *at = c;
  cast_list_push(&p->codes, &c->link);
  lua_pushvalue(L, idx);
  int status = cast_lua_dump(L, write, c);
  lua_pop(L, 1);
  if (status != 0) cast_raise_memory(L); /* there is no other cause */
  c->hash = hash_of(c->scratch, c->size);
  if (find_recent(p, L, t, c)) {
    cast_free(c->scratch);
    c->scratch = NULL;
    lua_remove(L, -2);
    return;
  }
  c->bytes = cast_bytes_new(c->size);
  if (c->bytes == NULL) cast_raise_memory(L);
  memcpy(c->bytes->data, c->scratch, c->size);
  cast_free(c->scratch);
  c->scratch = NULL;
  add_recent(p, L, t, c);
}

/* A userdata without bytes is one that the state's end has met already. */
cast_bytes *cast_bytecode_get(cast_packer *p, lua_State *L, int t, int idx) {
  int top = lua_gettop(L);
  idx = lua_absindex(L, idx);
  push_codes(L, t);
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  if (!lua_isuserdata(L, -1)) {
    lua_pop(L, 1);
    dump(p, L, t, idx);
    lua_pushvalue(L, idx);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  const code *c = *(code **)lua_touserdata(L, -1);
  if (p->freed || c == NULL || c->bytes == NULL) {
    cast_lua_error(L, "the Lua state is closing");
    return NULL; /* not reached */
  }
  cast_bytes *b = cast_ref(&c->bytes->object);
  lua_settop(L, top);
  return b;
}

/* -- in ------------------------------------------------------------------- */

/* Whether the remembered function on top still has the globals for its one
   upvalue and environment: the program may have given it others. */
static bool is_untouched(cast_packer *p, lua_State *L) {
  const void *found = p->globals;
  if (lua_getupvalue(L, -1, 1) != NULL) {
    found = lua_topointer(L, -1);
    lua_pop(L, 1);
  }
#if CAST_LUA < 502
  lua_getfenv(L, -1);
  if (lua_topointer(L, -1) != p->globals) found = NULL;
  lua_pop(L, 1);
#endif
  return found == p->globals;
}

/* Which place of an array what comes of `b` has, by the address of `b`. */
static uint32_t place_of(const cast_bytes *b) {
  uint64_t h = (uint64_t)(uintptr_t)b * UINT64_C(0x9e3779b97f4a7c15);
  return (uint32_t)(h >> 32) % CAST_BYTECODE_KEPT;
}

/* The place where something of `b` can be remembered; NULL: it is too large, or
   the state is closing, or there is no memory. */
static cast_loaded *place_for(cast_packer *p, const cast_bytes *b) {
  cast_loaded *all;
  if (p->closed || b->size > CAST_BYTECODE_BYTES) return NULL;
  all = cast_packer_array(p, p->loaded, CAST_BYTECODE_KEPT, sizeof *all);
  if (all == NULL) return NULL;
  p->loaded = all;
  return &all[place_of(b)];
}

/* Remembers the function on top, which has been given to that message. The
   place is empty while the array is written, for that may raise. */
static void keep(
  cast_packer *p, lua_State *L, int t, cast_bytes *b, uint32_t message) {
  uint32_t i = place_of(b);
  cast_loaded *l = place_for(p, b);
  if (l == NULL) return;
  push_table(L, t, CAST_SLOT_FUNCTION);
  cast_bytes *old = l->function;
  l->function = NULL;
  if (old != NULL) cast_unref(&old->object);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (int)i + 1);
  lua_pop(L, 1);
  l->function = cast_ref(&b->object);
  l->given = message;
}

/* Whether the function of `b` is remembered and free for this message; pushes
   it. Messages are compared by number: a later one may have come within this
   one, in a constructor, and then the function counts as given to this one,
   too. */
static bool find(
  cast_packer *p, lua_State *L, int t, const cast_bytes *b, uint32_t message) {
  uint32_t i = place_of(b);
  cast_loaded *l = &p->loaded[i];
  if (l->function != b || (int32_t)(l->given - message) >= 0) return false;
  push_table(L, t, CAST_SLOT_FUNCTION);
  lua_rawgeti(L, -1, (int)i + 1);
  lua_remove(L, -2);
  if (lua_isfunction(L, -1) && is_untouched(p, L)) {
    l->given = message;
    return true;
  }
  lua_pop(L, 1);
  return false;
}

#if CAST_LUA < 502
/* What newer versions do themselves for the function on top: its environment,
   and the first upvalue of a pure one, are the globals. */
static void set_globals(lua_State *L, int t, bool pure) {
  cast_packer_get(L, t, CAST_SLOT_GLOBALS);
  lua_setfenv(L, -2);
  if (!pure) return;
  cast_packer_get(L, t, CAST_SLOT_GLOBALS);
  if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
}
#endif

/* Pushes what makes closures of `b`, and keeps it in place i; or nothing, and
   false. Making it allocates, so a finalizer may run, and receive another
   function that has the same place: then it is not kept. */
static bool make_factory(cast_packer *p, lua_State *L, int t, cast_bytes *b,
  unsigned nups, uint32_t i) {
  cast_loaded *l = &p->loaded[i];
  l->loads = LOADS_NEVER; /* should the next lines raise */
  push_table(L, t, CAST_SLOT_FACTORY);
  if (!cast_factory_push(L, b, (int)nups)) {
    lua_pop(L, 1);
    return false;
  }
#if CAST_LUA < 502
  set_globals(L, t, false); /* what it makes inherits them */
#endif
  if (l->made == b && l->loads == LOADS_NEVER) {
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (int)i + 1);
    l->loads = LOADS_MADE;
  }
  lua_remove(L, -2);
  return true;
}

/* Pushes a new closure of the function, if it has come before. Its factory is
   made at the second time, as most functions come once. */
static bool again(
  cast_packer *p, lua_State *L, int t, cast_bytes *b, unsigned nups) {
  uint32_t i = place_of(b);
  /* One with an environment of its own (5.1) may have none. */
  if (nups == 0 || nups > CAST_FACTORY_UPVALUES) return false;
  cast_loaded *l = place_for(p, b);
  if (l == NULL) return false;
  if (l->made != b) {
    cast_bytes *old = l->made;
    l->made = cast_ref(&b->object);
    l->loads = LOADS_NONE;
    if (old != NULL) cast_unref(&old->object);
  }
  if (l->loads == LOADS_NEVER) return false;
  if (l->loads == LOADS_NONE) {
    l->loads = LOADS_ONCE;
    return false;
  }
  if (l->loads == LOADS_MADE) {
    push_table(L, t, CAST_SLOT_FACTORY);
    lua_rawgeti(L, -1, (int)i + 1);
    lua_remove(L, -2);
  } else if (!make_factory(p, L, t, b, nups, i)) {
    return false;
  }
  lua_call(L, 0, 1);
  return true;
}

/* The mode for cast_lua_load. A message's bytes were dumped in this process, so
   text, or bytecode of another version, need no care. "B" (5.5) lets the
   function use the bytes where they lie, which must then outlive the state
   (fixed.h). */
static const char *mode_for(cast_packer *p, cast_bytes *b) {
#if CAST_LUA >= 505
  if (p->fixed != NULL && cast_fixed_keep(p->fixed, b)) return "B";
#endif
  CAST_UNUSED(p);
  CAST_UNUSED(b);
  return "b";
}

bool cast_bytecode_load(cast_packer *p, lua_State *L, cast_bytes *b, bool pure,
  unsigned nups, uint32_t message) {
  cast_packer_table(p, L);
  int t = lua_gettop(L);
  bool ok = pure ? find(p, L, t, b, message) : again(p, L, t, b, nups);
  if (!ok) {
    ok =
      cast_lua_load(L, b->data, b->size, "=message", mode_for(p, b)) == LUA_OK;
#if CAST_LUA < 502
    if (ok) set_globals(L, t, pure);
#endif
    if (ok && pure) keep(p, L, t, b, message);
    /* On 5.3 and 5.4 the collector does not run while bytecode is loaded, so
       in a session that receives nothing but functions it never would. */
    lua_pushliteral(L, "");
    lua_pop(L, 1);
  }
  lua_remove(L, t);
  return ok;
}
