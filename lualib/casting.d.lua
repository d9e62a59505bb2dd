-- casting.d.lua - types of casting for the Lua language server (LuaCATS).
-- SPDX-License-Identifier: MIT
--
-- This file is for editors and is never required: the functions here do
-- nothing. The manual, docs/manual/, describes them in full.
---@meta casting

---Lua functions in parallel: sessions, tasks, channels.
---@class casting
---@field _VERSION string version of the library, such as "0.1.0"
---@field net casting.net sockets; the same as require "casting.net"
---@field process casting.process programs; the same as require "casting.process"
---@field fs casting.fs files; the same as require "casting.fs"
---@field socket casting.socket for libraries that use LuaSocket; the same as require "casting.socket"
---@field stdin casting.stream the standard input; waits as all streams do
---@field stdout casting.stream the standard output, not buffered
---@field stderr casting.stream the standard error output
---@field cancelled table metatable of cancellation errors; use is_cancelled
local casting = {}

-- ---------------------------------------------------------------- channels --

---A queue of messages between tasks, in whatever sessions they are. A message
---is one or more values, the first of them not nil.
---@class casting.channel
---@operator len: integer
---@operator call: any
local channel = {}

---Sends a message; waits until a receiver or a free place takes it. The
---values are copied at once.
---@param v any not nil
---@param ... any
---@return true? sent
---@return "closed"? word
function channel:send(v, ...) end

---Takes the oldest message; waits until there is one.
---@param timeout? number seconds; 0 does not wait
---@return any v the values; or nil and "closed" or "timeout"
---@return any ...
function channel:receive(timeout) end

---As send, but does not wait.
---@param v any not nil
---@param ... any
---@return true? sent
---@return "full"|"closed"? word
function channel:try_send(v, ...) end

---As receive, but does not wait.
---@return any v the values; or nil and "empty" or "closed"
---@return any ...
function channel:try_receive() end

---Sends each item of the list as a message of its own, in order, in one
---crossing; waits until all have gone. If it is cut, `sent` says how many have.
---@param list any[] a packed message stands for its values
---@param timeout? number seconds; 0 does not wait
---@return true? ok
---@return "closed"|"timeout"? word
---@return integer? sent
function channel:send_all(list, timeout) end

---Takes all messages that are there, up to `max`; waits for the first one.
---@param max number a positive integer, or math.huge; at most 1024 come at once
---@param timeout? number seconds; 0 does not wait
---@return any[]? list one item for each message
---@return "closed"|"timeout"? word
function channel:receive_many(max, timeout) end

---An iterator for `for batch in channel:batches(max)`: list after list, as
---receive_many takes them, until the channel is closed and empty.
---@param max number a positive integer, or math.huge
---@return fun(): any[]?
function channel:batches(max) end

---Closes it: nothing can be sent any more; what is in it can still be received.
---@return boolean first whether this call closed it
function channel:close() end

---Whether it is closed, even if messages are left in it.
---@return boolean
function channel:closed() end

---How many messages it has room for: an integer or math.huge.
---@return number
function channel:capacity() end

---How many messages lie in it now; the same as #channel.
---@return integer
function channel:len() end

---Makes a channel.
---@param capacity? number 0 (default): unbuffered; n: buffered; math.huge: unbounded
---@return casting.channel
function casting.channel(capacity) end

---The channel of that name in this process, made on first use.
---@param name string
---@param capacity? number an error if the channel exists with another one
---@return casting.channel
function casting.named(name, capacity) end

---A channel that receives casting.now() once, and is closed then.
---@param seconds number
---@return casting.channel
function casting.after(seconds) end

---A channel that receives casting.now() again and again.
---@param seconds number the period; 0.0001 at least
---@return casting.channel
function casting.every(seconds) end

---A channel (receive), {channel, v, ...} (send), or false (never ready); a socket
---(there is something to read or to accept), {net.wait, fd, mode}.
---@alias casting.case casting.channel|casting.stream|casting.udp|casting.listener|any[]|false

---@class casting.cases
---@field timeout? number seconds; 0 does not wait
---@field [integer] casting.case

---Waits for several channels; exactly one operation happens.
---@param cases casting.cases
---@return integer? index of the case that happened
---@return any ... what the operation returns; "timeout" if none happened
function casting.select(cases) end

-- -------------------------------------------------------------- broadcasts --

---One message for all who have subscribed.
---@class casting.broadcast
local broadcast = {}

---@class casting.broadcast.options
---@field capacity? number an integer from 1 on, or math.huge; 16 by default
---@field slow? "oldest"|"newest"|"close" what becomes of a message without room

---A channel that receives what is published from now on.
---@param options? casting.broadcast.options
---@return casting.channel? channel
---@return "closed"? word
function broadcast:subscribe(options) end

---Sends a message to all who have subscribed; does not wait.
---@param v any not nil
---@param ... any
---@return integer? got how many have got it; nil and "closed"
---@return integer|"closed" missed how many were too slow
function broadcast:publish(v, ...) end

---How many have subscribed and have not left.
---@return integer
function broadcast:count() end

---Closes the channels of all who have subscribed.
---@return boolean first whether this call closed it
function broadcast:close() end

---Makes a broadcast.
---@return casting.broadcast
function casting.broadcast() end

-- -------------------------------------------------------------- semaphores --

---So many places for tasks of all sessions. First come, first served.
---@class casting.semaphore
local semaphore = {}

---One or more places of a semaphore that a task holds, until it is released or
---the task ends.
---@class casting.permit
local permit = {}

---Takes places; waits until they are free and all who came before are served.
---@param n? integer 1 by default
---@param timeout? number seconds; 0 does not wait
---@return casting.permit? permit
---@return "timeout"|"closed"? word
function semaphore:acquire(n, timeout) end

---As acquire, but does not wait.
---@param n? integer 1 by default
---@return casting.permit? permit
---@return "full"|"closed"? word
function semaphore:try_acquire(n) end

---Calls f(...) while it holds a place; nil and "closed" if it is closed.
---@param f function
---@param ... any
---@return any ... the results of f
function semaphore:with(f, ...) end

---How many places are free.
---@return integer
function semaphore:available() end

---How many places it has.
---@return integer
function semaphore:size() end

---Nobody gets a permit any more; those that are held stay so.
---@return boolean first whether this call closed it
function semaphore:close() end

