/* limits.h - every limit of casting, named in one place.
   SPDX-License-Identifier: MIT

   A limit bounds or times something and may be changed by itself: the code
   stays correct with any value that its comment allows. Numbers that a wire
   format, a Lua version or an operating system dictates stay with the code
   that deals with those. Times end in _NS or _MS.

   CAST_LIMIT(normal, tiny): test builds with CAST_SHRINK take the tiny value,
   so that rare paths (overflow of a run queue, end of a slice, growth of a
   buffer, a second round) run all the time. */
#ifndef CAST_LIMITS_H
#define CAST_LIMITS_H

#ifdef CAST_SHRINK
#define CAST_LIMIT(normal, tiny) (tiny)
#else
#define CAST_LIMIT(normal, tiny) (normal)
#endif

/* -- workers and cores ---------------------------------------------------- */

/* OS threads of the pool there can be, and cores. */
#define CAST_WORKERS_MAX 1024u
/* What casting.threads reports before the program sets it: how many workers
   stay when idle, and how many there may be. */
#define CAST_THREADS_MIN 1u
#define CAST_THREADS_MAX 256u
/* A worker above the minimum ends when it has been idle for so long. */
#define CAST_RETIRE_MS CAST_LIMIT(3000u, 2u)
/* The last host gives reports half of this to be written; after that, workers
   and the thread of the errands have ten times as much to end. */
#define CAST_POOL_STOP_NS 1000000000u

/* Sessions with a thread of their own that there may be at a time: each needs
   an entry in the table of threads that can be interrupted. */
#define CAST_KEEPERS_MAX CAST_LIMIT(1024u, 64u)

/* Sessions in the run queue of one core; a power of two, 2 at least. */
#define CAST_RUNQ_SIZE CAST_LIMIT(256u, 4u)
/* A worker looks at the global queue first at each n-th pick, so that its own
   queue cannot starve that one. */
#define CAST_GLOBAL_EVERY CAST_LIMIT(61u, 3u)
/* Uses of the run-next slot in a row before the run queue has its turn; in a
   session, tasks that go in front of the ready list in a row. */
#define CAST_NEXT_STREAK CAST_LIMIT(3u, 1u)
/* Task resumptions in one slice of a session. */
#define CAST_SLICE_TASKS CAST_LIMIT(128u, 2u)
/* After a yield no more than these, if a task waits for a time. */
#define CAST_YIELDS_MOST CAST_LIMIT(4u, 1u)

/* Looks for work, or for an answer, before a thread goes to sleep. */
#define CAST_SPIN_ROUNDS CAST_LIMIT(200u, 2u)
/* Pauses of the processor between two such looks. */
#define CAST_SPIN_PAUSES 4u
/* A worker that looks for work tries to steal in one of so many looks: it
   touches the cache lines of all cores, the global queue is a single one. */
#define CAST_STEAL_EVERY CAST_LIMIT(16u, 1u)
/* How long an idle worker first leaves the poller to the busy ones, if what it
   was told was for sessions that these run; each further time is twice as
   long, up to the maximum. */
#define CAST_PAUSE_MIN_NS 250000u
#define CAST_PAUSE_MAX_NS 4000000u

/* -- locks ---------------------------------------------------------------- */

/* Tries of a thread that waits for a lock before it naps. */
#define CAST_LOCK_SPINS CAST_LIMIT(100u, 1u)
/* Its first nap; each further one is twice as long, up to the maximum. */
#define CAST_LOCK_NAP_NS 20000u
#define CAST_LOCK_NAP_MAX_NS 640000u

/* -- sysmon --------------------------------------------------------------- */

/* A session that computes while others wait is asked to let go after so long;
   and a worker that does not come back loses its permit after so long. */
#define CAST_SLICE_MS CAST_LIMIT(10u, 1u)
#define CAST_RETAKE_MS CAST_LIMIT(25u, 3u)
/* Between two looks at the workers; and when nothing has happened in a while,
   so that two looks still find a stuck thread within 8 ms. */
