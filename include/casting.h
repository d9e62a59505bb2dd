/* casting.h - public C API of casting: Lua functions in parallel.
   SPDX-License-Identifier: MIT

   For programs that embed Lua (start and stop, sessions, channels from threads
   of their own) and for C modules that sessions load (parking, handles). Link
   with the library of the Lua version in use: -lcasting5.4 (pkg-config
   casting-5.4), which is the module itself, so a program, the modules that it
   loads and `require "casting"` all share one runtime. The manual page is
   casting(7), the guide docs/c-api.md.

   Rules that hold unless a function says otherwise:
   - Any thread may call it, at any time; an object may be used by several
     threads at once. Exceptions are a casting_message, which belongs to one
     thread at a time, and functions with a lua_State, which belong to the
     thread that runs that state.
   - Functions with a lua_State may raise Lua errors, as lua_error does; all
     others never do.
   - Results are 0 or a positive number for success, or a negative CASTING_E*.
     Where NULL is returned, it means out of memory.
   - Handles are counted: what a function returns with "new reference" must be
     given back by the ..._unref of its type; "borrowed" is valid as long as
     whatever it was taken from.
   - In the child of a fork, if its parent has used casting, nothing works any
     more: CASTING_EFORKED is returned, or an error raised; what closes, stops,
     cancels or unrefs does nothing, at once. A process that has only started or
     adopted it may fork, and use it in both.
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
  CASTING_EFULL = -5,      /* no room and no receiver now */
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

/* The module's opener: `require "casting"` calls it. Pushes the module table
   and returns 1. Opening it again in the same Lua state gives the same table;
   any number of Lua states of one process may open it. */
CASTING_API int luaopen_casting(struct lua_State *L);

/* The library's version, as CASTING_VERSION_NUM; the header's may differ. */
CASTING_API int casting_version(void);
/* "timeout", "closed" ...: the word Lua programs get; static. Of 0: "ok". */
CASTING_API const char *casting_word(int outcome);

/* -- the runtime ---------------------------------------------------------- */

/* realloc and free in one: size 0 frees (and returns NULL). Any thread. */
typedef void *(*casting_alloc)(void *ud, void *ptr, size_t size);
/* A line about something that nobody else learns of, such as the failure of a
   task that nobody joins; `text` has no newline at its end. In a thread of
   casting's own, which does nothing else, so it may block; one call at a time.
   It must not call casting. */
typedef void (*casting_log)(void *ud, const char *text, size_t size);

/* All zero but `size` means: as usual. */
typedef struct casting_options {
  size_t size;          /* sizeof(casting_options) of the caller's header */
  unsigned threads_min; /* of the pool, 1 to 1024; 0: leave it (1) */
  unsigned threads_max; /* 0: leave it (256) */
  casting_alloc alloc;  /* for everything, Lua states of sessions included */
  void *alloc_ud;
  casting_log log; /* NULL: a line on stderr */
  void *log_ud;
} casting_options;

/* Starts the runtime, or holds it: each call wants a casting_stop. Needed for
   sessions made by C; an adopted Lua state holds the runtime by itself.
   `options` may be NULL. 0; CASTING_ENOMEM; CASTING_EINVAL: options out of
   range, or an allocator when memory has been allocated already (it can only
   be set before everything else). */
CASTING_API int casting_start(const casting_options *options);
/* Gives one casting_start back. The last one cancels what the sessions made by
   C still do, closes them and joins the threads, waiting for at most
   `seconds`. 0; CASTING_ETIMEOUT: something is stuck in foreign C code, `log`
   included; then threads stay, asleep, and their memory. CASTING_EINVAL: not
   started. Not in a task. */
CASTING_API int casting_stop(double seconds);

/* Says that something unknown to casting may yet wake tasks (a thread of yours
   that will send, a callback that will come): deadlocks are not reported
   meanwhile. Calls are counted; each casting_expect wants a casting_unexpect.
   References to channels and sessions that C holds count without this, as do
   tasks that are parked by casting_park. */
CASTING_API void casting_expect(void);
CASTING_API void casting_unexpect(void);

/* -- sessions ------------------------------------------------------------- */

typedef struct casting_session_options {
  size_t size;      /* sizeof(casting_session_options) */
  const char *name; /* copied; NULL: a name is made up */
  /* Names of the libraries to open, the last one NULL; NULL: all. */
  const char *const *libs;
  size_t memory; /* limit in bytes of its Lua state; 0: none */
  /* Called once with the new state, by the caller's thread, protected, before
     anything runs there: for globals, package.path, preloaded modules. It must
     not block. What it returns is of no account. NULL: nothing. */
  int (*init)(struct lua_State *L, void *ud);
  void *init_ud;
  char *error; /* where the error message of init goes, cut; NULL: nowhere */
  size_t error_size;
} casting_session_options;

