/* stream.c - tests of reading from and writing to streams, without Lua.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <sys/socket.h>
#include <unistd.h>

/* It is in a room above what unit tests are linked with, and knows no Lua. */
#include "../../src/lua/io/stream.c"

/* Beneath a runtime, whose end gives back the memory of descriptors. */
static unit_host *host;
static int begin(void **state) {
  CAST_UNUSED(state);
  host = unit_open(2);
  return 0;
}
static int end(void **state) {
  unit_shut(host);
  return unit_clean(state);
}

/* Two ends: a stream, and a descriptor that the test writes to. */
typedef struct ends {
  cast_stream *s;
  int fd;
} ends;

static ends open_ends(void) {
  int fd[2];
  ends e;
  CAST_ALWAYS(os_socket_pair(fd) == 0);
  e.s = cast_stream_new(fd[0], CAST_STREAM_SOCKET);
  CAST_ALWAYS(e.s != NULL);
  e.fd = fd[1];
  return e;
}

static void close_ends(ends *e) {
  os_close(e->fd);
  cast_unref(&e->s->object);
}

/* The other end writes as much as goes. */
static size_t feed(const ends *e, const void *bytes, size_t n) {
  os_bytes b = {bytes, n};
  intptr_t written = os_write(e->fd, &b, 1, true);
  CAST_ALWAYS(written >= 0 || written == OS_EAGAIN);
  return written > 0 ? (size_t)written : 0;
}

/* An idle stream has no buffer; one that waits has little more than its
   bytes. */
static void prove_room(const cast_stream *s) {
  size_t left = cast_stream_left(s);
  CAST_ALWAYS(s->start <= s->end && s->end <= s->room);
  CAST_ALWAYS(left > 0 || s->bytes == NULL);
  CAST_ALWAYS(s->room <= 2 * left + 1024);
}

/* Nobody waits for the turn that a call of many bytes gives. */
static intptr_t gather(cast_stream *s, cast_want *w, cast_runner *r) {
  intptr_t rc;
  while ((rc = cast_stream_gather(s, w, r)) == CAST_MORE) continue;
  return rc;
}
static intptr_t put(cast_stream *s, const os_bytes *pieces, uint32_t n,
  size_t *done, cast_session *self) {
  intptr_t rc;
  while ((rc = cast_stream_send(s, pieces, n, done, self)) == CAST_MORE)
    continue;
  return rc;
}

/* -- all forms, in pieces of any size ------------------------------------- */

#define TEXT 300000

/* Words, lines with both kinds of ends, and marks, drawn from the seed. */
static void compose(char *text, uint64_t *seed) {
  static const char *const marks[] = {"\n", "\r\n", "--", "-", "\r", "--\n"};
  size_t n = 0;
  while (n < TEXT) {
    uint64_t r = unit_random(seed);
    size_t word = r % 64 == 0 ? r / 64 % 20000 : r / 64 % 60;
    const char *end = marks[r / 7 % 6];
    for (size_t i = 0; i < word && n < TEXT; i++)
      text[n++] = (char)('a' + (r + i) % 26);
    for (; *end != '\0' && n < TEXT; end++) text[n++] = *end;
  }
}

/* What a read must bring that begins at `at`: its bytes with the end; 0: the
   rest is not enough. */
static size_t expect(const char *text, size_t at, const cast_want *w) {
  const char *mark = w->kind == CAST_WANT_UNTIL ? w->mark : "\n";
  size_t n = w->kind == CAST_WANT_UNTIL ? w->nmark : 1;
  if (w->kind == CAST_WANT_COUNT) return TEXT - at >= w->size ? w->size : 0;
  for (size_t i = at; i + n <= TEXT; i++)
    if (memcmp(text + i, mark, n) == 0) return i + n - at;
  return 0;
}

