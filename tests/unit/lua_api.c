/* lua_api.c - tests of casting.h, used as a host or a module would.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../../include/casting.h"
#include "../../src/os/os.h"

#define LONG 100.0

/* -- fixtures ------------------------------------------------------------- */

static void *counting(void *ud, void *ptr, size_t size) {
  atomic_fetch_add_explicit((_Atomic int *)ud, 1, memory_order_relaxed);
  if (size > 0) return realloc(ptr, size);
  free(ptr);
  return NULL;
}

static _Atomic int allocations, logged;
static char last_log[2000];

static void keep_log(void *ud, const char *text, size_t size) {
  CAST_ALWAYS(ud == last_log);
  if (size >= sizeof last_log) size = sizeof last_log - 1;
  memcpy(last_log, text, size);
  last_log[size] = '\0';
  atomic_fetch_add_explicit(&logged, 1, memory_order_release);
}

static casting_session *session(void) {
  casting_session *s = NULL;
  CAST_ALWAYS(casting_session_new(NULL, &s) == 0);
  return s;
}

static casting_task *spawn(
  casting_session *s, const char *text, casting_message *args) {
  casting_task *t = NULL;
  CAST_ALWAYS(casting_spawn_source(s, text, strlen(text), args, &t) == 0);
  return t;
}

static casting_value next(casting_message *m) {
  casting_value v;
  CAST_ALWAYS(casting_message_read(m, &v) == 1);
  return v;
}

static bool is_string(casting_value v, const char *s) {
  return v.type == CASTING_TSTRING && v.as.string.size == strlen(s) &&
         memcmp(v.as.string.at, s, v.as.string.size) == 0;
}

/* As integer: on old versions a float that is whole travels as one. */
static bool is_integer(casting_value v, int64_t i) {
  return v.type == CASTING_TINTEGER && v.as.integer == i;
}

/* -- the runtime ---------------------------------------------------------- */

static void starting(void **state) {
  CAST_UNUSED(state);
  casting_options o;
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  assert_int_equal(casting_version(), CASTING_VERSION_NUM);
  assert_int_equal(casting_stop(0), CASTING_EINVAL);
  casting_session *s;
  assert_int_equal(casting_session_new(NULL, &s), CASTING_EINVAL);
  /* The allocator first: nothing was allocated before. */
  o.alloc = counting;
  o.alloc_ud = &allocations;
  o.log = keep_log;
  o.log_ud = last_log;
  o.threads_min = 1;
  o.threads_max = 8;
  assert_int_equal(casting_start(&o), 0);
  assert_true(atomic_load(&allocations) > 0);
  assert_int_equal(casting_start(&o), CASTING_EINVAL); /* too late for it */
  o.alloc = NULL;
  assert_int_equal(casting_start(&o), 0);
  o.threads_min = 9;
  assert_int_equal(casting_start(&o), CASTING_EINVAL);
  o.threads_min = 5000;
  assert_int_equal(casting_start(&o), CASTING_EINVAL);
  o.size = 3;
  assert_int_equal(casting_start(&o), CASTING_EINVAL);
  assert_int_equal(casting_stop(LONG), 0);
  assert_int_equal(casting_stop(LONG), 0);
  assert_int_equal(casting_stop(LONG), CASTING_EINVAL);
  assert_int_equal(casting_start(NULL), 0); /* and again */
  assert_int_equal(casting_stop(LONG), 0);
}

static void words(void **state) {
  CAST_UNUSED(state);
  assert_string_equal(casting_word(0), "ok");
  assert_string_equal(casting_word(CASTING_ETIMEOUT), "timeout");
  assert_string_equal(casting_word(CASTING_ECLOSED), "closed");
  assert_string_equal(casting_word(CASTING_EFAILED), "failed");
  assert_string_equal(casting_word(1), "unknown");
  assert_string_equal(casting_word(CASTING_EFORKED), "forked");
  assert_string_equal(casting_word(-11), "unknown");
  static const char here = 0;
  casting_pin(&here);
  casting_expect();
  casting_unexpect();
}

/* A newer program's options: unknown fields must be zero. */
static void newer_options(void **state) {
  CAST_UNUSED(state);
  struct {
    casting_options o;
    char more[16];
  } n;
  memset(&n, 0, sizeof n);
  n.o.size = sizeof n;
  assert_int_equal(casting_start(&n.o), 0);
  n.more[15] = 1;
  assert_int_equal(casting_start(&n.o), CASTING_EINVAL);
  n.o.size = offsetof(casting_options, alloc); /* an older one's */
  n.o.alloc = counting;
  assert_int_equal(casting_start(&n.o), 0);
  assert_int_equal(casting_stop(LONG), 0);
  assert_int_equal(casting_stop(LONG), 0);
}

/* -- messages ------------------------------------------------------------- */

