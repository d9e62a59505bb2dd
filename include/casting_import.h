/* casting_import.h - casting.h for modules that are not linked with a library.
   SPDX-License-Identifier: MIT

   A C module can take the functions of casting.h out of the Lua state that
   loads it. Then it works with whatever casting is there, by whatever name and
   from whatever place: installed for C or by LuaRocks, or a part of the
   program. It is linked with nothing of casting's.

   One file of the module has the functions, each of which calls that of the
   library; they are seen in the module only:

     #define CASTING_IMPORT
     #include "casting_import.h"

   If that is the module's only file, all else may follow. Other files include
   casting.h as ever. Before anything else, the module's opener says

     casting_import(L);

   which has the effect of `require "casting"`. It raises an error if there is
   none, if it is older than this header, or if the module has taken its
   functions of another casting in this process.

   Both headers may be copied into a module's sources. They are C99, and C++. */
#ifndef CASTING_IMPORT_H
#define CASTING_IMPORT_H

#if defined(CASTING_IMPORT) && defined(CASTING_H)
#error "casting_import.h must come before casting.h"
#endif

#include "casting.h"

/* Each function: F(result, name, parameters, arguments), or V of one without a
   result. The order is the library's interface: new ones come at the end, and
   none goes. */
/* clang-format off */
#define CASTING_FUNCTIONS(F, V) \
  F(int, casting_version, (void), ()) \
  F(const char *, casting_word, (int outcome), (outcome)) \
  F(int, casting_start, (const casting_options *options), (options)) \
  F(int, casting_stop, (double seconds), (seconds)) \
  V(casting_expect, (void), ()) \
  V(casting_unexpect, (void), ()) \
  F(int, casting_session_new, \
    (const casting_session_options *options, casting_session **out), \
    (options, out)) \
  F(int, casting_adopt, (struct lua_State *L, casting_session **out), \
    (L, out)) \
  F(casting_session *, casting_session_ref, (casting_session *s), (s)) \
  V(casting_session_unref, (casting_session *s), (s)) \
  F(const char *, casting_session_name, (const casting_session *s), (s)) \
  F(int, casting_session_wait, (casting_session *s, double seconds), \
    (s, seconds)) \
  F(int, casting_session_close, (casting_session *s, double seconds), \
    (s, seconds)) \
  F(int, casting_spawn, \
    (struct lua_State *L, casting_session *s, int nargs, casting_task **out), \
    (L, s, nargs, out)) \
  F(int, casting_spawn_source, \
    (casting_session *s, const char *text, size_t size, \
      casting_message *args, casting_task **out), (s, text, size, args, out)) \
  F(casting_task *, casting_task_ref, (casting_task *t), (t)) \
  V(casting_task_unref, (casting_task *t), (t)) \
  F(int, casting_task_join, \
    (casting_task *t, double seconds, casting_message *results), \
    (t, seconds, results)) \
  F(int, casting_task_cancel, (casting_task *t, const char *reason), \
    (t, reason)) \
  F(const char *, casting_task_status, (const casting_task *t), (t)) \
  F(casting_message *, casting_message_new, (void), ()) \
  V(casting_message_free, (casting_message *m), (m)) \
  V(casting_message_clear, (casting_message *m), (m)) \
  F(int, casting_message_nil, (casting_message *m), (m)) \
  F(int, casting_message_boolean, (casting_message *m, int v), (m, v)) \
  F(int, casting_message_integer, (casting_message *m, int64_t v), (m, v)) \
  F(int, casting_message_number, (casting_message *m, double v), (m, v)) \
  F(int, casting_message_string, \
    (casting_message *m, const char *s, size_t size), (m, s, size)) \
  F(int, casting_message_pointer, (casting_message *m, void *p), (m, p)) \
  F(int, casting_message_channel, (casting_message *m, casting_channel *c), \
    (m, c)) \
  F(int, casting_message_task, (casting_message *m, casting_task *t), (m, t)) \
  F(int, casting_message_session, (casting_message *m, casting_session *s), \
    (m, s)) \
  F(int, casting_message_array, (casting_message *m), (m)) \
  F(int, casting_message_map, (casting_message *m), (m)) \
  F(int, casting_message_end, (casting_message *m), (m)) \
  F(int, casting_message_read, (casting_message *m, casting_value *v), (m, v)) \
  F(int, casting_message_skip, (casting_message *m), (m)) \
  V(casting_message_rewind, (casting_message *m), (m)) \
  F(size_t, casting_message_count, (const casting_message *m), (m)) \
  F(int, casting_message_push, (struct lua_State *L, casting_message *m), \
    (L, m)) \
  V(casting_message_pack, \
    (struct lua_State *L, int first, int n, casting_message *m), \
    (L, first, n, m)) \
  F(casting_channel *, casting_channel_new, (size_t capacity), (capacity)) \
  F(casting_channel *, casting_channel_named, \
    (const char *name, size_t capacity, int *error), (name, capacity, error)) \
  F(casting_channel *, casting_channel_ref, (casting_channel *c), (c)) \
  V(casting_channel_unref, (casting_channel *c), (c)) \
  F(int, casting_channel_send, \
    (casting_channel *c, casting_message *m, double seconds), (c, m, seconds)) \
  F(int, casting_channel_receive, \
    (casting_channel *c, casting_message *m, double seconds), (c, m, seconds)) \
  F(int, casting_channel_close, (casting_channel *c), (c)) \
  F(int, casting_channel_closed, (casting_channel *c), (c)) \
  F(size_t, casting_channel_len, (casting_channel *c), (c)) \
  F(size_t, casting_channel_capacity, (const casting_channel *c), (c)) \
  V(casting_channel_push, (struct lua_State *L, casting_channel *c), (L, c)) \
  V(casting_task_push, (struct lua_State *L, casting_task *t), (L, t)) \
  V(casting_session_push, (struct lua_State *L, casting_session *s), (L, s)) \
  F(casting_channel *, casting_channel_check, (struct lua_State *L, int i), \
    (L, i)) \
  F(casting_task *, casting_task_check, (struct lua_State *L, int i), (L, i)) \
  F(casting_session *, casting_session_check, (struct lua_State *L, int i), \
    (L, i)) \
  F(casting_channel *, casting_channel_test, (struct lua_State *L, int i), \
    (L, i)) \
  F(casting_task *, casting_task_test, (struct lua_State *L, int i), (L, i)) \
  F(casting_session *, casting_session_test, (struct lua_State *L, int i), \
    (L, i)) \
  F(casting_session *, casting_session_self, (struct lua_State *L), (L)) \
  F(casting_task *, casting_task_self, (struct lua_State *L), (L)) \
  F(casting_waker *, casting_waker_new, (struct lua_State *L), (L)) \
  F(casting_waker *, casting_waker_ref, (casting_waker *w), (w)) \
  V(casting_waker_unref, (casting_waker *w), (w)) \
  V(casting_wake, (casting_waker *w), (w)) \
  F(int, casting_park, \
    (struct lua_State *L, casting_waker *w, double seconds, \
      casting_finish finish, void *ud), (L, w, seconds, finish, ud)) \
  F(int, casting_wait_fd, \
    (struct lua_State *L, int fd, int events, double seconds, \
      casting_finish finish, void *ud), (L, fd, events, seconds, finish, ud)) \
  F(int, casting_stream_fd, (struct lua_State *L, int i), (L, i)) \
  F(int, casting_push_stream, (struct lua_State *L, int fd), (L, fd)) \
  F(ptrdiff_t, casting_below_read, (casting_below *b, void *to, size_t size), \
    (b, to, size)) \
  F(ptrdiff_t, casting_below_write, \
    (casting_below *b, const void *from, size_t size), (b, from, size)) \
  F(int, casting_layer_set, \
    (struct lua_State *L, int i, const casting_layer *how, void *state), \
    (L, i, how, state)) \
  F(void *, casting_layer_get, \
    (struct lua_State *L, int i, const casting_layer *how), (L, i, how)) \
  F(int, casting_layers_set, \
    (struct lua_State *L, int i, const casting_layers *how, void *ud), \
    (L, i, how, ud)) \
  V(casting_pin, (const void *address), (address)) \
  V(casting_sigmask, (struct lua_State *L, void *set), (L, set)) \
  F(int, casting_poll, (struct lua_State *L, double seconds), (L, seconds)) \
  F(int, casting_fd, (struct lua_State *L), (L)) \
  V(casting_transfer_register, \
    (struct lua_State *L, int i, const casting_transfer *how), (L, i, how)) \
  F(size_t, casting_stream_offer, \
    (struct lua_State *L, int i, const void *bytes, size_t n), \
    (L, i, bytes, n))
