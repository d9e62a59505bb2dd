/* path.h - says where in a message a value is: "argument 2: .handlers[3].co".
   SPDX-License-Identifier: MIT

   A path is text in a struct on the C stack, so building one cannot fail: it is
   needed when an error is about to be raised, which may be a lack of memory.
   What does not fit is cut off. */
#ifndef CAST_PATH_H
#define CAST_PATH_H

#include "../../limits.h"
#include "../compat/compat.h"

typedef struct cast_path {
  size_t size;     /* of the text, without the '\0' */
  bool inside;     /* something follows the value's number already */
  char text[1500]; /* enough for 20 steps of the longest keys */
} cast_path;

/* Begins with "argument 2"; what is "argument". Without a number if it is 0. */
void cast_path_start(cast_path *path, const char *what, int number);
/* Adds .name or [3] or ["any text"]: the step by the key at idx. */
void cast_path_key(cast_path *path, lua_State *L, int idx);
void cast_path_index(cast_path *path, uint32_t index);
/* Adds a step with a word of its own: metatable, upvalue 'name' (with name not
   NULL). */
void cast_path_word(cast_path *path, const char *word, const char *name);
/* Adds a gap in place of steps that are not shown; 0: their number is not
   known. */
void cast_path_gap(cast_path *path, uint32_t steps);

/* With `steps` steps in all: whether step i is shown; adds the gap. */
static inline bool cast_path_shows(
  cast_path *path, uint32_t i, uint32_t steps) {
  if (steps <= 2 * CAST_PATH_STEPS || i < CAST_PATH_STEPS) return true;
  if (i == CAST_PATH_STEPS) cast_path_gap(path, steps - 2 * CAST_PATH_STEPS);
  return i >= steps - CAST_PATH_STEPS;
}

#endif
