/* os.c - tests of the contract with the operating system, but for C stacks.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../src/os/os.h"

#define MS UINT64_C(1000000)

/* -- clock and processors */

static void clock_goes_on(void **state) {
  CAST_UNUSED(state);
  uint64_t last = os_now();
  assert_true(last > 0);
  for (int i = 0; i < 10000; i++) {
    uint64_t now = os_now();
    assert_true(now >= last);
    last = now;
  }
  os_relax();
  os_cede();
}

static void counts_and_bits(void **state) {
  CAST_UNUSED(state);
  unsigned n = os_cpu_count();
  assert_true(n >= 1);
  assert_true((long)n <= sysconf(_SC_NPROCESSORS_CONF));
  assert_true(os_entropy() != os_entropy());
}

/* -- threads */

typedef struct report {
  uintptr_t self;
  bool right_mask;
  char name[16];
  size_t deep;
} report;

/* Uses a good part of the stack that a thread is promised. */
static CAST_NOINLINE size_t dig(int depth) {
  _Atomic char frame[16384];
  atomic_store_explicit(&frame[0], (char)depth, memory_order_relaxed);
  size_t below = depth > 0 ? dig(depth - 1) : 0;
  return below + sizeof frame +
         (size_t)(atomic_load_explicit(&frame[0], memory_order_relaxed) & 0);
}

static bool mask_is_right(void) {
  sigset_t now;
  if (pthread_sigmask(SIG_SETMASK, NULL, &now) != 0) return false;
  return sigismember(&now, SIGINT) == 1 && sigismember(&now, SIGTERM) == 1 &&
         sigismember(&now, SIGALRM) == 1 && sigismember(&now, SIGSEGV) == 0 &&
         sigismember(&now, SIGURG) == 0;
}

static void report_main(void *arg) {
  report *r = arg;
  r->self = os_thread_self();
  r->right_mask = mask_is_right();
  (void)pthread_getname_np(pthread_self(), r->name, sizeof r->name);
  r->deep = dig(40);
}

