/* embed.h - the Lua files that are built into the module.
   SPDX-License-Identifier: MIT

   The list, embedded.c, is made from lua/casting/ by tools/gen/embed.sh. */
#ifndef CAST_EMBED_H
#define CAST_EMBED_H

#include "../compat/compat.h"

#include <stddef.h>

typedef struct cast_embedded {
  const char *name;         /* of the file, without .lua; NULL ends the list */
  const char *const *lines; /* NULL ends them */
} cast_embedded;

extern const cast_embedded cast_embedded_files[];

/* The public functions that are written in Lua: calls what the file returns. */
int cast_embed_stub(lua_State *L);
/* Pushes the table `internal`: embed.c. */
void cast_internal_push(lua_State *L);
/* For the packer: pushes what is called so and is no file of the program's, or
   nothing. */
bool cast_embed_module(lua_State *L, const char *name, size_t size);

/* embed.c: puts what is written in Lua into the table on top. */
void cast_open_embedded(lua_State *L);

#endif