static void scalars(void **state) {
  CAST_UNUSED(state);
  static const int64_t ints[] = {
    0, 1, -1, -2, 126, 127, 32767, -32768, 32768, INT32_MAX, INT32_MIN};
  casting_message *m = casting_message_new();
  casting_value v;
  int here;
  assert_int_equal(casting_message_boolean(m, 7), 0);
  assert_int_equal(casting_message_nil(m), 0);
  for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
    assert_int_equal(casting_message_integer(m, ints[i]), 0);
  assert_int_equal(casting_message_number(m, 0.5), 0);
  assert_int_equal(casting_message_pointer(m, &here), 0);
  assert_int_equal(casting_message_string(m, NULL, 0), 0);
  assert_int_equal(casting_message_string(m, "a\0b", 3), 0);
  assert_int_equal(casting_message_boolean(m, 0), 0);
  assert_int_equal(casting_message_count(m), 18);
  for (int round = 0; round < 2; round++) {
    v = next(m);
    assert_true(v.type == CASTING_TBOOLEAN && v.as.boolean == 1);
    assert_int_equal(next(m).type, CASTING_TNIL);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
      assert_true(is_integer(next(m), ints[i]));
    v = next(m);
    assert_true(v.type == CASTING_TNUMBER && v.as.number == 0.5);
    v = next(m);
    assert_true(v.type == CASTING_TPOINTER && v.as.pointer == &here);
    assert_true(is_string(next(m), ""));
    v = next(m);
    assert_int_equal(v.as.string.size, 3);
    assert_memory_equal(v.as.string.at, "a\0b", 3);
    assert_int_equal(next(m).as.boolean, 0);
    assert_int_equal(casting_message_read(m, &v), 0);
    assert_int_equal(casting_message_read(m, &v), 0);
    casting_message_rewind(m);
  }
  casting_message_free(m);
  casting_message_free(NULL);
}

static void misuse(void **state) {
  CAST_UNUSED(state);
  casting_channel *c = casting_channel_new(CASTING_UNBOUNDED);
  casting_message *m = casting_message_new();
  casting_value v;
  assert_int_equal(casting_message_read(m, &v), 0); /* no values */
  assert_int_equal(casting_channel_send(c, m, 0), CASTING_EINVAL);
  assert_int_equal(casting_message_nil(m), CASTING_EINVAL);        /* first */
  assert_int_equal(casting_message_integer(m, 1), CASTING_EINVAL); /* sticks */
  casting_message_clear(m);
  assert_int_equal(casting_message_end(m), CASTING_EINVAL);
  casting_message_clear(m);
  casting_message_map(m);
  assert_int_equal(casting_message_nil(m), CASTING_EINVAL); /* a key */
  casting_message_clear(m);
  casting_message_map(m);
  double zero = 0;
  assert_int_equal(casting_message_number(m, zero / zero), CASTING_EINVAL);
  casting_message_clear(m);
  casting_message_map(m);
  casting_message_integer(m, 1);
  assert_int_equal(casting_message_end(m), CASTING_EINVAL); /* no value */
  casting_message_clear(m);
  casting_message_array(m);
  assert_int_equal(casting_channel_send(c, m, 0), CASTING_EINVAL); /* open */
  assert_int_equal(casting_message_skip(m), CASTING_EINVAL);
  casting_message_clear(m);
  int rc = 0;
  for (int i = 0; i < 33 && rc == 0; i++) rc = casting_message_array(m);
  assert_int_equal(rc, CASTING_EINVAL);
  casting_message_clear(m);
  assert_int_equal(
    casting_message_string(m, "", (size_t)2 << 30), CASTING_EINVAL);
  assert_int_equal(casting_channel_len(c), 0);
  casting_message_free(m);
  casting_channel_unref(c);
}

static void tables(void **state) {
  CAST_UNUSED(state);
  casting_session *s = session();
  casting_message *m = casting_message_new();
  casting_value v;
  casting_message_array(m);
  casting_message_string(m, "one", 3);
  casting_message_map(m);
  casting_message_string(m, "k", 1);
  casting_message_array(m);
  casting_message_integer(m, 7);
  casting_message_end(m);
  casting_message_end(m);
  casting_message_end(m);
  casting_message_integer(m, 3);
  casting_task *t = spawn(s,
    "local t, n = ...\n"
    "assert(#t == 2 and t[1] == 'one' and t[2].k[1] == 7 and n == 3)\n"
    "return {10, {20}, x = {y = 'z'}}, 'end', print, nil\n",
    m);
  assert_int_equal(casting_message_count(m), 0);
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  assert_int_equal(casting_message_count(m), 4);
  v = next(m);
  assert_int_equal(v.type, CASTING_TTABLE);
  assert_int_equal(v.as.table.items, 2);
  assert_int_equal(v.as.table.pairs, 1);
  assert_true(is_integer(next(m), 10));
  assert_int_equal(next(m).as.table.items, 1);
  assert_true(is_integer(next(m), 20));
  assert_true(is_string(next(m), "x"));
  assert_int_equal(next(m).as.table.pairs, 1);
  assert_true(is_string(next(m), "y"));
  assert_true(is_string(next(m), "z"));
  assert_true(is_string(next(m), "end"));
  assert_int_equal(next(m).type, CASTING_TOTHER); /* print */
  assert_int_equal(next(m).type, CASTING_TNIL);
  assert_int_equal(casting_message_read(m, &v), 0);
  casting_message_rewind(m);
  assert_int_equal(next(m).type, CASTING_TTABLE);
  assert_int_equal(casting_message_skip(m), 0);
  assert_true(is_string(next(m), "end"));
  casting_task_unref(t);
  casting_message_free(m);
  assert_int_equal(casting_session_close(s, LONG), 0);
  casting_session_unref(s);
}

