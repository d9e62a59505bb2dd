/* casting.h - public C API of casting: Lua functions in parallel.
   SPDX-License-Identifier: MIT

   For programs that embed Lua (start and stop, sessions, channels from threads
   of their own) and for C modules that sessions load (parking, handles). Link
   with the library of the Lua version in use: -lcasting5.4 (pkg-config
   casting-5.4), which is the module itself, so a program, the modules that it
   loads and `require "casting"` all share one runtime. Modules need no library:
   see casting_import.h. The guide is docs/c-api.md; tools/gen/man.sh makes the
   manual pages of the comments below (and says in which form these are
   written), casting(7) lists them.

   Rules that hold unless a function says otherwise:
   - Any thread may call it, at any time; an object may be used by several
     threads at once. Exceptions are a casting_message, which belongs to one
     thread at a time, and functions with a lua_State, which belong to the
     thread that runs that state.
   - Functions with a lua_State may raise Lua errors, as lua_error does; all
     others never do.
   - Results are 0 or a positive number for success, or a negative CASTING_E*.
     Where NULL is returned, it means out of memory.
   - Handles are counted: what a function returns as a "new reference" must be
     given back by the ..._unref of its type; what is "borrowed" is valid as
     long as the object from which it was taken.
   - In the child of a fork, if its parent has used casting, nothing works any
     more: CASTING_EFORKED is returned, or an error raised; functions that
     close, stop, cancel or unref do nothing, at once. A process that has only
     started or adopted casting may fork, and use it in parent and child.
   - Times are seconds. A negative time waits for ever, 0 does not wait.
   - A call that waits keeps its OS thread. That is for threads of your own:
     in C code called by a task, park instead (casting_park).
   - Since: all functions, 0.1.0. Symbols carry the version CASTING_0.1. */
#ifndef CASTING_H
#define CASTING_H

#include <stddef.h>
#include <stdint.h>

#define CASTING_VERSION "0.1.0"
#define CASTING_VERSION_NUM 100

#if defined(CASTING_STATIC)
#define CASTING_API
#elif defined(CASTING_IMPORT) && defined(__GNUC__) && !defined(_WIN32)
#define CASTING_API __attribute__((visibility("hidden"))) /* the module's own */
#elif defined(_WIN32)
#define CASTING_API __declspec(dllexport)
#elif defined(__GNUC__)
#define CASTING_API __attribute__((visibility("default")))
#else
#define CASTING_API
#endif

#define CASTING_FOREVER (-1.0)
#define CASTING_UNBOUNDED SIZE_MAX /* a channel's capacity: no limit */

/* Outcomes. Functions return 0 or one of these. */
enum {
  CASTING_ENOMEM = -1,     /* out of memory, threads or descriptors */
  CASTING_ETIMEOUT = -2,   /* the time given has passed */
  CASTING_EINTR = -3,      /* interrupted by a signal */
  CASTING_ECLOSED = -4,    /* the channel or session is closed */
  CASTING_EFULL = -5,      /* no room and no receiver now; or no more tasks */
  CASTING_EEMPTY = -6,     /* nothing to receive now */
  CASTING_ECANCELLED = -7, /* the waiting task was cancelled */
  CASTING_EINVAL = -8,     /* an argument is out of its range */
  CASTING_EFAILED = -9,    /* the task, or the init function, has failed */
  CASTING_EFORKED = -10    /* casting was used before this process was forked */
};

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;

typedef struct casting_session casting_session;
typedef struct casting_task casting_task;
typedef struct casting_channel casting_channel;
typedef struct casting_message casting_message;
typedef struct casting_waker casting_waker;

/* Opens the module: `require "casting"` calls it.
   Opening it again in the same Lua state gives the same table; any number of
   Lua states of one process may open it. The state becomes a host: its thread
   runs its tasks while it blocks, and lua_close ends what it has begun.
   Returns 1, with the module table pushed.
   Raises an error if there is no memory, or no thread, for it. */
CASTING_API int luaopen_casting(struct lua_State *L);

/* Tells the library's version.
   The one of the header, CASTING_VERSION_NUM, may differ.
   Returns the number: 100 for 0.1.0. */
CASTING_API int casting_version(void);

/* Tells the word for an outcome, which Lua programs get.
   For example "timeout" for CASTING_ETIMEOUT, "closed" for CASTING_ECLOSED, and
   "ok" for 0.
   Returns a static string, "unknown" for any other number. */
