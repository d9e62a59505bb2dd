/* program.h - the programs that sessions of ours start, and their signals.
   SPDX-License-Identifier: MIT

   A program inherits the signal mask of the thread that starts it, and threads
   of the pool block nearly all signals. So a program that a session starts gets
   the mask of its root instead: that which the thread of the root, a host, had
   when it last made a session, or a task in one. (A root of C's: which the
   thread had that has made the root.) */
#ifndef CAST_PROGRAM_H
#define CAST_PROGRAM_H

#include "../../os/os.h"
#include "../../types.h"

struct cast_state;
typedef struct cast_signals cast_signals;

/* Records the signals of the calling thread, which makes the root. False: out
   of memory. */
bool cast_signals_init(struct cast_state *root);
/* Records them again if S is a host, since its thread may have changed them. */
void cast_signals_note(struct cast_state *S);
/* The signals with which S starts a program, whichever thread runs it. */
os_signals cast_signals_now(struct cast_state *S);
/* ops->signals, for the child of a fork, where no other thread records them. */
const os_signals *cast_signals_of(cast_session *s);

#endif