#define CAST_TICK_NS 1000000u
#define CAST_TICK_MAX_NS 4000000u
/* Uneventful looks in a row before ticks get longer. */
#define CAST_CALM_TICKS CAST_LIMIT(16u, 2u)
/* Looks in a row that find the pool idle before sysmon sleeps for ever. */
#define CAST_QUIET_TICKS CAST_LIMIT(10u, 5u)
/* While a host runs tasks sysmon looks so often whether its main program
   has been signalled: how late Ctrl-C may be noticed. */
#define CAST_HOST_WATCH_NS CAST_LIMIT(50000000u, 5000000u)

/* -- timers --------------------------------------------------------------- */

/* Heaps of timers, fired in turn: one for those of which each session has one,
   the others for what programs make any number of. 2 at least. */
#define CAST_TIMER_LANES CAST_LIMIT(17u, 3u)
/* Timers fired before sysmon looks at the workers again. */
#define CAST_TIMER_ROUND CAST_LIMIT(64u, 2u)
/* Receivers woken in one round when a channel of casting.after closes. */
#define CAST_CLOSE_ROUND CAST_LIMIT(64u, 1u)
/* The shortest period of a ticker. */
#define CAST_PERIOD_NS 100000u
/* Waits of this length and more end on a grid, so that those near each other
   need one wake-up; the grid (a power of two) is how late they may end. */
#define CAST_COARSE_NS 20000000u
#define CAST_GRID_NS ((uint64_t)1 << 20)

/* -- room at first -------------------------------------------------------- */

/* Slots in the ring of a channel that stores its first message. A power of
   two. */
#define CAST_RING_FIRST CAST_LIMIT(4u, 1u)
/* Deadlines for which a heap makes room first. */
#define CAST_HEAP_FIRST CAST_LIMIT(16u, 1u)
/* Bytes for which a text buffer makes room first. */
#define CAST_BUFFER_FIRST CAST_LIMIT(256u, 4u)
/* Places in a state's table of anchors when it is made. */
#define CAST_ANCHORS_FIRST CAST_LIMIT(4, 1)

/* -- memory --------------------------------------------------------------- */

/* Bytes and alignment of a slab; a power of two, 64 KiB at least. */
#define CAST_SLAB_SIZE 65536u
/* Blocks in slabs have multiples of so many bytes, and this alignment (a power
   of two); ... */
#define CAST_SLAB_STEP 16u
/* ... the largest has so many; larger ones are allocated by themselves. */
#define CAST_SLAB_SMALL 1024u
/* A state gives its empty slabs back when it has so many of them. */
#define CAST_SLABS_PURGE CAST_LIMIT(16u, 1u)
/* A state with so many slabs gets the following ones of huge pages. */
#define CAST_SLABS_FEW 32u
/* So does a block of so many bytes: its pages are many, and will be used. */
#define CAST_HUGE_LEAST CAST_LIMIT((size_t)4 << 20, 65536u)
/* Slabs that are mapped at once, as a region. */
#define CAST_REGION_SLABS CAST_LIMIT(32u, 2u)
/* Unused regions that each pool keeps. */
#define CAST_REGIONS_KEPT 16u

/* A session in a sandbox takes memory from its account in steps of so many
   bytes, and gives back what is more than two of them. With a low limit the
   steps are smaller: so many make the limit, at least. */
#define CAST_GRANT_STEP CAST_LIMIT(65536u, 1024u)
#define CAST_GRANT_STEPS 64u
/* A session with a limit of memory that leaves less than this, when its Lua
   state is made, cannot be made: no task could run in it. */
#define CAST_LEAST_ROOM 8192u

/* Blocks of this size and more, and below 2 to the power of BITS, are kept for
   a while when they are freed, so many bytes of them in all (big.h). */
#define CAST_BIG_MIN 65536u
#define CAST_BIG_BITS 24u
#define CAST_BIG_KEPT (32u << 20)
/* The block that is freed once, for the C library to see (os_malloc_learn). */
#define CAST_BIG_SHOWN (512u << 10)

