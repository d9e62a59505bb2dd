/* encode.c - walks Lua values and writes them into an encoder.
   SPDX-License-Identifier: MIT

   The walk is depth first, with a stack of frames of our own, one for each
   object that is being written, and a few slots of the Lua stack for each
   frame. Of an object CAST_PACK_DEPTH levels down only the header is written;
   it is put on the list of work, and its content follows when the frames are
   done. So neither the C stack nor Lua's grows with the depth of the data. What
   the message has already is known by the memo (encoder.h), a table of objects
   by address: the second time an object is met it becomes a back reference.

   Nothing but __save calls Lua code here: tables are read raw. But memory is
   asked for, so finalizers may run, and any call may raise: see encoder.h.

   Whether a table is a metatable in a module, which goes by name, is asked at
   its first key that begins with "__". If it is one, and that was not noted,
   the message begins anew, as part of the table is written. In the same way a
   message begins anew at what can not be sent, which such a table may contain,
   and at its first __save (save.c). From then on it does not begin anew for a
   name any more, or a __save would be called again: names are looked for before
   a table is written. To do so for each table from the start was rejected: it
   costs a walk through the keys of every table.

   A message begins anew twice at the most: once to be careful, for a name, a
   __save or what can not be sent, and once for functions that have to go by
   name (cast_encoder_refuse).

   A frame's counters, i and n:
     list      values written, and how many there are: those of the message
               (behind `at`) or the results of a __save (behind `at`, too)
     table     array items and pairs written; the key lies at `at` + 1
     function  upvalues written, and how many there are

   Functions called put_* write what is on top of the stack and pop it, those
   called step_* go on with a frame. Both return what the loop in run() does
   next: see cast_put. */
#include "../../base.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "closure.h"
#include "dataonly.h"
#include "encoder.h"
#include "memo.h"
#include "names.h"
#include "pack.h"
#include "packer.h"
#include "save.h"
#include "scalar.h"
#include "transferable.h"
#include "tree.h"
#include "userdata.h"
#include "wire.h"

static cast_put put_object(cast_encoder *e);

/* -- scalars and strings -------------------------------------------------- */

/* Writes what is at idx, if it is no object; leaves it. */
static bool write_scalar(cast_encoder *e, int idx) {
  unsigned char *at = cast_encoder_room(e, WIRE_SHORT);
  int type = lua_type(e->L, idx);
  unsigned char *end = cast_scalar_put(e->L, idx, type, at);
  if (CAST_UNLIKELY(type == LUA_TLIGHTUSERDATA) && e->call.data) return false;
  if (CAST_LIKELY(end != NULL)) {
    e->out.size += (uint32_t)(end - at);
    return true;
  }
  if (type != LUA_TSTRING) return false;
  cast_encoder_string(e, idx);
  return true;
}

/* Writes the value on top, of whatever type, and pops it; or opens a frame. */
static cast_put encode_value(cast_encoder *e) {
  if (!write_scalar(e, -1)) return put_object(e);
  lua_pop(e->L, 1);
  return CAST_PUT_DONE;
}

/* -- tables --------------------------------------------------------------- */

/* Is the table on top, which has one, a metatable in a module? Then pushes its
   name. */
static bool is_class(cast_encoder *e) {
  return cast_names_class(
    e->p, e->L, cast_encoder_table(e), &e->known.prepared);
}

/* Does the table on top go by name? Then pushes that. Metatables that are not
   noted are only looked for where `careful`. */
static bool has_name(cast_encoder *e, const void *key, bool careful) {
  if (cast_names_may_have(e->p, key) &&
      cast_names_find(e->p, e->L, cast_encoder_table(e)))
    return true;
  return careful && cast_names_has_special_key(e->L, cast_encoder_table(e)) &&
         is_class(e);
}

/* The table of the frame has a key that begins with "__", and part of it is
   written. Should it have gone by name instead? It is asked once for a table;
   if so, the message begins anew. */
static bool is_late_class(cast_encoder *e, cast_frame *f) {
  if (f->unnamed) return false;
  f->unnamed = true;
  lua_pushvalue(e->L, f->at);
  bool is = is_class(e);
  lua_settop(e->L, lua_gettop(e->L) - (is ? 2 : 1));
  return is;
}

