/* buffer.h - text that grows, without any Lua state.
   SPDX-License-Identifier: MIT

   Owner: whoever has it. To make a Lua string of each piece instead may run
   the collector, and finalizers, between looking at something and writing it
   down. All zero, it is empty. When memory is out, `lacking` is set, and what
   is added from then on is left out. */
#ifndef CAST_BUFFER_H
#define CAST_BUFFER_H

#include "base.h"

typedef struct cast_buffer {
  char *text; /* ends with a zero; NULL: empty */
  size_t size;
  size_t room;
  bool lacking;
} cast_buffer;

void cast_buffer_add(cast_buffer *b, const char *text);
/* As printf(3). */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void cast_buffer_form(cast_buffer *b, const char *form, ...);
/* The text, to be given to cast_free; the buffer is empty. NULL: there was no
   memory for all of it, or nothing was added. */
char *cast_buffer_take(cast_buffer *b);
void cast_buffer_fini(cast_buffer *b);

#endif
