/* origin.h - where an error that await has raised came from.
   SPDX-License-Identifier: MIT */
#ifndef CAST_ORIGIN_H
#define CAST_ORIGIN_H

#include "../../buffer.h"
#include "../../limits.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "failure.h"

/* `target` has ended, and t will raise what it has failed with. Returns the
   record of the failure, which t holds until it awaits something else; NULL:
   target has not failed, or there is no memory. */
const cast_failure *cast_origin_take(cast_ltask *t, const cast_ltask *target);
/* t is about to raise the error on the top, of which f is what cast_origin_take
   returned. If it is a string, and nothing in Lua can catch it, the stacks of
   where it came from are appended. Raises when out of memory. */
void cast_origin_note(
  lua_State *L, cast_state *S, cast_ltask *t, const cast_failure *f);
/* Forgets what t has awaited. Raises when out of memory. */
void cast_origin_drop(lua_State *L, cast_ltask *t);
/* t has failed with the value at `error`, described as `text`, on the stack
   `stack`: adds all stacks to b, that of where the error came from first. */
void cast_origin_write(lua_State *L, cast_buffer *b, cast_ltask *t, int error,
  const char *text, const char *stack);
/* The error on the top is about to be raised. Where nothing in Lua can catch
   it, and 5.1's interpreter would not call its __tostring, it becomes what that
   returns. Raises when out of memory. */
void cast_origin_show(lua_State *L);

#endif
