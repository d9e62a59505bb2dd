/* chunk.c - the lines before chunks (RFC 9112, 7.1).
   SPDX-License-Identifier: MIT */
#include "http.h"

static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int64_t http_chunk_size(http_text line) {
  int64_t size = 0;
  size_t i = 0;
  int digit;
  /* Twelve digits are more than any body has. */
  while (i < line.n && (digit = digit_of(line.at[i])) >= 0) {
    if (i == 12) return -1;
    size = size * 16 + digit;
    i++;
  }
  if (i == 0) return -1;
  if (i == line.n) return size;
  /* Blanks may stand before an extension, and nowhere else. */
  line.at += i;
  line.n -= i;
  while (line.n > 0 && (line.at[0] == ' ' || line.at[0] == '\t'))
    line.at++, line.n--;
  if (line.n == 0 || line.at[0] != ';' || !http_is_value(line)) return -1;
  return size;
}
