/* msg.c - tests of messages and shared strings: who owns which reference.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../include/casting.h"
#include "../../src/mem.h"
#include "../../src/msg.h"
#include "../../src/os/os.h"

enum { THREADS = 4, ROUNDS = 500 };

typedef struct thing {
  cast_object object;
  int ended;
} thing;

static void thing_free(cast_object *o) {
  CAST_CONTAINER(o, thing, object)->ended++;
}

static const cast_type thing_type = {"thing", thing_free, NULL};

static uint32_t refs(thing *t) {
  return atomic_load_explicit(&t->object.refs, memory_order_relaxed);
}

static void fill(cast_msg *m, uint32_t size, uint32_t nrefs, thing *t) {
  CAST_ALWAYS(cast_msg_init(m, size, nrefs) == 0);
  for (uint32_t i = 0; i < nrefs; i++) {
    CAST_ALWAYS(cast_msg_items(m)[i] == NULL);
    cast_msg_items(m)[i] = cast_ref(&t->object);
  }
  for (uint32_t i = 0; i < size; i++)
    cast_msg_data(m)[i] = (unsigned char)(i * 7);
}

static void check(cast_msg *m, uint32_t size, uint32_t nrefs, thing *t) {
  CAST_ALWAYS(m->size == size && m->nrefs == nrefs);
  for (uint32_t i = 0; i < nrefs; i++)
    CAST_ALWAYS(cast_msg_items(m)[i] == &t->object);
  for (uint32_t i = 0; i < size; i++)
    CAST_ALWAYS(cast_msg_data(m)[i] == (unsigned char)(i * 7));
}

/* Small ones without memory of their own, large ones in one block. */
static const struct shape {
  uint32_t size, nrefs;
} shape[] = {{1, 0}, {CAST_MSG_INLINE, 0}, {CAST_MSG_INLINE + 1, 0}, {1, 1},
  {CAST_MSG_INLINE - sizeof(void *), 1},
  {CAST_MSG_INLINE - sizeof(void *) + 1, 1}, {8, 5}, {9, 5}, {1, 6}, {1, 100},
  {100000, 0}, {100000, 1000}};

static void fill_move_dup_drop(void **state) {
  CAST_UNUSED(state);
  for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
    uint32_t size = shape[i].size, n = shape[i].nrefs;
    bool small = cast_msg_is_inline(size, n);
    int64_t before = cast_mem_live();
    thing t = {.ended = 0};
    cast_msg a, b, c;
    cast_object_init(&t.object, &thing_type);
    fill(&a, size, n, &t);
    check(&a, size, n, &t);
    if (CAST_DEBUG >= 1)
      assert_int_equal(cast_mem_live() - before, small ? 0 : 1);
    assert_int_equal(refs(&t), 1 + n);
    cast_msg_move(&b, &a);
    assert_true(cast_msg_is_empty(&a));
    check(&b, size, n, &t);
    cast_msg_dup(&c, &b);
    check(&c, size, n, &t);
    assert_int_equal(refs(&t), small ? 1 + 2 * n : 1 + n);
    cast_msg_drop(&b);
    assert_true(cast_msg_is_empty(&b));
    check(&c, size, n, &t);
    cast_msg_drop(&c);
    cast_msg_drop(&c);
    assert_int_equal(refs(&t), 1);
    cast_unref(&t.object);
    assert_int_equal(t.ended, 1);
    assert_int_equal(cast_mem_live(), before);
  }
}

