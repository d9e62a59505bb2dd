/* net_listener.c - listening sockets, which all sessions share.
   SPDX-License-Identifier: MIT

   See net_listener.h. */
#include "net_listener.h"

#include "../../../include/casting.h"
#include "../../errand.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "net.h"
#include "net_option.h"

static void free_listener(cast_object *o) {
  cast_listener *l = CAST_CONTAINER(o, cast_listener, object);
  cast_timer_remove(&l->timer);
  cast_descriptor_close(l->file, NULL);
  cast_unref(&l->file->object);
  cast_free(l->path);
  cast_free(l);
}

const cast_type cast_listener_type = {"listener", free_listener, NULL};

static cast_listener *this_listener(lua_State *L) {
  return CAST_CONTAINER(
    cast_handle_check(L, 1, &cast_listener_type), cast_listener, object);
}

/* -- a shortage ----------------------------------------------------------- */

/* Under the timers' lock. Should the listener's end have begun, it waits for
   that. */
static bool is_over(cast_timer *t) {
  cast_listener *l = CAST_CONTAINER(t, cast_listener, timer);
  if (!cast_ref_if_alive(&l->object)) return false;
  cast_timer_again(t, OS_FOREVER); /* keeps its place */
  return true;
}

static void try_anew(cast_timer *t) {
  cast_listener *l = CAST_CONTAINER(t, cast_listener, timer);
  cast_descriptor_pass(l->file, CAST_READ, NULL);
  cast_unref_aside(&l->object);
}

static void pause(cast_listener *l) {
  /* Relaxed: a guess at how long it will last. */
  uint32_t ns = atomic_load_explicit(&l->pause_ns, memory_order_relaxed);
  ns = ns == 0 ? CAST_ACCEPT_NS : ns * 2;
  if (ns > CAST_ACCEPT_MOST_NS) ns = CAST_ACCEPT_MOST_NS;
  atomic_store_explicit(&l->pause_ns, ns, memory_order_relaxed);
  atomic_fetch_add_explicit(&l->nshortages, 1, memory_order_relaxed);
  (void)cast_timer_set_sooner(&l->timer, os_now() + ns);
}

/* -- accepting ------------------------------------------------------------ */

/* A connection's descriptor; OS_EAGAIN; CASTING_ECLOSED; or what the system
   says. */
static int accept_one(cast_listener *l, cast_session *self) {
  os_address peer;
  int fd;
  do {
    if (!cast_descriptor_begin(l->file)) return CASTING_ECLOSED;
    cast_descriptor_try(l->file, CAST_READ);
    fd = os_accept(l->file->fd, &peer);
    cast_descriptor_end(l->file);
  } while (fd < 0 && os_is_aborted(fd));
  if (fd >= 0) {
    cast_descriptor_pass(l->file, CAST_READ, self);
    atomic_fetch_add_explicit(&l->naccepted, 1, memory_order_relaxed);
    atomic_store_explicit(&l->pause_ns, 0, memory_order_relaxed);
  } else if (os_is_shortage(fd)) {
    pause(l);
    return OS_EAGAIN; /* `ready` was cleared: it waits for the timer */
  }
  return fd;
}

/* What is accepted in the end, by a task that waits: in waiter.index, which is
   of no other use in a wait for one thing. */
static int accept_or_wait(cast_listener *l, cast_ltask *t, int fd) {
  while (fd == OS_EAGAIN) {
    int rc = cast_descriptor_wait(l->file, CAST_READ, &t->base);
    if (rc != 0) return rc;
    fd = accept_one(l, t->base.session);
  }
  if (fd < 0) return fd;
  t->base.wait.index = (uint32_t)fd;
  return 0;
}

static int again(cast_state *S, cast_ltask *t) {
  cast_listener *l = t->arg;
  return accept_or_wait(l, t, accept_one(l, &S->session));
}

/* The connection, as a stream. Without memory for one it is lost. */
static int push_connection(lua_State *L, cast_state *S, int fd) {
  cast_stream **at = cast_net_stream_new(L, S);
  *at = cast_stream_new(fd, true);
  if (*at == NULL) cast_raise_memory(L);
  return 1;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_listener *l = t->arg;
  if (result == 0) return push_connection(L, S, (int)t->base.wait.index);
  /* It may have been woken for a connection that it does not take. */
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) {
    cast_descriptor_pass(l->file, CAST_READ, &S->session);
    return 0;
  }
  return cast_net_failure(L, result);
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  const cast_listener *l = t->arg;
  char host[OS_HOST_SIZE];
  uint16_t port;
  cast_buffer_add(b, "accepting");
  if (os_address_text(&l->local, host, &port) > 0 && host[0] != '\0')
    cast_buffer_form(b, port != 0 ? " on %s:%u" : " on %s", host, port);
}