---Whether it is closed.
---@return boolean
function semaphore:closed() end

---Gives the places back.
---@return boolean was whether it was held until now
function permit:release() end

---Whether it was not released yet, and its task has not ended.
---@return boolean
function permit:held() end

---From now on it belongs to that task.
---@param task casting.task
---@return boolean given false if it was not held
function permit:give(task) end

---Items that go through functions; nothing happens before each, collect, fold
---or into runs it.
---@class casting.pipeline
local pipeline = {}

---@class casting.stream.options
---@field sessions? integer|casting.session[] 0: tasks of this session do it
---@field tasks? integer in each session; 1 by default
---@field ordered? boolean results in the order of the items: true by default
---@field window? integer how many items may be on their way
---@field batch? integer how many items travel together
---@field progress? fun(done: integer, number: integer?, ...: any)

---Calls f for each item, in several sessions; nil leaves the item out.
---@param f fun(item: any, number: integer, report: fun(...: any)): any
---@param options? casting.stream.options
---@return casting.pipeline
function pipeline:map(f, options) end

---Keeps the items for which f returns something true.
---@param f fun(item: any, number: integer): any
---@return casting.pipeline
function pipeline:filter(f) end

---Makes lists of n items each.
---@param n integer
---@return casting.pipeline
function pipeline:batch(n) end

---Ends after n items.
---@param n integer
---@return casting.pipeline
function pipeline:take(n) end

---Runs it: calls f for each item that comes out.
---@param f fun(item: any, number: integer)
---@return integer count
function pipeline:each(f) end

---Runs it.
---@return any[] list
function pipeline:collect() end

---Runs it: value becomes f(value, item, number) for each item.
---@param f fun(value: any, item: any, number: integer): any
---@param value any
---@return any value
function pipeline:fold(f, value) end

---Runs it: sends each item to a channel, which is not closed.
---@param channel casting.channel
---@return integer sent
function pipeline:into(channel) end

---Makes a pipeline.
---@param source any[]|casting.channel|fun(state: any, control: any): any
---@param state? any of an iterator
---@param control? any of an iterator
---@param closing? any its method close is called at the end
---@return casting.pipeline
function casting.stream(source, state, control, closing) end

---Things that are costly to make, lent to one task at a time.
---@class casting.pool
local pool = {}

---What a task has of a pool.
---@class casting.lease
---@field item any what make has returned
local lease = {}

---Takes an item; waits until there are fewer than `size` in use.
---@param timeout? number seconds
---@return casting.lease? lease
---@return any ... "timeout", "closed", or what make has returned beside nil
function pool:take(timeout) end

---Calls f(item, ...); closes the item if f fails.
---@param f fun(item: any, ...: any): any ...
---@param ... any
---@return any ...
function pool:with(f, ...) end

---@return {size: integer, used: integer, idle: integer}
function pool:stats() end

---Closes what is kept, and what is lent when it is given back.
---@return boolean first
function pool:close() end

---Gives the item back.
---@return boolean was false if the lease was over
function lease:release() end

---Ends the lease and closes the item.
---@return boolean was false if the lease was over
function lease:discard() end

---Calls f(...) for the first caller of that key in the process; all others get
---copies of its results. If it fails, the next caller calls its own.
---@param key string
---@param f function
---@param ... any
---@return any ...
function casting.once(key, f, ...) end

---@class casting.pool.options
---@field make fun(): any ... an item; or nil and why there is none
---@field size integer
---@field check? fun(item: any): boolean? whether an item can be lent again
---@field close? fun(item: any) its method close by default
---@field idle? number seconds after which an item is not used again

---Makes a pool.
---@param options casting.pool.options
---@return casting.pool
function casting.pool(options) end

---@class casting.retry.options
---@field times? number tries in all: an integer, or math.huge; 3 by default
---@field backoff? number seconds of the first pause; 0.1 by default
---@field factor? number how much longer each pause is; 2 by default
---@field limit? number seconds that a pause lasts at most; 30 by default
---@field jitter? number the part of a pause that is left to chance; 0.5 by default
---@field when? fun(e: any, try: integer): boolean? whether to try again

---Makes a function retry(f, ...), which calls f until it does not fail.
---@param options? casting.retry.options
---@return fun(f: function, ...: any): any ...
function casting.retry(options) end

---So many tokens a second for tasks of all sessions. First come, first served.
---@class casting.limiter
local limiter = {}

---Takes tokens; waits until they are there and all who came before have theirs.
---@param n? integer 1 by default
---@param timeout? number seconds; 0 does not wait
---@return true? taken
---@return "timeout"? word
function limiter:take(n, timeout) end

---As take, but does not wait.
---@param n? integer 1 by default
---@return true? taken
---@return "empty"? word
function limiter:try_take(n) end

---How many tokens could be taken at once.
---@return integer
function limiter:available() end

---@class casting.limiter.options
---@field rate number tokens per second
---@field burst? integer the most tokens there can be; 1 by default

---Makes a limiter, full at first.
---@param options casting.limiter.options
---@return casting.limiter
function casting.limiter(options) end

---Makes a semaphore with n places.
---@param n integer
---@return casting.semaphore
function casting.semaphore(n) end

-- ---------------------------------------------------------------- messages --

---Values that were encoded once, and can be sent any number of times.
---@class casting.message
---@operator len: integer
local message = {}

---Decodes the values: each call makes them anew.
---@return any v
---@return any ...
function message:unpack() end

---Encodes values into a message, which can be sent in their place.
---@param v any not nil
---@param ... any
---@return casting.message
function casting.pack(v, ...) end

---Whether a value could be sent; if not, why.
---@param v any
---@return true? can
---@return string? reason
function casting.transferable(v) end

-- ------------------------------------------------------------------- tasks --

---A function that runs in a session.
---@class casting.task
local task = {}

---Waits for its end: true and its results, or false and the error.
---@param timeout? number seconds
---@return boolean? ok nil if the time has passed
---@return any ... results, error, or "timeout"
function task:join(timeout) end

---Waits for its end: its results. Raises the task's error.
---@param timeout? number seconds
---@return any ... results, or nil and "timeout"
function task:await(timeout) end

---@alias casting.status
---| "ready" # will run when its session comes to it
---| "running" # runs now
---| "waiting" # is in a blocking call
---| "done" # has returned
---| "failed" # was ended by an error
---| "cancelled" # was ended by a cancellation

