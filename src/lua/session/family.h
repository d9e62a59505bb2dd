/* family.h - the sessions of a host.
   SPDX-License-Identifier: MIT */
#ifndef CAST_FAMILY_H
#define CAST_FAMILY_H

#include "../state/state.h"

/* The session below root that comes after `after`, or the first, with a weak
   reference; NULL: there is none. */
cast_state *cast_state_child(cast_state *root, cast_state *after);
/* Into all[]: root, if it is a host, and its sessions, with a weak reference
   each; no more than `room`. How many. */
uint32_t cast_state_family(cast_state *root, cast_state **all, uint32_t room);
/* The session belongs to `root` from now on, whose memory it keeps. */
void cast_family_enter(cast_state *S, cast_state *root);
void cast_family_leave(cast_state *S);

#endif
