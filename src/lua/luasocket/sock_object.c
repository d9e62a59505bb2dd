/* sock_object.c - the objects of LuaSocket: classes, and what each has.
   SPDX-License-Identifier: MIT

   A metatable of a class has the methods in a table of its own, as programs
   look into it (getmetatable(s).__index, ssl.https for one), with the field
   `class`. LuaSocket keeps its metatables in the registry under the names of
   the classes; these are not there, so that both may be loaded in one state,
   and neither takes an object of the other for its own. */
#include "../../../include/casting.h"
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../compat/single.h"
#include "sock.h"

#include <stdio.h>

static const char sign; /* tells these objects from others */

/* -- classes -------------------------------------------------------------- */

static const struct class {
  const char *name;
  int methods; /* which of binding->methods */
} classes_of[CAST_SOCK_CLASSES] = {
  [CAST_TCP_MASTER] = {"tcp{master}", CAST_METHODS_SOCK_TCP},
  [CAST_TCP_CLIENT] = {"tcp{client}", CAST_METHODS_SOCK_TCP},
  [CAST_TCP_SERVER] = {"tcp{server}", CAST_METHODS_SOCK_TCP},
  [CAST_UDP_UNCONNECTED] = {"udp{unconnected}", CAST_METHODS_SOCK_UDP},
  [CAST_UDP_CONNECTED] = {"udp{connected}", CAST_METHODS_SOCK_UDP},
  [CAST_UNIX_MASTER] = {"unixstream{master}", CAST_METHODS_SOCK_UNIX},
  [CAST_UNIX_CLIENT] = {"unixstream{client}", CAST_METHODS_SOCK_UNIX},
  [CAST_UNIX_SERVER] = {"unixstream{server}", CAST_METHODS_SOCK_UNIX},
  [CAST_DGRAM_UNCONNECTED] = {"unixdgram{unconnected}",
    CAST_METHODS_SOCK_DGRAM},
  [CAST_DGRAM_CONNECTED] = {"unixdgram{connected}", CAST_METHODS_SOCK_DGRAM},
};

static int tell_class(lua_State *L) {
  char at[32];
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  (void)snprintf(at, sizeof at, "%p", (const void *)k);
  lua_pushfstring(L, "%s: %s", classes_of[k->class].name, at);
  return 1;
}

static int leave(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  cast_stream *s = cast_sock_stream(k);
  k->ncloses++;
  if (s != NULL) cast_stream_close(s, &cast_state_here(L)->session);
  return 0;
}

static const luaL_Reg meta[] = {
  {"__gc", cast_net_stream_collect},
  {"__tostring", tell_class},
  {"__close", leave},
  {NULL, NULL},
};

/* A cast_maker (single.h). */
static void make_meta(lua_State *L, const void *arg) {
  const struct class *c = arg;
  const cast_state *S;
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, meta, 1);
  lua_newtable(L);
  S = cast_state_find(L); /* a finalizer may have ended it meanwhile */
  if (S == NULL) cast_raise_closed(L);
  cast_state_box(L);
  luaL_setfuncs(L, S->binding->methods[c->methods], 1);
  lua_pushstring(L, c->name);
  lua_setfield(L, -2, "class");
  lua_setfield(L, -2, "__index");
}

static void push_meta(lua_State *L, cast_sock_class class) {
  const struct class *c = &classes_of[class];
  (void)cast_single_push(L, c, make_meta, c);
}

/* While an object is made it has the methods of none. */
static void make_bare(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, meta, 1);
}
static void push_bare(lua_State *L) {
  static const char key;
  (void)cast_single_push(L, &key, make_bare, NULL);
}

static cast_sock *sock_at(lua_State *L, int idx) {
  cast_sock *k = lua_touserdata(L, idx);
  if (k == NULL || lua_rawlen(L, idx) != sizeof *k || k->sign != &sign)
    return NULL;
  return k;
}

/* Is the value at idx an object of LuaSocket's own core? Pushes its class. */
static bool is_foreign(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx))
    return false;
  lua_pushliteral(L, "__index");
  lua_rawget(L, -2);
  if (!lua_istable(L, -1)) return false;
  lua_pushliteral(L, "class");
  lua_rawget(L, -2);
  return lua_type(L, -1) == LUA_TSTRING && sock_at(L, idx) == NULL;
}

/* What these classes are called together: "tcp{any}", or the first one. */
static const char *title_of(unsigned classes) {
  if ((classes & CAST_TCP_ANY) == CAST_TCP_ANY) return "tcp{any}";
  if ((classes & CAST_UDP_ANY) == CAST_UDP_ANY) return "udp{any}";
  if ((classes & CAST_UNIX_ANY) == CAST_UNIX_ANY) return "unixstream{any}";
  if ((classes & CAST_DGRAM_ANY) == CAST_DGRAM_ANY) return "unixdgram{any}";
  for (int i = 0; i < CAST_SOCK_CLASSES; i++)
    if (classes & (1u << i)) return classes_of[i].name;
  return "socket";
}

