/* cycle.c - channels that only they themselves refer to.
   SPDX-License-Identifier: MIT

   See cycle.h for what is done, and why it is right. There are two rounds. In
   the first one each channel is looked at by itself, and its lock is held for
   some messages at a time: the references that are met are counted too often
   rather than too seldom, so a channel with more references than that is
   reached from outside. Most are, or hold nothing, and the round ends there.
   The others are locked together and looked at exactly. Neither round recurses:
   an object that is met is a node, and nodes are worked off one after the
   other.

   Without memory nothing is emptied; the next session that closes tries again.

   Locks: cast_members_lock for the list; those of channels, in address order.
   Owner: the thread that looks; a visit is its own. */
#include "cycle.h"

#include "limits.h"
#include "mem.h"

#include <stdlib.h>

/* Channels of sessions that have closed. (cast_members_lock) */
static cast_list left = {&left, &left};

/* An object, or a block, that was met. */
typedef struct node {
  const void *key;        /* its address */
  _Atomic uint32_t *refs; /* its count */
  uint32_t within;        /* references that were met */
  uint32_t first;         /* its references to others: edges[first], ... */
  uint32_t count;         /* ... so many */
  bool is_block;
  bool held;    /* the first round has a reference to it */
  bool reached; /* from outside */
} node;

struct cast_visit {
  cast_visitor visitor;
  uint32_t *table; /* of numbers of nodes + 1, by address; 0: a free place */
  uint32_t mask;   /* places in it, less one */
  node *nodes;
  uint32_t nnodes, room;
  uint32_t *edges; /* numbers of nodes */
  uint32_t nedges, edges_room;
  cast_chan **chans; /* the channels of the set, in address order */
  size_t nchans;
  bool rough;   /* the first round */
  bool lacking; /* no memory */
};

/* -- the table ------------------------------------------------------------ */

static uint32_t place_of(const cast_visit *v, const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15);
  uint32_t i = (uint32_t)(h >> 32) & v->mask;
  while (v->table[i] != 0 && v->nodes[v->table[i] - 1].key != key)
    i = (i + 1) & v->mask;
  return i;
}

/* Makes room for one more node, and keeps the table half empty. */
static bool make_room(cast_visit *v) {
  uint32_t room = v->room == 0 ? 64 : v->room * 2;
  node *nodes;
  uint32_t *table;
  if (v->nnodes < v->room) return true;
  if (room > UINT32_MAX / 4) return false;
  nodes = cast_realloc(v->nodes, room * sizeof *nodes);
  if (nodes == NULL) return false;
  v->nodes = nodes;
  table = cast_calloc(2 * (size_t)room * sizeof *table);
  if (table == NULL) return false;
  cast_free(v->table);
  v->table = table;
  v->mask = 2 * room - 1;
  v->room = room;
  for (uint32_t i = 0; i < v->nnodes; i++)
    v->table[place_of(v, v->nodes[i].key)] = i + 1;
  return true;
}

/* The number of the node with that address, which is made if there is none.
   UINT32_MAX: no memory. */
static uint32_t node_of(
  cast_visit *v, const void *key, _Atomic uint32_t *refs, bool is_block) {
  uint32_t i;
  if (!make_room(v)) {
    v->lacking = true;
    return UINT32_MAX;
  }
  i = place_of(v, key);
  if (v->table[i] == 0) {
    v->nodes[v->nnodes] =
      (node){.key = key, .refs = refs, .is_block = is_block};
    v->table[i] = ++v->nnodes;
  }
  return v->table[i] - 1;
}

static void visit_fini(cast_visit *v) {
  cast_free(v->table);
  cast_free(v->nodes);
  cast_free(v->edges);
}

/* -- references ----------------------------------------------------------- */

static bool is_in_set(const cast_visit *v, const cast_chan *c) {
  size_t low = 0, high = v->nchans;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (v->chans[middle] == c) return true;
    if ((uintptr_t)v->chans[middle] < (uintptr_t)c)
      low = middle + 1;
    else
      high = middle;
  }
  return false;
}

/* A reference to a node was met. */
static void add_edge(cast_visit *v, uint32_t to) {
  if (to == UINT32_MAX) return;
  v->nodes[to].within++;
  if (v->rough) return;
  if (v->nedges == v->edges_room) {
    uint32_t room = v->edges_room == 0 ? 256 : v->edges_room * 2;
    uint32_t *edges = room > v->edges_room && room < UINT32_MAX / 8
                        ? cast_realloc(v->edges, room * sizeof *edges)
                        : NULL;
    if (edges == NULL) {
      v->lacking = true;
      return;
    }
    v->edges = edges;
    v->edges_room = room;
  }
  v->edges[v->nedges++] = to;
}

static bool is_chan(const cast_object *o) { return o->type == &cast_chan_type; }

/* In the first round nothing keeps what lies in a channel when its lock is
   dropped: so a new node gets a reference there. */