CASTING_API const char *casting_word(int outcome);

/* -- the runtime ---------------------------------------------------------- */

/* Allocates, reallocates and frees memory, as realloc and free in one: size 0
   frees, and returns NULL. Any thread may call it. */
typedef void *(*casting_alloc)(void *ud, void *ptr, size_t size);
/* Takes a line about something that nobody else learns of, such as the failure
   of a task that nobody joins; `text` has no newline at its end. It is called
   in a thread of casting's own, which does nothing else, so it may block; there
   is one call at a time. It must not call casting. */
typedef void (*casting_log)(void *ud, const char *text, size_t size);

/* Options of the runtime. What is zero (all but `size` may be) is as usual. */
typedef struct casting_options {
  size_t size;          /* sizeof(casting_options) of the caller's header */
  unsigned threads_min; /* of the pool, 1 to 1024; 0: leave it (1) */
  unsigned threads_max; /* 0: leave it (256) */
  casting_alloc alloc;  /* for everything, Lua states of sessions included */
  void *alloc_ud;
  casting_log log; /* NULL: a line on stderr */
  void *log_ud;
} casting_options;

/* Starts the runtime, or keeps it running.
   Each call wants a casting_stop. It is needed for sessions made by C; an
   adopted Lua state keeps the runtime by itself. `options` may be NULL.
   Returns 0, or one of
   CASTING_ENOMEM  there is no memory, or no thread can be started
   CASTING_EINVAL  options are out of range; or there is an allocator, and
                   memory has been allocated already (it can only be set before
                   everything else); or the program has another version of Lua
                   than this library is for */
CASTING_API int casting_start(const casting_options *options);

/* Gives one casting_start back.
   The last one cancels what the sessions made by C still do, closes them and
   joins the threads, waiting for at most `seconds`. It must not be called in a
   task.
   Returns 0, or one of
   CASTING_ETIMEOUT  something is stuck in C code, the function `log` included;
                     then threads stay, asleep, and their memory does
   CASTING_EINVAL    the runtime was not started */
CASTING_API int casting_stop(double seconds);

/* Says that something unknown to casting may yet wake tasks.
   This is a thread of yours that will send, or a callback that will come:
   deadlocks are not reported meanwhile. Calls are counted; each casting_expect
   wants a casting_unexpect. References to channels and sessions that C holds
   count without this, as do tasks that are parked by casting_park. */
CASTING_API void casting_expect(void);
CASTING_API void casting_unexpect(void);

/* -- sessions ------------------------------------------------------------- */

/* Options of a session. What is zero (all but `size` may be) is as usual. */
typedef struct casting_session_options {
  size_t size;      /* sizeof(casting_session_options) */
  const char *name; /* copied; NULL: a name is made up */
  /* Names of the libraries to open, the last one NULL; NULL: all. */
  const char *const *libs;
  size_t memory; /* limit in bytes of its Lua state and streams; 0: none */
  /* Called once with the new state, by the caller's thread (or the session's
     own, for which the call waits), protected, before anything runs there: for
     globals, package.path, preloaded modules. It must not block. What it
     returns is of no account. NULL: nothing. */
  int (*init)(struct lua_State *L, void *ud);
  void *init_ud;
  char *error; /* where the error message of init goes, cut; NULL: nowhere */
  size_t error_size;
  /* Not 0: an OS thread of the session's own, outside of the pool's limits,
     makes its Lua state, calls init, runs all its tasks and closes it. */
  int own_thread;
  /* LuaJIT: -1: nothing is compiled, so that what computes can be stopped; 1:
     it is, whatever limits there are; 0: it is, unless memory or cpu_seconds is
     limited, or the session is a sandbox. */
  int jit;
  /* Not 0: the session is not trusted, a sandbox; see "Trust" in the manual.
     Without `libs` it has the harmless ones, and of modules it has what init
     has put into package.loaded. Its limits hold for all that it makes, too. */
  int sandbox;
  unsigned tasks; /* how many unfinished tasks; 0: none, in a sandbox 1000 */
  double cpu_seconds; /* limit of its processor time; 0: none */
} casting_session_options;

/* Makes a session, which the pool runs, or a thread of its own.
   `options` may be NULL.
   Returns 0, with a new reference in *out, or one of
   CASTING_ENOMEM   there is no memory, or no thread for it; or `memory` is too
                    little for its Lua state and a small task
   CASTING_EFAILED  the function `init` has raised an error
   CASTING_EINVAL   a library is unknown, cpu_seconds is negative or no number,
                    or there was no casting_start */