/* On the stack: table, metatable, __save. A class of a module may itself be an
   object of a class that has a __save: then its name counts, which was looked
   for before where `careful`. */
static cast_put put_saved_table(cast_encoder *e, const void *key) {
  lua_State *L = e->L;
  lua_pushvalue(L, -3);
  if (e->known.careful || !has_name(e, key, true)) {
    lua_pop(L, 1);
    return cast_save_put(e, key);
  }
  lua_replace(L, -4);
  lua_pop(L, 2);
  return cast_encoder_name(e, key);
}

/* On the stack: a table, and its metatable. Of such only cancellations leave a
   sandbox. They are objects of two known fields, so there is no content of
   others to be written; and the metatable is always that of the receiver's own
   casting, whatever the sandbox has under its name. */
static cast_put put_cancellation(cast_encoder *e, const void *key) {
  static const char reason[] = "reason";
  lua_State *L = e->L;
  int at = lua_gettop(L) - 1;
  unsigned char *to;
  cast_packer_get(L, cast_encoder_table(e), CAST_SLOT_OWN);
  if (lua_istable(L, -1)) {
    lua_pushliteral(L, "cancelled");
    lua_rawget(L, -2);
  }
  if (!lua_rawequal(L, -1, at + 1))
    cast_encoder_fail(e, "table with a metatable", CAST_DATA_ONLY);
  lua_settop(L, at);
  lua_pushstring(L, reason);
  lua_rawget(L, at);
  cast_encoder_add(e, key, CAST_MEMO_DONE);
  e->out.tree = false;
  to = cast_encoder_room(e, 9);
  *to++ = WIRE_TABLE | WIRE_META;
  to = wire_put_u32(to, 0);
  (void)wire_put_u32(to, lua_type(L, -1) == LUA_TSTRING);
  e->out.size += 9;
  if (lua_type(L, -1) == LUA_TSTRING) {
    lua_pushstring(L, reason);
    (void)write_scalar(e, -1);
    (void)write_scalar(e, -2);
  }
  cast_data_put_cancelled(e);
  lua_settop(L, at - 1);
  return CAST_PUT_DONE;
}

/* What is asked of a table, in this order: is it in the message already, is it
   the globals, has it a name, has it a __save? If nothing of that holds it is
   copied: its header is written with two numbers that are filled in when the
   content is, and a frame is opened, or the table is put off. The metatable is
   only looked at here. It is written last, so that the receiver sets it when
   the table is complete: one that is weak before may lose what it has. */
static cast_put put_table(cast_encoder *e) {
  lua_State *L = e->L;
  const void *key = lua_topointer(L, -1);
  cast_memo_entry *seen = cast_memo_find(&e->memo, key);
  if (seen != NULL) return cast_encoder_back(e, seen);
  if (CAST_UNLIKELY(e->call.data) &&
      (key == e->p->globals || has_name(e, key, false)))
    cast_encoder_fail(e, "module", CAST_DATA_ONLY);
  if (key == e->p->globals) {
    cast_encoder_byte(e, WIRE_GLOBALS);
    e->out.tree = false;
    lua_pop(L, 1);
    return CAST_PUT_DONE;
  }
  if (has_name(e, key, e->known.careful)) return cast_encoder_name(e, key);
  bool has_meta = lua_getmetatable(L, -1);
  if (has_meta) {
    if (CAST_UNLIKELY(e->call.data)) return put_cancellation(e, key);
    if (cast_save_find(e)) return put_saved_table(e, key);
    lua_pop(L, 1);
  }
  if (e->known.careful) cast_encoder_anchor(e);
  uint32_t entry = cast_encoder_add(e, key, CAST_MEMO_OPEN);
  bool later = e->walk.depth >= e->walk.list.limit;
  unsigned char *at = cast_encoder_room(e, 9);
  memset(at, 0, 9);
  *at = WIRE_TABLE;
  uint32_t counts = e->out.size + 1;
  e->out.size += 9;
  if (later) {
    *at = WIRE_TABLE | WIRE_LATER;
    cast_encoder_register(e, &e->memo.entries[entry]);
    return cast_encoder_later(e, entry, counts);
  }
  cast_frame *f = cast_encoder_open(e, CAST_FRAME_TABLE, lua_gettop(L), entry);
  f->counts = counts;
  f->tag = counts - 1;
  f->has_meta = has_meta;
  f->unnamed = e->known.careful || e->call.data;
  lua_pushnil(L);
  return CAST_PUT_OPENED;
}