/* Blocks of messages have multiples of STEP bytes, up to CLASSES of these;
   larger ones are not kept. Bytes of freed blocks that each runner keeps. */
#define CAST_BLOCK_STEP 64u
#define CAST_BLOCK_CLASSES 16u
#define CAST_BLOCKS_KEPT 262144u

/* Larger heaps are not walked after each operation by builds that check. */
#define CAST_HEAP_WALK_MAX 64u

/* -- C stacks ------------------------------------------------------------- */

/* A C stack of casting's is as large as the main program's may be, within
   these bounds; but it has the least where the address space is smaller than
   this. */
#define CAST_STACK_MOST (8u << 20)
#define CAST_STACK_LEAST (4u << 20)
#define CAST_SPACE_AMPLE (32ull << 30)
/* Below a stack lie so many bytes that fault. No frame that is not touched
   from its low end on jumps over them: luaL_Buffer has up to 8 KiB, and alloca
   in the C library goes up to 64. */
#define CAST_STACK_GUARD ((size_t)64 << 10)
/* Bytes that are charged for a stack which a task of a sandbox keeps, at
   least. */
#define CAST_STACK_CHARGE 65536u
/* Bytes below the running frame that stay when the rest is given back. */
#define CAST_STACK_NEAR ((size_t)16 << 10)
/* The smallest stack that is made, whatever size is asked for. */
#define CAST_CONTEXT_LEAST ((size_t)16 << 10)
/* Bytes of the stack of a thread of casting's: musl's own default is 128 KiB,
   too little for Lua. */
#define CAST_THREAD_STACK ((size_t)1 << 20)
/* Spare C stacks that the runtime keeps. */
#define CAST_CONTEXTS_MAX CAST_LIMIT(64u, 2u)
/* Bytes of a C stack that functions of the standard library which call others
   leave free (state/replace.c); and what the compiler of LuaJIT may need, for
   functions in functions as deep as it allows. */
#define CAST_STACK_SPARE 131072u
#define CAST_STACK_COMPILER 524288u
/* Bytes of a C stack that a quantifier of a pattern takes (strlib.c). */
#define CAST_PATTERN_FRAME 256u

/* -- messages and values -------------------------------------------------- */

/* Bytes of a message that need no block; a multiple of a pointer's size. */
#define CAST_MSG_INLINE 48u
/* Nesting that is encoded in place before the rest is deferred. */
#define CAST_PACK_DEPTH CAST_LIMIT(64u, 3u)
/* Strings of so many bytes are shared by the states that have them. */
#define CAST_SHARED_STRING 4096u
/* Strings and functions of messages that are used where they lie: so many, and
   so many bytes of them, for each state (transfer/fixed.c). */
#define CAST_FIXED_KEPT 64u
#define CAST_FIXED_BYTES 262144u
/* Places of a semaphore. */
#define CAST_PLACES_MAX 1000000000u
/* Tokens of a limiter; how many a second; and the seconds in which it fills. */
#define CAST_TOKENS_MAX 1000000000u
#define CAST_RATE_MAX 1e9
#define CAST_FILL_SECONDS 1e9
/* Values on a Lua stack. */
#define CAST_VALUES_MAX 1000000
/* Values of one message, so that a task whose stack is not nearly full can
   receive it: far less than fit on a stack, which a sender may have filled.
   FEW: where a C function may have 8000 (5.1 and LuaJIT). */
#define CAST_MESSAGE_VALUES 200000
#define CAST_MESSAGE_VALUES_FEW 7000
/* Of a batch, so many are sent while the channel's lock is held, ... */
#define CAST_BATCH_ROUND CAST_LIMIT(1024u, 3u)
/* ... and so many are received at most. */
#define CAST_BATCH_MOST 1024u
/* Cases in one select, ... */
#define CAST_SELECT_MAX 65536u
/* ... of which up to so many are sorted by insertion. */
#define CAST_RANK_FEW CAST_LIMIT(12u, 2u)
/* A select with more cases keeps their channels in a table, not on the stack.
   */
