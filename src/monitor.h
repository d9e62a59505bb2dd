/* monitor.h - the thread that looks after the others.
   SPDX-License-Identifier: MIT */
#ifndef CAST_MONITOR_H
#define CAST_MONITOR_H

#include "base.h"

int cast_monitor_start(void); /* 0 or CASTING_ENOMEM */
void cast_monitor_stop(void); /* waits for its end */
/* The pool has work again: the monitor must not sleep for ever. Cheap. */
void cast_monitor_rouse(void);

#endif
