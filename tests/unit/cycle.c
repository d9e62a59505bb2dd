/* cycle.c - tests of channels that only they themselves refer to.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/account.h"
#include "../../src/cycle.h"

static cast_account *account;

/* -- an object in between ------------------------------------------------- */

typedef struct box {
  cast_object object;
  cast_msg msg;
} box;

static void (*on_free)(void); /* called when the next one is freed, or NULL */

static void box_free(cast_object *o) {
  void (*f)(void) = on_free;
  on_free = NULL;
  cast_free(CAST_CONTAINER(o, box, object));
  if (f != NULL) f();
}
static void box_release(cast_object *o, cast_object **more) {
  cast_msg_drop_later(&CAST_CONTAINER(o, box, object)->msg, more);
}
static const cast_type box_type = {"box", box_free, box_release};

static bool leads(const cast_object *o) { return o->type == &box_type; }
static uint32_t shown; /* how many were looked at */

static bool show(cast_object *o, cast_visit *v) {
  shown++;
  cast_visit_msg(v, &CAST_CONTAINER(o, box, object)->msg);
  return false;
}
static const cast_visitor visitor = {.leads = leads, .show = show};

static int setup(void **state) {
  uint64_t max[CAST_USES] = {0};
  CAST_UNUSED(state);
  account = cast_account_new(NULL, max);
  return account != NULL ? 0 : 1;
}

static int teardown(void **state) {
  CAST_UNUSED(state);
  CAST_ALWAYS(cast_account_used(account, CAST_BYTES) == 0);
  cast_account_unref(account);
  CAST_ALWAYS(cast_mem_live() == 0);
  return 0;
}

static cast_chan *make(cast_account *a) {
  cast_chan *c = cast_chan_new(CAST_UNBOUNDED);
  CAST_ALWAYS(c != NULL && cast_chan_join(c, a) == 0);
  return c;
}

/* Sends a message with n references to `what`, one that lies in its struct or
   one with a block. */
static void put(cast_chan *c, cast_object *what, uint32_t n, uint32_t size) {
  cast_waiter w;
  memset(&w, 0, sizeof w);
  CAST_ALWAYS(cast_msg_init(&w.msg, size, n) == 0);
  for (uint32_t i = 0; i < n; i++) cast_msg_items(&w.msg)[i] = cast_ref(what);
  CAST_ALWAYS(cast_chan_send(c, NULL, NULL, &w) == 0);
}

/* A channel in itself, and others in a ring; their last handles go. */
static void frees_cycles(void **state) {
  enum { N = 50 };
  cast_chan *c[N];
  CAST_UNUSED(state);
  for (int i = 0; i < N; i++) c[i] = make(account);
  put(c[0], &c[0]->object, 2, 1);
  put(c[0], &c[0]->object, 1, 1000);
  for (int i = 1; i < N; i++) {
    cast_object *next = &c[i + 1 < N ? i + 1 : 1]->object;
    put(c[i], next, 1, i % 2 == 0 ? 1 : 100);
    put(c[i], &c[i / 2]->object, 1, 1);
  }
  for (int i = 0; i < N; i++) cast_unref(&c[i]->object);
  cast_cycles_end(account, &visitor);
}

static cast_msg content(cast_chan *c) {
  cast_waiter w;
  memset(&w, 0, sizeof w);
  CAST_ALWAYS(cast_chan_receive(c, NULL, NULL, &w) == 0);
  return w.msg;
}

/* What somebody can reach stays whole, with all that it leads to; until nobody
   can. */
static void keeps_what_is_reached(void **state) {
  cast_chan *a = make(account), *b = make(account), *c = make(account);
  cast_msg m;
  CAST_UNUSED(state);
  put(a, &b->object, 1, 1);
  put(b, &a->object, 1, 100);
  put(b, &c->object, 1, 1);
  put(c, &c->object, 1, 1);
  cast_unref(&b->object);
  cast_unref(&c->object);
  cast_cycles_end(account, &visitor); /* a is held here */
  assert_int_equal(cast_chan_len(a), 1);
  assert_int_equal(cast_chan_len(b), 2);
  assert_int_equal(cast_chan_len(c), 1);
  m = content(c);                     /* c lies in b only */
  cast_cycles_end(account, &visitor); /* and here */
  assert_int_equal(cast_chan_len(a), 1);
  cast_msg_drop(&m);
  cast_unref(&a->object);
  cast_cycles_end(account, &visitor); /* the next session that closes */
}