/* The message of a task's results with its own handle in them. */
static void own_handles(void **state) {
  CAST_UNUSED(state);
  const struct shape shapes[] = {{4, 2}, {4, 3}, {200, 2}, {200, 300}};
  for (int k = 0; k < 4; k++) {
    uint32_t size = shapes[k].size, n = shapes[k].nrefs;
    int64_t before = cast_mem_live();
    thing t = {.ended = 0}, self = {.ended = 0};
    cast_msg m, copy;
    cast_object_init(&t.object, &thing_type);
    cast_object_init(&self.object, &thing_type);
    fill(&m, size, n, &t);
    cast_msg_dup(&copy, &m);
    assert_int_equal(cast_msg_complete(&copy, &self.object), 0);
    check(&copy, size, n, &t); /* it was complete */
    cast_msg_drop(&copy);
    cast_unref(cast_msg_items(&m)[n - 1]);
    cast_msg_items(&m)[n - 1] = NULL;
    for (int i = 0; i < 2; i++) {
      cast_msg_dup(&copy, &m);
      assert_int_equal(cast_msg_complete(&copy, &self.object), 0);
      assert_ptr_equal(cast_msg_items(&copy)[0], &t.object);
      assert_ptr_equal(cast_msg_items(&copy)[n - 1], &self.object);
      assert_memory_equal(cast_msg_data(&copy), cast_msg_data(&m), size);
      assert_int_equal(refs(&self), 2);
      assert_null(cast_msg_items(&m)[n - 1]);
      if (i == 1) cast_msg_drop(&m); /* the copy is whole without it */
      cast_msg_drop(&copy);
      assert_int_equal(refs(&self), 1);
    }
    cast_unref(&self.object);
    cast_unref(&t.object);
    assert_int_equal(t.ended + self.ended, 2);
    assert_int_equal(cast_mem_live(), before);
  }
}

static void zero_is_empty(void **state) {
  CAST_UNUSED(state);
  cast_msg a, b;
  memset(&a, 0, sizeof a);
  assert_true(cast_msg_is_empty(&a));
  cast_msg_dup(&b, &a);
  assert_true(cast_msg_is_empty(&b));
  cast_msg_move(&b, &a);
  assert_true(cast_msg_is_empty(&b));
  cast_msg_drop(&a);
  cast_msg_drop(&b);
}

/* As when packing fails in the middle. */
static void half_filled_may_be_dropped(void **state) {
  CAST_UNUSED(state);
  const uint32_t nrefs[] = {3, 30};
  for (int i = 0; i < 2; i++) {
    thing t = {.ended = 0};
    cast_msg a, b;
    cast_object_init(&t.object, &thing_type);
    assert_int_equal(cast_msg_init(&a, 4, nrefs[i]), 0);
    cast_msg_items(&a)[1] = cast_ref(&t.object);
    cast_msg_dup(&b, &a);
    cast_msg_drop(&a);
    cast_msg_drop(&b);
    assert_int_equal(refs(&t), 1);
  }
}

static void no_memory_leaves_it_empty(void **state) {
  CAST_UNUSED(state);
  cast_msg a;
  if (sizeof(size_t) < 8) {
    assert_int_equal(cast_msg_init(&a, UINT32_MAX, UINT32_MAX), CASTING_ENOMEM);
  }
  if (CAST_DEBUG < 1) skip();
  memset(&a, 0xff, sizeof a);
  cast_mem_fail_at(1);
  assert_int_equal(cast_msg_init(&a, 1000, 1000), CASTING_ENOMEM);
  assert_true(cast_msg_is_empty(&a));
  cast_msg_drop(&a);
  cast_mem_fail_at(1);
  assert_int_equal(cast_msg_init(&a, CAST_MSG_INLINE, 0), 0);
  cast_msg_drop(&a);
  assert_null(cast_bytes_new(10));
  assert_true(cast_mem_has_failed());
  thing t = {.ended = 0};
  cast_object_init(&t.object, &thing_type);
  assert_int_equal(cast_msg_init(&a, 1000, 1), 0);
  cast_mem_fail_at(1);
  assert_int_equal(cast_msg_complete(&a, &t.object), CASTING_ENOMEM);
  assert_true(cast_msg_is_empty(&a));
  assert_int_equal(refs(&t), 1);
}

