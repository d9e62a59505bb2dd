/* tree.c - messages of nothing but scalars, strings and tables.
   SPDX-License-Identifier: MIT

   Trees are written and read by recursion, with the place in the bytes in a
   register: that takes half of the instructions of encode.c and decode.c. Their
   frames can be left for user code, know the path for an error, and hold all
   that a message may contain; nothing of that is needed here. No Lua code is
   called, and nothing can fail but for a lack of memory.

   Writing is a guess: at the first thing that does not belong to a tree it
   gives up, and encode.c begins anew. What encode.c writes may be a tree all
   the same, one that is too deep for the writer here, for example; then the
   header says so, and it is read here. The reader goes as deep as encode.c
   writes in place; a message that is deeper is damaged, and no matter what its
   bytes say the C stack is limited.

   Tables are in the memo here, too, though nothing may come twice: that is how
   the second time is noticed. A table that is empty when it is met again, or a
   cycle, would else be copied.

   Owner: the encoder; for reading, the packer's string cache. */
#include "tree.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../compat/compat.h"
#include "encoder.h"
#include "memo.h"
#include "names.h"
#include "packer.h"
#include "scalar.h"
#include "strcache.h"
#include "wire.h"

#define STACK_LEVELS 8 /* so many are given room on the Lua stack at once */

/* Two slots a level, for key and value; and some for what is done with them. */
#define STACK_ROOM (STACK_LEVELS * 2 + 6)

/* -- writing -------------------------------------------------------------- */

/* The place itself, `to`, is handed from function to function, which return the
   next one, or NULL: this is no tree. out.size is behind it meanwhile. */
typedef struct writer {
  cast_encoder *e;
  lua_State *L;             /* the encoder's */
  const unsigned char *end; /* of the room for bytes */
} writer;

static unsigned char *write_table(
  writer *w, int at, int top, unsigned char *to, unsigned depth);

/* The bytes may move, and `to` with them. */
static CAST_NOINLINE unsigned char *grow(
  writer *w, unsigned char *to, uint32_t more) {
  w->e->out.size = (uint32_t)(to - w->e->out.bytes);
  to = cast_encoder_room(w->e, more);
  w->end = w->e->out.bytes + w->e->out.capacity;
  return to;
}

/* Where so many bytes can be written. */
static CAST_INLINE unsigned char *room(
  writer *w, unsigned char *to, uint32_t more) {
  return CAST_LIKELY((size_t)(w->end - to) >= more) ? to : grow(w, to, more);
}

/* A string of more bytes than WIRE_STR_MAX. A shared one is a reference, which
   no tree has. */
static CAST_NOINLINE unsigned char *write_string(
  writer *w, int idx, unsigned char *to) {
  if (lua_rawlen(w->L, idx) >= CAST_SHARED_STRING) return NULL;
  w->e->out.size = (uint32_t)(to - w->e->out.bytes);
  cast_encoder_string(w->e, idx);
  return grow(w, w->e->out.bytes + w->e->out.size, 0);
}

/* Writes the scalar or string at idx. NULL: it is something else. */
static CAST_INLINE unsigned char *write_scalar(
  writer *w, int idx, int type, unsigned char *to) {
  to = room(w, to, WIRE_SHORT);
  unsigned char *end = cast_scalar_put(w->L, idx, type, to);
  if (CAST_UNLIKELY(end == NULL) && type == LUA_TSTRING)
    return write_string(w, idx, to);
  return end;
}

/* Writes the key at -2. NULL: it is no scalar or string, or one that a
   metatable may have. */
static CAST_INLINE unsigned char *write_key(writer *w, unsigned char *to) {
  int type = lua_type(w->L, -2);
  to = room(w, to, WIRE_SHORT);
  unsigned char *end = cast_scalar_put(w->L, -2, type, to);
  if (CAST_LIKELY(end != NULL)) return wire_is_special(to) ? NULL : end;
  if (type != LUA_TSTRING || cast_scalar_is_special(w->L, -2)) return NULL;
  return write_string(w, -2, to);
}

/* Writes the value at -1, whose index is `top`. NULL: this is no tree. */
static CAST_INLINE unsigned char *write_value(
  writer *w, int top, unsigned char *to, unsigned depth) {
  int type = lua_type(w->L, -1);
  if (type == LUA_TTABLE) return write_table(w, top, top, to, depth + 1);
  return write_scalar(w, -1, type, to);
}

