/* codec.c - a codec for each websocket: its frames, for Lua.
   SPDX-License-Identifier: MIT

   What comes is looked at as it comes, so what is wrong is found at the first
   byte that is wrong: also in the middle of a text, and before a length is
   believed. A codec has a buffer only while it has a part of a message.

   Functions have two upvalues: what the websockets of a Lua state share, and
   the metatable of codecs. */
#include "websocket.h"

#include <string.h>

/* Bytes from which on a message is compressed. */
enum { WORTH_IT = 1024 };
/* Bytes that are copied behind a head, and not written beside it. */
enum { COPIED = 8192 };

typedef struct ws_shared {
  ws_chance chance;
  ws_deflate deflate;
} ws_shared;

typedef struct ws_codec {
  bool client;
  bool busy;      /* next_frame runs, or was left by an error */
  bool inside;    /* a frame: its head was read */
  bool deflated;  /* the message is */
  uint8_t opcode; /* of the message that has begun; WS_MORE: there is none */
  uint8_t nhead, ncontrol;
  int bits; /* of the window for what is sent; 0: nothing is compressed */
  uint8_t bytes[WS_HEAD_MOST]; /* of a head that is not there as a whole */
  ws_utf8 text;
  ws_head head;
  uint64_t done; /* bytes of the frame that were read */
  size_t most;   /* bytes of a message */
  size_t size;   /* of the message so far */
  char *data;    /* it, or NULL: it is not there, or has not begun */
  size_t room;
  z_stream *inflating; /* see ws_inflate_push */
  uint8_t control[WS_CONTROL_MOST];
} ws_codec;

/* What is being read: the rest of a string of Lua. */
typedef struct ws_input {
  const char *at;
  size_t n;
} ws_input;

static ws_shared *shared_of(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

static ws_codec *check_codec(lua_State *L) {
  ws_codec *c = lua_touserdata(L, 1);
  bool is_one = c != NULL && lua_getmetatable(L, 1) &&
                lua_rawequal(L, -1, lua_upvalueindex(2));
  luaL_argcheck(L, is_one, 1, "codec expected");
  lua_pop(L, 1);
  return c;
}

/* -- the buffer ----------------------------------------------------------- */

/* From Lua's allocator, so that it counts for the memory of the session. */
static char *resize(lua_State *L, char *data, size_t from, size_t to) {
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  return alloc(ud, data, data == NULL ? 0 : from, to);
}

static void drop_data(lua_State *L, ws_codec *c) {
  if (c->data != NULL) (void)resize(L, c->data, c->room, 0);
  c->data = NULL;
  c->room = 0;
}

/* It grows with what comes, and not with what was said to come. With room for
   what inflate puts behind it. */
static void reserve(lua_State *L, ws_codec *c, size_t more) {
  size_t wanted = c->size + more + 4, room = c->room;
  char *data;
  if (wanted <= room) return;
  room = room * 2 > wanted ? room * 2 : wanted;
  data = resize(L, c->data, c->room, room);
  if (data == NULL) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    data = resize(L, c->data, c->room, room);
  }
  if (data == NULL) luaL_error(L, "not enough memory");
  c->data = data;
  c->room = room;
}

/* -- results of next_frame ------------------------------------------------ */

/* What is returned: the offset behind it, opcode or 0, and two values. Those
   are on the stack. */
static int results(lua_State *L, const ws_input *in, int opcode, int n) {
  const char *s = lua_tostring(L, 2);
  lua_pushinteger(L, (lua_Integer)(in->at - s));
  lua_insert(L, -1 - n);
  lua_pushinteger(L, opcode);
  lua_insert(L, -1 - n);
  return 2 + n;
}

static int fault(lua_State *L, const ws_input *in, int code, const char *why) {
  lua_pushinteger(L, code);
  lua_pushstring(L, why);
  return results(L, in, 0, 2);
}

static int not_utf8(lua_State *L, const ws_input *in) {
  return fault(L, in, 1007, "the text is not UTF-8");
}