/* Messages that share a block have one reference together: one of them lies
   outside. */
static void counts_shared_blocks(void **state) {
  cast_chan *a = make(account), *b = make(account);
  cast_chan *out = cast_chan_new(CAST_UNBOUNDED);
  cast_waiter w, other, third;
  cast_msg m;
  CAST_UNUSED(state);
  assert_non_null(out);
  memset(&w, 0, sizeof w);
  memset(&other, 0, sizeof other);
  memset(&third, 0, sizeof third);
  assert_int_equal(cast_msg_init(&w.msg, 200, 1), 0);
  cast_msg_items(&w.msg)[0] = cast_ref(&a->object);
  cast_msg_dup(&other.msg, &w.msg);
  cast_msg_dup(&third.msg, &w.msg);
  assert_int_equal(cast_chan_send(a, NULL, NULL, &w), 0);
  assert_int_equal(cast_chan_send(b, NULL, NULL, &other), 0);
  assert_int_equal(cast_chan_send(out, NULL, NULL, &third), 0);
  put(a, &b->object, 1, 1);
  cast_unref(&a->object);
  cast_unref(&b->object);
  cast_cycles_end(account, &visitor);
  assert_int_equal(cast_chan_len(a), 2); /* reached through `out` */
  assert_int_equal(cast_chan_len(b), 1);
  m = content(out);
  cast_msg_drop(&m);
  cast_cycles_end(account, &visitor);
  cast_unref(&out->object);
}

/* A channel of the program's, which two sessions send handles into. */
static void frees_adopted(void **state) {
  uint64_t max[CAST_USES] = {0};
  cast_account *other = cast_account_new(NULL, max);
  cast_chan *c = cast_chan_new(CAST_UNBOUNDED), *a = make(account);
  CAST_UNUSED(state);
  CAST_ALWAYS(other != NULL && c != NULL);
  assert_int_equal(cast_chan_adopt(c, account), 0);
  assert_int_equal(cast_chan_adopt(c, other), 0);
  assert_int_equal(cast_account_used(other, CAST_BYTES), 0);
  put(c, &a->object, 1, 1);
  put(c, &c->object, 1, 100);
  put(a, &c->object, 1, 1);
  cast_unref(&a->object);
  cast_cycles_end(other, &visitor);
  cast_cycles_end(account, &visitor); /* c is held here */
  assert_int_equal(cast_chan_len(c), 2);
  cast_unref(&c->object);
  cast_cycles_end(other, &visitor);
  cast_account_unref(other);
}

/* -- objects in between --------------------------------------------------- */

/* A message with one reference, which it takes over. */
static box *box_of(cast_object *o) {
  box *b = cast_calloc(sizeof *b);
  CAST_ALWAYS(b != NULL && cast_msg_init(&b->msg, 1, 1) == 0);
  cast_object_init(&b->object, &box_type);
  cast_msg_items(&b->msg)[0] = o;
  return b;
}

/* Far too deep for recursion. */
static void looks_through_objects(void **state) {
  cast_chan *a = make(account);
  cast_object *o = cast_ref(&a->object);
  box *outer;
  CAST_UNUSED(state);
  for (int i = 0; i < 200000; i++) o = &box_of(o)->object;
  put(a, o, 1, 1);
  cast_unref(&a->object);
  cast_cycles_end(account, &visitor);
  assert_int_equal(cast_chan_len(a), 1); /* the outermost is held here */
  outer = CAST_CONTAINER(o, box, object);
  cast_unref(&outer->object);
  /* So much is not looked at for each session that closes. */
  for (int i = 0; i < 1000 && cast_account_used(account, CAST_BYTES) > 0; i++)
    cast_cycles_end(account, &visitor);
}