/* A new session, run by the pool; new reference in *out. `options` may be
   NULL. 0, CASTING_ENOMEM, CASTING_EFAILED (init has raised an error),
   CASTING_EINVAL (unknown library, or no casting_start). */
CASTING_API int casting_session_new(
  const casting_session_options *options, casting_session **out);
/* Makes L a session, as `require "casting"` does there, and changes nothing on
   its stack. Its tasks run in the calling thread only: whenever its main
   program waits in casting, or polls. *out, unless `out` is NULL, is borrowed
   until lua_close. 0, CASTING_ENOMEM. Raises nothing. */
CASTING_API int casting_adopt(struct lua_State *L, casting_session **out);

/* A reference more; returns s. */
CASTING_API casting_session *casting_session_ref(casting_session *s);
/* A session without references, Lua handles included, closes itself when its
   tasks have ended. */
CASTING_API void casting_session_unref(casting_session *s);
CASTING_API const char *casting_session_name(const casting_session *s);
/* Waits until no task is left: 0, CASTING_ETIMEOUT. */
CASTING_API int casting_session_wait(casting_session *s, double seconds);
/* Cancels its tasks, waits for them to unwind, closes its Lua state. 0,
   CASTING_ETIMEOUT (it goes on closing), CASTING_EINVAL (an adopted one closes
   with its Lua state). */
CASTING_API int casting_session_close(casting_session *s, double seconds);

/* -- tasks ---------------------------------------------------------------- */

/* Spawns a task in `s` for the function on L's stack and the `nargs` values
   above it, which are copied there, and pops them all. *out, unless `out` is
   NULL, is a new reference. 0, CASTING_ECLOSED. Raises when something cannot
   be sent. */
CASTING_API int casting_spawn(
  struct lua_State *L, casting_session *s, int nargs, casting_task **out);
/* The same for Lua source, without a Lua state: the text is compiled in `s`,
   and an error in it makes the task fail. `args` (NULL: none) is empty
   afterwards. 0, CASTING_ECLOSED, CASTING_ENOMEM, CASTING_EINVAL (`args` is
   not complete; `size` is over 1 GiB); then `args` is as before. */
CASTING_API int casting_spawn_source(casting_session *s, const char *text,
  size_t size, casting_message *args, casting_task **out);

/* A reference more; returns t. And one less: the task goes on without. */
CASTING_API casting_task *casting_task_ref(casting_task *t);
CASTING_API void casting_task_unref(casting_task *t);
/* Waits for its end. 0: its results are in *results; CASTING_EFAILED: its error
   is; CASTING_ECANCELLED; CASTING_ETIMEOUT. `results` may be NULL. Results that
   cannot leave their session give CASTING_EFAILED and the reason. */
CASTING_API int casting_task_join(
  casting_task *t, double seconds, casting_message *results);
/* Asks its session to cancel it: 0, also when it has ended. `reason` may be
   NULL; it is dropped when there is no memory for it. */
CASTING_API int casting_task_cancel(casting_task *t, const char *reason);
/* "ready", "running", "waiting", "done", "failed" or "cancelled"; static. */
CASTING_API const char *casting_task_status(const casting_task *t);

/* -- messages ------------------------------------------------------------- */

/* A message is one or more values; the first is not nil. The same object is
   written and sent, or received and read, over and over: its memory is kept. */
CASTING_API casting_message *casting_message_new(void);
CASTING_API void casting_message_free(casting_message *m); /* NULL is fine */
/* Forgets all values: to be written anew. */
CASTING_API void casting_message_clear(casting_message *m);

/* Each appends a value: 0, or CASTING_ENOMEM, or CASTING_EINVAL. An error
   sticks until the message is cleared: whatever uses it gives the error, so
   checking there is enough. Appending to a message that was received, read or
   sent in vain replaces it. Strings are copied; handles are counted. On Lua
   5.1, 5.2 and LuaJIT integers arrive as numbers. */
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
/* Begin a table: until its end, values are items 1, 2, 3 ... of an array, or by
   turns keys (neither nil nor NaN) and values of a map. They nest up to 32
   deep. */
CASTING_API int casting_message_array(casting_message *m);
CASTING_API int casting_message_map(casting_message *m);
CASTING_API int casting_message_end(casting_message *m);

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