CASTING_API int casting_session_new(
  const casting_session_options *options, casting_session **out);

/* Makes a Lua state of yours a session, as `require "casting"` there does.
   Nothing on its stack is changed. Its tasks run in the calling thread only:
   whenever its main program waits in casting, or polls. *out, unless `out` is
   NULL, is borrowed until lua_close.
   Returns 0, or
   CASTING_ENOMEM  there is no memory
   CASTING_EINVAL  the state is of another version of Lua than this library
   Raises nothing. */
CASTING_API int casting_adopt(struct lua_State *L, casting_session **out);

/* Counts a reference to a session more, or one less.
   A session without references, Lua handles included, closes itself when its
   tasks have ended.
   casting_session_ref returns s. */
CASTING_API casting_session *casting_session_ref(casting_session *s);
CASTING_API void casting_session_unref(casting_session *s);

/* Tells the name of a session.
   Returns a string, borrowed. */
CASTING_API const char *casting_session_name(const casting_session *s);

/* Waits until a session has no task left.
   Returns 0, or one of
   CASTING_ETIMEOUT  the time has passed */
CASTING_API int casting_session_wait(casting_session *s, double seconds);

/* Closes a session.
   Its tasks are cancelled; when they have unwound, its Lua state is closed. The
   call waits for that, and for the sessions that a sandbox has made, which
   close with it. It must not be made in a task of that session.
   Returns 0, or one of
   CASTING_ETIMEOUT  the time has passed; the session goes on closing
   CASTING_EINVAL    it is an adopted one, which closes with its Lua state */
CASTING_API int casting_session_close(casting_session *s, double seconds);

/* -- tasks ---------------------------------------------------------------- */

/* Spawns a task for a function on the Lua stack.
   The function and the `nargs` values above it are copied into the session `s`,
   and popped.
   Returns 0, with a new reference in *out, unless `out` is NULL; or one of
   CASTING_ECLOSED  the session is closed
   CASTING_EFULL    the session has as many tasks as its limit allows
   Raises an error if something cannot be sent. */
CASTING_API int casting_spawn(
  struct lua_State *L, casting_session *s, int nargs, casting_task **out);

/* Spawns a task for Lua source, without a Lua state.
   The text is compiled in the session `s`; an error in it makes the task fail.
   `args` has the arguments (NULL: none), and is empty afterwards.
   Returns 0, with a new reference in *out, unless `out` is NULL; or, with
   `args` as it was before, one of
   CASTING_ECLOSED  the session is closed
   CASTING_EFULL    the session has as many tasks as its limit allows
   CASTING_ENOMEM   there is no memory
   CASTING_EINVAL   `args` is not complete, or `size` is over 1 GiB */
CASTING_API int casting_spawn_source(casting_session *s, const char *text,
  size_t size, casting_message *args, casting_task **out);

/* Counts a reference to a task more, or one less.
   The task goes on without.
   casting_task_ref returns t. */
CASTING_API casting_task *casting_task_ref(casting_task *t);
CASTING_API void casting_task_unref(casting_task *t);

/* Waits for the end of a task, and takes its results.
   They, or its error, are put into `results`, which may be NULL. Results that
   cannot leave their session give CASTING_EFAILED and the reason.
   Returns 0, or one of
   CASTING_EFAILED     the task has failed; its error is in *results
   CASTING_ECANCELLED  it was cancelled
   CASTING_ETIMEOUT    the time has passed
   CASTING_ENOMEM      there is no memory for the results */
CASTING_API int casting_task_join(
  casting_task *t, double seconds, casting_message *results);

/* Asks a task to end.
   It does not wait for that. `reason` may be NULL; it is dropped when there is
   no memory for it.
   Returns 0, also when the task has ended. */
CASTING_API int casting_task_cancel(casting_task *t, const char *reason);

/* Tells what a task is doing.
   Returns a static string: "ready", "running", "waiting", "done", "failed" or
   "cancelled". */
CASTING_API const char *casting_task_status(const casting_task *t);

/* -- messages ------------------------------------------------------------- */