/* All that Lua can send is passed over without getting lost. */
static void others(void **state) {
  CAST_UNUSED(state);
  casting_session *s = session();
  casting_message *m = casting_message_new();
  casting_task *t = spawn(s,
    "local a, b = 1, {}\n"
    "local function f() return a, b, f end\n"
    "local both = {} both[1] = both\n"
    "local meta = setmetatable({1}, {__index = function() return a end})\n"
    "local deep = {} for i = 1, 200 do deep = {deep} end\n"
    "package.loaded.saved = {make = function(...) return {...} end}\n"
    "local saved = setmetatable({}, {__save = function()\n"
    "  return package.loaded.saved.make, {1, {2}}, f end})\n"
    "local long = ('x'):rep(5000)\n"
    "return f, both, meta, deep, saved, f, long, string, 12345\n",
    NULL);
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  assert_int_equal(next(m).type, CASTING_TOTHER); /* f */
  assert_int_equal(next(m).as.table.items, 1);    /* both */
  assert_int_equal(next(m).type, CASTING_TOTHER);
  assert_int_equal(next(m).as.table.items, 1); /* meta, whose metatable ... */
  assert_true(is_integer(next(m), 1));
  assert_int_equal(next(m).type, CASTING_TTABLE); /* deep: ... is no value */
  assert_int_equal(casting_message_skip(m), 0);
  assert_int_equal(next(m).type, CASTING_TOTHER); /* saved */
  assert_int_equal(next(m).type, CASTING_TOTHER); /* f again */
  casting_value v = next(m);
  assert_true(v.type == CASTING_TSTRING && v.as.string.size == 5000);
  assert_int_equal(next(m).type, CASTING_TOTHER); /* string */
  assert_true(is_integer(next(m), 12345));
  assert_int_equal(casting_message_read(m, &v), 0);
  casting_task_unref(t);
  casting_message_free(m);
  casting_session_unref(s);
}

/* -- sessions and tasks --------------------------------------------------- */

static int init_globals(lua_State *L, void *ud) {
  lua_pushstring(L, ud);
  lua_setglobal(L, "given");
  return 0;
}

static int init_fails(lua_State *L, void *ud) {
  return luaL_error(L, "no %s", (const char *)ud);
}

static void making_sessions(void **state) {
  CAST_UNUSED(state);
  static const char *const libs[] = {"string", "table", NULL};
  static const char *const wrong[] = {"strnig", NULL};
  char error[40];
  casting_session_options o;
  casting_session *s;
  casting_message *m = casting_message_new();
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  o.name = "crew";
  o.libs = libs;
  o.init = init_globals;
  o.init_ud = "a word";
  assert_int_equal(casting_session_new(&o, &s), 0);
  assert_string_equal(casting_session_name(s), "crew");
  casting_task *t =
    spawn(s, "return given, io == nil, string ~= nil, ...", NULL);
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  assert_true(is_string(next(m), "a word"));
  assert_true(next(m).as.boolean);
  assert_true(next(m).as.boolean);
  assert_int_equal(casting_session_wait(s, LONG), 0);
  casting_task_unref(t);
  casting_session_unref(s);
  o.libs = wrong;
  assert_int_equal(casting_session_new(&o, &s), CASTING_EINVAL);
  o.libs = NULL;
  o.init = init_fails;
  o.init_ud = "luck";
  o.error = error;
  o.error_size = sizeof error;
  assert_int_equal(casting_session_new(&o, &s), CASTING_EFAILED);
  assert_non_null(strstr(error, "no luck"));
  o.error_size = 4;
  assert_int_equal(casting_session_new(&o, &s), CASTING_EFAILED);
  assert_int_equal(strlen(error), 3);
  casting_message_free(m);
}

/* Joins a task of the source text; its error must have the word. */
static void fails(casting_session *s, const char *text, const char *word) {
  casting_message *m = casting_message_new();
  casting_task *t = spawn(s, text, NULL);
  casting_value v;
  assert_int_equal(casting_task_join(t, LONG, m), CASTING_EFAILED);
  v = next(m);
  assert_int_equal(v.type, CASTING_TSTRING);
  char error[300] = "";
  memcpy(error, v.as.string.at,
    v.as.string.size < sizeof error ? v.as.string.size : sizeof error - 1);
  assert_non_null(strstr(error, word));
  casting_task_unref(t);
  casting_message_free(m);
}

