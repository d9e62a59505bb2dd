/* account.h - what a sandbox and all that it has made use together.
   SPDX-License-Identifier: MIT

   An account counts bytes, tasks and processor time, and may limit each. It is
   that of a session (cast_session.account); a session that is made in that one
   has an account below it. What is charged counts in an account and in all
   above it, so that nobody gets more by making sessions. A charge that one of
   them refuses is taken back from those below. Sessions that are trusted have
   no account, NULL, to which everything can be charged.

   Owner: its references; everything that is charged has one, or is a part of
   what has. Any thread may call these functions. There are no locks but for the
   two lists: each figure is an atomic number. Invariants:
   1. A figure is the sum of what is charged to the account and to those below
      it, and of charges under way. So two charges at the same time may refuse
      each other near a limit, but never exceed it together.
   2. When an account ends, its bytes and its tasks are 0.
   3. A figure is beyond its limit only by what was added without being asked
      (cast_account_add): what somebody else has caused, and what cannot fail
      any more. Then every other charge is refused.
   4. `open` counts the sessions of the account and of those below it that have
      not closed. It becomes 0 once, for all of them come from the account's own
      session or from one that counts already.
   5. If an account is ending, each session that counts in it was asked to
      close, or is being asked: by who has ended the account, which finds those
      that had entered before, or by its maker, whom cast_account_enter tells
      so. */
#ifndef CAST_ACCOUNT_H
#define CAST_ACCOUNT_H

#include "list.h"
#include "lock.h"
#include "object.h"

/* What is counted. Processor time is in nanoseconds, and is never given
   back. */
typedef enum cast_use { CAST_BYTES, CAST_TASKS, CAST_CPU, CAST_USES } cast_use;

typedef struct cast_account cast_account;
struct cast_account {
  cast_object object;               /* references: sessions, charges */
  cast_account *parent;             /* (i) one reference, or NULL */
  uint64_t max[CAST_USES];          /* (i) the limits; 0: none */
  _Atomic uint64_t used[CAST_USES]; /* (a) relaxed: figures only, see 1 */
  cast_list made; /* (cast_members_lock) what may lead to itself: cast_member */
  cast_list ends; /* (cast_members_lock) what ends with that: cast_dependent */
  uint64_t earned;   /* (cast_members_lock) how many of its bytes counted when
                      sessions closed (cycle.c); no more than there are */
  _Atomic bool over; /* (a) its sessions have been told that no cpu is left */
  uint32_t open;     /* (cast_members_lock) see invariant 4 */
  bool ending;       /* (cast_members_lock) see invariant 5 */
  /* (a) Ending: when the first of its sessions came to that; 0: none has yet.
     Relaxed: a figure. */
  _Atomic uint64_t ends_ns;
  struct cast_session *session; /* (i) its own; with a weak reference as long as
                                   `open` is not 0 */
};

/* An account below `parent` (NULL: below none) with these limits, one of each
   use; one reference for the caller. NULL: out of memory. */
cast_account *cast_account_new(cast_account *parent, const uint64_t *max);
static inline cast_account *cast_account_ref(cast_account *a) {
  return a != NULL ? cast_ref(&a->object) : NULL;
}
static inline void cast_account_unref(cast_account *a) {
  if (a != NULL) cast_unref(&a->object);
}

/* Charges n. False: that would be more than there may be, and nothing is
   charged. */
bool cast_account_take(cast_account *a, cast_use use, uint64_t n);
/* Charges n, even beyond a limit (invariant 3). */
void cast_account_add(cast_account *a, cast_use use, uint64_t n);
/* Takes back what was charged. */
void cast_account_give(cast_account *a, cast_use use, uint64_t n);

/* How much may still be charged; UINT64_MAX: any amount. */
uint64_t cast_account_left(const cast_account *a, cast_use use);
/* The lowest limit of the account and those above it; 0: there is none. */
uint64_t cast_account_max(const cast_account *a, cast_use use);
/* The first account of these that has used up its limit; NULL: none has. */
const cast_account *cast_account_full(const cast_account *a, cast_use use);
static inline uint64_t cast_account_used(const cast_account *a, cast_use use) {
  return atomic_load_explicit(&a->used[use], memory_order_relaxed);
}
/* Is `above` the account, or one above it? */
bool cast_account_is_below(const cast_account *a, const cast_account *above);