static int too_long(lua_State *L, const ws_input *in) {
  return fault(L, in, 1009, "the message is too long");
}

/* -- heads ---------------------------------------------------------------- */

/* What is wrong with a head of which the first two bytes are known; NULL: so
   far nothing. */
static const char *look_at_head(const ws_codec *c, const ws_head *h) {
  bool control = h->opcode >= WS_CLOSE;
  if (h->reserved || (h->deflated && (c->bits == 0 || control)))
    return "a reserved bit is set";
  if (h->opcode > WS_PONG || (h->opcode > WS_BINARY && !control))
    return "the opcode is unknown";
  if (h->masked == c->client)
    return c->client ? "the frame is masked" : "the frame is not masked";
  if (control) {
    if (!h->last) return "a frame of control is a fragment";
    return (c->bytes[1] & 127) > WS_CONTROL_MOST
             ? "a frame of control is too long"
             : NULL;
  }
  if (h->opcode == WS_MORE) {
    if (c->opcode == WS_MORE) return "no message goes on";
    return h->deflated ? "a reserved bit is set" : NULL;
  }
  return c->opcode != WS_MORE ? "the message before has not ended" : NULL;
}

/* Takes bytes of a head until there are n. False: they have not all come. */
static bool gather(ws_codec *c, ws_input *in, size_t n) {
  while (c->nhead < n) {
    if (in->n == 0) return false;
    c->bytes[c->nhead++] = (uint8_t)*in->at++;
    in->n--;
  }
  return true;
}

/* A message that cannot be compressed is a little longer when it is. */
static size_t most_of(const ws_codec *c) {
  return c->deflated ? c->most + c->most / 1000 + 64 : c->most;
}

/* Reads on in a head. 0: the bytes have ended before it; 1: it is there; else
   the results of a fault are on the stack, and this is how many. */
static int read_head(lua_State *L, ws_codec *c, ws_input *in) {
  const char *why;
  if (!gather(c, in, 2)) return 0;
  ws_head_begin(&c->head, c->bytes);
  why = look_at_head(c, &c->head);
  if (why != NULL) return fault(L, in, 1002, why);
  if (!gather(c, in, ws_head_size(c->bytes))) return 0;
  ws_head_read(&c->head, c->bytes);
  if (c->head.longer)
    return fault(L, in, 1002, "the length is written in too many bytes");
  c->nhead = 0;
  c->inside = true;
  c->done = 0;
  if (c->head.opcode >= WS_CLOSE) {
    c->ncontrol = 0;
    return 1;
  }
  if (c->head.opcode != WS_MORE) {
    c->opcode = c->head.opcode;
    c->deflated = c->head.deflated;
    c->size = 0;
    c->text = (ws_utf8){0, 0x80, 0xbf};
  }
  return c->head.length > most_of(c) - c->size ? too_long(L, in) : 1;
}

/* -- frames of control ---------------------------------------------------- */

static bool is_code(unsigned code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
           code != 1006) ||
         (code >= 3000 && code <= 4999);
}

static int push_close(lua_State *L, ws_codec *c, ws_input *in) {
  unsigned code = (unsigned)c->control[0] << 8 | c->control[1];
  if (c->ncontrol == 0) {
    lua_pushinteger(L, 1005);
    lua_pushliteral(L, "");
    return results(L, in, WS_CLOSE, 2);
  }
  if (c->ncontrol == 1) return fault(L, in, 1002, "half a code");
  if (!is_code(code)) return fault(L, in, 1002, "the code means nothing");
  if (!ws_is_utf8((const char *)c->control + 2, c->ncontrol - 2u))
    return not_utf8(L, in);
  lua_pushinteger(L, (lua_Integer)code);
  lua_pushlstring(L, (const char *)c->control + 2, c->ncontrol - 2u);
  return results(L, in, WS_CLOSE, 2);
}