static void sandboxes(void **state) {
  CAST_UNUSED(state);
  static const char *const libs[] = {"string", "io", NULL};
  casting_session_options o;
  casting_session *s;
  casting_message *m = casting_message_new();
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  o.sandbox = 1;
  o.tasks = 2;
  o.init = init_globals;
  o.init_ud = "a word";
  assert_int_equal(casting_session_new(&o, &s), 0);
  casting_task *t = spawn(s,
    "return given, io == nil and os.execute == nil and table ~= nil and "
    "require('casting').self():session():stats().tasks_max == 2",
    NULL);
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  assert_true(is_string(next(m), "a word"));
  assert_true(next(m).as.boolean);
  casting_task_unref(t);
  fails(s, "return function() end", "what leaves a sandbox is data");
  fails(s, "require 'socket'", "this sandbox may load casting");
  fails(s,
    "local c = require 'casting' for i = 1, 2 do "
    "c.spawn(function() c.sleep(0.001) end) end",
    "limit of 2 tasks");
  casting_session_unref(s);
  o.cpu_seconds = 0.05;
  assert_int_equal(casting_session_new(&o, &s), 0);
  /* Under ThreadSanitizer a thread gets no signals unless it calls the C
     library. */
  fails(s, "while true do os.time() end", "seconds of cpu");
  assert_int_equal(casting_session_close(s, LONG), 0);
  casting_session_unref(s);
  o.libs = libs;
  o.cpu_seconds = o.tasks = 0;
  assert_int_equal(casting_session_new(&o, &s), 0);
  t = spawn(s, "return io ~= nil, os == nil", NULL);
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  assert_true(next(m).as.boolean);
  assert_true(next(m).as.boolean);
  casting_task_unref(t);
  casting_session_unref(s);
  o.cpu_seconds = -1;
  assert_int_equal(casting_session_new(&o, &s), CASTING_EINVAL);
  o.cpu_seconds = strtod("nan", NULL);
  assert_int_equal(casting_session_new(&o, &s), CASTING_EINVAL);
  casting_message_free(m);
}

/* An older program, whose struct ends before those. */
static void older_options(void **state) {
  CAST_UNUSED(state);
  casting_session_options o;
  casting_session *s;
  memset(&o, 255, sizeof o);
  memset(&o, 0, offsetof(casting_session_options, sandbox));
  o.size = offsetof(casting_session_options, sandbox);
  assert_int_equal(casting_session_new(&o, &s), 0);
  casting_task *t = spawn(s, "return io.open", NULL);
  assert_int_equal(casting_task_join(t, LONG, NULL), 0);
  casting_task_unref(t);
  casting_session_unref(s);
}

/* -- a thread of its own -------------------------------------------------- */

static uintptr_t init_thread;

static int same_thread(lua_State *L) {
  lua_pushboolean(L, init_thread == os_thread_self());
  return 1;
}

static int init_in_thread(lua_State *L, void *ud) {
  CAST_UNUSED(ud);
  init_thread = os_thread_self();
  lua_pushcfunction(L, same_thread);
  lua_setglobal(L, "same_thread");
  return 0;
}

static void thread_of_its_own(void **state) {
  CAST_UNUSED(state);
  char error[40];
  casting_session_options o;
  casting_session *s;
  casting_message *m = casting_message_new();
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  o.init = init_in_thread;
  o.own_thread = 1;
  assert_int_equal(casting_session_new(&o, &s), 0);
  assert_true(init_thread != os_thread_self());
  for (int i = 0; i < 10; i++) {
    casting_task *t = spawn(s,
      "require('casting').yield() "
      "return same_thread(), "
      "require('casting').self():session():stats().thread",
      NULL);
    assert_int_equal(casting_task_join(t, LONG, m), 0);
    assert_true(next(m).as.boolean);
    assert_true(is_string(next(m), "own"));
    casting_task_unref(t);
  }
  assert_int_equal(casting_session_close(s, LONG), 0);
  casting_session_unref(s);
  o.init = init_fails;
  o.init_ud = error; /* any text */
  strcpy(error, "luck");
  o.error = NULL;
  assert_int_equal(casting_session_new(&o, &s), CASTING_EFAILED);
  casting_message_free(m);
}

static void tasks(void **state) {
  CAST_UNUSED(state);
  casting_session *s = session();
  casting_message *m = casting_message_new();
  casting_task *t = spawn(s, "error('so it is', 0)", NULL);
  assert_int_equal(casting_task_join(t, LONG, m), CASTING_EFAILED);
  assert_true(is_string(next(m), "so it is"));
  assert_string_equal(casting_task_status(t), "failed");
  casting_task_unref(t);
  t = spawn(s, "this is no Lua", NULL);
  assert_int_equal(casting_task_join(t, LONG, m), CASTING_EFAILED);
  casting_task_unref(t);
  t = spawn(s, "return coroutine.create(print)", NULL);
  assert_int_equal(casting_task_join(t, LONG, m), CASTING_EFAILED);
  casting_task_unref(t);
  t = spawn(s, "", NULL);
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  casting_value v;
  assert_int_equal(casting_message_read(m, &v), 0);
  casting_task_unref(t);
  t = spawn(s, "require'casting'.channel():receive()", NULL);
  assert_int_equal(casting_task_join(t, 0, m), CASTING_ETIMEOUT);
  assert_int_equal(casting_task_join(t, 0.01, m), CASTING_ETIMEOUT);
  assert_int_equal(casting_session_wait(s, 0), CASTING_ETIMEOUT);
  assert_int_equal(casting_task_cancel(t, "enough"), 0);
  assert_int_equal(casting_task_join(t, LONG, NULL), CASTING_ECANCELLED);
  assert_int_equal(casting_task_cancel(t, NULL), 0);
  casting_task *again = casting_task_ref(t);
  casting_task_unref(t);
  casting_task_unref(again);
  casting_session *other = casting_session_ref(s);
  assert_int_equal(casting_session_close(other, LONG), 0);
  assert_int_equal(
    casting_spawn_source(s, "return", 6, NULL, NULL), CASTING_ECLOSED);
  assert_int_equal(
    casting_spawn_source(s, "", (size_t)2 << 30, NULL, NULL), CASTING_EINVAL);
  casting_session_unref(other);
  casting_session_unref(s);
  casting_message_free(m);
}

