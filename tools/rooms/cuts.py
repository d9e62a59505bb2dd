#!/usr/bin/env python3
# cuts.py - the cuts that need an edit, after lay.py: cuts.py TREE
# SPDX-License-Identifier: MIT
import os,re,sys
os.chdir(sys.argv[1]+'/src/lua')
def rd(f): return open(f).read()
def wr(f,s): open(f,'w').write(s)
def sub(f,*prs):
    s=rd(f)
    for a,b in prs:
        if a not in s: print('SUB?',f,a[:80]); continue
        s=s.replace(a,b)
    wr(f,s)
def cut(f,a,z):
    s=rd(f)
    if a not in s: print('CUT?',f,a[:60]); return ''
    i=s.index(a); j=s.index(z,i); wr(f,s[:i]+s[j:]); return s[i:j]
def inc(f,drop=(),add=()):
    s=rd(f)
    for d in drop: s=re.sub(r'#include "%s"\n'%re.escape(d),'',s)
    for a in add:
        if '#include "%s"\n'%a not in s:
            m=[x for x in re.finditer(r'#include "(.*)"\n',s)]
            own=m[0]; rest=m[1:] if os.path.basename(m[0].group(1))[:-2]==os.path.basename(f)[:-2] else m
            at=next((x.start() for x in rest if x.group(1)>a), rest[-1].end() if rest else own.end())
            s=s[:at]+'#include "%s"\n'%a+s[at:]
    wr(f,s)
