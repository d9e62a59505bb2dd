/* sysmon.h - the thread that fires timers and watches the workers.
   SPDX-License-Identifier: MIT

   It is named after the thread of Go's runtime that does the same. A process
   has one as soon as anything has needed a thread of casting's. All functions
   are for any thread. */
#ifndef CAST_SYSMON_H
#define CAST_SYSMON_H

#include "base.h"

/* Starts sysmon unless it runs: 0 or CASTING_ENOMEM. To be called before
   anything that needs a thread of casting's. A process that has only loaded
   casting has no such thread, and may fork (fork.h). */
int cast_sysmon_start(void);
/* Ends sysmon, if it runs, and waits for its end. */
void cast_sysmon_stop(void);
/* In the child of a fork that cannot use casting: removes the signal handler.
   */
void cast_sysmon_forked(void);
/* Makes sysmon call `answer` when the user asks for a task dump with
   SIGQUIT (os_ask_install). */
void cast_sysmon_answer(void (*answer)(void));
/* Wakes sysmon if it is in deep sleep, as the pool has work again. Cheap
   if it is not. */
void cast_sysmon_wake(void);
/* For tests: is it in deep sleep? */
bool cast_sysmon_is_asleep(void);

#endif
