/* newsession.h - making sessions of the pool, and closing them.
   SPDX-License-Identifier: MIT */
#ifndef CAST_NEWSESSION_H
#define CAST_NEWSESSION_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/state.h"

/* What the options of casting.session say. */
typedef struct cast_options {
  cast_chars name;    /* none: one is made up */
  uint32_t libs;      /* as for cast_libs_open */
  size_t memory_max;  /* 0: no limit */
  uint64_t cpu_max;   /* nanoseconds; 0: not measured, OS_FOREVER: no limit */
  uint32_t tasks_max; /* 0: no limit */
} cast_options;
/* What casting needs in L (again, if that failed half way), but for the module
   and the classes of handles, which are made when first needed. Raises. */
void cast_state_init_lua(lua_State *L, cast_state *S);
/* The root of sessions that C makes: it has no Lua state and is no session.
   NULL: out of memory. */
cast_state *cast_state_root(const cast_binding *binding);
/* A new session below `root`; its first handle is the caller's, who also owns
   the session until cast_session_release. */
cast_state *cast_state_make(cast_state *root, const cast_options *o);
/* Asks all sessions below root to close. */
void cast_state_close_children(cast_state *root, cast_session *self);
/* A new session, its handle pushed on L; *to is set as soon as it is there, and
   is to be released. Raises. */
void cast_state_new(
  lua_State *L, cast_state *S, const cast_options *o, cast_state **to);
/* Asks the session to cancel everything and close; any thread. */
void cast_state_close(cast_state *S, cast_session *self);
extern const cast_session_ops cast_pool_ops;
/* A state that is not a session yet; NULL: out of memory. */
cast_state *cast_state_alloc(
  const cast_binding *binding, const char *name, size_t size);
/* Its memory and what belongs to it; it has no Lua state any more. */
void cast_state_free(cast_state *S);
/* ops->free: the last weak reference went. */
void cast_session_free(cast_session *s);

#endif
