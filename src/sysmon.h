/* sysmon.h - the thread that looks after the others.
   SPDX-License-Identifier: MIT */
#ifndef CAST_SYSMON_H
#define CAST_SYSMON_H

#include "base.h"

/* Unless it runs already: 0 or CASTING_ENOMEM. To be called before anything
   that needs a thread of ours: a process that has only loaded casting has none,
   and may fork (fork.h). */
int cast_sysmon_start(void);
/* Waits for its end, if it runs. */
void cast_sysmon_stop(void);
/* In the child of a fork that is not to use casting. */
void cast_sysmon_forked(void);
/* Called by sysmon when the user asks for a sign of life (os.h). */
void cast_sysmon_answer(void (*answer)(void));
/* The pool has work again: sysmon must not sleep for ever. Cheap. */
void cast_sysmon_wake(void);
/* Is it in deep sleep? For tests. */
bool cast_sysmon_is_asleep(void);

#endif