# 1. the hook that raises an error in a suspended coroutine is a hook like the other
s=rd('task/resume.c')
i=s.index('static const char raise_key = 0;'); 
key='static const char raise_key = 0;'
s=s.replace(key+'\n\n','',1) if key+'\n\n' in s else s.replace(key+'\n','',1)
i=s.index('/* 5.1 and LuaJIT have no continuations: a hook at its next'); j=s.index('/* Compiled code, to which LuaJIT may return',i)
hook=s[i:j]; s=s[:i]+s[j:]
i=s.index('bool cast_deliver_raises(lua_State *L) { return lua_gethook'); j=s.index('\n',i)+1
s=s[:i]+s[j:].lstrip('\n'); 
s=s.replace('bool cast_deliver_raises(lua_State *L) { return CAST_UNUSED(L), false; }\n','')
i=s.index('/* Compiled code, to which LuaJIT may return'); j=s.index('/* With the error on top of `from`; protected. */')
setr=s[i:j]; s=s[:i]+s[j:]
s=s.replace('  lua_rawsetp(from, LUA_REGISTRYINDEX, &raise_key);\n  set_raise(t);','  cast_hook_raise_keep(from);\n  cast_hook_raise(t->co);').replace('set_raise(t);','cast_hook_raise(t->co);').replace('cast_deliver_raises(','cast_hook_raises(')
wr('task/resume.c',s)
setr=setr.replace('static void set_raise(cast_ltask *t) {\n  cast_stop_interpret(t->co);\n  lua_sethook(t->co, raise_hook','void cast_hook_raise(lua_State *co) {\n  cast_stop_interpret(co);\n  lua_sethook(co, raise_hook')
p=rd('stop/preempt.c')
p=p.rstrip()+'''

/* -- raising an error in a suspended coroutine ------------------------------ */

#if !CAST_HAS_YIELDK
static const char raise_key = 0;

'''+hook+setr.rstrip()+'''

void cast_hook_raise_keep(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &raise_key);
}

bool cast_hook_raises(lua_State *L) { return lua_gethook(L) == raise_hook; }
#else
bool cast_hook_raises(lua_State *L) { return CAST_UNUSED(L), false; }
#endif
'''
p=p.replace('cast_deliver_raises(','cast_hook_raises(')
wr('stop/preempt.c',p)
sub('task/deliver.h',('''/* Is L to raise such an error at its next instruction? In a signal handler,
   too. */
bool cast_deliver_raises(lua_State *L);
''',''))
s=rd('stop/preempt.h'); k=s.rindex('\n#endif')
wr('stop/preempt.h',s[:k].rstrip()+'''
/* Is L to raise an error at its next instruction? In a signal handler, too. */
bool cast_hook_raises(lua_State *L);
#if !CAST_HAS_YIELDK
/* Keeps the error on the top of L, which it takes, for the hook. Raises. */
void cast_hook_raise_keep(lua_State *L);
/* Has that error, or nil if none was kept, raised at co's next instruction. */
void cast_hook_raise(lua_State *co);
#endif
'''+s[k:])
inc('stop/preempt.c',drop=['../task/deliver.h'])
inc('task/resume.c',add=['../stop/preempt.h'])
# 2. what a blocking call meets: judged by scope.c, raised by preempt.c
s=rd('stop/scope.c')
i=s.index('void cast_guard_check('); j=s.index('uint64_t cast_guard_next(',i)
wr('stop/scope.c',s[:i]+'''bool cast_guard_past(cast_ltask *t, uint64_t now_ns, uint64_t *since_ns) {
  verdict v = judge(t, now_ns);
  *since_ns = v.since_ns;
  return v.cancel || v.guard != NULL;
}

'''+s[j:])
s=rd('stop/scope.h')
i=s.index('/* Is t past its time at now_ns, or a guard'); j=s.index('void cast_guard_check('); k=s.index('\n',j)+1
wr('stop/scope.h',s[:i]+'''/* Is t past its time at now_ns, or a guard that t->at is in? Since when? */
bool cast_guard_past(cast_ltask *t, uint64_t now_ns, uint64_t *since_ns);
'''+s[k:])
p=rd('stop/preempt.c')
i=p.index('/* Between what pcall has caught')
p=p[:i]+'''void cast_guard_check(lua_State *L, cast_ltask *t, uint64_t now_ns) {
  uint64_t since;
  cast_cancel_note(t);
  if (!cast_guard_past(t, now_ns, &since)) return;
  /* First: there may be no memory for the error, and something catches that. */
  if (now_ns - since >= CAST_INSIST_NS) cast_stop_insist(t->at, t);
  cast_guard_raise(L, t, now_ns);
}

'''+p[i:]
wr('stop/preempt.c',p)
s=rd('stop/preempt.h'); k=s.index('/* From now on each instruction')
wr('stop/preempt.h',s[:k]+'''/* For a blocking call of t: raises if t, or a guard that t->at is in, is past
   its time at now_ns. */
void cast_guard_check(lua_State *L, cast_ltask *t, uint64_t now_ns);
'''+s[k:])
sub('stop/preempt.c',('/* -- raising an error in a suspended coroutine ------------------------------ */','/* -- raising an error in a suspended coroutine ---------------------------- */'))
inc('lib/lib_task.c',add=['../stop/preempt.h'])
inc('task/enter.c',add=['../stop/preempt.h'])
s=rd('stop/preempt.c')
if '<luajit.h>' not in s: s=s.replace('\n/* Relaxed, all of these: hooks are set','\n#if CAST_LUAJIT\n#include <luajit.h>\n#endif\n\n/* Relaxed, all of these: hooks are set',1); wr('stop/preempt.c',s)
# 3. deadline_in to auxiliary.h
sub('state/argument.h',('uint64_t cast_deadline_in(double seconds);\n',''))
s=rd('compat/auxiliary.h'); k=s.rindex('\n#endif')
wr('compat/auxiliary.h',s[:k].rstrip()+'\n/* So many seconds from now, which may be more than there are: OS_FOREVER. */\nuint64_t cast_deadline_in(double seconds);\n'+s[k:])
inc('compat/auxiliary.c',drop=['../state/argument.h'])
for f in sorted(os.popen('grep -l "cast_deadline_in" */*.c').read().split()):
    if f!='compat/auxiliary.c': inc(f,add=['../compat/auxiliary.h'])