static const cast_wait_kind accept_kind = {
  .finish = finish, .again = again, .describe = describe, .cleans_up = true};

static int accept_until(
  lua_State *L, cast_listener *l, uint64_t deadline, bool waits) {
  cast_state *S = cast_state_here(L);
  cast_ltask *t = cast_enter(L, S, deadline);
  int fd = accept_one(l, &S->session), rc;
  if (fd >= 0) return push_connection(L, S, fd);
  if (fd == OS_EAGAIN && !waits) return cast_net_failure(L, CASTING_ETIMEOUT);
  if (fd != OS_EAGAIN) return cast_net_failure(L, fd);
  t->arg = l;
  rc = accept_or_wait(l, t, fd);
  if (rc == CAST_PARKED)
    return cast_park_about(L, S, t, deadline, &accept_kind);
  if (rc == 0) return push_connection(L, S, (int)t->base.wait.index);
  return cast_net_failure(L, rc);
}

/* listener:accept([timeout]) */
static int listener_accept(lua_State *L) {
  cast_listener *l = this_listener(L);
  uint64_t deadline = OS_FOREVER;
  bool waits = true;
  if (!lua_isnoneornil(L, 2)) {
    deadline = cast_deadline(L, 2);
    waits = lua_tonumber(L, 2) > 0;
  }
  return accept_until(L, l, deadline, waits);
}

/* `for stream in listener`: ends when it is closed. */
static int listener_call(lua_State *L) {
  return accept_until(L, this_listener(L), OS_FOREVER, true);
}

/* -- the rest ------------------------------------------------------------- */

static int listener_close(lua_State *L) {
  cast_listener *l = this_listener(L);
  bool first = !cast_forked &&
               cast_descriptor_close(l->file, &cast_state_here(L)->session);
  if (first && l->path != NULL) os_unlink(l->path);
  lua_pushboolean(L, first);
  return 1;
}

static int listener_leave(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0;
  return listener_close(L);
}

static int listener_name(lua_State *L) {
  return cast_net_push_address(L, &this_listener(L)->local);
}

static int listener_option(lua_State *L) {
  return cast_net_option(L, this_listener(L)->file);
}

static int listener_fd(lua_State *L) {
  cast_listener *l = this_listener(L);
  if (!cast_descriptor_begin(l->file))
    return cast_net_failure(L, CASTING_ECLOSED);
  lua_pushinteger(L, l->file->fd);
  cast_descriptor_end(l->file);
  return 1;
}

static void set_count(lua_State *L, const char *name, _Atomic uint64_t *n) {
  lua_pushnumber(L, (lua_Number)atomic_load_explicit(n, memory_order_relaxed));
  lua_setfield(L, -2, name);
}

static int listener_stats(lua_State *L) {
  cast_listener *l = this_listener(L);
  lua_createtable(L, 0, 2);
  set_count(L, "accepted", &l->naccepted);
  set_count(L, "shortages", &l->nshortages);
  return 1;
}

static const luaL_Reg methods[] = {
  {"accept", listener_accept},
  {"serve", cast_listener_serve},
  {"close", listener_close},
  {"name", listener_name},
  {"fd", listener_fd},
  {"stats", listener_stats},
  {"option", listener_option},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__call", listener_call},
  {"__close", listener_leave},
  {NULL, NULL},
};

const cast_class cast_listener_class = {
  .type = &cast_listener_type,
  .title = "casting.listener",
  .methods = methods,
  .meta = meta,
};

static cast_listener *new_listener(int fd, const char *path) {
  cast_listener *l = cast_calloc(sizeof *l);
  if (l == NULL) goto close_fd;
  cast_object_init(&l->object, &cast_listener_type);
  if (path != NULL) {
    size_t n = strlen(path) + 1;
    l->path = cast_alloc(n);
    if (l->path == NULL) goto free_it;
    memcpy(l->path, path, n);
  }
  l->timer.fire = is_over;
  l->timer.after = try_anew;
  l->timer.passive = true; /* alone it would wake nobody */
  if (os_local_address(fd, &l->local) != 0) l->local.size = 0;
  if (cast_timer_set(&l->timer, OS_FOREVER) != 0) goto free_it;
  l->file = cast_descriptor_new(fd, CAST_ACCEPTS);
  if (l->file != NULL) return l;
  cast_timer_remove(&l->timer);
free_it:
  cast_free(l->path);
  cast_free(l);
close_fd:
  os_close(fd);
  return NULL;
}

void cast_listener_push(lua_State *L, int fd, const char *path) {
  cast_handle *h = cast_handle_new(L, &cast_listener_type, 0);
  cast_listener *l = new_listener(fd, path);
  if (l == NULL) cast_raise_memory(L);
  h->object = &l->object;
  cast_handle_note(L, h);
}
