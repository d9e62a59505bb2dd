/* recorder.h - LuaJIT: may a hook be set now, whatever is interrupted?
   SPDX-License-Identifier: MIT

   LuaJIT's lua_sethook may be called at any moment, as in a signal handler,
   but while its compiler records a trace. Then it changes the state of the
   recorder, which may be in the middle of a step: an argument too many may be
   passed to a function, or a counter of another function be written. */
#ifndef CAST_RECORDER_H
#define CAST_RECORDER_H

#include "../../base.h"
#include "compat.h"

#if CAST_LUAJIT
/* Where in a Lua universe the recorder's state is. */
typedef struct cast_recorder_layout {
  bool none;      /* this LuaJIT was built without a compiler */
  uint32_t state; /* bytes behind the main thread's address; 0: not known */
} cast_recorder_layout;
extern cast_recorder_layout cast_recorder_at;

/* Finds it out, if nobody has yet: before the next is called. */
void cast_recorder_learn(void);

/* Owner, also in a signal handler: is it known where the state is? */
static inline bool cast_recorder_is_known(void) {
  return cast_recorder_at.none || cast_recorder_at.state != 0;
}

/* The same: is no trace being recorded in the universe with that main thread?
   NULL, or not known where to look: only if that is interpreted, its compiler
   having been switched off for good. */
static inline bool cast_recorder_rests(
  const lua_State *main, bool interpreted) {
  uint32_t state;
  if (cast_recorder_at.none) return true;
  if (cast_recorder_at.state == 0 || main == NULL) return interpreted;
  memcpy(
    &state, (const unsigned char *)main + cast_recorder_at.state, sizeof state);
  return state == 0;
}

/* Is a trace surely being recorded, or its recording not cleaned up? */
static inline bool cast_recorder_works(const lua_State *main) {
  return cast_recorder_is_known() && main != NULL &&
         !cast_recorder_rests(main, true);
}
#else
static inline void cast_recorder_learn(void) {}
#endif

#endif
