# plan.py - which piece of src/lua goes where; read by lay.py.
# SPDX-License-Identifier: MIT
SP='   SPDX-License-Identifier: MIT'
SPLITS={
 'compat/auxiliary.c':('''/* auxiliary.c - what every room needs beside Lua's own auxiliary library.
   SPDX-License-Identifier: MIT

   Errors and outcomes in the words that users see, timeouts as arguments, and
   boxes: userdata that keep a reference for as long as they are on a stack. */''',
   [('park.c',['cast_raise_memory','cast_push_failure','cast_push_interrupt','cast_deadline_in']),('lib_task.c',['box_gc','cast_box_push'])]),
 'compat/yieldable.c':('''/* yieldable.c - can a coroutine yield where it is now?
   SPDX-License-Identifier: MIT */''',[('park.c',['cast_probe'])]),
 'task/rebuild.c':('''/* rebuild.c - messages whose values are being rebuilt.
   SPDX-License-Identifier: MIT

   To rebuild values may run Lua code (require, a constructor of __save), which
   may receive in turn, so the message does not stay in the task's waiter.
   Owner: the session's. */''',[('park.c',['cast_rebuild','cast_rebuild_drop','call_depth','drop_stale','cast_rebuild_values'])]),
 'task/enter.c':('''/* enter.c - what a library function that may wait does first.
   SPDX-License-Identifier: MIT

   It finds the task that calls, raises what that has to meet, and reserves
   what waiting may need: room for a deadline, and a C stack if the task has to
   wait in place. After it nothing can fail but packing. */''',[('park.c',['runs_again','find_place','cast_enter_anew','cast_enter_again','cast_enter']),('lib_chan.c',['cast_scratch']),]),
 'task/resume.c':('',[('park.c',['cast_call_hook','cast_wait_over','interrupted','spared','cast_complete','cast_resumed'])]),
 'state/ltask.c':('''/* ltask.c - what few tasks need, made when first needed.
   SPDX-License-Identifier: MIT */''',[('task.c',['cast_extra_make'])]),
 'task/taskobj.c':('',[]),
 'session/family.c':('''/* family.c - the sessions of a host.
   SPDX-License-Identifier: MIT

   Locks: the list of a host's sessions (CAST_RANK_HOST), one lock for all
   hosts, taken only when sessions are made, closed or counted. */''',[('state.c',['=CAST_LOCK_STATIC','leave_tree','enter_tree','cast_state_child','cast_state_family'])]),
 'state/replace.c':('''/* replace.c - functions of ours in place of some of a standard library.
   SPDX-License-Identifier: MIT */''',[('library.c',['cast_libs_replace'])]),
 'session/mainstate.c':('''/* mainstate.c - the Lua state of a main program as a session, and its end.
   SPDX-License-Identifier: MIT

   A host's session is run by the thread of its main program, while that waits
   in one of our functions. When lua_close begins, all its tasks are cancelled
   and unwound, all sessions below it are closed, and waited for. */''',[('state.c',['GRACE_NS','host_wake','host_close','host_interrupted','cast_host_ops','host_await','await_children','unwind','cast_state_end','guard_gc','init_host','cast_state_host'])]),
 'session/newsession.c':('''/* newsession.c - making sessions of the pool, and closing them.
   SPDX-License-Identifier: MIT */''',[('state.c',['free_state','state_free','pool_close','pool_wake','cast_pool_ops','on_close','cast_state_close','cast_state_close_children','cast_state_furnish','alloc_state','cast_state_root','making','preload_casting','put_off_collection','make_protected','default_name','discard','cast_state_make','cast_state_new'])]),
 'transfer/packer.c':('''/* packer.c - what a state needs to pack and unpack messages.
   SPDX-License-Identifier: MIT */''',[('pack.c',['cast_packer_array','drop_array','cast_packer_nomem','cast_packer_stack','cast_packer_nothing']),('tree.c',['cast_decode_corrupt'])]),
 'task/taskobj.c':('''/* taskobj.c - tasks of Lua: made, and freed.
   SPDX-License-Identifier: MIT */''',[('task.c',['drop_cases','ltask_release','ltask_free','cast_task_type','cast_ltask_make','cast_ltask_new'])]),
}
OPENERS={}
GROUPS={}
TEXT={}
GROUPS.update({'cast_options':'session/newsession.h','cast_ending':'task/outcome.h','cast_guarded':'stop/scope.h','CAST_GUARD_SOURCE':'stop/scope.h','cast_failure':'task/failure.h'})
WHERE={'cast_session':'src/types.h','cast_task':'src/types.h','cast_ltask':'src/lua/state/ltask.h','cast_state':'src/lua/state/state.h','cast_failure':'src/lua/task/failure.h','cast_packer':'src/lua/transfer/packer.h','cast_runner':'src/context.h','cast_chan':'src/chan.h','cast_rebuild':'src/lua/state/ltask.h','cast_extra':'src/lua/state/ltask.h'}
NOINC={('state/ltask.h','state/state.h'),('state/state.h','state/handle.h')}
TEXT={
 'state/handle.h':[('struct cast_state;\n\n',''),('struct cast_state *S','cast_state *S'),('typedef struct cast_class {','typedef struct cast_class cast_class;\nstruct cast_class {'),('''  void (*cross)(lua_State *L, cast_state *S, cast_object *o);
} cast_class;''','''  void (*cross)(lua_State *L, cast_state *S, cast_object *o);
};''')],
 'state/state.h':[('  const cast_class *const *classes;','  const struct cast_class *const *classes;')],
}
def add(f,*e): TEXT.setdefault(f,[]); TEXT[f]+=list(e)
# statics that several files now share
add('task/taskobj.c',('static void drop_cases(','void cast_ltask_drop_cases('))
add('task/run.c',('  drop_cases(t);','  cast_ltask_drop_cases(t);'))
add('task/rebuild.c',('static void drop_stale(','void cast_rebuild_drop_stale('))
add('task/enter.c',('      drop_stale(L, S, t);','      cast_rebuild_drop_stale(L, S, t);'),('static void runs_again(','void cast_enter_running('),('#define runs_again(L) ((void)(L))\n',''),('#else\n#endif','#endif'),('    runs_again(L);','    cast_enter_running(L);'))
add('task/park.c',('    runs_again(L);','    cast_enter_running(L);'))
add('task/resume.c',('#define resumed cast_resumed\n',''),('static int resumed(','int cast_resumed('))
add('task/park.c',('(lua_KContext)t, resumed)','(lua_KContext)t, cast_resumed)'),('lua_yieldk(L, 0, 0, resumed)','lua_yieldk(L, 0, 0, cast_resumed)'))
add('state/state.c',('static cast_state **make_box(lua_State *L, bool host)','cast_state **cast_state_make_box(lua_State *L, lua_CFunction gc)'),('  if (host) {','  if (gc != NULL) {'),('lua_pushcfunction(L, guard_gc);','lua_pushcfunction(L, gc);'))
add('session/newsession.c',('make_box(L, false)','cast_state_make_box(L, NULL)'),('leave_tree(S)','cast_family_leave(S)'),('enter_tree(S, root)','cast_family_enter(S, root)'),('static void free_state(cast_state *S)','void cast_state_free(cast_state *S)'),('static cast_state *alloc_state(','cast_state *cast_state_alloc('),(' alloc_state(',' cast_state_alloc('),('static void state_free(cast_session *s)','void cast_session_free(cast_session *s)'),('.free = state_free','.free = cast_session_free'),('  free_state(S)','  cast_state_free(S)'),('{ free_state(','{ cast_state_free('))
add('session/family.c',('static void leave_tree(','void cast_family_leave('),('static void enter_tree(','void cast_family_enter('))
add('session/mainstate.c',('make_box(L, true)','cast_state_make_box(L, guard_gc)'),('.free = state_free','.free = cast_session_free'),('alloc_state(','cast_state_alloc('))
SPLITS['transfer/packer.c'][1][0][1].extend(['=_Static_assert','=static void *nothing'])
# further declarations, by header
DECL={
 'task/taskobj.h':['void cast_ltask_drop_cases(cast_ltask *t);'],
 'task/rebuild.h':['/* In a place that cannot yield: forgets the rebuilds that errors have left. */\nvoid cast_rebuild_drop_stale(lua_State *L, cast_state *S, cast_ltask *t);'],
 'task/enter.h':['/* LuaJIT: other coroutines ran while L waited in place, see enter.c. */\n#if CAST_LUAJIT\nvoid cast_enter_running(lua_State *L);\n#else\nstatic inline void cast_enter_running(lua_State *L) { CAST_UNUSED(L); }\n#endif'],
 'task/resume.h':['#if CAST_LUA == 502\nint cast_resumed(lua_State *L);\n#endif'],
 'state/state.h':['/* The box of a state, anchored in the registry, empty so far. A host\'s is also\n   the guard whose finalizer, gc, ends everything. Raises. */\ncast_state **cast_state_make_box(lua_State *L, lua_CFunction gc);'],
 'session/family.h':['/* The session belongs to `root` from now on, whose memory it keeps. */\nvoid cast_family_enter(cast_state *S, cast_state *root);\nvoid cast_family_leave(cast_state *S);'],
 'session/newsession.h':['/* A state that is not a session yet; NULL: out of memory. */\ncast_state *cast_state_alloc(\n  const cast_binding *binding, const char *name, size_t size);\n/* Its memory and what belongs to it; it has no Lua state any more. */\nvoid cast_state_free(cast_state *S);\n/* ops->free: the last hold went. */\nvoid cast_session_free(cast_session *s);'],
}