/* Makes an empty message, or frees one.
   A message is one or more values; the first is not nil. The same object is
   written and sent, or received and read, over and over: its memory is kept. It
   belongs to one thread at a time. Freeing NULL does nothing.
   casting_message_new returns the message, or NULL. */
CASTING_API casting_message *casting_message_new(void);
CASTING_API void casting_message_free(casting_message *m);

/* Forgets all values of a message, so that it can be written anew. */
CASTING_API void casting_message_clear(casting_message *m);

/* Appends a value to a message.
   An error sticks until the message is cleared: whatever uses the message gives
   the error, so checking there is enough. Appending to a message that was
   received, read or sent in vain replaces it. Strings are copied; handles are
   counted. A pointer is Lua's light userdata. On Lua 5.1, 5.2 and LuaJIT
   integers arrive as numbers.
   Returns 0, or one of
   CASTING_ENOMEM  there is no memory
   CASTING_EINVAL  the message is over 1 GiB; or the value cannot be there: nil
                   at the beginning, or nil or NaN as the key of a map */
CASTING_API int casting_message_nil(casting_message *m);
CASTING_API int casting_message_boolean(casting_message *m, int v);
CASTING_API int casting_message_integer(casting_message *m, int64_t v);
CASTING_API int casting_message_number(casting_message *m, double v);
CASTING_API int casting_message_string(
  casting_message *m, const char *s, size_t size);
CASTING_API int casting_message_pointer(casting_message *m, void *p);
CASTING_API int casting_message_channel(casting_message *m, casting_channel *c);
CASTING_API int casting_message_task(casting_message *m, casting_task *t);
CASTING_API int casting_message_session(casting_message *m, casting_session *s);

/* Begins or ends a table in a message.
   Until casting_message_end, the values that are appended are items 1, 2, 3 ...
   of an array, or by turns keys (neither nil nor NaN) and values of a map.
   Tables nest up to 32 deep. Errors stick as with casting_message_nil.
   Returns 0, or one of
   CASTING_ENOMEM  there is no memory
   CASTING_EINVAL  tables are nested too deep, none is open, or a key has no
                   value */
CASTING_API int casting_message_array(casting_message *m);
CASTING_API int casting_message_map(casting_message *m);
CASTING_API int casting_message_end(casting_message *m);

/* What a value of a message is. */
typedef enum casting_type {
  CASTING_TNIL,
  CASTING_TBOOLEAN,
  CASTING_TINTEGER,
  CASTING_TNUMBER,
  CASTING_TSTRING,
  CASTING_TPOINTER,
  CASTING_TCHANNEL,
  CASTING_TTASK,
  CASTING_TSESSION,
  CASTING_TTABLE,
  CASTING_TOTHER /* a function, a second mention of a table ...: only Lua can
                    make something of it (casting_message_push) */
} casting_type;

/* A value of a message. Strings and handles are borrowed. */
typedef struct casting_value {
  casting_type type;
  union {
    int boolean;
    int64_t integer;
    double number;
    struct {
      const char *at; /* no '\0' at its end */
      size_t size;
    } string;
    void *pointer;
    casting_channel *channel;
    casting_task *task;
    casting_session *session;
    struct {
      size_t items; /* so many values come next, 1, 2, 3 ... */
      size_t pairs; /* then so many pairs, key and value */
    } table;
  } as;
} casting_value;

/* Reads the next value of a message.
   The message was received, or is complete. The values of a table follow it.
   Strings and handles are borrowed until the message changes.
   Returns 1; 0 after the last value; or
   CASTING_EINVAL  the message is not complete */
CASTING_API int casting_message_read(casting_message *m, casting_value *v);

/* Passes over the rest of a table in a message.
   It is the innermost table that is being read.
   Returns 0, or
   CASTING_EINVAL  no table is being read */
CASTING_API int casting_message_skip(casting_message *m);

/* Reads a message from the beginning again. */
CASTING_API void casting_message_rewind(casting_message *m);

/* Counts the values of a message.
   Returns their number; those in tables are not counted. */
CASTING_API size_t casting_message_count(const casting_message *m);

/* Pushes all values of a message onto the Lua stack.
   The message is empty then.
   Returns how many values it has pushed.
   Raises an error if a value cannot be rebuilt there. */
CASTING_API int casting_message_push(struct lua_State *L, casting_message *m);

/* Makes a message of values on the Lua stack.
   It has the n (> 0) values from position `first` on, in place of what it was.
   Raises an error if one cannot be sent. */