/* Whether the key of the pair on the stack continues the array. Holes before it
   are written as nil if Lua, too, takes the table for one array up to that key:
   then the receiver's table has the same length. */
static bool in_sequence(cast_encoder *e, cast_frame *f) {
  uint32_t next = f->i + 1, key = cast_scalar_index(e->L, f->at, next);
  if (key == 0) return false;
  for (; f->i + 1 < key; f->i++) cast_encoder_byte(e, WIRE_NIL);
  return true;
}

/* Writes the key of the pair on the stack; leaves it, as lua_next needs it. If
   a frame is opened for a key that is an object, the step is left at the key:
   when the frame is closed step_table goes on with the value. */
static cast_put put_key(cast_encoder *e, cast_frame *f) {
  if (lua_type(e->L, f->at + 1) == LUA_TSTRING &&
      cast_scalar_is_special(e->L, f->at + 1) && is_late_class(e, f)) {
    e->known.careful = true;
    return CAST_PUT_AGAIN;
  }
  if (CAST_LIKELY(write_scalar(e, f->at + 1))) return CAST_PUT_DONE;
  f->step = CAST_STEP_KEY;
  lua_pushvalue(e->L, f->at + 1);
  cast_put put = encode_value(e);
  if (put == CAST_PUT_DONE) f->step = CAST_STEP_PAIR;
  return put;
}

/* Lua marks an object for finalization when it gets a metatable that has a
   __gc. In a cycle the metatable may not be complete when the receiver sets it,
   so its __gc would come too late to be noticed: it is set once more at the
   end. */
static void check_metatable(
  cast_encoder *e, const cast_frame *f, const void *key) {
  const cast_memo_entry *entry = cast_memo_find(&e->memo, key);
  if (entry == NULL || entry->state <= CAST_MEMO_LOOSE) return;
  if (!lua_getmetatable(e->L, f->at)) return;
  cast_packer_get(e->L, cast_encoder_table(e), CAST_SLOT_GC);
  lua_rawget(e->L, -2);
  bool has_gc = !lua_isnil(e->L, -1);
  lua_pop(e->L, 2);
  if (!has_gc) return;
  const cast_memo_entry *object = &e->memo.entries[f->entry];
  cast_remeta *again = cast_encoder_remeta(e);
  again->object = object->seq;
  again->metatable = entry->seq;
  cast_encoder_register(e, object);
  cast_encoder_register(e, entry);
}

/* Writes the table's metatable, which ends the content. */
static cast_put put_metatable(cast_encoder *e, cast_frame *f) {
  /* What ran meanwhile (a __save, a finalizer, other tasks while it waits) may
     have taken it away. */
  if (!lua_getmetatable(e->L, f->at)) return CAST_PUT_DONE;
  const void *key = lua_topointer(e->L, -1);
  f->step = CAST_STEP_META;
  e->out.bytes[f->tag] |= WIRE_META;
  e->out.tree = false;
  cast_put put = encode_value(e);
  if (put == CAST_PUT_DONE) check_metatable(e, f, key);
  return put;
}

/* Writes integers, the most frequent items, while the array goes on with such.
   True if then another pair is on the stack, false at the table's end. */
static bool step_integers(cast_encoder *e, cast_frame *f) {
  lua_State *L = e->L;
  int at = f->at;
  uint32_t i = f->i;
  bool more;
  while ((more = lua_next(L, at)) && cast_scalar_is(L, -2, i + 1)) {
    unsigned char *to = cast_encoder_room(e, WIRE_NUMBER);
    unsigned char *end = cast_scalar_put_integer(L, -1, to);
    if (end == NULL) break;
    e->out.size += (uint32_t)(end - to);
    i++;
    lua_pop(L, 1);
  }
  f->i = i;
  return more;
}

