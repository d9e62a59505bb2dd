/* file_info.h - what the files about files share, on POSIX systems.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OS_FILE_INFO_H
#define CAST_OS_FILE_INFO_H

#include "file.h"

#include <sys/stat.h>
#include <sys/types.h>

os_file_kind os_file_kind_of(mode_t mode);
/* What was learned about a device, lately. */
os_file_home os_file_home_of(dev_t device);
/* A descriptor above the standard streams in place of fd; -1 and errno. */
int os_file_lift(int fd);

#endif