CASTING_API void casting_message_pack(
  struct lua_State *L, int first, int n, casting_message *m);

/* -- channels ------------------------------------------------------------- */

/* Makes a channel, as casting.channel in Lua does.
   A `capacity` of 0 is unbuffered, CASTING_UNBOUNDED has no limit.
   Returns a new reference, or NULL. */
CASTING_API casting_channel *casting_channel_new(size_t capacity);

/* Finds the channel of a name, as casting.named in Lua does.
   It is made when there is none. `capacity` must be what it was made with.
   Returns a new reference; or NULL, with the reason in *error, unless `error`
   is NULL:
   CASTING_ENOMEM  there is no memory
   CASTING_EINVAL  the channel has another capacity */
CASTING_API casting_channel *casting_channel_named(
  const char *name, size_t capacity, int *error);

/* Counts a reference to a channel more, or one less.
   casting_channel_ref returns c. */
CASTING_API casting_channel *casting_channel_ref(casting_channel *c);
CASTING_API void casting_channel_unref(casting_channel *c);

/* Sends a message, which is empty afterwards.
   Waits until a receiver takes it or the channel has a free place for it, in
   one queue with tasks of Lua: first come, first served.
   Returns 0; or, with the message as it was, one of
   CASTING_ECLOSED   the channel is closed
   CASTING_ETIMEOUT  the time has passed
   CASTING_EFULL     with 0 seconds: there is no free place, and no receiver
   CASTING_ENOMEM    there is no memory
   CASTING_EINVAL    the message has no values, an open table, or nil first */
CASTING_API int casting_channel_send(
  casting_channel *c, casting_message *m, double seconds);

/* Receives a message, in place of what `m` was.
   Returns 0; or, with an empty message, one of
   CASTING_ECLOSED   the channel is closed, and nothing is left in it
   CASTING_ETIMEOUT  the time has passed
   CASTING_EEMPTY    with 0 seconds: there is nothing in it, and no sender */
CASTING_API int casting_channel_receive(
  casting_channel *c, casting_message *m, double seconds);

/* Closes a channel.
   What is in it can still be received.
   Returns 1 if this call has closed it, 0 if it was closed before. */
CASTING_API int casting_channel_close(casting_channel *c);

/* Tells whether a channel is closed.
   Returns 1 or 0. */
CASTING_API int casting_channel_closed(casting_channel *c);

/* Tells how many messages lie in a channel.
   Returns their number, which may be out of date when it is looked at. */
CASTING_API size_t casting_channel_len(casting_channel *c);

/* Tells how many messages a channel can hold.
   Returns that number, or CASTING_UNBOUNDED. */
CASTING_API size_t casting_channel_capacity(const casting_channel *c);

/* -- handles in a Lua state ----------------------------------------------- */

/* Pushes the handle that Lua code knows.
   The caller's reference stays its own. A state that does not know casting yet
   is adopted. */
CASTING_API void casting_channel_push(struct lua_State *L, casting_channel *c);
CASTING_API void casting_task_push(struct lua_State *L, casting_task *t);
CASTING_API void casting_session_push(struct lua_State *L, casting_session *s);

/* Takes a handle as the argument of a C function.
   Returns what the handle at stack position i stands for, borrowed from it.
   Raises an error that names the argument, if it is another value. */
CASTING_API casting_channel *casting_channel_check(struct lua_State *L, int i);
CASTING_API casting_task *casting_task_check(struct lua_State *L, int i);
CASTING_API casting_session *casting_session_check(struct lua_State *L, int i);

/* Tells whether a value is a handle, and of what.
   Returns what the handle at stack position i stands for, borrowed from it;
   NULL if it is another value. */
CASTING_API casting_channel *casting_channel_test(struct lua_State *L, int i);
CASTING_API casting_task *casting_task_test(struct lua_State *L, int i);
CASTING_API casting_session *casting_session_test(struct lua_State *L, int i);

/* Tells which session, or which task, runs a Lua state.
   Returns it, borrowed. casting_task_self returns NULL in a main program. */
CASTING_API casting_session *casting_session_self(struct lua_State *L);
CASTING_API casting_task *casting_task_self(struct lua_State *L);

/* -- parking: making a C function of a module non-blocking ---------------- */

