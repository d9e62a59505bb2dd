/* websocket.h - what the files of WebSocket in C share (RFC 6455).
   SPDX-License-Identifier: MIT

   Frames are read from strings as they come and written to strings; nothing
   here waits, or knows of sockets. */
#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "http.h"

#include <zlib.h>

/* -- frames (frame.c) ----------------------------------------------------- */

typedef enum ws_opcode {
  WS_MORE = 0,
  WS_TEXT = 1,
  WS_BINARY = 2,
  WS_CLOSE = 8,
  WS_PING = 9,
  WS_PONG = 10,
} ws_opcode;

/* Bytes of a head, and of what a frame of control may carry. */
#define WS_HEAD_MOST 14
#define WS_CONTROL_MOST 125

typedef struct ws_head {
  bool last;     /* no fragment follows */
  bool deflated; /* RSV1: the message is compressed (RFC 7692) */
  bool reserved; /* RSV2 or RSV3, which mean nothing */
  bool masked;
  bool longer; /* its length has more bytes than it needs, or its first bit */
  uint8_t opcode;
  uint8_t mask[4];
  uint64_t length;
} ws_head;

/* The bytes of a head of which the first two are known. */
size_t ws_head_size(const uint8_t *two);
/* The first two bytes alone: *h has all but `longer`, mask and length. */
void ws_head_begin(ws_head *h, const uint8_t *two);
void ws_head_read(ws_head *h, const uint8_t *bytes);
/* Returns how many bytes it has written. */
size_t ws_head_write(uint8_t bytes[WS_HEAD_MOST], const ws_head *h);

/* Masks n bytes, or takes the mask off; they may stay where they are. `at`: how
   many bytes of the frame stand before them. */
void ws_mask(
  char *to, const char *from, size_t n, const uint8_t mask[4], uint64_t at);

/* -- UTF-8 (frame.c) ------------------------------------------------------ */

/* What the bytes so far need behind them: `need` bytes, the next one from `low`
   to `high`. It is a whole text where that is none. */
typedef struct ws_utf8 {
  uint8_t need, low, high;
} ws_utf8;

/* Looks at further bytes. False: no text begins like that. */
bool ws_utf8_look(ws_utf8 *u, const char *s, size_t n);
bool ws_is_utf8(const char *s, size_t n);

/* -- digests and chance (digest.c) ---------------------------------------- */

#define WS_ACCEPT_SIZE 28 /* of what a server answers to a key */
#define WS_KEY_SIZE 24

/* Whether the text is sixteen bytes in base64. */
bool ws_is_key(http_text t);
void ws_write_accept(char accept[WS_ACCEPT_SIZE], http_text key);
void ws_write_key(char key[WS_KEY_SIZE], const uint8_t bytes[16]);

/* Bytes that nobody can foresee, some of them kept for the next call. */
typedef struct ws_chance {
  size_t left;
  uint8_t bytes[256];
} ws_chance;

/* False: the system has none. */
bool ws_chance_take(ws_chance *c, uint8_t *to, size_t n);

/* -- compression (deflate.c) ---------------------------------------------- */

/* Messages are compressed by themselves, with nothing of those before them (no
   context takeover). So all websockets of a Lua state share these, and one that
   is idle needs no memory for it: with contexts it would be 300 KB. */
typedef struct ws_deflate {
  z_stream *out[16]; /* by the bits of the window */
  z_stream *in;      /* that nobody uses; or NULL */
} ws_deflate;

void ws_deflate_fini(ws_deflate *d);
/* Pushes s compressed; false, and nothing is pushed: that saves nothing. */
bool ws_deflate_push(
  lua_State *L, ws_deflate *d, int bits, const char *s, size_t n);

typedef enum ws_inflated {
  WS_INFLATED,
  WS_TOO_LONG,
  WS_MALFORMED,
} ws_inflated;

/* Pushes what s was before, `most` bytes at the most; s has room for four bytes
   behind it. Something is pushed in any case. While Lua allocates, which may
   run finalizers that receive from others, the stream is *own; where memory
   ends it stays there. */
ws_inflated ws_inflate_push(
  lua_State *L, ws_deflate *d, z_stream **own, char *s, size_t n, size_t most);
/* Frees one that is left over; or NULL. */
void ws_inflate_drop(z_stream *z);

/* -- for Lua (codec.c) ---------------------------------------------------- */

/* Adds the functions to the table at the top of the stack. */
void ws_open(lua_State *L);

#endif