/* Reads the next value of a message that was received, or is complete: 1, or 0
   after the last one, or CASTING_EINVAL. The values of a table follow it.
   Strings and handles are borrowed until the message changes. */
CASTING_API int casting_message_read(casting_message *m, casting_value *v);
/* Passes over what is left of the innermost table that is being read. */
CASTING_API int casting_message_skip(casting_message *m);
/* From the beginning again. */
CASTING_API void casting_message_rewind(casting_message *m);
/* How many values it has, those in tables not counted. */
CASTING_API size_t casting_message_count(const casting_message *m);

/* Pushes all values onto L and returns how many; the message is empty then.
   Raises when one cannot be rebuilt there. */
CASTING_API int casting_message_push(struct lua_State *L, casting_message *m);
/* Makes a message of n (> 0) values of L from stack position `first` on, in
   place of what it was. Raises when one cannot be sent. */
CASTING_API void casting_message_pack(
  struct lua_State *L, int first, int n, casting_message *m);

/* -- channels ------------------------------------------------------------- */

/* As casting.channel: 0 is unbuffered. New reference, NULL: out of memory. */
CASTING_API casting_channel *casting_channel_new(size_t capacity);
/* As casting.named: new reference, made when there is none. `capacity` must be
   what it was made with. *error, unless NULL: 0, CASTING_ENOMEM,
   CASTING_EINVAL. */
CASTING_API casting_channel *casting_channel_named(
  const char *name, size_t capacity, int *error);
CASTING_API casting_channel *casting_channel_ref(casting_channel *c);
CASTING_API void casting_channel_unref(casting_channel *c);

/* Sends, after which the message is empty: 0. Else it is as before:
   CASTING_ECLOSED, CASTING_ETIMEOUT (with 0 seconds CASTING_EFULL),
   CASTING_ENOMEM, CASTING_EINVAL (no values, an open table, nil first). */
CASTING_API int casting_channel_send(
  casting_channel *c, casting_message *m, double seconds);
/* Receives, in place of what the message was: 0. Else it is empty:
   CASTING_ECLOSED, CASTING_ETIMEOUT (with 0 seconds CASTING_EEMPTY). */
CASTING_API int casting_channel_receive(
  casting_channel *c, casting_message *m, double seconds);
/* 1: this call has closed it; 0: it was. */
CASTING_API int casting_channel_close(casting_channel *c);
CASTING_API int casting_channel_closed(casting_channel *c);
CASTING_API size_t casting_channel_len(casting_channel *c);
CASTING_API size_t casting_channel_capacity(const casting_channel *c);

/* -- handles in a Lua state ----------------------------------------------- */

/* Push the handle. The caller's reference stays its own. A state that does not
   know casting yet is adopted. */
CASTING_API void casting_channel_push(struct lua_State *L, casting_channel *c);
CASTING_API void casting_task_push(struct lua_State *L, casting_task *t);
CASTING_API void casting_session_push(struct lua_State *L, casting_session *s);
/* What the handle at stack position i is; borrowed from it. Another value
   raises an error that names the argument (check), or gives NULL (test). */
CASTING_API casting_channel *casting_channel_check(struct lua_State *L, int i);
CASTING_API casting_task *casting_task_check(struct lua_State *L, int i);
CASTING_API casting_session *casting_session_check(struct lua_State *L, int i);
CASTING_API casting_channel *casting_channel_test(struct lua_State *L, int i);
CASTING_API casting_task *casting_task_test(struct lua_State *L, int i);
CASTING_API casting_session *casting_session_test(struct lua_State *L, int i);
/* The session that runs L, and the task that does (NULL: the main program);
   borrowed. */
CASTING_API casting_session *casting_session_self(struct lua_State *L);
CASTING_API casting_task *casting_task_self(struct lua_State *L);

/* -- parking: making a C function of a module non-blocking ---------------- */

/* A C function that a task calls begins with casting_waker_new, starts its
   work elsewhere (a thread, an event loop, a callback), and ends with
     return casting_park(L, waker, seconds, finish, ud);
   The task waits, its OS thread does not. Whoever has done the work calls
   casting_wake; `finish` then pushes the function's results.

   casting_waker_new raises whatever is to be raised: where nothing can wait,
   when the task is cancelled, out of memory. After it casting_park cannot
   fail. It pushes a value onto the stack that must stay there; the waker is
   borrowed from it, and who is to wake needs a reference of its own. */
