/* cycle.c - channels that only they themselves refer to.
   SPDX-License-Identifier: MIT

   See cycle.h for what is done, and why it is right; the numbers below are of
   the steps there. Nothing recurses: an object that is met is a node, and nodes
   are worked off one after the other.

   Without memory nothing is emptied; the next session that closes tries again.
   Nor is anything when a look takes more work than it may: what was taken for
   it waits with all others then, and a look at these may do twice as much the
   next time.

   Locks: cast_members_lock for the lists; that of one channel at a time. Under
   both only so much is done at once that others need not wait long, and nothing
   is allocated or given up. Owner: the thread that looks; a visit is its
   own. */
#include "cycle.h"

#include "limits.h"
#include "mem.h"

/* Members of sessions that have closed. (cast_members_lock) */
static struct {
  cast_list fresh; /* not looked at yet */
  cast_list old;   /* they were reached when they were looked at last */
  cast_list seen;  /* of who looks now */
  bool busy;       /* somebody looks */
  bool again;      /* others have closed meanwhile */
  uint64_t due;    /* the work that the fresh ones are worth */
  uint64_t credit; /* that of all since the last look at the old ones, which is
                      for the next one */
  uint64_t need; /* with so much that begins: the work for those that were kept
                      then, or twice what was not enough */
} left = {
  .fresh = {&left.fresh, &left.fresh},
  .old = {&left.old, &left.old},
  .seen = {&left.seen, &left.seen},
};

/* An object, or a block, that was met. Who looks has one reference to it. */
typedef struct node {
  const void *key;        /* its address */
  _Atomic uint32_t *refs; /* its count */
  uint32_t within;        /* references that were met */
  uint32_t first;         /* its references to others: edges[first], ... */
  uint32_t count;         /* ... so many */
  uint32_t before;        /* nodes whose counts are to be read before */
  bool is_block;
  bool waits;   /* see cast_visitor */
  bool reached; /* from outside */
} node;

/* A member, and what was known of its content. */
typedef struct place {
  cast_object *object;
  cast_member *member;
  size_t room, head, count; /* of a channel */
  uint32_t looks;           /* of a task */
} place;

struct cast_visit {
  const cast_visitor *visitor;
  place *set; /* the members are the first nodes */
  size_t nset, set_room;
  uint32_t *table; /* of numbers of nodes + 1, by address; 0: a free place */
  uint32_t mask;   /* places in it, less one */
  node *nodes;
  uint32_t nnodes, room;
  uint32_t *edges; /* numbers of nodes */
  uint32_t nedges, edges_room;
  cast_msg *part; /* room for CAST_CYCLE_ROUND messages */
  bool all;       /* the old ones are looked at, too */
  bool over;      /* it would take more work than it may */
  bool lacking;   /* no memory, or `over`: it cannot go on */
  uint64_t
    budget; /* the work that it may take: how many members, messages, ... */
  uint64_t work; /* ... items of blocks, nodes and references it comes to */
};

/* Something is to be done. False: not any more, it would be too much. */
static bool spend(cast_visit *v, uint64_t n) {
  v->work += n;
  if (v->work > v->budget) v->over = v->lacking = true;
  return !v->lacking;
}

/* -- the table ------------------------------------------------------------ */

#define NONE UINT32_MAX

static uint32_t place_of(const cast_visit *v, const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15);
  uint32_t i = (uint32_t)(h >> 32) & v->mask;
  while (v->table[i] != 0 && v->nodes[v->table[i] - 1].key != key)
    i = (i + 1) & v->mask;
  return i;
}

