/* writing.c - heads and chunks that are written, for Lua.
   SPDX-License-Identifier: MIT

   What a program gives is looked at before a byte of it goes out: a CR or LF in
   a field would begin another field, or another message. */
#include "../../include/casting.h"
#include "http.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* How a head is written. */
enum {
  CLOSES = 1, /* the connection ends with this message */
  CHUNKS = 2, /* the body comes in chunks */
  KEEPS = 4,  /* keep-alive is said, as HTTP/1.0 needs it */
  BARE = 8,   /* neither a length nor a type of a body is said */
};

/* -- the date ------------------------------------------------------------- */

/* RFC 9110, 5.6.7; no locale has a say in it. */
static size_t write_date(char text[HTTP_DATE_SIZE], time_t at) {
  static const char days[] = "SunMonTueWedThuFriSat";
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  struct tm t;
  if (gmtime_r(&at, &t) == NULL) return 0;
  return (size_t)snprintf(text, HTTP_DATE_SIZE,
    "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + (ptrdiff_t)3 * t.tm_wday,
    t.tm_mday, months + (ptrdiff_t)3 * t.tm_mon, t.tm_year + 1900, t.tm_hour,
    t.tm_min, t.tm_sec);
}

/* That of now. */
static http_text date_of(http_clock *c) {
  time_t now = time(NULL);
  if (now != c->at) {
    c->n = write_date(c->text, now);
    c->at = now;
  }
  return (http_text){c->text, c->n};
}

/* Of the years 1 to 9999: others have not four digits. */
#define FIRST_DATE (-62135596800.0)
#define LAST_DATE 253402300799.0

/* date([seconds since 1970]) */
static int push_date(lua_State *L) {
  char text[HTTP_DATE_SIZE];
  lua_Number at = luaL_optnumber(L, 1, (lua_Number)time(NULL));
  time_t second;
  luaL_argcheck(L, at >= FIRST_DATE && at < LAST_DATE + 1, 1,
    "a time in the years 1 to 9999 expected");
  second = (time_t)at;
  if ((lua_Number)second > at) second--; /* the one that it is in */
  lua_pushlstring(L, text, write_date(text, second));
  return 1;
}

/* time(): seconds since 1970; a sandbox may have no os.time. */
static int push_time(lua_State *L) {
  lua_pushnumber(L, (lua_Number)time(NULL));
  return 1;
}

/* -- fields --------------------------------------------------------------- */

