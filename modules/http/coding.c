/* coding.c - targets and their percent signs (RFC 3986), and other ways to
   write things, for Lua.
   SPDX-License-Identifier: MIT */
#include "http.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Pushes t with each "%41" as the byte that it stands for, and with `plus` each
   "+" as a blank. False, and nothing is pushed: there is a percent sign that
   begins none. */
static bool push_decoded(lua_State *L, http_text t, bool plus) {
  luaL_Buffer b;
  for (size_t i = 0; i < t.n; i++)
    if (t.at[i] == '%' &&
        (t.n - i < 3 || digit_of(t.at[i + 1]) < 0 || digit_of(t.at[i + 2]) < 0))
      return false;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < t.n; i++) {
    char c = t.at[i];
    if (c == '%') {
      c = (char)(digit_of(t.at[i + 1]) * 16 + digit_of(t.at[i + 2]));
      i += 2;
    } else if (plus && c == '+') {
      c = ' ';
    }
    luaL_addchar(&b, c);
  }
  luaL_pushresult(&b);
  return true;
}

/* decode(s [, plus]): a string; or nil: it is malformed. */
static int decode(lua_State *L) {
  http_text t;
  t.at = luaL_checklstring(L, 1, &t.n);
  return push_decoded(L, t, lua_toboolean(L, 2)) ? 1 : 0;
}

/* encode(s): with all bytes as "%41" but letters, digits, and "-._~". */
static int encode(lua_State *L) {
  static const char digits[] = "0123456789ABCDEF";
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        (c >= '0' && c <= '9') || (c != 0 && strchr("-._~", c) != NULL)) {
      luaL_addchar(&b, (char)c);
    } else {
      luaL_addchar(&b, '%');
      luaL_addchar(&b, digits[c >> 4]);
      luaL_addchar(&b, digits[c & 15]);
    }
  }
  luaL_pushresult(&b);
  return 1;
}

/* Takes "http://host" off a target in absolute form (RFC 9112, 3.2.2); *host is
   what it says. False: it has another form. */
static bool take_authority(http_text *t, http_text *host) {
  size_t start;
  if (t->n > 7 && http_text_is((http_text){t->at, 7}, "http://"))
    start = 7;
  else if (t->n > 8 && http_text_is((http_text){t->at, 8}, "https://"))
    start = 8;
  else
    return false;
  t->at += start;
  t->n -= start;
  *host = *t;
  for (size_t i = 0; i < t->n; i++) {
    if (t->at[i] != '/' && t->at[i] != '?') continue;
    host->n = i;
    break;
  }
  t->at += host->n;
  t->n -= host->n;
  return true;
}

/* target(s): the path, decoded; what is behind its question mark, or nil; and
   the host, or nil, of a target in absolute form. nil: it is malformed, or its
   path has a zero byte. An asterisk has nothing behind it. */
static int split_target(lua_State *L) {
  http_text t, path, host;
  const char *mark;
  bool absolute;
  t.at = luaL_checklstring(L, 1, &t.n);
  absolute = take_authority(&t, &host);
  if (absolute && !http_is_host(host)) return 0;
  mark = memchr(t.at, '?', t.n);
  path = (http_text){t.at, mark != NULL ? (size_t)(mark - t.at) : t.n};
  if (absolute && path.n == 0) path = (http_text){"/", 1};
  if (path.n == 0 || (path.at[0] != '/' && !(t.n == 1 && *t.at == '*')))
    return 0;
  if (memchr(path.at, '%', path.n) == NULL) {
    lua_pushlstring(L, path.at, path.n);
  } else {
    size_t n;
    const char *s;
    if (!push_decoded(L, path, false)) return 0;
    s = lua_tolstring(L, -1, &n);
    if (memchr(s, '\0', n) != NULL) return 0;
  }
  if (mark == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, mark + 1, t.n - (size_t)(mark + 1 - t.at));
  if (!absolute) return 2;
  lua_pushlstring(L, host.at, host.n);
  return 3;
}

/* base64(s) (RFC 4648, 4) */
static int push_base64(lua_State *L) {
  static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < n; i += 3) {
    uint32_t bits = (uint32_t)(unsigned char)s[i] << 16;
    if (i + 1 < n) bits |= (uint32_t)(unsigned char)s[i + 1] << 8;
    if (i + 2 < n) bits |= (unsigned char)s[i + 2];
    luaL_addchar(&b, digits[bits >> 18]);
    luaL_addchar(&b, digits[bits >> 12 & 63]);
    luaL_addchar(&b, i + 1 < n ? digits[bits >> 6 & 63] : '=');
    luaL_addchar(&b, i + 2 < n ? digits[bits & 63] : '=');
  }
  luaL_pushresult(&b);
  return 1;
}

/* address(s): the 4 or 16 bytes of a numeric address of IPv4, as four numbers,
   or of IPv6; nil: it is none. */
static int push_address(lua_State *L) {
  unsigned char bytes[16];
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  if (memchr(s, '\0', n) != NULL) return 0;
  if (inet_pton(AF_INET, s, bytes) == 1)
    lua_pushlstring(L, (const char *)bytes, 4);
  else if (inet_pton(AF_INET6, s, bytes) == 1)
    lua_pushlstring(L, (const char *)bytes, 16);
  else
    return 0;
  return 1;
}

/* -- texts of a field ----------------------------------------------------- */

/* Lua's patterns are no tool for these: "^%s*(.-)%s*$" looks at the rest of a
   run of blanks from each of them, so that 60 KB of blanks in one field take
   ten seconds. */

static void push_text(lua_State *L, http_text t) {
  lua_pushlstring(L, t.at, t.n);
}

/* trim(s): without the blanks and tabs around it. */
static int push_trimmed(lua_State *L) {
  http_text t;
  t.at = luaL_checklstring(L, 1, &t.n);
  push_text(L, http_trim(t));
  return 1;
}

/* split(s, sign): a list of what stands between the signs, trimmed; where
   nothing does, of empty strings. */
static int split(lua_State *L) {
  http_text t;
  const char *end, *sign = luaL_checkstring(L, 2);
  int n = 0;
  t.at = luaL_checklstring(L, 1, &t.n);
  lua_newtable(L);
  do {
    end = memchr(t.at, *sign, t.n);
    push_text(L,
      http_trim((http_text){t.at, end != NULL ? (size_t)(end - t.at) : t.n}));
    lua_rawseti(L, -2, ++n);
    if (end == NULL) break;
    t.n -= (size_t)(end + 1 - t.at);
    t.at = end + 1;
  } while (true);
  return 1;
}

const luaL_Reg http_coding[] = {
  {"address", push_address},
  {"base64", push_base64},
  {"decode", decode},
  {"encode", encode},
  {"split", split},
  {"target", split_target},
  {"trim", push_trimmed},
  {NULL, NULL},
};
