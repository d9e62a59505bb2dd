/* net_udp.c - sockets for datagrams.
   SPDX-License-Identifier: MIT

   Such a socket has one handle, in one session, and moves to another one when
   it is sent through a channel, as a stream does. What is written here is what
   tasks see; how they take turns is in udp.c.

   A datagram is handed out in a protected call: to make its string may run a
   finalizer, which may receive from this socket, or fail for lack of memory.
   In the first case nobody else has the datagram, in the second it is put
   back. */
#include "net_udp.h"

#include "../../../include/casting.h"
#include "../../fork.h"
#include "../compat/auxiliary.h"
#include "../compat/single.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/turn.h"
#include "net_option.h"

static const char udp_tag; /* tells these handles from other userdata */
static const char meta_key;

typedef struct udp_handle {
  const char *tag; /* &udp_tag */
  cast_udp *udp;   /* one reference; NULL: moved, or collected */
  bool collected;  /* its finalizer has run */
} udp_handle;

/* -- handles -------------------------------------------------------------- */

static udp_handle *handle_at(lua_State *L, int idx) {
  udp_handle *h = lua_touserdata(L, idx);
  if (h == NULL || lua_rawlen(L, idx) != sizeof *h || h->tag != &udp_tag)
    return NULL;
  return h;
}

cast_udp *cast_net_udp_test(lua_State *L, int idx) {
  udp_handle *h = handle_at(L, idx);
  return h != NULL ? h->udp : NULL;
}

cast_udp *cast_net_udp(lua_State *L, int idx) {
  udp_handle *h = handle_at(L, idx);
  if (CAST_UNLIKELY(h == NULL)) cast_arg_type_error(L, idx, "udp");
  if (CAST_UNLIKELY(h->udp == NULL))
    cast_misuse(L, h->collected ? "the socket" CAST_NET_COLLECTED
                                : "the socket" CAST_NET_MOVED);
  return h->udp;
}

static int collect(lua_State *L) {
  udp_handle *h = handle_at(L, 1);
  cast_udp *u = h != NULL ? h->udp : NULL;
  if (u == NULL) return 0;
  h->udp = NULL;
  h->collected = true;
  if (!cast_forked) cast_udp_close(u, NULL);
  cast_unref(&u->object);
  return 0;
}

/* -- moving --------------------------------------------------------------- */

static void *take(lua_State *L, int i) {
  udp_handle *h = handle_at(L, i);
  cast_udp *u = h != NULL ? h->udp : NULL;
  if (u == NULL || cast_udp_is_awaited(u)) return NULL;
  h->udp = NULL;
  return u;
}

/* __refused: why `take` would take nothing, if that is so
   (transfer/userdata.c). */
static int tell_refused(lua_State *L) {
  const udp_handle *h = handle_at(L, 1);
  if (h == NULL) return 0;
  if (h->udp == NULL)
    lua_pushstring(
      L, h->collected ? "it" CAST_NET_COLLECTED : "it" CAST_NET_MOVED);
  else if (cast_udp_is_awaited(h->udp))
    lua_pushliteral(L, "a task waits for this socket");
  else
    return 0;
  return 1;
}

static void put(lua_State *L, int i, void *content) {
  handle_at(L, i)->udp = content;
}

static void new_handle(lua_State *L, cast_state *S);

static int make(lua_State *L) {
  new_handle(L, cast_state_find(L));
  return 1;
}

static void drop(void *content) {
  cast_udp *u = content;
  cast_udp_close(u, NULL);
  cast_unref(&u->object);
}

static const casting_transfer transfer = {
  sizeof transfer, "udp", "casting", take, make, put, drop};

/* -- addresses and failures ----------------------------------------------- */

/* nil, and the text for a result. ECONNRESET and the like, which end a stream,
   do not end this. */
static int fail(lua_State *L, intptr_t rc) {
  char text[128];
  if (rc > OS_SYSTEM) return cast_net_failure(L, rc);
  os_system_text(rc, text, sizeof text);
  lua_pushnil(L);
  lua_pushstring(L, text);
  return 2;
}

/* False: it is "unix:", as is told of one without a name. It comes from
   elsewhere, so that is an outcome, and no misuse: nil and why are pushed. */
