/* file.h - the contract with the system about files and directories.
   SPDX-License-Identifier: MIT

   All of these may block on a disk, or on another machine, but for those whose
   names have _cached. Results below zero are those of socket.h: OS_ENOMEM, or
   the system's own. Calls that a signal has interrupted are made again. */
#ifndef CAST_OS_FILE_H
#define CAST_OS_FILE_H

#include "os.h"

typedef enum os_file_kind {
  OS_FILE_OTHER,
  OS_FILE_PLAIN,
  OS_FILE_DIRECTORY,
  OS_FILE_LINK,
  OS_FILE_PIPE,
  OS_FILE_SOCKET,
  OS_FILE_BLOCK,
  OS_FILE_CHARACTER
} os_file_kind;

/* Where a file is. */
typedef enum os_file_home {
  OS_HOME_UNKNOWN,
  OS_HOME_AWAY,  /* to look at it may ask another machine or process */
  OS_HOME_DISK,  /* what is in memory can be had without waiting */
  OS_HOME_MEMORY /* all of it is in memory */
} os_file_home;

typedef struct os_file_info {
  os_file_kind kind;
  os_file_home home; /* as far as it is known without waiting */
  uint32_t mode;     /* of permission, with the set-ID and sticky bits */
  uint32_t uid, gid;
  uint64_t links, device, inode;
  int64_t size;
  struct os_file_time {
    int64_t seconds;
    uint32_t ns;
  } modified, accessed, changed;
} os_file_info;

/* How a file is opened; read, write, or both. */
#define OS_FILE_READ 1u
#define OS_FILE_WRITE 2u
#define OS_FILE_APPEND 4u     /* each write goes to the end */
#define OS_FILE_CREATE 8u     /* it is made if it is not there, with `mode` */
#define OS_FILE_TRUNCATE 16u  /* it is emptied */
#define OS_FILE_EXCLUSIVE 32u /* with CREATE: it must not be there */

/* A descriptor above the standard streams, which no program inherits, of what
   can be read and written at once or after a while: a pipe, a socket or a
   terminal is refused (OS_FILE_REFUSED), and nobody at its other end notices
   that it was looked at. */
#define OS_FILE_REFUSED (-120)
intptr_t os_file_open(const char *path, unsigned how, unsigned mode);
intptr_t os_file_close(int fd);

/* Up to `size` bytes: how many; 0: the end. OS_EAGAIN: a device that was opened
   to be read only has nothing now. */
intptr_t os_file_read(int fd, void *to, size_t size, int64_t offset);
/* From the position of the open file on. */
intptr_t os_file_read_next(int fd, void *to, size_t size);
/* Waits so long at most until a device has something to be read. */
void os_file_await(int fd, int milliseconds);
/* All `size` bytes, at that offset, or (-1) at the end: how many were written,
   fewer only before a failure, which is stored in *rc. */
size_t os_file_write(
  int fd, const void *from, size_t size, int64_t offset, intptr_t *rc);
/* Where a write at the end has ended. */
intptr_t os_file_position(int fd, int64_t *at);
/* Where the file ends. That position is lost. */
intptr_t os_file_end(int fd, int64_t *at);
intptr_t os_file_sync(int fd, bool data);
intptr_t os_file_truncate(int fd, int64_t size);
intptr_t os_file_describe(int fd, os_file_info *info);
/* Takes the permissions and, where that may be done, the owner of another file;
   else the group gets none. */
void os_file_imitate(int fd, const os_file_info *info);

/* Of a path; follow: of what a symbolic link leads to. What it is on is
   learned, too (below). */
intptr_t os_file_stat(const char *path, bool follow, os_file_info *info);
/* Where a symbolic link leads: the length of the text, which may be cut. */
intptr_t os_file_link(const char *path, char *to, size_t size);
intptr_t os_file_mkdir(const char *path, unsigned mode);
intptr_t os_file_rename(const char *from, const char *to);
/* The same, if there is nothing yet. */
intptr_t os_file_rename_new(const char *from, const char *to);
intptr_t os_file_unlink(const char *path);
/* A directory, which must be empty. */
intptr_t os_file_rmdir(const char *path);
/* Returns when the disk has the names in the directory in which `path` is, if
   that can be read. */
intptr_t os_file_sync_names(const char *path);
bool os_file_is_there(intptr_t rc); /* it says that something is there */
bool os_file_is_none(intptr_t rc);  /* ... that nothing is */
/* A result that says that there is no such place in a file. */
intptr_t os_file_bad_place(void);

/* -- what the system has in memory ---------------------------------------- */

/* These do not wait: OS_EAGAIN if the system would have to look at a disk, or
   to ask another machine or process, or cannot tell. What it is on is known
   after os_file_learn only. */
intptr_t os_file_stat_cached(const char *path, bool follow, os_file_info *info);
/* A plain file, to be read. */
intptr_t os_file_open_cached(const char *path, os_file_info *info);
intptr_t os_file_read_cached(
  int fd, os_file_home home, void *to, size_t size, int64_t offset);
/* May block: finds out on what the open file is, which is on that device, and
   remembers it for a while: its `home`. */
os_file_home os_file_learn(int fd, uint64_t device);

/* -- directories ---------------------------------------------------------- */

/* Calls `entry` for each name in the directory but "." and "..", in no order,
   until it returns a result below zero, which becomes that of the call. follow:
   `path` may be a symbolic link. */
intptr_t os_file_list(const char *path, bool follow,
  intptr_t (*entry)(void *arg, const char *name, os_file_kind kind), void *arg);

/* Removes what is at `path`, a directory with all that is in it, whatever its
   depth, with few descriptors and no recursion; symbolic links are removed. A
   path that ends with "." or ".." is refused. It stops between two of them if
   `stop` says so, and then the result is OS_EAGAIN. After a failure the path
   that it is about, up to `size` bytes, is in `where`. */
intptr_t os_file_remove_tree(const char *path, bool (*stop)(void *arg),
  void *arg, char *where, size_t size);

#endif
