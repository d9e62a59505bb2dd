/* net_wait.c - waiting for descriptors of others, alone or in a select.
   SPDX-License-Identifier: MIT

   See net_wait.h. A number belongs to the program: its flags are never changed,
   it is in the poller's set only while a task waits for it, and its readiness
   is a level: the system is asked (poll(2)) before the wait, and again when an
   event has ended it, since that may be out of date. If a stream of ours has
   the number, the wait is for its descriptor, so it ends when the stream is
   closed; bytes that were read already, and are left over in the stream, do not
   count for the number, but they do for the stream as a case of a select.

   A number that is closed behind our back while a task waits for it leaves
   epoll's set, and nothing is told: such a wait ends at its deadline, or when
   another stream of ours gets the number (R189).

   Owner: the task's session. A stream, or a socket for datagrams, does not move
   while a select waits for it: `selects` counts these, from the wait to the end
   of the call, since what is left over is looked at once more when an event has
   come (R179, R180). */
#include "net_wait.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../buffer.h"
#include "../../io/descriptor.h"
#include "../../io/subprocess.h"
#include "../../os/socket.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "../task/cases.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/turn.h"
#include "layer.h"
#include "net.h"
#include "net_listener.h"
#include "net_udp.h"

#include <limits.h>
#include <math.h>

/* -- cases of a select ---------------------------------------------------- */

static cast_net_kind wait_for(
  cast_case *c, cast_object *object, cast_descriptor *file) {
  c->object = object;
  c->file = file;
  c->side = CAST_READ;
  return CAST_NET_CASE;
}

/* Is the value at idx what the metatable with that __name makes of it? */
static bool is_called(lua_State *L, int idx, const char *title) {
  bool is;
  if (!luaL_getmetafield(L, idx, "__name")) return false;
  is =
    lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), title) == 0;
  lua_pop(L, 1);
  return is;
}

cast_net_kind cast_net_case(
  lua_State *L, int idx, cast_case *c, const char **why) {
  cast_object *o = cast_handle_test(L, idx);
  cast_stream *s;
  cast_udp *u;
  if (o != NULL && o->type == &cast_listener_type)
    return wait_for(c, o, CAST_CONTAINER(o, cast_listener, object)->file);
  if (o != NULL && o->type == &cast_process_type) {
    cast_process *p = CAST_CONTAINER(o, cast_process, object);
    if (p->file != NULL) return wait_for(c, o, p->file);
    *why = "the process was not started";
    return CAST_NET_WRONG;
  }
  if (lua_type(L, idx) != LUA_TUSERDATA) return CAST_NET_NONE;
  if ((s = cast_net_stream_test(L, idx)) != NULL)
    return wait_for(c, &s->object, s->file);
  if ((u = cast_net_udp_test(L, idx)) != NULL)
    return wait_for(c, &u->object, u->file);
  if (is_called(L, idx, "casting.stream"))
    *why = "the stream" CAST_NET_MOVED;
  else if (is_called(L, idx, "casting.udp"))
    *why = "the socket" CAST_NET_MOVED;
  else
    return CAST_NET_NONE;
  return CAST_NET_WRONG;
}

bool cast_net_is_fd(lua_State *L, int idx) {
  lua_Number n = lua_tonumber(L, idx);
  return lua_type(L, idx) == LUA_TNUMBER && n >= 0 && n <= INT_MAX &&
         n == floor(n);
}

const char *cast_net_fd_hint(lua_State *L, int idx) {
  const cast_object *o = cast_handle_test(L, idx);
  if (cast_net_stream_test(L, idx) != NULL)
    return "a stream waits by itself, in read and write, or in a select; its "
           "number is stream:fd()";
  if (o != NULL && o->type == &cast_listener_type)
    return "a listener waits by itself, in accept, or in a select; its number "
           "is listener:fd()";
  if (cast_net_udp_test(L, idx) != NULL)
    return "a udp socket waits by itself, in receive and send, or in a select; "
           "its number is udp:fd()";
  if (luaL_testudata(L, idx, LUA_FILEHANDLE) != NULL)
    return CAST_NET_FD "; that of a file is not known to Lua itself, but to "
                       "luaposix: posix.stdio.fileno(file)";
  return CAST_NET_FD;
}

/* OS_READABLE for "r", OS_WRITABLE for "w", else 0. */
static uint32_t mode_at(lua_State *L, int idx) {
  if (cast_arg_is(L, idx, "r")) return OS_READABLE;
  return cast_arg_is(L, idx, "w") ? OS_WRITABLE : 0;
}

#define WANTED_MODE "\"r\" or \"w\" expected"

static void set_case(cast_case *c, int fd, int side) {
  c->numbered = true;
  c->fd = fd;
  c->side = (uint8_t)side;
}

