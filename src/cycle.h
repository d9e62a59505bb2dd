/* cycle.h - channels that only they themselves refer to.
   SPDX-License-Identifier: MIT

   A channel may hold a message with a handle of itself, or of another one that
   holds one of it. Counted references keep these for ever. A trusted program
   would only leak; a sandbox could fill the memory of the process, one session
   after the other. So when a session of a sandbox has closed, those of its
   channels are emptied that nobody can reach any more, and those of the
   program's that it has sent handles into; then the counts free them. This is
   trial deletion, as in CPython's cycle collector (Christopher, 1984): of each
   object the references from within the set are counted; an object with more of
   them is referred to from outside, and so is all that it leads to.

   Other threads go on meanwhile, and nothing holds them up: the lock of one
   channel is held at a time, for some messages. It is right nevertheless. The
   set are members (account.h): channels, and tasks whose results may lead to
   tasks; and what these lead to: blocks of messages, and objects that never
   change (cast_visitor), which are read by whoever has a reference, with no
   lock. (A channel of the program's becomes a member before a sandbox sends
   the first handle into it: cast_chan_adopt.) What lies in a channel is
   received, or stays; and who reads the results of a task is counted.
   1. First all of the set is met, and each reference from within is noted. Who
      looks has a reference to each object then, so none of them ends. What a
      channel holds is known by three figures, which never come back once they
      have changed: room, head and count; what a task holds stays, and is known
      by how often it was read.
   2. Then the counts are read: those of an object that is read without a lock
      before those of all that it refers to, so these come in the order of
      their references, and members last. An order there is, for such an object
      is made after what it refers to. (Should there be none, the object counts
      as reached.)
   3. Then the figures are read again. A member that has changed counts as
      reached; all others were as noted while the counts were read.
   4. Somebody outside who has a reference at the end of 2 had it in the
      beginning, or was led to it by others: he had one to an object, took a
      reference from it, and may have dropped the first one after that; and so
      on. If the count of the first object was read when he had it, it shows. If
      he had dropped it by then, he had the next one already, whose count is
      read later; and so on, up to the last one, which he has still. So one of
      the counts shows him, and that object is reached, with all that it leads
      to. From a member nobody is led anywhere but by what changes it, see 3.
   5. A reference that was noted and is not there any more, or was noted twice,
      can hide one from outside. Only content that has changed has such ones;
      then its member counts as reached, and so does what they refer to.
   6. So when no count shows him there is nobody outside; and nobody will be,
      for a reference comes from a reference, or from content. What takes one
      without (cast_ref_if_alive) is a timer or the end of a task: it sends into
      the channel, and drops the reference; and a failure that is not reported
      (cast_visitor.waits).
   7. What is not known to be unreachable is kept, and stays in a list. It is
      looked at again when sessions of sandboxes close: all of it, once these
      are worth that. Each is worth some work (CAST_CYCLE_OTHERS), and more for
      the bytes that were charged to it, and to those below it, and are still in
      use (CAST_CYCLE_BYTES). That much may be done for what it has made; and as
      much once more is put by for the next look at all. How much work a look is
      shows only while it goes on, for a channel may lead to anything. When it
      would be more than it may, it ends, with nothing emptied: what was to be
      looked at waits for the next look at all, and if it was one, that begins
      when twice as much has been put by.
      So the work for sessions that close is bounded by how many these are and
      by what they leave behind, wherever that leads. And what cannot be reached
      any more takes at most some times the memory of what could be reached at
      the last look at all: the next one takes about as much work as that, and
      sessions put it by, at the latest, while they leave what is worth four
      times as much.

   Owner: one thread at a time looks; a session that closes meanwhile leaves its
   members to that one, which looks for them before it ends. */
#ifndef CAST_CYCLE_H
#define CAST_CYCLE_H

#include "chan.h"

typedef struct cast_visit cast_visit;
/* About objects that are no channels. */
typedef struct cast_visitor {
  /* Do objects of this type lead to channels? */
  bool (*leads)(const cast_object *o);
  /* Shows what it refers to, by the functions below; unless that may still
     change: then it shows nothing. True: somebody who has no reference to it
     may yet get one. */
  bool (*show)(cast_object *o, cast_visit *v);
  /* Asked after that: may he still? The count of o was read meanwhile, so what
     was done by whoever has given a reference up is seen. */
  bool (*waits)(cast_object *o);
  /* Of a member: how often others have read what it shows. */
  uint32_t (*looks)(cast_object *o);
  /* Takes out what it shows, into an empty message. */
  void (*empty)(cast_object *o, cast_msg *m);
} cast_visitor;
/* Show one reference, or all of a message. */
void cast_visit_object(cast_visit *v, cast_object *o);
void cast_visit_msg(cast_visit *v, const cast_msg *m);

/* The session with this account has closed: empties the members that it, or
   another closed one, has made, and that nobody can reach. No lock is held. */
void cast_cycles_end(cast_account *a, const cast_visitor *visitor);

#endif
