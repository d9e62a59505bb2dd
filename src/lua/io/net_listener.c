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
#include "../compat/single.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/turn.h"
#include "layer.h"
#include "net.h"
#include "net_option.h"

/* True: the first time. The path goes before the socket does, and only while
   that is open; perhaps two remove it at once, that does no harm. */
static bool close_it(cast_listener *l, cast_session *self) {
  bool first;
  int kept;
  if (l->file == NULL) return false;
  /* Relaxed: who sets it while another one closes the listener has no claim to
     be heard. */
  if (l->place.process != 0 &&
      atomic_load_explicit(&l->unlinks, memory_order_relaxed) &&
      cast_descriptor_begin(l->file)) {
    (void)os_remove_path(&l->local, &l->place);
    cast_descriptor_end(l->file);
  }
  first = cast_descriptor_close(l->file, self);
  /* Also if it was closed before, as it has lost its number. PAIR kept. */
  kept = atomic_exchange_explicit(&l->file->kept, -1, memory_order_acq_rel);
  if (kept >= 0) os_close(kept);
  return first;
}

/* The same in the child of a fork: the path and the queue are the parent's. */
static bool close_forked(cast_listener *l) {
  bool first;
  int kept;
  if (l->file == NULL) return false;
  first = cast_descriptor_close_forked(l->file);
  kept = atomic_exchange_explicit(&l->file->kept, -1, memory_order_relaxed);
  if (kept >= 0) os_close(kept);
  return first;
}

static void free_layers(cast_layers *x) {
  if (x == NULL) return;
  x->how->drop(x->state);
  cast_free(x);
}

int cast_listener_layers(
  cast_listener *l, const casting_layers *how, void *state) {
  cast_layers *x = cast_alloc(sizeof *x), *none = NULL;
  if (x == NULL) return CASTING_ENOMEM;
  x->how = how;
  x->state = state;
  /* PAIR layers: release. */
  if (atomic_compare_exchange_strong_explicit(
        &l->layers, &none, x, memory_order_release, memory_order_relaxed))
    return 0;
  cast_free(x);
  return CASTING_EINVAL;
}

/* Lays one over a connection. False: no memory. */
static bool add_layer(cast_listener *l, cast_stream *s) {
  /* PAIR layers: acquire. */
  const cast_layers *x = atomic_load_explicit(&l->layers, memory_order_acquire);
  void *state;
  if (CAST_LIKELY(x == NULL)) return true;
  state = x->how->make(x->state);
  if (state == NULL) return false;
  if (cast_layer_set(s, x->how->layer, state, NULL, 0) == 0) return true;
  x->how->layer->drop(state);
  return false;
}