cast_net_kind cast_net_wait_case(
  lua_State *L, int idx, int n, cast_case *c, const char **why) {
  if (n < 1 || lua_tocfunction(L, idx) != cast_net_wait) return CAST_NET_NONE;
  if (n < 2 || !cast_net_is_fd(L, idx + 1)) {
    *why = n < 2 ? CAST_NET_FD : cast_net_fd_hint(L, idx + 1);
    return CAST_NET_WRONG;
  }
  if (n != 3 || mode_at(L, idx + 2) == 0) {
    *why = n > 3 ? "{net.wait, fd, mode} expected" : WANTED_MODE;
    return CAST_NET_WRONG;
  }
  set_case(c, (int)lua_tonumber(L, idx + 1),
    mode_at(L, idx + 2) == OS_READABLE ? CAST_READ : CAST_WRITE);
  return CAST_NET_CASE;
}

/* -- the select ----------------------------------------------------------- */

/* How many selects wait for what the case is about, if that may move; or
   NULL. */
static uint32_t *selects_of(const cast_case *c) {
  cast_object *o = c->object;
  if (o == NULL) return NULL;
  if (o->type == &cast_stream_type)
    return &CAST_CONTAINER(o, cast_stream, object)->selects;
  if (o->type == &cast_udp_type)
    return &CAST_CONTAINER(o, cast_udp, object)->selects;
  return NULL;
}

/* What has come may be nothing for a task, of a handshake for example: so it is
   taken, and looked at. */
static bool brings_layer(cast_stream *s, cast_runner *r) {
  intptr_t rc;
  if (CAST_LIKELY(s->layer == NULL) || s->reader != NULL || s->closed)
    return false;
  s->drained = false; /* what no event has told of yet counts, too */
  rc = cast_stream_fill(s, 1, r);
  cast_stream_settle(s, r);
  return rc != OS_EAGAIN;
}

/* Has it something that was read already, so that whatever the system says it
   is ready? */
static bool has_left(cast_object *o, cast_runner *r) {
  if (o->type == &cast_stream_type) {
    cast_stream *s = CAST_CONTAINER(o, cast_stream, object);
    return cast_stream_left(s) > 0 || s->ended || brings_layer(s, r);
  }
  if (o->type == &cast_udp_type) {
    const cast_udp *u = CAST_CONTAINER(o, cast_udp, object);
    return u->left.bytes != NULL && u->receiver == NULL;
  }
  if (o->type == &cast_process_type)
    return cast_process_look(CAST_CONTAINER(o, cast_process, object), NULL);
  return false;
}

static void look_at_left(cast_extra *x, cast_runner *r) {
  for (uint32_t i = 0; i < x->ncases; i++) {
    cast_case *c = &x->cases[i];
    if (c->object == NULL) continue;
    if (has_left(c->object, r)) c->ready = CAST_FILE_READY;
    if (c->object->type == &cast_stream_type)
      c->side = (uint8_t)cast_stream_side(
        CAST_CONTAINER(c->object, cast_stream, object), CAST_READ);
  }
}

static void let_go(cast_extra *x) {
  for (uint32_t i = 0; i < x->ncases; i++) {
    uint32_t *n = selects_of(&x->cases[i]);
    if (n != NULL) (*n)--;
  }
}

static void hold(cast_extra *x) {
  for (uint32_t i = 0; i < x->ncases; i++) {
    uint32_t *n = selects_of(&x->cases[i]);
    if (n != NULL) (*n)++;
  }
  x->let_go = let_go;
}

static int look(cast_state *S, cast_ltask *t, bool waits) {
  cast_extra *x = t->extra;
  uint32_t which = 0;
  int rc;
  look_at_left(x, S->session.runner);
  rc = cast_select_files(
    &S->session, waits ? &t->base : NULL, x->cases, x->ncases, &which);
  if (rc == CAST_PARKED) {
    t->selecting = true;
    if (x->let_go == NULL) hold(x);
  } else {
    t->base.wait.index = which;
  }
  return rc;
}

int cast_net_select(cast_state *S, cast_ltask *t, bool waits) {
  cast_extra *x = t->extra;
  x->turned = waits && cast_turn_is_due(S, t);
  if (CAST_LIKELY(!x->turned)) return look(S, t, waits);
  hold(x);
  return cast_wait_turn(&t->base);
}

int cast_net_select_again(cast_state *S, cast_ltask *t) {
  const cast_case *c = &t->extra->cases[t->base.wait.index];
  bool turned = t->extra->turned;
  t->extra->turned = false;
  return c->chan != NULL && !turned ? 0 : look(S, t, true);
}

void cast_net_select_over(cast_ltask *t) { cast_cases_disown(t->extra); }

/* -- what reports say ----------------------------------------------------- */

/* The address of the other end, or of this one if there is no other; 0: it has
   none, or is no socket. */
static size_t address_of(cast_descriptor *d, char text[CAST_NET_TEXT]) {
  os_address a;
  bool known;
  if (!cast_descriptor_begin(d)) return 0;
  known = os_peer_address(d->fd, &a) == 0 || os_local_address(d->fd, &a) == 0;
  cast_descriptor_end(d);
  return known ? cast_net_text(&a, text) : 0;
}

