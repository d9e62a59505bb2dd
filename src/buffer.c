/* buffer.c - text that grows.
   SPDX-License-Identifier: MIT */
#include "buffer.h"

#include "limits.h"
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>

/* Makes room for `size` bytes and a zero behind the text. Returns where they
   go; NULL when out of memory, now or earlier. */
static char *room_for(cast_buffer *b, size_t size) {
  size_t want = b->room == 0 ? CAST_BUFFER_FIRST : b->room;
  char *text;
  if (b->lacking) return NULL;
  while (want - b->size <= size) want *= 2;
  if (want > b->room) {
    text = cast_realloc(b->text, want);
    b->lacking = text == NULL;
    if (b->lacking) return NULL;
    b->text = text;
    b->room = want;
  }
  return b->text + b->size;
}

void cast_buffer_add(cast_buffer *b, const char *text) {
  size_t size = strlen(text);
  char *at = room_for(b, size);
  if (at == NULL) return;
  memcpy(at, text, size + 1);
  b->size += size;
}

void cast_buffer_form(cast_buffer *b, const char *form, ...) {
  va_list args, again;
  char *at;
  int size;
  va_start(args, form);
  va_copy(again, args);
  size = vsnprintf(NULL, 0, form, args);
  at = size < 0 ? NULL : room_for(b, (size_t)size);
  if (at != NULL) {
    (void)vsnprintf(at, (size_t)size + 1, form, again);
    b->size += (size_t)size;
  }
  va_end(again);
  va_end(args);
}

/* -- what a terminal may be shown ----------------------------------------- */

/* The character at s, of which `left` bytes are there; *size: its bytes. A byte
   that begins no character of UTF-8 is one by itself. Longer forms of a
   character are read like the right one, as some terminals do. */
static uint32_t decode(const unsigned char *s, size_t left, size_t *size) {
  size_t n = *s < 0xC0 || *s >= 0xF8 ? 1 : *s < 0xE0 ? 2 : *s < 0xF0 ? 3 : 4;
  uint32_t c = *s & (n == 1 ? 0xFFu : 0x7Fu >> n);
  *size = 1;
  if (n > left) return *s;
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80) return *s;
    c = c << 6 | (s[i] & 0x3Fu);
  }
  *size = n;
  return c;
}

/* Control characters, also those from 128 on, of which one begins what commands
   a terminal; what nobody sees; and what changes the order in which others are
   shown. */
static bool is_wild(uint32_t c) {
  static const struct {
    uint32_t first, last;
  } wild[] = {{0, 8}, {0xB, 0x1F}, {0x7F, 0x9F}, {0xAD, 0xAD}, {0x61C, 0x61C},
    {0x180E, 0x180E}, {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F},
    {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F}};
  for (size_t i = 0; i < sizeof wild / sizeof *wild; i++)
    if (c >= wild[i].first && c <= wild[i].last) return true;
  return false;
}

bool cast_text_is_tame(const char *text, size_t size) {
  size_t n;
  for (size_t i = 0; i < size; i += n)
    if (is_wild(decode((const unsigned char *)text + i, size - i, &n)) ||
        text[i] == '\n' || text[i] == '\t')
      return false;
  return true;
}

void cast_buffer_tame(cast_buffer *b, size_t from) {
  for (size_t n; from < b->size; from += n)
    if (is_wild(decode((unsigned char *)b->text + from, b->size - from, &n)))
      memset(b->text + from, '?', n);
}

char *cast_buffer_take(cast_buffer *b) {
  char *text = b->lacking ? NULL : b->text;
  if (text != NULL) memset(b, 0, sizeof *b);
  cast_buffer_fini(b);
  return text;
}

void cast_buffer_fini(cast_buffer *b) {
  cast_free(b->text);
  memset(b, 0, sizeof *b);
}
