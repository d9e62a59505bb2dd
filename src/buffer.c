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

void cast_buffer_tame(cast_buffer *b, size_t from) {
  for (; from < b->size; from++) {
    unsigned char c = (unsigned char)b->text[from];
    if ((c < ' ' && c != '\n' && c != '\t') || c == 127) b->text[from] = '?';
  }
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