/* A message with so many objects that lead nowhere else. */
static cast_msg make_wide(uint32_t n) {
  cast_msg m;
  CAST_ALWAYS(cast_msg_init(&m, 1, n) == 0);
  for (uint32_t i = 0; i < n; i++) {
    box *b = cast_calloc(sizeof *b);
    CAST_ALWAYS(b != NULL);
    cast_object_init(&b->object, &box_type);
    cast_msg_items(&m)[i] = &b->object;
  }
  return m;
}

/* What sessions leave leads to a message with very many objects, which costs
   them nothing. It is not looked at for each of them; nevertheless what cannot
   be reached any more is found before long. */
static void looks_for_what_was_left(void **state) {
  enum { WIDE = 20000, TIMES = 100 };
  uint64_t max[CAST_USES] = {0};
  cast_account *other = cast_account_new(NULL, max);
  cast_chan *kept[TIMES], *lost = make(account);
  cast_msg wide = make_wide(WIDE);
  int closed = 0;
  CAST_UNUSED(state);
  CAST_ALWAYS(other != NULL);
  put(lost, &lost->object, 1, 1);
  cast_cycles_end(account, &visitor);
  shown = 0;
  for (int i = 0; i < TIMES; i++) {
    cast_waiter w;
    memset(&w, 0, sizeof w);
    cast_msg_dup(&w.msg, &wide);
    kept[i] = make(other);
    CAST_ALWAYS(cast_chan_send(kept[i], NULL, NULL, &w) == 0);
    cast_cycles_end(other, &visitor);
  }
  assert_true(shown < TIMES * WIDE / 2);
  cast_unref(&lost->object);
  for (; cast_account_used(account, CAST_BYTES) > 0; closed++)
    cast_cycles_end(other, &visitor);
  assert_true(closed <= 40);
  for (int i = 0; i < TIMES; i++) cast_unref(&kept[i]->object);
  cast_msg_drop(&wide);
  cast_account_unref(other);
}

static cast_account *late; /* closes at the end of a look */

static void close_late(void) { cast_cycles_end(late, &visitor); }

/* A session that closes while another one's look is ending is looked after. */
static void misses_none_at_the_end(void **state) {
  uint64_t max[CAST_USES] = {0};
  cast_chan *a = make(account), *b;
  box *last = box_of(cast_ref(&a->object));
  CAST_UNUSED(state);
  late = cast_account_new(NULL, max);
  CAST_ALWAYS(late != NULL);
  b = make(late);
  put(b, &b->object, 1, 1);
  cast_unref(&b->object);
  put(a, &last->object, 1, 1);
  cast_unref(&last->object);
  cast_unref(&a->object);
  on_free = close_late;
  cast_cycles_end(account, &visitor); /* has the last reference to the object */
  assert_null(on_free);
  assert_int_equal(cast_account_used(late, CAST_BYTES), 0);
  cast_account_unref(late);
}

/* Pairs of channels of two sessions, the first of which closes while the second
   has all of them. What is left of them is looked at together, however many
   they are; but not each time, if somebody else has as many. */
