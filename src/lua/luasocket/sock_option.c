/* sock_option.c - options of sockets, by the names that LuaSocket has.
   SPDX-License-Identifier: MIT

   One table says what each option takes, which classes have it, and whether it
   can be set, or told, or both.

   Seconds of `linger` would make the system's close wait, and the thread with
   it. So they are kept and told, but the system has none: what was sent goes
   out after the close, as without the option. With 0 seconds a close resets the
   connection, as it should. */
#include "../../../include/casting.h"
#include "../../os/sockopt.h"
#include "../compat/auxiliary.h"
#include "sock_method.h"

#include <limits.h>

/* What it is in Lua. */
typedef enum value_kind {
  SWITCH,  /* true or false */
  NUMBER,  /* what tonumber makes of it, or 0 */
  LINGER,  /* {on = boolean, timeout = number} */
  ADDRESS, /* a numeric IPv4 address, or "*" */
  GROUP,   /* {multiaddr = , interface = }, of IPv4 */
  GROUP6,  /* the same, of IPv6 */
  DEVICE,  /* the name of an interface */
  FAILURE  /* the text of what has happened to it; nil: nothing */
} value_kind;

enum { SET = 1, GET = 2, BOTH = SET | GET };

typedef struct option {
  const char *name;
  os_sockopt what;
  value_kind kind;
  unsigned classes;
  int ways;
} option;

#define TCP CAST_TCP_ANY
#define UDP CAST_UDP_ANY
#define STREAM CAST_UNIX_ANY
#define DGRAM CAST_DGRAM_ANY

static const option options[] = {
  {"bindtodevice", OS_SO_DEVICE, DEVICE, TCP, BOTH},
  {"broadcast", OS_SO_BROADCAST, SWITCH, UDP, BOTH},
  {"dontroute", OS_SO_DONTROUTE, SWITCH, UDP, BOTH},
  {"error", 0, FAILURE, TCP | UDP, GET},
  {"ip-add-membership", OS_SO_JOIN, GROUP, UDP, SET},
  {"ip-drop-membership", OS_SO_LEAVE, GROUP, UDP, SET},
  {"ip-multicast-if", OS_SO_MULTICAST_IF, ADDRESS, UDP, BOTH},
  {"ip-multicast-loop", OS_SO_MULTICAST_LOOP, SWITCH, UDP, BOTH},
  {"ip-multicast-ttl", OS_SO_MULTICAST_TTL, NUMBER, UDP, SET},
  {"ipv6-add-membership", OS_SO_JOIN6, GROUP6, UDP, SET},
  {"ipv6-drop-membership", OS_SO_LEAVE6, GROUP6, UDP, SET},
  {"ipv6-multicast-hops", OS_SO_MULTICAST_HOPS6, NUMBER, UDP, BOTH},
  {"ipv6-multicast-loop", OS_SO_MULTICAST_LOOP6, SWITCH, UDP, BOTH},
  {"ipv6-unicast-hops", OS_SO_HOPS6, NUMBER, UDP, BOTH},
  {"ipv6-v6only", OS_SO_V6ONLY, SWITCH, TCP, SET},
  {"ipv6-v6only", OS_SO_V6ONLY, SWITCH, UDP, BOTH},
  {"keepalive", OS_SO_KEEPALIVE, SWITCH, TCP, BOTH},
  {"keepalive", OS_SO_KEEPALIVE, SWITCH, STREAM, SET},
  {"linger", OS_SO_LINGER, LINGER, TCP, BOTH},
  {"linger", OS_SO_LINGER, LINGER, STREAM, SET},
  {"recv-buffer-size", OS_SO_RECEIVE_BUFFER, NUMBER, TCP | UDP, BOTH},
  {"reuseaddr", OS_SO_REUSEADDR, SWITCH, TCP | UDP, BOTH},
  {"reuseaddr", OS_SO_REUSEADDR, SWITCH, STREAM | DGRAM, SET},
  {"reuseport", OS_SO_REUSEPORT, SWITCH, TCP | UDP, BOTH},
  {"send-buffer-size", OS_SO_SEND_BUFFER, NUMBER, TCP | UDP, BOTH},
  {"tcp-defer-accept", OS_SO_DEFER_ACCEPT, NUMBER, TCP, SET},
  {"tcp-fastopen", OS_SO_FASTOPEN, NUMBER, TCP, SET},
  {"tcp-fastopen-connect", OS_SO_FASTOPEN_CONNECT, NUMBER, TCP, SET},
  {"tcp-keepcnt", OS_SO_KEEPCNT, NUMBER, TCP, BOTH},
  {"tcp-keepidle", OS_SO_KEEPIDLE, NUMBER, TCP, BOTH},
  {"tcp-keepintvl", OS_SO_KEEPINTVL, NUMBER, TCP, BOTH},
  {"tcp-nodelay", OS_SO_NODELAY, SWITCH, TCP, BOTH},
};

/* The option whose name is at index 2. Raises if the class does not have it, in
   that way. */
static const option *find(lua_State *L, const cast_sock *k, int way) {
  const char *name = luaL_checkstring(L, 2);
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (strcmp(options[i].name, name) == 0 && options[i].ways & way &&
        options[i].classes & CAST_SOCK(k->class))
      return &options[i];
  luaL_argerror(L, 2, lua_pushfstring(L, "unsupported option `%s'", name));
  return NULL;
}