void cast_visit_object(cast_visit *v, cast_object *o) {
  uint32_t before = v->nnodes, i;
  if (o == NULL || v->lacking) return;
  if (is_chan(o) ? !is_in_set(v, CAST_CONTAINER(o, cast_chan, object))
                 : !v->visitor(o, NULL))
    return;
  i = node_of(v, o, &o->refs, false);
  if (v->rough && !is_chan(o) && v->nnodes > before)
    v->nodes[i].held = cast_ref(o) != NULL;
  add_edge(v, i);
}

static void visit_items(cast_visit *v, cast_object *const *items, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) cast_visit_object(v, items[i]);
}

void cast_visit_msg(cast_visit *v, const cast_msg *m) {
  cast_block *b;
  if (m->nrefs == 0 || v->lacking) return;
  if (cast_msg_is_inline(m->size, m->nrefs)) {
    visit_items(v, m->u.items, m->nrefs);
    return;
  }
  b = m->u.block;
  if (v->rough)
    visit_items(v, b->items, b->nrefs);
  else
    add_edge(v, node_of(v, b, &b->refs, true));
}

/* With the lock: shows n messages from the i-th on. */
static void visit_ring(cast_visit *v, const cast_chan *c, size_t i, size_t n) {
  for (; n > 0 && i < c->count; i++, n--)
    cast_visit_msg(v, &c->ring[(c->head + i) & (c->room - 1)]);
}

/* -- the first round ------------------------------------------------------ */

/* Some messages at a time, lest others wait long for the lock. Messages that
   are taken out meanwhile make those behind move up, and be missed. Then the
   channel is in use, and will be looked at again. */
static void look_at(cast_visit *v, cast_chan *c) {
  bool more = true;
  for (size_t i = 0; more; i += CAST_CYCLE_ROUND) {
    cast_lock_take(&c->lock);
    visit_ring(v, c, i, CAST_CYCLE_ROUND);
    more = i + CAST_CYCLE_ROUND < c->count;
    cast_lock_drop(&c->lock);
  }
  if (c->member->held != NULL) cast_visit_object(v, c->member->held);
}

/* Was every reference to it met, but for the caller's own? */
static bool may_be_unreachable(const cast_visit *v, const cast_chan *c) {
  uint32_t at = v->table == NULL ? 0 : v->table[place_of(v, c)];
  /* Relaxed: the second round decides. */
  uint32_t refs = atomic_load_explicit(&c->object.refs, memory_order_relaxed);
  return at != 0 && v->nodes[at - 1].within + 1 >= refs;
}

/* Keeps those channels of the set that may be unreachable, and gives the
   references to the others up. Returns how many are left. */
static size_t filter(cast_chan **chans, size_t n, cast_visitor visitor) {
  cast_visit v = {
    .visitor = visitor, .chans = chans, .nchans = n, .rough = true};
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) look_at(&v, chans[i]);
  for (uint32_t i = 0; i < v.nnodes; i++) {
    cast_object *o = (cast_object *)(uintptr_t)v.nodes[i].key;
    if (!is_chan(o)) (void)visitor(o, &v);
  }
  /* All are judged before any is moved: the set is searched by address. */
  for (size_t i = 0; i < n; i++) {
    cast_chan *c = chans[i];
    if (!v.lacking && may_be_unreachable(&v, c))
      chans[kept++] = c;
    else
      cast_unref(&c->object);
  }
  for (uint32_t i = 0; i < v.nnodes; i++) {
    cast_object *o = (cast_object *)(uintptr_t)v.nodes[i].key;
    /* That of a channel may be gone by now. */
    if (v.nodes[i].held) cast_unref(o);
  }
  visit_fini(&v);
  return kept;
}

/* -- the second round ----------------------------------------------------- */

/* Shows what a node refers to, once, and notes where its edges are. */
static void expand(cast_visit *v, uint32_t i) {
  node n = v->nodes[i];
  uint32_t first = v->nedges;
  if (n.is_block) {
    const cast_block *b = n.key;
    visit_items(v, b->items, b->nrefs);
  } else {
    cast_object *o = (cast_object *)(uintptr_t)n.key;
    if (is_chan(o)) {
      cast_chan *c = CAST_CONTAINER(o, cast_chan, object);
      visit_ring(v, c, 0, c->count);
      if (c->member->held != NULL) cast_visit_object(v, c->member->held);
    } else {
      (void)v->visitor(o, v);
    }
  }
  v->nodes[i].first = first;
  v->nodes[i].count = v->nedges - first;
}

/* Marks what is referred to from outside, and all that it leads to. `stack` has
   room for each node. */