# 4. deadlocks are told by the library: through the binding
sub('task/resume.c',('cast_deadlock_raise(L, S);','S->binding->raise_deadlock(L, S);'),('cast_deadlock_find(L, S);','S->binding->find_deadlock(L, S);'))
inc('task/resume.c',drop=['../lib/lib_report.h'])
sub('state/state.h',("  /* The first finalizer of ours that the lua_close","  /* The main program can never go on: begins to find out why, before its wait\n     is over; then raises that, after it. */\n  void (*find_deadlock)(lua_State *L, cast_state *S);\n  int (*raise_deadlock)(lua_State *L, cast_state *S);\n  /* The first finalizer of ours that the lua_close"))
sub('lib/lib_casting.c',('  .end = cast_state_end,','  .find_deadlock = cast_deadlock_find,\n  .raise_deadlock = cast_deadlock_raise,\n  .end = cast_state_end,'))
inc('lib/lib_casting.c',add=['lib_report.h'])
# 5. messages of monitors: outcome first, then rebuild
s=rd('task/rebuild.c')
i=s.index('struct cast_rebuild {'); 
ci=s.rfind('/*',0,i); 
decl=s[ci:s.index('};',i)+3]
s=s[:ci]+s[s.index('};',i)+3:].lstrip('\n')
i=s.index('int cast_rebuild_values(')
s=s[:i]+'''cast_rebuild *cast_rebuild_begin(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  cast_rebuild *b = S->rebuild != NULL ? S->rebuild : cast_alloc(sizeof *b);
  if (b == NULL) cast_raise_memory(L);
  S->rebuild = NULL;
  b->outer = S->rebuilds;
  b->task = t;
  b->L = L;
  b->depth = L == t->co ? 0 : call_depth(L);
  cast_msg_move(&b->msg, m);
  S->rebuilds = b;
  return b;
}

void cast_rebuild_end(cast_state *S, cast_rebuild *b) {
  cast_rebuild **link;
  cast_rebuild_drop(S, b->task, b);
  for (link = &S->rebuilds; *link != b; link = &(*link)->outer) continue;
  *link = b->outer;
  cast_free(S->rebuild); /* of another one meanwhile */
  S->rebuild = b;
}

int cast_rebuild_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  cast_rebuild *b;
  int n;
  if (CAST_LIKELY(cast_quick_unpack(L, m))) return 1;
  /* A value takes a byte at least. Where a C function's own slots will do,
     the stack is not made larger: it would stay so while the task waits. */
  if (m->size > LUA_MINSTACK / 2 && m->size <= CAST_MSG_INLINE && m->nrefs == 0)
    luaL_checkstack(L, CAST_MSG_INLINE, NULL);
  n = cast_unpack_simple(L, m);
  if (CAST_LIKELY(n >= 0)) return n;
  b = cast_rebuild_begin(L, S, t, m);
  n = cast_unpack(S->packer, L, &b->msg);
  cast_rebuild_end(S, b);
  return n;
}
'''
wr('task/rebuild.c',s)
inc('task/rebuild.c',drop=['../lib/lib_monitor.h'])
h=rd('task/rebuild.h'); k=h.index('/* Pushes the values of *m')
wr('task/rebuild.h',h[:k]+decl.rstrip()+'''

/* Moves *m to where it stays while its values are rebuilt. Raises. */
cast_rebuild *cast_rebuild_begin(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m);
/* They have been, and b->msg is empty. */
void cast_rebuild_end(cast_state *S, cast_rebuild *b);
'''+h[k:])
inc('task/rebuild.h',add=['../../msg.h'])
body=cut('lib/lib_monitor.c','int cast_monitor_unpack(','/* internal.disown(task)')
hd=rd('lib/lib_monitor.h'); i=hd.index('/* If *m is what a monitor'); j=hd.index('int cast_lib_monitor'); wr('lib/lib_monitor.h',hd[:i]+hd[j:])
wr('task/receive.h','''/* receive.h - the values of a message that a task has received.
   SPDX-License-Identifier: MIT */
#ifndef CAST_RECEIVE_H
#define CAST_RECEIVE_H

#include "../../msg.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Pushes the values of *m, which becomes empty, and returns how many. Raises
   when one cannot be rebuilt. */
int cast_receive_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m);

#endif
''')
wr('task/receive.c','''/* receive.c - the values of a message that a task has received.
   SPDX-License-Identifier: MIT

   A monitor sends nothing but "the outcome of this task" (WIRE_OUTCOME). It
   becomes values here, by the same function as for a join. All other messages
   are rebuilt (rebuild.c). */
#include "receive.h"

#include "../../object.h"
#include "../state/handle.h"
#include "../transfer/number.h"
#include "../transfer/wire.h"
#include "outcome.h"
#include "rebuild.h"

static bool is_outcome(const cast_msg *m) {
  return m->nrefs > 0 && m->nrefs <= 2 && m->size == 1 + m->nrefs &&
         cast_msg_data(m)[m->nrefs] == WIRE_OUTCOME;
}

/* [the task's handle,] its outcome. */
static int push_outcome(
  lua_State *L, cast_state *S, cast_ltask *self, cast_msg *m) {
  cast_object *o = cast_msg_items(m)[0];
  int top = lua_gettop(L);
  bool named = m->nrefs == 2;
  /* The handle anchors the task, also when it is none of the values. */
  cast_handle_push(L, o);
  cast_ltask_outcome(L, S, self, CAST_CONTAINER(o, cast_ltask, core.object));
  if (!named) lua_remove(L, top + 1);
  return lua_gettop(L) - top;
}

int cast_receive_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  cast_rebuild *b;
  int n;
  if (CAST_LIKELY(cast_quick_unpack(L, m))) return 1;
  if (CAST_LIKELY(!is_outcome(m))) return cast_rebuild_values(L, S, t, m);
  b = cast_rebuild_begin(L, S, t, m);
  n = push_outcome(L, S, t, &b->msg);
  cast_msg_drop(&b->msg);
  cast_rebuild_end(S, b);
  return n;
}
''')
for f in ('lib/lib_chan.c','lib/lib_select.c'):
    sub(f,('cast_rebuild_values(','cast_receive_values('))
    inc(f,drop=['../task/rebuild.h'],add=['../task/receive.h'])
