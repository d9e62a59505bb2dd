/* failure.h - records of tasks that have failed.
   SPDX-License-Identifier: MIT

   A failure that no task joins in time is reported: once, to the channel of
   casting.on_error, or to stderr. */
#ifndef CAST_FAILURE_H
#define CAST_FAILURE_H

#include "../../chan.h"
#include "../../cycle.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

typedef struct cast_failure cast_failure;
/* The beginning of each. */
typedef struct cast_failure_texts {
  const char *error;     /* (i) */
  const char *traceback; /* (i) */
} cast_failure_texts;
/* Packs {error =, traceback =} into *msg, for casting.on_error. error and
   traceback are indices; an error that cannot cross, or none (0), is replaced
   by `text`, which describes it. Raises without memory; and in a protected call
   (protect.h) if what it runs would wait. */
void cast_failure_pack(lua_State *L, cast_state *S, int error, const char *text,
  int traceback, cast_msg *msg);
/* Notes that t has failed, with its error message and traceback and what was
   packed of them, which moves: to be reported unless somebody joins within a
   second. NULL: out of memory. */
cast_failure *cast_failure_new(
  cast_ltask *t, const char *error, const char *traceback, cast_msg *msg);
/* Is there a channel for failures? Then tasks that fail are shared with other
   sessions, for the messages have handles of them. */
bool cast_failure_has_channel(void);
/* One more holder, and one less; any thread. The texts below are there as long
   as there is a holder. */
cast_failure *cast_failure_ref(cast_failure *f);
void cast_failure_unref(cast_failure *f);
/* Somebody has it to whom it is not charged: it is charged no more. */
void cast_failure_taken(cast_failure *f);
static inline const char *cast_failure_traceback(const cast_failure *f) {
  return ((const cast_failure_texts *)(const void *)f)->traceback;
}
static inline const char *cast_failure_error(const cast_failure *f) {
  return ((const cast_failure_texts *)(const void *)f)->error;
}
/* Writes the report of t to stderr at once. */
void cast_failure_print(const cast_ltask *t, const char *traceback);
/* The task's last reference goes: reports the failure unless that was done;
   what ends with the message is put on the list (object.h). Then the task gives
   its hold up by cast_failure_free. */
void cast_failure_release(cast_failure *f, cast_object **more);
void cast_failure_free(cast_failure *f);
/* For cycle.c: shows what the report has references to. True: it is not made
   yet, and brings the task to somebody who has no reference to it; unless,
   asked afterwards, somebody has joined. */
bool cast_failure_show(cast_failure *f, cast_visit *v);
bool cast_failure_waits(cast_failure *f);
/* At the end of a host: reports the failures of its sessions that were not
   reported yet, and waits until the deadline, but for CAST_FLUSH_NS at least
   and for two times CAST_SAY_NS at most. True: all were written or dropped. */
bool cast_failures_flush(cast_state *root, uint64_t deadline_ns);
/* Where failures of the process go: a channel (its reference is taken over),
   until the host that said so ends; NULL: stderr, if `root` had chosen. */
void cast_failures_to(cast_chan *c, cast_state *root);

#endif
