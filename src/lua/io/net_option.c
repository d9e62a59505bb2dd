/* net_option.c - options of sockets.
   SPDX-License-Identifier: MIT

   One table says what each option takes, and which sockets have it: the system
   takes some where they mean nothing, and this tells. What an option is worth
   is the system's affair: Linux tells twice the size of a buffer that was asked
   for, as that is what it reserves. */
#include "net_option.h"

#include "../../../include/casting.h"
#include "../../fork.h"
#include "../../os/socket.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../state/state.h"

/* Which sockets have an option. */
enum {
  TCP = 1,   /* connections and listeners over IP */
  UDP = 2,   /* datagrams over IP */
  LOCAL = 4, /* Unix sockets */
  IP = TCP | UDP,
  ANY = IP | LOCAL,
  SIX = 8, /* beside these: of IPv6 only */
};

/* What it is in Lua. */
typedef enum value_kind {
  SWITCH,  /* true or false */
  NUMBER,  /* an integer from `least` to `most` */
  SECONDS, /* the same, or false: off, which is `off` */
  DEVICE   /* the name of an interface; can be set only */
} value_kind;

typedef struct option {
  const char *name;
  os_option what;
  value_kind kind;
  unsigned sockets;
  int least, most;
  int off;
} option;

/* Seconds of `linger` would make close wait, and the thread with it, so all
   that it can be is off, or 0: close resets the connection. */
static const option options[] = {
  {"broadcast", OS_BROADCAST, SWITCH, UDP, 0, 0, 0},
  {"keepalive", OS_KEEPALIVE, SECONDS, TCP, 1, 32767, 0},
  {"linger", OS_LINGER, SECONDS, TCP, 0, 0, -1},
  {"multicast_device", 0, DEVICE, UDP, 0, 0, 0},
  {"multicast_loop", OS_MULTICAST_LOOP, SWITCH, UDP, 0, 0, 0},
  {"multicast_ttl", OS_MULTICAST_TTL, NUMBER, UDP, 0, 255, 0},
  {"nodelay", OS_NODELAY, SWITCH, TCP, 0, 0, 0},
  {"recvbuffer", OS_RECEIVE_BUFFER, NUMBER, ANY, 1, 1 << 30, 0},
  {"reuseaddr", OS_REUSEADDR, SWITCH, IP, 0, 0, 0},
  {"reuseport", OS_REUSEPORT, SWITCH, IP, 0, 0, 0},
  {"sendbuffer", OS_SEND_BUFFER, NUMBER, ANY, 1, 1 << 30, 0},
  {"ttl", OS_TTL, NUMBER, IP, 1, 255, 0},
  {"v6only", OS_V6ONLY, SWITCH, IP | SIX, 0, 0, 0},
};
#define NOPTIONS (sizeof options / sizeof *options)

/* -- what is asked for ---------------------------------------------------- */

static const option *find(const char *name) {
  for (size_t i = 0; i < NOPTIONS; i++)
    if (strcmp(options[i].name, name) == 0) return &options[i];
  return NULL;
}

static _Noreturn void raise_unknown(lua_State *L) {
  lua_pushfstring(
    L, "there is no option '%s'; there are", cast_arg_quote(L, 2));
  for (size_t i = 0; i < NOPTIONS; i++) {
    lua_pushfstring(L, "%s %s", i == 0 ? "" : ",", options[i].name);
    lua_concat(L, 2);
  }
  cast_arg_error(L, 2, lua_tostring(L, -1));
}

/* The error that what is at `value` is none for this option. */
static _Noreturn void raise_value(
  lua_State *L, const option *o, int value, int i) {
  const char *got = cast_arg_got(L, value);
  switch (o->kind) {
  case SWITCH:
    lua_pushfstring(L, "%s must be true or false, got %s", o->name, got);
    break;
  case DEVICE:
    lua_pushfstring(
      L, "%s must be the name of an interface, got %s", o->name, got);
    break;
  default:
    if (o->least == o->most)
      lua_pushfstring(
        L, "%s must be %d or false, got %s", o->name, o->most, got);
    else
      lua_pushfstring(L, "%s must be an integer from %d to %d%s, got %s",
        o->name, o->least, o->most, o->kind == SECONDS ? ", or false" : "",
        got);
  }
  cast_arg_error(L, i, lua_tostring(L, -1));
}

/* The number that stands for the value at `value`, which is none of a DEVICE.
   Raises an error about argument i. */