static cast_want draw(uint64_t *seed) {
  cast_want w;
  uint64_t r = unit_random(seed);
  memset(&w, 0, sizeof w);
  w.size = 1 << 20;
  switch (r % 4) {
  case 0: w.kind = CAST_WANT_LINE; break;
  case 1: w.kind = CAST_WANT_WHOLE_LINE; break;
  case 2:
    w.kind = CAST_WANT_UNTIL;
    w.mark = "--";
    w.nmark = 2;
    break;
  default:
    w.kind = CAST_WANT_COUNT;
    w.size = 1 + (r % 16 == 3 ? r / 16 % 100000 : r / 16 % 100);
  }
  return w;
}

/* How many bytes a piece has: most often few. */
static size_t piece(uint64_t *seed, size_t left) {
  uint64_t r = unit_random(seed);
  size_t n = 1 + (r % 8 == 0 ? r / 8 % 90000 : r / 8 % 200);
  return n < left ? n : left;
}

static void bytes_come_as_they_were_sent(void **state) {
  char *text = cast_alloc(TEXT);
  CAST_UNUSED(state);
  CAST_ALWAYS(text != NULL);
  for (uint64_t round = 1; round <= unit_times(16); round++) {
    uint64_t seed = round * UINT64_C(0x9e3779b97f4a7c15);
    cast_runner *r = round % 2 == 0 ? &host->host.runner : NULL;
    ends e = open_ends();
    size_t sent = 0, got = 0;
    cast_want w = draw(&seed);
    compose(text, &seed);
    for (;;) {
      intptr_t rc = gather(e.s, &w, r);
      size_t n = expect(text, got, &w);
      if (rc == 0) {
        size_t have = w.kind == CAST_WANT_COUNT ? w.size : w.found;
        assert_int_equal(have, n);
        assert_memory_equal(cast_stream_data(e.s), text + got, n);
        cast_stream_take(e.s, n);
        cast_stream_settle(e.s, r);
        got += n;
        assert_int_equal(cast_stream_taken(e.s), got);
        w = draw(&seed);
        continue;
      }
      prove_room(e.s);
      if (rc == CASTING_ECLOSED) break;
      assert_int_equal(rc, OS_EAGAIN);
      if (sent == TEXT) {
        CAST_ALWAYS(os_shutdown_write(e.fd) == 0);
        e.s->drained = false; /* in place of the event */
      } else {
        sent += feed(&e, text + sent, piece(&seed, TEXT - sent));
        e.s->drained = false;
      }
    }
    assert_int_equal(expect(text, got, &w), 0);
    assert_int_equal(cast_stream_left(e.s), TEXT - got);
    close_ends(&e);
  }
  cast_free(text);
}

/* Into an empty buffer of its own goes more than into scratch memory; without
   memory for it, into that. */
