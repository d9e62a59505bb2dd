/* terminal.h - the contract with the system about terminals that are typed at.
   SPDX-License-Identifier: MIT

   For one thread at a time, but for the end of the process, which may come in
   any thread. */
#ifndef CAST_OS_TERMINAL_H
#define CAST_OS_TERMINAL_H

#include <stdbool.h>

bool os_terminal_is(int fd);
/* How many characters a row of it has; 0: that is not known. */
int os_terminal_columns(int fd);

/* From now on what is typed comes key by key, is not shown by the system, and
   sends no signals. What is written is treated as before. False: that cannot
   be. The first terminal of which this is asked is the only one. */
bool os_terminal_raw(int fd);
/* It is as it was before; also done at exit(3). A process that is not in the
   foreground leaves it alone, for it is another's then. */
void os_terminal_restore(void);

/* Stops this process and its group, as ^Z does; returns when it goes on. */
void os_terminal_stop(void);

#endif
