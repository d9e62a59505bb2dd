/* deflate.c - messages of WebSocket that are compressed (RFC 7692).
   SPDX-License-Identifier: MIT */
#include "websocket.h"

#include <stdlib.h>
#include <string.h>

/* What ends each compressed message, and is not sent: the block without bytes
   that zlib writes when it is flushed. */
static const char ending[4] = {0, 0, '\xff', '\xff'};

void ws_deflate_fini(ws_deflate *d) {
  for (size_t i = 0; i < sizeof d->out / sizeof d->out[0]; i++) {
    if (d->out[i] == NULL) continue;
    (void)deflateEnd(d->out[i]);
    free(d->out[i]);
    d->out[i] = NULL;
  }
  ws_inflate_drop(d->in);
  d->in = NULL;
}

/* -- compressing ---------------------------------------------------------- */

/* The one for a window of so many bits, from 9 to 15; NULL: no memory. */
static z_stream *deflater(ws_deflate *d, int bits) {
  z_stream *z = d->out[bits];
  if (z != NULL) return deflateReset(z) == Z_OK ? z : NULL;
  z = calloc(1, sizeof *z);
  if (z == NULL) return NULL;
  if (deflateInit2(z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -bits, 8,
        Z_DEFAULT_STRATEGY) != Z_OK) {
    free(z);
    return NULL;
  }
  d->out[bits] = z;
  return z;
}

bool ws_deflate_push(
  lua_State *L, ws_deflate *d, int bits, const char *s, size_t n) {
  z_stream *z;
  Bytef *to;
  if (n > UINT32_MAX / 2) return false;
  /* What is not shorter than s is not wanted: so there is no more room. A
     finalizer that runs now may compress a message of its own. */
  to = lua_newuserdata(L, n);
  z = deflater(d, bits);
  if (z == NULL) {
    lua_pop(L, 1);
    return false;
  }
  z->next_in = (Bytef *)(uintptr_t)s;
  z->avail_in = (uInt)n;
  z->next_out = to;
  z->avail_out = (uInt)n;
  if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in > 0 ||
      z->avail_out == 0) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushlstring(
    L, (const char *)to, (size_t)(z->next_out - to) - sizeof ending);
  lua_remove(L, -2);
  return true;
}

/* -- decompressing -------------------------------------------------------- */

void ws_inflate_drop(z_stream *z) {
  if (z == NULL) return;
  (void)inflateEnd(z);
  free(z);
}

static z_stream *inflater(ws_deflate *d, z_stream **own) {
  z_stream *z = *own;
  if (z == NULL) {
    *own = z = d->in;
    d->in = NULL;
  }
  if (z != NULL) return inflateReset(z) == Z_OK ? z : NULL;
  z = calloc(1, sizeof *z);
  if (z == NULL) return NULL;
  if (inflateInit2(z, -15) != Z_OK) {
    free(z);
    return NULL;
  }
  *own = z;
  return z;
}

static void give_back(ws_deflate *d, z_stream **own) {
  z_stream *z = *own;
  *own = NULL;
  if (d->in == NULL)
    d->in = z;
  else
    ws_inflate_drop(z);
}

/* The next bytes, up to the end of a block at most. False: it is malformed. */
static bool inflate_some(z_stream *z) {
  int rc = inflate(z, Z_BLOCK);
  if (rc == Z_STREAM_END) {
    /* A block that calls itself the last one: others may follow all the same,
       at least that which ends the message. */
    return z->avail_in > 0 && inflateReset(z) == Z_OK;
  }
  return rc == Z_OK ||
         (rc == Z_BUF_ERROR && (z->avail_in == 0 || z->avail_out == 0));
}

/* All was read, and ends with a block. */
static bool is_over(const z_stream *z) {
  return z->avail_in == 0 && (z->data_type & 128) != 0;
}

ws_inflated ws_inflate_push(
  lua_State *L, ws_deflate *d, z_stream **own, char *s, size_t n, size_t most) {
  ws_inflated result = WS_INFLATED;
  z_stream *z = inflater(d, own);
  size_t got = 0;
  luaL_Buffer b;
  if (z == NULL || n > UINT32_MAX - sizeof ending)
    luaL_error(L, "not enough memory");
  memcpy(s + n, ending, sizeof ending);
  z->next_in = (Bytef *)s;
  z->avail_in = (uInt)(n + sizeof ending);
  luaL_buffinit(L, &b);
  do {
    z->next_out = (Bytef *)luaL_prepbuffer(&b);
    z->avail_out = LUAL_BUFFERSIZE;
    do {
      if (!inflate_some(z)) result = WS_MALFORMED;
    } while (result == WS_INFLATED && z->avail_in > 0 && z->avail_out > 0);
    luaL_addsize(&b, LUAL_BUFFERSIZE - z->avail_out);
    got += LUAL_BUFFERSIZE - z->avail_out;
    if (got > most && result == WS_INFLATED) result = WS_TOO_LONG;
    /* Room that is left over: there is no more. */
  } while (result == WS_INFLATED && !is_over(z) && z->avail_out == 0);
  /* In the middle of a block? Its rest was not sent. */
  if (result == WS_INFLATED && !is_over(z)) result = WS_MALFORMED;
  luaL_pushresult(&b);
  give_back(d, own);
  return result;
}
