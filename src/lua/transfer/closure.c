/* closure.c - writes functions into an encoder.
   SPDX-License-Identifier: MIT

   A function written in Lua is its bytecode and its upvalues: values, or the
   place of the same variable in a function before, so that two functions that
   share a variable share it in the receiver, too. Upvalues that hold the
   globals, and environments that are the globals (5.1), become the receiver's
   globals. All other functions go by name, and so does a function of a module
   if one of its upvalues can not be sent (see cast_encoder_refuse).

   A "pure" function has nothing of its own but its bytecode: no upvalue, or one
   that is the globals. It needs no content, and the receiver may give the same
   function for the same bytecode each time (bytecode.c).

   Owner: the encoder. */
#include "closure.h"

#include "../../base.h"
#include "../../msg.h"
#include "../compat/compat.h"
#include "bytecode.h"
#include "dataonly.h"
#include "encoder.h"
#include "memo.h"
#include "names.h"
#include "wire.h"

/* lua_upvalueid and lua_upvaluejoin: stock 5.1 cannot tell which functions
   share a variable, so there each one gets a copy. */
#define HAS_JOIN (CAST_LUA >= 502 || CAST_LUAJIT)

/* Functions have an environment; later it is an upvalue, _ENV. */
#define HAS_FENV (CAST_LUA < 502)

/* Whether the function on top is one of the library's: it has no bytecode that
   could be sent. In LuaJIT some of these are written in Lua. */
static bool is_library(lua_State *L) {
  if (lua_iscfunction(L, -1)) return true;
#if CAST_LUAJIT
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  return strncmp(ar.short_src, "[builtin:", 9) == 0;
#else
  return false;
#endif
}

/* It goes by name or not at all: C code is only where it was loaded. */
static cast_put put_library(cast_encoder *e, const void *key) {
  lua_State *L = e->L;
  if (cast_names_search(e->p, L, cast_encoder_table(e)))
    return cast_encoder_name(e, key);
  return cast_encoder_refuse(e, "C function", "no loaded module has it");
}

static bool is_globals(const cast_encoder *e, int idx) {
  return lua_topointer(e->L, idx) == e->p->globals;
}

/* Whether the function on top has an environment that is not the globals. */
static bool has_environment(cast_encoder *e) {
#if HAS_FENV
  lua_getfenv(e->L, -1);
  bool has = !is_globals(e, -1);
  lua_pop(e->L, 1);
  return has;
#else
  CAST_UNUSED(e);
  return false;
#endif
}

/* Whether the function on top, with so many upvalues, has none of its own. */
static bool is_pure(cast_encoder *e, uint32_t nups) {
  bool pure = nups == 0;
  if (nups == 1) {
    lua_getupvalue(e->L, -1, 1);
    pure = is_globals(e, -1);
    lua_pop(e->L, 1);
  }
  return pure;
}

/* The number of upvalues of the function on top. */
static uint32_t count_upvalues(lua_State *L) {
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">u", &ar);
  return (uint32_t)ar.nups;
}

/* The flag of the environment is set in the tag in front of the content, which
   is the function's own, or that of its BODY. */
void cast_closure_begin(cast_encoder *e, cast_frame *f) {
  f->n = count_upvalues(e->L);
  f->step = CAST_STEP_UPVALUE;
#if HAS_FENV
  if (!has_environment(e)) return;
  f->step = CAST_STEP_BEGIN;
  e->out.bytes[f->tag] |= WIRE_ENV;
#endif
}

/* The bytecode becomes a reference of the message before the tag is written:
   decode.c takes them in this order. What the encoder had before is noted in
   the frame, as all that follows may be undone (cast_encoder_refuse). */
cast_put cast_closure_put(cast_encoder *e) {
  lua_State *L = e->L;
  const void *key = lua_topointer(L, -1);
  cast_memo_entry *seen = cast_memo_find(&e->memo, key);
  if (CAST_UNLIKELY(e->call.data))
    cast_encoder_fail(e, "function", CAST_DATA_ONLY);
  if (seen != NULL) return cast_encoder_back(e, seen);
  if (is_library(L)) return put_library(e, key);
  if (e->known.names_first &&
      cast_names_search_modules(e->p, L, cast_encoder_table(e)))
    return cast_encoder_name(e, key);
  uint32_t items = e->out.nitems;
  cast_encoder_item_room(e);
  cast_bytes *b = cast_bytecode_get(e->p, L, cast_encoder_table(e), -1);
  cast_encoder_item(e, &b->object);

  uint32_t nups = count_upvalues(L);
  bool pure = !has_environment(e) && is_pure(e, nups);
  bool later = !pure && e->walk.depth >= e->walk.list.limit;
  if (e->known.careful) cast_encoder_anchor(e);
  uint32_t entry =
    cast_encoder_add(e, key, pure ? CAST_MEMO_DONE : CAST_MEMO_OPEN);
  uint32_t tag = e->out.size;
  cast_encoder_byte(
    e, WIRE_CODE | (pure ? WIRE_PURE : 0u) | (later ? WIRE_LATER : 0u));
  cast_encoder_byte(e, nups);
  if (pure) {
    lua_pop(L, 1);
    return CAST_PUT_DONE;
  }
  if (later) {
    cast_encoder_register(e, &e->memo.entries[entry]);
    return cast_encoder_later(e, entry, 0);
  }
  cast_frame *f = cast_encoder_open(e, CAST_FRAME_CODE, lua_gettop(L), entry);
  f->tag = tag;
  f->before.items = items;
  f->before.nwork = e->walk.nwork;
  f->before.nremeta = e->walk.nremeta;
  f->before.flushed = e->walk.flushed;
  cast_closure_begin(e, f);
  return CAST_PUT_OPENED;
}

/* Upvalue i of the frame's function: pushes its value, or writes where the same
   variable was before. The memo has variables beside objects: its entry for one
   says which upvalue (state) of which function (seq) it was first. A variable
   that holds the globals is not worth being shared: all functions have one. */
static bool push_upvalue(cast_encoder *e, const cast_frame *f) {
  lua_State *L = e->L;
  lua_getupvalue(L, f->at, (int)f->i);
#if HAS_JOIN
  if (!is_globals(e, -1)) {
    const void *id = lua_upvalueid(L, f->at, (int)f->i);
    cast_memo_entry *entry = cast_memo_find(&e->memo, id);
    if (entry != NULL) {
      cast_encoder_register(e, entry);
      cast_encoder_byte(e, WIRE_JOIN);
      cast_encoder_u32(e, entry->seq);
      cast_encoder_byte(e, entry->state);
      lua_pop(L, 1);
      return false;
    }
    entry = cast_memo_add(&e->memo, id);
    if (entry == NULL) cast_encoder_nomem(e);
    entry->tag = e->memo.entries[f->entry].tag;
    entry->seq = e->memo.entries[f->entry].seq;
    entry->state = f->i;
  }
#endif
  return true;
}

/* Upvalues that join others are written here, without a value. */
bool cast_closure_next(cast_encoder *e, cast_frame *f) {
#if HAS_FENV
  if (f->step == CAST_STEP_BEGIN) {
    f->step = CAST_STEP_ENV;
    lua_getfenv(e->L, f->at);
    return true;
  }
#endif
  f->step = CAST_STEP_UPVALUE;
  while (f->i < f->n) {
    f->i++;
    if (push_upvalue(e, f)) return true;
  }
  return false;
}