/* Goes on with the array, in the order of lua_next, which is that of the
   indices for what Lua has in an array. When it is done the table's end is
   reached, or a pair that is not of the array is on the stack
   (CAST_STEP_PAIR). */
static cast_put step_array(cast_encoder *e, cast_frame *f) {
  while (step_integers(e, f)) {
    if (!in_sequence(e, f)) {
      f->step = CAST_STEP_PAIR;
      break;
    }
    f->i++;
    cast_put put = encode_value(e);
    if (put != CAST_PUT_DONE) return put;
  }
  return CAST_PUT_DONE;
}

/* Writes the pair on the stack whose key is no mere scalar or short string, or
   begins with "__"; leaves the key. */
static cast_put put_pair(cast_encoder *e, cast_frame *f) {
  cast_put put = put_key(e, f);
  return put == CAST_PUT_DONE ? encode_value(e) : put;
}

/* Writes the pair on the stack and all after it. The common case, a short
   string or a number as the key, and a scalar or table as the value, is written
   with one check for room and without the calls in between. */
static cast_put step_pairs(cast_encoder *e, cast_frame *f) {
  lua_State *L = e->L;
  int at = f->at;
  do {
    unsigned char *to = cast_encoder_room(e, 2 * WIRE_SHORT), *end;
    cast_put put;
    f->n++;
    end = cast_scalar_put(L, -2, lua_type(L, -2), to);
    if (CAST_UNLIKELY(end == NULL || wire_is_special(to))) {
      put = put_pair(e, f);
      if (put != CAST_PUT_DONE) return put;
      continue;
    }
    e->out.size += (uint32_t)(end - to);
    to = end;
    int type = lua_type(L, -1);
    if (type == LUA_TTABLE) {
      put = put_table(e);
      if (put != CAST_PUT_DONE) return put;
      continue;
    }
    end = cast_scalar_put(L, -1, type, to);
    if (CAST_LIKELY(end != NULL)) {
      e->out.size += (uint32_t)(end - to);
      lua_pop(L, 1);
    } else {
      put = encode_value(e);
      if (put != CAST_PUT_DONE) return put;
    }
  } while (lua_next(L, at));
  return CAST_PUT_DONE;
}

/* The same where nothing but data may go, without the common case's way, which
   takes light userdata, too. */
static cast_put step_data_pairs(cast_encoder *e, cast_frame *f) {
  do {
    f->n++;
    cast_put put = put_pair(e, f);
    if (put != CAST_PUT_DONE) return put;
  } while (lua_next(e->L, f->at));
  return CAST_PUT_DONE;
}

/* Writes the pair on the stack and all after it. */
static cast_put put_pairs(cast_encoder *e, cast_frame *f) {
  return CAST_UNLIKELY(e->call.data) ? step_data_pairs(e, f) : step_pairs(e, f);
}

/* Goes on with a table's content, after the child that a frame was opened for;
   `step` says what that was. */
static cast_put step_table(cast_encoder *e, cast_frame *f) {
  cast_put put = CAST_PUT_DONE;
  switch (f->step) {
  case CAST_STEP_ARRAY:
    put = step_array(e, f);
    if (put == CAST_PUT_DONE && f->step == CAST_STEP_PAIR)
      put = put_pairs(e, f);
    break;
  case CAST_STEP_KEY:
    f->step = CAST_STEP_PAIR;
    put = encode_value(e);
    if (put != CAST_PUT_DONE) break;
    /* fallthrough */
  case CAST_STEP_PAIR:
    if (lua_next(e->L, f->at)) put = put_pairs(e, f);
    break;
  default: return CAST_PUT_DONE; /* after the metatable */
  }
  if (put != CAST_PUT_DONE || !f->has_meta) return put;
  return put_metatable(e, f);
}

/* -- all types ------------------------------------------------------------ */

