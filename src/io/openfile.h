/* openfile.h - an open file, and what of it lies in memory.
   SPDX-License-Identifier: MIT

   A file may be used by any session that has a handle of it. Whoever has the
   turn of its strand (fileop.h) may touch what is marked (strand) here: a
   thread that runs a session, for a moment and without waiting, or a helper,
   which may wait. Invariants:
   1. The *window* is what lies in memory of the file from its position on:
      bytes[start] is the one that the next read gives. Where something has been
      written, or the position was set, the window is empty.
   2. `version` changes with the position and with the window's place, so that
      who has copied something and left the strand can tell whether it is still
      the next. */
#ifndef CAST_OPENFILE_H
#define CAST_OPENFILE_H

#include "../lock.h"
#include "../object.h"
#include "../offload.h"
#include "../os/file.h"

/* A queue of operations on an open file, of which one is made at a time. */
typedef struct cast_strand {
  cast_lock lock; /* CAST_RANK_LEAF */
  cast_list ops;  /* (lock) of cast_fileop: those that wait for their turn */
  bool busy;      /* (lock) somebody has the turn */
} cast_strand;

typedef struct cast_openfile {
  cast_object object;
  cast_strand strand;
  struct cast_farewell *farewell; /* (i) how it is closed without waiting */
  int fd;                         /* (strand) -1: closed */
  unsigned how;                   /* (i) OS_FILE_* */
  os_file_home home;              /* (i) */
  bool placed;             /* (i) it can be read at any place; else in order */
  int64_t size;            /* (i) when it was opened */
  _Atomic bool closed;     /* (a) it is to be closed, or is: no more calls */
  uint32_t version;        /* (strand) */
  int64_t position;        /* (strand) */
  unsigned char *bytes;    /* (strand) the window; NULL: there was none */
  size_t start, end, room; /* (strand) of `bytes` */
  char path[];             /* (i) as it was opened */
} cast_openfile;

extern const cast_type cast_openfile_type;

/* Of a descriptor, which it takes over, with one reference. NULL: no memory,
   and nothing was taken. */
cast_openfile *cast_openfile_new(
  int fd, unsigned how, const char *path, const os_file_info *info);
/* How much memory its window may take at first. */
size_t cast_openfile_room(const cast_openfile *f);
/* (strand) 0 or a result. */
intptr_t cast_openfile_close(cast_openfile *f);

/* How a line that is looked for was found. */
typedef struct cast_file_line {
  size_t found;   /* bytes with its end; 0: there is none yet */
  size_t scanned; /* bytes of the window in which there is no end */
  bool ended;     /* what is found is the last one, without a newline */
} cast_file_line;

/* (strand) Reads until the window has a whole line, or `most` bytes without an
   end (CAST_FILE_TOO_LONG): 0, then l->found is 0 at the end of the file;
   OS_EAGAIN, if what is wanted is not in memory and `waits` is false; or
   another result. The position stays. */
intptr_t cast_openfile_find_line(
  cast_openfile *f, size_t most, bool waits, cast_file_line *l);
/* (strand) Copies what comes next, `size` bytes unless the file ends before, or
   with `some` what is easily had of them: how many; or a result as above. The
   position stays. Of what comes in order: only what is in the window. */
intptr_t cast_openfile_peek(
  cast_openfile *f, void *to, size_t size, bool some, bool waits);
/* (strand) Waits: the same of what comes in order, into the window: how many
   bytes of those that are wanted it has. OS_EAGAIN: there is nothing now, and
   the window keeps what it has. */
intptr_t cast_openfile_gather(cast_openfile *f, size_t size, bool some);
/* (strand) The position moves by n bytes which were read. */
void cast_openfile_advance(cast_openfile *f, size_t n);
/* (strand) The window is not what is next any more. */
void cast_openfile_forget(cast_openfile *f);
/* (strand) One call of the system's, from that place on. */
intptr_t cast_openfile_read_at(
  cast_openfile *f, void *to, size_t size, int64_t offset, bool waits);

#endif
