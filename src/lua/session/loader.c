/* loader.c - casting.require: one session at a time loads.
   SPDX-License-Identifier: MIT

   Some C modules cannot be opened by two threads at once: they set up what is
   static in them, or in a library below. casting.require calls Lua's require
   when no other session is inside of a casting.require, and others wait in
   line.

   The turn belongs to a session and not to a task. Tasks of one session never
   run at the same time, and they wait for each other's loads (load.c): if one
   of two that wait so for each other held the turn, and the other one waited
   for that, neither would go on. So all tasks of a session share its turn, a
   place in line is a session's, whichever of its tasks wait, and a wait for the
   turn is never part of a circle of waits inside of a session (R215). What
   remains is a wait across sessions: a module that is loaded by casting.require
   makes a session and waits for its init, which calls casting.require as well.
   That would never end, so it is an error (R216). Other waits of one session
   for another, such as by channels, are the program's own, as ever.

   The call of require is protected, so that its turn ends at once when it
   fails; and in a protected call every wait is in place, so that the frame
   which holds the turn stays on its C stack until the task ends or goes on. So
   whatever ends the call (an error, a cancellation, the close of the session,
   which cancels) comes by `leave`. Only coroutine.close() of 5.5, which ends
   what runs, jumps over protected calls of C; but it closes variables, so there
   the frame has one.

   Locks: CAST_RANK_HOST, for whose turn it is and for the line. */
#include "loader.h"

#include "../../base.h"
#include "../../buffer.h"
#include "../../event.h"
#include "../../fork.h"
#include "../../list.h"
#include "../../lock.h"
#include "../../mem.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "../state/argument.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../task/enter.h"
#include "../task/origin.h"
#include "../task/park.h"

static struct {
  cast_lock lock;
  cast_state *whose; /* (lock) the session whose turn it is, or NULL */
  uint32_t calls;    /* (lock) calls of that session that are under way */
  uint64_t number;   /* (lock) of this turn: how many there have been */
  cast_list line;    /* (lock) places, the longest wait first */
  bool ready;        /* (lock) the list is initialised */
} turn = {.lock = CAST_LOCK_STATIC(CAST_RANK_HOST)};

/* A place in line: of one call that waits. Two have a reference: the call, and
   the line, which passes it on to the thread that sets the event. */
typedef struct place {
  cast_object object;
  cast_list link; /* (lock) in the line, or in a list of places to be told */
  cast_state *S;  /* (i) whose call it is */
  bool granted;   /* (lock) its session's turn has come */
  cast_event reached; /* set after that */
} place;

static void place_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, place, object));
}

static const cast_type place_type = {"place", place_free, NULL};

/* A call of casting.require, on the C stack. */
typedef struct cast_loading call;
struct cast_loading {
  cast_state *S;
  place *mine; /* where it waits, or has waited; a reference, or NULL */
  bool holds;  /* it has begun without a wait */
  const cast_task *task; /* that calls require now; NULL: not yet */
  call *next;            /* the session's next older one that does so */
};

/* -- whose turn it is ----------------------------------------------------- */

/* Begins a call of S if it is its turn, or nobody's. */
static bool begin_locked(cast_state *S) {
  if (turn.whose == NULL) {
    turn.whose = S;
    turn.calls = 0;
    turn.number++;
  }
  if (turn.whose != S) return false;
  turn.calls++;
  return true;
}

/* The turn goes to the session that has waited longest; moves all its places to
   the list `told`. */
static void pass_locked(cast_list *told) {
  cast_list *l;
  turn.whose = NULL;
  if (!turn.ready || cast_list_is_empty(&turn.line)) return;
  l = turn.line.next;
  while (l != &turn.line) {
    cast_list *next = l->next;
    place *p = CAST_CONTAINER(l, place, link);
    if (turn.whose == NULL || turn.whose == p->S) {
      (void)begin_locked(p->S);
      p->granted = true;
      cast_list_remove(l);
      cast_list_push(told, l);
    }
    l = next;
  }
}

/* Without the lock: places whose turn has come. Each has the line's
   reference. */