---What the task is doing now.
---@return casting.status
function task:status() end

---Error and stack of a failed task, or the stack of one that has not ended.
---@return string?
function task:traceback() end

---Asks it to end: its blocking calls raise an error from now on.
---@param reason? string
---@return boolean asked false if it had ended
function task:cancel(reason) end

---Returns a channel that receives one message when the task has ended: what
---join would return. A channel that is given receives the task before that;
---not if a sandbox has given it, and the session that did so has closed.
---@param channel? casting.channel an unbounded one, perhaps for many tasks
---@return casting.channel
function task:monitor(channel) end

---If one of the two fails or is cancelled, the other is cancelled.
---@param other? casting.task the calling task by default
---@return true? linked
---@return "noproc"? word one of them had ended: the link acts at once
function task:link(other) end

---Undoes link.
---@param other? casting.task the calling task by default
---@return boolean linked whether they were
function task:unlink(other) end

---The session in which it runs.
---@return casting.session
function task:session() end

---A name for messages, such as "task 12".
---@return string
function task:name() end

---Makes a task in the calling session. Nothing is copied.
---@param f function
---@param ... any arguments
---@return casting.task
function casting.spawn(f, ...) end

---The calling task, or nil in the main program.
---@return casting.task?
function casting.self() end

---Lets the other tasks of the session that are ready run first.
function casting.yield() end

---Waits that long.
---@param seconds number
function casting.sleep(seconds) end

---Seconds on a clock that never goes back.
---@return number
function casting.now() end

---Whether this is the error that a cancelled task meets.
---@param v any
---@return boolean
function casting.is_cancelled(v) end

-- ---------------------------------------------------------------- sessions --

---A Lua state of its own, run by the thread pool.
---@class casting.session
local session = {}

---Makes a task in it. Function and arguments are copied there.
---@param f function|string function or Lua source text
---@param ... any arguments
---@return casting.task
function session:spawn(f, ...) end

---Waits until it has no unfinished task. Raises an error once close was called.
---@param timeout? number seconds
---@return true? empty
---@return "timeout"? word
function session:wait(timeout) end

---Cancels its tasks, waits until they have ended, closes its Lua state. A
---sandbox closes with all sessions that it has made.
---@param timeout? number seconds
---@return true? closed
---@return "timeout"? word
function session:close(timeout) end

---Cancels the tasks that it has; it stays open.
---@param reason? string
---@return true
function session:cancel(reason) end

---Its name.
---@return string
function session:name() end

---What a session uses, and its limits.
---@class casting.session.stats
---@field name string
---@field tasks integer unfinished ones
---@field started integer all tasks that it ever had
---@field tasks_max? integer
---@field memory? integer bytes in use by its Lua state
---@field memory_max? integer
---@field cpu? number seconds used
---@field cpu_max? number
---@field thread? "own" it has a thread of its own

---Figures about the session.
---@return casting.session.stats
function session:stats() end

---Its unfinished tasks.
---@return casting.task[]
function session:tasks() end

---@class casting.session.options
---@field name? string for messages
---@field libs? "all"|string[] standard libraries that it has; of a sandbox also "casting.net", "casting.process" and "casting.fs"
---@field memory? integer bytes that its Lua state and its streams may use
---@field cpu? number seconds of processor time that it may use
---@field tasks? integer unfinished tasks that it may have
---@field thread? "own" an OS thread of its own, for modules bound to one
---@field jit? boolean false: LuaJIT compiles nothing in it; true: in spite of its limits
---@field sandbox? boolean it is not trusted: what leaves it is data, and it acts on what it has made
---@field modules? string[] (sandbox) names of the modules that it may require
---@field init? function called in it first; crosses like any function

---Makes a session.
---@param options? casting.session.options
---@return casting.session
function casting.session(options) end

-- ---------------------------------------------- tasks that belong together --

---What a scope, all, race or map raises.
---@class casting.failure
---@field error any the error of the task that failed first, as it was raised
---@field traceback string its error and stack, whose they are, and where the call was
---@field task? casting.task
---@field index? integer (map) the number of the item
---@field others? casting.failure[] what failed after it
---@field cancelled? table the cancellation that was under way

---@class casting.scope
local scope = {}

---Makes a task in the calling session that belongs to the scope.
---@param f function
---@param ... any arguments
---@return casting.task
function scope:spawn(f, ...) end

---The same in another session.
---@param session casting.session
---@param f function|string
---@param ... any arguments
---@return casting.task
function scope:spawn_in(session, f, ...) end

---Cancels the tasks that were spawned in it; its body goes on.
---@param reason? string
---@return boolean asked false if that was done, or it has ended
function scope:cancel(reason) end

---@class casting.scope.options
---@field fail_fast? boolean false: a failure does not cancel the others

---Calls f with a scope; returns when every task that was spawned in the scope
---has ended. The first failure cancels the others and is raised.
---@param f fun(scope: casting.scope): any
---@param options? casting.scope.options
---@return any ... what f returns
function casting.scope(f, options) end

---Waits for all; the first failure cancels the others and is raised.
---@param list (casting.task|function)[]
---@return any ... the first result of each
function casting.all(list) end

---Waits for the first; the others are cancelled.
---@param list (casting.task|function)[]
---@return integer index
---@return any ... its results
function casting.race(list) end

---@class casting.map.options
---@field sessions? integer|casting.session[] how many, or which
---@field window? integer items or batches on their way at most
---@field batch? integer items that travel together at most
---@field progress? fun(done: integer, total: integer?)

---Calls f for each item, in several sessions at once.
---@param source any[]|casting.channel|fun(): any list, channel or iterator
---@param f fun(item: any, index: integer): any
---@param options? casting.map.options
---@return any[] results in the order of the items; n is their number
function casting.map(source, f, options) end

-- ------------------------------------------------------------- supervisors --

---@class casting.supervisor.child
---@field id string|number
---@field start? function|string what the child runs
---@field supervisor? casting.supervisor.options instead of start: a supervisor
---@field service? casting.service instead of start: made with child = true
---@field args? any[] for start
---@field restart? "permanent"|"transient"|"temporary"
---@field shutdown? number seconds to end when it is stopped; 5
---@field session? casting.session.options
---@field significant? boolean