static void much_comes_at_once(void **state) {
  enum { SIZE = 150000, MOST = 1 << 18 };
  static char text[SIZE];
  uint64_t seed = 3;
  int most = 4 * SIZE;
  CAST_UNUSED(state);
  for (size_t i = 0; i < SIZE; i++) text[i] = (char)unit_random(&seed);
  for (int way = 0; way < 4; way++) {
    cast_runner *r = way % 2 == 0 ? &host->host.runner : NULL;
    ends e = open_ends();
    intptr_t n;
    (void)setsockopt(e.fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
    if (feed(&e, text, SIZE) < SIZE) skip();
    if (way >= 2) cast_mem_fail_at(1);
    n = cast_stream_fill_anew(e.s, MOST, r);
    cast_mem_fail_at(0);
    assert_int_equal(n, way < 2 ? SIZE : CAST_READ_MOST);
    assert_int_equal(cast_stream_left(e.s), n);
    assert_memory_equal(cast_stream_data(e.s), text, (size_t)n);
    cast_stream_take(e.s, (size_t)n);
    /* Small again, into scratch memory. */
    if (way < 2) assert_int_equal(feed(&e, text, SIZE), SIZE);
    n = cast_stream_fill_anew(e.s, CAST_READ_MOST, r);
    assert_int_equal(n, CAST_READ_MOST);
    assert_int_equal(e.s->room, CAST_READ_MOST);
    cast_stream_take(e.s, (size_t)n);
    cast_stream_settle(e.s, r);
    prove_room(e.s);
    close_ends(&e);
  }
}

/* Of what comes at once all may stay, so it counts, and near a limit it is
   less. */
static void much_counts_at_once(void **state) {
  enum { MOST = 2 * CAST_READ_MOST };
  static char text[MOST];
  cast_runner *r = &host->host.runner;
  int most = 4 * MOST;
  CAST_UNUSED(state);
  for (size_t times = 4; times <= 16; times *= 4) {
    cast_slabs account = {.max = times * MOST};
    ends e = open_ends();
    intptr_t n;
    cast_stream_assign(e.s, &account);
    (void)setsockopt(e.fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
    if (feed(&e, text, MOST) < MOST) skip();
    n = cast_stream_fill_anew(e.s, MOST, r);
    assert_int_equal(n, times < 8 ? CAST_READ_MOST : MOST);
    cast_stream_settle(e.s, r);
    assert_int_equal(account.bytes, e.s->room);
    cast_stream_take(e.s, (size_t)n);
    cast_stream_settle(e.s, r);
    assert_int_equal(account.bytes, 0);
    close_ends(&e);
  }
}

/* -- short reads ---------------------------------------------------------- */

/* A read of a socket that keeps messages ends with the first one: that tells
   nothing about a second, of which no other event may come. */
static void a_short_read_is_not_the_last(void **state) {
  cast_want w = {.kind = CAST_WANT_SOME, .size = 100};
  ends e;
  int fd[2];
  CAST_UNUSED(state);
  CAST_ALWAYS(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) == 0);
  CAST_ALWAYS(os_nonblocking(fd[0], true) == 0);
  e.s = cast_stream_new(fd[0], CAST_STREAM_SOCKET);
  CAST_ALWAYS(e.s != NULL);
  e.fd = fd[1];
  assert_int_equal(feed(&e, "abc", 3), 3);
  assert_int_equal(feed(&e, "def", 3), 3);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(gather(e.s, &w, NULL), 0);
    assert_int_equal(cast_stream_left(e.s), 3);
    cast_stream_take(e.s, 3);
    cast_stream_settle(e.s, NULL);
  }
  close_ends(&e);
}

/* -- limits --------------------------------------------------------------- */

static intptr_t try(const ends *e, cast_want_kind kind, size_t size) {
  cast_want w;
  memset(&w, 0, sizeof w);
  w.kind = kind;
  w.size = size;
  e->s->drained = false;
  return gather(e->s, &w, NULL);
}

static void what_is_too_long_is_told(void **state) {
  ends e = open_ends();
  CAST_UNUSED(state);
  feed(&e, "12345", 5);
  assert_int_equal(try(&e, CAST_WANT_LINE, 4), CAST_TOO_LONG + 0);
  assert_int_equal(try(&e, CAST_WANT_LINE, 5), OS_EAGAIN);
  assert_int_equal(try(&e, CAST_WANT_ALL, 4), CAST_TOO_LONG);
  assert_int_equal(try(&e, CAST_WANT_ALL, 5), OS_EAGAIN);
  feed(&e, "\n", 1);
  assert_int_equal(try(&e, CAST_WANT_LINE, 4), CAST_TOO_LONG);
  assert_int_equal(try(&e, CAST_WANT_LINE, 5), 0);
  assert_int_equal(try(&e, CAST_WANT_COUNT, 6), 0);
  assert_int_equal(try(&e, CAST_WANT_COUNT, 7), OS_EAGAIN);
  assert_int_equal(try(&e, CAST_WANT_COUNT, 0), 0);
  assert_int_equal(cast_stream_left(e.s), 6);
  os_close(e.fd);
  assert_int_equal(try(&e, CAST_WANT_ALL, 6), CASTING_ECLOSED);
  assert_true(e.s->ended && !e.s->broken);
  e.fd = -1;
  cast_unref(&e.s->object);
}