add('transfer/packer.c',('static void *drop_array(','void *cast_packer_drop_array('))
add('transfer/pack.c',('= drop_array(','= cast_packer_drop_array('))
DECL['transfer/packer.h']=['/* Frees an array of cast_packer_array: what takes its place. */\nvoid *cast_packer_drop_array(void *array);']

NOINC.add(('transfer/pack.h','transfer/packer.h'))
add('transfer/packer.c',('static void *nothing(','void *cast_packer_none('),('return nothing();','return cast_packer_none();'))
add('transfer/pack.c',('= nothing()','= cast_packer_none()'))
DECL['transfer/packer.h'].append('/* In place of an array that is not there yet. */\nvoid *cast_packer_none(void);')
SPLITS['compat/auxiliary.c'][1].append(('state.c',['raise_thread']))
add('compat/auxiliary.c',('static void raise_thread(','_Noreturn void cast_raise_thread('),('luaL_error(L, "no thread can be started");','luaL_error(L, "no thread can be started");\n  cast_panic(__FILE__, __LINE__, "luaL_error returned");'))
add('session/newsession.c',('raise_thread(','cast_raise_thread('))
add('session/mainstate.c',('raise_thread(','cast_raise_thread('))
DECL['compat/auxiliary.h']=['/* No thread could be started. */\n_Noreturn void cast_raise_thread(lua_State *L);']

