/* frame.c - heads of frames, masks, and what is UTF-8 (RFC 6455, 5).
   SPDX-License-Identifier: MIT */
#include "websocket.h"

#include <string.h>

/* -- heads ---------------------------------------------------------------- */

enum { LAST = 0x80, RSV1 = 0x40, RSV2 = 0x20, RSV3 = 0x10, MASKED = 0x80 };

/* The bytes behind the first two that have the length, if those do not. */
static size_t length_size(uint8_t seven) {
  return seven == 127 ? 8 : seven == 126 ? 2 : 0;
}

size_t ws_head_size(const uint8_t *two) {
  return 2 + length_size(two[1] & 127) + (two[1] & MASKED ? 4 : 0);
}

void ws_head_begin(ws_head *h, const uint8_t *two) {
  h->last = (two[0] & LAST) != 0;
  h->deflated = (two[0] & RSV1) != 0;
  h->reserved = (two[0] & (RSV2 | RSV3)) != 0;
  h->opcode = two[0] & 15;
  h->masked = (two[1] & MASKED) != 0;
}

void ws_head_read(ws_head *h, const uint8_t *bytes) {
  uint8_t seven = bytes[1] & 127;
  size_t more = length_size(seven);
  ws_head_begin(h, bytes);
  h->length = more == 0 ? seven : 0;
  for (size_t i = 0; i < more; i++) h->length = h->length << 8 | bytes[2 + i];
  h->longer = (more == 2 && h->length < 126) ||
              (more == 8 && (h->length < 65536 || h->length >> 63 != 0));
  if (h->masked) memcpy(h->mask, bytes + 2 + more, 4);
}

size_t ws_head_write(uint8_t bytes[WS_HEAD_MOST], const ws_head *h) {
  size_t more = h->length < 126 ? 0 : h->length < 65536 ? 2 : 8;
  uint8_t seven = more == 0 ? (uint8_t)h->length : more == 2 ? 126 : 127;
  bytes[0] =
    (uint8_t)((h->last ? LAST : 0) | (h->deflated ? RSV1 : 0) | h->opcode);
  bytes[1] = (uint8_t)(seven | (h->masked ? MASKED : 0));
  for (size_t i = 0; i < more; i++)
    bytes[2 + i] = (uint8_t)(h->length >> (8 * (more - 1 - i)));
  if (!h->masked) return 2 + more;
  memcpy(bytes + 2 + more, h->mask, 4);
  return 6 + more;
}

/* -- masks ---------------------------------------------------------------- */

void ws_mask(
  char *to, const char *from, size_t n, const uint8_t mask[4], uint64_t at) {
  uint8_t turned[8];
  uint64_t word, wide;
  size_t i = 0;
  for (size_t k = 0; k < 8; k++) turned[k] = mask[(at + k) & 3];
  memcpy(&wide, turned, 8);
  for (; n - i >= 8; i += 8) {
    memcpy(&word, from + i, 8);
    word ^= wide;
    memcpy(to + i, &word, 8);
  }
  for (; i < n; i++) to[i] = (char)((uint8_t)from[i] ^ turned[i & 7]);
}

/* -- UTF-8 ---------------------------------------------------------------- */

/* How many bytes from the beginning are ASCII, eight or more at a time. */
static size_t skip_ascii(const char *s, size_t n) {
  size_t i = 0;
  uint64_t word;
  for (; n - i >= 8; i += 8) {
    memcpy(&word, s + i, 8);
    if (word & UINT64_C(0x8080808080808080)) break;
  }
  return i;
}

/* The first byte of a character, after Table 3-7 of Unicode: what is longer
   than need be, half of a pair of UTF-16, or beyond the last character is none.
 */
static bool begin_character(ws_utf8 *u, uint8_t c) {
  u->low = 0x80;
  u->high = 0xbf;
  u->need = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
  if (c == 0xe0) u->low = 0xa0;
  if (c == 0xed) u->high = 0x9f;
  if (c == 0xf0) u->low = 0x90;
  if (c == 0xf4) u->high = 0x8f;
  return c < 0x80 || (c >= 0xc2 && c <= 0xf4);
}

bool ws_utf8_look(ws_utf8 *u, const char *s, size_t n) {
  size_t i = 0;
  while (i < n) {
    uint8_t c;
    if (u->need == 0) {
      i += skip_ascii(s + i, n - i);
      if (i == n) break;
    }
    c = (uint8_t)s[i++];
    if (u->need == 0) {
      if (!begin_character(u, c)) return false;
      continue;
    }
    if (c < u->low || c > u->high) return false;
    u->need--;
    u->low = 0x80;
    u->high = 0xbf;
  }
  return true;
}

bool ws_is_utf8(const char *s, size_t n) {
  ws_utf8 u = {0, 0x80, 0xbf};
  return ws_utf8_look(&u, s, n) && u.need == 0;
}