/* -- memory --------------------------------------------------------------- */

/* Whatever allocation fails, no byte is lost. */
static void no_byte_is_lost_without_memory(void **state) {
  static char text[200000];
  CAST_UNUSED(state);
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 7 % 251);
  for (uint64_t at = 1; at < 40; at++) {
    ends e = open_ends();
    size_t sent = 0;
    unsigned failed = 0;
    cast_mem_fail_at(at);
    for (;;) {
      intptr_t rc = try(&e, CAST_WANT_COUNT, sizeof text);
      if (rc == 0) break;
      failed += rc == CASTING_ENOMEM;
      assert_true(rc == OS_EAGAIN || rc == CASTING_ENOMEM);
      assert_true(failed <= 1);
      sent += feed(
        &e, text + sent, sizeof text - sent < 9000 ? sizeof text - sent : 9000);
    }
    assert_memory_equal(cast_stream_data(e.s), text, sizeof text);
    cast_mem_fail_at(0);
    close_ends(&e);
  }
}

/* Nor at the limit of a session, which counts the buffer and no more. */
static void no_byte_is_lost_at_a_limit(void **state) {
  static char text[200000];
  CAST_UNUSED(state);
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('a' + i * 7 % 26);
  text[sizeof text - 1] = '\n';
  for (size_t max = 100; max < 1000000; max = max * 3 / 2) {
    cast_slabs account = {.max = max}, other = {.max = 1000};
    ends e = open_ends();
    size_t sent = 0;
    cast_stream_assign(e.s, &account);
    for (;;) {
      intptr_t rc = try(&e, CAST_WANT_LINE, sizeof text);
      assert_true(
        account.bytes == e.s->counted && account.bytes <= account.max);
      if (rc == 0) break;
      assert_int_equal(e.s->counted, e.s->room);
      assert_true(rc == OS_EAGAIN || rc == CAST_MORE || rc == CASTING_ENOMEM);
      if (rc == CASTING_ENOMEM) account.max += account.max / 2;
      sent += feed(
        &e, text + sent, sizeof text - sent < 9000 ? sizeof text - sent : 9000);
    }
    cast_stream_settle(e.s, NULL);
    assert_memory_equal(cast_stream_data(e.s), text, sizeof text);
    cast_stream_assign(e.s, &other);
    assert_true(account.bytes == 0 && other.bytes == 0);
    assert_int_not_equal(try(&e, CAST_WANT_COUNT, 2 * sizeof text), 0);
    assert_int_equal(other.bytes, 0);
    cast_stream_take(e.s, sizeof text - 10);
    cast_stream_settle(e.s, NULL);
    assert_int_equal(other.bytes, e.s->room);
    cast_stream_take(e.s, 10);
    cast_stream_settle(e.s, NULL);
    assert_int_equal(other.bytes, 0);
    close_ends(&e);
  }
}

/* -- writing -------------------------------------------------------------- */

static void pieces_are_written_in_order(void **state) {
  enum { PIECES = 200, MOST = 3000 };
  static char text[PIECES * MOST], got[PIECES * MOST];
  os_bytes pieces[PIECES];
  uint64_t seed = 5;
  CAST_UNUSED(state);
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 11 % 253);
  for (uint32_t round = 0; round < unit_times(20); round++) {
    ends e = open_ends();
    size_t total = 0, done = 0, in = 0;
    for (int i = 0; i < PIECES; i++) {
      pieces[i].at = text + total;
      pieces[i].size = unit_random(&seed) % MOST;
      total += pieces[i].size;
    }
    for (;;) {
      intptr_t n, rc = put(e.s, pieces, PIECES, &done, NULL);
      assert_true(rc == 0 || rc == OS_EAGAIN);
      while ((n = os_read(e.fd, got + in, sizeof got - in)) > 0)
        in += (size_t)n;
      assert_int_equal(in, done);
      if (rc == 0) break;
      assert_true(e.s->full);
    }
    assert_false(e.s->full);
    assert_int_equal(done, total);
    assert_memory_equal(got, text, total);
    assert_int_equal(e.s->nwritten, total);
    close_ends(&e);
  }
}