static void free_listener(cast_object *o) {
  cast_listener *l = CAST_CONTAINER(o, cast_listener, object);
  cast_timer_remove(&l->timer);
  (void)close_it(l, NULL);
  if (l->file != NULL) cast_unref(&l->file->object);
  free_layers(atomic_load_explicit(&l->layers, memory_order_relaxed));
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

/* The timer may have been set to the end of an earlier pause. */
static void try_anew(cast_timer *t) {
  cast_listener *l = CAST_CONTAINER(t, cast_listener, timer);
  if (cast_descriptor_pauses(l->file, CAST_READ))
    (void)cast_timer_set_sooner(
      t, atomic_load_explicit(&l->file->paused_ns, memory_order_relaxed));
  else
    cast_descriptor_pass(l->file, CAST_READ, NULL);
  cast_unref_aside(&l->object);
}

static void begin_pause(cast_listener *l) {
  /* Relaxed: a guess at how long it will last. */
  uint32_t ns = atomic_load_explicit(&l->pause_ns, memory_order_relaxed);
  uint64_t until;
  ns = ns == 0 ? CAST_ACCEPT_NS : ns * 2;
  if (ns > CAST_ACCEPT_MOST_NS) ns = CAST_ACCEPT_MOST_NS;
  until = os_now() + ns;
  atomic_store_explicit(&l->pause_ns, ns, memory_order_relaxed);
  atomic_store_explicit(&l->file->paused_ns, until, memory_order_relaxed);
  atomic_fetch_add_explicit(&l->nshortages, 1, memory_order_relaxed);
  (void)cast_timer_set_sooner(&l->timer, until);
}

static void end_pause(cast_listener *l) {
  if (CAST_LIKELY(
        atomic_load_explicit(&l->pause_ns, memory_order_relaxed) == 0))
    return;
  atomic_store_explicit(&l->pause_ns, 0, memory_order_relaxed);
  atomic_store_explicit(&l->file->paused_ns, 0, memory_order_relaxed);
}

/* -- connections without a stream ----------------------------------------- */

/* For whoever accepts next. There is room for one: memory that fails twice
   meanwhile costs a connection. */
static void keep(cast_listener *l, int fd) {
  /* PAIR kept: the close comes after this, and closes it; or this comes after
     the close, and sees it. */
  int other =
    atomic_exchange_explicit(&l->file->kept, fd, memory_order_acq_rel);
  if (other >= 0) os_close(other);
  if (cast_descriptor_begin(l->file)) {
    cast_descriptor_end(l->file);
    cast_descriptor_pass(l->file, CAST_READ, NULL);
    return;
  }
  /* Closed, perhaps before it was kept. PAIR kept. */
  fd = atomic_exchange_explicit(&l->file->kept, -1, memory_order_acq_rel);
  if (fd >= 0) os_close(fd);
}

/* That one, or -1. */
static int take_kept(cast_listener *l, os_address *peer) {
  int fd;
  /* PAIR kept. Relaxed: a pass follows each one that is kept, and what that
     notes has not been wiped out, as that was done before. */
  if (CAST_LIKELY(
        atomic_load_explicit(&l->file->kept, memory_order_relaxed) < 0))
    return -1;
  fd = atomic_exchange_explicit(&l->file->kept, -1, memory_order_acq_rel);
  if (fd >= 0 && os_peer_address(fd, peer) != 0) peer->size = 0;
  return fd;
}

/* -- accepting ------------------------------------------------------------ */

/* Within begin and end, after `ready` was cleared and a connection was taken:
   is there another one? Where nobody waits it is not worth a call to know. */
static bool may_have_more(cast_listener *l) {
  return !cast_descriptor_is_awaited(l->file, CAST_READ) ||
         os_poll_now(l->file->fd, OS_READABLE) != 0;
}

/* A connection's descriptor; OS_EAGAIN; CASTING_ECLOSED; or what the system
   says. */
static int accept_one(cast_listener *l, cast_session *self, os_address *peer) {
  bool more = true;
  int fd, nfailed = 0;
  do {
    if (!cast_descriptor_begin(l->file)) return CASTING_ECLOSED;
    cast_descriptor_try(l->file, CAST_READ); /* also before it is looked here */
    fd = take_kept(l, peer);
    if (fd < 0) {
      fd = cast_descriptor_pauses(l->file, CAST_READ)
             ? OS_EAGAIN
             : os_accept(l->file->fd, peer);
      if (fd >= 0) {
        atomic_fetch_add_explicit(&l->naccepted, 1, memory_order_relaxed);
        more = may_have_more(l);
      }
    }
    cast_descriptor_end(l->file);
  } while (fd < 0 && os_is_aborted(fd) && ++nfailed < CAST_ACCEPT_FAILED);
  if (fd >= 0) {
    end_pause(l);
  } else if (os_is_shortage(fd) || os_is_aborted(fd)) {
    begin_pause(l);
    return OS_EAGAIN; /* `ready` was cleared: it waits for the timer */
  }
  if (fd != OS_EAGAIN && more) cast_descriptor_pass(l->file, CAST_READ, self);
  return fd;
}

/* A task that waits. */
typedef struct cast_accept {
  cast_object object;      /* the wait's */
  cast_listener *listener; /* one reference */
  int fd;                  /* what it has got, or -1 */
  bool turned;             /* its first wait was a turn, in no queue */
  os_address peer;         /* of that */
} cast_accept;

static void free_accept(cast_object *o) {
  cast_accept *a = CAST_CONTAINER(o, cast_accept, object);
  cast_listener *l = a->listener;
  if (a->fd >= 0) keep(l, a->fd);
  atomic_fetch_sub_explicit(&l->nwaiting, 1, memory_order_relaxed);
  cast_unref(&l->object);
  cast_free(a);
}
static const cast_type accept_type = {"accept", free_accept, NULL};

/* NULL: no memory. */
static cast_accept *new_accept(cast_listener *l) {
  cast_accept *a = cast_calloc(sizeof *a);
  if (a == NULL) return NULL;
  cast_object_init(&a->object, &accept_type);
  a->listener = l;
  cast_ref(&l->object);
  a->fd = -1;
  atomic_fetch_add_explicit(&l->nwaiting, 1, memory_order_relaxed);
  return a;
}

/* Waits once more, in front of the others: it was the first of them, and has
   been woken for nothing. */
static int wait_in_front(cast_descriptor *d, cast_ltask *t) {
  cast_list *first = &d->side[CAST_READ].waiters, *mine = &t->base.waiter.link;
  int rc = cast_descriptor_wait(d, CAST_READ, &t->base);
  if (rc != CAST_PARKED) return rc;
  cast_lock_take(&d->lock);
  if (cast_wait_is_armed(&t->base.wait)) {
    cast_list_remove(mine);
    cast_list_unshift(first, mine);
  }
  cast_lock_drop(&d->lock);
  return rc;
}

/* After a try, whose result is fd. `first`: of one that has waited. */
static int accept_or_wait(cast_accept *a, cast_ltask *t, int fd, bool first) {
  cast_descriptor *d = a->listener->file;
  while (fd == OS_EAGAIN) {
    int rc = first ? wait_in_front(d, t)
                   : cast_descriptor_wait(d, CAST_READ, &t->base);
    if (rc != 0) return rc;
    fd = accept_one(a->listener, t->base.session, &a->peer);
  }
  if (fd < 0) return fd;
  a->fd = fd;
  return 0;
}

static int again(cast_state *S, cast_ltask *t) {
  cast_accept *a = t->arg;
  bool first = !a->turned; /* it has stood in the queue, and was woken */
  a->turned = false;
  return accept_or_wait(
    a, t, accept_one(a->listener, &S->session, &a->peer), first);
}

/* In the registry: make_connection. */
static const char maker_key;

/* (peer) -> an empty handle, host, port. */
static int make_connection(lua_State *L) {
  const os_address *peer = lua_touserdata(L, 1);
  cast_net_stream_new(L, cast_state_find(L));
  if (os_address_family(peer) != OS_OTHER) (void)cast_net_push_address(L, peer);
  lua_settop(L, 4);
  return 3;
}
static void push_maker(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  lua_pushcfunction(L, make_connection);
}

/* The connection, as a stream, and its peer. Without memory it is kept. */
static int push_connection(
  lua_State *L, cast_listener *l, int fd, os_address *peer) {
  cast_stream *s = NULL;
  int status;
  cast_ref(&l->object); /* finalizers run, which may wait: see cast_complete */
  lua_rawgetp(L, LUA_REGISTRYINDEX, &maker_key);
  lua_pushlightuserdata(L, peer);
  status = lua_pcall(L, 1, 3, 0);
  if (status == LUA_OK)
    s =
      cast_stream_new(fd, l->is_plain ? CAST_STREAM_PLAIN : CAST_STREAM_SOCKET);
  if (s != NULL)
    cast_net_stream_give(L, lua_gettop(L) - 2, s);
  else
    keep(l, fd);
  if (s != NULL && !add_layer(l, s)) {
    cast_stream_close(s, NULL);
    s = NULL;
  }
  cast_unref(&l->object);
  if (status != LUA_OK) return lua_error(L);
  if (s == NULL) cast_raise_memory(L);
  return 3;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_accept *a = t->arg;
  cast_listener *l = a->listener;
  os_address peer = a->peer;
  int fd = a->fd;
  CAST_UNUSED(S);
  if (result == 0) {
    a->fd = -1;
    return push_connection(L, l, fd, &peer);
  }
  /* What a main program at its end has got is kept, see free_accept. */
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) return 0;
  return cast_net_failure(L, result);
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  const cast_listener *l = ((const cast_accept *)t->arg)->listener;
  uint64_t n = atomic_load_explicit(&l->nshortages, memory_order_relaxed);
  char text[CAST_NET_TEXT];
  cast_buffer_add(b, "accepting");
  if (cast_net_text(&l->local, text) > 0) cast_buffer_form(b, " on %s", text);
  if (atomic_load_explicit(&l->file->paused_ns, memory_order_relaxed) != 0)
    cast_buffer_add(b, ", short of descriptors");
  if (n > 0)
    cast_buffer_form(
      b, " (%llu shortage%s so far)", (unsigned long long)n, n == 1 ? "" : "s");
}

