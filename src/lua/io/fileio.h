/* fileio.h - reads and writes of files, which may wait for a disk.
   SPDX-License-Identifier: MIT

   No event tells that a file on a disk can be read: a read always may, and
   stops its thread until the disk has answered. So a helper (offload.h) makes
   it. A *work* is one such read or write, with memory for its bytes. A stream
   has one of each at most, in a slot, which is NULL while there is none.

   The calls are like those of the system for descriptors that do not block:
   OS_EAGAIN means that the work is under way; the descriptor's side becomes
   ready (cast_descriptor_pass) when it is over, and the same call then returns
   what came of it. So tasks wait for a file as they do for a socket.

   Owner: the slot is the owner's of the stream. `result` and `bytes` belong to
   the helper until the call is done, and to the slot's owner after that. A work
   uses its descriptor's number until it is freed.
   Invariants:
   1. What a helper has read stays in the slot until it is taken: a task that
      leaves has taken nothing.
   2. What a helper was given to write is written, whoever leaves: a work that
      writes has a reference of its own until it is done. */
#ifndef CAST_FILEIO_H
#define CAST_FILEIO_H

#include "../../io/descriptor.h"
#include "../../os/socket.h"

typedef struct cast_fileio cast_fileio;

/* Reads up to `size` bytes from where the open file is: how many; 0: the end;
   OS_EAGAIN; CASTING_ENOMEM; or a result of the system's. */
intptr_t cast_fileio_read(
  cast_fileio **slot, cast_descriptor *d, void *to, size_t size);
/* Writes n pieces, of `total` bytes, which are copied: how many; OS_EAGAIN; or
   a failure. After OS_EAGAIN the next call is for the same pieces, or
   cast_fileio_leave comes before it. */
intptr_t cast_fileio_write(cast_fileio **slot, cast_descriptor *d,
  const os_bytes *pieces, int n, size_t total);
/* Is a helper at work? NULL: no. */
bool cast_fileio_runs(cast_fileio *w);
/* Who has begun to write does not wait for that any more: returns how many
   bytes are under way, and will be written; 0: there are none of theirs. Should
   that fail, the next write is told. */
size_t cast_fileio_leave(cast_fileio *w);
/* Empties the slot: what was read is lost. */
void cast_fileio_drop(cast_fileio **slot);
/* The memory of the bytes in a slot. */
size_t cast_fileio_size(const cast_fileio *w);

#endif