/* Begins a wait of the calling task, in a C function.
   A C function that a task calls begins with casting_waker_new, starts its
   work elsewhere (a thread, an event loop, a callback), and ends with

     return casting_park(L, waker, seconds, finish, ud);

   The task waits, its OS thread does not. The thread that has done the work
   calls casting_wake; `finish` then pushes the function's results.

   The call pushes a value onto the stack that must stay there. After it,
   casting_park cannot fail.
   Returns the waker, borrowed from that value. A thread that is to wake needs a
   reference of its own.
   Raises all errors of such a wait: where nothing can wait, when the task is
   cancelled, out of memory. */
CASTING_API casting_waker *casting_waker_new(struct lua_State *L);

/* Counts a reference to a waker more, or one less.
   casting_waker_ref returns w. */
CASTING_API casting_waker *casting_waker_ref(casting_waker *w);
CASTING_API void casting_waker_unref(casting_waker *w);

/* Ends a wait, now or when it begins.
   More calls change nothing. What the caller did before is seen by `finish`. It
   must not be called in a signal handler. */
CASTING_API void casting_wake(casting_waker *w);

/* Pushes the results of a C function that has waited, and returns how many; it
   may raise. `outcome` is 0, or CASTING_ETIMEOUT; or CASTING_ECANCELLED or
   CASTING_EINTR: the task is being stopped. Then give up what the work needs;
   whatever is returned is dropped, and an error raised. It is called once, in
   the thread that runs the session then. On Lua 5.1 and LuaJIT, L may be
   another coroutine's than before: the function's arguments are not on its
   stack, so keep what you need in `ud`. */
typedef int (*casting_finish)(struct lua_State *L, int outcome, void *ud);

/* Waits for casting_wake, without keeping the OS thread.
   It also works where the virtual machine cannot yield, and in a main program.
   Returns what the C function must return at once. */
CASTING_API int casting_park(struct lua_State *L, casting_waker *w,
  double seconds, casting_finish finish, void *ud);

/* What casting_wait_fd waits for. */
enum { CASTING_READABLE = 1, CASTING_WRITABLE = 2 };

/* Waits until a descriptor is ready, without keeping the OS thread.
   A C function that a task calls ends with it:

     return casting_wait_fd(L, fd, CASTING_READABLE, seconds, finish, ud);

   `events` is CASTING_READABLE or CASTING_WRITABLE, or both: then either ends
   the wait. Readable is also what has ended or failed, and a socket that has a
   connection to accept. If it is ready already, however long that has been so,
   `finish` is called at once; so it is for files that are always ready. What is
   done with the descriptor when it is ready is the module's: it should not
   block, or another thread may have been faster.

   The descriptor stays the caller's. Its flags are never changed, and casting
   knows it only while the call lasts. It should not be closed meanwhile: the
   wait would last until its time has passed. The descriptor of a stream of
   casting's may be waited for, too; then the wait ends when that is closed.
   Several tasks may wait for one descriptor.

   Unlike that of casting_park, `finish` is called in any case, also if an error
   is raised before the wait begins (CASTING_ECANCELLED). Its `outcome` is 0, or
   one of those that casting_finish names, or
   CASTING_EINVAL   `fd` is not open
   CASTING_ECLOSED  it was that of a stream, which was closed
   CASTING_ENOMEM   the system has no room for the descriptor
   Returns what the C function must return at once.
   Raises what casting_waker_new does, and an error if `events` is 0, or `fd`
   negative. */
CASTING_API int casting_wait_fd(struct lua_State *L, int fd, int events,
  double seconds, casting_finish finish, void *ud);

/* Tells the descriptor of a socket in Lua.
   It is that of the stream, listener or socket for datagrams at stack position
   i, and stays that one's: do not close it, and do not change its flags.
   Returns the descriptor; -1 if that is closed, or another value.
   Raises nothing. */
CASTING_API int casting_stream_fd(struct lua_State *L, int i);

/* Makes a stream of a descriptor, or whatever else it is.
   As net.from_fd in Lua does: a stream, a listener or a socket for datagrams,
   which owns the descriptor from then on, and closes it.
   Returns 1, with the handle pushed; or 2, with nil and the reason pushed: then
   the descriptor is still the caller's.
   Raises an error if there is no memory, or `fd` is negative. */
CASTING_API int casting_push_stream(struct lua_State *L, int fd);