/* -- values --------------------------------------------------------------- */

/* The value at idx as the system takes it: 0 if it is no number; the nearest if
   it is too large. */
static int clip(lua_State *L, int idx) {
  lua_Number n = lua_tonumber(L, idx);
  if (!(n > INT_MIN)) return n < 0 ? INT_MIN : 0;
  return n < INT_MAX ? (int)n : INT_MAX;
}

/* Pushes field `name` of the table at index 3. */
static void push_field(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  lua_gettable(L, 3);
}

static void check_table(lua_State *L) { luaL_checktype(L, 3, LUA_TTABLE); }

static os_sockvalue check_linger(lua_State *L) {
  os_sockvalue v = {.number = 0};
  check_table(L);
  push_field(L, "on");
  if (!lua_isboolean(L, -1)) luaL_argerror(L, 3, "boolean 'on' field expected");
  v.number = lua_toboolean(L, -1);
  push_field(L, "timeout");
  if (!lua_isnumber(L, -1))
    luaL_argerror(L, 3, "number 'timeout' field expected");
  v.seconds = clip(L, -1);
  return v;
}

static void check_address(
  lua_State *L, const char *text, int family, os_address *a, const char *what) {
  if (strcmp(text, "*") == 0) text = "0.0.0.0";
  if (!os_address_parse(a, text, 0) || os_address_family(a) != family)
    luaL_argerror(L, 3, what);
}

static os_sockvalue check_group(lua_State *L, bool six) {
  os_sockvalue v = {.number = 0};
  check_table(L);
  push_field(L, "multiaddr");
  if (!lua_isstring(L, -1))
    luaL_argerror(L, 3, "string 'multiaddr' field expected");
  check_address(L, lua_tostring(L, -1), six ? OS_INET6 : OS_INET, &v.group,
    "invalid 'multiaddr' ip address");
  push_field(L, "interface");
  if (six) {
    if (!lua_isnil(L, -1) && !lua_isnumber(L, -1))
      luaL_argerror(L, 3, "number 'interface' field expected");
    v.number = clip(L, -1);
    return v;
  }
  if (!lua_isstring(L, -1))
    luaL_argerror(L, 3, "string 'interface' field expected");
  check_address(L, lua_tostring(L, -1), OS_INET, &v.address,
    "invalid 'interface' ip address");
  return v;
}

/* The value at index 3. Raises if it is of another type. */
static os_sockvalue check_value(lua_State *L, const option *o) {
  os_sockvalue v = {.number = 0};
  switch (o->kind) {
  case SWITCH:
    luaL_checktype(L, 3, LUA_TBOOLEAN);
    v.number = lua_toboolean(L, 3);
    break;
  case NUMBER: v.number = clip(L, 3); break;
  case LINGER: return check_linger(L);
  case ADDRESS:
    check_address(
      L, luaL_checkstring(L, 3), OS_INET, &v.address, "ip expected");
    break;
  case GROUP:
  case GROUP6: return check_group(L, o->kind == GROUP6);
  default: v.text = luaL_checkstring(L, 3); break;
  }
  return v;
}

static int push_value(lua_State *L, const option *o, const os_sockvalue *v) {
  char host[OS_HOST_SIZE];
  uint16_t port;
  switch (o->kind) {
  case SWITCH: lua_pushboolean(L, v->number); break;
  case LINGER:
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, v->number);
    lua_setfield(L, -2, "on");
    lua_pushinteger(L, v->seconds);
    lua_setfield(L, -2, "timeout");
    break;
  case ADDRESS:
    (void)os_address_text(&v->address, host, &port);
    lua_pushstring(L, host);
    break;
  case DEVICE: lua_pushstring(L, v->name); break;
  default: lua_pushnumber(L, v->number); break;
  }
  return 1;
}

/* -- the methods ---------------------------------------------------------- */

static int fail(lua_State *L, const char *why) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

int cast_sock_setoption(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  const option *o = find(L, k, SET);
  os_sockvalue v = check_value(L, o);
  if (o->kind == LINGER) {
    k->lingers = v.number != 0 ? v.seconds : 0;
    if (v.seconds > 0) v.number = 0;
  }
  if (os_sockopt_set(cast_sock_fd(k), o->what, &v) != 0)
    return fail(L, "setsockopt failed");
  return cast_sock_outcome(L, k, 0);
}

int cast_sock_getoption(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, TCP | UDP);
  const option *o = find(L, k, GET);
  os_sockvalue v;
  if (o->kind == FAILURE) {
    char text[CAST_SOCK_TEXT];
    int rc = os_socket_error(cast_sock_fd(k));
    if (cast_sock_fd(k) < 0) return fail(L, "getsockopt failed");
    lua_pushstring(L, rc != 0 ? cast_sock_text(rc, text) : NULL);
    return 1;
  }
  if (os_sockopt_get(cast_sock_fd(k), o->what, &v) != 0)
    return fail(L, "getsockopt failed");
  if (o->kind == LINGER && k->lingers > 0) {
    v.number = 1;
    v.seconds = k->lingers;
  }
  return push_value(L, o, &v);
}