/* 0: its bytes have not all come. */
static int read_control(lua_State *L, ws_codec *c, ws_input *in) {
  const ws_head *h = &c->head;
  size_t n = (size_t)(h->length - c->done);
  if (n > in->n) n = in->n;
  if (h->masked)
    ws_mask((char *)c->control + c->ncontrol, in->at, n, h->mask, c->done);
  else
    memcpy(c->control + c->ncontrol, in->at, n);
  c->ncontrol = (uint8_t)(c->ncontrol + n);
  c->done += n;
  in->at += n;
  in->n -= n;
  if (c->done < h->length) return 0;
  c->inside = false;
  if (h->opcode == WS_CLOSE) return push_close(L, c, in);
  lua_pushlstring(L, (const char *)c->control, c->ncontrol);
  return results(L, in, h->opcode, 1);
}

/* -- messages ------------------------------------------------------------- */

/* Pushes n bytes masked, or with the mask taken off. */
static void push_masked(
  lua_State *L, const char *s, size_t n, const uint8_t mask[4]) {
  luaL_Buffer b;
#if LUA_VERSION_NUM >= 502
  ws_mask(luaL_buffinitsize(L, &b, n), s, n, mask, 0);
  luaL_pushresultsize(&b, n);
#else
  luaL_buffinit(L, &b);
  for (size_t i = 0, some; i < n; i += some) {
    some = n - i < LUAL_BUFFERSIZE ? n - i : LUAL_BUFFERSIZE;
    ws_mask(luaL_prepbuffer(&b), s + i, some, mask, i);
    luaL_addsize(&b, some);
  }
  luaL_pushresult(&b);
#endif
}

/* A message in one frame that is there as a whole: nothing is kept of it. */
static int read_whole(lua_State *L, ws_codec *c, ws_input *in) {
  size_t n = (size_t)c->head.length;
  const char *s = in->at;
  uint8_t opcode = c->opcode;
  c->inside = false;
  c->opcode = WS_MORE;
  in->at += n;
  in->n -= n;
  if (c->head.masked) {
    push_masked(L, s, n, c->head.mask);
    s = lua_tolstring(L, -1, &n);
  }
  if (opcode == WS_TEXT && !ws_is_utf8(s, n)) return not_utf8(L, in);
  if (!c->head.masked) lua_pushlstring(L, s, n);
  return results(L, in, opcode, 1);
}

static int push_inflated(lua_State *L, ws_codec *c, ws_input *in) {
  ws_inflated how = ws_inflate_push(
    L, &shared_of(L)->deflate, &c->inflating, c->data, c->size, c->most);
  size_t n;
  const char *s = lua_tolstring(L, -1, &n);
  drop_data(L, c);
  if (how == WS_TOO_LONG) return too_long(L, in);
  if (how == WS_MALFORMED)
    return fault(L, in, 1007, "the compression is malformed");
  if (c->opcode == WS_TEXT && !ws_is_utf8(s, n)) return not_utf8(L, in);
  return 0;
}

/* The message is there. */
static int push_message(lua_State *L, ws_codec *c, ws_input *in) {
  uint8_t opcode = c->opcode;
  if (c->deflated) {
    int n;
    reserve(L, c, 0);
    n = push_inflated(L, c, in);
    if (n > 0) return n;
  } else {
    if (opcode == WS_TEXT && c->text.need > 0) return not_utf8(L, in);
    lua_pushlstring(L, c->data == NULL ? "" : c->data, c->size);
    drop_data(L, c);
  }
  c->opcode = WS_MORE;
  return results(L, in, opcode, 1);
}

