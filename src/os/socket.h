/* socket.h - the contract with the system about sockets and names.
   SPDX-License-Identifier: MIT

   Descriptors made here do not block, are not inherited by programs that are
   started, and raise no signal when the other end has gone. Calls that a signal
   interrupts go on.

   Results below zero: OS_EAGAIN (not now: wait), OS_ENOMEM, or the system's
   own, which are below OS_SYSTEM; os_system_text tells of them. */
#ifndef CAST_OS_SOCKET_H
#define CAST_OS_SOCKET_H

#include "os.h"

#define OS_SYSTEM (-1000)

/* The text for a result, of up to `size` bytes with the zero. It begins with a
   small letter, as texts of casting's do: "connection refused". For what often
   happens to sockets it is the same on each system, so that programs may
   compare it. */
void os_system_text(intptr_t rc, char *text, size_t size);
/* The value of errno that a result stands for; 0: it is not the system's. */
int os_failure_code(intptr_t rc);
/* Kinds of the system's results. */
bool os_is_gone(intptr_t rc);     /* the other end has closed, or reset it */
bool os_is_shortage(intptr_t rc); /* no descriptor or no buffer is left */
bool os_is_aborted(intptr_t rc);  /* accept: that one has gone already */
bool os_is_refused(intptr_t rc);  /* connect: nobody listens there */
bool os_is_in_use(intptr_t rc);   /* bind: the address is taken */
bool os_is_full(intptr_t rc);     /* connect: so is a Unix socket's backlog */
bool os_is_undone(intptr_t rc);   /* accept: the other end has given it up */
/* What LuaSocket calls a result; NULL: what the system does. */
const char *os_socket_text(intptr_t rc);

/* -- addresses */

enum { OS_INET, OS_INET6, OS_UNIX, OS_OTHER };

typedef struct os_address {
  uint32_t size; /* of what is used; 0: none */
  _Alignas(8) unsigned char bytes[128];
} os_address;

#define OS_HOST_SIZE 128 /* of the longest text of a host, with the zero */
/* Bytes of a path of a Unix socket, or of a name in the abstract space without
   the zero byte, at most. */
#define OS_PATH_MOST 107u

int os_address_family(const os_address *a);
/* From numbers such as 127.0.0.1, ::1, fe80::1%eth0. False: that is a name. */
bool os_address_parse(os_address *a, const char *host, uint16_t port);
/* A path, or, if it begins with a zero byte, a name in the abstract space.
   False: it is too long, or the system has no such sockets. */
bool os_address_unix(os_address *a, const char *path, size_t size);
/* Its text into `host`, whose length is returned; for a Unix socket its path,
   perhaps none, perhaps with a zero in front. *port: 0 if it has none. */
size_t os_address_text(
  const os_address *a, char host[OS_HOST_SIZE], uint16_t *port);
/* Is it the path of a Unix socket, and no name in the abstract space? */
bool os_address_has_path(const os_address *a);
void os_address_set_port(os_address *a, uint16_t port);

/* Blocks, perhaps for minutes: all addresses of a name, in the system's order,
   each once, with `port`. `family`: OS_INET, OS_INET6, or OS_OTHER for both.
   Returns their number and a list for os_free_addresses; or 0 and a text that
   says why, which lasts: OS_NOT_FOUND if there is no such name, or no address
   of that family; or a result of the system's. */
#define OS_NOT_FOUND "host not found"
intptr_t os_resolve(const char *name, int family, uint16_t port,
  os_address **list, const char **why);
void os_free_addresses(os_address *list);

/* -- sockets: a descriptor, or a result below zero */

int os_socket(int family, bool datagram);
int os_socket_pair(int fds[2]);
int os_bind(int fd, const os_address *a);
int os_listen(int fd, int backlog); /* 0: the system's most */

/* Which file a Unix socket was given by which process. */
typedef struct os_socket_file {
  uint64_t device, inode; /* of the file */
  int64_t process;        /* 0: none has made it */
} os_socket_file;

/* Binds a socket for datagrams to a path. What is there already makes the
   address taken, but a socket that nobody has: that is removed. */
int os_bind_path(int fd, const os_address *a, os_socket_file *place);
/* The same for another socket, which then listens. If two do this at the same
   time, the address is taken for one of them. mode: who may connect, as of a
   file; -1: as the process's umask says. locked: only with the lock of the
   directory, which excludes a third one; OS_EAGAIN: another has it for now, and
   nothing was done. */
int os_listen_path(int fd, const os_address *a, int mode, int backlog,
  bool locked, os_socket_file *place);
/* The file at the path of a listening socket that another process has made:
   this one may remove it from now on. False: there is none. */