cast_sock *cast_sock_check(lua_State *L, int idx, unsigned classes) {
  cast_sock *k = sock_at(L, idx);
  unsigned kind = CAST_UNIX_ANY | CAST_DGRAM_ANY;
  if (CAST_LIKELY(k != NULL && (classes & CAST_SOCK(k->class)) != 0)) return k;
  /* Of several kinds that have the method, that of the object is named. */
  if (k != NULL && CAST_SOCK(k->class) & CAST_TCP_ANY) kind = CAST_TCP_ANY;
  if (k != NULL && CAST_SOCK(k->class) & CAST_UDP_ANY) kind = CAST_UDP_ANY;
  if (k == NULL) kind = CAST_SOCK_ANY;
  if ((classes & kind) != 0 && classes != CAST_SOCK_ANY) classes &= kind;
  if (is_foreign(L, idx))
    luaL_argerror(L, idx,
      lua_pushfstring(L,
        "%s of casting.socket expected, got %s of LuaSocket's "
        "own core: install() must come first",
        title_of(classes), lua_tostring(L, -1)));
  luaL_argerror(L, idx, lua_pushfstring(L, "%s expected", title_of(classes)));
  return NULL;
}

cast_sock *cast_sock_push(
  lua_State *L, cast_state *S, cast_sock_class class, int family) {
  cast_sock *k = (void *)cast_net_stream_push(L, S, sizeof *k, push_bare);
  k->sign = &sign;
  k->family = family;
  k->block = k->total = -1;
  k->born_ns = os_now();
  cast_sock_become(L, lua_gettop(L), k, class);
  return k;
}

void cast_sock_become(
  lua_State *L, int idx, cast_sock *k, cast_sock_class class) {
  push_meta(L, class);
  lua_setmetatable(L, idx);
  k->class = class;
}

/* -- its descriptor ------------------------------------------------------- */

bool cast_sock_take(
  lua_State *L, cast_sock *k, int fd, cast_stream_origin origin) {
  cast_stream *before = k->handle.stream;
  cast_stream *s = cast_stream_new(fd, origin);
  if (s == NULL) return false;
  if (before != NULL) {
    k->received += (double)cast_stream_taken(before);
    k->sent += (double)before->nwritten;
    cast_stream_close(before, &cast_state_here(L)->session);
  }
  cast_net_stream_replace(L, &k->handle, s);
  k->nstreams++;
  return true;
}

void cast_sock_own(lua_State *L, cast_sock *k, int fd) {
  if (cast_sock_take(L, k, fd, CAST_STREAM_SOCKET)) return;
  os_close(fd);
  cast_raise_memory(L);
}

int cast_sock_fd(const cast_sock *k) {
  const cast_stream *s = cast_sock_stream(k);
  return s != NULL ? s->file->fd : -1;
}

/* -- outcomes ------------------------------------------------------------- */

static const char *known_text(intptr_t rc) {
  if (rc == CASTING_ECLOSED || os_is_gone(rc)) return "closed";
  if (rc == CASTING_ETIMEOUT || rc == OS_EAGAIN) return "timeout";
  if (rc == CASTING_ENOMEM) return CAST_NO_MEMORY;
  if (rc == CAST_TOO_LONG) return "too long";
  if (rc == OS_EBADF) return "Bad file descriptor";
  return os_socket_text(rc);
}

const char *cast_sock_text(intptr_t rc, char text[CAST_SOCK_TEXT]) {
  const char *known = known_text(rc);
  if (known != NULL) return known;
  os_system_text(rc, text, CAST_SOCK_TEXT);
  if (text[0] >= 'a' && text[0] <= 'z') text[0] = (char)(text[0] - 'a' + 'A');
  return text;
}

int cast_sock_failure(lua_State *L, const cast_sock *k, intptr_t rc) {
  char text[CAST_SOCK_TEXT];
  const char *why = cast_sock_text(rc, text);
  if (cast_sock_is_datagram(k) && strcmp(why, "closed") == 0) why = "refused";
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

int cast_sock_outcome(lua_State *L, const cast_sock *k, intptr_t rc) {
  if (rc != 0) return cast_sock_failure(L, k, rc);
  lua_pushnumber(L, 1); /* no integer: neither is LuaSocket's */
  return 1;
}

double cast_sock_seconds(const cast_sock *k) {
  if (!(k->block >= 0)) return k->total >= 0 ? k->total : -1;
  return k->total >= 0 && k->total < k->block ? k->total : k->block;
}