GROUPS['cast_open_coroutine']='task/coroutine.h'

SPLITS['transfer/packed.c']=('''/* packed.c - messages that are packed once and sent any number of times.
   SPDX-License-Identifier: MIT */''',[('lib_message.c',['message_free','message_release','cast_message_type','cast_message_at','cast_message_new','cast_pack_values','cast_message_callable'])])
SPLITS['task/enter.c'][1].append(('lib_message.c',['cast_unsend']))
add('session/newsession.c',('S->packer->module = cast_embed_module','S->packer->module = S->binding->module'))
add('lib/lib_casting.c',('.end = cast_state_end,','.module = cast_embed_module,\n  .end = cast_state_end,'))
add('state/state.h',('  /* The first finalizer of ours that the lua_close','  /* The packer\'s: names of own modules, see packer.h. */\n  bool (*module)(lua_State *L, const char *name, size_t size);\n  /* The first finalizer of ours that the lua_close'),('  cast_packer *packer;','  struct cast_packer *packer;'),('  cast_fixed *fixed; ','  struct cast_fixed *fixed; '))

FORCE={'session/newsession.c':['src/lua/transfer/packer.h']}
DECL['state/replace.h']=['/* Each file that has functions of ours for a standard library does its part\n   with this: puts them into that library, if it is open. They have the state\'s\n   box as their upvalue. Raises. */\nvoid cast_libs_replace(\n  lua_State *L, const char *name, const luaL_Reg *functions);']
add('session/library.h',("""/* Each file that has such functions does its part with this: puts them into
   that library, if it is open. */
void cast_libs_replace(
  lua_State *L, const char *name, const luaL_Reg *functions);

""",""),("void cast_open_coroutine(lua_State *L); /* coroutine.c */\n",""))
DECL['task/coroutine.h']=['/* Puts coroutine.resume and wrap of ours in place. Raises. */\nvoid cast_open_coroutine(lua_State *L);']