/* While poll(2) says that it can be written to, so much goes at once; else a
   pipe that blocks would stop its thread. */
static void a_pipe_takes_what_fits(void **state) {
  static const char text[70000];
  size_t fits;
  CAST_UNUSED(state);
  for (size_t first = 0; first < 3; first++) {
    int fd[2], n = 0;
    cast_stream *s;
    CAST_ALWAYS(pipe(fd) == 0 && os_nonblocking(fd[1], true) == 0);
    fits = os_pipe_fits(fd[1]);
    assert_true(fits >= 512 && fits < sizeof text);
    s = cast_stream_new(fd[1], CAST_STREAM_SHARED);
    CAST_ALWAYS(s != NULL);
    assert_int_equal(s->most, fits);
    CAST_ALWAYS(write(fd[1], text, first) == (ssize_t)first);
    for (; os_poll_now(fd[1], OS_WRITABLE) != 0; n++)
      assert_int_equal(write(fd[1], text, fits), fits);
    assert_true(n > 0);
    cast_unref(&s->object);
    close(fd[0]);
  }
}

static void the_end_is_told(void **state) {
  os_bytes b = {"x", 1};
  size_t done = 0;
  ends e = open_ends();
  CAST_UNUSED(state);
  assert_int_equal(cast_stream_shut(e.s), 0);
  assert_true(e.s->shut);
  assert_true(os_is_gone(put(e.s, &b, 1, &done, NULL)) && done == 0);
  assert_true(cast_stream_close(e.s, NULL));
  assert_false(cast_stream_close(e.s, NULL));
  assert_int_equal(try(&e, CAST_WANT_SOME, 1), CASTING_ECLOSED);
  assert_int_equal(put(e.s, &b, 1, &done, NULL), CASTING_ECLOSED);
  assert_int_equal(cast_stream_shut(e.s), CASTING_ECLOSED);
  close_ends(&e);
}

/* -- in tasks ------------------------------------------------------------- */

typedef struct talker {
  cast_stream *s;
  uint64_t bytes; /* to be read, or to be written */
} talker;

static bool read_all(unit_task *t) {
  talker *p = t->arg;
  cast_runner *r = t->base.session->runner;
  int rc = unit_over(t) ? t->result : 0;
  for (;;) {
    cast_want w = {.kind = CAST_WANT_SOME, .size = CAST_READ_MOST};
    intptr_t got;
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0);
    got = gather(p->s, &w, r);
    if (got == CASTING_ECLOSED) break;
    if (got == OS_EAGAIN) {
      CAST_ALWAYS(unit_reserve(t, FOREVER) == 0);
      rc = unit_wait(
        t, cast_descriptor_wait(p->s->file, CAST_READ, &t->base), FOREVER);
      r = t->base.session->runner; /* another one may have gone on */
      continue;
    }
    CAST_ALWAYS(got == 0);
    for (size_t i = 0; i < cast_stream_left(p->s); i++)
      CAST_ALWAYS(cast_stream_data(p->s)[i] == (unsigned char)(t->n++ % 251));
    cast_stream_take(p->s, cast_stream_left(p->s));
    cast_stream_settle(p->s, r);
  }
  CAST_ALWAYS(t->n == p->bytes && p->s->bytes == NULL);
  return true;
}