---@class casting.supervisor.options
---@field strategy? "one_for_one"|"one_for_all"|"rest_for_one"
---@field intensity? number restarts in a period at most; 1
---@field period? number seconds; 5
---@field children? casting.supervisor.child[]
---@field auto_shutdown? "never"|"any_significant"|"all_significant"
---@field name? string of its session
---@field events? casting.channel receives a message about each event
---@field detached? boolean it does not stop when its maker ends

---@class casting.supervisor
---@field task casting.task
local supervisor = {}

---@class casting.supervisor.state
---@field id string|number
---@field status "running"|"restarting"|"stopped"
---@field task? casting.task
---@field restart "permanent"|"transient"|"temporary"
---@field type "worker"|"supervisor"
---@field supervisor? casting.supervisor

---Its children in the order of their start.
---@return casting.supervisor.state[]?
---@return "noproc"? word it has ended
function supervisor:which_children() end

---How many it has.
---@return {specs: integer, active: integer, supervisors: integer, workers: integer}?
---@return "noproc"? word it has ended
function supervisor:count_children() end

---Adds a child and starts it.
---@param child casting.supervisor.child
---@return casting.task?
---@return string? word
---@return string? reason
function supervisor:start_child(child) end

---Stops a child.
---@param id string|number
---@return true?
---@return string? word
function supervisor:terminate_child(id) end

---Starts a child that is stopped.
---@param id string|number
---@return casting.task?
---@return string? word
---@return string? reason
function supervisor:restart_child(id) end

---Forgets a child that is stopped.
---@param id string|number
---@return true?
---@return string? word
function supervisor:delete_child(id) end

---Stops the children, the last first, and ends it.
---@param timeout? number seconds
---@return boolean?
---@return any error or "timeout"
function supervisor:stop(timeout) end

---Waits until it has ended.
---@param timeout? number seconds
---@return boolean?
---@return any error or "timeout"
function supervisor:wait(timeout) end

---Makes a supervisor and starts its children.
---@param options casting.supervisor.options
---@return casting.supervisor
function casting.supervisor(options) end

-- ---------------------------------------------------------------- services --

---@class casting.service.options
---@field args? any[] for a constructor
---@field timeout? number seconds that a call waits at most
---@field concurrent? integer calls at the same time; 1
---@field cancel? boolean a method is cancelled when its caller has left
---@field capacity? number casts that may wait; 1000
---@field session? casting.session.options|casting.session
---@field name? string
---@field child? boolean a supervisor starts it

---@class casting.service
---@field [string] fun(...: any): ... calls a method: its results alone
local service = {}

---Calls a method, and waits for its results.
---@param name string
---@param ... any
---@return true? ok
---@return any ... results, or "timeout" or "gone"
function service:call(name, ...) end

---Has a method called, and waits for nothing.
---@param name string
---@param ... any
---@return true? ok
---@return "full"|"gone"? word
function service:cast(name, ...) end

---The same service with another timeout.
---@param seconds number
---@return casting.service
function service:within(seconds) end

---Serves the calls that wait, and ends the service.
---@param seconds? number how long that may take; 5
---@return boolean? ok
---@return any error or "timeout" or "gone"
function service:stop(seconds) end

---A channel that receives a message when it has ended.
---@param channel? casting.channel
---@return casting.channel?
---@return "gone"? word it was never started
function service:monitor(channel) end

---@return string?
function service:name() end

---Makes a service, and starts it in a session.
---@param spec table|function|string object, constructor, or name of a module
---@param options? casting.service.options
---@return casting.service
function casting.service(spec, options) end

---The service of that name.
---@param name string
---@return casting.service?
function casting.named_service(name) end

-- -------------------------------------------------------------- the others --

---Sets and returns the limits of the thread pool. Between them it adds threads
---(for idle processors, and for threads stuck in C) and ends idle ones.
---@param min? integer 1 to 1024; at first 1
---@param max? integer at first 256
---@return integer min
---@return integer max
function casting.threads(min, max) end

---Runs f(...) in a task of the calling session, and returns its results or
---raises its error. Without f: waits until the main session has no task left.
---@param f? fun(...): ...
---@param ... any
---@return any ...
function casting.run(f, ...) end

---Main program: runs the tasks that are ready, each once; if there is none,
---waits for one that long.
---@param timeout? number seconds, 0 if not given
---@return boolean ran
function casting.poll(timeout) end

---Main program: a descriptor that is readable when there is something to poll.
---@return integer? fd
function casting.fd() end

---Calls f(...), which may block in a C function, and lets another thread run
---the other sessions meanwhile. (The pool notices by itself, a little later.)
---@generic T
---@param f fun(...): T...
---@param ... any
---@return T...
function casting.blocking(f, ...) end

---As require, but one session at a time loads: for C modules that cannot be
---loaded by two threads at once.
---@param name string
---@return any ... what require returns
function casting.require(name) end

---A failure that nobody has joined, as casting.on_error sends it.
---@class casting.report
---@field task? casting.task
---@field session casting.session
---@field error string
---@field traceback string

---Calls f; when the time has passed, its blocking calls end.
---@param seconds number
---@param f function
---@param ... any arguments
---@return true? ended
---@return any ... results, or "timeout"
function casting.with_timeout(seconds, f, ...) end

---Calls f; a cancellation reaches its blocking calls a second late.
---@param f function
---@param ... any arguments
---@return any ... results
function casting.shield(f, ...) end

---Sends failures that nobody joins to a channel, as tables with the fields
---task (nil if nobody has a handle of it), session, error (the value itself, or
---a text if it cannot be sent) and traceback. nil: prints them on stderr again.
---@param channel casting.channel?
function casting.on_error(channel) end

---A dump of all tasks: what each waits for, since when, and its stack.
---@param limit? integer tasks to be described at most; default 100
---@return string
function casting.report(limit) end

-- ----------------------------------------------------------------- sockets --

---The table that require "casting.net" returns.
---@class casting.net
local net = {}
casting.net = net

---A connection, or a pipe: bytes in order, in both directions.
---@class casting.stream
local stream = {}

---A socket that accepts connections; shared by all sessions.
---@class casting.listener
---@operator call: casting.stream?
local listener = {}

---A socket for datagrams.
---@class casting.udp
local udp = {}