static void tell(cast_list *told, cast_session *self) {
  cast_list *l;
  while ((l = cast_list_shift(told)) != NULL) {
    place *p = CAST_CONTAINER(l, place, link);
    cast_event_set(&p->reached, self);
    cast_unref(&p->object);
  }
}

/* The call is over, or has given up to wait. */
static void leave(call *c) {
  cast_list told;
  place *p = c->mine, *left = NULL;
  if (CAST_UNLIKELY(cast_forked)) return; /* all this is the parent's */
  cast_list_init(&told);
  for (call **at = &c->S->turns.first; *at != NULL; at = &(*at)->next)
    if (*at == c) {
      *at = c->next;
      break;
    }
  cast_lock_take(&turn.lock);
  if (p != NULL && !p->granted && !cast_list_is_empty(&p->link)) {
    cast_list_remove(&p->link);
    left = p;
  }
  if ((c->holds || (p != NULL && p->granted)) && turn.whose == c->S &&
      --turn.calls == 0)
    pass_locked(&told);
  cast_lock_drop(&turn.lock);
  if (left != NULL) cast_unref(&left->object);
  if (p != NULL) cast_unref(&p->object);
  tell(&told, &c->S->session);
}

void cast_loader_leave(cast_state *S) {
  cast_list told, left;
  cast_list *l;
  cast_list_init(&told);
  cast_list_init(&left);
  cast_lock_take(&turn.lock);
  for (l = turn.ready ? turn.line.next : &turn.line; l != &turn.line;) {
    place *p = CAST_CONTAINER(l, place, link);
    l = l->next;
    if (p->S != S) continue;
    cast_list_remove(&p->link);
    cast_list_push(&left, &p->link);
  }
  if (turn.whose == S) pass_locked(&told);
  cast_lock_drop(&turn.lock);
  while ((l = cast_list_shift(&left)) != NULL)
    cast_unref(&CAST_CONTAINER(l, place, link)->object);
  tell(&told, &S->session);
}

/* -- waiting -------------------------------------------------------------- */

/* The name is copied, for nothing is allocated under the lock. */
static void describe(cast_buffer *b, const cast_ltask *t) {
  char name[101];
  size_t n = 0;
  CAST_UNUSED(t);
  cast_lock_take(&turn.lock);
  if (turn.whose != NULL) {
    n = turn.whose->name_size < sizeof name - 1 ? turn.whose->name_size
                                                : sizeof name - 1;
    memcpy(name, turn.whose->name, n);
  }
  cast_lock_drop(&turn.lock);
  name[n] = '\0';
  cast_buffer_form(
    b, "waiting to load a module, while session '%.100s' loads", name);
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(L);
  CAST_UNUSED(S);
  CAST_UNUSED(t);
  CAST_UNUSED(result); /* it is looked whether the turn has come */
  return 0;
}

static const cast_wait_kind turn_kind = {
  .finish = finish, .describe = describe};

/* R216: t runs the init for which the session whose turn it is waits. */
static bool is_awaited_locked(const cast_state *S, const cast_task *t) {
  return S->turns.awaited != 0 && S->turns.awaited == turn.number &&
         t != NULL && S->turns.init == t->id;
}

static place *new_place(lua_State *L, cast_state *S) {
  place *p = cast_calloc(sizeof *p);
  if (p == NULL) cast_raise_memory(L);
  cast_object_init(&p->object, &place_type);
  cast_list_init(&p->link);
  cast_event_init(&p->reached);
  p->S = S;
  return p;
}

/* Begins the call, or enters the line. */
static void try_to_begin(lua_State *L, call *c) {
  cast_state *S = c->S;
  bool circular = false;
  cast_lock_take(&turn.lock);
  if (!turn.ready) cast_list_init(&turn.line);
  turn.ready = true;
  c->holds = begin_locked(S);
  if (!c->holds) circular = is_awaited_locked(S, S->session.current);
  if (!c->holds && !circular && c->mine != NULL) {
    cast_list_push(&turn.line, &c->mine->link);
    cast_ref(&c->mine->object);
  }
  cast_lock_drop(&turn.lock);
  if (circular)
    cast_lua_error(L,
      "require: the session that waits for this session's init is loading "
      "a module by casting.require itself");
}

/* Protected, with the call and the name: waits for the turn, and calls
   require. */