static void nobody_joins(void **state) {
  CAST_UNUSED(state);
  casting_options o;
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  o.log = keep_log;
  o.log_ud = last_log;
  assert_int_equal(casting_start(&o), 0);
  int before = atomic_load(&logged);
  casting_session *s = session();
  casting_task_unref(spawn(s, "error(('long'):rep(200) .. ' story', 0)", NULL));
  assert_int_equal(casting_session_wait(s, LONG), 0);
  while (atomic_load_explicit(&logged, memory_order_acquire) == before)
    (void)poll(NULL, 0, 1);
  assert_non_null(strstr(last_log, " story"));
  assert_null(strchr(last_log + strlen(last_log) - 1, '\n'));
  casting_session_unref(s);
  assert_int_equal(casting_stop(LONG), 0);
}

/* -- channels ------------------------------------------------------------- */

static void channels(void **state) {
  CAST_UNUSED(state);
  casting_channel *c = casting_channel_new(1);
  casting_message *m = casting_message_new();
  int rc;
  assert_int_equal(casting_channel_capacity(c), 1);
  assert_int_equal(casting_channel_receive(c, m, 0), CASTING_EEMPTY);
  assert_int_equal(casting_channel_receive(c, m, 0.001), CASTING_ETIMEOUT);
  casting_message_integer(m, 5);
  assert_int_equal(casting_channel_send(c, m, CASTING_FOREVER), 0);
  assert_int_equal(casting_message_count(m), 0);
  casting_message_integer(m, 6);
  assert_int_equal(casting_channel_send(c, m, 0), CASTING_EFULL);
  assert_int_equal(casting_channel_send(c, m, 0.001), CASTING_ETIMEOUT);
  assert_int_equal(casting_message_count(m), 1); /* as before */
  assert_int_equal(casting_channel_len(c), 1);
  casting_message *n = casting_message_new();
  assert_int_equal(casting_channel_receive(c, n, LONG), 0);
  assert_true(is_integer(next(n), 5));
  assert_int_equal(casting_channel_send(c, m, LONG), 0);
  assert_int_equal(casting_channel_closed(c), 0);
  assert_int_equal(casting_channel_close(c), 1);
  assert_int_equal(casting_channel_close(c), 0);
  assert_int_equal(casting_channel_closed(c), 1);
  casting_message_integer(m, 7);
  assert_int_equal(casting_channel_send(c, m, LONG), CASTING_ECLOSED);
  assert_int_equal(casting_channel_receive(c, n, LONG), 0);
  assert_true(is_integer(next(n), 6));
  assert_int_equal(casting_channel_receive(c, n, LONG), CASTING_ECLOSED);
  casting_channel *d = casting_channel_named("api", 3, &rc);
  assert_int_equal(rc, 0);
  assert_null(casting_channel_named("api", 4, &rc));
  assert_int_equal(rc, CASTING_EINVAL);
  casting_channel *e = casting_channel_named("api", 3, NULL);
  assert_ptr_equal(d, e);
  casting_channel_close(d);
  casting_channel_unref(d);
  casting_channel_unref(e);
  casting_channel_unref(casting_channel_ref(c));
  casting_channel_unref(c);
  casting_message_free(m);
  casting_message_free(n);
}

/* Handles cross from C to a session and back. */
static void handles_cross(void **state) {
  CAST_UNUSED(state);
  casting_session *s = session();
  casting_channel *c = casting_channel_new(0), *d = casting_channel_new(0);
  casting_message *m = casting_message_new();
  casting_task *first = spawn(s, "return 41", NULL);
  casting_message_channel(m, c);
  casting_message_channel(m, d);
  casting_message_session(m, s);
  casting_message_task(m, first);
  casting_task *t = spawn(s,
    "local c, d, s, t = ...\n"
    "assert(s == require'casting'.self():session())\n"
    "for v in c do d:send(v, select(2, t:join()), c, s, t) end\n",
    m);
  for (int i = 1; i <= 10; i++) {
    casting_message_integer(m, i);
    assert_int_equal(casting_channel_send(c, m, LONG), 0);
    assert_int_equal(casting_channel_receive(d, m, LONG), 0);
    assert_true(is_integer(next(m), i));
    assert_true(is_integer(next(m), 41));
    assert_ptr_equal(next(m).as.channel, c);
    assert_ptr_equal(next(m).as.session, s);
    assert_ptr_equal(next(m).as.task, first);
  }
  casting_channel_close(c);
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  casting_task_unref(t);
  casting_task_unref(first);
  casting_channel_unref(c);
  casting_channel_unref(d);
  casting_message_free(m);
  casting_session_unref(s);
}

