/* monitor.h - the thread that looks after the others.
   SPDX-License-Identifier: MIT */
#ifndef CAST_MONITOR_H
#define CAST_MONITOR_H

#include "base.h"

int cast_monitor_start(void); /* 0 or CASTING_ENOMEM */
void cast_monitor_stop(void); /* waits for its end */
/* Called by the monitor when the user asks for a sign of life (os.h). */
void cast_monitor_answer(void (*answer)(void));
/* The pool has work again: the monitor must not sleep for ever. Cheap. */
void cast_monitor_rouse(void);
/* Is it in deep sleep? For tests. */
bool cast_monitor_asleep(void);

#endif