static int load(lua_State *L) {
  call *c = lua_touserdata(L, 1);
  cast_state *S = c->S;
  lua_remove(L, 1);
  try_to_begin(L, c);
  if (!c->holds) {
    c->mine = new_place(L, S);
    try_to_begin(L, c);
  }
  while (!c->holds && !cast_event_is_set(&c->mine->reached)) {
    cast_ltask *t = cast_enter(L, S, OS_FOREVER);
    CAST_ASSERT(t->in_place);
    t->arg = c->mine;
    if (cast_event_wait(&c->mine->reached, &t->base) == CAST_PARKED)
      (void)cast_park_about(L, S, t, OS_FOREVER, &turn_kind);
    lua_settop(L, 1);
  }
  c->task = S->session.current;
  c->next = S->turns.first;
  S->turns.first = c;
  lua_getglobal(L, "require");
  if (lua_isnil(L, -1))
    return cast_lua_error(L, "require: there is no function of that name");
  lua_insert(L, 1);
  lua_call(L, 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* -- the function --------------------------------------------------------- */

/* Is the module at 1 in package.loaded? Then require does not load it. (5.1's
   mark of a module that is being loaded will do: require fails.) */
static bool is_loaded(lua_State *L) {
  bool is = false;
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  if (lua_istable(L, -1)) {
    lua_pushvalue(L, 1);
    lua_rawget(L, -2);
    is = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return is;
}

/* require names the place of its caller, and that is a C function: so errors of
   its own get the place of ours. */
static void add_place(lua_State *L) {
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  if (strncmp(text, "module '", 8) != 0 && strncmp(text, "loop or ", 8) != 0)
    return;
  cast_lua_where(L);
  lua_insert(L, -2);
  lua_concat(L, 2);
}

/* In the registry: the metatable of what holds a call. */
static const char hold_key = 0;

static int close_hold(lua_State *L) {
  call **hold = lua_touserdata(L, 1);
  if (hold != NULL && *hold != NULL) leave(*hold);
  return 0;
}

static void make_hold_meta(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_hold);
  lua_setfield(L, -2, "__close");
}

/* Puts a variable that holds a call, none so far, below the values on the
   stack. It is closed when the function is left. */
static call **push_hold(lua_State *L) {
  call **hold = cast_lua_newuserdata(L, sizeof *hold);
  *hold = NULL;
  (void)cast_single_push(L, &hold_key, make_hold_meta, NULL);
  lua_setmetatable(L, -2);
  lua_insert(L, 1);
#if CAST_LUA >= 505
  lua_toclose(L, 1);
#endif
  return hold;
}

/* casting.require(name) */
int cast_lib_require(lua_State *L) {
  cast_state *S = cast_state_here(L);
  call c = {.S = S}, **hold;
  cast_task *base;
  int status;
  (void)cast_arg_string(L, 1, NULL);
  lua_settop(L, 1);
  if (is_loaded(L)) {
    lua_getglobal(L, "require");
    lua_insert(L, 1);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L);
  }
  hold = push_hold(L);
  *hold = &c;
  lua_pushcfunction(L, load);
  lua_insert(L, 2);
  lua_pushlightuserdata(L, &c);
  lua_insert(L, 3);
  status = lua_pcall(L, 2, LUA_MULTRET, 0);
  leave(&c);
  *hold = NULL;
  if (status == LUA_OK) return lua_gettop(L) - 1;
  base = S->session.current;
  if (base != NULL && cast_ltask_of(base)->loading && !cast_forked)
    cast_load_settle(L, S, cast_ltask_of(base));
  add_place(L);
  cast_origin_show(L);
  return lua_error(L);
}

/* -- sessions that are made meanwhile ------------------------------------- */

void cast_loader_pass_on(const cast_state *from, const cast_ltask *t,
  cast_state *S, cast_ltask *init) {
  const call *c = from->turns.first;
  while (c != NULL && c->task != &t->base) c = c->next;
  cast_lock_take(&turn.lock);
  if (c != NULL)
    S->turns.awaited = turn.number;
  else if (from->turns.init == t->base.id)
    S->turns.awaited = from->turns.awaited;
  cast_lock_drop(&turn.lock);
  S->turns.init = init->base.id;
}