static bool write_all(unit_task *t) {
  enum { SIZE = 251 * 300 };
  talker *p = t->arg;
  static unsigned char text[SIZE];
  int rc = unit_over(t) ? t->result : 0;
  for (;;) {
    size_t done = t->n % SIZE;
    os_bytes b = {text, SIZE};
    intptr_t sent;
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0);
    for (size_t i = 0; t->n == 0 && i < SIZE; i++)
      text[i] = (unsigned char)(i % 251);
    if (t->n >= p->bytes) break;
    sent = put(p->s, &b, 1, &done, t->base.session);
    t->n += done - t->n % SIZE;
    if (sent == 0) continue;
    CAST_ALWAYS(sent == OS_EAGAIN);
    CAST_ALWAYS(unit_reserve(t, FOREVER) == 0);
    rc = unit_wait(
      t, cast_descriptor_wait(p->s->file, CAST_WRITE, &t->base), FOREVER);
  }
  CAST_ALWAYS(cast_stream_shut(p->s) == 0);
  return true;
}

static void tasks_of_two_sessions_talk(void **state) {
  CAST_UNUSED(state);
  for (int way = 0; way < 4; way++) {
    unit_session *s[2] = {unit_session_new(), unit_session_new()};
    talker p[2];
    unit_task *t[2];
    int fd[2];
    CAST_ALWAYS(os_socket_pair(fd) == 0);
    for (int i = 0; i < 2; i++) {
      p[i].s = cast_stream_new(fd[i], CAST_STREAM_SOCKET);
      p[i].bytes = 251 * 300 * (uint64_t)unit_times(200);
      CAST_ALWAYS(p[i].s != NULL);
    }
    t[0] = unit_spawn_as(NULL, s[0], read_all, &p[0], way >= 2);
    t[1] = unit_spawn_as(NULL, s[1], write_all, &p[1], way >= 2);
    for (int i = 0; i < 2; i++) {
      unit_join(host, t[i]);
      cast_unref(&p[i].s->object);
    }
    for (int i = 0; i < 2; i++) unit_close(host, s[i]);
  }
}

/* One event has told of the bytes and of the end behind them. The read takes
   the bytes, and the note of the event: it passes that on, for another task may
   be about to wait, and no event will tell of the end once more. */
static void passes_on_the_end(void **state) {
  CAST_UNUSED(state);
  ends e = open_ends();
  char into[8];
  os_ready told = {(uint64_t)e.s->file->generation << 32 | e.s->file->place,
    OS_READABLE | OS_ENDED};
  cast_jobs jobs = {NULL, NULL, 0};
  e.s->drains = true; /* as if it were TCP */
  assert_int_equal(feed(&e, "x", 1), 1);
  assert_int_equal(os_shutdown_write(e.fd), 0);
  cast_descriptors_dispatch(&told, 1, NULL, &jobs);
  assert_int_equal(cast_stream_try(e.s, into, sizeof into, NULL), 1);
  assert_true(cast_descriptor_is_ready(e.s->file, CAST_READ));
  close_ends(&e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(bytes_come_as_they_were_sent, begin, end),
    cmocka_unit_test_setup_teardown(much_comes_at_once, begin, end),
    cmocka_unit_test_setup_teardown(much_counts_at_once, begin, end),
    cmocka_unit_test_setup_teardown(a_short_read_is_not_the_last, begin, end),
    cmocka_unit_test_setup_teardown(what_is_too_long_is_told, begin, end),
    cmocka_unit_test_setup_teardown(no_byte_is_lost_without_memory, begin, end),
    cmocka_unit_test_setup_teardown(no_byte_is_lost_at_a_limit, begin, end),
    cmocka_unit_test_setup_teardown(pieces_are_written_in_order, begin, end),
    cmocka_unit_test_setup_teardown(a_pipe_takes_what_fits, begin, end),
    cmocka_unit_test_setup_teardown(the_end_is_told, begin, end),
    cmocka_unit_test_setup_teardown(tasks_of_two_sessions_talk, begin, end),
    cmocka_unit_test_setup_teardown(passes_on_the_end, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
