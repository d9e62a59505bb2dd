/* buffer.h - text that grows, without any Lua state.
   SPDX-License-Identifier: MIT

   Owner: the function that fills it. A report is written into a buffer rather
   than into Lua strings, because making a string may run the collector and
   finalizers between looking at something and writing it down. A buffer that
   is all zero is empty. When memory is out, `lacking` is set, and text that is
   added later is left out. */
#ifndef CAST_BUFFER_H
#define CAST_BUFFER_H

#include "base.h"

typedef struct cast_buffer {
  char *text;   /* ends with a zero; NULL: empty */
  size_t size;  /* the bytes of the text, without the zero */
  size_t room;  /* the bytes that are allocated */
  bool lacking; /* memory was out: the text is incomplete */
} cast_buffer;

void cast_buffer_add(cast_buffer *b, const char *text);
/* Adds text that is formatted as by printf(3). */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void cast_buffer_form(cast_buffer *b, const char *form, ...);
/* Replaces control characters from that byte on, but for line ends and tabs,
   and what is not seen or changes the order of others (UTF-8): the text may
   come from who is not trusted, and be shown on a terminal. */
void cast_buffer_tame(cast_buffer *b, size_t from);
/* Has the text none of these, and neither line ends nor tabs? */
bool cast_text_is_tame(const char *text, size_t size);
/* Takes the text out, which the caller frees with cast_free; the buffer is
   empty afterwards. NULL: there was no memory for all of the text, or nothing
   was added. */
char *cast_buffer_take(cast_buffer *b);
void cast_buffer_fini(cast_buffer *b);

#endif