static int check(lua_State *L, const option *o, int value, int i) {
  int type = lua_type(L, value);
  lua_Number n = type == LUA_TNUMBER ? lua_tonumber(L, value) : -1;
  if (o->kind == SWITCH && type == LUA_TBOOLEAN) return lua_toboolean(L, value);
  if (o->kind == SECONDS && type == LUA_TBOOLEAN && !lua_toboolean(L, value))
    return o->off;
  if (o->kind == SWITCH || type != LUA_TNUMBER || !(n >= o->least) ||
      !(n <= o->most) || n != (lua_Number)(int)n)
    raise_value(L, o, value, i);
  return (int)n;
}

/* The same of a DEVICE: its name, which the value at `value` keeps. */
static const char *check_device(
  lua_State *L, const option *o, int value, int i) {
  size_t n;
  const char *name;
  if (lua_type(L, value) != LUA_TSTRING) raise_value(L, o, value, i);
  name = lua_tolstring(L, value, &n);
  cast_arg_check(L, strlen(name) == n, i, "a name has no zero bytes");
  return name;
}

/* -- asking the system ---------------------------------------------------- */

/* Has the socket such an option? *family: its own. */
static bool has(int fd, const option *o, int *family) {
  os_kind k;
  unsigned is;
  if (os_describe(fd, &k) != 0 || !k.is_socket) return false;
  *family = k.family;
  is = k.family == OS_UNIX ? LOCAL : k.is_stream ? TCP : UDP;
  if (k.family == OS_OTHER || (o->sockets & is) == 0) return false;
  return (o->sockets & SIX) == 0 || k.family == OS_INET6;
}

/* Results: a socket of the kind does not have it; it can be set only. */
#define LACKING (-201)
#define MUTE (-202)

static int set(int fd, const option *o, int number, const char *device) {
  int family;
  if (!has(fd, o, &family)) return LACKING;
  if (o->kind == DEVICE) return os_multicast_device(fd, family, device);
  return os_set_option(fd, family, o->what, number);
}

static int get(int fd, const option *o, int *number) {
  int family;
  if (!has(fd, o, &family)) return LACKING;
  if (o->kind == DEVICE) return MUTE;
  return os_get_option(fd, family, o->what, number);
}

int cast_net_option_failure(lua_State *L, int rc) {
  char text[128];
  if (rc == CASTING_ECLOSED) return cast_push_failure(L, rc);
  lua_pushnil(L);
  if (rc == LACKING || rc == OS_EPERM) {
    lua_pushliteral(L, "this socket has no such option");
  } else if (rc == MUTE) {
    lua_pushliteral(L, "this option cannot be read");
  } else {
    os_system_text(rc, text, sizeof text);
    lua_pushstring(L, text);
  }
  return 2;
}

/* -- the functions -------------------------------------------------------- */

int cast_net_option(lua_State *L, cast_descriptor *file) {
  const char *name = cast_arg_text(L, 2), *device = NULL;
  const option *o = find(name);
  bool sets = !lua_isnoneornil(L, 3);
  int number = 0, rc = CASTING_ECLOSED;
  if (sets && cast_forked) cast_raise_closed(L); /* it is the parent's, too */
  if (o == NULL) raise_unknown(L);
  if (sets && o->kind == DEVICE) {
    device = check_device(L, o, 3, 3);
  } else if (sets) {
    number = check(L, o, 3, 3);
  }
  if (cast_descriptor_begin(file)) {
    rc = sets ? set(file->fd, o, number, device) : get(file->fd, o, &number);
    cast_descriptor_end(file);
  }
  if (rc != 0) return cast_net_option_failure(L, rc);
  if (sets)
    lua_pushboolean(L, 1);
  else if (o->kind == SWITCH)
    lua_pushboolean(L, number != 0);
  else if (o->kind == SECONDS && number == o->off)
    lua_pushboolean(L, 0);
  else
    lua_pushinteger(L, number);
  return 1;
}

int cast_net_options(lua_State *L, int table, cast_descriptor *file) {
  int rc = 0;
  table = lua_absindex(L, table);
  for (size_t i = 0; i < NOPTIONS && rc == 0; i++) {
    const option *o = &options[i];
    const char *device = NULL;
    int number = 0;
    lua_getfield(L, table, o->name);
    if (!lua_isnil(L, -1)) {
      if (o->kind != DEVICE)
        number = check(L, o, lua_gettop(L), table);
      else
        device = check_device(L, o, lua_gettop(L), table);
      rc = CASTING_ECLOSED;
      if (cast_descriptor_begin(file)) {
        rc = set(file->fd, o, number, device);
        cast_descriptor_end(file);
      }
    }
    lua_pop(L, 1);
  }
  return rc;
}