/* Writes what a stream in Lua takes at once.
   The stream is at stack position i; there are n bytes. Nothing waits, so it
   is for modules that put together in C what they send: what the stream has not
   taken is left to stream:write, which waits, and tells what is wrong.
   Returns how many bytes it has taken, from the first one: 0 also if it is
   closed, or a value of another kind, if it has a layer or is no socket, if
   another task is writing to it, if the task must stop, or others must have
   their turn, or if this is not called by a task.
   Raises nothing. */
CASTING_API size_t casting_stream_offer(
  struct lua_State *L, int i, const void *bytes, size_t n);

/* -- layers on streams: TLS and the like ---------------------------------- */

/* What a layer reads from and writes to: the connection below it. It is valid
   during the call of the layer's function that gets it. */
typedef struct casting_below casting_below;

/* Reads or writes bytes of the connection, as they are below a layer.
   One try, which does not wait.
   Returns how many bytes, which may be fewer than `size`; 0 is the end when
   reading; or
   CASTING_EEMPTY   reading: there is nothing now
   CASTING_EFULL    writing: there is no room now
   CASTING_ECLOSED  the connection is closed on this side, or was reset
   CASTING_ENOMEM   there is no memory
   CASTING_EFAILED  the system has another reason, which the stream tells if the
                    layer has none of its own */
CASTING_API ptrdiff_t casting_below_read(
  casting_below *b, void *to, size_t size);
CASTING_API ptrdiff_t casting_below_write(
  casting_below *b, const void *from, size_t size);

/* What stands between the bytes that tasks read from and write to a stream and
   those of its connection. One constant struct for each kind of layer, never
   freed. The functions are called by the thread that runs the stream's session,
   one at a time, but `drop` perhaps by any. They must not wait; only `tell` may
   call Lua.

   read     puts up to `size` (> 0) bytes for the task at `to`. Returns how
            many; 0: the other side has ended the stream in an orderly way.
   write    takes up to `size` (> 0) bytes of the task. Returns how many, at
            least 1. What it cannot write below now it keeps, and takes nothing
            more until that is gone.
   flush    writes below what it keeps, after the handshake, if there is one.
            Returns 0 when that is done.
   end      makes the last message to the other side, after which nothing is
            written; a second call does nothing. Returns 0. Whoever closes the
            stream waits for `flush` after it, for a limited time.
   failure  tells why it has failed: text that is valid until the next call;
            NULL: what the system has said below.
   drop     frees the state.
   tell     may be NULL. Pushes what stream:tls returns: a value of data; false:
            it is not known before the handshake is over. It may raise an error.
            `L` is any state with the stream: its metatables and its registry
            may lack what the module has put into another one's. The layer is
            not dropped meanwhile.

   In place of the above they return CASTING_EEMPTY if it can only go on when
   something has come below, CASTING_EFULL if there must be room first,
   CASTING_EINTR to be called again when others have had their turn, and
   CASTING_ECLOSED, CASTING_ENOMEM or CASTING_EFAILED, which are for good. */
typedef struct casting_layer {
  size_t size; /* sizeof(casting_layer) */
  ptrdiff_t (*read)(void *state, casting_below *b, void *to, size_t size);
  ptrdiff_t (*write)(
    void *state, casting_below *b, const void *from, size_t size);
  int (*flush)(void *state, casting_below *b);
  int (*end)(void *state, casting_below *b);
  const char *(*failure)(void *state);
  void (*drop)(void *state);
  int (*tell)(void *state, struct lua_State *L);
} casting_layer;

/* Lays a layer over the stream at stack position i.
   All that is read or written from now on goes through it, wherever the stream
   moves. What had been read and nobody has taken is the first that it reads
   below. Writing nothing to the stream waits for the handshake of the layer.
   Returns 0: the layer is the stream's, which drops it when it is closed; or,
   with the state still the caller's, one of
   CASTING_EINVAL   it is no stream over a socket, or has a layer, or a task
                    waits for it
   CASTING_ECLOSED  it is closed
   CASTING_ENOMEM   there is no memory */
CASTING_API int casting_layer_set(
  struct lua_State *L, int i, const casting_layer *how, void *state);

/* Tells the state of the layer of a stream.
   Returns it, valid until the stream is closed; NULL if there at stack position
   i is no open stream with a layer of that kind. */
CASTING_API void *casting_layer_get(
  struct lua_State *L, int i, const casting_layer *how);

/* What gives each connection of a listener a layer. One constant struct, never
   freed. Any thread may call the functions, and several at once.

   layer  the kind of the layers.
   make   makes the state of one; NULL: no memory.
   drop   frees `ud`. */