static bool read_address(lua_State *L, int host, int port, os_address *a) {
  size_t n;
  const char *text = cast_arg_string(L, host, &n);
  if (n == strlen(CAST_UNIX) && memcmp(text, CAST_UNIX, n) == 0) {
    lua_pushnil(L);
    lua_pushliteral(L, "not a path of a socket");
    return false;
  }
  if (!cast_net_address(L, host, port, a))
    cast_arg_error(L, host, "a numeric address expected");
  return true;
}

static void describe_with(
  cast_buffer *b, const char *what, const char *where, const os_address *a) {
  char text[CAST_NET_TEXT];
  cast_buffer_add(b, what);
  if (a != NULL && cast_net_text(a, text) > 0)
    cast_buffer_form(b, " %s %s", where, text);
}

/* -- receiving ------------------------------------------------------------ */

static const char push_key = 0;

static int push_datagram(lua_State *L) {
  const cast_datagram *d = lua_touserdata(L, 1);
  lua_pushlstring(L, (const char *)d->bytes, d->size);
  return 1 + cast_net_push_address(L, &d->from);
}

static int hand_out(
  lua_State *L, cast_state *S, cast_udp *u, cast_datagram *d) {
  bool room = lua_checkstack(L, LUA_MINSTACK);
  int status = LUA_ERRMEM, top = lua_gettop(L);
  /* Finalizers may wait, and give up what refers to the socket: it stays, in
     this session. */
  cast_ref(&u->object);
  u->uses++;
  if (room)
    status = cast_lua_cpcall_for(L, &push_key, push_datagram, d, LUA_MULTRET);
  u->uses--;
  if (status != LUA_OK) cast_udp_put_back(u, d, &S->session);
  cast_unref(&u->object);
  if (!room) cast_raise_memory(L);
  if (status != LUA_OK) lua_error(L);
  cast_datagram_free(d);
  return lua_gettop(L) - top;
}

/* The turn of t is over, with that result. */
static int conclude(
  lua_State *L, cast_state *S, cast_udp *u, cast_ltask *t, intptr_t result) {
  cast_datagram d = {NULL, 0, {0}};
  if (u->receiver == t) {
    /* A finalizer may have taken what had come. */
    if (result == 0 && u->left.bytes == NULL)
      result = cast_udp_fill(u, &S->session);
    if (result == 0) d = cast_udp_take(u);
    cast_udp_pass_turn(u, t, &S->session);
  }
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) return 0;
  if (result == OS_EAGAIN) result = CASTING_ETIMEOUT;
  return result == 0 ? hand_out(L, S, u, &d) : fail(L, result);
}

static int receive_finish(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  return conclude(L, S, t->arg, t, result);
}

static int receive_again(cast_state *S, cast_ltask *t) {
  cast_udp *u = t->arg;
  return (int)cast_udp_fill_or_wait(u, t, cast_udp_fill(u, &S->session));
}

static void receive_describe(cast_buffer *b, const cast_ltask *t) {
  const cast_udp *u = t->arg;
  os_address a;
  bool known = cast_descriptor_begin(u->file);
  if (known) {
    known = os_local_address(u->file->fd, &a) == 0;
    cast_descriptor_end(u->file);
  }
  describe_with(b, "receiving", "on", known ? &a : NULL);
}

static const cast_wait_kind receive_kind = {.finish = receive_finish,
  .again = receive_again,
  .describe = receive_describe,
  .cleans_up = true};

/* udp:receive([timeout]) */
static int udp_receive(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_udp *u;
  uint64_t deadline = OS_FOREVER;
  bool waits = true;
  cast_ltask *t;
  intptr_t rc;
  (void)cast_net_udp(L, 1);
  if (!lua_isnoneornil(L, 2)) {
    deadline = cast_deadline(L, 2);
    waits = lua_tonumber(L, 2) > 0;
  }
  t = deadline == OS_FOREVER ? cast_enter_quick(L, S)
                             : cast_enter(L, S, deadline);
  if (!waits) cast_turn_first(L, S, t);
  u = cast_net_udp(L, 1); /* only now: a finalizer may have sent it away */
  rc = cast_udp_take_turn(u, t, waits);
  if (rc == 0 && waits && cast_turn_is_due(S, t)) {
    rc = cast_wait_turn(&t->base);
  } else if (rc == 0) {
    rc = cast_udp_fill(u, &S->session);
    if (waits) rc = cast_udp_fill_or_wait(u, t, rc);
  }
  if (rc != CAST_PARKED) return conclude(L, S, u, t, rc);
  t->arg = u;
  return cast_park_about(L, S, t, deadline, &receive_kind);
}