static const cast_wait_kind accept_kind = {
  .finish = finish, .again = again, .describe = describe, .cleans_up = true};

static int accept_until(
  lua_State *L, cast_listener *l, uint64_t deadline, bool waits) {
  cast_state *S = cast_state_here(L);
  cast_accept *a;
  cast_ltask *t;
  os_address peer;
  bool turned;
  int fd, rc;
  (void)cast_single_push(L, &maker_key, push_maker, NULL);
  lua_pop(L, 1);
  t = cast_enter(L, S, deadline);
  if (!waits) cast_turn_first(L, S, t);
  turned = waits && cast_turn_is_due(S, t);
  fd = turned ? OS_EAGAIN : accept_one(l, &S->session, &peer);
  if (fd >= 0) return push_connection(L, l, fd, &peer);
  if (fd == OS_EAGAIN && !waits) return cast_net_failure(L, CASTING_ETIMEOUT);
  if (fd != OS_EAGAIN) return cast_net_failure(L, fd);
  a = new_accept(l);
  if (a == NULL) cast_raise_memory(L);
  t->arg = a;
  a->turned = turned;
  rc = turned ? cast_wait_turn(&t->base) : accept_or_wait(a, t, fd, false);
  if (rc == CAST_PARKED) {
    t->owns_arg = true; /* the reference is the wait's from here on */
    return cast_park(L, S, t, deadline, &accept_kind);
  }
  fd = a->fd;
  a->fd = -1;
  peer = a->peer;
  cast_unref(&a->object);
  if (rc == 0) return push_connection(L, l, fd, &peer);
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
  lua_pushboolean(L,
    cast_forked ? close_forked(l) : close_it(l, &cast_state_here(L)->session));
  return 1;
}