/* -- Lua states ----------------------------------------------------------- */

static void run(lua_State *L, const char *chunk) {
  if (luaL_loadstring(L, chunk) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    CAST_ALWAYS(!"the chunk");
  }
}

static int check_wrong(lua_State *L) {
  (void)casting_channel_check(L, 1);
  return 0;
}

static void in_lua(void **state) {
  CAST_UNUSED(state);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  casting_session *host, *s = session();
  assert_int_equal(casting_adopt(L, &host), 0);
  assert_int_equal(casting_adopt(L, NULL), 0);
  assert_int_equal(lua_gettop(L), 0);
  assert_ptr_equal(casting_session_self(L), host);
  assert_null(casting_task_self(L));
  run(L, "casting = require 'casting'");
  casting_channel *c = casting_channel_new(4);
  casting_channel_push(L, c);
  casting_channel_push(L, c);
  assert_true(lua_rawequal(L, -1, -2));
  assert_ptr_equal(casting_channel_check(L, -1), c);
  assert_ptr_equal(casting_channel_test(L, 1), c);
  assert_null(casting_task_test(L, 1));
  assert_null(casting_session_test(L, 1));
  lua_setglobal(L, "c");
  casting_session_push(L, s);
  assert_ptr_equal(casting_session_check(L, -1), s);
  lua_setglobal(L, "s");
  run(L, "t = casting.spawn(function() return {1} end) t:join()");
  lua_getglobal(L, "t");
  casting_task *t = casting_task_check(L, -1);
  casting_message *m = casting_message_new();
  assert_int_equal(casting_task_join(t, 0, m), 0);
  assert_int_equal(next(m).as.table.items, 1);
  casting_task_push(L, t);
  assert_true(lua_rawequal(L, -1, -2));
  /* A message of Lua's, read by C, and given back to Lua. */
  lua_settop(L, 0);
  lua_pushinteger(L, 4);
  lua_getglobal(L, "print");
  casting_message_pack(L, 1, 2, m);
  assert_true(is_integer(next(m), 4));
  assert_int_equal(next(m).type, CASTING_TOTHER);
  assert_int_equal(casting_message_push(L, m), 2);
  assert_true(lua_rawequal(L, 2, 4));
  assert_int_equal(casting_message_push(L, m), 0); /* it is empty now */
  lua_settop(L, 0);
  lua_pushcfunction(L, check_wrong);
  lua_pushinteger(L, 1);
  assert_int_not_equal(lua_pcall(L, 1, 0, 0), 0);
  assert_non_null(strstr(lua_tostring(L, -1), "channel expected, got number"));
  /* Spawning a function of L elsewhere, and in L by its session. */
  lua_settop(L, 0);
  CAST_ALWAYS(luaL_loadstring(L, "return ... + 1") == 0);
  lua_pushinteger(L, 6);
  assert_int_equal(casting_spawn(L, s, 1, &t), 0);
  assert_int_equal(lua_gettop(L), 0);
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  assert_true(is_integer(next(m), 7));
  casting_task_unref(t);
  t = spawn(host, "mine = 3 return mine", NULL);
  assert_int_equal(casting_task_join(t, 0, m), CASTING_ETIMEOUT);
  while (casting_task_join(t, 0, m) != 0) (void)casting_poll(L, LONG);
  assert_true(is_integer(next(m), 3));
  lua_getglobal(L, "mine");
  assert_int_equal(lua_tointeger(L, -1), 3);
  casting_task_unref(t);
  assert_int_equal(casting_session_close(host, 0), CASTING_EINVAL);
  lua_close(L);
  casting_message_free(m);
  casting_channel_unref(c);
  casting_session_unref(s);
}

/* The descriptor: readable when something is ready, and only then. */
static bool readable(int fd, int ms) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, ms) == 1;
}