#define CAST_SELECT_FEW CAST_LIMIT(12, 2)
/* __save methods whose results contain values with __save, and so on. */
#define CAST_SAVE_DEPTH 64u

/* Packed messages in each other, at most, that may leave a sandbox. */
#define CAST_PACKED_DEPTH 8u
/* Bytes of a message that C builds. */
#define CAST_MESSAGE_MAX (1u << 30)
/* Frames for which an encoder makes room at once; a power of two, 16 at
   most. */
#define CAST_FRAMES_STEP CAST_LIMIT(8u, 1u)
/* After a message whose tables are no tree, so many are not tried as trees:
   programs that send graphs send many, and to find it out costs part of an
   encoding each time. */
#define CAST_TREE_REST CAST_LIMIT(16u, 2u)
/* Tables of a message that the memo finds without hashing; a power of two. Up
   to KEPT entries it keeps its memory, as the next message will need it. */
#define CAST_MEMO_FEW CAST_LIMIT(8u, 2u)
#define CAST_MEMO_KEPT CAST_LIMIT(1024u, 4u)
/* Steps of a path in an error message that are shown at each end, and bytes of
   a key in it. */
#define CAST_PATH_STEPS 10u
#define CAST_PATH_KEY_MAX 40

/* -- what a state keeps of messages --------------------------------------- */

/* Bytes of scratch memory that a packer keeps for the next message. */
#define CAST_PACK_KEEP CAST_LIMIT(64u << 10, 256u)
/* Shared strings that a state finds again, without copying them: so many, with
   so many bytes from earlier messages, and from the latest one
   (transfer/sharedstr.c). */
#define CAST_SHAREDSTR_KEPT CAST_LIMIT(32u, 2u)
#define CAST_SHAREDSTR_BYTES (1u << 20)
#define CAST_SHAREDSTR_LARGEST (64u << 20)
/* Functions whose bytecode a state keeps, and the most bytes of one
   (transfer/bytecode.c). */
#define CAST_BYTECODE_KEPT CAST_LIMIT(32u, 2u)
#define CAST_BYTECODE_BYTES (64u << 10)
/* Bits of the filter for tables that have a name (transfer/names.c); a multiple
   of 64. */
#define CAST_NAMES_BITS CAST_LIMIT(512u, 64u)
/* Binary logarithm of the number of short strings that a state's cache has. */
#define CAST_STRCACHE_BITS CAST_LIMIT(6u, 1u)

/* When a session of a sandbox closes (cycle.c): messages that are looked at
   while the lock of a channel is held, and channels that are moved at once;
   references of a block that are looked at before it is remembered; the work
   that each session is worth, in things to be looked at, and for so many bytes
   that it leaves one more; and how often sessions that have closed meanwhile
   are looked after. */
#define CAST_CYCLE_ROUND CAST_LIMIT(256u, 2u)
#define CAST_CYCLE_FEW CAST_LIMIT(16u, 1u)
#define CAST_CYCLE_OTHERS 8192u
#define CAST_CYCLE_BYTES 16u
#define CAST_CYCLE_AGAIN 8

/* -- tasks and states ----------------------------------------------------- */

/* Coroutines of ended tasks that a state keeps. */
#define CAST_COROUTINES_MAX CAST_LIMIT(1024u, 2u)
/* Bytes behind new handles after which the collector is told of them; and
   bytes that count for each handle besides what it stands for. */
#define CAST_GC_DEBT_MAX 4096u
#define CAST_GC_DEBT_HANDLE 128u
/* Attempts of a protected call that finalizers have made fail; the last one
   runs with the collector stopped. */
#define CAST_REFUSED_MAX 10u
/* Unfinished tasks of a sandbox, if its maker does not say. */
#define CAST_SANDBOX_TASKS 1000u
/* Sessions that a module makes while it is loaded, and that load it again
   (session/task_lineage.c). */
