/* embed.h - the Lua files that are built into the module.
   SPDX-License-Identifier: MIT

   The list is made from lua/casting/ by cmake/embed.cmake. */
#ifndef CAST_EMBED_H
#define CAST_EMBED_H

#include <stddef.h>

typedef struct cast_embedded {
  const char *name; /* of the file, without .lua; NULL ends the list */
  const unsigned char *text;
  size_t size;
} cast_embedded;

extern const cast_embedded cast_embedded_files[];

#endif
