/* embed.h - the Lua files that are built into the module.
   SPDX-License-Identifier: MIT

   The build makes embedded.h, which has them, from lualib/casting/. */
#ifndef CAST_EMBED_H
#define CAST_EMBED_H

#include "../compat/compat.h"

#include <stddef.h>

/* One such file. */
typedef struct cast_embedded {
  const char *name;         /* of the file, without .lua; NULL ends the list */
  const char *const *lines; /* its text; NULL ends them */
} cast_embedded;

/* Stands in the module for each public function that is written in Lua: loads
   its file if need be, and calls the function which that returns. */
int cast_embed_stub(lua_State *L);
/* What a method that is written in Lua does: calls the function of that file
   with all arguments. `name` is the method's, for errors. */
int cast_embed_call(lua_State *L, const char *file, const char *name);
/* Pushes the table `internal` (embed.c). Raises. */
void cast_internal_push(lua_State *L);
/* For the packer: pushes the module of casting's own that has this name, and
   returns true; or pushes nothing. Raises. */
bool cast_embed_module(lua_State *L, const char *name, size_t size);

/* Puts those functions into the table on the top. Raises. */
void cast_open_embedded(lua_State *L);

#endif
