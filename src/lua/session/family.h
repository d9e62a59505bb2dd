/* family.h - the sessions of a host.
   SPDX-License-Identifier: MIT */
#ifndef CAST_FAMILY_H
#define CAST_FAMILY_H

#include "../state/state.h"

/* Returns the session below `root` that comes after `after` in the list, or the
   first one if `after` is NULL, with a weak reference for the caller; NULL if
   there is none. Any thread. */
cast_state *cast_state_child(cast_state *root, cast_state *after);
/* Fills all[] with `root`, if it is a host, and its sessions, each with a weak
   reference for the caller, but with no more than `room`. Returns how many. */
uint32_t cast_state_family(cast_state *root, cast_state **all, uint32_t room);
/* Puts a new session into the list of `root`, and gives it a weak reference to
   the root. */
void cast_family_enter(cast_state *S, cast_state *root);
/* Takes a session that has closed out of that list. */
void cast_family_leave(cast_state *S);

#endif
