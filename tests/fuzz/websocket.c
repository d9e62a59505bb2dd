/* websocket.c - fuzzer of the frames of websockets.
   SPDX-License-Identifier: MIT

   The first bytes of an input say how it is read, see `setting`; the others are
   bytes of a peer, or messages that are sent. Bytes of a peer may be anything:
   the same messages must come, and the same fault, whether they come at once or
   in pieces. Messages that are sent must come as they went. Whatever happens,
   nothing longer comes than may, a text is UTF-8, and where memory ends there
   is an error. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../modules/http/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return 0;
}

#define ALWAYS(condition)                                           \
  do {                                                              \
    if (!(condition)) {                                             \
      (void)fprintf(stderr, "websocket: not so: %s\n", #condition); \
      abort();                                                      \
    }                                                               \
  } while (0)

/* -- bytes that grow ------------------------------------------------------ */

typedef struct bytes {
  char *at;
  size_t n, room;
} bytes;

static void append(bytes *b, const char *s, size_t n) {
  if (b->n + n > b->room) {
    b->room = (b->n + n) * 2;
    b->at = realloc(b->at, b->room);
    ALWAYS(b->at != NULL);
  }
  if (n > 0) memcpy(b->at + b->n, s, n);
  b->n += n;
}

static void append_number(bytes *b, long long n) {
  append(b, (const char *)&n, sizeof n);
}

static void append_text(bytes *b, const char *s, size_t n) {
  append_number(b, (long long)n);
  append(b, s, n);
}

/* -- settings ------------------------------------------------------------- */

enum { SETTINGS = 3 }; /* bytes of them */

typedef struct setting {
  bool client;    /* the side that reads */
  bool sends;     /* the input is messages, else what a peer has sent */
  int bits;       /* of the window of the compression; 0: there is none */
  int most;       /* bytes of a message */
  unsigned piece; /* seed of the sizes of pieces */
  unsigned fails; /* the allocation that fails; 0: none */
} setting;

static setting read_setting(const uint8_t *data) {
  static const int bits[] = {0, 9, 12, 15};
  return (setting){
    .client = data[0] & 1,
    .sends = data[0] & 2,
    .bits = bits[data[0] >> 2 & 3],
    .most = data[0] & 16 ? 1 << 20 : 500,
    .piece = data[1],
    .fails = data[0] & 32 ? 40u + data[2] : 0,
  };
}

/* -- memory --------------------------------------------------------------- */

static unsigned allocations, failing;

static void *allocate(void *ud, void *p, size_t osize, size_t nsize) {
  (void)ud;
  if (nsize == 0) {
    free(p);
    return NULL;
  }
  /* Lua cannot do without smaller blocks. */
  if ((p == NULL || nsize > osize) && ++allocations >= failing && failing > 0)
    return NULL;
  return realloc(p, nsize);
}

/* -- reading -------------------------------------------------------------- */

/* The size of the next piece, with a seed of 0 it is 1. */
static size_t next_piece(unsigned *seed, size_t left) {
  size_t n = 1;
  if (*seed > 0) {
    *seed = *seed * 1103515245u + 12345u;
    n = 1 + (*seed >> 16) % (*seed >> 24 & 1 ? 200 : 5);
  }
  return n < left ? n : left;
}

/* A message or a fault, which stand behind `base`: the offset, the opcode and
   two values. Returns whether more may come. */
static bool note_frame(lua_State *L, int base, const setting *o, bytes *notes) {
  int opcode = (int)lua_tointeger(L, base + 2);
  size_t n;
  const char *s;
  append_number(notes, opcode);
  if (opcode == 0 || opcode == WS_CLOSE) {
    int code = (int)lua_tointeger(L, base + 3);
    append_number(notes, code);
    ALWAYS(opcode != 0 || code == 1002 || code == 1007 || code == 1009 ||
           (code == 1011 && failing > 0));
    s = lua_tolstring(L, base + 4, &n);
    ALWAYS(s != NULL && (opcode == 0 || (n <= 123 && ws_is_utf8(s, n))));
    append_text(notes, s, n);
    return opcode != 0;
  }
  s = lua_tolstring(L, base + 3, &n);
  ALWAYS(s != NULL);
  ALWAYS(opcode == WS_TEXT || opcode == WS_BINARY || opcode == WS_PING ||
         opcode == WS_PONG);
  ALWAYS(n <= (opcode >= WS_CLOSE ? WS_CONTROL_MOST : (size_t)o->most));
  if (opcode == WS_TEXT) ALWAYS(ws_is_utf8(s, n));
  append_text(notes, s, n);
  return true;
}

/* Functions are at 1, a table; a codec for that side at the top from now on. It
   stays there: where memory ends, Lua cannot call finalizers, and forgets them.
 */
static void push_codec(lua_State *L, const setting *o, bool client) {
  lua_getfield(L, 1, "codec");
  lua_pushboolean(L, client);
  lua_pushinteger(L, o->most);
  lua_pushinteger(L, o->bits);
  lua_call(L, 3, 1);
}