/* "descriptor 5", with the address in parentheses. */
static void add_number(cast_buffer *b, cast_descriptor *d) {
  char text[CAST_NET_TEXT];
  cast_buffer_form(b, "descriptor %d", d->fd);
  if (address_of(d, text) > 0) cast_buffer_form(b, " (%s)", text);
}

void cast_net_describe_case(cast_buffer *b, const cast_case *c) {
  const cast_type *type = c->object->type;
  char text[CAST_NET_TEXT];
  if (type == &cast_stream_type) {
    const char *name = CAST_CONTAINER(c->object, cast_stream, object)->name;
    cast_buffer_add(b, "to read from ");
    if (name != NULL) return cast_buffer_add(b, name);
  } else if (type == &cast_listener_type) {
    cast_buffer_add(b, "to accept on ");
  } else if (type == &cast_udp_type) {
    cast_buffer_add(b, "to receive on ");
  } else if (type == &cast_process_type) {
    cast_buffer_add(b, "for ");
    return cast_process_describe(
      b, CAST_CONTAINER(c->object, cast_process, object));
  } else {
    cast_buffer_add(b, "for ");
    add_number(b, c->file);
    return cast_buffer_add(
      b, c->side == CAST_READ ? " to be readable" : " to be writable");
  }
  if (address_of(c->file, text) > 0)
    cast_buffer_add(b, text);
  else
    cast_buffer_form(b, "descriptor %d", c->file->fd);
}

/* -- waits for one descriptor --------------------------------------------- */

bool cast_net_wait_begin(cast_ltask *t, int fd, uint32_t events) {
  uint32_t n = events == (OS_READABLE | OS_WRITABLE) ? 2 : 1;
  cast_extra *x = cast_cases_make(t, n);
  if (x == NULL) return false;
  set_case(&x->cases[0], fd, events & OS_READABLE ? CAST_READ : CAST_WRITE);
  if (n == 2) set_case(&x->cases[1], fd, CAST_WRITE);
  return cast_cases_own(x);
}

int cast_net_wait_end(cast_ltask *t, int result) {
  uint8_t ready = CAST_FILE_READY;
  if (result == 0) ready = t->extra->cases[t->base.wait.index].ready;
  cast_net_select_over(t);
  if (ready == CAST_FILE_BAD) return CASTING_EINVAL;
  if (ready == CAST_FILE_CLOSED) return CASTING_ECLOSED;
  return result == CASTING_EEMPTY ? CASTING_ETIMEOUT : result;
}

void cast_net_wait_describe(cast_buffer *b, const cast_ltask *t) {
  const cast_case *c = t->extra->cases;
  if (c->file == NULL) return cast_buffer_add(b, "waiting for a descriptor");
  cast_buffer_add(b, "waiting for ");
  add_number(b, c->file);
  cast_buffer_form(b, " to be %s",
    t->extra->ncases > 1   ? "readable or writable"
    : c->side == CAST_READ ? "readable"
                           : "writable");
}

/* The text that the system has for a number that is not open. */
static int push_bad(lua_State *L) {
  os_kind kind;
  return cast_net_failure(L, os_describe(-1, &kind));
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  int rc = cast_net_wait_end(t, result);
  CAST_UNUSED(S);
  if (rc == CASTING_ECANCELLED || rc == CAST_DEADLOCK) return 0;
  if (rc == CASTING_EINVAL) return push_bad(L);
  if (rc != 0) return cast_net_failure(L, rc);
  lua_pushboolean(L, 1);
  return 1;
}

static const cast_wait_kind wait_kind = {.finish = finish,
  .again = cast_net_select_again,
  .describe = cast_net_wait_describe,
  .cleans_up = true};

/* wait(fd, mode [, timeout]): true; or nil, why. */
int cast_net_wait(lua_State *L) {
  cast_state *S = cast_state_here(L);
  uint64_t deadline = OS_FOREVER;
  uint32_t events;
  cast_ltask *t;
  bool waits;
  int rc;
  if (!cast_net_is_fd(L, 1)) cast_arg_error(L, 1, cast_net_fd_hint(L, 1));
  events = mode_at(L, 2);
  cast_arg_check(L, events != 0, 2, WANTED_MODE);
  if (!lua_isnoneornil(L, 3)) deadline = cast_deadline(L, 3);
  waits = deadline == OS_FOREVER || lua_tonumber(L, 3) > 0;
  t = cast_enter(L, S, deadline);
  if (!waits) cast_turn_first(L, S, t);
  if (!cast_net_wait_begin(t, (int)lua_tonumber(L, 1), events))
    cast_raise_memory(L);
  rc = cast_net_select(S, t, waits);
  if (rc != CAST_PARKED) return finish(L, S, t, rc);
  t->arg = t->extra->cases;
  return cast_park(L, S, t, deadline, &wait_kind);
}