SPLITS['state/argument.c']=('',[('park.c',['cast_deadline'])])
SPLITS['task/taskobj.c'][1].append(('lib_task.c',['cast_ltask_check']))
add('transfer/bytecode.h',('bytecode.h - ','bytecode.h - '))

SPLITS['stop/preempt.c']=('',[('stop.c',['cast_stop_wanted','cast_stop_allow','cast_stop_hook','cast_stop_insist','is_leaving','cast_stop_look','cast_stop_watch'])])
OPENERS['stop/preempt.c']='''/* preempt.c - tasks that compute on: made to give way, or to stop.
   SPDX-License-Identifier: MIT

   Nobody but its own thread may touch a Lua state that runs. So a thread that
   wants something of a task that computes pokes the task's thread (os_poke):
   the handler (cast_hook_poke) sets a debug hook on the coroutine that runs, as
   lua.c does on Ctrl-C, and at its next instruction the hook looks up. Must the
   task stop? Then it raises. Do other sessions wait for the thread? Then it
   yields, through the coroutines that the user has nested, and goes on first
   when its session's turn comes again. There is no hook while nobody asks.

   A task past its time (cancelled, or a guard's deadline has passed) meets an
   error at its blocking calls. One that makes none is stopped by the hook: the
   first look from CAST_STOP_NS after its time on finds that it computes, and
   CAST_STOP_NS later the error is raised wherever it is, once, so that its
   clean-up can run; and CAST_INSIST_NS later at every instruction, whatever
   catches it. (Two looks, for it may only have collected garbage until the
   first.) Never in a shield or a __close handler, nor in a finalizer: Lua runs
   those without hooks. The watchdog (watchdog.c) has the worker poked. (A
   host's tasks are watched by another timer, which asks cast_stop_due; when
   the host ends they have the hook anyway.) A loop that catches each blocking
   call's error is found by those calls. LuaJIT has no pokes: there, only what
   makes calls of casting is stopped.

   Owner: the session's. Invariants:
   1. `running` is the coroutine that executes, whenever it is not NULL: set
      before each resumption of a coroutine, by us or by coroutine.resume and
      wrap (coroutine.c), and set back before anything can be freed, and while a
      task waits in place. It is NULL while a task is started or ended.
   2. `through`: each coroutine between `running` and the task's own was
      resumed by our coroutine.resume or wrap, and all of them can yield. Only
      then a hook may yield without anybody's noticing.
   3. `preempted` is true from a yield of the hook until the task's resumer
      has seen it.
   4. `poked` is where a poke has put the hook, until that is called, or the
      task's turn ends. A coroutine that has just ended, or yielded, will not
      call it: the function that resumed it has it put where the task goes on
      (coroutine.c). What must be seen in later turns: see watchdog.c. */'''
SPLITS['compat/auxiliary.c'][1][0][1].append('cast_period')
GROUPS['cast_period']='compat/auxiliary.h'
TEXT.pop('transfer/bytecode.h',None)