/* Writes the array of the table at `at`, *n items. *more: then a pair is on the
   stack that is not part of it. */
static CAST_INLINE unsigned char *write_array(writer *w, int at, int top,
  unsigned char *to, unsigned depth, uint32_t *n, bool *more) {
  lua_State *L = w->L;
  uint32_t i = 0;
  while ((*more = lua_next(L, at)) && cast_scalar_is(L, -2, i + 1)) {
    unsigned char *end;
    to = room(w, to, WIRE_NUMBER);
    end = cast_scalar_put_integer(L, -1, to);
    to = end != NULL ? end : write_value(w, top + 2, to, depth);
    if (CAST_UNLIKELY(to == NULL)) return NULL;
    i++;
    lua_pop(L, 1);
  }
  *n = i;
  return to;
}

/* Does the table at `at` go by name? */
static CAST_NOINLINE bool has_name(writer *w, int at) {
  lua_pushvalue(w->L, at);
  bool has = cast_names_find(w->e->p, w->L, cast_encoder_table(w->e));
  lua_settop(w->L, lua_gettop(w->L) - (has ? 2 : 1));
  return has;
}

/* Could this table be part of a tree, and is it met for the first time? Notes
   that it was. */
static CAST_INLINE bool is_new(writer *w, int at, unsigned depth) {
  cast_encoder *e = w->e;
  const void *key = lua_topointer(w->L, at);
  if (CAST_UNLIKELY(depth >= CAST_TREE_DEPTH || key == e->p->globals ||
                    (cast_names_may_have(e->p, key) && has_name(w, at)) ||
                    cast_memo_find(&e->memo, key) != NULL))
    return false;
  if (cast_memo_add(&e->memo, key) == NULL) cast_encoder_nomem(e);
  return !lua_getmetatable(w->L, at);
}

/* Writes the table at `at`; `top` is the stack's. The numbers in its header are
   filled in at the end, by offset, as the bytes may have moved. */
static unsigned char *write_table(
  writer *w, int at, int top, unsigned char *to, unsigned depth) {
  lua_State *L = w->L;
  uint32_t narr = 0, nrec = 0, start;
  bool more;
  if (!is_new(w, at, depth)) return NULL;
  if (depth % STACK_LEVELS == 0) cast_packer_stack(L, STACK_ROOM);
  to = room(w, to, 9);
  *to = WIRE_TABLE;
  start = (uint32_t)(to - w->e->out.bytes) + 1;
  lua_pushnil(L);
  to = write_array(w, at, top, to + 9, depth, &narr, &more);
  /* Arrays with holes are left to encode.c. */
  if (to == NULL || (more && cast_scalar_index(L, at, narr + 1) != 0))
    return NULL;
  for (; more; more = lua_next(L, at)) {
    to = write_key(w, to);
    if (CAST_UNLIKELY(to == NULL)) return NULL;
    to = write_value(w, top + 2, to, depth);
    if (CAST_UNLIKELY(to == NULL)) return NULL;
    nrec++;
    lua_pop(L, 1);
  }
  (void)wire_put_u32(wire_put_u32(w->e->out.bytes + start, narr), nrec);
  return to;
}

/* A message without a table does not need the names of modules (scan). */
bool cast_tree_put(cast_encoder *e, int first, int n) {
  if (e->p->rest > 0) {
    e->p->rest--;
    return false;
  }
  int top = lua_gettop(e->L);
  unsigned char *to = cast_encoder_room(e, WIRE_SHORT);
  writer w = {e, e->L, e->out.bytes + e->out.capacity};
  for (int i = 0; i < n && to != NULL; i++) {
    int type = lua_type(e->L, first + i);
    if (type == LUA_TTABLE) cast_encoder_scan(e);
    to = type == LUA_TTABLE ? write_table(&w, first + i, top, to, 0)
                            : write_scalar(&w, first + i, type, to);
  }
  if (to == NULL) {
    e->p->rest = CAST_TREE_REST;
    cast_encoder_reset(e);
    return false;
  }
  e->out.size = (uint32_t)(to - e->out.bytes);
  return true;
}