/* 0: its bytes have not all come, or it was a fragment. */
static int read_data(lua_State *L, ws_codec *c, ws_input *in) {
  const ws_head *h = &c->head;
  size_t n;
  if (h->last && h->opcode != WS_MORE && c->done == 0 && !c->deflated &&
      h->length <= in->n)
    return read_whole(L, c, in);
  n = h->length - c->done < in->n ? (size_t)(h->length - c->done) : in->n;
  if (n > 0) {
    char *to;
    reserve(L, c, n);
    to = c->data + c->size;
    if (h->masked)
      ws_mask(to, in->at, n, h->mask, c->done);
    else
      memcpy(to, in->at, n);
    c->size += n;
    c->done += n;
    in->at += n;
    in->n -= n;
    if (c->opcode == WS_TEXT && !c->deflated && !ws_utf8_look(&c->text, to, n))
      return not_utf8(L, in);
  }
  if (c->done < h->length) return 0;
  c->inside = false;
  return h->last ? push_message(L, c, in) : 0;
}

/* next_frame(codec, s, offset): reads on in s. Nothing: all of it was read, and
   more has to come. Else the offset behind what was read, and
   opcode, message        1: a text, 2: not
   opcode, bytes          9: ping, 10: pong
   opcode, code, reason   8: close; 1005: no code
   0, code, why           it is wrong, and the codec of no use any more
   An error for want of memory comes when a part was read already, so then the
   codec is of no use, either. */
static int next_frame(lua_State *L) {
  ws_codec *c = check_codec(L);
  ws_input in;
  size_t offset = (size_t)luaL_checkinteger(L, 3);
  int n;
  in.at = luaL_checklstring(L, 2, &in.n);
  luaL_argcheck(L, offset <= in.n, 3, "offset");
  in.at += offset;
  in.n -= offset;
  if (c->busy) return fault(L, &in, 1011, "not enough memory");
  c->busy = true;
  do {
    if (!c->inside && (n = read_head(L, c, &in)) != 1) break;
    n = c->head.opcode >= WS_CLOSE ? read_control(L, c, &in)
                                   : read_data(L, c, &in);
  } while (n == 0 && !c->inside);
  c->busy = false;
  return n;
}

/* -- what is sent --------------------------------------------------------- */

/* Pushes a head with s behind it. */
static void push_copied(
  lua_State *L, const ws_head *h, const char *s, size_t n) {
  uint8_t head[WS_HEAD_MOST];
  size_t nhead = ws_head_write(head, h);
  luaL_Buffer b;
#if LUA_VERSION_NUM >= 502
  char *to = luaL_buffinitsize(L, &b, nhead + n);
  memcpy(to, head, nhead);
  if (h->masked)
    ws_mask(to + nhead, s, n, h->mask, 0);
  else
    memcpy(to + nhead, s, n);
  luaL_pushresultsize(&b, nhead + n);
#else
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, (const char *)head, nhead);
  if (!h->masked) luaL_addlstring(&b, s, n);
  for (size_t i = 0, some; h->masked && i < n; i += some) {
    some = n - i < LUAL_BUFFERSIZE ? n - i : LUAL_BUFFERSIZE;
    ws_mask(luaL_prepbuffer(&b), s + i, some, h->mask, i);
    luaL_addsize(&b, some);
  }
  luaL_pushresult(&b);
#endif
}

/* frame(codec, opcode, s): a frame, the whole message; or its head and s, which
   belong together. nil: it is a text, and not UTF-8. */
static int push_frame(lua_State *L) {
  ws_codec *c = check_codec(L);
  ws_head h = {.last = true, .masked = c->client};
  uint8_t head[WS_HEAD_MOST];
  size_t n;
  const char *s = luaL_checklstring(L, 3, &n);
  h.opcode = (uint8_t)luaL_checkinteger(L, 2);
  lua_settop(L, 3);
  if (h.opcode == WS_TEXT && !ws_is_utf8(s, n)) return 0;
  if (c->bits != 0 && n >= WORTH_IT && h.opcode < WS_CLOSE &&
      ws_deflate_push(L, &shared_of(L)->deflate, c->bits, s, n)) {
    h.deflated = true;
    s = lua_tolstring(L, -1, &n);
  }
  h.length = n;
  if (c->client && !ws_chance_take(&shared_of(L)->chance, h.mask, 4))
    return luaL_error(L, "the system has no random bytes");
  if (c->client || n <= COPIED) {
    push_copied(L, &h, s, n);
    return 1;
  }
  lua_pushlstring(L, (const char *)head, ws_head_write(head, &h));
  lua_insert(L, -2);
  return 2;
}