static void finds_all_that_is_left(void **state) {
  enum { N = 20000 };
  cast_chan **kept = cast_alloc(N * sizeof(cast_chan *));
  uint64_t max[CAST_USES] = {0};
  cast_account *second = cast_account_new(NULL, max);
  CAST_UNUSED(state);
  CAST_ALWAYS(kept != NULL && second != NULL);
  for (int i = 0; i < N; i++) {
    kept[i] = make(account);
    put(kept[i], &kept[i]->object, 1, 1);
  }
  for (int round = 0; round < 3; round++) {
    cast_chan **a = cast_alloc(N * sizeof(cast_chan *));
    uint64_t before = cast_account_used(account, CAST_BYTES);
    CAST_ALWAYS(a != NULL);
    for (int i = 0; i < N; i++) {
      cast_chan *b = make(second);
      a[i] = make(account);
      put(a[i], &b->object, 1, 1);
      put(b, &a[i]->object, 1, 100);
      cast_unref(&b->object);
    }
    cast_cycles_end(account, &visitor);
    for (int i = 0; i < N; i++) cast_unref(&a[i]->object);
    cast_cycles_end(second, &visitor);
    for (int i = 0; i < 20; i++) cast_cycles_end(second, &visitor);
    CAST_ALWAYS(cast_account_used(account, CAST_BYTES) == before);
    CAST_ALWAYS(cast_account_used(second, CAST_BYTES) == 0);
    cast_free(a);
  }
  for (int i = 0; i < N; i++) assert_int_equal(cast_chan_len(kept[i]), 1);
  for (int i = 0; i < N; i++) cast_unref(&kept[i]->object);
  cast_free(kept);
  for (int i = 0; i < 20; i++) cast_cycles_end(account, &visitor);
  cast_account_unref(second);
}

/* Whatever allocation fails, nothing is lost, and the next look does it. */
static void needs_memory(void **state) {
  CAST_UNUSED(state);
#if CAST_DEBUG >= 1
  for (uint64_t n = 1;; n++) {
    cast_chan *a = make(account), *b = make(account);
    bool failed;
    put(a, &b->object, 1, 1);
    put(b, &a->object, 1, 100);
    cast_unref(&a->object);
    cast_unref(&b->object);
    cast_mem_fail_at(n);
    cast_cycles_end(account, &visitor);
    failed = cast_mem_has_failed();
    cast_mem_fail_at(0);
    cast_cycles_end(account, &visitor);
    CAST_ALWAYS(cast_account_used(account, CAST_BYTES) == 0);
    if (!failed) break;
  }
#endif
}

/* -- others meanwhile ----------------------------------------------------- */

static cast_chan *passed[8]; /* each is held by the thread below */
static _Atomic bool over;

/* Moves handles of channels between channels, all the time. Each that it has,
   or has just taken out of a channel that it has, must still be whole. */
static void pass_on(void *arg) {
  uint64_t seed = 7;
  CAST_UNUSED(arg);
  while (!atomic_load(&over)) {
    cast_chan *from = passed[unit_random(&seed) % 8], *to;
    cast_waiter w;
    memset(&w, 0, sizeof w);
    if (cast_chan_receive(from, NULL, NULL, &w) != 0)
      CAST_ALWAYS(!"a channel in use was emptied");
    CAST_ALWAYS(w.msg.nrefs == 1);
    to = CAST_CONTAINER(cast_msg_items(&w.msg)[0], cast_chan, object);
    CAST_ALWAYS(cast_chan_len(to) <= 64);
    CAST_ALWAYS(cast_chan_send(from, NULL, NULL, &w) == 0);
  }
}

static void races_with_users(void **state) {
  os_thread thread;
  CAST_UNUSED(state);
  atomic_store(&over, false);
  for (int i = 0; i < 8; i++) passed[i] = make(account);
  for (int i = 0; i < 8; i++)
    for (int k = 0; k < 4; k++)
      put(passed[i], &passed[(i + k) % 8]->object, 1, k % 2 == 0 ? 1 : 99);
  assert_int_equal(os_thread_start(&thread, pass_on, NULL, "cycle"), 0);
  for (uint32_t i = 0; i < unit_times(20000); i++) {
    cast_chan *a = make(account);
    put(a, &a->object, 1, 1);
    cast_unref(&a->object);
    cast_cycles_end(account, &visitor);
  }
  atomic_store(&over, true);
  os_thread_join(&thread);
  for (int i = 0; i < 8; i++) assert_int_equal(cast_chan_len(passed[i]), 4);
  for (int i = 0; i < 8; i++) cast_unref(&passed[i]->object);
  cast_cycles_end(account, &visitor);
}

/* Somebody has a message that shares a block with one in a packed message, and
   takes the handle of a channel out of it while it is looked where that can be
   reached: his reference comes from what is read without a lock, and the one
   that he had before may be gone when it is looked for. */