sub('task/receive.c',('static bool is_outcome(const cast_msg *m)','static bool is_outcome(cast_msg *m)'))
sub('transfer/bytecode.h',('bytecode of Lua functions, dumped and loaded as seldom as can be.','bytecode of Lua functions, dumped and loaded seldom.'))
# 6. the functions with_timeout and shield: a file of the library
s=rd('stop/scope.c')
i=s.index('typedef struct cast_guard cast_guard;'); j=s.index('};',i)+3
struct=s[i:j]; s=s[:i]+s[j:].lstrip('\n')
k=s.rfind('/*',0,s.index('#if CAST_HAS_YIELDK\n#define CALLER 1')) if '#define CALLER' in s else None
i=s.rfind('/* On 5.1 and LuaJIT a C function that calls') ; r=s.rfind('/* --',0,i)
fn=s[i:]; s=s[:i].rstrip()+'\n'
s=s.replace('static cast_guard *push_guard(','cast_guard *cast_guard_push(').replace('static void unlink_guard(','void cast_guard_unlink(').replace('unlink_guard(','unlink_guard(').replace('static bool is_own(','bool cast_guard_is_own(')
s=re.sub(r'(?<![\w])unlink_guard\(','cast_guard_unlink(',s)
s=re.sub(r'(?<![\w])is_own\(','cast_guard_is_own(',s)
wr('stop/scope.c',s)
fn=re.sub(r'(?<![\w])push_guard\(','cast_guard_push(',fn); fn=re.sub(r'(?<![\w])unlink_guard\(','cast_guard_unlink(',fn); fn=re.sub(r'(?<![\w])is_own\(','cast_guard_is_own(',fn)
wr('lib/lib_scope.c','''/* lib_scope.c - casting.with_timeout and casting.shield.
   SPDX-License-Identifier: MIT

   Each puts a guard (scope.h) around a function call, and takes it off again
   when that has returned or failed. */
#include "lib_scope.h"

#include "../../limits.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/builtin.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "lib.h"
#include "lib_monitor.h"

'''+fn)
h=rd('stop/scope.h')
g=''
for a in ('cast_open_guard',):
    i=h.find('/* Finishes the module on the top'); 
    if i>=0:
        j=h.index(';',i)+2; g=h[i:j]; h=h[:i]+h[j:]
k=h.index('\n\n',h.rindex('#include "'))
h=h[:k]+'\n\n'+struct.rstrip()+'\n'+h[k:]
k=h.rindex('\n#endif')
h=h[:k].rstrip()+'''
/* Pushes a guard around what its task, the one that calls, does from now on;
   `what` is the function that does so. Raises. */
cast_guard *cast_guard_push(lua_State *L, const char *what);
/* Takes it off; does nothing the second time. */
void cast_guard_unlink(cast_guard *g);
/* Is the value at i the error of g's timeout? */
bool cast_guard_is_own(lua_State *L, int i, const cast_guard *g);
'''+h[k:]
wr('stop/scope.h',h)
wr('lib/lib_scope.h','''/* lib_scope.h - casting.with_timeout and casting.shield.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_SCOPE_H
#define CAST_LIB_SCOPE_H

#include "../compat/compat.h"

'''+g+'''
#endif
''')
inc('stop/scope.c',drop=['../lib/lib.h','../lib/lib_monitor.h','../state/argument.h','../state/builtin.h','preempt.h'])
inc('lib/lib_casting.c',add=['lib_scope.h'])