/* Writes what is no scalar and no string. */
static cast_put put_object(cast_encoder *e) {
  switch (lua_type(e->L, -1)) {
  case LUA_TTABLE: return put_table(e);
  case LUA_TFUNCTION: return cast_closure_put(e);
  case LUA_TUSERDATA: return cast_userdata_put(e);
  case LUA_TTHREAD: return cast_encoder_refuse(e, "coroutine", NULL);
  default: return cast_encoder_refuse(e, luaL_typename(e->L, -1), NULL);
  }
}

/* -- the loop ------------------------------------------------------------- */

/* Begins the content of the next object of this list that was put off, the last
   one first, and opens its frame. False: there is none left. The parents of the
   object have no frames any more, so it begins a path of its own (`value`,
   `levels`), and its depth counts from 0 again. */
static bool open_work(cast_encoder *e) {
  lua_State *L = e->L;
  if (e->walk.nwork <= e->walk.list.mark) return false;
  cast_work w = e->walk.work[--e->walk.nwork];
  lua_rawgeti(L, e->base + CAST_AT_ANCHORS, (int)w.anchor);
  bool is_table = lua_istable(L, -1);
  cast_frame *f = cast_encoder_open(
    e, is_table ? CAST_FRAME_TABLE : CAST_FRAME_CODE, lua_gettop(L), w.entry);
  f->value = w.value;
  f->levels = w.levels;
  f->hint = w.hint;
  f->unnamed = e->known.careful || e->call.data;
  e->memo.entries[w.entry].state = CAST_MEMO_OPEN;
  cast_encoder_byte(e, WIRE_BODY);
  cast_encoder_u32(e, e->memo.entries[w.entry].seq);
  f->counts = e->out.size;
  cast_encoder_u32(e, 0);
  cast_encoder_u32(e, 0);
  f->tag = e->out.size;
  cast_encoder_byte(e, 0);
  if (is_table) {
    /* In a sandbox it may have got one since it was looked at. */
    f->has_meta = !e->call.data && lua_getmetatable(L, -1);
    lua_settop(L, f->at);
    lua_pushnil(L);
  } else {
    cast_closure_begin(e, f);
  }
  return true;
}

/* Goes on with a function's environment and upvalues. */
static cast_put step_closure(cast_encoder *e, cast_frame *f) {
  while (cast_closure_next(e, f)) {
    cast_put put = encode_value(e);
    if (put != CAST_PUT_DONE) return put;
  }
  return CAST_PUT_DONE;
}

/* Goes on with a list: its values, then the work put off in it. An object of
   that work may put off others, so the list ends when nothing is left. */
static cast_put step_list(cast_encoder *e, cast_frame *f) {
  while (f->i < f->n) {
    f->i++;
    lua_pushvalue(e->L, f->at + (int)f->i);
    cast_put put = encode_value(e);
    if (put != CAST_PUT_DONE) return put;
  }
  return open_work(e) ? CAST_PUT_OPENED : CAST_PUT_DONE;
}

/* The message is written, but for metatables that came too late. */
static void close_root(cast_encoder *e) {
  for (uint32_t i = 0; i < e->walk.nremeta; i++) {
    cast_encoder_byte(e, WIRE_REMETA);
    cast_encoder_u32(e, e->walk.remeta[i].object);
    cast_encoder_u32(e, e->walk.remeta[i].metatable);
  }
}

/* Fills in the numbers of a table's items and pairs, or of upvalues, now that
   they are known. */
static void put_counts(cast_encoder *e, uint32_t at, const cast_frame *f) {
  if (at == 0) return;
  bool is_table = f->kind == CAST_FRAME_TABLE;
  wire_put_u32(e->out.bytes + at, is_table ? f->i : f->n);
  wire_put_u32(e->out.bytes + at + 4, is_table ? f->n : 0);
}

/* The object of the last frame is written: what is known of it goes into the
   memo, and what was on the stack for it is popped. The frame below is loose if
   this object is: it leads to what is not complete. */
static void close_frame(cast_encoder *e) {
  const cast_frame *f = cast_encoder_top(e);
  e->walk.depth--;
  if (f->kind == CAST_FRAME_ROOT) {
    close_root(e);
    return;
  }
  if (f->kind == CAST_FRAME_SAVE) cast_save_end(e, f);
  put_counts(e, f->counts, f);
  put_counts(e, f->hint, f);
  e->memo.entries[f->entry].state = f->loose ? CAST_MEMO_LOOSE : CAST_MEMO_DONE;
  if (f->loose) cast_encoder_top(e)->loose = true;
  lua_settop(e->L, f->at - 1);
}

