/* net_resolve.c - the addresses of a name.
   SPDX-License-Identifier: MIT

   A name is looked up by a helper (offload.h), as the system does it: with
   /etc/hosts, name services, search domains, in the system's order. Numeric
   addresses need no helper.

   A *lookup* is a call of the offload `names`. All who ask for the same name
   while it is being looked up share one lookup, as in Go (net.lookupGroup):
   when a program begins, many tasks may connect to the same host. A lookup is
   in `lookups` from its beginning until it is over, or has no reference left.
   Owner: what is in it belongs to the helper until the call is done, and is
   only read from then on.
   Locks: `lookups.lock` (CAST_RANK_LEAF). A lookup is taken out of its list
   under it before it is freed, so one that is found there is valid memory; if
   it has no reference any more, it does not count. */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../offload.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../task/await.h"
#include "../task/enter.h"
#include "net.h"

typedef struct lookup {
  cast_call call;
  cast_list link;  /* (lookups' lock) in its list */
  int family;      /* (i) OS_INET, OS_INET6; OS_OTHER: both */
  char *found;     /* (helper) addresses, each with a zero behind it; or NULL */
  size_t size;     /* (helper) its bytes, CAST_ADDRESSES_SIZE at most */
  const char *why; /* (helper) if there are none: a text that lasts, ... */
  intptr_t failed; /* (helper) ... or, below zero, a result of the system's */
  char name[];     /* (i) */
} lookup;

static cast_offload names =
  CAST_OFFLOAD_STATIC(names, CAST_NAMES_HELPERS, "casting/names");

static struct {
  cast_lock lock;
  bool ready;                        /* (lock) the lists are initialised */
  cast_list lists[CAST_NAMES_LISTS]; /* (lock) by the hash of the name */
} lookups = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

/* -- lookups -------------------------------------------------------------- */

static void forget(lookup *l) {
  cast_lock_take(&lookups.lock);
  cast_list_remove(&l->link);
  cast_lock_drop(&lookups.lock);
}

/* Writes the addresses to `to`, or only counts (NULL): the bytes of those that
   have room. */
static size_t write_texts(const os_address *list, size_t n, char *to) {
  size_t size = 0;
  for (size_t i = 0; i < n; i++) {
    char host[OS_HOST_SIZE];
    uint16_t port;
    size_t bytes = os_address_text(&list[i], host, &port) + 1;
    if (size + bytes > CAST_ADDRESSES_SIZE) break;
    if (to != NULL) memcpy(to + size, host, bytes);
    size += bytes;
  }
  return size;
}

static void run_lookup(cast_call *c) {
  lookup *l = CAST_CONTAINER(c, lookup, call);
  os_address *list;
  intptr_t n = os_resolve(l->name, l->family, 0, &list, &l->why);
  size_t size;
  l->failed = n < 0 ? n : 0;
  if (n > 0) {
    size = write_texts(list, (size_t)n, NULL);
    l->found = cast_alloc(size);
    if (l->found != NULL) l->size = write_texts(list, (size_t)n, l->found);
    l->why = CAST_NO_MEMORY;
  }
  os_free_addresses(list);
  forget(l); /* who asks from now on wants to know what holds then */
}

static void free_lookup(cast_call *c) {
  lookup *l = CAST_CONTAINER(c, lookup, call);
  forget(l);
  cast_free(l->found);
  cast_free(l);
}

static const cast_call_kind lookup_kind = {
  .run = run_lookup, .free = free_lookup};

/* FNV-1a. */
static cast_list *list_of_locked(const char *name) {
  uint32_t h = 2166136261u;
  if (!lookups.ready)
    for (uint32_t i = 0; i < CAST_NAMES_LISTS; i++)
      cast_list_init(&lookups.lists[i]);
  lookups.ready = true;
  for (; *name != '\0'; name++) h = (h ^ (unsigned char)*name) * 16777619u;
  return &lookups.lists[h % CAST_NAMES_LISTS];
}

/* The lookup of that name under way, with a reference; else `fresh` enters. */
static lookup *find_or_enter(lookup *fresh) {
  lookup *found = fresh;
  cast_lock_take(&lookups.lock);
  cast_list *list = list_of_locked(fresh->name);
  for (cast_list *i = list->next; i != list; i = i->next) {
    lookup *l = CAST_CONTAINER(i, lookup, link);
    if (l->family != fresh->family || strcmp(l->name, fresh->name) != 0 ||
        !cast_ref_if_alive(&l->call.object))
      continue;
    found = l;
    break;
  }
  if (found == fresh) cast_list_push(list, &fresh->link);
  cast_lock_drop(&lookups.lock);
  return found;
}

/* A lookup of that name, with a reference, which is or was sent. NULL: there is
   no memory. */
static lookup *look_up(const char *name, size_t size, int family) {
  lookup *l = cast_calloc(sizeof *l + size + 1), *found;
  if (l == NULL) return NULL;
  cast_call_init(&l->call, &lookup_kind);
  cast_list_init(&l->link);
  l->family = family;
  memcpy(l->name, name, size);
  found = find_or_enter(l);
  if (found == l)
    cast_offload_send(&names, &l->call);
  else
    cast_unref(&l->call.object);
  return found;
}