typedef struct casting_layers {
  size_t size; /* sizeof(casting_layers) */
  const casting_layer *layer;
  void *(*make)(void *ud);
  void (*drop)(void *ud);
} casting_layers;

/* Has the listener at stack position i give layers to its connections.
   Those are laid over a stream when it is accepted, in whatever session.
   Returns 0: `ud` is the listener's; or, with `ud` still the caller's, one of
   CASTING_EINVAL   it is no listener, or does so already
   CASTING_ENOMEM   there is no memory */
CASTING_API int casting_layers_set(
  struct lua_State *L, int i, const casting_layers *how, void *ud);

/* Keeps a shared object loaded until the process ends.
   It is the one that has this address. For modules with threads of their own:
   lua_close unloads a module, and a thread that has not quite ended would run
   code that is gone. */
CASTING_API void casting_pin(const void *address);

/* Tells the signal mask of programs that a session starts.
   It is written to *set, a sigset_t, for posix_spawnattr_setsigmask. The
   thread's own mask blocks nearly all signals, which a program that C code
   starts for the session of L would inherit, as it does in system and popen.
   (The child of a fork has this mask already.) In a state that casting has not
   made it is the thread's own mask. POSIX systems only.
   Raises nothing. */
CASTING_API void casting_sigmask(struct lua_State *L, void *set);

/* -- a host's own event loop ---------------------------------------------- */

/* Lets the tasks of an adopted state that are ready run once.
   It is called by the main program, and waits for such a task for at most
   `seconds`.
   Returns 1 if there was something to do, else 0.
   Raises an error outside of a main program, and the error of an interrupt. */
CASTING_API int casting_poll(struct lua_State *L, double seconds);

/* Gives a descriptor that is readable when there is something to poll.
   It is for select, poll and epoll, and stays casting's: do not read from it,
   do not close it.
   Returns the descriptor; -1 where the platform has none.
   Raises an error outside of a main program. */
CASTING_API int casting_fd(struct lua_State *L);

/* -- userdata that moves -------------------------------------------------- */

/* How the content of a type of userdata moves. One constant struct for each
   type, which is never freed: the library that contains it stays loaded once
   something has moved. Each function is called by the thread that runs the Lua
   state, but `drop`, which may be called by any.

   name    what error messages call such a value, such as "buffer".
   module  is required in the receiving state before `make` is called, so that
           the type's metatable is there; NULL: nothing is.
   take    takes the content out of the userdata at stack position i and returns
           it; or returns NULL and changes nothing if it is empty or in use:
           then the send raises an error that says so. It is called when the
           message is complete, so that a failed send changes nothing.
   make    pushes a new, empty userdata of the type and returns 1. May raise.
   put     puts the content into the empty userdata at position i: a new one
           that `make` has made; or the one from which `take` has taken it, when
           the message was not sent after all (a full or closed channel, a
           timeout, another case of a select).
   drop    frees the content: of a message that nobody receives.

   `take`, `put` and `drop` must not raise, nor call Lua functions, nor leave
   anything on the stack. The stack has LUA_MINSTACK free places. */
typedef struct casting_transfer {
  size_t size; /* sizeof(casting_transfer) */
  const char *name;
  const char *module;
  void *(*take)(struct lua_State *L, int i);
  int (*make)(struct lua_State *L);
  void (*put)(struct lua_State *L, int i, void *content);
  void (*drop)(void *content);
} casting_transfer;

/* Says that userdata with a metatable moves, and how.
   Userdata cannot be copied by casting. A C module can have the content of its
   userdata move instead: a send takes it out of the sender's userdata, which
   is empty then, and the receiver gets a new userdata with it. Nothing is
   copied, and no two states ever have the same content. A message with such a
   value has one receiver, so casting.pack refuses it; a task's result of that
   kind goes to the first who joins from another session.

   Call it in each Lua state, where the metatable is made; that is at stack
   position i.

   All it does is to set the metatable's field "__transfer" to the struct's
   address as light userdata. A module that shall also load where casting is
   not installed does that itself, and need not be linked with the library.
   Raises an error if there is no table, or a field of *how but `module` is not
   set. */
CASTING_API void casting_transfer_register(
  struct lua_State *L, int i, const casting_transfer *how);

#ifdef __cplusplus
}
#endif

#endif
