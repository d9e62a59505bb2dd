/* lib_ticker.c - casting.after and casting.every.
   SPDX-License-Identifier: MIT

   A ticker is a timer of the process that sends the time into a channel with
   room for one such message. The channel owns it, and stops it when it is
   freed; the timers' lock orders that with a tick under way (timer.h,
   invariant 1). Invariants:
   1. A ticker whose tick lies in the channel has no deadline: its timer is
      kept in its heap for later. Whoever takes the tick sets it to the next
      time of its grid. So a program may have any number of tickers that nobody
      listens to, and of each period; they cost nothing.
   2. What is in the channel after a tick was sent, if anything, is taken after
      that: so either sysmon finds the channel empty, and sets the timer,
      or the taker does; or both, to the same time. */
#include "../../base.h"
#include "../../chan.h"
#include "../../errand.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../timer.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/state.h"
#include "../transfer/pack.h"
#include "lib.h"
#include "lib_chan.h"

typedef struct ticker {
  cast_timer timer;
  cast_chan *chan;          /* (i) no reference: it has the ticker */
  uint64_t period_ns;       /* (i) 0: once */
  _Atomic uint64_t last_ns; /* (a) when the last tick was due */
} ticker;

/* The next time of its grid. Ticks that were missed are dropped. */
static uint64_t next_tick(const ticker *k) {
  /* Relaxed: whoever asks has taken the tick, or sends it. */
  uint64_t last = atomic_load_explicit(&k->last_ns, memory_order_relaxed);
  uint64_t now = os_now(), late = now > last ? (now - last) % k->period_ns : 0;
  return now > last ? now - late + k->period_ns : last + k->period_ns;
}

/* Under the timers' lock. Should the channel's end have begun, it waits for
   that. */
static bool is_due(cast_timer *t) {
  ticker *k = CAST_CONTAINER(t, ticker, timer);
  if (!cast_ref_if_alive(&k->chan->object)) return false;
  atomic_store_explicit(&k->last_ns, t->deadline_ns, memory_order_relaxed);
  cast_timer_again(t, OS_FOREVER); /* keeps its place */
  return true;
}

static void send_time(cast_chan *c) {
  cast_waiter w;
  memset(&w, 0, sizeof w);
  cast_pack_number((double)os_now() * 1e-9, &w.msg);
  if (cast_chan_send(c, NULL, NULL, &w) != 0) cast_msg_drop(&w.msg);
}

static void tick(cast_timer *t) {
  ticker *k = CAST_CONTAINER(t, ticker, timer);
  cast_chan *c = k->chan;
  send_time(c);
  if (cast_chan_len(c) == 0 && !cast_chan_is_closed(c))
    (void)cast_timer_set_sooner(t, next_tick(k));
  cast_unref_aside(&c->object);
}

static void on_taken(cast_chan *c) {
  ticker *k = c->owner;
  if (k != NULL) (void)cast_timer_set_sooner(&k->timer, next_tick(k));
}

/* The end of casting.after: the time, and the close. Those who wait, who may be
   many, are woken a few at a time. */
static void ring(cast_timer *t) {
  ticker *k = CAST_CONTAINER(t, ticker, timer);
  cast_chan *c = k->chan;
  if (!cast_chan_is_closed(c)) send_time(c);
  if (cast_chan_close_part(c, CAST_CLOSE_ROUND))
    (void)cast_timer_set_sooner(t, os_now());
  cast_unref_aside(&c->object);
}

static void stop(cast_chan *c, cast_object **more) {
  ticker *k = c->owner;
  CAST_UNUSED(more);
  if (k == NULL) return;
  cast_timer_remove(&k->timer);
  cast_free(k);
}

/* Pushes the channel; a period of 0 is that of casting.after. */
static int push_ticker(
  lua_State *L, cast_state *S, double seconds, uint64_t period_ns) {
  uint64_t deadline = cast_deadline_in(seconds);
  cast_chan *c;
  ticker *k;
  cast_state_prepare(L, S);
  c = cast_chan_push(L, 1);
  /* Room for the tick, so that sysmon need not allocate. */
  k = cast_chan_grow(c) == 0 ? cast_calloc(sizeof *k) : NULL;
  if (k == NULL) cast_raise_memory(L);
  c->owner = k;
  c->on_free = stop;
  k->timer.lane = cast_timer_lane(S->session.id);
  k->timer.fire = is_due;
  k->timer.after = ring;
  k->chan = c;
  k->period_ns = period_ns;
  if (period_ns != 0) {
    c->on_taken = on_taken;
    k->timer.after = tick;
  }
  atomic_init(&k->last_ns, deadline);
  if (cast_timer_set(&k->timer, deadline) != 0) cast_raise_memory(L);
  return 1;
}

int cast_lib_after(lua_State *L) {
  cast_state *S = cast_state_here(L);
  double seconds = cast_arg_number(L, 1);
  cast_arg_check(
    L, seconds >= 0, 1, "a delay must be a number of seconds, zero or more");
  return push_ticker(L, S, seconds, 0);
}

int cast_lib_every(lua_State *L) {
  cast_state *S = cast_state_here(L);
  double seconds = cast_arg_number(L, 1);
  uint64_t period;
  cast_arg_check(
    L, seconds > 0, 1, "a period must be a positive number of seconds");
  period = cast_period(seconds);
  if (period < CAST_PERIOD_NS) period = CAST_PERIOD_NS;
  return push_ticker(L, S, seconds, period);
}
