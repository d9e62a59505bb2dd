/* watchdog.h - a timer of a state that has its computing tasks looked at.
   SPDX-License-Identifier: MIT */
#ifndef CAST_WATCHDOG_H
#define CAST_WATCHDOG_H

#include "../state/state.h"

/* Makes room for the timer of S, so that setting it never fails. 0,
   CASTING_ENOMEM. */
int cast_watchdog_init(cast_state *S);
/* Has the task that runs in S at at_ns looked at then, or sooner. Any
   thread. */
void cast_watchdog_set(cast_state *S, uint64_t at_ns, uint64_t now_ns);
/* On sysmon's thread: must the task that a host runs be looked at now? */
bool cast_watchdog_is_due(cast_state *S);

#endif