/* Bytes of a struct that has a reference to its account: charges them and adds
   that reference, or returns false; and gives both back. NULL: does nothing. */
bool cast_account_hold(cast_account *a, size_t bytes);
void cast_account_release(cast_account *a, size_t bytes);

/* Guards the lists of accounts, and those of cycle.c; and whether accounts end.
   No other lock is taken while it is held. */
extern cast_lock cast_members_lock;

/* -- sessions ------------------------------------------------------------- */

/* The session with this account is there, where those who look for it find it:
   it counts in the account and in all above. True: one of these is ending, so
   the session has to close at once. */
bool cast_account_enter(cast_account *a);
/* A session of this account, or of one below it, has closed: it counts in it no
   more. True: it was the last one. To be called for an account and for all
   above it, in this order. */
bool cast_account_leave(cast_account *a);
/* The session with this account closes, or is asked to, and with it all below.
   True: some may be there that nobody has asked yet, so the caller does. */
bool cast_account_end(cast_account *a);
/* A session with this account has come to a request to close, now: what is
   ending has a time of its own from then on. */
void cast_account_note_end(cast_account *a, uint64_t now_ns);
/* The first such time of the account and those above it; UINT64_MAX: none. */
uint64_t cast_account_ends(const cast_account *a);

/* -- what may lead to itself ---------------------------------------------- */

/* What an object has that may lead to itself by what a session of a sandbox has
   done: a channel that it has made, or has sent handles into, or a task of its
   own with handles of tasks in its results. */
typedef struct cast_member {
  cast_list link;        /* (cast_members_lock) in account->made, or a list of
                            cycle.c's */
  cast_object *object;   /* (i) whose this is */
  cast_account *account; /* (i) one reference; this and `bytes` are charged */
  size_t bytes;          /* (i) */
  cast_object *held;     /* (i) of a channel: an object to which chan->owner has
                            a reference, or NULL; set before others have it */
} cast_member;

/* For an object that nobody else has, or knows to be one; charges so many bytes
   for it. NULL: out of memory, or too much for the account. */
cast_member *cast_member_new(cast_account *a, cast_object *o, size_t bytes);
/* The same for an object that others may have; nothing is refused. NULL: out of
   memory. */
cast_member *cast_member_add(cast_account *a, cast_object *o);
/* The object is freed: nobody finds it in a list any more. */
void cast_member_free(cast_member *m);

/* -- what ends with a session --------------------------------------------- */

/* A part of something that nobody needs any more when the session has closed
   that has made it. */
typedef struct cast_dependent cast_dependent;
struct cast_dependent {
  cast_list link;   /* (cast_members_lock) in account->ends, or in none */
  unsigned holders; /* (cast_members_lock) the list, and who works with it */
  /* (i) Called when the session has closed, with no lock held. By then d is out
     of the list, whose hold has gone to this function. */
  void (*end)(cast_dependent *d);
};

/* Its owner has another hold. */
void cast_dependent_add(cast_account *a, cast_dependent *d);
/* Takes d out of the list, and gives one hold up. True: it was the last one, so
   d may be freed. */
bool cast_dependent_drop(cast_dependent *d);
/* The session with this account has closed: ends what it had made. */
void cast_account_close(cast_account *a);

/* -- charges -------------------------------------------------------------- */

/* Bytes that are charged as long as somebody has a reference to this: a message
   has it among its references (msg.h), which need not know what it is. */
typedef struct cast_charge {
  cast_object object;
  cast_account *account; /* (i) one reference */
  _Atomic size_t bytes;  /* (a) with those of this struct; relaxed */
} cast_charge;

extern const cast_type cast_charge_type;
/* A charge of so many bytes and its own, with one reference for the caller.
   NULL: refused, or out of memory. */
cast_charge *cast_charge_new(cast_account *a, size_t bytes);
/* What is charged is charged no more, whoever has references. Any thread. */
void cast_charge_end(cast_charge *c);

#endif
