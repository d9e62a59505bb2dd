/* failure.h - records of tasks that have failed.
   SPDX-License-Identifier: MIT */
#ifndef CAST_FAILURE_H
#define CAST_FAILURE_H

#include "../../chan.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

typedef struct cast_failure cast_failure;
/* Packs for casting.on_error an error, or if that cannot cross what describes
   it, and the traceback, which is at an index, too. Without memory *msg stays
   empty. */
void cast_failure_pack(lua_State *L, cast_state *S, int error, const char *text,
  int traceback, cast_msg *msg);
/* Notes that t has failed, with its error message and traceback and what was
   packed of them, which moves: to be reported unless somebody joins within a
   second. NULL: out of memory. */
cast_failure *cast_failure_new(
  cast_ltask *t, const char *error, const char *traceback, cast_msg *msg);
/* Is there a channel for failures? Then tasks that fail are shared, for the
   messages have handles of them. */
bool cast_failure_has_channel(void);
/* One more holder, and one less; any thread. The texts stay as long. */
cast_failure *cast_failure_ref(cast_failure *f);
void cast_failure_unref(cast_failure *f);
const char *cast_failure_traceback(const cast_failure *f);
const char *cast_failure_error(const cast_failure *f);
/* Writes it to stderr. */
void cast_failure_print(const cast_ltask *t, const char *traceback);
/* The task's last reference goes: reports it unless that was done; what ends
   with it is put on the list (object.h). Then the record can be freed. */
void cast_failure_release(cast_failure *f, cast_object **more);
void cast_failure_free(cast_failure *f);
/* At the end of a host: what of its sessions was not reported yet. Waits until
   the deadline, or a moment longer: was all of it said, or dropped? */
bool cast_failures_flush(cast_state *root, uint64_t deadline_ns);
/* Where failures of the process go: a channel (its reference is taken over),
   until the host that said so ends; NULL: stderr, if `root` had chosen. */
void cast_failures_to(cast_chan *c, cast_state *root);

#endif
