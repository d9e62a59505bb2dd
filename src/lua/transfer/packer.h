/* packer.h - what the parts of pack share: one packer per Lua state.
   SPDX-License-Identifier: MIT

   The packer is a full userdata; its table, in the registry under `ref`,
   anchors it and every Lua value it works with (the slots below). Only
   whoever runs the state uses it, so nothing here needs a lock.

   1. Nothing that a longjmp can pass over is owned by C alone: buffers and
      references belong to userdata with a __gc.
   2. These are in the lists, too, and the packer's own __gc frees what they
      have left: a closing state does not finalize what is made meanwhile. */
#ifndef CAST_PACKER_H
#define CAST_PACKER_H

#include "../../block.h"
#include "../../context.h"
#include "../../list.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../compat/peek.h"
#include "memo.h"
#include "pack.h"

enum {
  CAST_SLOT_PACKER = 1,
  CAST_SLOT_GLOBALS,
  CAST_SLOT_LOADED,  /* package.loaded */
  CAST_SLOT_ENCODER, /* userdata, made on first use */
  CAST_SLOT_ENCODER_META,
  CAST_SLOT_OWN,       /* the module casting, once it was made */
  CAST_SLOT_NAMES,     /* weak: object -> its name (names.c) */
  CAST_SLOT_GIVEN,     /* the same, for ever */
  CAST_SLOT_SHAREDSTR, /* array: strings that are shared bytes too */
  CAST_SLOT_SENTINEL,  /* metatable of what tells the end of a GC cycle */
  CAST_SLOT_CODE,      /* weak: function -> userdata with its bytecode */
  CAST_SLOT_CODE_META,
  CAST_SLOT_RECENT,      /* array: userdata of functions lately dumped */
  CAST_SLOT_FUNCTION,    /* array: functions lately loaded */
  CAST_SLOT_FACTORY,     /* array: what makes closures of those with upvalues */
  CAST_SLOT_STRCACHE,    /* userdata: short strings at hand (strcache.c) */
  CAST_SLOT_TRANSFERRED, /* weak: box -> where its content was */
  CAST_SLOT_SAVE,        /* "__save" */
  CAST_SLOT_TRANSFER,    /* "__transfer" */
  CAST_SLOT_INDEX,       /* "__index" */
  CAST_SLOT_GC,          /* "__gc" */
  CAST_SLOT_REQUIRE,     /* "require" */
  CAST_SLOT_CLOSE,       /* "__close" */
  CAST_SLOT_LAST = CAST_SLOT_CLOSE
};

#define CAST_SHAREDSTR_KEPT 32u            /* see sharedstr.c */
#define CAST_SHAREDSTR_BYTES (1u << 20)    /* of earlier messages, in all */
#define CAST_SHAREDSTR_LARGEST (64u << 20) /* and of the latest */
#define CAST_BYTECODE_KEPT 32u             /* functions: see bytecode.c */
#define CAST_BYTECODE_BYTES (64u << 10)    /* largest one kept */
#define CAST_PACK_KEEP (64u << 10) /* scratch bytes kept for next time */
#define CAST_SAVE_DEPTH 64u        /* __save results in each other */
#define CAST_NAMES_BITS 512u       /* see names.c */

typedef struct cast_sharedstr {
  const char *at;    /* the Lua string's bytes: its identity */
  cast_bytes *bytes; /* one reference; NULL if the entry is free */
  bool used;         /* since the sentinel was made */
  uint32_t message;  /* the one that made the pair */
} cast_sharedstr;

typedef struct cast_recent {
  uint32_t hash;
  cast_bytes *bytes; /* borrowed from the userdata in the slot's array */
} cast_recent;

typedef struct cast_strcache cast_strcache;
typedef struct cast_loaded {
  cast_bytes *function; /* one reference, or NULL */
  cast_bytes *made;     /* one reference, or NULL; see bytecode.c */
  uint32_t given;       /* message that `function` was last given to */
  uint32_t loads;       /* LOADS_*, of `made` */
} cast_loaded;

struct cast_packer {
  int ref;
  cast_runner *const *runner; /* who runs the state; NULL: not known */
  bool closed;                /* the state is closing: keep nothing any more */
  const void *globals;
  const void *modules; /* package.loaded */
  const void *own;     /* the module casting, or NULL */
  cast_list codes;     /* bytecode.c's userdata */
  cast_list encoders;  /* likewise encoder.c's */
  const void *encoder; /* the one in CAST_SLOT_ENCODER */