/* Reads these bytes, at once or in pieces. */
static void read_all(lua_State *L, const setting *o, const char *s, size_t size,
  bool at_once, bytes *notes) {
  int codec;
  unsigned seed = o->piece;
  bool goes_on = true;
  push_codec(L, o, o->client);
  codec = lua_gettop(L);
  notes->n = 0;
  for (size_t at = 0, n; goes_on && at < size; at += n) {
    size_t offset = 0;
    n = at_once ? size : next_piece(&seed, size - at);
    lua_pushlstring(L, s + at, n);
    while (goes_on) {
      int base = lua_gettop(L);
      lua_getfield(L, 1, "next_frame");
      lua_pushvalue(L, codec);
      lua_pushvalue(L, codec + 1);
      lua_pushinteger(L, (lua_Integer)offset);
      lua_call(L, 3, LUA_MULTRET);
      if (lua_gettop(L) == base) break;
      ALWAYS(lua_gettop(L) >= base + 3);
      ALWAYS((size_t)lua_tointeger(L, base + 1) >= offset);
      offset = (size_t)lua_tointeger(L, base + 1);
      ALWAYS(offset <= n);
      goes_on = note_frame(L, base, o, notes);
      lua_settop(L, base);
    }
    lua_settop(L, codec);
  }
}

/* -- sending -------------------------------------------------------------- */

/* What is left of an input. */
typedef struct source {
  const uint8_t *at;
  size_t n;
} source;

static unsigned take(source *in) {
  if (in->n == 0) return 0;
  in->n--;
  return *in->at++;
}

/* A message: a byte says which kind, one how many bytes of the input it has,
   and one how often these come. */
static int next_message(source *in, const setting *o, bytes *message) {
  static const int kinds[] = {WS_TEXT, WS_BINARY, WS_PING, WS_PONG};
  int kind = kinds[take(in) & 3];
  size_t n = take(in), times = 1 + take(in);
  message->n = 0;
  if (n > in->n) n = in->n;
  while (times-- > 0) {
    size_t most = kind >= WS_CLOSE ? WS_CONTROL_MOST : (size_t)o->most;
    if (message->n + n > most) break;
    append(message, (const char *)in->at, n);
  }
  in->at += n;
  in->n -= n;
  return kind;
}

/* Writes messages of the input; `notes` is what must come of them. What has
   memory belongs to the caller, since Lua's errors leave this. */
static void send_all(lua_State *L, const setting *o, source in, bytes *message,
  bytes *wire, bytes *notes) {
  int codec;
  push_codec(L, o, !o->client);
  codec = lua_gettop(L);
  while (in.n > 0) {
    int kind = next_message(&in, o, message);
    lua_getfield(L, 1, "frame");
    lua_pushvalue(L, codec);
    lua_pushinteger(L, kind);
    lua_pushlstring(L, message->n > 0 ? message->at : "", message->n);
    lua_call(L, 3, LUA_MULTRET);
    if (lua_gettop(L) == codec) {
      ALWAYS(kind == WS_TEXT && !ws_is_utf8(message->at, message->n));
      continue;
    }
    append_number(notes, kind);
    append_text(notes, message->at, message->n);
    for (int i = codec + 1; i <= lua_gettop(L); i++) {
      size_t n;
      const char *s = lua_tolstring(L, i, &n);
      append(wire, s, n);
    }
    lua_settop(L, codec);
  }
}

/* -- one input ------------------------------------------------------------ */

typedef struct run {
  setting o;
  source in;
  bytes message, wire, whole, pieces;
} run;

static void check_same(const bytes *a, const bytes *b) {
  ALWAYS(a->n == b->n);
  ALWAYS(a->n == 0 || memcmp(a->at, b->at, a->n) == 0);
}

static int run_input(lua_State *L) {
  run *r = lua_touserdata(L, 1);
  const setting *o = &r->o;
  lua_settop(L, 0);
  lua_newtable(L);
  ws_open(L);
  if (o->sends)
    send_all(L, o, r->in, &r->message, &r->wire, &r->whole);
  else {
    append(&r->wire, (const char *)r->in.at, r->in.n);
    read_all(L, o, r->wire.at, r->wire.n, true, &r->whole);
  }
  read_all(L, o, r->wire.at, r->wire.n, false, &r->pieces);
  if (failing == 0) check_same(&r->whole, &r->pieces);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lua_State *L;
  run r;
  if (size < SETTINGS) return 0;
  memset(&r, 0, sizeof r);
  r.o = read_setting(data);
  r.in = (source){data + SETTINGS, size - SETTINGS};
  allocations = failing = 0;
#if LUA_VERSION_NUM >= 505
  L = lua_newstate(allocate, NULL, 1);
#else
  L = lua_newstate(allocate, NULL);
#endif
  ALWAYS(L != NULL);
  lua_pushcfunction(L, run_input);
  lua_pushlightuserdata(L, &r);
  allocations = 0;
  failing = r.o.fails;
  if (lua_pcall(L, 1, 0, 0) != 0) ALWAYS(failing > 0);
  failing = 0;
  lua_close(L);
  free(r.message.at);
  free(r.wire.at);
  free(r.whole.at);
  free(r.pieces.at);
  return 0;
}
