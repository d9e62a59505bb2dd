/* lib_ticker.c - casting.after and casting.every.
   SPDX-License-Identifier: MIT

   A ticker is a timer of the process that sends the time into a channel, which
   has room for one such message. The channel owns the ticker, and stops it when
   it is freed; the timers' lock orders that with a tick under way (timer.h,
   invariant 1).
   Locks: the timers' lock guards `timer`. Sysmon's thread calls the functions
   here, but for on_taken (the receiver's does) and stop (any).
   Invariants:
   1. While its tick lies in the channel, a ticker has no deadline: its timer
      keeps its place in the heap, set to OS_FOREVER. The receiver of the tick
      sets it to the next time on its grid. So tickers to which nobody listens
      cost nothing, however many there are and whatever their period.
   2. If there is something in the channel after a tick was sent, it is received
      after that. So either sysmon finds the channel empty, and sets the timer,
      or the receiver does; or both, to the same time. */
#include "../../account.h"
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
  cast_timer timer;         /* (timer lock) */
  cast_chan *chan;          /* (i) its owner, so without a reference */
  uint64_t period_ns;       /* (i) 0: it ticks once (casting.after) */
  _Atomic uint64_t last_ns; /* (a) when the latest tick was due */
  cast_account *account;    /* (i) a sandbox's, one reference; else NULL */
} ticker;

/* With its entry in a heap. */
#define TICKER_BYTES (sizeof(ticker) + 2 * sizeof(void *))

/* The next time on the grid of the ticker. Ticks that were missed are
   dropped. */
static uint64_t next_tick(const ticker *k) {
  /* Relaxed: the caller has received the tick, or sends it. */
  uint64_t last = atomic_load_explicit(&k->last_ns, memory_order_relaxed);
  uint64_t now = os_now(), late = now > last ? (now - last) % k->period_ns : 0;
  return now > last ? now - late + k->period_ns : last + k->period_ns;
}

/* timer.fire, under the timers' lock: takes a strong reference to the channel.
   If the channel's end has begun, there is none to take; and that end, in
   `stop`, waits for this lock. */
static bool is_due(cast_timer *t) {
  ticker *k = CAST_CONTAINER(t, ticker, timer);
  if (!cast_ref_if_alive(&k->chan->object)) return false;
  atomic_store_explicit(&k->last_ns, t->deadline_ns, memory_order_relaxed);
  cast_timer_again(t, OS_FOREVER); /* keeps its place */
  return true;
}

/* Sends the time. If an earlier tick is still there, this one is dropped. */
static void send_time(cast_chan *c) {
  cast_waiter w;
  memset(&w, 0, sizeof w);
  cast_pack_number((double)os_now() * 1e-9, &w.msg);
  if (cast_chan_send(c, NULL, NULL, &w) != 0) cast_msg_drop(&w.msg);
}

/* timer.after of casting.every. */
static void tick(cast_timer *t) {
  ticker *k = CAST_CONTAINER(t, ticker, timer);
  cast_chan *c = k->chan;
  send_time(c);
  if (cast_chan_len(c) == 0 && !cast_chan_is_closed(c))
    (void)cast_timer_set_sooner(t, next_tick(k));
  cast_unref_aside(&c->object);
}

/* A tick was received: the next one may be due. */
static void on_taken(cast_chan *c) {
  ticker *k = c->owner;
  if (k != NULL) (void)cast_timer_set_sooner(&k->timer, next_tick(k));
}

/* timer.after of casting.after: sends the time, and closes the channel. There
   may be many receivers, so they are woken a few at a time, and sysmon looks
   after other timers in between. */
static void ring(cast_timer *t) {
  ticker *k = CAST_CONTAINER(t, ticker, timer);
  cast_chan *c = k->chan;
  if (!cast_chan_is_closed(c)) send_time(c);
  if (cast_chan_close_part(c, CAST_CLOSE_ROUND))
    (void)cast_timer_set_sooner(t, os_now());
  cast_unref_aside(&c->object);
}

/* The channel is being freed. */
static void stop(cast_chan *c, cast_object **more) {
  ticker *k = c->owner;
  CAST_UNUSED(more);
  if (k == NULL) return;
  cast_timer_remove(&k->timer);
  cast_account_release(k->account, TICKER_BYTES);
  cast_free(k);
}

static const cast_chan_kind ticker_chan = {.freed = stop, .taken = on_taken};
static const cast_chan_kind timer_chan = {.freed = stop};

/* Pushes the channel; a period of 0 is that of casting.after. */
static int push_ticker(
  lua_State *L, cast_state *S, double seconds, uint64_t period_ns) {
  uint64_t deadline = cast_deadline_in(seconds);
  cast_chan *c;
  ticker *k;
  cast_state_prepare(L, S);
  c = cast_chan_push(L, 1);
  /* The channel's place for the tick is allocated now: sysmon must not need
     memory. */
  k = cast_chan_grow(c, &S->session) == 0 ? cast_calloc(sizeof *k) : NULL;
  if (k == NULL || !cast_account_hold(S->session.account, TICKER_BYTES)) {
    cast_free(k);
    cast_raise_memory(L);
  }
  k->account = S->session.account;
  c->owner = k;
  c->kind = period_ns != 0 ? &ticker_chan : &timer_chan;
  k->timer.lane = cast_timer_lane(S->session.id);
  k->timer.fire = is_due;
  k->timer.after = ring;
  k->chan = c;
  k->period_ns = period_ns;
  if (period_ns != 0) k->timer.after = tick;
  atomic_init(&k->last_ns, deadline);
  if (cast_timer_set(&k->timer, deadline) != 0) cast_raise_memory(L);
  return 1;
}

/* casting.after(seconds) */
int cast_lib_after(lua_State *L) {
  cast_state *S = cast_state_here(L);
  double seconds = cast_arg_number(L, 1);
  cast_arg_check(
    L, seconds >= 0, 1, "a delay must be a number of seconds, zero or more");
  return push_ticker(L, S, seconds, 0);
}

/* casting.every(seconds) */
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