static const char *reason_of(int status) {
  static const struct {
    int status;
    const char *reason;
  } known[] = {{200, "OK"}, {100, "Continue"}, {101, "Switching Protocols"},
    {103, "Early Hints"}, {201, "Created"}, {202, "Accepted"},
    {203, "Non-Authoritative Information"}, {204, "No Content"},
    {205, "Reset Content"}, {206, "Partial Content"}, {207, "Multi-Status"},
    {300, "Multiple Choices"}, {301, "Moved Permanently"}, {302, "Found"},
    {303, "See Other"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
    {308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
    {402, "Payment Required"}, {403, "Forbidden"}, {404, "Not Found"},
    {405, "Method Not Allowed"}, {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"}, {408, "Request Timeout"},
    {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"},
    {412, "Precondition Failed"}, {413, "Content Too Large"},
    {414, "URI Too Long"}, {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"}, {417, "Expectation Failed"},
    {421, "Misdirected Request"}, {422, "Unprocessable Content"},
    {425, "Too Early"}, {426, "Upgrade Required"},
    {428, "Precondition Required"}, {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"}, {500, "Internal Server Error"},
    {501, "Not Implemented"}, {502, "Bad Gateway"},
    {503, "Service Unavailable"}, {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
    {511, "Network Authentication Required"}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (known[i].status == status) return known[i].reason;
  return "";
}

/* What the fields of a program have said already. */
typedef struct said {
  bool type, length, date, closes;
  bool lengthless; /* Content-Length must not stand there, and is left out */
} said;

/* The field at the top of the stack, behind its name. Raises if it is none, or
   one that is not the program's to say. */
static http_field check_field(lua_State *L, said *s) {
  http_field f;
  if (lua_type(L, -2) != LUA_TSTRING)
    luaL_error(L, "a header field must have a string for its name, not a %s",
      luaL_typename(L, -2));
  f.name.at = lua_tolstring(L, -2, &f.name.n);
  if (!http_is_token(f.name))
    luaL_error(L, "the name of a header field must be a token, as '%s' is not",
      lua_tostring(L, -2));
  if (!lua_isstring(L, -1))
    luaL_error(L,
      "the header field '%s' must be a string, a number or a list "
      "of these, not a %s",
      lua_tostring(L, -2), luaL_typename(L, -1));
  /* A copy, since a number becomes a string where it lies. */
  f.value.at = lua_tolstring(L, -1, &f.value.n);
  if (!http_is_value(f.value))
    luaL_error(L,
      "the header field '%s' must be one line, without bytes of "
      "control",
      lua_tostring(L, -2));
  if (http_text_is(f.name, "transfer-encoding"))
    luaL_error(L, "the header field '%s' is not the program's to say",
      lua_tostring(L, -2));
  s->type |= http_text_is(f.name, "content-type");
  s->length |= http_text_is(f.name, "content-length");
  s->date |= http_text_is(f.name, "date");
  if (http_text_is(f.name, "connection"))
    s->closes |= http_list_has(f.value, "close");
  return f;
}

static void add_text(luaL_Buffer *b, http_text t) {
  luaL_addlstring(b, t.at, t.n);
}

static void add_field(luaL_Buffer *b, http_field f) {
  add_text(b, f.name);
  luaL_addlstring(b, ": ", 2);
  add_text(b, f.value);
  luaL_addlstring(b, "\r\n", 2);
}

/* Raises if the table at the top, whose name is below it, has no items, and is
   not empty either: it was not meant for an empty list. */
static void check_list(lua_State *L) {
  lua_pushnil(L);
  if (lua_next(L, -2) == 0) return;
  luaL_error(L,
    "the header field '%s' must be a string, a number or a list of these, not "
    "a table without items",
    lua_type(L, -4) == LUA_TSTRING ? lua_tostring(L, -4) : "?");
}

/* Pushes the fields of the table at `t`, as lines. */
static void push_fields(lua_State *L, int t, said *s) {
  int lines = lua_gettop(L);
  lua_pushliteral(L, "");
  lua_pushnil(L);
  while (lua_next(L, t) != 0) {
    int n = lua_istable(L, -1) ? (int)lua_rawlen(L, -1) : -1;
    if (n == 0) check_list(L);
    for (int i = n < 0 ? n : 1; i <= n; i++) {
      luaL_Buffer b;
      http_field f;
      /* name, value: a string stays valid while it is on the stack */
      lua_pushvalue(L, -2);
      if (n < 0)
        lua_pushvalue(L, -2);
      else
        lua_rawgeti(L, -2, i);
      f = check_field(L, s);
      luaL_buffinit(L, &b);
      if (!s->lengthless || !http_text_is(f.name, "content-length"))
        add_field(&b, f);
      luaL_pushresult(&b);
      lua_pushvalue(L, lines + 1);
      lua_insert(L, -2);
      lua_concat(L, 2);
      lua_replace(L, lines + 1);
      lua_pop(L, 2);
    }
    lua_pop(L, 1);
  }
}

/* -- responses ------------------------------------------------------------ */

/* A head is put together where there is room for it, and for all that it may
   have beside the fields of the program and the body. */
#define OWN_MOST 512
#define SHORT 2048

static char *put(char *to, const char *text, size_t n) {
  memcpy(to, text, n);
  return to + n;
}

static char *put_text(char *to, http_text t) { return put(to, t.at, t.n); }

static char *put_word(char *to, const char *word) {
  return put(to, word, strlen(word));
}

/* printf is slow, and has a locale. */
static char *put_number(char *to, uint64_t n) {
  char digits[24];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + n % 10);
    n /= 10;
  } while (n > 0);
  return put(to, digits + at, sizeof digits - at);
}

static char *put_status(char *to, int status) {
  if (status == 200) return put_word(to, "HTTP/1.1 200 OK\r\n");
  to = put_number(put_word(to, "HTTP/1.1 "), (uint64_t)status);
  to = put_word(put_word(to, " "), reason_of(status));
  return put_word(to, "\r\n");
}

/* What is said of the body. */
static char *put_body(char *to, const said *s, lua_Number length) {
  if (!s->type && length != 0)
    to = put_word(to, "Content-Type: text/plain; charset=utf-8\r\n");
  if (!s->length && length >= 0) {
    to = put_number(put_word(to, "Content-Length: "), (uint64_t)length);
    to = put_word(to, "\r\n");
  }
  return to;
}

static char *put_connection(char *to, const said *s, unsigned how) {
  if (how & CHUNKS) to = put_word(to, "Transfer-Encoding: chunked\r\n");
  if (s->closes) return to;
  if (how & CLOSES) to = put_word(to, "Connection: close\r\n");
  if (how & KEEPS) to = put_word(to, "Connection: keep-alive\r\n");
  return to;
}

/* A head with a body behind it, put together. */
typedef struct message {
  const char *text; /* on the C stack, or a userdata on that of Lua */
  size_t n;
  bool closes; /* the fields have said that the connection ends */
  char space[SHORT];
} message;

/* Of the arguments from `first` on, which are the last ones: status, fields or
   nil, how, length [, body]. The fields map names to strings, numbers or lists
   of them; one may be "reason"; or they are a string, lines of this module's
   own, which say the type, but no length and no date. `how`: the sum of CLOSES
   and so on. Of a length below 0 nothing is said. */
static void put_together(lua_State *L, int first, message *m) {
  int status = (int)luaL_checkinteger(L, first);
  unsigned how = (unsigned)luaL_checkinteger(L, first + 2);
  lua_Number length = luaL_checknumber(L, first + 3);
  http_clock *c = lua_touserdata(L, lua_upvalueindex(1));
  http_text body = {"", 0}, fields = {"", 0};
  said s = {.lengthless = status < 200 || status == 204 || status == 205};
  char *text = m->space, *end;
  size_t room;
  luaL_argcheck(L, status >= 100 && status <= 599, first, "status");
  if (!lua_isnoneornil(L, first + 4))
    body.at = luaL_checklstring(L, first + 4, &body.n);
  lua_settop(L, first + 4);
  if (lua_istable(L, first + 1)) {
    push_fields(L, first + 1, &s);
    fields.at = lua_tolstring(L, -1, &fields.n);
  } else if (lua_isstring(L, first + 1)) {
    fields.at = lua_tolstring(L, first + 1, &fields.n);
    s.type = true;
  }
  if (s.lengthless) s.length = false;
  room = OWN_MOST + fields.n + body.n;
  if (room > sizeof m->space) text = lua_newuserdata(L, room);
  m->text = text;
  end = put_text(put_status(text, status), fields);
  if (!s.date) {
    end = put_text(put_word(end, "Date: "), date_of(c));
    end = put_word(end, "\r\n");
  }
  if (!(how & BARE)) end = put_body(end, &s, length);
  end = put_word(put_connection(end, &s, how), "\r\n");
  end = put_text(end, body);
  m->n = (size_t)(end - text);
  m->closes = s.closes;
}

/* head(status, fields or nil, how, length [, body]): the head of a response,
   with the body behind it. Returns also whether the fields have said that the
   connection ends. */
static int push_head(lua_State *L) {
  message m;
  put_together(L, 1, &m);
  lua_pushlstring(L, m.text, m.n);
  lua_pushboolean(L, m.closes);
  return 2;
}

/* answer(response, stream, status, ...): the same, sent as far as that does not
   wait. In place of the head it returns what is to be sent yet; nil: nothing.
   If there is no memory for that, or a hook raises an error before the caller
   goes on, the response knows at least that it has begun. */
static int send_head(lua_State *L) {
  message m;
  size_t n;
  put_together(L, 3, &m);
  lua_pushliteral(L, "length");
  lua_setfield(L, 1, "state");
  n = casting_stream_offer(L, 2, m.text, m.n);
  if (n == m.n)
    lua_pushnil(L);
  else
    lua_pushlstring(L, m.text + n, m.n - n);
  lua_pushboolean(L, m.closes);
  return 2;
}

/* chunk_head(n): the line before a chunk of n bytes. */
static int push_chunk_head(lua_State *L) {
  char text[32];
  lua_Number n = luaL_checknumber(L, 1);
  lua_pushlstring(L, text,
    (size_t)snprintf(text, sizeof text, "%llx\r\n", (unsigned long long)n));
  return 1;
}

/* lines(fields): fields as lines, for a request. */
static int push_lines(lua_State *L) {
  said s = {.lengthless = false};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  push_fields(L, 1, &s);
  lua_settop(L, 2);
  return 1;
}

const luaL_Reg http_writing[] = {
  {"head", push_head},
  {"answer", send_head},
  {"date", push_date},
  {"chunk_head", push_chunk_head},
  {"lines", push_lines},
  {"time", push_time},
  {NULL, NULL},
};
