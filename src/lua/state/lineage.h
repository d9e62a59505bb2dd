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

/* The lineage of a load of the module `name`, below `parent` (or NULL), with
   one reference for the caller. NULL: out of memory. */
cast_lineage *cast_lineage_new(cast_lineage *parent, const char *name);
/* Does a session of that lineage, made in S, come from a further load of a
   module that is being loaded above it already? */
static inline bool cast_lineage_must_count(
  const cast_state *S, const cast_lineage *l) {
  return l != NULL && l != S->lineage && l->first != l;
}

/* A session of that lineage is being made in S: counts it, if it counts, and
   returns true; then cast_lineage_uncount follows when the session has
   closed. */
bool cast_lineage_count(const cast_state *S, cast_lineage *l);
void cast_lineage_uncount(cast_lineage *l);
/* One more reference, and giving one up (later: see object.h). NULL:
   nothing. */
cast_lineage *cast_lineage_ref(cast_lineage *l);
void cast_lineage_drop(cast_lineage *l);
void cast_lineage_drop_later(cast_lineage *l, cast_object **more);

#endif