bool os_adopt_path(const os_address *a, os_socket_file *place);
/* Removes what these have made, if this process did and it is still that file,
   also when another process puts its own there at this moment. To be called
   before the socket is closed. False: nothing was removed. */
bool os_remove_path(const os_address *a, const os_socket_file *place);
/* 0, or OS_EAGAIN: it is under way, to be asked for by os_socket_error when the
   socket can be written to. Where os_is_full it is not, and no event will tell
   when there is room. */
int os_connect(int fd, const os_address *a);
/* A datagram socket has no peer any more. It may have lost its port, too, if
   the system chose that. */
int os_disconnect(int fd);
int os_socket_error(int fd); /* what happened to it, or 0; forgets it */
int os_accept(int fd, os_address *peer);
int os_local_address(int fd, os_address *a);
int os_peer_address(int fd, os_address *a);
/* What a connection that was made is worth: 0; or, where the system has chosen
   the very port to connect from that was connected to (TCP, on one machine), so
   that it is connected to itself, that nobody listens there (os_is_refused). It
   is reset by the next os_close then. */
int os_check_peer(int fd, const os_address *peer);
/* Sends the end; reading goes on. */
int os_shutdown_write(int fd);
int os_shutdown_read(int fd);
int os_shutdown_both(int fd);
/* The next os_close resets the connection. */
void os_abort(int fd);
/* Makes a descriptor not block: 0 or a result. The flag belongs to the open
   file, so all who have it share it. */
int os_nonblocking(int fd, bool on);
/* Programs that are started do not inherit the descriptor. */
void os_close_on_exec(int fd);
/* What a descriptor is, for those that come from elsewhere. */
typedef struct os_kind {
  bool is_socket, is_stream, is_datagram, is_listening, is_pipe, is_blocking;
  bool is_terminal;
  bool is_file; /* on a disk, or the disk: it may block, and no event tells */
  int family;
} os_kind;
int os_describe(int fd, os_kind *kind);
/* Is it one of the standard descriptors, or of the same file as one of these,
   perhaps their open file by another number? The ends of a pipe are the same
   file. */
bool os_is_standard(int fd);
/* If poll(2) says that a pipe can be written to, so many bytes fit into it; 0:
   that is no pipe. */
size_t os_pipe_fits(int fd);
/* Is it a socket of which a short read or write tells that there is no more, or
   no room, unless an event has told OS_ENDED? TCP is, where urgent data are an
   event. Messages, or descriptors that are passed, end a read before. */
bool os_is_plain(int fd);

/* -- bytes: how many were read or written, or a result below zero */

typedef struct os_bytes {
  const void *at;
  size_t size;
} os_bytes;
#define OS_BYTES_MOST 64 /* pieces in one call */

/* Where `part` first begins in those bytes, or NULL. Where the library is good
   at it the time grows with the sum of both, whatever they are. */
const void *os_find(os_bytes in, os_bytes part);

intptr_t os_read(int fd, void *to, size_t size); /* 0: the end */
intptr_t os_peek(int fd, void *to, size_t size); /* sockets */
/* A socket gets no SIGPIPE, and does not block, whatever its flags are; other
   descriptors are written without that signal, too. */
intptr_t os_write(int fd, const os_bytes *from, int n, bool is_socket);
/* A datagram; one of more than `size` bytes is a failure, and lost. from->size
   is 0 if the sender has no address. */
intptr_t os_receive(int fd, void *to, size_t size, os_address *from);
/* The same, but of a larger one the first `size` bytes are kept. */
intptr_t os_receive_some(int fd, void *to, size_t size, os_address *from);
intptr_t os_send(int fd, const void *from, size_t size, const os_address *to);

/* -- options */

typedef enum os_option {
  OS_NODELAY,
  OS_KEEPALIVE, /* seconds until the first probe; 0: off */
  OS_REUSEADDR,
  OS_REUSEPORT,
  OS_V6ONLY,
  OS_BROADCAST,
  OS_LINGER, /* seconds; -1: off */
  OS_SEND_BUFFER,
  OS_RECEIVE_BUFFER,
  OS_TTL,
  OS_MULTICAST_TTL,
  OS_MULTICAST_LOOP
} os_option;

int os_set_option(int fd, int family, os_option option, int value);
int os_get_option(int fd, int family, os_option option, int *value);
/* Joins or leaves a multicast group; `device` is the name of an interface, or
   NULL for the system's choice. */
int os_multicast(
  int fd, const os_address *group, const char *device, bool join);
/* Datagrams for groups leave through that interface. */
int os_multicast_device(int fd, int family, const char *device);

#endif