---@class casting.net.connect.options
---@field timeout? number seconds, for all of it
---@field family? "inet"|"inet6"
---@field bind? string the numeric address to connect from
---@field nodelay? boolean true
---@field keepalive? integer|false seconds; 15
---@field happy? number seconds until the next address is tried; 0.25
---@field tls? true|casting.tls.options|casting.tls.context

---Makes a connection. For "unix:PATH" the options may be the second argument.
---@param host string a name, a numeric address, "unix:PATH"
---@param port? integer|casting.net.connect.options
---@param options? casting.net.connect.options
---@return casting.stream?
---@return string? why
function net.connect(host, port, options) end

---@class casting.net.listen.options
---@field backlog? integer connections that may wait
---@field reuseport? boolean other processes may listen there, too
---@field family? "inet"|"inet6"
---@field mode? string|integer permissions of a Unix socket: "660"
---@field unlink? boolean close removes the path of a Unix socket; true
---@field nodelay? boolean of its connections; true
---@field keepalive? integer|boolean of its connections: seconds; 15
---@field tls? casting.tls.options|casting.tls.context

---Makes a listener.
---@param host string "*", a name, a numeric address, "unix:PATH"
---@param port? integer|casting.net.listen.options 0: one that is free
---@param options? casting.net.listen.options
---@return casting.listener?
---@return string? why
function net.listen(host, port, options) end

---Two streams that are connected to each other.
---@return casting.stream?
---@return casting.stream|string
function net.pair() end

---@class casting.net.resolve.options
---@field family? "inet"|"inet6"
---@field timeout? number seconds

---The addresses of a name.
---@param name string
---@param options? casting.net.resolve.options
---@return string[]?
---@return string? why
function net.resolve(name, options) end

---@class casting.net.udp.options
---@field family? "inet"|"inet6"
---@field broadcast? boolean
---@field reuseaddr? boolean
---@field reuseport? boolean
---@field v6only? boolean
---@field ttl? integer
---@field multicast_ttl? integer
---@field multicast_loop? boolean
---@field multicast_device? string
---@field sendbuffer? integer
---@field recvbuffer? integer

---Makes a socket for datagrams.
---@param host? string|casting.net.udp.options
---@param port? integer|casting.net.udp.options
---@param options? casting.net.udp.options
---@return casting.udp?
---@return string? why
function net.udp(host, port, options) end

---Waits until a descriptor of somebody else is ready.
---@param fd integer
---@param mode "r"|"w"
---@param timeout? number seconds; 0 does not wait
---@return true?
---@return string? why
function net.wait(fd, mode, timeout) end

---Makes a socket of a descriptor from elsewhere, and owns it.
---@param fd integer
---@return casting.stream|casting.listener|casting.udp|nil
---@return string? why
function net.from_fd(fd) end

---@class casting.read.options
---@field timeout? number seconds
---@field max? integer bytes

---Reads what is there; n bytes; a line; or all.
---@param what? integer|"l"|"L"|"a"
---@param timeout? number|casting.read.options
---@return string?
---@return string? why
---@return string? rest what came before the end
function stream:read(what, timeout) end

---Reads up to a mark, and takes that, too.
---@param mark string
---@param max? integer|casting.read.options bytes; 1 MiB
---@param timeout? number seconds
---@return string?
---@return string? why
---@return string? rest
function stream:read_until(mark, max, timeout) end

---Waits for n bytes, which stay.
---@param n integer
---@param timeout? number|casting.read.options
---@return string?
---@return string? why
---@return string? rest
function stream:peek(n, timeout) end

---Line after line, for `for`.
---@param what? "l"|"L"
---@param how? number|casting.read.options seconds for each line, or a table
---@return fun(): string?
function stream:lines(what, how) end

---@class casting.tls.identity
---@field cert? string PEM, or a path
---@field key? string PEM, or a path; without it: in `cert`
---@field password? string of the key

---@class casting.tls.settings: casting.tls.identity
---@field server? boolean the side that is connected to
---@field ca? string whom to trust: PEM, or a path
---@field verify? boolean|"optional"
---@field alpn? string[] protocols, the best one first
---@field hosts? table<string, casting.tls.identity> of a server, by name
---@field min? "1.2"|"1.3"
---@field max? "1.2"|"1.3"
---@field ciphers? string as OpenSSL lists them
---@field buffers? boolean idle connections keep their buffers

---@class casting.tls.options: casting.tls.settings
---@field name? string of the other side
---@field timeout? number seconds for the handshake; 10
---@field context? casting.tls.context

---What many connections have in common.
---@class casting.tls.context
local tls_context = {}

---Replaces its options.
---@param options casting.tls.settings
---@return true?
---@return string? why
function tls_context:reload(options) end

---The module casting.tls, which is installed by itself.
---@class casting.tls
---@field version string OpenSSL's
local tls = {}

---@param options casting.tls.settings
---@return casting.tls.context?
---@return string? why
function tls.context(options) end

---@class casting.tls.certificate
---@field subject string
---@field issuer string
---@field names string[]
---@field not_before number as of os.time
---@field not_after number
---@field sha256 string hexadecimal
---@field pem string

---@class casting.tls.info
---@field version string
---@field cipher string
---@field alpn? string
---@field name? string which the client has asked for
---@field server boolean
---@field resumed boolean
---@field verified boolean
---@field peer? casting.tls.certificate

---A request, as the handler of http.serve gets it: to be used until that returns.
---@class casting.http.request
---@field method string
---@field target string as it came; perhaps a whole URL, or "*"
---@field path string decoded
---@field text string|false what stands behind the "?" of the target
---@field query table<string, string> the same, decoded
---@field headers table<string, string> names in lower case
---@field authority string what the client calls the server
---@field host string of the client
---@field port integer
---@field stream casting.stream
local http_request = {}

---Reads the body.
---@param what? integer|"a" so many bytes, or all; the next piece
---@return string?
---@return string? why "closed" at the end
---@return string? rest what had come before
function http_request:read(what) end

---Reads a form.
---@return casting.http.form?
---@return string? why
function http_request:form() end

---The next part of a form in parts.
---@return casting.http.part?
---@return string? why "closed" behind the last one
function http_request:part() end

---@param options? {cancel?: boolean} cancel: the calling task, too
---@return casting.channel gone closed when the client has gone
function http_request:closed(options) end

