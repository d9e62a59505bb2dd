/* inflate.c - bodies that were compressed, for Lua.
   SPDX-License-Identifier: MIT

   An inflater is a userdata with the state of zlib, whose memory is Lua's: it
   counts for the limit of the session. What goes in stays the caller's, who
   says where to go on; what comes out is never more than was asked for, so a
   body that unpacks to a thousand times its size needs no memory for that.

   1. `stream` is zlib's from inflater() until `open` is false.
   2. After an error `open` is false, and nothing is unpacked any more. */
#include "http.h"

#include <string.h>
#include <zlib.h>

static const char name[] = "casting.http.inflater";

typedef struct inflater {
  z_stream stream;
  lua_State *L; /* the caller, while zlib may ask for memory */
  bool open;
  bool gzip;  /* else "deflate": with or without zlib's header */
  bool begun; /* a byte was looked at */
  bool ended; /* what came so far is whole */
} inflater;

/* -- memory --------------------------------------------------------------- */

/* Lua's allocator wants to know sizes again, zlib does not tell them. */
typedef union block {
  size_t size;
  double align_number;
  void *align_pointer;
} block;

static voidpf allocate(voidpf opaque, uInt n, uInt size) {
  inflater *z = opaque;
  size_t whole = sizeof(block) + (size_t)n * size;
  void *ud;
  lua_Alloc f = lua_getallocf(z->L, &ud);
  block *b = f(ud, NULL, 0, whole);
  if (b == NULL) return Z_NULL;
  b->size = whole;
  return b + 1;
}

static void release(voidpf opaque, voidpf p) {
  inflater *z = opaque;
  block *b = (block *)p - 1;
  void *ud;
  lua_Alloc f = lua_getallocf(z->L, &ud);
  (void)f(ud, b, b->size, 0);
}

static void shut(inflater *z, lua_State *L) {
  z->L = L;
  if (z->open) (void)inflateEnd(&z->stream);
  z->open = false;
}

static int collect(lua_State *L) {
  shut(lua_touserdata(L, 1), L);
  return 0;
}

/* -- how it is packed ----------------------------------------------------- */

enum {
  GZIP = 16 + MAX_WBITS,
  ZLIB = MAX_WBITS,
  RAW = -MAX_WBITS,
};

/* "deflate" is zlib's form (RFC 9110, 8.4.1.2), but some servers send what lies
   within it. The first byte of zlib's form has 8 below, the number of the
   method, and at most 7 above. Raw data begin so only if the bits that a stored
   block leaves out are not zero, and nobody writes that. */
static bool is_zlib(unsigned char c) { return (c & 15) == 8 && c >> 4 <= 7; }

/* -- for Lua -------------------------------------------------------------- */

/* inflater(gzip): for a body; if not gzip, of the coding "deflate". Its memory
   is not seen by the collector, which is asked to run when there is none. */
static int new_inflater(lua_State *L) {
  bool gzip = lua_toboolean(L, 1);
  inflater *z = lua_newuserdata(L, sizeof *z);
  memset(z, 0, sizeof *z);
  z->gzip = gzip;
  if (luaL_newmetatable(L, name)) {
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pushliteral(L, "inflater");
    lua_setfield(L, -2, "__metatable");
  }
  lua_setmetatable(L, -2);
  z->L = L;
  z->stream.zalloc = allocate;
  z->stream.zfree = release;
  z->stream.opaque = z;
  if (inflateInit2(&z->stream, gzip ? GZIP : ZLIB) != Z_OK) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    if (inflateInit2(&z->stream, gzip ? GZIP : ZLIB) != Z_OK)
      return luaL_error(L, "not enough memory");
  }
  z->open = true;
  return 1;
}

/* Looks at the first byte, of a body or of what follows a part that has ended:
   gzip may have several. False: nothing may follow. */
static bool begin(inflater *z, unsigned char first) {
  if (z->begun && (!z->gzip || !z->ended)) return !z->ended;
  if (z->begun) {
    z->ended = false;
    return inflateReset(&z->stream) == Z_OK;
  }
  z->begun = true;
  return z->gzip || is_zlib(first) || inflateReset2(&z->stream, RAW) == Z_OK;
}

enum { MALFORMED = -1, NO_MEMORY = -2 };

/* Unpacks into `out` what stands in the stream: how many bytes came out, or one
   of these. */
static int run(inflater *z, char *out, size_t most) {
  z_stream *s = &z->stream;
  s->next_out = (Bytef *)out;
  s->avail_out = (uInt)most;
  while (s->avail_out > 0) {
    int rc;
    if (s->avail_in > 0 && (z->ended || !z->begun) && !begin(z, *s->next_in))
      return MALFORMED;
    if (z->ended || !z->begun) break;
    rc = inflate(s, Z_NO_FLUSH);
    if (rc == Z_STREAM_END)
      z->ended = true;
    else if (rc == Z_BUF_ERROR || (rc == Z_OK && s->avail_in == 0))
      break; /* more must come, or there is no room */
    else if (rc != Z_OK)
      return rc == Z_MEM_ERROR ? NO_MEMORY : MALFORMED;
  }
  return (int)(most - s->avail_out);
}

/* inflate(z, packed, at, most): unpacks from the byte number `at` on, into
   `most` bytes at most, but no more than fit into Lua's buffer: what came out,
   perhaps nothing, the number of the byte to go on with, and whether what came
   so far is whole. Something may still come out when all has gone in: so the
   caller goes on until nothing does. nil: it is malformed. */
static int unpack(lua_State *L) {
  inflater *z = luaL_checkudata(L, 1, name);
  size_t n, at = (size_t)luaL_checkinteger(L, 3);
  const char *packed = luaL_checklstring(L, 2, &n);
  lua_Integer most = luaL_checkinteger(L, 4);
  char out[4096 * 4];
  int got;
  luaL_argcheck(L, at >= 1 && at <= n + 1, 3, "out of range");
  luaL_argcheck(L, most >= 1, 4, "out of range");
  if (!z->open) return 0;
  z->L = L;
  z->stream.next_in = (Bytef *)(packed + at - 1);
  z->stream.avail_in = (uInt)(n + 1 - at);
  got = run(z, out, most < (lua_Integer)sizeof out ? (size_t)most : sizeof out);
  if (got < 0) {
    shut(z, L);
    return got == NO_MEMORY ? luaL_error(L, "not enough memory") : 0;
  }
  lua_pushlstring(L, out, (size_t)got);
  lua_pushinteger(L, (lua_Integer)(n + 1 - z->stream.avail_in));
  lua_pushboolean(L, z->ended);
  return 3;
}

/* inflated(z): the body is over: frees its memory, of which a collector that
   sees only the handle would not make haste to free much. */
static int finish(lua_State *L) {
  shut(luaL_checkudata(L, 1, name), L);
  return 0;
}

const luaL_Reg http_inflating[] = {
  {"inflater", new_inflater},
  {"inflate", unpack},
  {"inflated", finish},
  {NULL, NULL},
};
