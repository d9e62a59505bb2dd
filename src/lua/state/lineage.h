/* lineage.h - the modules whose loading has led to a session.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LINEAGE_H
#define CAST_LINEAGE_H

#include "../../object.h"
#include "state.h"

typedef struct cast_lineage cast_lineage;

struct cast_lineage {
  cast_object object;
  cast_lineage *parent;   /* (i) one reference, or NULL */
  cast_lineage *first;    /* (i) the oldest one with that name; may be self */
  _Atomic uint32_t again; /* (a) of the first: sessions below it that live */
  char name[];            /* (i) */
};

/* Of a load of that module, below `parent` (or NULL). One reference for the
   caller. NULL: out of memory. */
cast_lineage *cast_lineage_new(cast_lineage *parent, const char *name);
/* Is a session of that lineage, made in S, one that a further load of the same
   module makes? */
static inline bool cast_lineage_must_count(
  const cast_state *S, const cast_lineage *l) {
  return l != NULL && l != S->lineage && l->first != l;
}

/* A session of that lineage is being made in S. True: it counts, until
   cast_lineage_uncount. */
bool cast_lineage_count(const cast_state *S, cast_lineage *l);
void cast_lineage_uncount(cast_lineage *l);
/* One more reference, and giving one up. NULL: nothing. */
cast_lineage *cast_lineage_ref(cast_lineage *l);
void cast_lineage_drop(cast_lineage *l);
void cast_lineage_drop_later(cast_lineage *l, cast_object **more);

#endif