---A list of the fields of a form; the values are found by their names, too.
---@class casting.http.form
---@field [integer] {name: string, value: string, filename?: string, type?: string}
---@field [string] string

---A part of a form.
---@class casting.http.part
---@field name string
---@field filename? string without a path
---@field type string
---@field headers table<string, string>
local http_part = {}

---@param what? integer|"a" so many bytes, or all; the next piece
---@return string?
---@return string? why "closed" at the end
function http_part:read(what) end

---@class casting.http.events
local http_events = {}

---@param event string|{data?: string, event?: string, id?: string|integer, retry?: number}
---@return true?
---@return string? why
function http_events:send(event) end

---@class casting.http.websocket.settings
---@field protocols? string[] subprotocols, the best one first
---@field compress? boolean
---@field max_message? integer bytes; 1048576
---@field ping? number|false seconds of silence; 30
---@field closing? number seconds that the end may take; 5
---@field headers? table<string, string|number|string[]>

---@class casting.http.websocket.server: casting.http.websocket.settings
---@field origins? string[]|"*" which pages may use it; those of the same scheme, host

---@class casting.http.websocket.client: casting.http.websocket.settings
---@field timeout? number seconds until it is there; 10
---@field tls? true|casting.tls.options|casting.tls.context

---Answers a request for a websocket.
---@param options? casting.http.websocket.server
---@return casting.http.websocket? ws
---@return string? why when the client was answered
function http_request:websocket(options) end

---A websocket: `for message, kind in ws do` receives until the end.
---@class casting.http.websocket
---@field protocol? string the subprotocol
local websocket = {}

---Sends a message.
---@param data string|number
---@param kind? "text"|"binary"
---@return true?
---@return string? why "closed"
---@return integer? code
---@return string? reason
function websocket:send(data, kind) end

---Waits for a message.
---@param timeout? number seconds
---@return string? message
---@return string kind "text" or "binary"; or why there is none
---@return integer? code
---@return string? reason
function websocket:receive(timeout) end

---@return casting.channel messages which closes at the end
function websocket:messages() end

---Ends it.
---@param code? integer 1000
---@param reason? string
---@return boolean first nobody else was
function websocket:close(code, reason) end

---@return boolean
function websocket:closed() end

---@class casting.http.response
---@field status integer 200; later changes than the first piece have no effect
---@field headers table<string, string|number|(string|number)[]> as the status
local http_response = {}

---@param data string|number|table
---@return true?
---@return string? why
function http_response:write(data) end

---Sends what was written.
---@return true?
---@return string? why
function http_response:flush() end

---Ends the response.
---@param data? string|number|table
---@return true?
---@return string? why
function http_response:finish(data) end

---Begins server-sent events.
---@param options? {ping?: number, cancel?: boolean}
---@return casting.http.events?
---@return string? why
function http_response:events(options) end

---Sends a file, or what the request wants of it.
---@param path string
---@param options? {headers?: table, types?: table<string, string>, max_age?: integer}
---@return true?
---@return string? why
function http_response:send_file(path, options) end

---@class casting.http.serve.options: casting.serve.options
---@field header? number seconds; 10
---@field idle? number seconds; 60
---@field timeout? number seconds; 60
---@field max_header? integer bytes; 65536
---@field body? integer bytes that a request may have; 1048576
---@field log? fun(request: casting.http.request, status: integer, bytes: integer, seconds: number) after each response

---The module casting.http, which is installed by itself.
---@class casting.http
local http = {}

---Serves until the listener is closed.
---@param where casting.listener|{[1]: string, [2]: integer?, tls?: casting.tls.options|casting.tls.context}
---@param handler fun(request: casting.http.request, response: casting.http.response)
---@param options? casting.http.serve.options
---@return true?
---@return string? why
function http.serve(where, handler, options) end

---@class casting.http.files.options
---@field index? string|false "index.html"
---@field cache? number seconds that small files are kept in memory
---@field max_age? integer seconds
---@field headers? table<string, string|number|string[]>
---@field types? table<string, string> by the ends of names
---@field dotfiles? boolean
---@field missing? fun(request: casting.http.request, response: casting.http.response)

---A handler that answers with the files in a directory.
---@param root string
---@param options? casting.http.files.options
---@return fun(request: casting.http.request, response: casting.http.response)
function http.files(root, options) end

---Connects to a websocket.
---@param url string ws:// or wss://
---@param options? casting.http.websocket.client
---@return casting.http.websocket? ws
---@return string? why
---@return integer? status of the answer
function http.websocket(url, options) end

---@class casting.http.options
---@field headers? table<string, string|number|(string|number)[]>
---@field auth? string[] a user and a password
---@field timeout? number seconds for all; 60
---@field connect? number seconds for a new connection; 30
---@field redirects? integer|false 10
---@field max_body? number bytes; 64 MiB
---@field max_header? number bytes; 65536
---@field decode? boolean false: bodies stay compressed
---@field proxy? string|false|{http?: string, https?: string, except?: string}
---@field tls? true|casting.tls.options|casting.tls.context
---@field jar? casting.http.jar|false

---@class casting.http.client.options: casting.http.options
---@field pool? integer idle connections; 64
---@field per_host? integer connections to one server; 256
---@field idle? number seconds that a connection stays idle; 30

---@class casting.http.request.options: casting.http.options
---@field url? string if the URL is no argument of its own
---@field method? string "GET", or "POST" with a body
---@field body? string|number|table|fun(): string?, string? a function: piece by piece
---@field form? table<string, string|number|boolean|table>
---@field stream? boolean the body is read piece by piece

---What a server has answered.
---@class casting.http.answer
---@field status integer
---@field reason string
---@field headers table<string, string|string[]> names in lower case
---@field body? string unless it is streamed
---@field url string after redirects
---@field decoded string|false how the body was compressed
local http_answer = {}

---Reads the body of a response that is streamed.
---@param what? integer|"a" so many bytes, or all; the next piece
---@return string?
---@return string? why "closed" at the end
---@return string? rest what had come before
function http_answer:read(what) end

---@return boolean # false: it was over
function http_answer:close() end

---@class casting.http.client
local http_client = {}

---@param url string|casting.http.request.options
---@param options? casting.http.request.options
---@return casting.http.answer?
---@return string? why
function http_client:request(url, options) end

