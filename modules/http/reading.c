/* reading.c - what is read of HTTP, for Lua.
   SPDX-License-Identifier: MIT */
#include "http.h"

#include <string.h>

static http_text check_text(lua_State *L, int i) {
  http_text t;
  t.at = luaL_checklstring(L, i, &t.n);
  return t;
}

static void push_text(lua_State *L, http_text t) {
  lua_pushlstring(L, t.at, t.n);
}

/* Has the target nothing in it but a path, which is as it was sent? */
static bool is_path(http_text target) {
  return target.at[0] == '/' && memchr(target.at, '%', target.n) == NULL &&
         memchr(target.at, '?', target.n) == NULL;
}

/* request(head): method, target, flags, length, and the target again if it is
   its own path; or nil, status, why. */
static int read_request(lua_State *L) {
  http_head h;
  const http_fault *fault = http_head_request(&h, check_text(L, 1));
  if (fault != NULL) {
    lua_pushnil(L);
    lua_pushinteger(L, fault->status);
    lua_pushstring(L, fault->why);
    return 3;
  }
  push_text(L, h.method);
  push_text(L, h.target);
  lua_pushinteger(L, (lua_Integer)h.flags);
  lua_pushnumber(L, (lua_Number)h.length);
  if (!is_path(h.target)) return 4;
  lua_pushvalue(L, -3);
  return 5;
}

/* response(head): status, reason, flags, length; or nil and why. */
static int read_response(lua_State *L) {
  http_head h;
  const http_fault *fault = http_head_response(&h, check_text(L, 1));
  if (fault != NULL) {
    lua_pushnil(L);
    lua_pushstring(L, fault->why);
    return 2;
  }
  lua_pushinteger(L, h.status);
  push_text(L, h.reason);
  lua_pushinteger(L, (lua_Integer)h.flags);
  lua_pushnumber(L, (lua_Number)h.length);
  return 4;
}

/* unfold(head): the head of a response without folded fields: a client takes
   them, as some old servers send them (RFC 9112, 5.2). A line before the first
   field that begins with a blank is left, and malformed. */
static int unfold(lua_State *L) {
  http_text t = check_text(L, 1);
  const char *from = t.at, *end = t.at + t.n, *nl = t.at;
  bool first = true, found = false;
  luaL_Buffer b;
  while ((nl = memchr(nl, '\n', (size_t)(end - nl))) != NULL) {
    bool folded = !first && nl[-1] == '\r' && end - nl > 1 &&
                  (nl[1] == ' ' || nl[1] == '\t');
    first = false;
    nl++;
    if (!folded) continue;
    if (!found) luaL_buffinit(L, &b);
    found = true;
    luaL_addlstring(&b, from, (size_t)(nl - 2 - from));
    luaL_addchar(&b, ' ');
    while (nl < end && (*nl == ' ' || *nl == '\t')) nl++;
    from = nl;
  }
  if (!found) {
    lua_settop(L, 1);
    return 1;
  }
  luaL_addlstring(&b, from, (size_t)(end - from));
  luaL_pushresult(&b);
  return 1;
}

/* -- fields --------------------------------------------------------------- */

/* The lines of a head behind its first one, which an empty one may precede. */
static http_text fields_of(http_text head) {
  const char *end;
  size_t n = 0;
  if (head.n > 2 && memcmp(head.at, "\r\n", 2) == 0) n = 2;
  end = memchr(head.at + n, '\n', head.n - n);
  if (end == NULL) return (http_text){NULL, 0};
  n = (size_t)(end - head.at) + 1;
  return (http_text){head.at + n, head.n - n};
}

static void push_lower(lua_State *L, http_text t) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < t.n; i++) {
    char c = t.at[i];
    luaL_addchar(&b, c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c);
  }
  luaL_pushresult(&b);
}

/* The table at `t` gets a field. One that comes again is a longer list (RFC
   9110, 5.3); Set-Cookie has commas of its own, so it is always a table. */
static void add_field(lua_State *L, int t, http_field f) {
  push_lower(L, f.name);
  lua_pushvalue(L, -1);
  lua_rawget(L, t);
  if (http_text_is(f.name, "set-cookie")) {
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_newtable(L);
    }
    push_text(L, f.value);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
  } else if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    push_text(L, f.value);
  } else {
    lua_pushstring(L, http_text_is(f.name, "cookie") ? "; " : ", ");
    push_text(L, f.value);
    lua_concat(L, 3);
  }
  lua_rawset(L, t);
}

/* fields(head [, bare]): a table of the fields of a head that was found right,
   with names in lower case; `bare`: it has no first line. */
static int read_fields(lua_State *L) {
  http_text rest = check_text(L, 1);
  http_field f;
  if (!lua_toboolean(L, 2)) rest = fields_of(rest);
  lua_newtable(L);
  while (http_next_field(&rest, &f)) add_field(L, lua_gettop(L), f);
  return 1;
}

/* field(head, name): its value, the first one; nil: it is not there. The name
   is in lower case. */
static int read_field(lua_State *L) {
  http_text rest = fields_of(check_text(L, 1));
  const char *name = luaL_checkstring(L, 2);
  http_field f;
  while (http_next_field(&rest, &f)) {
    if (!http_text_is(f.name, name)) continue;
    push_text(L, f.value);
    return 1;
  }
  return 0;
}

/* trailer(line): is it a field behind the last chunk? */
static int read_trailer(lua_State *L) {
  http_text rest = check_text(L, 1);
  http_field f;
  lua_pushboolean(L, http_next_field(&rest, &f) && http_is_token(f.name) &&
                       http_is_value(f.value));
  return 1;
}

/* chunk_size(line): a number; or nil: it is wrong. */
static int read_chunk_size(lua_State *L) {
  int64_t size = http_chunk_size(check_text(L, 1));
  if (size < 0) return 0;
  lua_pushnumber(L, (lua_Number)size);
  return 1;
}

/* is_token(s), is_value(s) */
static int is_token(lua_State *L) {
  lua_pushboolean(L, http_is_token(check_text(L, 1)));
  return 1;
}
static int is_value(lua_State *L) {
  lua_pushboolean(L, http_is_value(check_text(L, 1)));
  return 1;
}

const luaL_Reg http_reading[] = {
  {"request", read_request},
  {"response", read_response},
  {"fields", read_fields},
  {"field", read_field},
  {"trailer", read_trailer},
  {"unfold", unfold},
  {"chunk_size", read_chunk_size},
  {"is_token", is_token},
  {"is_value", is_value},
  {NULL, NULL},
};