static int listener_leave(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0;
  return listener_close(L);
}

static int listener_name(lua_State *L) {
  return cast_net_push_address(L, &this_listener(L)->local);
}

/* listener:option("unlink" [, value]) */
static int option_unlink(lua_State *L, cast_listener *l) {
  bool sets = !lua_isnoneornil(L, 3), value;
  if (sets && cast_forked) cast_raise_closed(L); /* it is the parent's, too */
  if (sets && !lua_isboolean(L, 3))
    cast_arg_error(L, 3,
      lua_pushfstring(
        L, "unlink must be true or false, got %s", cast_arg_got(L, 3)));
  if (!cast_descriptor_begin(l->file))
    return cast_net_option_failure(L, CASTING_ECLOSED);
  cast_descriptor_end(l->file);
  if (l->place.process == 0) return cast_net_option_failure(L, OS_EPERM);
  value = sets || atomic_load_explicit(&l->unlinks, memory_order_relaxed);
  if (sets)
    atomic_store_explicit(
      &l->unlinks, lua_toboolean(L, 3) != 0, memory_order_relaxed);
  lua_pushboolean(L, value);
  return 1;
}

static int listener_option(lua_State *L) {
  cast_listener *l = this_listener(L);
  if (lua_type(L, 2) == LUA_TSTRING &&
      strcmp(lua_tostring(L, 2), "unlink") == 0)
    return option_unlink(L, l);
  return cast_net_option(L, l->file);
}