static void own_loop(void **state) {
  CAST_UNUSED(state);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  casting_session *host;
  assert_int_equal(casting_adopt(L, &host), 0);
  int fd = casting_fd(L);
  assert_true(fd >= 0);
  assert_int_equal(casting_fd(L), fd);
  assert_false(readable(fd, 0));
  assert_int_equal(casting_poll(L, 0), 0);
  /* From outside, by the main program itself, by a deadline. */
  casting_channel *c = casting_channel_new(0);
  casting_message *m = casting_message_new();
  casting_message_channel(m, c);
  casting_task *t = spawn(host,
    "local casting, c = require 'casting', ...\n"
    "n = 0 for v in c do n = n + v end casting.sleep(0.01) n = -n\n",
    m);
  assert_true(readable(fd, 10000));
  assert_int_equal(casting_poll(L, 0), 1);
  assert_false(readable(fd, 0));
  for (int i = 0; i < 3; i++) {
    casting_message_integer(m, 5);
    assert_int_equal(casting_channel_send(c, m, 0), 0);
    assert_true(readable(fd, 10000));
    assert_int_equal(casting_poll(L, 0), 1);
    assert_false(readable(fd, 0));
  }
  casting_channel_push(L, c);
  lua_setglobal(L, "c");
  run(L, "assert(n == 15) c:close()");
  assert_true(readable(fd, 10000));
  assert_int_equal(casting_poll(L, 0), 1);
  assert_true(readable(fd, 10000)); /* the sleep */
  while (casting_task_join(t, 0, m) != 0) (void)casting_poll(L, 1);
  run(L, "assert(n == -15)");
  /* A blocking call of the main program in between. */
  run(L, "local casting = require 'casting' casting.sleep(0.002)\n"
         "casting.spawn(function() k = 1 end)");
  assert_true(readable(fd, 10000));
  assert_int_equal(casting_poll(L, 0), 1);
  run(L, "assert(k == 1)");
  casting_task_unref(t);
  casting_channel_unref(c);
  casting_message_free(m);
  lua_close(L);
}

/* -- parking -------------------------------------------------------------- */

typedef struct job {
  casting_waker *waker;
  int argument, result;
  _Atomic int outcomes[3]; /* done, timeout, cancelled */
} job;

static int finish_job(lua_State *L, int outcome, void *ud) {
  job *j = ud;
  int i = outcome == 0 ? 0 : outcome == CASTING_ETIMEOUT ? 1 : 2;
  atomic_fetch_add(&j->outcomes[i], 1);
  if (outcome != 0) {
    lua_pushnil(L);
    lua_pushstring(L, casting_word(outcome));
    return 2;
  }
  lua_pushinteger(L, j->result);
  return 1;
}

static void *work(void *arg) {
  job *j = arg;
  casting_waker *w = j->waker;
  j->result = 2 * j->argument;
  casting_wake(w);
  casting_wake(w); /* more than once */
  casting_waker_unref(w);
  return NULL;
}

static job jobs[100];
static pthread_t threads[100];

/* slow(i, seconds, when): 0 wakes before it waits, 1 in a thread, 2 never. */
static int slow(lua_State *L) {
  int i = (int)luaL_checkinteger(L, 1);
  double seconds = luaL_checknumber(L, 2);
  int when = (int)luaL_checkinteger(L, 3);
  job *j = &jobs[i];
  casting_waker *w = casting_waker_new(L);
  j->argument = i;
  j->waker = w;
  if (when < 2) casting_waker_ref(w);
  if (when == 0) work(j);
  if (when == 1) CAST_ALWAYS(pthread_create(&threads[i], NULL, work, j) == 0);
  return casting_park(L, w, seconds, finish_job, j);
}

static int init_slow(lua_State *L, void *ud) {
  CAST_UNUSED(ud);
  lua_pushcfunction(L, slow);
  lua_setglobal(L, "slow");
  return 0;
}

static casting_session *slow_session(void) {
  casting_session *s;
  casting_session_options o;
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  o.init = init_slow;
  CAST_ALWAYS(casting_session_new(&o, &s) == 0);
  memset(jobs, 0, sizeof jobs);
  return s;
}

static int total(int outcome) {
  int n = 0;
  for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
    n += atomic_load(&jobs[i].outcomes[outcome]);
  return n;
}

static const char many[] =
  "local casting, tasks = require 'casting', {}\n"
  "for i = 0, 98 do\n"
  "  tasks[i] = casting.spawn(function()\n"
  "    local how = i % 3\n"
  "    local function call() return slow(i, -1, how % 2) end\n"
  "    if how == 2 then\n" /* where the VM cannot yield */
  "      local r\n"
  "      table.sort({1, 2}, function() r = r or call() end)\n"
  "      return r\n"
  "    end\n"
  "    return (select(2, pcall(call)))\n"
  "  end)\n"
  "end\n"
  "local sum = 0\n"
  "for i = 0, 98 do\n"
  "  local n = tasks[i]:await()\n"
  "  assert(n == 2 * i)\n"
  "  sum = sum + n\n"
  "end\n"
  "return sum\n";

static void parking(void **state) {
  CAST_UNUSED(state);
  casting_session *s = slow_session();
  casting_message *m = casting_message_new();
  casting_task *t = spawn(s, many, NULL);
  int rc = casting_task_join(t, LONG, m);
  if (rc != 0) fprintf(stderr, "%.*s\n", 60, next(m).as.string.at);
  assert_int_equal(rc, 0);
  assert_true(is_integer(next(m), 98 * 99));
  assert_int_equal(total(0), 99);
  for (int i = 0; i < 99; i++)
    if (i % 3 == 1) assert_int_equal(pthread_join(threads[i], NULL), 0);
  casting_task_unref(t);
  /* Timeouts, and cancellation, which cleans up before it is raised. */
  t = spawn(s, "return slow(99, 0.001, 2)", NULL);
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  assert_int_equal(next(m).type, CASTING_TNIL);
  assert_true(is_string(next(m), "timeout"));
  assert_int_equal(total(1), 1);
  casting_task_unref(t);
  t = spawn(s, "return slow(99, -1, 2)", NULL);
  casting_task *after = spawn(s, "return 1", NULL);
  assert_int_equal(casting_task_join(after, LONG, NULL), 0);
  assert_int_equal(casting_task_cancel(t, NULL), 0);
  assert_int_equal(casting_task_join(t, LONG, m), CASTING_ECANCELLED);
  assert_int_equal(total(2), 1);
  casting_task_unref(after);
  casting_task_unref(t);
  casting_message_free(m);
  casting_session_unref(s);
}

