/* pieces.h - what is to be written: a string, or a list of several.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PIECES_H
#define CAST_PIECES_H

#include "../../os/socket.h"
#include "../compat/compat.h"

/* The bytes of an argument: of a string, of a number, or of the strings of a
   list of these and of such lists. Returns how many pieces they are, and
   *pieces, which lie in a userdata that is pushed with all that keeps them.
   Raises. */
uint32_t cast_pieces_read(lua_State *L, int arg, os_bytes **pieces);
/* Raises if there is no such argument: to be called before the stack is set. */
void cast_pieces_need(lua_State *L, int arg);
/* How many bytes these are in all. */
size_t cast_pieces_size(const os_bytes *pieces, uint32_t n);
/* Copies them all. */
void cast_pieces_copy(const os_bytes *pieces, uint32_t n, char *to);

#endif
