/* watchdog.h - a timer of a state that has its computing tasks looked at.
   SPDX-License-Identifier: MIT */
#ifndef CAST_WATCHDOG_H
#define CAST_WATCHDOG_H

#include "../state/state.h"

int cast_watchdog_init(cast_state *S); /* 0, CASTING_ENOMEM */
/* Has the task that runs at at_ns looked at, or sooner. Any thread. */
void cast_watchdog_set(cast_state *S, uint64_t at_ns, uint64_t now_ns);
/* Sysmon: is it time to have a host's task looked at? */
bool cast_watchdog_is_due(cast_state *S);

#endif