#define CAST_LINEAGE_MAX 32
/* Levels of a stack that are searched for a __close handler. */
#define CAST_CLEANUP_DEPTH 200
/* Bytes that one item of a format gives in os.date. */
#define CAST_DATE_ITEM_MAX 200
/* Bytes of the name that setlocale returns: the C library allows 255 for each
   of a dozen categories. */
#define CAST_LOCALE_MAX 4096
/* Entries in a state's cache of handles; a power of two. */
#define CAST_HANDLE_CACHE CAST_LIMIT(16u, 2u)
/* Tasks that have not begun keep their function and arguments on the stack of a
   startup (task/pending.c). VALUES: the most of one task, which fit into any
   coroutine without growing it. SWITCH: a startup with so many slots in use is
   left to drain, if there is an empty one to go on with. RESERVED: slots of a
   new startup, more than twice VALUES. DRAINED: empty startups that are kept.
   */
#define CAST_PENDING_VALUES 16u
#define CAST_PENDING_SWITCH CAST_LIMIT(256, 8)
#define CAST_PENDING_RESERVED 40
#define CAST_PENDING_DRAINED CAST_LIMIT(2u, 1u)
/* Bytes that a new state takes, amply: so many must be free to make one. */
#define CAST_STATE_ROOM 65536u
/* A state that closes may use so many bytes more than its limit, and has so
   many free slots on its stack, for finalizers: one that there is no memory to
   call is left out. Making that room is tried so often, as memory may fail for
   a moment. */
#define CAST_CLOSING_ROOM 65536u
#define CAST_CLOSING_SLOTS 100
#define CAST_CLOSING_TRIES 100
/* What tells of a task's failure may use so many bytes more than the limit. */
#define CAST_FAILURE_ROOM 65536u

/* -- deadlines, cancellation and preemption ------------------------------- */

/* A shield, and a __close handler, may go on for so long after its time. */
#define CAST_GRACE_NS 1000000000u
/* A task that computes may go on for so long after its time, ... */
#define CAST_STOP_NS 10000000u
/* ... its clean-up for so long after that, before it is forced to stop, ... */
#define CAST_FORCE_NS 100000000u
/* ... and it is looked at so often. */
#define CAST_WATCHDOG_NS 50000000u
/* 5.4: a task of a sandbox that must stop, and does not look up, gets no more
   blocks of so many bytes. */
#define CAST_OVERDUE_BYTES 262144u
/* A preempt signal that was not served is sent again, but not sooner than so
   long after the last time. */
#define CAST_AGAIN_NS CAST_LIMIT(10000000u, 1000000u)
/* A session of a sandbox that computes is looked at so often, as others may use
   the same budget meanwhile. */
#define CAST_CPU_LOOK_NS 20000000u
/* Instructions of a host's task between two looks for signals. */
#define CAST_WATCH_COUNT 10000
/* Bytes of the reason of a cancellation that comes from a link. */
#define CAST_REASON_MAX 240

/* -- reports and the log -------------------------------------------------- */

/* Tasks that a report describes, unless the caller says otherwise. */
#define CAST_REPORT_TASKS 100
/* A task dump does not wait longer for the parts of all sessions. */
#define CAST_REPORT_NS 1000000000u
/* Failures that wait for being written; those beyond are only counted. */
#define CAST_PRINTS_MAX 1000u
/* A line of the log is dropped if it could not be written for so long. */
#define CAST_SAY_NS 1000000000u
/* Longer lines of the log, with their end, are written in two pieces. */
#define CAST_LINE_MAX CAST_LIMIT(4096u, 64u)
/* Bytes of the stacks in a traceback. */
#define CAST_TRACE_SIZE 8192u
/* Bytes of a text that somebody has given, in an error that refuses it. */
#define CAST_QUOTE_MAX 60u
/* Bytes of the text of a sandbox's error, and of the name of a session that a
   sandbox makes. */
