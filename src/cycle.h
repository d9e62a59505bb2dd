/* cycle.h - channels that only they themselves refer to.
   SPDX-License-Identifier: MIT

   A channel may hold a message with a handle of itself, or of another one that
   holds one of it. Counted references keep these for ever. A trusted program
   would only leak; a sandbox could fill the memory of the process, one session
   after the other. So when a session of a sandbox has closed, those of its
   channels are emptied that nobody can reach any more; then the counts free
   them. This is trial deletion, as in CPython's cycle collector (Christopher,
   1984): of each object the references from within the set are counted; an
   object with more of them is referred to from outside, and so is all that it
   leads to.

   Other threads go on meanwhile, and there is no lock for all references. It is
   right nevertheless. Owner: the thread of the session that closes.
   1. The set are channels whose locks are all held, and what their content
      leads to: blocks, and objects that never change (cast_visitor). So within
      the set no reference comes or goes.
   2. A reference from within is counted as often as it is in the content: once
      for each message, but a block that several messages share is an object of
      its own, with a count of its own, and its references count once.
   3. A new reference to an object needs one, or is read from content. If a
      count is found to be that of the references from within, nobody outside
      has one at that moment; and nobody gets one afterwards, as long as the
      locks are held, because of 1: from other objects outside it cannot be
      read, for their references would have been counted. So the counts need not
      be read at the same time.
   4. What takes a reference without having one (cast_ref_if_alive) is a timer
      or the end of a task: it sends into the channel, and drops the reference.
      If it has one just now, the channel is taken for one that is reached.
   5. What is not known to be unreachable is kept. It stays in a list, and is
      looked at again when another session of a sandbox closes. */
#ifndef CAST_CYCLE_H
#define CAST_CYCLE_H

#include "chan.h"

typedef struct cast_visit cast_visit;
/* Shows what an object that is no channel refers to, by the functions below;
   unless that may still change: then it shows nothing. False: objects of this
   type lead to no channels, and are of no interest. v is NULL: only says
   that. */
typedef bool (*cast_visitor)(cast_object *o, cast_visit *v);
/* Show one reference, or all of a message. */
void cast_visit_object(cast_visit *v, cast_object *o);
void cast_visit_msg(cast_visit *v, const cast_msg *m);

/* The session with this account has closed: empties the channels that it, or
   another closed one, has made, and that nobody can reach. No lock is held. */
void cast_cycles_end(cast_account *a, cast_visitor visitor);

#endif
