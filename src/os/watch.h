/* watch.h - the contract with the system about directories that change.
   SPDX-License-Identifier: MIT

   A *watcher* is a descriptor, from which one reads what happens to the files
   and directories that were added to it; each of these has a number there. What
   is added again, by whatever name, keeps its number; one that is dropped, or
   is gone, loses it, and the number is not used again soon.

   Results below zero are those of socket.h: OS_ENOMEM, or the system's own; or
   the two below. Systems that cannot do this say so with os_watch_new. */
#ifndef CAST_OS_WATCH_H
#define CAST_OS_WATCH_H

#include "os.h"

#define OS_WATCHERS_OUT (-151) /* this user has no more watchers */
#define OS_WATCHES_OUT (-152)  /* this user cannot watch more things */

/* A watcher, which does not block and is closed when a program begins. */
int os_watch_new(void);

/* How os_watch_add adds a path. */
enum {
  OS_WATCH_BELOW = 1, /* it must be a directory, and no link to one */
};

/* What was added: a directory? By a symbolic link? */
typedef struct os_watch_thing {
  bool directory, link;
} os_watch_thing;

/* Adds what has that path: its number, from 1 on. May wait for a disk. */
int os_watch_add(
  int watcher, const char *path, unsigned how, os_watch_thing *thing);
/* Whatever comes of it: the number may be lost already. */
void os_watch_drop(int watcher, int number);

/* Wakes who waits for events, if it can: by one of a number that means nothing,
   OS_WATCH_LOST. Returns that number, or a negative one. */
int os_watch_ring(int watcher);

/* Calls take(name, directory, ud) for what is in a directory, but not for "."
   and "..", until it returns something else than 0, which is the result then.
   Links are no directories. `how` is that of os_watch_add. 0, or a failure. May
   wait for a disk. */
int os_watch_list(const char *path, unsigned how,
  int (*take)(const char *name, bool directory, void *ud), void *ud);

/* Is there no such thing, or no such directory, any more? */
bool os_watch_is_gone(intptr_t rc);
/* The text of a result, also of those above. */
void os_watch_text(intptr_t rc, char *text, size_t size);

/* What happened to a thing in a directory (with a name), or to what was added
   (without), unless it is said. */
enum {
  OS_WATCH_MADE = 1 << 0,       /* named */
  OS_WATCH_CHANGED = 1 << 1,    /* its bytes */
  OS_WATCH_WRITTEN = 1 << 2,    /* who could write it has closed it */
  OS_WATCH_ATTRIBUTES = 1 << 3, /* its rights, owner, times */
  OS_WATCH_REMOVED = 1 << 4,    /* named */
  OS_WATCH_FROM = 1 << 5, /* named: it has this name no more, but that of the
                             event with the same cookie, if there is one */
  OS_WATCH_TO = 1 << 6,   /* named */
  OS_WATCH_GONE = 1 << 7, /* what was added does not exist any more */
  OS_WATCH_LEFT = 1 << 8, /* it has another name */
  OS_WATCH_LOST = 1 << 9, /* its number means nothing any more */
  OS_WATCH_OVERFLOW = 1 << 10 /* of no number: events were lost */
};

typedef struct os_watch_event {
  int number;
  uint32_t what;   /* one or more of these */
  uint32_t cookie; /* of FROM and TO */
  bool directory;  /* it happened to a directory */
  const char *name;
  size_t size; /* of the name; 0: none */
} os_watch_event;

/* How many bytes of events wait to be read. */
size_t os_watch_queued(int watcher);
/* The event at the beginning of what was read: how many bytes it has; 0: there
   is no whole one. */
size_t os_watch_next(const char *bytes, size_t size, os_watch_event *e);

#endif