#define CAST_TAME_TEXT 4096u
#define CAST_TAME_NAME 100u
/* Of a sandbox and all that it makes, so many failures are reported at once,
   and after that one in so long. */
#define CAST_TAME_REPORTS 100u
#define CAST_TAME_NS 100000000u
/* A failure is reported if no task has received it for so long. */
#define CAST_FAILURE_WAIT_NS 1000000000u
/* The least time for the last reports, when others have taken all the time. */
#define CAST_FLUSH_NS 500000000u

/* -- the end -------------------------------------------------------------- */

/* The time that everything of a host has to unwind as it ends; and, before,
   the time of finalizers that wait. */
#define CAST_END_NS 2000000000u
#define CAST_LAST_NS 1000000000u
/* exit waits so long for errands that are left. */
#define CAST_EXIT_NS 1000000000u
/* When the errands' thread could not be started: until the next attempt. */
#define CAST_ERRAND_RETRY_NS CAST_LIMIT(100000000u, 1000000u)
/* Levels of a stack that are searched for the finalizer that waits. */
#define CAST_LAST_LEVELS 256

/* -- switches ------------------------------------------------------------- */

/* 1: Lua's tables are looked into where that is known to work (peek.h). */
#define CAST_PEEK CAST_LIMIT(1, 0)

/* -- calls that block ----------------------------------------------------- */

/* Threads that look up names: slow ones are waited for side by side. */
#define CAST_NAMES_HELPERS 16u
/* The same for questions about hosts and services, which few programs ask. */
#define CAST_HOSTS_HELPERS 4u
/* Bytes that LuaSocket's receive copies to the stack before it makes a string
   of them. */
#define CAST_SOCK_SHORT 2048u
/* Sockets in one call of LuaSocket's select, which tells the number. */
#define CAST_SOCK_SETSIZE (1 << 20)
/* Threads that look for paths which are to be watched, and bytes of all names
   in such a directory. */
#define CAST_WATCH_HELPERS 4u
#define CAST_WATCH_NAMES_MOST (256u << 20)
/* Bytes of a path that reports name a watch with. */
#define CAST_WATCH_TITLE 128u
/* Threads that read and write streams which are files, as a standard stream may
   be. */
#define CAST_STREAM_HELPERS 8u
/* Threads that wait for programs to end, where the system has no descriptors of
   processes. */
#define CAST_VIGILS CAST_LIMIT(1024u, 4u)
/* Programs that outlived a runtime, looked at in one go. */
#define CAST_ORPHANS_SEEN 8u
/* Bytes of the text that reports have for a program, with the zero. */
#define CAST_COMMAND_SIZE 64u
/* A thread for such calls ends when it has had none for so long. */
#define CAST_OFFLOAD_IDLE_NS CAST_LIMIT(3000000000u, 2000000u)
/* The last host waits so long for calls that nobody waits for any more; those
   that take longer are left alone. */
#define CAST_OFFLOAD_STOP_NS 20000000u
/* Bytes of a name that is looked up: what DNS allows. */
#define CAST_NAME_MOST 253u
/* Bytes of all addresses of a name as texts; what has no room is left out. 80
   addresses have room, however long they are. */
#define CAST_ADDRESSES_SIZE 5120u
/* Lists of names that are being looked up: one is searched for each call. */
#define CAST_NAMES_LISTS CAST_LIMIT(64u, 1u)

/* -- files ---------------------------------------------------------------- */

/* Threads that read and write files: those that a slow disk keeps waiting do
   not stand in the way of the others. */
#define CAST_FILES_HELPERS 32u
/* Lists of the paths that operations are about: one is searched for each. */
#define CAST_PATHS_LISTS CAST_LIMIT(64u, 1u)
/* A helper that waits for a device looks so often whether anybody waits for
   what it reads. */
