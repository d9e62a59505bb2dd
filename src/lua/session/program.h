/* program.h - the programs that sessions of ours start, and their signals.
   SPDX-License-Identifier: MIT

   A program inherits the signal mask of the thread that starts it, and those of
   the pool block nearly all signals. So what a session starts gets its signals
   as the host's thread had them that is the session's root, when that last made
   a session, or a task in one. */
#ifndef CAST_PROGRAM_H
#define CAST_PROGRAM_H

#include "../../os/os.h"
#include "../../types.h"

struct cast_state;
typedef struct cast_signals cast_signals;

/* The thread that makes a root is the one: false if out of memory. */
bool cast_signals_init(struct cast_state *root);
/* It may have changed them since. Nothing happens in a session of ours. */
void cast_signals_note(struct cast_state *S);
/* What S, in whatever thread it runs, would start programs with. */
os_signals cast_signals_now(struct cast_state *S);
/* ops->signals: read where no other thread can note them. */
const os_signals *cast_signals_of(cast_session *s);

#endif
