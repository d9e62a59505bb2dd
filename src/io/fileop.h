/* fileop.h - operations on files, one after the other.
   SPDX-License-Identifier: MIT

   An operation that may wait for a disk is made by a helper (offload.h). Those
   that concern one open file go through its *strand* (Asio has the word), and
   those that name a path through that of the path: they are made in the order
   in which they came, one at a time. One that names two paths waits for both
   turns; it enters both queues at once, so no two wait for each other. A thread
   that runs a session may take the turn itself, for what needs no waiting, when
   nobody has it. Invariants:
   1. One thread, or operation, has the turn of a strand, and gives it to the
      first operation in the queue when it leaves. That of a path is in the
      table of paths as long as somebody has it: the turn of who has it leads
      the queue, so nothing is allocated.
   2. The strand has a reference to each operation from its sending until it was
      made. So an operation goes on when nobody waits for it any more.
   3. `state` leaves CAST_OP_ASKED once. CLAIMED: by who makes it, just before
      anything shows of a read that moves the position, or of an atomic write.
      DONE: by the same, at the end. LEFT: by its sender, who does not wait any
      more. Who makes it heeds that as its kind says: it is not begun, or goes
      back, or is done all the same.
   4. What is asked is not changed once it is sent; what has come belongs to who
      makes it until `call.done` is set; but `out` and `at` of an `early` kind,
      whose `rc` is 0 then, are complete when it is claimed: they are its
      sender's, even if it came too late to end the wait.
   5. What an operation has made (a file, a temporary one) is undone with it,
      unless its sender has taken it (`taken`). */
#ifndef CAST_FILEOP_H
#define CAST_FILEOP_H

#include "openfile.h"

typedef struct cast_fileop cast_fileop;

/* The turn of a path. */
typedef struct cast_path_turn {
  cast_list link; /* (paths' lock) in the table; or it waits: in `behind` of the
                       turn that is there */
  cast_list behind; /* (paths' lock) turns that wait */
  const char *path; /* (i) */
  cast_fileop *op;  /* (i) whose it is; NULL: that of the thread that has it */
  bool held;        /* (paths' lock) it is in the table */
} cast_path_turn;

typedef enum cast_op_state {
  CAST_OP_ASKED,
  CAST_OP_CLAIMED,
  CAST_OP_DONE,
  CAST_OP_LEFT
} cast_op_state;

typedef struct cast_fileop_kind {
  const char *verb; /* "reading", for reports */
  bool lapses;      /* it is not begun if nobody waits for it any more */
  bool owed;        /* the end of the program waits for it */
  bool early;       /* its outcome is complete when it is claimed */
  /* Makes it, in a helper that has the turn: its `rc`. */
  intptr_t (*run)(cast_fileop *op);
} cast_fileop_kind;

struct cast_fileop {
  cast_call call;
  cast_list link;               /* (strand's lock) in the queue of its file */
  const cast_fileop_kind *kind; /* (i) */
  cast_openfile *file;          /* (i) one reference; or NULL */
  cast_path_turn turns[2];      /* without a file: those of its paths */
  uint32_t nturns;              /* (i) how many these are */
  uint32_t nwaits;              /* (paths' lock) how many it waits for */
  bool lost;                    /* (paths' lock) no thread will make it */
  struct cast_account *account; /* (its sender, before it drops its reference)
                                   one reference, or NULL: `ndata` is charged
                                   to it since the sender has left */
  _Atomic uint32_t state;       /* (a) */
  bool taken;                   /* its sender has what it has made */
  bool told; /* the sender's: it has found it claimed, and goes by `out` */
  /* What is asked. */
  const char *path; /* in `text` */
  const char *to;   /* likewise: another path; NULL */
  int64_t offset;   /* of a read or write; -1: at the position */
  size_t size;      /* how many bytes, or the most of them */
  size_t room;      /* the most bytes that there is memory for */
  unsigned how;     /* OS_FILE_*, and those below */
  unsigned mode;    /* of what is made; of a seek: from where */
  const char *data; /* to be written, in `text` */
  size_t ndata;
  /* What has come. */
  intptr_t rc;        /* 0, or a result */
  unsigned char *out; /* bytes that were read, or names */
  size_t nout;        /* how many bytes; of a write: how many went */
  int64_t at;         /* a position */
  os_file_info info;
  cast_openfile *made; /* one reference */
  char *where;         /* the path that rc is about, if it is not `path` */
  char text[];
};