---Closes idle connections.
---@return boolean # false: it was closed before
function http_client:close() end

---@return {idle: integer, busy: integer, waiting: integer, made: integer}
function http_client:stats() end

---@class casting.http.cookie
---@field name string
---@field value string
---@field domain string
---@field path string
---@field secure boolean
---@field http_only boolean
---@field host_only boolean
---@field expires? number as os.time counts

---@class casting.http.jar
local http_jar = {}

---@param url string
---@return string? # the field Cookie
function http_jar:get(url) end

---@param text string as the field Set-Cookie has it
---@param url string
---@return boolean # may it be set from there?
function http_jar:set(text, url) end

---@return casting.http.cookie[]
function http_jar:list() end

function http_jar:clear() end

---Asks a server.
---@param url string|casting.http.request.options
---@param options? casting.http.request.options
---@return casting.http.answer?
---@return string? why
function http.request(url, options) end

---@param options? casting.http.client.options
---@return casting.http.client
function http.client(options) end

---@param cookies? casting.http.cookie[] of jar:list
---@return casting.http.jar
function http.jar(cookies) end

---@param url string
---@param reference string as in a link
---@return string? url
---@return string? why
function http.resolve(url, reference) end

---@param text string
---@return string
function http.encode(text) end

---@param time? number seconds, as of os.time
---@return string
function http.date(time) end

---Begins TLS, and waits for the handshake; the stream is closed if that fails.
---@param options? true|casting.tls.options|casting.tls.context
---@return casting.stream?
---@return string? why
function stream:starttls(options) end

---What is known of its TLS, after the handshake.
---@param timeout? number seconds
---@return casting.tls.info?
---@return string? why
function stream:tls(timeout) end

---Writes all of it.
---@param what string|number|table
---@param timeout? number seconds
---@return true?
---@return string? why
---@return integer? written bytes
function stream:write(what, timeout) end

---Copies what comes to another stream, to the end.
---@param to casting.stream
---@param n? integer bytes at most
---@return integer? copied bytes
---@return string? why
---@return integer? copied
function stream:copy(to, n) end

---Sends the end; reading goes on.
---@return true?
---@return string? why
function stream:shutdown() end

---Closes the connection. With TLS it may wait up to five seconds for room for
---its last word.
---@return boolean first whether this call did
function stream:close() end

---Resets the connection.
---@return boolean first
function stream:abort() end

---The address of the other end, in the form that net.connect takes.
---@return string? address
---@return integer|string|nil port
function stream:peer() end

---The address of this end: as net.connect takes it.
---@return string? address
---@return integer|string|nil port
function stream:name() end

---An option of the socket; sets it, if there is a value.
---@param name string
---@param value? any
---@return any
---@return string? why
function stream:option(name, value) end

---The number of its descriptor.
---@return integer?
---@return string? why
function stream:fd() end

---@return {read: integer, written: integer, buffered: integer}
function stream:stats() end

---Waits for a connection.
---@param timeout? number seconds
---@return casting.stream?
---@return string? address of the other end, or why
---@return integer? port
function listener:accept(timeout) end

---@class casting.serve.options
---@field sessions? integer|casting.session[] how many, or which
---@field limit? number connections at once
---@field handshake? number seconds that one of TLS may take; 10
---@field grace? number seconds that they have after it was closed

---A task for each connection, until the listener is closed.
---@param f fun(stream: casting.stream, host: string, port: integer?)
---@param options? casting.serve.options
---@return true?
---@return string? why
function listener:serve(f, options) end

---Closes it, for all sessions.
---@return boolean first
function listener:close() end

---Where it listens: as net.connect takes it.
---@return string? address
---@return integer|string|nil port
function listener:name() end

---@param name string
---@param value? any
---@return any
---@return string? why
function listener:option(name, value) end

---@return integer?
---@return string? why
function listener:fd() end

---@return {accepted: integer, shortages: integer, waiting: integer}
function listener:stats() end

---Waits until it is closed.
---@return true
function listener:wait() end

---Sends a datagram.
---@param data string
---@param host? string a numeric address, "unix:PATH"
---@param port? integer
---@param timeout? number seconds
---@return true?
---@return string? why
function udp:send(data, host, port, timeout) end

---Waits for a datagram.
---@param timeout? number seconds
---@return string? data
---@return string? host of the sender, for send; or why
---@return integer? port
function udp:receive(timeout) end

---Sends to that address only, and receives from it; without one: no more.
---@param host? string
---@param port? integer
---@return true?
---@return string? why
function udp:connect(host, port) end

---Receives what is sent to a multicast group.
---@param group string
---@param device? string
---@return true?
---@return string? why
function udp:join(group, device) end

---@param group string
---@param device? string
---@return true?
---@return string? why
function udp:leave(group, device) end

---@param name string
---@param value? any
---@return any
---@return string? why
function udp:option(name, value) end

---@return boolean first
function udp:close() end

---@return string? address
---@return integer|string|nil port
function udp:name() end

---@return string? address
---@return integer|string|nil port
function udp:peer() end

---@return integer?
---@return string? why
function udp:fd() end

---@return {sent: integer, received: integer, bytes_sent: integer, bytes_received: integer}
function udp:stats() end

-- ---------------------------------------------------------------- programs --

---The table that require "casting.process" returns.
---@class casting.process
local process = {}
casting.process = process

---A program that was started; shared by all sessions, but for its streams.
---@class casting.program
---@field pid integer its number
---@field stdin? casting.stream if it is a pipe
---@field stdout? casting.stream if it is a pipe
---@field stderr? casting.stream if it is a pipe
local program = {}

---@class casting.process.options
---@field [integer] string|number the program and its arguments
---@field cwd? string the directory in which it begins
---@field env? table<string, string|number> instead of this process's
---@field group? boolean it leads a process group of its own

---@class casting.process.spawn.options: casting.process.options
---@field stdin? "pipe"|"null"|"inherit"|casting.stream|integer "null"
---@field stdout? "pipe"|"null"|"inherit"|casting.stream|integer "inherit"
---@field stderr? "pipe"|"null"|"inherit"|"stdout"|casting.stream|integer

---@class casting.process.run.options: casting.process.options
---@field input? string|table a string, or a list of strings and lists
---@field timeout? number seconds, for all of it
---@field max? integer bytes of each output; 64 MiB
---@field grace? number seconds between TERM and KILL; 0.5