static void threads_start_and_end(void **state) {
  CAST_UNUSED(state);
  report r[2];
  os_thread t[2];
  sigset_t before, after;
  (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
  memset(r, 0, sizeof r);
  assert_int_equal(os_thread_start(&t[0], report_main, &r[0], "short"), 0);
  assert_int_equal(
    os_thread_start(&t[1], report_main, &r[1], "a name of more than fifteen"),
    0);
  assert_true(t[0].handle != t[1].handle);
  for (int i = 0; i < 2; i++) {
    os_thread_join(&t[i]);
    assert_true(r[i].self == t[i].handle);
    assert_true(r[i].right_mask);
    assert_true(r[i].deep >= 640000);
  }
  assert_true(os_thread_self() != 0);
  assert_string_equal(r[0].name, "short");
  assert_string_equal(r[1].name, "a name of more ");
  (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
  for (int i = 1; i < 32; i++)
    assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

/* -- sleeping on a word */

static _Atomic uint32_t word;

static void set_word(uint32_t value) {
  /* PAIR word: release what was done before. */
  atomic_store_explicit(&word, value, memory_order_release);
  os_wake(&word, 1);
}

static uint32_t get_word(void) {
  /* PAIR word: acquire what the setter did. */
  return atomic_load_explicit(&word, memory_order_acquire);
}

static void await_word(uint32_t value) {
  for (uint32_t now = get_word(); now != value; now = get_word())
    (void)os_wait(&word, now, OS_FOREVER);
}

static void wait_looks_and_times_out(void **state) {
  CAST_UNUSED(state);
  set_word(5);
  assert_int_equal(os_wait(&word, 4, OS_FOREVER), OS_EAGAIN);
  assert_int_equal(os_wait(&word, 4, 1), OS_EAGAIN);
  assert_int_equal(os_wait(&word, 5, 1), OS_ETIMEOUT);
  assert_int_equal(os_wait(&word, 5, os_now()), OS_ETIMEOUT);
  assert_int_equal(os_wait(&word, 4, OS_FOREVER - 1), OS_EAGAIN);
  uint64_t until = os_now() + 3 * MS;
  assert_int_equal(os_wait(&word, 5, until), OS_ETIMEOUT);
  assert_true(os_now() >= until);
  os_wake(&word, 100); /* nobody there */
}

enum { ROUNDS = 2000 };

static void pong(void *arg) {
  uint32_t *plain = arg;
  for (uint32_t i = 0; i < ROUNDS; i++) {
    await_word(2 * i + 1);
    (*plain)++;
    set_word(2 * i + 2);
  }
}

static void wake_reaches_the_sleeper(void **state) {
  CAST_UNUSED(state);
  os_thread t;
  uint32_t plain = 0;
  set_word(0);
  assert_int_equal(os_thread_start(&t, pong, &plain, "os"), 0);
  for (uint32_t i = 0; i < ROUNDS; i++) {
    set_word(2 * i + 1);
    await_word(2 * i + 2);
    assert_int_equal(plain, i + 1);
  }
  os_thread_join(&t);
}

/* -- event */

static os_event event;
static _Atomic uint32_t signals; /* (a) handlers that have run */
static _Atomic uint32_t round_now;

static bool readable(void) {
  struct pollfd p = {event.fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

static void event_is_set_and_cleared(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(os_event_init(&event), 0);
  for (int i = 0; i < 3; i++) {
    assert_false(readable());
    assert_int_equal(os_event_wait(&event, 1, NULL, NULL), OS_ETIMEOUT);
    os_event_set(&event);
    assert_true(readable());
    os_event_set(&event);
    assert_int_equal(os_event_wait(&event, OS_FOREVER, NULL, NULL), 0);
    assert_int_equal(os_event_wait(&event, 1, NULL, NULL), 0);
    assert_true(readable());
    os_event_clear(&event);
    os_event_clear(&event);
  }
  uint64_t until = os_now() + 3 * MS;
  assert_int_equal(os_event_wait(&event, until, NULL, NULL), OS_ETIMEOUT);
  assert_true(os_now() >= until);
  os_event_set(&event);
  os_event_fini(&event);
}

static void set_main(void *arg) {
  uint32_t *plain = arg;
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    /* PAIR round: the sleeper has seen the round before. */
    while (atomic_load_explicit(&round_now, memory_order_acquire) != i)
      os_cede();
    *plain = i;
    os_event_set(&event);
  }
}

static void event_wakes_the_sleeper(void **state) {
  CAST_UNUSED(state);
  os_thread t;
  uint32_t plain = 0;
  assert_int_equal(os_event_init(&event), 0);
  assert_int_equal(os_thread_start(&t, set_main, &plain, "os"), 0);
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    /* PAIR round: publishes the look at `plain`. */
    atomic_store_explicit(&round_now, i, memory_order_release);
    assert_int_equal(os_event_wait(&event, OS_FOREVER, NULL, NULL), 0);
    os_event_clear(&event);
    assert_int_equal(plain, i);
  }
  os_thread_join(&t);
  assert_false(readable());
  os_event_fini(&event);
}

static _Atomic uint32_t produced;

static void produce_main(void *arg) {
  CAST_UNUSED(arg);
  for (int i = 0; i < ROUNDS; i++) {
    atomic_fetch_add_explicit(&produced, 1, memory_order_relaxed);
    os_event_set(&event);
    if (i % 16 == 0) os_cede();
  }
}

/* Sets race with clears: clear, then look, misses nothing. */
static void sets_are_not_lost(void **state) {
  CAST_UNUSED(state);
  os_thread t[2];
  assert_int_equal(os_event_init(&event), 0);
  atomic_store_explicit(&produced, 0, memory_order_relaxed);
  for (int i = 0; i < 2; i++)
    assert_int_equal(os_thread_start(&t[i], produce_main, NULL, "os"), 0);
  uint32_t seen = 0;
  while (seen < 2 * ROUNDS) {
    assert_int_equal(os_event_wait(&event, OS_FOREVER, NULL, NULL), 0);
    os_event_clear(&event);
    seen = atomic_load_explicit(&produced, memory_order_relaxed);
  }
  for (int i = 0; i < 2; i++) os_thread_join(&t[i]);
  assert_int_equal(readable(), event.set);
  os_event_clear(&event);
  assert_false(readable());
  os_event_fini(&event);
}

static void on_signal(int number) {
  CAST_UNUSED(number);
  atomic_fetch_add_explicit(&signals, 1, memory_order_relaxed);
}

static void install(int number, void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  assert_int_equal(sigaction(number, &action, NULL), 0);
}

/* Signals that the waiter has not noticed yet. */
static bool signalled(void *arg) {
  uint32_t *known = arg;
  return atomic_load_explicit(&signals, memory_order_relaxed) != *known;
}

static bool raise_now(void *arg) {
  CAST_UNUSED(arg);
  (void)pthread_kill(pthread_self(), SIGUSR1); /* blocked: becomes pending */
  return false;
}

static void signals_end_a_wait(void **state) {
  CAST_UNUSED(state);
  uint32_t known = 0;
  atomic_store_explicit(&signals, 0, memory_order_relaxed);
  install(SIGUSR1, on_signal);
  assert_int_equal(os_event_init(&event), 0);
  /* Between the question and sleeping. */
  assert_int_equal(
    os_event_wait(&event, OS_FOREVER, raise_now, NULL), OS_EINTR);
  assert_int_equal(signals, 1);
  /* Before the call. */
  assert_int_equal(
    os_event_wait(&event, OS_FOREVER, signalled, &known), OS_EINTR);
  known = 1;
  assert_int_equal(
    os_event_wait(&event, os_now() + MS, signalled, &known), OS_ETIMEOUT);
  /* The signal mask is the caller's again. */
  sigset_t now;
  (void)pthread_sigmask(SIG_SETMASK, NULL, &now);
  assert_int_equal(sigismember(&now, SIGUSR1), 0);
  assert_int_equal(sigismember(&now, SIGINT), 0);
  os_event_fini(&event);
}

/* Code that closes what it finds has closed it; the number may be that of a
   file by now, which can always be read. */
static void closed_events_are_not_awaited(void **state) {
  CAST_UNUSED(state);
  for (int i = 0; i < 2; i++) {
    int file;
    assert_int_equal(os_event_init(&event), 0);
    os_close(event.fd);
    if (i > 0) {
      file = open("/dev/zero", O_RDONLY);
      assert_true(file == event.fd || dup2(file, event.fd) == event.fd);
      if (file != event.fd) os_close(file);
    }
    assert_int_equal(os_event_wait(&event, OS_FOREVER, NULL, NULL), OS_EBADF);
    assert_int_equal(
      os_event_wait(&event, os_now() + MS, NULL, NULL), OS_EBADF);
    os_event_set(&event);
    assert_int_equal(os_event_wait(&event, OS_FOREVER, NULL, NULL), 0);
    os_event_clear(&event);
    if (i > 0) os_close(event.fd);
  }
}

#if defined(__linux__)
static void set_later(void *arg) {
  CAST_UNUSED(arg);
  (void)poll(NULL, 0, 50);
  os_event_set(&event);
}

/* Programs that want to open nothing more set that limit to 0, and then poll(2)
   refuses to ask about a single descriptor. */
static void events_are_awaited_without_descriptors(void **state) {
  CAST_UNUSED(state);
  struct rlimit old, none;
  uint64_t until;
  os_thread t;
  assert_int_equal(os_event_init(&event), 0);
  assert_int_equal(os_thread_start(&t, set_later, NULL, "os"), 0);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
  none = old;
  none.rlim_cur = 0;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  until = os_now() + 5000000;
  assert_int_equal(os_event_wait(&event, until, NULL, NULL), OS_ETIMEOUT);
  assert_true(os_now() >= until);
  assert_int_equal(os_event_wait(&event, OS_FOREVER, NULL, NULL), 0);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
  os_thread_join(&t);
  os_event_fini(&event);
}
#endif

/* More than the process may have descriptors (RLIMIT_NOFILE): poll(2) refuses
   that. */
static void many_looks_are_answered(void **state) {
  CAST_UNUSED(state);
  struct rlimit old, few;
  os_look looks[OS_LOOKS_MOST];
  int fd[2];
  assert_int_equal(pipe(fd), 0);
  for (uint32_t i = 0; i < OS_LOOKS_MOST; i++)
    looks[i] = i % 2 == 0 ? (os_look){fd[1], OS_WRITABLE, 0}
                          : (os_look){fd[0], OS_READABLE, 0};
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
  few = old;
  few.rlim_cur = 16;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
  os_poll_all(looks, OS_LOOKS_MOST);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
  for (uint32_t i = 0; i < OS_LOOKS_MOST; i++)
    assert_int_equal(looks[i].ready, i % 2 == 0 ? (int)OS_WRITABLE : 0);
  os_close(fd[0]);
  os_close(fd[1]);
}

static void kill_main(void *arg) {
  pthread_t *victim = arg;
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    while (atomic_load_explicit(&round_now, memory_order_relaxed) != i)
      os_cede();
    (void)pthread_kill(*victim, SIGUSR1);
  }
}

/* Whenever it comes: before the wait, at its start, during the sleep. A lost
   one would let this test sleep for ever. */
static void no_signal_is_lost(void **state) {
  CAST_UNUSED(state);
  os_thread t;
  pthread_t self = pthread_self();
  atomic_store_explicit(&signals, 0, memory_order_relaxed);
  atomic_store_explicit(&round_now, 0, memory_order_relaxed);
  install(SIGUSR1, on_signal);
  assert_int_equal(os_event_init(&event), 0);
  assert_int_equal(os_thread_start(&t, kill_main, &self, "os"), 0);
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    uint32_t known = i - 1;
    atomic_store_explicit(&round_now, i, memory_order_relaxed);
    for (uint32_t k = 0; k < i % 50; k++) os_relax();
    assert_int_equal(
      os_event_wait(&event, OS_FOREVER, signalled, &known), OS_EINTR);
    assert_int_equal(signals, i);
  }
  os_thread_join(&t);
  os_event_fini(&event);
}

/* -- the module */

static void pin_takes_any_address(void **state) {
  CAST_UNUSED(state);
  static const int here = 1;
  os_pin(&here);
  os_pin(NULL);
  os_pin(&state);
}

/* -- preemption */

static _Atomic uint32_t npreempts;
static _Atomic bool stop;

static void on_preempt(void) {
  errno = ENOENT;
  atomic_fetch_add_explicit(&npreempts, 1, memory_order_relaxed);
}

/* Computes, and never asks anybody anything. */
static void busy_main(void *arg) {
  bool *kept = arg;
  errno = EDOM;
  while (!atomic_load_explicit(&stop, memory_order_relaxed))
    if (errno != EDOM) *kept = false;
}

static void preempt_runs_the_handler(void **state) {
  CAST_UNUSED(state);
  os_thread t;
  bool errno_kept = true;
  atomic_store_explicit(&signals, 0, memory_order_relaxed);
  install(SIGURG, on_signal); /* the host's */
  assert_int_equal(os_preempt_install(on_preempt), 0);
  assert_int_equal(os_thread_start(&t, busy_main, &errno_kept, "os"), 0);
  for (uint32_t i = 1; i <= 100; i++) {
    os_preempt(&t);
    while (atomic_load_explicit(&npreempts, memory_order_relaxed) != i ||
           atomic_load_explicit(&signals, memory_order_relaxed) != i)
      os_cede();
  }
  atomic_store_explicit(&stop, true, memory_order_relaxed);
  os_thread_join(&t);
  assert_true(errno_kept);
  assert_int_equal(npreempts, 100);
  assert_int_equal(signals, 100); /* the host's handler had them too */
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(clock_goes_on),
    cmocka_unit_test(counts_and_bits),
    cmocka_unit_test(threads_start_and_end),
    cmocka_unit_test(wait_looks_and_times_out),
    cmocka_unit_test(wake_reaches_the_sleeper),
    cmocka_unit_test(event_is_set_and_cleared),
    cmocka_unit_test(event_wakes_the_sleeper),
    cmocka_unit_test(closed_events_are_not_awaited),
    cmocka_unit_test(many_looks_are_answered),
#if defined(__linux__)
    cmocka_unit_test(events_are_awaited_without_descriptors),
#endif
    cmocka_unit_test(sets_are_not_lost),
    cmocka_unit_test(signals_end_a_wait),
    cmocka_unit_test(no_signal_is_lost),
    cmocka_unit_test(pin_takes_any_address),
    cmocka_unit_test(preempt_runs_the_handler),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