/* Dropping one message drops the messages in the objects that it holds. */
typedef struct box {
  cast_object object;
  cast_msg inside;
} box;

static void box_free(cast_object *o) {
  box *b = CAST_CONTAINER(o, box, object);
  cast_msg_drop(&b->inside);
  cast_free(b);
}

static const cast_type box_type = {"box", box_free, NULL};

static void messages_within_messages(void **state) {
  CAST_UNUSED(state);
  int64_t before = cast_mem_live();
  cast_msg m;
  memset(&m, 0, sizeof m);
  for (uint32_t i = 0; i < 100; i++) {
    box *b = cast_alloc(sizeof *b);
    assert_non_null(b);
    cast_object_init(&b->object, &box_type);
    cast_msg_move(&b->inside, &m);
    assert_int_equal(cast_msg_init(&m, 1 + i, 1), 0);
    cast_msg_items(&m)[0] = &b->object;
  }
  cast_msg_drop(&m);
  assert_int_equal(cast_mem_live(), before);
}

static void shared_strings(void **state) {
  CAST_UNUSED(state);
  int64_t before = cast_mem_live();
  const size_t sizes[] = {0, 1, 7, 8, 4096, 1 << 20};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    cast_bytes *b = cast_bytes_new(sizes[i]);
    assert_non_null(b);
    memset(b->data, 'x', sizes[i]);
    assert_int_equal(b->size, sizes[i]);
    assert_int_equal(b->data[sizes[i]], 0);
    assert_ptr_equal(b->object.type, &cast_bytes_type);
    cast_ref(&b->object);
    cast_unref(&b->object);
    cast_unref(&b->object);
  }
  assert_null(cast_bytes_new(SIZE_MAX));
  assert_null(cast_bytes_new(SIZE_MAX - sizeof(cast_bytes)));
  assert_int_equal(cast_mem_live(), before);
}

typedef struct share {
  cast_msg m;
  thing *t;
  uint32_t size, nrefs;
} share;

static void read_and_drop(void *arg) {
  share *s = arg;
  for (int i = 0; i < ROUNDS; i++) {
    cast_msg copy;
    cast_msg_dup(&copy, &s->m);
    check(&copy, s->size, s->nrefs, s->t);
    cast_msg_drop(&copy);
  }
  check(&s->m, s->size, s->nrefs, s->t);
  cast_msg_drop(&s->m);
}

/* One message for several threads; the last to drop ends the block. */
static void broadcast(void **state) {
  CAST_UNUSED(state);
  const struct shape shapes[] = {{40, 1}, {200, 2}};
  for (int k = 0; k < 2; k++) {
    int64_t before = cast_mem_live();
    thing t = {.ended = 0};
    share s[THREADS];
    os_thread thread[THREADS];
    cast_object_init(&t.object, &thing_type);
    for (int i = 0; i < THREADS; i++) {
      s[i].t = &t;
      s[i].size = shapes[k].size;
      s[i].nrefs = shapes[k].nrefs;
      if (i == 0)
        fill(&s[0].m, s[0].size, s[0].nrefs, &t);
      else
        cast_msg_dup(&s[i].m, &s[0].m);
    }
    cast_unref(&t.object); /* the messages keep it */
    for (int i = 0; i < THREADS; i++)
      assert_int_equal(
        os_thread_start(&thread[i], read_and_drop, &s[i], "msg"), 0);
    for (int i = 0; i < THREADS; i++) os_thread_join(&thread[i]);
    assert_int_equal(t.ended, 1);
    assert_int_equal(cast_mem_live(), before);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(fill_move_dup_drop),
    cmocka_unit_test(own_handles),
    cmocka_unit_test(zero_is_empty),
    cmocka_unit_test(half_filled_may_be_dropped),
    cmocka_unit_test(no_memory_leaves_it_empty),
    cmocka_unit_test(messages_within_messages),
    cmocka_unit_test(shared_strings),
    cmocka_unit_test(broadcast),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