---Starts a program.
---@param t casting.process.spawn.options
---@return casting.program?
---@return string? why
function process.spawn(t) end

---Runs a program to its end.
---@param t casting.process.run.options
---@return integer? code, or the number of a signal with a minus
---@return string? out its output, or why there is no code
---@return string? err its other output; without a code, what came of the first
---@return string? rest without a code, what came of the other one
function process.run(t) end

---A channel of the names of signals that come to this process.
---@param name string "TERM", "SIGTERM"
---@param ... string
---@return casting.channel?
---@return string? why
function process.signals(name, ...) end

---Waits until it has ended.
---@param timeout? number seconds
---@return "exit"|"signal"|nil
---@return integer|string code, number of the signal, or why
function program:wait(timeout) end

---Sends a signal, to its whole group if it leads one.
---@param signal? string|integer "TERM"
---@return true?
---@return string? why
function program:kill(signal) end

-- --------------------------------------------------------------- LuaSocket --

---The table that require "casting.socket" returns.
---@class casting.socket
local socket = {}
casting.socket = socket

---Has require "socket.core", "socket.unix" and "ssl" find casting's own core, in
---this session and those that it makes: libraries for LuaSocket run unchanged.
---@return true
function socket.install() end

-- ------------------------------------------------------------------- files --

---The table that require "casting.fs" returns.
---@class casting.fs
local fs = {}
casting.fs = fs

---An open file; shared by all sessions that have a handle of it.
---@class casting.file
local file = {}

---What the system knows of a file.
---@class casting.fs.info
---@field type casting.fs.type
---@field size integer bytes
---@field mode integer permissions
---@field uid integer
---@field gid integer
---@field links integer
---@field device integer
---@field inode integer
---@field modified number seconds since 1970
---@field accessed number
---@field changed number

---@alias casting.fs.type "file"|"directory"|"link"|"pipe"|"socket"|"block"|"character"|"other"

---@class casting.fs.write.options
---@field append? boolean behind what is there
---@field atomic? boolean all of it or nothing
---@field exclusive? boolean fails if the path is there
---@field mode? integer permissions of a new file; 438
---@field sync? boolean waits for the disk

---@class casting.fs.read.how
---@field offset? integer where to read, instead of the position
---@field max? integer the most bytes of a line or of "a"

---Reads a whole file.
---@param path string
---@param max? integer bytes; 2 GiB, or 64 MiB without a length of its own
---@return string?
---@return string? why
function fs.read(path, max) end

---Makes a file, or replaces what is in it.
---@param path string
---@param data string|number|table a string, or a list of strings and lists
---@param options? casting.fs.write.options
---@return true?
---@return string? why
function fs.write(path, data, options) end

---Opens a file.
---@param path string
---@param mode? "r"|"r+"|"w"|"w+"|"a"|"a+"|"wx"|"w+x"|"ax"|"a+x" "r"
---@return casting.file?
---@return string? why
function fs.open(path, mode) end

---An iterator over the lines of a file, which raises what goes wrong.
---@param path string
---@param what? "l"|"L" "l"
---@return fun(): string?
---@return nil
---@return nil
---@return casting.file
function fs.lines(path, what) end

---@param path string
---@param options? {follow: boolean} false: of a symbolic link itself
---@return casting.fs.info?
---@return string? why
function fs.stat(path, options) end

---The names in a directory, sorted, and the type of each.
---@param path string
---@return string[]?
---@return table<string, casting.fs.type>|string types, or why
function fs.list(path) end

---An iterator over a directory and all that is in it.
---@param path string
---@param options? {depth: integer} how deep
---@return fun(): string?, casting.fs.type?, string?
function fs.walk(path, options) end

---@param path string
---@param options? {parents: boolean, mode: integer}
---@return true?
---@return string? why
function fs.mkdir(path, options) end

---@param from string
---@param to string
---@return true?
---@return string? why
function fs.rename(from, to) end

---@param path string
---@param options? {tree: boolean} with all that is in it
---@return true?
---@return string? why
function fs.remove(path, options) end

---Makes a file with a name of its own, and opens it.
---@param options? {dir: string}
---@return casting.file?
---@return string path or why
function fs.temp(options) end

---Makes a directory with a name of its own.
---@param options? {dir: string}
---@return string? path
---@return string? why
function fs.tempdir(options) end

---@param what? "l"|"L"|"a"|integer what is easily had
---@param how? integer|casting.fs.read.how an offset
---@return string? nil alone at the end
---@return string? why
function file:read(what, how) end

---@param data string|number|table
---@param offset? integer
---@return true?
---@return string? why
---@return integer? bytes that were written
function file:write(data, offset) end

---@param whence? "set"|"cur"|"end" "cur"
---@param offset? integer 0
---@return integer? position
---@return string? why
function file:seek(whence, offset) end

---@param what? "l"|"L" "l"
---@return fun(): string?
function file:lines(what) end

---@return casting.fs.info?
---@return string? why
function file:stat() end

---@param size? integer the position
---@return true?
---@return string? why
function file:truncate(size) end

---Waits for the disk.
---@param data? "data" not for the times
---@return true?
---@return string? why
function file:sync(data) end

---@return boolean? first false: it was closed before
---@return string? why
function file:close() end
---@class casting.fs.watch.options
---@field tree? boolean with all directories below, and those made later

---What happens to files and directories. Called, it is `next`, for loops.
---@class casting.watch
---@overload fun(): casting.fs.event?
local watch = {}

---@class casting.fs.event
---@field kind "made"|"changed"|"written"|"attributes"|"moved"|"removed"|"failed"|"overflow"
---@field path? string none of "overflow"
---@field type? "directory" nil: something else
---@field from? string of "moved": the path before
---@field why? string of "failed"

---Tells what happens to what has a path, or is in a directory.
---@param path string|string[]
---@param options? casting.fs.watch.options
---@return casting.watch?
---@return string? why
function fs.watch(path, options) end

---Waits for an event.
---@param timeout? number seconds
---@return casting.fs.event?
---@return string? why
function watch:next(timeout) end

---Watches that path, too.
---@param path string
---@return true?
---@return string? why
function watch:add(path) end

---Watches it no more.
---@param path string
---@return boolean
function watch:drop(path) end

---@return boolean
function watch:close() end

return casting
