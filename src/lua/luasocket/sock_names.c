/* sock_names.c - what LuaSocket tells of hosts and services.
   SPDX-License-Identifier: MIT

   The system may ask name servers for it, so helper threads do (offload.h). The
   addresses to connect to are looked up by casting.net (net_resolve.c). */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../offload.h"
#include "../../os/host.h"
#include "../compat/auxiliary.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "sock.h"

typedef struct question {
  cast_call call;
  enum { HOST, INFO, SERVICE, SERVICE_UDP } kind; /* (i) */
  char *host;                                     /* (i) in `text`; or NULL */
  char *service;                                  /* (i) likewise */
  int port;        /* (helper) SERVICE: below 0: none */
  bool failed;     /* (helper) */
  const char *why; /* (helper) if so: a text that lasts */
  os_texts found;  /* (helper) HOST, INFO */
  char text[];     /* (i) */
} question;

static cast_offload hosts =
  CAST_OFFLOAD_STATIC(hosts, CAST_HOSTS_HELPERS, "casting/hosts");

static void answer(cast_call *c) {
  question *q = CAST_CONTAINER(c, question, call);
  switch (q->kind) {
  case HOST: q->failed = os_host_of(q->host, &q->found, &q->why) != 0; break;
  case INFO:
    q->failed = os_name_info(q->host, q->service, &q->found, &q->why) != 0;
    break;
  default:
    q->port = os_service_port(q->service, q->kind == SERVICE_UDP, &q->why);
    q->failed = q->port < 0;
  }
}

static void free_question(cast_call *c) {
  cast_free(CAST_CONTAINER(c, question, call));
}

static const cast_call_kind question_kind = {
  .run = answer, .free = free_question};

/* -- answers -------------------------------------------------------------- */

/* The list of the texts from *at on, up to an empty one or the end. */
static void push_list(lua_State *L, const os_texts *from, size_t *at) {
  int n = 0;
  lua_newtable(L);
  while (*at < from->size && from->bytes[*at] != '\0') {
    lua_pushstring(L, from->bytes + *at);
    lua_rawseti(L, -2, ++n);
    *at += strlen(from->bytes + *at) + 1;
  }
  if (*at < from->size) (*at)++;
}

/* name, aliases, addresses */
static int push_host(lua_State *L, const os_texts *found) {
  size_t at = strlen(found->bytes) + 1;
  lua_pushstring(L, found->bytes);
  push_list(L, found, &at);
  push_list(L, found, &at);
  return 3;
}

/* names of the host, service */
static int push_info(lua_State *L, const os_texts *found) {
  size_t at = strlen(found->bytes) + 1;
  push_list(L, found, &at);
  lua_pushstring(L, found->bytes);
  return 2;
}

/* The reference is given up before there is any Lua value, see push_found in
   net_resolve.c. */
static int push_answer(lua_State *L, cast_ltask *t) {
  question *q = t->arg;
  const char *why = q->call.result == 0 ? q->why : CAST_NO_MEMORY;
  bool failed = q->failed || q->call.result != 0;
  int kind = q->kind, port = q->port;
  os_texts found;
  found.size = q->found.size;
  memcpy(found.bytes, q->found.bytes, found.size);
  cast_release_arg(t);
  if (failed) {
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
  }
  if (kind == HOST) return push_host(L, &found);
  if (kind == INFO) return push_info(L, &found);
  lua_pushinteger(L, port);
  return 1;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(S);
  if (result == 0) return push_answer(L, t);
  cast_release_arg(t);
  return cast_push_interrupt(L, result);
}

static const cast_wait_kind ask_kind = {
  .finish = finish, .what = "resolving a name", .cleans_up = true};

/* -- the question --------------------------------------------------------- */

/* A copy of the argument i, behind *to; NULL: there is none. */
static char *copy(lua_State *L, int i, char **to) {
  size_t n;
  const char *text = lua_tolstring(L, i, &n);
  char *at = *to;
  if (text == NULL) return NULL;
  memcpy(at, text, n + 1);
  *to += n + 1;
  return at;
}

/* The room that the argument i needs; 0: it is no name that there could be. */
static size_t size_of(lua_State *L, int i) {
  size_t n = 0;
  const char *text;
  if (lua_isnoneornil(L, i)) return 1;
  text = luaL_checklstring(L, i, &n);
  return n <= CAST_NAME_MOST && strlen(text) == n ? n + 1 : 0;
}

/* ask(kind, host, service): "host": name, aliases, addresses; "info": names,
   service; "tcp" or "udp": the port of the service; or nil, why. */
static int ask(lua_State *L) {
  static const char *const kinds[] = {"host", "info", "tcp", "udp", NULL};
  int kind = luaL_checkoption(L, 1, NULL, kinds);
  size_t nhost = size_of(L, 2), nservice = size_of(L, 3);
  cast_state *S = cast_state_here(L);
  cast_ltask *t;
  question *q;
  char *to;
  if (nhost == 0 || nservice == 0) {
    lua_pushnil(L);
    lua_pushstring(L, kind == HOST ? OS_NOT_FOUND : OS_UNKNOWN);
    return 2;
  }
  t = cast_enter(L, S, OS_FOREVER);
  q = cast_calloc(sizeof *q + nhost + nservice);
  if (q == NULL) cast_raise_memory(L);
  cast_call_init(&q->call, &question_kind);
  q->kind = kind;
  to = q->text;
  q->host = copy(L, 2, &to);
  q->service = copy(L, 3, &to);
  t->arg = q;
  t->owns_arg = true; /* the reference is the wait's from here on */
  cast_offload_send(&hosts, &q->call);
  if (cast_event_wait(&q->call.done, &t->base) == CAST_PARKED)
    return cast_park(L, S, t, OS_FOREVER, &ask_kind);
  return push_answer(L, t);
}

/* gethostname(): the name of this machine; or nil, why. */
static int tell_name(lua_State *L) {
  char name[257], text[CAST_SOCK_TEXT];
  int rc = os_host_name(name, sizeof name);
  if (rc == 0) {
    lua_pushstring(L, name);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, cast_sock_text(rc, text));
  return 2;
}

const luaL_Reg cast_sock_names[] = {
  {"ask", ask},
  {"hostname", tell_name},
  {NULL, NULL},
};