  bool sentinel; /* one is alive */
  uint32_t next_sharedstr;
  size_t sharedstr_bytes;
  cast_strcache *strcache; /* NULL until the first tree is read */
  int strcache_ref;        /* of the table with them, in the registry */
  uint32_t next_recent;
  uint32_t unpacked; /* counts messages received */
  uint32_t message;  /* and those sent as well */
  uint32_t rest;     /* messages of which none is taken for a tree (tree.c) */
  /* Made when there is something to remember; before, none is written to:
     they are cast_packer_nothing. */
  cast_sharedstr *sharedstrs; /* CAST_SHAREDSTR_KEPT */
  cast_recent *recent;        /* CAST_BYTECODE_KEPT */
  cast_loaded *loaded;        /* CAST_BYTECODE_KEPT */

#if CAST_LUA >= 505
  struct cast_fixed **fixed; /* NULL: somebody else closes the state */
#endif
  /* Names of own modules: pushes the module, or nothing. */
  /* Asked in finalizers. closing: the Lua state is being closed; then this lets
     what still goes on there end. False: that is under way. NULL: nothing does.
   */
  bool (*end)(lua_State *L, bool closing);
  bool (*module)(lua_State *L, const char *name, size_t size);
  const void *pinned;   /* the latest module's casting_transfer */
  cast_object *packing; /* task whose results are packed next; not owned */
  const cast_peek_layout *peek;
  uint64_t loads;     /* what package.loaded had when its modules were noted */
  cast_memo *classes; /* classes.c; NULL: none were asked for */
  uint64_t gathered;  /* what the modules had then; 0: that is not known */
  uint64_t named[CAST_NAMES_BITS / 64]; /* filter: tables with names */
};

static inline cast_blocks *cast_packer_blocks(const cast_packer *p) {
  cast_runner *r = p->runner != NULL ? *p->runner : NULL;
  return r != NULL ? &r->blocks : NULL;
}

/* Where the registry has the packer's tables. Before 5.4 not by numbers: these
   are lost when the registry's array has grown and there is no memory for the
   rest of it. */
#if CAST_LUA < 504
#define cast_packer_find(L, ref) lua_rawgetp(L, LUA_REGISTRYINDEX, &(ref))
#define cast_packer_set(L, ref) lua_rawsetp(L, LUA_REGISTRYINDEX, &(ref))
#else
#define cast_packer_find(L, ref) lua_rawgeti(L, LUA_REGISTRYINDEX, ref)
#define cast_packer_set(L, ref) lua_rawseti(L, LUA_REGISTRYINDEX, ref)
#endif

/* Pushes the packer's table. */
static inline void cast_packer_table(cast_packer *p, lua_State *L) {
  cast_packer_find(L, p->ref);
}

/* Pushes the value of a slot; `t` is where the packer's table lies. */
static inline void cast_packer_get(lua_State *L, int t, int slot) {
  lua_rawgeti(L, t, slot);
}

/* All zero. */
extern const uint64_t cast_packer_nothing[];
/* A zeroed array of n elements in place of nothing; NULL: out of memory, or the
   state is closing. */
void *cast_packer_array(cast_packer *p, void *old, size_t n, size_t size);

/* Pushes the metatable in a slot, made on first use; its __gc has the packer as
   its upvalue, a light userdata. May raise. */
void cast_packer_meta(
  cast_packer *p, lua_State *L, int t, int slot, lua_CFunction gc);

/* Raises Lua's own out-of-memory message. */
_Noreturn void cast_packer_nomem(lua_State *L);

/* Makes room on the Lua stack. Raises: Lua has no way to tell which, so few
   slots are taken for a lack of memory. */
void cast_packer_stack(lua_State *L, int slots);

/* encode.c: the general case of cast_pack. */
void cast_encode(cast_packer *p, lua_State *L, int first, int n,
  const char *what, int base, cast_pack_how how, cast_msg *out);
/* Frees what all encoders hold. */
void cast_encoder_close(cast_packer *p);

/* tree.c: pushes the values of an inline message that holds only scalars
   and short strings; *m is empty then. */
int cast_decode_scalars(lua_State *L, cast_msg *m);
/* Pushes the n values of a message with WIRE_TREE, from `at` to `end`. */
void cast_decode_tree(cast_packer *p, lua_State *L, uint32_t n,
  const unsigned char *at, const unsigned char *end);
/* Raises the error for bytes that no encoder has written. */
_Noreturn void cast_decode_corrupt(lua_State *L);
/* Frees an array of cast_packer_array: what takes its place. */
void *cast_packer_drop_array(void *array);
/* In place of an array that is not there yet. */
void *cast_packer_none(void);

#endif