CASTING_API casting_waker *casting_waker_new(struct lua_State *L);
CASTING_API casting_waker *casting_waker_ref(casting_waker *w);
CASTING_API void casting_waker_unref(casting_waker *w);
/* Ends the wait, now or when it begins; more calls change nothing. What the
   caller did before is seen by `finish`. Not in a signal handler. */
CASTING_API void casting_wake(casting_waker *w);

/* Pushes the results and returns how many; may raise. outcome: 0,
   CASTING_ETIMEOUT; or CASTING_ECANCELLED or CASTING_EINTR: the task is being
   stopped, give up what the work needs, whatever is returned is dropped and an
   error raised. It is called once, in the thread that runs the session then.
   On Lua 5.1 and LuaJIT, L may be another coroutine's than before: the
   function's arguments are not on its stack, so keep what you need in `ud`. */
typedef int (*casting_finish)(struct lua_State *L, int outcome, void *ud);
/* To be returned by the C function. Also works where the VM cannot yield, and
   in a main program. */
CASTING_API int casting_park(struct lua_State *L, casting_waker *w,
  double seconds, casting_finish finish, void *ud);

/* Keeps the shared object that has this address loaded until the process ends.
   For modules with threads of their own: lua_close unloads a module, and a
   thread that has not quite ended would run code that is gone. */
CASTING_API void casting_pin(const void *address);

/* Writes to *set, a sigset_t, the signal mask that a program is to have that a
   C function starts for the session of L: for posix_spawnattr_setsigmask. The
   thread's own mask blocks nearly all signals, which a program would inherit,
   as it does in system and popen. (The child of a fork has it already.) In a
   state that casting has not made it is the thread's own. POSIX systems only.
   Raises nothing. */
CASTING_API void casting_sigmask(struct lua_State *L, void *set);

/* -- a host's own event loop ---------------------------------------------- */

/* Main program of an adopted state: lets its tasks run that are ready, once,
   waiting for one for at most `seconds`. 1: there was something to do; 0. May
   raise: the hook of an interrupt. */
CASTING_API int casting_poll(struct lua_State *L, double seconds);
/* A descriptor that is readable when there is something to poll, for select,
   poll, epoll; -1: none on this platform. It stays casting's: do not read from
   it, do not close it. */
CASTING_API int casting_fd(struct lua_State *L);

/* -- userdata that moves -------------------------------------------------- */

/* Userdata cannot be copied by casting. A C module can have the content of its
   userdata *move* instead: a send takes it out of the sender's userdata, which
   is empty then, and the receiver gets a new userdata with it. Nothing is
   copied, and no two states ever have the same content.

   A transfer is one constant struct for each type. Each function is called by
   the thread that runs the Lua state, but `drop`, which may be called by any.

   name     what error messages call such a value, such as "buffer".
   module   is required in the receiving state before `make` is called, so that
            the type's metatable is there; NULL: nothing is.
   take     takes the content out of the userdata at stack position i and
            returns it; or returns NULL and changes nothing if it is empty or
            in use: then the send raises an error that says so. Called when the
            message is complete, so that a failed send changes nothing.
   make     pushes a new, empty userdata of the type and returns 1. May raise.
   put      puts the content into the empty userdata at position i: a new one
            that `make` has made, or that from which `take` has taken it, when
            the message was not sent after all (a full or closed channel, a
            timeout, another case of a select).
   drop     frees the content: of a message that nobody receives.

   `take`, `put` and `drop` must not raise, nor call Lua functions, nor leave
   anything on the stack. The stack has LUA_MINSTACK free places.

   The struct is never freed: the library that contains it stays loaded once
   something has moved. A message with such a value has one receiver, so
   casting.pack refuses it; a task's result of that kind goes to the first who
   joins from another session. */
typedef struct casting_transfer {
  size_t size; /* sizeof(casting_transfer) */
  const char *name;
  const char *module;
  void *(*take)(struct lua_State *L, int i);
  int (*make)(struct lua_State *L);
  void (*put)(struct lua_State *L, int i, void *content);
  void (*drop)(void *content);
} casting_transfer;

/* Says that userdata with the metatable at stack position i moves so. To be
   called in each Lua state, where the metatable is made. Raises an error if
   there is no table, or a field but `module` is not set.

   All it does is to set the metatable's field "__transfer" to the struct's
   address as light userdata. A module that shall also load where casting is
   not installed does that itself, and need not be linked with the library. */
CASTING_API void casting_transfer_register(
  struct lua_State *L, int i, const casting_transfer *how);

#ifdef __cplusplus
}
#endif

#endif