/* -- the wait ------------------------------------------------------------- */

static int fail(lua_State *L, const char *why) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* What came of the lookup of t, whose reference is given up before there is any
   Lua value: making one may run a finalizer which waits in the name of t, and
   so gives it up. */
static int push_found(lua_State *L, cast_ltask *t) {
  const lookup *l = t->arg;
  char found[CAST_ADDRESSES_SIZE];
  char text[128];
  size_t size = l->size;
  const char *why = l->call.result == 0 ? l->why : CAST_NO_MEMORY;
  int n = 0;
  if (l->failed < 0) {
    os_system_text(l->failed, text, sizeof text);
    why = text;
  }
  if (size > 0) memcpy(found, l->found, size);
  cast_release_arg(t);
  if (size == 0) return fail(L, why);
  lua_newtable(L);
  for (size_t at = 0; at < size; at += strlen(found + at) + 1) {
    lua_pushstring(L, found + at);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(S);
  if (result == 0) return push_found(L, t);
  cast_release_arg(t); /* at once: the name may be in the queue */
  return cast_push_interrupt(L, result);
}

/* A name has any bytes but zero; those that would spoil a report are shown as
   question marks. */
static void describe(cast_buffer *b, const cast_ltask *t) {
  const lookup *l = t->arg;
  char shown[CAST_NAME_MOST + 1];
  size_t n = 0;
  for (; l->name[n] != '\0' && n < CAST_NAME_MOST; n++)
    shown[n] =
      (unsigned char)l->name[n] > ' ' && l->name[n] < 127 ? l->name[n] : '?';
  shown[n] = '\0';
  cast_buffer_form(b, "resolving %s", shown);
}

static const cast_wait_kind resolve_kind = {
  .finish = finish, .describe = describe, .cleans_up = true};

/* -- the function --------------------------------------------------------- */

static int family_arg(lua_State *L, int i, int arg) {
  const char *s;
  if (lua_isnoneornil(L, i)) return OS_OTHER;
  if (cast_arg_is(L, i, "inet")) return OS_INET;
  if (cast_arg_is(L, i, "inet6")) return OS_INET6;
  s = lua_type(L, i) == LUA_TSTRING ? lua_tostring(L, i) : "";
  cast_arg_error(L, arg,
    lua_pushfstring(L, "family must be \"inet\" or \"inet6\", got %s",
      lua_type(L, i) == LUA_TSTRING ? lua_pushfstring(L, "\"%s\"", s)
                                    : cast_arg_got(L, i)));
}

/* A numeric address, in the way in which the system writes it. */
static int push_numeric(lua_State *L, const os_address *a, int family) {
  char host[OS_HOST_SIZE];
  uint16_t port;
  size_t n;
  if (family != OS_OTHER && family != os_address_family(a))
    return fail(L, OS_NOT_FOUND);
  n = os_address_text(a, host, &port);
  lua_createtable(L, 1, 0);
  lua_pushlstring(L, host, n);
  lua_rawseti(L, -2, 1);
  return 1;
}

/* resolve(name [, family [, timeout]]), resolve(name, {family=, timeout=}):
   a list of addresses as strings; or nil, why */
int cast_net_resolve(lua_State *L) {
  cast_state *S = cast_state_here(L);
  bool options = lua_istable(L, 2);
  size_t size;
  const char *given = cast_arg_string(L, 1, &size);
  char name[CAST_NAME_MOST + 1]; /* whatever becomes of the stack */
  uint64_t deadline;
  os_address a;
  int family;
  cast_ltask *t;
  lookup *l;
  cast_arg_check(L, size > 0 && size <= CAST_NAME_MOST, 1,
    "a name must have 1 to 253 bytes");
  cast_arg_check(L, strlen(given) == size, 1, "a name has no zero bytes");
  memcpy(name, given, size + 1);
  lua_settop(L, 3);
  if (options) {
    lua_getfield(L, 2, "timeout");
    lua_replace(L, 3);
    lua_getfield(L, 2, "family");
    lua_replace(L, 2);
  }
  family = family_arg(L, 2, 2);
  if (options)
    cast_arg_check(L,
      lua_isnil(L, 3) || (lua_isnumber(L, 3) && lua_tonumber(L, 3) >= 0), 2,
      "timeout must be a number of seconds, zero or more");
  deadline = cast_deadline(L, 3);
  if (os_address_parse(&a, name, 0)) return push_numeric(L, &a, family);
  t = cast_enter(L, S, deadline);
  if (deadline != OS_FOREVER && lua_tonumber(L, 3) <= 0)
    return cast_push_failure(L, CASTING_ETIMEOUT);
  l = look_up(name, size, family);
  if (l == NULL) cast_raise_memory(L);
  t->arg = l;
  t->owns_arg = true; /* the reference is the wait's from here on */
  if (cast_event_wait(&l->call.done, &t->base) == CAST_PARKED)
    return cast_park(L, S, t, deadline, &resolve_kind);
  return push_found(L, t);
}