#define CAST_DEVICE_MS CAST_LIMIT(100u, 1u)
/* Bytes that one call of the system brings of a file that is read by lines. */
#define CAST_WINDOW_SIZE CAST_LIMIT(65536u, 16u)
/* A file of so many bytes is read at once, if it lies in memory. */
#define CAST_INLINE_MOST CAST_LIMIT(262144u, 100u)
/* Bytes that are read or written before it is looked whether anybody waits for
   the rest. */
#define CAST_FILE_STEP CAST_LIMIT(1u << 20, 64u)
/* Names that a temporary file may find taken before it gives up. */
#define CAST_TEMP_TRIES 100
/* Symbolic links that lead to the file which an atomic write replaces. */
#define CAST_LINKS_MOST 40
/* Bytes of a path as reports show it. */
#define CAST_PATH_SHOWN 80u

/* -- descriptors ---------------------------------------------------------- */

/* Events that one look takes from the system. */
#define CAST_POLLER_BATCH CAST_LIMIT(128u, 2u)
/* Descriptors in one piece of their table, and pieces: so there can be a
   million, with numbers below that. */
#define CAST_DESCRIPTOR_PAGE CAST_LIMIT(256u, 4u)
#define CAST_DESCRIPTOR_PAGES CAST_LIMIT(4096u, 16384u)
/* Bytes that one call of the system reads, and of the memory for that which
   each runner keeps. */
#define CAST_READ_MOST 65536u
/* Pieces that are shorter are joined, up to so many bytes, before a layer gets
   them. */
#define CAST_LAYER_JOIN 4096u
/* Bytes of a call that stay together in a pipe which several processes write:
   PIPE_BUF of Linux. */
#define CAST_WHOLE_MOST 4096u
/* Bytes that a copy reads at once while all of them go; CAST_READ_MOST times a
   power of two. */
#define CAST_COPY_MOST CAST_LIMIT(1u << 20, 1u << 17)
/* A session that may not have three times as many bytes more reads nothing. */
#define CAST_READ_LEAST 1024u
/* Bytes that a program may ask for at once. */
#define CAST_COUNT_MOST (1u << 31)
/* Of an open file that may block and is no pipe, so many bytes are written at
   once: a terminal that poll(2) says has room takes them soon. */
#define CAST_SHARED_MOST 512u
/* Bytes of a file that a helper writes at once. */
#define CAST_FILE_MOST CAST_LIMIT(1u << 20, 1000u)
/* Bytes of a line, and of all to the end, if the program does not say. */
#define CAST_LINE_MOST (1u << 20)
#define CAST_ALL_MOST (64u << 20)
/* Strings in a list that is written, and how deep the lists in it may lie. */
#define CAST_PIECES_MOST 1000000
#define CAST_PIECES_DEPTH 100
/* Calls in a row of one task that need not wait before others have their
   turn. */
#define CAST_CALLS_MOST CAST_LIMIT(32u, 2u)
/* Bytes that one call reads, writes or copies before other tasks have their
   turn. */
#define CAST_TURN_MOST CAST_LIMIT(1u << 20, 1000u)
/* The same for reads of files in pieces, which are cheap only where memory is:
   the first use of a page may cost 20 us, in the string and in the system. */
#define CAST_FILE_TURN_MOST CAST_LIMIT(1u << 18, 1000u)
/* Connections in a row that had failed before they were accepted: after so many
   accepting pauses, should each further one fail as well. */
#define CAST_ACCEPT_FAILED CAST_LIMIT(100, 2)
/* Without a descriptor left, accepting pauses so long; each further time twice
   as long, up to the maximum. */
#define CAST_ACCEPT_NS 5000000u
#define CAST_ACCEPT_MOST_NS 1000000000u
/* Bytes that a datagram can have: more than those of UDP do. A block that
   big.h keeps. */
#define CAST_DATAGRAM_MOST CAST_BIG_MIN
/* Where the system does not tell when there is room for a datagram, the next
   attempt comes so much later; each further time twice that, up to the
   maximum. */
#define CAST_RESEND_NS 1000000u
#define CAST_RESEND_MOST_NS 64000000u

#endif