/* The number of the node with that address, or NONE. */
static uint32_t find(const cast_visit *v, const void *key) {
  return v->nnodes == 0 ? NONE : v->table[place_of(v, key)] - 1;
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

/* Makes a node, to which the caller's reference goes. False: no memory. */
static bool add_node(
  cast_visit *v, const void *key, _Atomic uint32_t *refs, bool is_block) {
  if (!spend(v, 1)) return false;
  if (!make_room(v)) {
    v->lacking = true;
    return false;
  }
  v->nodes[v->nnodes] = (node){.key = key, .refs = refs, .is_block = is_block};
  v->table[place_of(v, key)] = ++v->nnodes;
  return true;
}

static cast_object *object_of(const node *n) {
  return (cast_object *)(uintptr_t)n->key;
}

/* A message with the block of that node. */
static cast_msg msg_of(const node *n) {
  cast_block *b = (cast_block *)(uintptr_t)n->key;
  return (cast_msg){.size = (uint32_t)b->size, .nrefs = b->nrefs, .u.block = b};
}

/* -- references ----------------------------------------------------------- */

/* A reference to a node was met. */
static void add_edge(cast_visit *v, uint32_t to) {
  if (!spend(v, 1)) return;
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
  v->nodes[to].within++;
  v->edges[v->nedges++] = to;
}

static bool is_chan(const cast_object *o) { return o->type == &cast_chan_type; }

static bool leads(const cast_visit *v, const cast_object *o) {
  return o != NULL && (is_chan(o) || v->visitor->leads(o));
}

/* Channels that are not of the set are outside. */
void cast_visit_object(cast_visit *v, cast_object *o) {
  uint32_t i;
  if (v->lacking || !leads(v, o)) return;
  i = find(v, o);
  if (i == NONE && is_chan(o)) return;
  if (i == NONE) {
    if (!add_node(v, o, &o->refs, false)) return;
    (void)cast_ref(o);
    i = v->nnodes - 1;
  }
  add_edge(v, i);
}

static bool any_leads(
  const cast_visit *v, cast_object *const *items, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (leads(v, items[i])) return true;
  return false;
}

static void visit_items(cast_visit *v, cast_object *const *items, uint32_t n) {
  if (!spend(v, n)) return;
  for (uint32_t i = 0; i < n; i++) cast_visit_object(v, items[i]);
}

/* A block with few references that lead nowhere, as most have, is no node. */
void cast_visit_msg(cast_visit *v, const cast_msg *m) {
  cast_block *b;
  cast_msg copy;
  uint32_t i;
  if (m->nrefs == 0 || v->lacking) return;
  if (cast_msg_is_inline(m->size, m->nrefs)) {
    visit_items(v, m->u.items, m->nrefs);
    return;
  }
  b = m->u.block;
  i = find(v, b);
  if (i == NONE) {
    if (!spend(v, b->nrefs <= CAST_CYCLE_FEW ? b->nrefs : 1)) return;
    if (b->nrefs <= CAST_CYCLE_FEW && !any_leads(v, b->items, b->nrefs)) return;
    if (!add_node(v, b, &b->refs, true)) return;
    cast_msg_dup(&copy, m); /* its reference is the node's */
    i = v->nnodes - 1;
  }
  add_edge(v, i);
}

/* -- meeting all of the set (1) ------------------------------------------- */

static cast_chan *chan_of(const place *p) {
  return CAST_CONTAINER(p->object, cast_chan, object);
}

/* With the lock: is the content still what it was? */
static bool is_same(const place *p) {
  const cast_chan *c = chan_of(p);
  return c->room == p->room && c->head == p->head && c->count == p->count;
}

/* With the lock: copies the next messages from the i-th on that may lead
   somewhere to v->part. Returns how many these are; *i moves on. */
static size_t copy_part(cast_visit *v, const cast_chan *c, size_t *i) {
  size_t end =
    c->count - *i < CAST_CYCLE_ROUND ? c->count : *i + CAST_CYCLE_ROUND;
  size_t n = 0;
  for (; *i < end; ++*i) {
    const cast_msg *m = &c->ring[(c->head + *i) & (c->room - 1)];
    if (m->nrefs > 0 && (!cast_msg_is_inline(m->size, m->nrefs) ||
                          any_leads(v, m->u.items, m->nrefs)))
      cast_msg_dup(&v->part[n++], m);
  }
  return n;
}

/* If the content changes in between, it is not looked at any further (3). */
static void show_chan(cast_visit *v, place *p) {
  cast_chan *c = chan_of(p);
  bool more = true;
  for (size_t i = 0, n, from; more && !v->lacking;) {
    cast_lock_take(&c->lock);
    if (i == 0) {
      p->room = c->room;
      p->head = c->head;
      p->count = c->count;
    }
    more = is_same(p);
    from = i;
    n = more ? copy_part(v, c, &i) : 0;
    more = more && i < c->count;
    cast_lock_drop(&c->lock);
    (void)spend(v, i - from);
    for (; n > 0; n--) {
      cast_visit_msg(v, &v->part[n - 1]);
      cast_msg_drop(&v->part[n - 1]);
    }
  }
  if (p->member->held != NULL) cast_visit_object(v, p->member->held);
}

/* Shows what a node refers to, once, and notes where its edges are. */
static void expand(cast_visit *v, uint32_t i) {
  node n = v->nodes[i];
  uint32_t first = v->nedges;
  if (n.is_block) {
    const cast_block *b = n.key;
    visit_items(v, b->items, b->nrefs);
  } else if (is_chan(object_of(&n))) {
    show_chan(v, &v->set[i]);
  } else {
    if (i < v->nset) v->set[i].looks = v->visitor->looks(object_of(&n));
    n.waits = v->visitor->show(object_of(&n), v);
  }
  v->nodes[i].waits = n.waits;
  v->nodes[i].first = first;
  v->nodes[i].count = v->nedges - first;
}

static void meet_all(cast_visit *v) {
  v->part = cast_alloc(CAST_CYCLE_ROUND * sizeof *v->part);
  if (v->part == NULL) v->lacking = true;
  for (size_t i = 0; i < v->nset && !v->lacking; i++) {
    cast_object *o = v->set[i].object;
    (void)add_node(v, o, &o->refs, false);
  }
  for (uint32_t i = 0; i < v->nnodes && !v->lacking; i++) expand(v, i);
}

/* -- who is reached (2 to 5) ---------------------------------------------- */

static void read_count(node *at) {
  /* PAIR refs: acquire what those have done who had a reference. A change by
     0, because that reads the newest count, and a load need not. */
  uint32_t refs = atomic_fetch_add_explicit(at->refs, 0, memory_order_acq_rel);
  at->reached = refs != at->within + 1;
}

/* The nodes that are read without a lock, in the order of their references;
   then the members. `stack` has room for each node. */
static void read_counts(cast_visit *v, uint32_t *stack) {
  uint32_t members = (uint32_t)v->nset, n = 0;
  for (uint32_t i = members; i < v->nnodes; i++) {
    const node *at = &v->nodes[i];
    v->nodes[i].reached = true;
    for (uint32_t k = 0; k < at->count; k++)
      v->nodes[v->edges[at->first + k]].before++;
  }
  for (uint32_t i = members; i < v->nnodes; i++)
    if (v->nodes[i].before == 0) stack[n++] = i;
  while (n > 0) {
    node *at = &v->nodes[stack[--n]];
    read_count(at);
    for (uint32_t k = 0; k < at->count; k++) {
      uint32_t to = v->edges[at->first + k];
      if (--v->nodes[to].before == 0 && to >= members) stack[n++] = to;
    }
  }
  for (uint32_t i = 0; i < members; i++) read_count(&v->nodes[i]);
}

static bool has_changed(cast_visit *v, const place *p) {
  cast_chan *c = chan_of(p);
  bool same;
  if (!is_chan(p->object)) return v->visitor->looks(p->object) != p->looks;
  cast_lock_take(&c->lock);
  same = is_same(p);
  cast_lock_drop(&c->lock);
  return !same;
}

/* Counts what may have changed as reached. */
static void look_again(cast_visit *v) {
  for (size_t i = 0; i < v->nset; i++)
    if (has_changed(v, &v->set[i])) v->nodes[i].reached = true;
  for (uint32_t i = 0; i < v->nnodes; i++) {
    node *at = &v->nodes[i];
    if (at->waits && v->visitor->waits(object_of(at))) at->reached = true;
  }
}

/* Marks all that the nodes lead to which are reached. Returns how many these
   are, with their references. */
static uint64_t mark(cast_visit *v, uint32_t *stack) {
  uint64_t cost = 0;
  uint32_t n = 0;
  for (uint32_t i = 0; i < v->nnodes; i++)
    if (v->nodes[i].reached) stack[n++] = i;
  while (n > 0) {
    const node *at = &v->nodes[stack[--n]];
    cost += 1 + (uint64_t)at->count;
    for (uint32_t k = 0; k < at->count; k++) {
      node *to = &v->nodes[v->edges[at->first + k]];
      if (to->reached) continue;
      to->reached = true;
      stack[n++] = (uint32_t)(to - v->nodes);
    }
  }
  return cost;
}

/* -- emptying ------------------------------------------------------------- */

/* The ring stays: somebody may have reserved a place in it, as the end of a
   task does. */
static void empty_chan(cast_visit *v, cast_chan *c) {
  cast_object *more = NULL;
  bool is_empty;
  do {
    size_t n = 0;
    cast_lock_take(&c->lock);
    for (; n < CAST_CYCLE_ROUND && c->count > 0; c->count--, c->head++)
      cast_msg_move(&v->part[n++], &c->ring[c->head & (c->room - 1)]);
    is_empty = c->count == 0;
    cast_lock_drop(&c->lock);
    while (n > 0) cast_msg_drop_later(&v->part[--n], &more);
    cast_object_end_all(more);
    more = NULL;
  } while (!is_empty);
}

static void empty(cast_visit *v, const place *p) {
  cast_msg m = {0};
  if (is_chan(p->object)) {
    empty_chan(v, chan_of(p));
  } else {
    v->visitor->empty(p->object, &m);
    cast_msg_drop(&m);
  }
}

/* Returns which part of the nodes and references is kept. */
static double collect(cast_visit *v) {
  double kept;
  uint32_t *stack = NULL;
  meet_all(v);
  if (!v->lacking) stack = cast_alloc(v->nnodes * sizeof *stack);
  if (stack == NULL) {
    v->lacking = true;
    return 0;
  }
  read_counts(v, stack);
  look_again(v);
  kept = (double)mark(v, stack) / ((double)v->nnodes + v->nedges);
  cast_free(stack);
  for (size_t i = 0; i < v->nset; i++)
    if (!v->nodes[i].reached) empty(v, &v->set[i]);
  return kept;
}

static void visit_fini(cast_visit *v) {
  for (uint32_t i = (uint32_t)v->nset; i < v->nnodes; i++) {
    const node *n = &v->nodes[i];
    if (n->is_block) {
      cast_msg m = msg_of(n);
      cast_msg_drop(&m);
    } else {
      cast_unref(object_of(n));
    }
  }
  for (size_t i = 0; i < v->nset; i++) cast_unref(v->set[i].object);
  cast_free(v->set);
  cast_free(v->table);
  cast_free(v->nodes);
  cast_free(v->edges);
  cast_free(v->part);
}

/* -- all of it ------------------------------------------------------------ */

/* Makes room for as many members as are taken from a list at once. */
static bool make_places(cast_visit *v) {
  size_t room = v->set_room == 0 ? CAST_CYCLE_ROUND : 2 * v->set_room;
  place *set;
  if (v->nset + CAST_CYCLE_ROUND <= v->set_room) return true;
  set = room < UINT32_MAX / 4 ? cast_realloc(v->set, room * sizeof *set) : NULL;
  if (set == NULL) return false;
  v->set = set;
  v->set_room = room;
  return true;
}

/* Moves all members of a list to the set, unless they are just ending. */
static void take_all(cast_visit *v, cast_list *from) {
  bool more = true;
  while (more && !v->lacking) {
    if (!make_places(v)) {
      v->lacking = true;
      return;
    }
    cast_lock_take(&cast_members_lock);
    for (size_t i = 0; more && i < CAST_CYCLE_ROUND && spend(v, 1); i++) {
      cast_list *l = cast_list_shift(from);
      more = l != NULL;
      if (!more) break;
      cast_member *m = CAST_CONTAINER(l, cast_member, link);
      cast_list_push(&left.seen, l);
      if (cast_ref_if_alive(m->object))
        v->set[v->nset++] = (place){.object = m->object, .member = m};
    }
    cast_lock_drop(&cast_members_lock);
  }
}

/* With the lock. Is it time to look at the old ones, too? */
static cast_visit begin_look(const cast_visitor *visitor) {
  cast_visit v = {.visitor = visitor, .budget = left.due};
  v.all = left.credit >= left.need;
  if (v.all) v.budget += left.credit;
  if (v.all) left.credit = 0;
  left.due = 0;
  left.again = false;
  return v;
}

/* With the lock. Those of a look that came to its end, or was too much, wait
   with all others now. One that lacked memory is made again. */
static void end_look(cast_visit *v, double kept) {
  bool again = v->lacking && !v->over;
  cast_list_append(again && !v->all ? &left.fresh : &left.old, &left.seen);
  if (again)
    *(v->all ? &left.credit : &left.due) += v->budget;
  else if (v->over && v->all)
    left.need = 2 * v->budget;
  else if (v->all)
    left.need = (uint64_t)((double)v->work * kept);
}

/* Looks at the fresh ones, or at all. */
static void look(cast_visit *v) {
  double kept = 0;
  take_all(v, &left.fresh);
  if (v->all) take_all(v, &left.old);
  if (!v->lacking && v->nset > 0) kept = collect(v);
  cast_lock_take(&cast_members_lock);
  end_look(v, kept);
  cast_lock_drop(&cast_members_lock);
  visit_fini(v);
}

/* With the lock: how much work a session with this account is worth that has
   closed, for what is there yet of what it, or one below it, has been charged.
   Each byte counts once, and not for each of the sessions around. */
static uint64_t earn(cast_account *a) {
  uint64_t used = cast_account_used(a, CAST_BYTES);
  uint64_t more = used > a->earned ? used - a->earned : 0;
  for (; a != NULL; a = a->parent) {
    used = cast_account_used(a, CAST_BYTES);
    a->earned = a->earned + more < used ? a->earned + more : used;
  }
  return CAST_CYCLE_OTHERS + more / CAST_CYCLE_BYTES;
}

void cast_cycles_end(cast_account *a, const cast_visitor *visitor) {
  cast_visit v;
  uint64_t more;
  bool mine;
  cast_lock_take(&cast_members_lock);
  cast_list_append(&left.fresh, &a->made);
  more = earn(a);
  left.due += more;
  left.credit += more;
  mine = !left.busy;
  left.busy = left.again = true;
  if (mine) v = begin_look(visitor);
  cast_lock_drop(&cast_members_lock);
  /* Not for ever: what is left then waits for the next session. Whether others
     have closed is asked where `busy` ends, for they look at that. */
  for (int i = 0; mine; i++) {
    look(&v);
    cast_lock_take(&cast_members_lock);
    mine = left.again && i < CAST_CYCLE_AGAIN;
    if (mine) v = begin_look(visitor);
    left.busy = mine;
    cast_lock_drop(&cast_members_lock);
  }
}
