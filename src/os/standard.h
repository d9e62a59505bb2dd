/* standard.h - the contract with the system about terminals, files and the
   standard streams of a program.
   SPDX-License-Identifier: MIT

   Results below zero are those of socket.h: OS_EAGAIN, OS_ENOMEM, or the
   system's own. */
#ifndef CAST_OS_STANDARD_H
#define CAST_OS_STANDARD_H

#include "socket.h"

/* A descriptor of our own for the standard one with that number (0: to read; 1
   and 2: to write), which programs do not inherit. *kind: what it is. *anew: it
   does not block, and its open file is ours alone, as a terminal or pipe could
   be opened once more. Otherwise it is the open file that others share, whose
   flags nobody may change. Or a result below zero: os_is_not_open, for
   example. */
int os_open_standard(int number, os_kind *kind, bool *anew);
bool os_is_not_open(intptr_t rc);

/* As os_read and os_write, for terminals. A program in the background is
   stopped by the system if it reads, whichever thread does so, and goes on in
   the foreground. If it has a handler for that signal, the result is that the
   call was interrupted; if it ignores it, or nobody could continue it, an error
   of input. */
intptr_t os_read_terminal(int fd, void *to, size_t size);
intptr_t os_write_terminal(int fd, const os_bytes *from, int n);

/* As os_read, of a file on a disk: what is there without waiting for the disk,
   or OS_EAGAIN if that is not certain. */
intptr_t os_read_cached(int fd, void *to, size_t size);

/* As os_read, of a socket, which may be one that blocks: OS_EAGAIN in place of
   that. */
intptr_t os_receive_now(int fd, void *to, size_t size);

#endif
