/* handle.h - Lua userdata that hold references to channels, tasks, sessions.
   SPDX-License-Identifier: MIT

   A handle is a full userdata of two words. A weak table of the state maps an
   object to its one handle there, so two handles of one object are the same Lua
   value, and can be compared and be keys of tables. */
#ifndef CAST_HANDLE_H
#define CAST_HANDLE_H

#include "../../base.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "state.h"

typedef struct cast_handle {
  const void *tag;     /* &cast_handle_tag: tells handles from other userdata */
  cast_object *object; /* one reference; NULL: closed by the end of its state */
} cast_handle;

extern const char cast_handle_tag; /* in state.c */

/* What the handles of one type of objects are in Lua: a constant table for
   each, which the file of that type has. */
typedef struct cast_class cast_class;
struct cast_class {
  const cast_type *type;
  const char *title;       /* the metatable's __name and __metatable */
  const luaL_Reg *methods; /* functions get the state's box as an upvalue */
  const luaL_Reg *meta; /* metamethods beside those of all handles; or NULL */
  /* What takes the place of some of these in sessions of ours, or NULL. */
  const luaL_Reg *our_methods, *our_meta;
  /* The same in sandboxes, where these come after all others; or NULL. */
  const luaL_Reg *sandbox_methods, *sandbox_meta;
  /* What a key is that is no method: f(handle, key), which returns one value or
     none; NULL: nothing. */
  lua_CFunction field;
  /* What is done about their handles in messages; NULL: nothing. */
  const struct cast_giving *giving;
};

/* What the packer does about the handles of a class. In an array of items, the
   objects of a message, there may be others and NULL. */
typedef struct cast_giving {
  /* Before any of the message has left: makes ready what other sessions need,
     and pushes that, one value. as: CAST_SHARED, or CAST_TOLD (ltask.h). May
     run Lua code, and raise. */
  void (*prepare)(
    lua_State *L, cast_object *const *items, uint32_t n, uint8_t as);
  /* The message is complete: puts that value, on the top, in place. No Lua code
     has run since `prepare`, none runs here. for_good: the message will not be
     undone. */
  void (*commit)(lua_State *L, cast_object *const *items, uint32_t n,
    uint8_t as, bool for_good);
  /* Another message that has o is to be sent, which was packed before; or one
     is not sent after all. Neither of the two runs Lua code. */
  void (*again)(lua_State *L, cast_object *o);
  void (*undo)(lua_State *L, cast_object *o);
} cast_giving;

/* Metamethods of all handles. */
extern const luaL_Reg cast_handle_meta[];

/* Prepares the state; a class gets its metatable with its first handle. */
void cast_handle_open(lua_State *L);

/* The object of the handle at idx, which keeps the reference, if it is of that
   type; raises "channel expected, got X". */
cast_object *cast_handle_check(lua_State *L, int idx, const cast_type *type);
/* The same, and puts the handle into the cache (cast_handle_quick). */
cast_object *cast_handle_check_slow(
  lua_State *L, cast_state *S, int idx, const cast_type *type);
/* Pushes the handle of `o`, which the caller keeps alive meanwhile, also if
   this raises (out of memory). A session may have had no handle before. */
void cast_handle_push(lua_State *L, cast_object *o);
/* Pushes a handle without an object. The caller sets `object`, to a reference
   that becomes the handle's, and then cast_handle_note puts it into the weak
   table. The handle stays on the top. size: see cast_handle_weigh. */
cast_handle *cast_handle_new(lua_State *L, const cast_type *type, size_t size);
void cast_handle_note(lua_State *L, cast_handle *h);
/* The state ends: closes every handle, so that no object is used through them
   any more. */
void cast_handles_release(lua_State *L);
/* Pushes the handle of o and returns true, or pushes nothing. */
bool cast_handle_find(lua_State *L, const cast_object *o);

/* Tells the collector of an object of that size, in bytes, which lives until
   its handle is collected. The collector itself sees only the handle. Without
   this it would let objects pile up, and from 5.3 on more and more of them,
   since it waits until twice as much is in use as at its last look, and what
   finalizers and the weak table still hold counts as in use. May collect. */
void cast_handle_weigh(lua_State *L, cast_state *S, size_t size);

/* That of the class of o, or NULL. */
const cast_giving *cast_handle_giving(lua_State *L, const cast_object *o);

/* The handle at idx; NULL: there is something else. */
static inline cast_handle *cast_handle_at(lua_State *L, int idx) {
  cast_handle *h = lua_touserdata(L, idx);
  if (h == NULL || lua_rawlen(L, idx) != sizeof *h ||
      h->tag != &cast_handle_tag)
    return NULL;
  return h;
}
/* The object of the handle at idx, or NULL if that is not a handle (or one
   whose state is closing). The reference stays the handle's. */
static inline cast_object *cast_handle_test(lua_State *L, int idx) {
  const cast_handle *h = cast_handle_at(L, idx);
  return h != NULL ? h->object : NULL;
}

/* The slot of handles.cache for a handle at that address. */
static inline uint32_t cast_handle_slot(const void *p) {
  uintptr_t at = (uintptr_t)p;
  return (uint32_t)(at >> 4 ^ at >> 8) & (CAST_HANDLE_CACHE - 1);
}
/* cast_handle_check, quick for handles that were used lately. The tag is looked
   at as a precaution: debug.setmetatable may have taken the handle's __gc,
   which would have taken it out of the cache. */
static inline cast_object *cast_handle_quick(
  lua_State *L, cast_state *S, int idx, const cast_type *type) {
  const cast_handle *h = lua_touserdata(L, idx);
  if (CAST_LIKELY(h != NULL && S->handles.cache[cast_handle_slot(h)] == h &&
                  h->tag == &cast_handle_tag && h->object != NULL &&
                  h->object->type == type))
    return h->object;
  return cast_handle_check_slow(L, S, idx, type);
}

/* cast_handle_test, with the same short cut. */
static inline cast_object *cast_handle_known(
  lua_State *L, cast_state *S, int idx) {
  cast_handle *h = lua_touserdata(L, idx);
  if (h == NULL) return NULL;
  if (CAST_LIKELY(S->handles.cache[cast_handle_slot(h)] == h &&
                  h->tag == &cast_handle_tag))
    return h->object;
  h = cast_handle_at(L, idx);
  if (h == NULL) return NULL;
  S->handles.cache[cast_handle_slot(h)] = h;
  return h->object;
}

/* Pushes "title: address", as reports have it: LuaJIT's own form of an address
   has eight digits at least. */
void cast_handle_push_address(lua_State *L, const char *title, const void *at);

#endif