/* Writes what is in the frames, until none is open. False: the message has to
   begin anew. After CAST_PUT_OPENED and CAST_PUT_UNWOUND the top frame is
   another one than before. */
static bool run(cast_encoder *e) {
  while (e->walk.depth > 0) {
    cast_frame *f = cast_encoder_top(e);
    cast_put put;
    switch (f->kind) {
    case CAST_FRAME_TABLE: put = step_table(e, f); break;
    case CAST_FRAME_CODE: put = step_closure(e, f); break;
    default: put = step_list(e, f); break;
    }
    if (put == CAST_PUT_AGAIN) return false;
    if (put == CAST_PUT_DONE) close_frame(e);
  }
  return true;
}

/* Writes the values. */
static void encode(
  cast_encoder *e, int first, int n, const char *what, int base) {
  e->call.what = what != NULL ? what : "argument";
  e->call.number = base + 1;
  cast_encoder_scan(e);
  do {
    cast_encoder_reset(e);
    lua_settop(e->L, e->base + CAST_AT_ANCHORS);
    cast_frame *f = cast_encoder_open(e, CAST_FRAME_ROOT, first - 1, 0);
    f->n = (uint32_t)n;
    e->walk.list.limit = 1 + CAST_PACK_DEPTH;
  } while (!run(e));
  if (CAST_UNLIKELY(e->call.data)) cast_data_prove(e);
}

/* The message is written, but still the encoder's. A __save may run, and the
   state may end meanwhile. */
static void prepare_giving(cast_encoder *e) {
  cast_packer *p = e->p;
  lua_State *L = e->L;
  e->out.giving->prepare(L, e->out.items, e->out.nitems,
    e->call.how == CAST_PACK_TELL ? CAST_TOLD : CAST_SHARED);
  if (p->freed) cast_lua_error(L, "cannot send: the Lua state is closing");
}

/* The fast way first: most messages that come here are trees (tree.c). What
   moves does so when the message is complete, as the last thing that can
   fail: if a userdata then keeps its content, all others have theirs back,
   and the message is written once more, to raise the error where the userdata
   is met. */
void cast_encode(cast_packer *p, lua_State *L, int first, int n,
  const char *what, int base, cast_pack_how how, cast_msg *out) {
  const void *refused = NULL;
  /* Taken at once: what a finalizer packs meanwhile is not these results. */
  cast_object *results = p->packing;
  p->packing = NULL;
  p->message++;
  do {
    cast_encoder *e = cast_encoder_take(p, L);
    int top = e->base;
    e->call.how = how;
    e->call.data = p->leaves != NULL && how < CAST_PACK_SPAWN;
    e->call.results = results;
    e->call.refused = refused;
    if (cast_tree_put(e, first, n) && cast_data_may(e)) {
      cast_encoder_finish(e, (uint32_t)n, out);
      lua_settop(L, top);
      return;
    }
    encode(e, first, n, what, base);
    bool sent = results == NULL && !cast_pack_tries(how);
    bool moves = e->out.moves && sent;
    const cast_giving *giving = sent ? e->out.giving : NULL;
    if (CAST_UNLIKELY(giving != NULL)) prepare_giving(e);
    cast_encoder_finish(e, (uint32_t)n, out);
    refused = NULL;
    if (moves && (how == CAST_PACK_SEND || how == CAST_PACK_SPAWN))
      refused = cast_transferable_take(p, L, out);
    /* Once more, for the error that names the place of the userdata. */
    if (refused != NULL) cast_transferable_undo(p, L, out);
    if (CAST_UNLIKELY(giving != NULL) && refused == NULL)
      giving->commit(L, cast_msg_items(out), out->nrefs,
        how == CAST_PACK_TELL ? CAST_TOLD : CAST_SHARED, how == CAST_PACK_COPY);
    lua_settop(L, top);
  } while (refused != NULL);
}