static struct {
  cast_msg msg;
  cast_chan *chan;
  uint64_t delay;
  _Atomic uint32_t begun, ended; /* rounds */
} walker;

/* Until the other thread has come as far; it is just behind, or was stopped. */
static void await_round(_Atomic uint32_t *at, uint32_t round) {
  uint32_t now;
  for (uint32_t i = 0; (now = atomic_load(at)) != round; i++)
    if (i < 20000)
      os_relax();
    else
      (void)os_wait(at, now, os_now() + 100000);
}

static void walk(void *arg) {
  uint32_t rounds = *(uint32_t *)arg;
  for (uint32_t i = 1; i <= rounds; i++) {
    cast_object *o;
    await_round(&walker.begun, i);
    for (uint64_t k = 0; k < walker.delay; k++)
      (void)atomic_load(&walker.begun);
    o = cast_ref(cast_msg_items(&walker.msg)[0]);
    walker.chan = CAST_CONTAINER(o, cast_chan, object);
    cast_msg_drop(&walker.msg);
    atomic_store(&walker.ended, i);
  }
}

/* A channel with a chain of so many objects, which leads back to it. */
static cast_chan *make_walk(int n) {
  cast_chan *c = make(account);
  box *first = box_of(NULL);
  cast_object *o = &first->object;
  cast_msg_drop(&first->msg);
  CAST_ALWAYS(cast_msg_init(&first->msg, 200, 1) == 0);
  cast_msg_items(&first->msg)[0] = cast_ref(&c->object);
  cast_msg_dup(&walker.msg, &first->msg);
  for (; n > 0; n--) o = &box_of(o)->object;
  put(c, o, 1, 1);
  cast_unref(o);
  return c;
}

static void sees_who_walks(void **state) {
  uint64_t seed = 11;
  uint32_t rounds = (uint32_t)unit_times(2000);
  os_thread thread;
  CAST_UNUSED(state);
  CAST_ALWAYS(os_thread_start(&thread, walk, &rounds, "walker") == 0);
  for (uint32_t i = 1; i <= rounds; i++) {
    cast_chan *c = make_walk(1000);
    cast_unref(&c->object);
    walker.delay = unit_random(&seed) % 60000;
    atomic_store(&walker.begun, i);
    cast_cycles_end(account, &visitor);
    await_round(&walker.ended, i);
    CAST_ALWAYS(cast_chan_len(walker.chan) == 1);
    cast_unref(&walker.chan->object);
    cast_cycles_end(account, &visitor);
  }
  os_thread_join(&thread);
}

/* Several threads close sessions at once: one looks for all. */
static void close_many(void *arg) {
  uint64_t max[CAST_USES] = {0};
  CAST_UNUSED(arg);
  for (uint32_t i = 0; i < unit_times(1000); i++) {
    cast_account *mine = cast_account_new(NULL, max);
    cast_chan *a, *b;
    CAST_ALWAYS(mine != NULL);
    a = make(mine);
    b = make(mine);
    put(a, &b->object, 1, 1);
    put(b, &a->object, 1, 100);
    cast_unref(&a->object);
    cast_unref(&b->object);
    cast_cycles_end(mine, &visitor);
    cast_account_unref(mine);
  }
}

static void closes_many_at_once(void **state) {
  os_thread threads[3];
  CAST_UNUSED(state);
  for (int i = 0; i < 3; i++)
    CAST_ALWAYS(os_thread_start(&threads[i], close_many, NULL, "closer") == 0);
  for (int i = 0; i < 3; i++) os_thread_join(&threads[i]);
  cast_cycles_end(account, &visitor);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(frees_cycles),
    TEST(keeps_what_is_reached),
    TEST(counts_shared_blocks),
    TEST(frees_adopted),
    TEST(finds_all_that_is_left),
    TEST(looks_through_objects),
    TEST(looks_for_what_was_left),
    TEST(misses_none_at_the_end),
    TEST(needs_memory),
    TEST(races_with_users),
    TEST(sees_who_walks),
    TEST(closes_many_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