/* Results, beside those of the system's. */
#define CAST_FILE_TOO_LONG (-121)
#define CAST_FILE_END (-122) /* there is nothing more to be read */
#define CAST_FILE_NOT_PLAIN (-123)

/* In `how`, beside OS_FILE_*. */
#define CAST_OP_ATOMIC 256u
#define CAST_OP_SYNC 512u
#define CAST_OP_TREE 1024u   /* with all that is in it, or on the way */
#define CAST_OP_FOLLOW 2048u /* symbolic links */
#define CAST_OP_SOME 4096u   /* what is easily had */
#define CAST_OP_ALL 131072u  /* all to the end */
#define CAST_OP_LINE 8192u
#define CAST_OP_WHOLE 16384u /* the line with its end */
#define CAST_OP_DATA 32768u  /* without the times */
#define CAST_OP_TEMP 65536u  /* what it makes is to be removed */

/* -- strands -------------------------------------------------------------- */

void cast_strand_init(cast_strand *s);
/* Takes the turn; false: somebody has it. */
bool cast_strand_enter(cast_strand *s);
/* Gives it to the next one. */
void cast_strand_leave(cast_strand *s);
/* The same for a path, with a turn of the caller's. */
bool cast_path_enter(cast_path_turn *turn, const char *path);
void cast_path_leave(cast_path_turn *turn);

/* -- operations ----------------------------------------------------------- */

/* With one reference, for the sender; all zero but for the paths, and with room
   for `ndata` bytes of data. `path` may be NULL: that of the file. NULL: no
   memory. */
cast_fileop *cast_fileop_new(const cast_fileop_kind *kind, cast_openfile *f,
  const char *path, const char *to, size_t ndata);
/* Sends it behind those that came before. */
void cast_fileop_send(cast_fileop *op);
/* The sender does not wait any more: CAST_OP_ASKED, and it is left from now on;
   or in which state it is. */
cast_op_state cast_fileop_leave(cast_fileop *op);
/* Who makes it: from now on it counts as done. False: nobody waits. */
bool cast_fileop_claim(cast_fileop *op);
/* Has the sender left? */
bool cast_fileop_is_left(const cast_fileop *op);
/* Its sender, which has left: the data that is still to be written counts in an
   account until the end of the operation. NULL: does nothing. */
void cast_fileop_charge(cast_fileop *op, struct cast_account *account);
/* Notes the path that the failure is about. */
void cast_fileop_blame(cast_fileop *op, const char *path);
/* Room for `n` bytes in `out`: 0 or CASTING_ENOMEM. */
intptr_t cast_fileop_make_room(cast_fileop *op, size_t n);
/* More room, twice as much as *room if there may be so much, but no more than
   `most` bytes: 0; CASTING_ENOMEM: there are not `least` to be had. */
intptr_t cast_fileop_grow(
  cast_fileop *op, size_t *room, size_t least, size_t most);
/* Between two tries to read a device that has nothing: false: nobody waits for
   it any more, or too many helpers wait for devices. */
bool cast_fileop_pause(cast_fileop *op, int fd);
/* The most bytes of what has no length of its own, or has that one, if the
   program does not say. */
size_t cast_fileop_most(const cast_fileop *op, bool placed, int64_t size);
/* A path with eight letters at random behind the prefix: inside of a directory,
   or beside a file. To be freed; NULL: no memory. */
char *cast_fileop_temp_name(const char *at, bool inside, const char *prefix);
/* Sends a call of another kind to the same helpers. */
void cast_fileop_send_call(cast_call *c);

/* -- kinds ---------------------------------------------------------------- */

/* Of open files: filework.c. */
extern const cast_fileop_kind cast_op_read, cast_op_write, cast_op_seek,
  cast_op_stat, cast_op_truncate, cast_op_sync, cast_op_close;
/* Of paths: pathwork.c, and filesave.c. */
extern const cast_fileop_kind cast_op_load, cast_op_save, cast_op_open,
  cast_op_look, cast_op_list, cast_op_mkdir, cast_op_rename, cast_op_remove,
  cast_op_temp;

#endif