/* -- reading -------------------------------------------------------------- */

typedef struct tree {
  cast_packer *p;
  lua_State *L;
  int strcache;             /* stack index of the string cache's table */
  const unsigned char *end; /* of the message */
} tree;

static const unsigned char *push_table(
  const tree *t, const unsigned char *at, unsigned depth);

/* Keys and values come by way of the string cache. Guards against a size that
   is larger than what is left. */
static CAST_INLINE const unsigned char *push_string(
  const tree *t, const unsigned char *at, size_t size) {
  if (CAST_UNLIKELY((size_t)(t->end - at) < size)) cast_decode_corrupt(t->L);
  cast_strcache_push(t->p, t->L, t->strcache, (const char *)at, size);
  return at + size;
}

/* The rest of the scalars. Guards, as cast_scalar_push, against any tag that is
   none: objects with flags, references, tails. */
static CAST_NOINLINE const unsigned char *push_scalar(
  const tree *t, unsigned tag, const unsigned char *at) {
  return cast_scalar_push(t->L, tag, at, t->end);
}

/* Pushes the value at `at`; returns where it ends. Guards against the end of
   the message. */
static CAST_INLINE const unsigned char *push_value(
  const tree *t, const unsigned char *at, unsigned depth) {
  if (CAST_UNLIKELY(at >= t->end)) cast_decode_corrupt(t->L);
  unsigned tag = *at++;
  if (tag >= WIRE_INT) {
    lua_pushinteger(t->L, (int)tag - WIRE_INT - 1);
    return at;
  }
  if ((tag & 0xe0) == WIRE_STR) return push_string(t, at, tag & 0x1f);
  if (tag == WIRE_TABLE) return push_table(t, at, depth);
  return push_scalar(t, tag, at);
}

/* Guards against a header that is cut off, and against depth. Its numbers may
   be any: each item is read, so one that is too large ends with the bytes, and
   the room for them is limited by what is left (cast_scalar_hint). A NaN or nil
   as a key, which no tree has, is an error of Lua's. */
static const unsigned char *push_table(
  const tree *t, const unsigned char *at, unsigned depth) {
  lua_State *L = t->L;
  size_t left = (size_t)(t->end - at);
  if (CAST_UNLIKELY(left < 8 || depth > CAST_PACK_DEPTH))
    cast_decode_corrupt(L);
  if (depth % STACK_LEVELS == 0) cast_packer_stack(L, STACK_ROOM);
  uint32_t narr = wire_get_u32(at), nrec = wire_get_u32(at + 4);
  at += 8;
  lua_createtable(
    L, cast_scalar_hint(left, narr), cast_scalar_hint(left, nrec));
  for (uint32_t i = 0; i < narr;) {
    at = push_value(t, at, depth + 1);
    lua_rawseti(L, -2, (int)++i);
  }
  for (; nrec > 0; nrec--) {
    at = push_value(t, at, depth + 1);
    at = push_value(t, at, depth + 1);
    lua_rawset(L, -3);
  }
  return at;
}

/* Guards against bytes behind the values. */
void cast_decode_tree(cast_packer *p, lua_State *L, uint32_t n,
  const unsigned char *at, const unsigned char *end) {
  cast_strcache_table(p, L);
  tree t = {p, L, lua_gettop(L), end};
  for (; n > 0; n--) at = push_value(&t, at, 0);
  if (at != end) cast_decode_corrupt(L);
  lua_remove(L, t.strcache);
}

/* Guards against a number of values that is larger than the message, and
   against tags that are not of scalars; sizes are checked by
   cast_scalar_push. */
int cast_decode_scalars(lua_State *L, cast_msg *msg) {
  /* Read from a copy: strings take memory, so a finalizer may run, which may
     receive into *msg. An inline message without references has nothing to be
     freed, so it can be empty already. */
  cast_msg copy = *msg;
  const unsigned char *at = copy.u.bytes, *end = at + copy.size;
  int n = *at++ & WIRE_COUNT;
  msg->size = 0;
  for (int i = 0; i < n; i++) {
    if (at >= end || !wire_is_scalar(*at)) cast_decode_corrupt(L);
    unsigned tag = *at++;
    at = cast_scalar_push(L, tag, at, end);
  }
  return n;
}
