/* digest.c - keys of handshakes, and bytes that nobody can foresee.
   SPDX-License-Identifier: MIT

   SHA-1 (FIPS 180-4) is broken as a signature, and none here: it shows that a
   server has understood the question (RFC 6455, 1.3). */
#include "websocket.h"

#include <string.h>

/* Systems do not agree on the header in which it is declared. */
int getentropy(void *bytes, size_t n);

/* -- SHA-1 ---------------------------------------------------------------- */

static uint32_t turn(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void add_block(uint32_t sum[5], const uint8_t block[64]) {
  static const uint32_t constants[4] = {
    0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
  uint32_t w[80], a = sum[0], b = sum[1], c = sum[2], d = sum[3], e = sum[4];
  for (size_t i = 0; i < 16; i++)
    w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
           (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 80; i++)
    w[i] = turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  for (int i = 0; i < 80; i++) {
    uint32_t f = i < 20              ? (b & c) | (~b & d)
                 : i < 40 || i >= 60 ? b ^ c ^ d
                                     : (b & c) | (b & d) | (c & d);
    uint32_t next = turn(a, 5) + f + e + constants[i / 20] + w[i];
    e = d;
    d = c;
    c = turn(b, 30);
    b = a;
    a = next;
  }
  sum[0] += a;
  sum[1] += b;
  sum[2] += c;
  sum[3] += d;
  sum[4] += e;
}

/* Of less than two blocks without nine bytes. */
static void sha1(uint8_t digest[20], const uint8_t *s, size_t n) {
  uint32_t sum[5] = {
    0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  uint8_t blocks[128] = {0};
  size_t size = n + 9 <= 64 ? 64 : 128;
  memcpy(blocks, s, n);
  blocks[n] = 0x80;
  blocks[size - 2] = (uint8_t)(n * 8 >> 8);
  blocks[size - 1] = (uint8_t)(n * 8);
  for (size_t i = 0; i < size; i += 64) add_block(sum, blocks + i);
  for (int i = 0; i < 20; i++)
    digest[i] = (uint8_t)(sum[i / 4] >> (24 - 8 * (i % 4)));
}

/* -- base64 (RFC 4648) ---------------------------------------------------- */

static const char digits[] =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void write_base64(char *to, const uint8_t *s, size_t n) {
  for (size_t i = 0; i < n; i += 3) {
    uint32_t three = (uint32_t)s[i] << 16;
    if (n - i > 1) three |= (uint32_t)s[i + 1] << 8;
    if (n - i > 2) three |= s[i + 2];
    for (size_t k = 0; k < 4; k++)
      *to++ = k <= n - i ? digits[three >> (18 - 6 * k) & 63] : '=';
  }
}

/* -- keys ----------------------------------------------------------------- */

bool ws_is_key(http_text t) {
  if (t.n != WS_KEY_SIZE || memcmp(t.at + 22, "==", 2) != 0) return false;
  for (size_t i = 0; i < 22; i++)
    if (memchr(digits, t.at[i], 64) == NULL) return false;
  return true;
}

void ws_write_accept(char accept[WS_ACCEPT_SIZE], http_text key) {
  static const char behind[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  uint8_t text[WS_KEY_SIZE + sizeof behind - 1], digest[20];
  memcpy(text, key.at, WS_KEY_SIZE);
  memcpy(text + WS_KEY_SIZE, behind, sizeof behind - 1);
  sha1(digest, text, sizeof text);
  write_base64(accept, digest, sizeof digest);
}

void ws_write_key(char key[WS_KEY_SIZE], const uint8_t bytes[16]) {
  write_base64(key, bytes, 16);
}

/* -- chance --------------------------------------------------------------- */

bool ws_chance_take(ws_chance *c, uint8_t *to, size_t n) {
  if (c->left < n) {
    if (getentropy(c->bytes, sizeof c->bytes) != 0) return false;
    c->left = sizeof c->bytes;
  }
  c->left -= n;
  memcpy(to, c->bytes + c->left, n);
  return true;
}