static void mark(cast_visit *v, uint32_t *stack) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < v->nnodes; i++) {
    node *at = &v->nodes[i];
    /* PAIR refs: acquire what those have done who had a reference. */
    uint32_t refs = atomic_load_explicit(at->refs, memory_order_acquire);
    uint32_t known = at->within + (i < v->nchans ? 1 : 0); /* the caller's */
    CAST_ASSERT(refs >= known);
    at->reached = refs > known;
    if (at->reached) stack[n++] = i;
  }
  while (n > 0) {
    const node *at = &v->nodes[stack[--n]];
    for (uint32_t k = 0; k < at->count; k++) {
      node *to = &v->nodes[v->edges[at->first + k]];
      if (to->reached) continue;
      to->reached = true;
      stack[n++] = (uint32_t)(to - v->nodes);
    }
  }
}

/* The content of a channel that is emptied. */
typedef struct content {
  cast_msg *ring;
  size_t head, count, room;
} content;

/* With all locks: takes out the content of the channels that are not reached.
   One that somebody has reserved a place in is used by the end of a task. */
static void empty(cast_visit *v, content *contents) {
  for (size_t i = 0; i < v->nchans; i++) {
    cast_chan *c = v->chans[i];
    if (v->nodes[i].reached || c->reserved > 0) continue;
    contents[i] = (content){c->ring, c->head, c->count, c->room};
    c->ring = NULL;
    c->head = c->count = c->room = 0;
  }
}

/* Gives the contents up: what ends with them is freed one after the other. */
static void give_up(cast_visit *v, content *contents) {
  cast_object *more = NULL;
  for (size_t i = 0; i < v->nchans; i++) {
    content *t = &contents[i];
    if (t->ring == NULL) continue;
    for (; t->count > 0; t->count--, t->head++)
      cast_msg_drop_later(&t->ring[t->head & (t->room - 1)], &more);
    cast_account_give(
      v->chans[i]->member->account, CAST_BYTES, t->room * sizeof *t->ring);
    cast_free(t->ring);
  }
  cast_object_end_all(more);
}

/* The channels are the first nodes, in their order. */
static void look_exactly(cast_visit *v, content *contents) {
  uint32_t *stack = NULL;
  for (size_t i = 0; i < v->nchans && !v->lacking; i++) {
    cast_object *o = &v->chans[i]->object;
    (void)node_of(v, o, &o->refs, false);
  }
  for (uint32_t i = 0; i < v->nnodes && !v->lacking; i++) expand(v, i);
  if (!v->lacking) stack = cast_alloc(v->nnodes * sizeof *stack);
  if (stack == NULL) return;
  mark(v, stack);
  cast_free(stack);
  empty(v, contents);
}

static void collect(cast_chan **chans, size_t n, cast_visitor visitor) {
  cast_visit v = {.visitor = visitor, .chans = chans, .nchans = n};
  content *contents = cast_calloc(n * sizeof *contents);
  if (contents == NULL) return;
  for (size_t i = 0; i < n; i++) cast_lock_take(&chans[i]->lock);
  look_exactly(&v, contents);
  for (size_t i = n; i-- > 0;) cast_lock_drop(&chans[i]->lock);
  give_up(&v, contents);
  visit_fini(&v);
  cast_free(contents);
}

/* -- all of it ------------------------------------------------------------ */

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t) * (cast_chan *const *)a;
  uintptr_t y = (uintptr_t) * (cast_chan *const *)b;
  return x < y ? -1 : x > y;
}

/* Moves what the account's session has made to the front of the list of what is
   left. Returns how many there are to be looked at: these, and some of the
   others. */
static size_t join_left(cast_account *a) {
  size_t n = 0, others = 0;
  cast_list *l;
  cast_lock_take(&cast_members_lock);
  for (l = left.next; l != &left && others < CAST_CYCLE_OTHERS; l = l->next)
    others++;
  for (; (l = cast_list_shift(&a->made)) != NULL; n++)
    cast_list_unshift(&left, l);
  cast_lock_drop(&cast_members_lock);
  return n + others;
}

/* References to the first channels that are left, up to `room`. These are the
   last ones the next time. */
static size_t reference(cast_chan **chans, size_t room) {
  size_t n = 0;
  cast_list seen;
  cast_list_init(&seen);
  cast_lock_take(&cast_members_lock);
  for (; room > 0 && !cast_list_is_empty(&left); room--) {
    cast_list *l = cast_list_shift(&left);
    cast_chan *c = CAST_CONTAINER(l, cast_member, link)->chan;
    cast_list_push(&seen, l);
    if (cast_ref_if_alive(&c->object)) chans[n++] = c;
  }
  while (!cast_list_is_empty(&seen))
    cast_list_push(&left, cast_list_shift(&seen));
  cast_lock_drop(&cast_members_lock);
  return n;
}

void cast_cycles_end(cast_account *a, cast_visitor visitor) {
  size_t n = join_left(a);
  cast_chan **chans = n > 0 ? cast_alloc(n * sizeof(cast_chan *)) : NULL;
  if (chans == NULL) return;
  n = reference(chans, n);
  qsort(chans, n, sizeof(cast_chan *), by_address);
  n = filter(chans, n, visitor);
  if (n > 0) collect(chans, n, visitor);
  while (n > 0) cast_unref(&chans[--n]->object);
  cast_free(chans);
}