/* -- sending -------------------------------------------------------------- */

static int push_sent(lua_State *L, intptr_t rc) {
  if (rc == 0) return lua_pushboolean(L, 1), 1;
  return fail(L, rc);
}

static int send_finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_send *x = t->arg;
  CAST_UNUSED(S);
  cast_list_remove(&x->link); /* no more a reason not to move the socket */
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) return 0;
  return push_sent(L, result);
}

static int send_again(cast_state *S, cast_ltask *t) {
  CAST_UNUSED(S);
  return (int)cast_send_or_wait(t->arg, t);
}

static void send_describe(cast_buffer *b, const cast_ltask *t) {
  const cast_send *x = t->arg;
  os_address a = x->to;
  bool known = x->has_to;
  if (!known && cast_descriptor_begin(x->udp->file)) {
    known = os_peer_address(x->udp->file->fd, &a) == 0;
    cast_descriptor_end(x->udp->file);
  }
  describe_with(b, "sending", "to", known ? &a : NULL);
}

static const cast_wait_kind send_kind = {.finish = send_finish,
  .again = send_again,
  .describe = send_describe,
  .cleans_up = true};

/* Waits until the datagram has gone, for which there was no room: rc. */
static int wait_to_send(lua_State *L, cast_state *S, cast_ltask *t, cast_udp *u,
  cast_chars data, const os_address *to, intptr_t rc, uint64_t deadline) {
  cast_send *x = NULL;
  if (!cast_udp_needs_timer(u, rc, to) || cast_udp_set_timer(u, S->session.id))
    x = cast_send_new(u, data.at, data.size, to);
  if (x == NULL) cast_raise_memory(L);
  rc = cast_send_or_wait(x, t);
  if (rc == CAST_PARKED) {
    t->arg = x;
    t->owns_arg = true; /* the reference is the wait's from here on */
    return cast_park(L, S, t, deadline, &send_kind);
  }
  cast_unref(&x->object);
  return push_sent(L, rc);
}

/* udp:send(data [, host, port [, timeout]]) */
static int udp_send(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_udp *u;
  uint64_t deadline = OS_FOREVER;
  bool has_to = !lua_isnoneornil(L, 3), waits = true;
  os_address to;
  cast_chars data;
  cast_ltask *t;
  intptr_t rc;
  (void)cast_net_udp(L, 1);
  data.at = cast_arg_string(L, 2, &data.size);
  if (has_to && !read_address(L, 3, 4, &to)) return 2;
  cast_arg_check(
    L, has_to || lua_isnoneornil(L, 4), 4, "a port needs an address");
  if (!lua_isnoneornil(L, 5)) {
    deadline = cast_deadline(L, 5);
    waits = lua_tonumber(L, 5) > 0;
  }
  t = deadline == OS_FOREVER ? cast_enter_quick(L, S)
                             : cast_enter(L, S, deadline);
  if (!waits) cast_turn_first(L, S, t);
  u = cast_net_udp(L, 1); /* only now: a finalizer may have sent it away */
  rc = cast_udp_send(u, data.at, data.size, has_to ? &to : NULL, &S->session);
  if (rc == 0 && waits && cast_turn_is_due(S, t))
    return cast_turn_take(L, S, t);
  if (rc != OS_EAGAIN && !cast_udp_needs_timer(u, rc, has_to ? &to : NULL))
    return push_sent(L, rc);
  if (!waits) return fail(L, CASTING_ETIMEOUT);
  return wait_to_send(L, S, t, u, data, has_to ? &to : NULL, rc, deadline);
}

/* -- what is done at once ------------------------------------------------- */

/* A socket whose port the system has chosen may lose that when it loses its
   peer (Linux): it gets it back. */
static intptr_t disconnect(int fd) {
  os_address before, after;
  int rc, known = os_local_address(fd, &before);
  rc = os_disconnect(fd);
  if (rc != 0 || known != 0 || os_address_family(&before) == OS_UNIX) return rc;
  if (os_local_address(fd, &after) == 0 && after.size == before.size &&
      memcmp(after.bytes, before.bytes, after.size) == 0)
    return 0;
  return os_bind(fd, &before);
}