/* close_body(code, reason): what a frame of close carries; nil: the reason is
   too long, or not UTF-8. */
static int push_close_body(lua_State *L) {
  int code = (int)luaL_checkinteger(L, 1);
  char bytes[WS_CONTROL_MOST];
  size_t n;
  const char *s = luaL_checklstring(L, 2, &n);
  if (n > WS_CONTROL_MOST - 2 || !ws_is_utf8(s, n)) return 0;
  bytes[0] = (char)(code >> 8);
  bytes[1] = (char)(code & 255);
  memcpy(bytes + 2, s, n);
  lua_pushlstring(L, bytes, n + 2);
  return 1;
}

/* -- handshakes ----------------------------------------------------------- */

/* key(): one that nobody can foresee */
static int push_key(lua_State *L) {
  uint8_t bytes[16];
  char key[WS_KEY_SIZE];
  if (!ws_chance_take(&shared_of(L)->chance, bytes, sizeof bytes))
    return luaL_error(L, "the system has no random bytes");
  ws_write_key(key, bytes);
  lua_pushlstring(L, key, sizeof key);
  return 1;
}

/* accept(key): what a server answers; nil: it is no key */
static int push_accept(lua_State *L) {
  char accept[WS_ACCEPT_SIZE];
  http_text key;
  key.at = luaL_checklstring(L, 1, &key.n);
  if (!ws_is_key(key)) return 0;
  ws_write_accept(accept, key);
  lua_pushlstring(L, accept, sizeof accept);
  return 1;
}

/* -- codecs --------------------------------------------------------------- */

/* codec(client, most, bits): for the side of a client or that of a server, and
   messages of `most` bytes. `bits`: of the window for what is compressed, from
   9 to 15; 0: nothing is, here and there. */
static int new_codec(lua_State *L) {
  lua_Number most = luaL_checknumber(L, 2);
  int bits = (int)luaL_checkinteger(L, 3);
  ws_codec *c;
  luaL_argcheck(L, most >= 0, 2, "size");
  luaL_argcheck(L, bits == 0 || (bits >= 9 && bits <= 15), 3, "bits");
  c = lua_newuserdata(L, sizeof *c);
  memset(c, 0, sizeof *c);
  c->client = lua_toboolean(L, 1);
  c->most = most < (lua_Number)(SIZE_MAX / 4) ? (size_t)most : SIZE_MAX / 4;
  c->bits = bits;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

static int collect_codec(lua_State *L) {
  ws_codec *c = lua_touserdata(L, 1);
  drop_data(L, c);
  ws_inflate_drop(c->inflating);
  c->inflating = NULL;
  return 0;
}

static int collect_shared(lua_State *L) {
  ws_shared *shared = lua_touserdata(L, 1);
  ws_deflate_fini(&shared->deflate);
  return 0;
}

static const luaL_Reg functions[] = {
  {"accept", push_accept},
  {"close_body", push_close_body},
  {"codec", new_codec},
  {"frame", push_frame},
  {"key", push_key},
  {"next_frame", next_frame},
  {NULL, NULL},
};

static void push_metatable(lua_State *L, lua_CFunction collect) {
  lua_newtable(L);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
}

void ws_open(lua_State *L) {
  void *shared = lua_newuserdata(L, sizeof(ws_shared));
  memset(shared, 0, sizeof(ws_shared));
  push_metatable(L, collect_shared);
  lua_setmetatable(L, -2);
  push_metatable(L, collect_codec);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, f->func, 2);
    lua_setfield(L, -4, f->name);
  }
  lua_pop(L, 2);
}
