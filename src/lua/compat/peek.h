/* peek.h - the tables that a Lua table has as values, without asking Lua.
   SPDX-License-Identifier: MIT

   To go through a table by lua_next takes some 200 instructions for each entry,
   and is done for each message of tables (names.c). Here it takes five. Only
   values whose keys are in the hash part of the table are found, where all
   string keys are. */
#ifndef CAST_PEEK_H
#define CAST_PEEK_H

#include "compat.h"

/* Where things lie, in bytes. */
typedef struct cast_peek_layout {
  bool known;
  uint32_t first;  /* in the table: the address of the first place */
  uint32_t count;  /* in the table: how many there are */
  uint32_t stride; /* from place to place */
  uint32_t value;  /* in a place: its value */
  uint32_t tag;    /* what values that are tables are marked with */
} cast_peek_layout;

/* The layout in this process, which is found out first if need be. */
const cast_peek_layout *cast_peek_learn(void);

/* A walk through a table, during which nothing may change the table. */
typedef struct cast_peek {
  const cast_peek_layout *how;
  const unsigned char *at; /* the value of the next place */
  size_t left;             /* how many places follow */
} cast_peek;

/* How many places the table at that address has. */
static inline size_t cast_peek_count(
  const cast_peek_layout *how, const unsigned char *table) {
#if CAST_LUAJIT
  uint32_t mask;
  memcpy(&mask, table + how->count, sizeof mask);
  return (size_t)mask + 1;
#else
  return (size_t)1 << (table[how->count] & 63);
#endif
}

/* The address of the table that the value at `at` is; NULL: it is no table. */
static inline const void *cast_peek_value(
  const cast_peek_layout *how, const unsigned char *at) {
#if CAST_LUAJIT
  uint64_t word;
  memcpy(&word, at, sizeof word);
  if (word >> 47 != how->tag) return NULL;
  return (const void *)(uintptr_t)(word & ((UINT64_C(1) << 47) - 1));
#else
#if CAST_LUA >= 504
  unsigned char tag;
#else
  int tag;
#endif
  const void *table;
  memcpy(&tag, at + sizeof(void *), sizeof tag);
  if ((uint32_t)tag != how->tag) return NULL;
  memcpy(&table, at, sizeof table);
  return table;
#endif
}

/* Begins a walk through the table at that address (lua_topointer). False: the
   layout is not known. */
static inline bool cast_peek_open(
  cast_peek *p, const cast_peek_layout *how, const void *table) {
  if (!how->known) return false;
  p->how = how;
  p->left = cast_peek_count(how, table);
  memcpy(&p->at, (const unsigned char *)table + how->first, sizeof p->at);
  p->at += how->value;
  return true;
}

/* The address of the next value that is a table; NULL: there are no more. */
static inline const void *cast_peek_next(cast_peek *p) {
  const void *table = NULL;
  while (table == NULL && p->left > 0) {
    table = cast_peek_value(p->how, p->at);
    p->at += p->how->stride;
    p->left--;
  }
  return table;
}

#endif