/* udp:connect([host, port]) */
static int udp_connect(lua_State *L) {
  cast_udp *u;
  bool has_peer = !lua_isnoneornil(L, 2);
  intptr_t rc = CASTING_ECLOSED;
  os_address a;
  (void)cast_net_udp(L, 1);
  if (cast_forked) cast_raise_closed(L); /* it is the parent's, too */
  if (has_peer && !read_address(L, 2, 3, &a)) return 2;
  cast_arg_check(
    L, has_peer || lua_isnoneornil(L, 3), 3, "a port needs an address");
  u = cast_net_udp(L, 1); /* only now: a finalizer may have sent it away */
  if (cast_descriptor_begin(u->file)) {
    rc = has_peer ? os_connect(u->file->fd, &a) : disconnect(u->file->fd);
    cast_descriptor_end(u->file);
  }
  return push_sent(L, rc);
}

static int change_group(lua_State *L, bool join) {
  cast_udp *u;
  const char *device = NULL;
  intptr_t rc = CASTING_ECLOSED;
  os_address a;
  (void)cast_net_udp(L, 1);
  if (cast_forked) cast_raise_closed(L); /* it is the parent's, too */
  cast_arg_check(L, os_address_parse(&a, cast_arg_text(L, 2), 0), 2,
    "the numeric address of a group expected");
  if (!lua_isnoneornil(L, 3)) device = cast_arg_text(L, 3);
  u = cast_net_udp(L, 1); /* only now: a finalizer may have sent it away */
  if (cast_descriptor_begin(u->file)) {
    rc = os_multicast(u->file->fd, &a, device, join);
    cast_descriptor_end(u->file);
  }
  return push_sent(L, rc);
}

static int udp_join(lua_State *L) { return change_group(L, true); }

static int udp_leave(lua_State *L) { return change_group(L, false); }

static int udp_close(lua_State *L) {
  const udp_handle *h = handle_at(L, 1);
  bool first = false;
  if (h == NULL || !h->collected) {
    cast_udp *u = cast_net_udp(L, 1);
    /* The child of a fork gives up its number, and nothing else. */
    first = CAST_UNLIKELY(cast_forked)
              ? cast_descriptor_close_forked(u->file)
              : cast_udp_close(u, &cast_state_here(L)->session);
  }
  lua_pushboolean(L, first);
  return 1;
}

/* __close: a socket that has moved is nobody's here. */
static int udp_end(lua_State *L) {
  if (cast_net_udp_test(L, 1) == NULL) return 0;
  return udp_close(L);
}

static int push_end(
  lua_State *L, cast_udp *u, int (*ask)(int fd, os_address *a)) {
  intptr_t rc = CASTING_ECLOSED;
  os_address a;
  if (cast_descriptor_begin(u->file)) {
    rc = ask(u->file->fd, &a);
    cast_descriptor_end(u->file);
  }
  return rc == 0 ? cast_net_push_address(L, &a) : fail(L, rc);
}

static int udp_peer(lua_State *L) {
  return push_end(L, cast_net_udp(L, 1), os_peer_address);
}

static int udp_name(lua_State *L) {
  return push_end(L, cast_net_udp(L, 1), os_local_address);
}

static int udp_option(lua_State *L) {
  return cast_net_option(L, cast_net_udp(L, 1)->file);
}

static int udp_fd(lua_State *L) {
  cast_udp *u = cast_net_udp(L, 1);
  if (!cast_descriptor_begin(u->file)) return fail(L, CASTING_ECLOSED);
  lua_pushinteger(L, u->file->fd);
  cast_descriptor_end(u->file);
  return 1;
}