static int listener_fd(lua_State *L) {
  cast_listener *l = this_listener(L);
  if (!cast_descriptor_begin(l->file))
    return cast_net_failure(L, CASTING_ECLOSED);
  lua_pushinteger(L, l->file->fd);
  cast_descriptor_end(l->file);
  return 1;
}

static int listener_text(lua_State *L) {
  cast_object *o = cast_handle_test(L, 1);
  char text[CAST_NET_TEXT];
  cast_listener *l;
  if (o == NULL || o->type != &cast_listener_type) {
    lua_pushliteral(L, "listener (closed)");
    return 1;
  }
  l = CAST_CONTAINER(o, cast_listener, object);
  if (!cast_descriptor_begin(l->file)) {
    lua_pushliteral(L, "listener (closed)");
    return 1;
  }
  cast_descriptor_end(l->file);
  if (cast_net_text(&l->local, text) > 0)
    lua_pushfstring(L, "listener: %s", text);
  else
    cast_handle_push_address(L, "listener", l);
  return 1;
}

static void set_count(lua_State *L, const char *name, _Atomic uint64_t *n) {
  lua_pushinteger(
    L, (lua_Integer)atomic_load_explicit(n, memory_order_relaxed));
  lua_setfield(L, -2, name);
}

/* is_layered(v): has the stream a layer, or do the listener's connections get
   one? */
int cast_net_is_layered(lua_State *L) {
  const cast_stream *s = cast_net_stream_test(L, 1);
  if (s != NULL) {
    lua_pushboolean(L, s->layer != NULL);
    return 1;
  }
  lua_pushboolean(L, atomic_load_explicit(&this_listener(L)->layers,
                       memory_order_relaxed) != NULL);
  return 1;
}

static int listener_stats(lua_State *L) {
  cast_listener *l = this_listener(L);
  lua_createtable(L, 0, 3);
  set_count(L, "accepted", &l->naccepted);
  set_count(L, "shortages", &l->nshortages);
  lua_pushinteger(
    L, (lua_Integer)atomic_load_explicit(&l->nwaiting, memory_order_relaxed));
  lua_setfield(L, -2, "waiting");
  return 1;
}

static int listener_wait(lua_State *L) {
  return cast_listener_closed(L, this_listener(L));
}

static const luaL_Reg methods[] = {
  {"accept", listener_accept},
  {"serve", cast_listener_serve},
  {"close", listener_close},
  {"name", listener_name},
  {"fd", listener_fd},
  {"stats", listener_stats},
  {"wait", listener_wait},
  {"option", listener_option},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__call", listener_call},
  {"__close", listener_leave},
  {"__tostring", listener_text},
  {NULL, NULL},
};

const cast_class cast_listener_class = {
  .type = &cast_listener_type,
  .title = "casting.listener",
  .methods = methods,
  .meta = meta,
};

/* -- making them ---------------------------------------------------------- */

cast_listener *cast_listener_push(lua_State *L) {
  cast_handle *h = cast_handle_new(L, &cast_listener_type, 0);
  cast_listener *l = cast_calloc(sizeof *l);
  if (l == NULL) cast_raise_memory(L);
  cast_object_init(&l->object, &cast_listener_type);
  l->timer.lane = cast_timer_lane(cast_state_find(L)->session.id);
  l->timer.fire = is_over;
  l->timer.after = try_anew;
  l->timer.passive = true; /* alone it would wake nobody */
  h->object = &l->object;
  if (cast_timer_set(&l->timer, OS_FOREVER) != 0) cast_raise_memory(L);
  cast_handle_note(L, h);
  return l;
}

int cast_listener_own(
  cast_listener *l, int fd, const os_socket_file *place, bool unlinks) {
  if (os_local_address(fd, &l->local) != 0) l->local.size = 0;
  l->is_plain = os_is_plain(fd);
  l->file = cast_descriptor_new(fd, CAST_ACCEPTS);
  if (l->file == NULL) return CASTING_ENOMEM;
  if (place != NULL)
    l->place = *place;
  else if (os_address_has_path(&l->local))
    (void)os_adopt_path(&l->local, &l->place);
  atomic_store_explicit(&l->unlinks, unlinks, memory_order_relaxed);
  return 0;
}