/* In a main program; and while a session closes. */
static void parking_elsewhere(void **state) {
  CAST_UNUSED(state);
  casting_session *s = slow_session();
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_pushcfunction(L, slow);
  lua_setglobal(L, "slow");
  run(L, "assert(slow(3, -1, 1) == 6) assert(slow(4, 5, 0) == 8)");
  assert_int_equal(pthread_join(threads[3], NULL), 0);
  lua_close(L);
  casting_task *t = spawn(s, "slow(99, -1, 2)", NULL);
  assert_int_equal(casting_session_close(s, LONG), 0);
  assert_int_equal(casting_task_join(t, LONG, NULL), CASTING_ECANCELLED);
  casting_task_unref(t);
  casting_session_unref(s);
}

/* -- memory --------------------------------------------------------------- */

/* Has n messages sent and received; returns how often the allocator was called
   meanwhile. */
static int calls_for(casting_channel *c[], int n) {
  casting_message *m = casting_message_new();
  int before = atomic_load(&allocations);
  for (int i = 1; i <= 2; i++) {
    casting_message_clear(m);
    casting_message_integer(m, n);
    CAST_ALWAYS(casting_channel_send(c[i], m, LONG) == 0);
  }
  CAST_ALWAYS(casting_channel_receive(c[3], m, LONG) == 0);
  int after = atomic_load(&allocations);
  casting_message_free(m);
  return after - before;
}

/* The calls of the quietest of some rounds: garbage is collected now and then,
   compilers compile. */
static int fewest_calls(casting_channel *c[], int n) {
  int fewest = calls_for(c, n);
  for (int i = 0; i < 10; i++) {
    int calls = calls_for(c, n);
    if (calls < fewest) fewest = calls;
  }
  return fewest;
}

/* A message of one number takes no memory, be it on its way or waiting, from
   one session to another. */
static void numbers_take_no_memory(void **state) {
  CAST_UNUSED(state);
  casting_channel *c[4]; /* numbers, how many for each side, done */
  casting_session *s[2] = {session(), session()};
  casting_message *m[2] = {casting_message_new(), casting_message_new()};
  for (int i = 0; i < 4; i++) c[i] = casting_channel_new(i == 0 ? 64 : 1);
  for (int i = 0; i < 8; i++) casting_message_channel(m[i / 4], c[i % 4]);
  casting_task *t[2];
  t[0] = spawn(s[0],
    "local c, go = ... for n in go do for i = 1, n do c:send(i * 3) end end",
    m[0]);
  t[1] = spawn(s[1],
    "local c, _, go, done = ... for n in go do local sum = 0 "
    "for _ = 1, n do sum = sum + c:receive() end "
    "assert(sum == n * (n + 1) / 2 * 3) done:send(true) end",
    m[1]);
  (void)calls_for(c, 1000); /* the ring grows, stacks, ... */
  assert_int_equal(fewest_calls(c, 1000), fewest_calls(c, 1));
  for (int i = 0; i < 4; i++) casting_channel_close(c[i]);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(casting_task_join(t[i], LONG, NULL), 0);
    casting_task_unref(t[i]);
    casting_session_unref(s[i]);
    casting_message_free(m[i]);
  }
  for (int i = 0; i < 4; i++) casting_channel_unref(c[i]);
}

static int teardown(void **state) {
  CAST_UNUSED(state);
  return casting_stop(LONG);
}

static int setup(void **state) {
  CAST_UNUSED(state);
  return casting_start(NULL);
}

#define WITH_RUNTIME(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest list[] = {
    cmocka_unit_test(starting),
    cmocka_unit_test(words),
    cmocka_unit_test(newer_options),
    cmocka_unit_test(scalars),
    cmocka_unit_test(misuse),
    WITH_RUNTIME(tables),
    WITH_RUNTIME(others),
    WITH_RUNTIME(making_sessions),
    WITH_RUNTIME(sandboxes),
    WITH_RUNTIME(older_options),
    WITH_RUNTIME(thread_of_its_own),
    WITH_RUNTIME(tasks),
    cmocka_unit_test(nobody_joins),
    cmocka_unit_test(channels),
    WITH_RUNTIME(handles_cross),
    WITH_RUNTIME(in_lua),
    cmocka_unit_test(own_loop),
    WITH_RUNTIME(parking),
    WITH_RUNTIME(parking_elsewhere),
    WITH_RUNTIME(numbers_take_no_memory),
  };
  return cmocka_run_group_tests(list, NULL, NULL);
}