static void set_number(lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

static int udp_stats(lua_State *L) {
  const cast_udp *u = cast_net_udp(L, 1);
  uint64_t received = u->nreceived, sent = u->nsent;
  uint64_t bytes_received = u->bytes_received, bytes_sent = u->bytes_sent;
  lua_createtable(L, 0, 4); /* may run a finalizer that sends it away */
  set_number(L, "received", received);
  set_number(L, "sent", sent);
  set_number(L, "bytes_received", bytes_received);
  set_number(L, "bytes_sent", bytes_sent);
  return 1;
}

static int udp_text(lua_State *L) {
  udp_handle *h = handle_at(L, 1);
  char text[CAST_NET_TEXT];
  size_t n;
  os_address a;
  if (h == NULL) cast_arg_type_error(L, 1, "udp");
  if (h->udp == NULL && !h->collected)
    return lua_pushliteral(L, "udp (moved)"), 1;
  if (h->udp == NULL || !cast_descriptor_begin(h->udp->file))
    return lua_pushliteral(L, "udp (closed)"), 1;
  n = os_local_address(h->udp->file->fd, &a) == 0 ? cast_net_text(&a, text) : 0;
  cast_descriptor_end(h->udp->file);
  if (n > 0)
    lua_pushfstring(L, "udp: %s", text);
  else
    cast_handle_push_address(L, "udp", h->udp);
  return 1;
}

static const luaL_Reg methods[] = {
  {"send", udp_send},
  {"receive", udp_receive},
  {"connect", udp_connect},
  {"option", udp_option},
  {"join", udp_join},
  {"leave", udp_leave},
  {"peer", udp_peer},
  {"name", udp_name},
  {"fd", udp_fd},
  {"stats", udp_stats},
  {"close", udp_close},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__gc", collect},
  {"__tostring", udp_text},
  {"__close", udp_end},
  {"__refused", tell_refused},
  {NULL, NULL},
};

const cast_class cast_udp_class = {
  .type = &cast_udp_type,
  .title = "casting.udp",
  .methods = methods,
  .meta = meta,
};

/* -- making them ---------------------------------------------------------- */

static void make_meta(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, meta, 1);
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, methods, 1);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "casting.udp");
  lua_setfield(L, -2, "__name");
  casting_transfer_register(L, lua_gettop(L), &transfer);
}

static void new_handle(lua_State *L, cast_state *S) {
  udp_handle *h;
  cast_handle_weigh(L, S, sizeof(cast_udp) + sizeof(cast_descriptor));
  h = cast_lua_newuserdata(L, sizeof *h);
  h->tag = &udp_tag;
  h->udp = NULL;
  h->collected = false;
  (void)cast_single_push(L, &meta_key, make_meta, NULL);
  lua_setmetatable(L, -2);
}

/* An empty handle is on the top: gives it a socket. */
static cast_udp *own(lua_State *L, int fd, int family) {
  cast_udp *u = cast_udp_new(fd, family);
  if (u == NULL) cast_raise_memory(L);
  return handle_at(L, -1)->udp = u;
}

cast_udp *cast_net_udp_push(lua_State *L, cast_state *S, int fd, int family) {
  new_handle(L, S);
  return own(L, fd, family);
}

/* The family of a socket without an address: that in the options, or IPv4. */
static int family_in(lua_State *L, int options) {
  int family = OS_INET;
  if (lua_isnoneornil(L, options)) return family;
  lua_getfield(L, options, "family");
  if (cast_arg_is(L, -1, "inet6"))
    family = OS_INET6;
  else if (cast_arg_is(L, -1, "unix"))
    family = OS_UNIX;
  else if (!lua_isnil(L, -1) && !cast_arg_is(L, -1, "inet"))
    cast_arg_error(
      L, options, "family must be \"inet\", \"inet6\" or \"unix\"");
  lua_pop(L, 1);
  return family;
}

int cast_net_udp_new(lua_State *L) {
  cast_state *S = cast_state_here(L);
  bool has_address = !lua_isnoneornil(L, 1);
  os_address a;
  cast_udp *u;
  int family, fd, rc = 0;
  lua_settop(L, 3);
  if (!lua_isnil(L, 3)) cast_arg_table(L, 3);
  if (has_address && lua_isnil(L, 2)) {
    lua_pushinteger(L, 0); /* any port */
    lua_replace(L, 2);
  }
  if (has_address && !read_address(L, 1, 2, &a)) return 2;
  family = has_address ? os_address_family(&a) : family_in(L, 3);
  new_handle(L, S);
  rc = cast_poller_make();
  fd = rc == 0 ? os_socket(family, true) : rc;
  if (fd < 0) return fail(L, fd);
  u = own(L, fd, family);
  if (!lua_isnil(L, 3)) rc = cast_net_options(L, 3, u->file);
  if (rc != 0) {
    cast_udp_close(u, &S->session);
    return cast_net_option_failure(L, rc);
  }
  if (has_address) rc = cast_path_bind(fd, &a, &u->path);
  if (rc == 0) return 1;
  cast_udp_close(u, &S->session);
  return fail(L, rc);
}