/* clang-format on */

/* What the library has of them, in the registry under this name. */
#define CASTING_FUNCTIONS_KEY "casting.functions"

#define CASTING_MEMBER(result, name, parameters, arguments) \
  result(*name) parameters;
#define CASTING_MEMBER_VOID(name, parameters, arguments) void(*name) parameters;
typedef struct casting_functions {
  size_t size; /* of the struct */
  CASTING_FUNCTIONS(CASTING_MEMBER, CASTING_MEMBER_VOID)
} casting_functions;

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__) && !defined(_WIN32)
__attribute__((visibility("hidden")))
#endif
void casting_import(struct lua_State *L);
#ifdef __cplusplus
}
#endif

/* -- the functions in a module -------------------------------------------- */

#ifdef CASTING_IMPORT

#ifdef __cplusplus
extern "C" {
#endif
#include <lauxlib.h>
#include <lua.h>

/* Sessions load modules in threads of their own. */
#ifdef __GNUC__
#define CASTING_GET(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define CASTING_PUT(p, v) __atomic_store_n(&(p), v, __ATOMIC_RELEASE)
#else
#define CASTING_GET(p) (p)
#define CASTING_PUT(p, v) ((p) = (v))
#endif

static const casting_functions *casting_imported;

#define CASTING_FORWARD(result, name, parameters, arguments) \
  result name parameters {                                   \
    return CASTING_GET(casting_imported)->name arguments;    \
  }
#define CASTING_FORWARD_VOID(name, parameters, arguments) \
  void name parameters { CASTING_GET(casting_imported)->name arguments; }
CASTING_FUNCTIONS(CASTING_FORWARD, CASTING_FORWARD_VOID)

void casting_import(lua_State *L) {
  const casting_functions *had = CASTING_GET(casting_imported);
  const casting_functions *found;
  lua_getglobal(L, "require");
  lua_pushstring(L, "casting");
  lua_call(L, 1, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, CASTING_FUNCTIONS_KEY);
  found = (const casting_functions *)lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (found == NULL || found->size < sizeof(casting_functions))
    luaL_error(L, "a module needs casting %s, and there is an older one",
      CASTING_VERSION);
  if (had != NULL && had != found)
    luaL_error(L, "a module is used with two castings in one process");
  found->casting_pin(found); /* a module that stays loaded may call it */
  CASTING_PUT(casting_imported, found);
}

#ifdef __cplusplus
}
#endif

#endif
#endif
