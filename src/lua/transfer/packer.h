/* packer.h - what the parts of pack share: one packer per Lua state.
   SPDX-License-Identifier: MIT

   The packer is a full userdata. Its table, in the registry under `ref`,
   anchors it and every Lua value it works with (the slots below). What a state
   remembers from message to message is here: names of modules, bytecode, large
   strings, the string cache, an encoder.

   Owner: the runner of the state, which alone uses it. No locks.

   1. Nothing that a longjmp can pass over is owned by C alone: buffers and
      references belong to userdata with a __gc.
   2. What these userdata own is in the packer's lists, too, and the packer's
      own __gc frees what they have left: a closing state does not finalize what
      is made meanwhile. It lies in memory of C's, since a userdata can vanish
      without its finalizer when there is no memory to call that. Once `closed`
      is set nothing is remembered any more.
   3. A slot has false until something is in it. */
#ifndef CAST_PACKER_H
#define CAST_PACKER_H

#include "../../account.h"
#include "../../block.h"
#include "../../context.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../compat/peek.h"
#include "memo.h"
#include "pack.h"

/* Items of the packer's table. */
enum {
  CAST_SLOT_PACKER = 1, /* the packer itself */
  CAST_SLOT_GLOBALS,    /* the table of globals */
  CAST_SLOT_LOADED,     /* package.loaded */
  CAST_SLOT_ENCODER,    /* userdata, made on first use */
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

/* A shared string: a pair of a Lua string and the bytes that it equals. */
typedef struct cast_sharedstr {
  const char *at;    /* the Lua string's bytes: its identity */
  cast_bytes *bytes; /* one reference; NULL if the entry is free */
  bool used;         /* it was used since the sentinel was made */
  uint32_t message;  /* number of the message that made the pair */
} cast_sharedstr;

/* A function that was dumped lately (bytecode.c). */
typedef struct cast_recent {
  uint32_t hash;     /* of the bytes */
  cast_bytes *bytes; /* borrowed from the userdata in the slot's array */
} cast_recent;

typedef struct cast_strcache cast_strcache;

/* What is remembered by an address of bytecode (bytecode.c): two things, which
   may be of different functions. */
typedef struct cast_loaded {
  cast_bytes *function; /* pure one in CAST_SLOT_FUNCTION: one reference */
  cast_bytes *made;     /* one with upvalues, was loaded: one reference */
  uint32_t given;       /* message that `function` was last given to */
  uint32_t loads;       /* LOADS_*, of `made` */
} cast_loaded;

struct cast_packer {
  int ref;                    /* of the packer's table, in the registry */
  cast_runner *const *runner; /* what runs the state; NULL: not known */
  bool closed;                /* the state is closing: keep nothing any more */
  /* (i) A sandbox's: nothing but data leaves it (dataonly.h), and handles of
     objects of the types for which this is true. NULL: it is none. */
  bool (*leaves)(const cast_type *type);
  bool freed;          /* what is in `codes` and `encoders` is, too */
  bool stuck;          /* set before: a task may still be in one */
  const void *globals; /* address of the table of globals */
  const void *modules; /* of package.loaded */
  const void *own;     /* of the module casting, or NULL */
  cast_list codes;     /* bytecode.c's userdata */
  cast_list encoders;  /* encoder.c's userdata */
  const void *encoder; /* the one in CAST_SLOT_ENCODER */

  bool sentinel;           /* one is alive (sharedstr.c) */
  uint32_t next_sharedstr; /* place of the next shared string */
  size_t sharedstr_bytes;  /* bytes of them all */
  cast_strcache *strcache; /* string cache; NULL until the first tree is read */
  int strcache_ref;        /* of its table, in the registry */
  uint32_t next_recent;    /* place of the next function that is dumped */
  uint32_t unpacked;       /* counts messages received */
  uint32_t message;        /* counts messages received and sent */
  uint32_t rest; /* so many messages are not tried as trees (tree.c) */
  /* Arrays that are made when there is something to remember. Before, they are
     cast_packer_nothing: they can be read, and are empty. */
  cast_sharedstr *sharedstrs; /* CAST_SHAREDSTR_KEPT shared strings */
  cast_recent *recent;        /* CAST_BYTECODE_KEPT */
  cast_loaded *loaded;        /* CAST_BYTECODE_KEPT */

#if CAST_LUA >= 505
  /* Where bytecode goes that functions use where it lies; NULL: casting does
     not close the state, and could not free it then. */
  struct cast_fixed **fixed;
#endif
  /* Asked in finalizers. closing: the Lua state is being closed; then this lets
     the tasks that still run there end. False: that is under way, and nothing
     may be given up yet. NULL: no task can run then. */
  bool (*end)(lua_State *L, bool closing);
  /* Pushes a module of ours that only names have (names.h), or nothing. */
  bool (*module)(lua_State *L, const char *name, size_t size);
  const void *pinned;    /* the casting_transfer that was pinned last */
  cast_object *packing;  /* task whose results are packed next; not owned */
  cast_account *account; /* (i) messages and encoders are charged to it, which
                            the session owns; NULL: it is trusted */
  const cast_peek_layout *peek; /* how to look into tables (peek.h) */
  uint64_t loads;     /* fingerprint of package.loaded for the notes; 0: none */
  cast_memo *classes; /* set of tables (classes.c); NULL until it is needed */
  uint64_t gathered;  /* fingerprint of the modules for it; 0: not known */
  uint64_t named[CAST_NAMES_BITS / 64]; /* filter: tables with names */
};

/* The runner's blocks of memory, which messages are made in and go back to;
   NULL: no runner is known. */
static inline cast_blocks *cast_packer_blocks(const cast_packer *p) {
  cast_runner *r = p->runner != NULL ? *p->runner : NULL;
  return r != NULL ? &r->blocks : NULL;
}

/* Where the registry has the packer's two tables. Before 5.4 they go by address
   instead of number: what has a number is lost if the registry's array grows
   and there is then no memory for its hash part. */
#if CAST_LUA < 504
#define cast_packer_find(L, ref) lua_rawgetp(L, LUA_REGISTRYINDEX, &(ref))
#define cast_packer_set(L, ref) lua_rawsetp(L, LUA_REGISTRYINDEX, &(ref))
#else
#define cast_packer_find(L, ref) lua_rawgeti(L, LUA_REGISTRYINDEX, ref)
#define cast_packer_set(L, ref) lua_rawseti(L, LUA_REGISTRYINDEX, ref)
#endif

/* A charge for a message of so many bytes, besides its objects, among which it
   is going to be: one reference for the caller. In a packer with an account.
   Garbage may be collected for it. NULL: there is no memory, or too much is
   charged already. May raise. */
cast_object *cast_packer_charge(cast_packer *p, lua_State *L, size_t bytes,
  cast_object *const *items, uint32_t n);

/* Pushes the packer's table. */
static inline void cast_packer_table(cast_packer *p, lua_State *L) {
  cast_packer_find(L, p->ref);
}

/* Pushes the value of a slot; `t` is where the packer's table lies. */
static inline void cast_packer_get(lua_State *L, int t, int slot) {
  lua_rawgeti(L, t, slot);
}

/* All zero, and as large as the largest of the arrays: stands for one that was
   not made yet, so that a search needs no case of its own. */
extern const uint64_t cast_packer_nothing[];
/* `old`, or a zeroed array of n elements in place of nothing; NULL: out of
   memory, or the state is closing. */
void *cast_packer_array(cast_packer *p, void *old, size_t n, size_t size);

/* Pushes the metatable in a slot, made on first use; its __gc has the packer as
   its upvalue, a light userdata. May raise. */
void cast_packer_meta(
  cast_packer *p, lua_State *L, int t, int slot, lua_CFunction gc);

/* Makes room on the Lua stack. Raises: lua_checkstack does not say whether
   there is no memory or the stack is too large, so where few slots are asked
   for on a small stack it is taken for a lack of memory. */
void cast_packer_stack(lua_State *L, int slots);

/* encode.c: the general case of cast_pack. */
void cast_encode(cast_packer *p, lua_State *L, int first, int n,
  const char *what, int base, cast_pack_how how, cast_msg *out);
/* Frees what all encoders hold. */
void cast_encoder_close(cast_packer *p);

/* tree.c: pushes the values of an inline message that holds only scalars
   and short strings; *m is empty then. */
int cast_decode_scalars(lua_State *L, cast_msg *m);
/* Pushes the n values of a message with WIRE_TREE, from `at` to `end`. May
   raise, as all that follow. */
void cast_decode_tree(cast_packer *p, lua_State *L, uint32_t n,
  const unsigned char *at, const unsigned char *end);
/* Raises the error for bytes that no encoder has written. */
_Noreturn void cast_decode_corrupt(lua_State *L);
/* Frees an array of cast_packer_array; returns what takes its place. */
void *cast_packer_drop_array(void *array);
/* What is in place of an array that is not there yet. */
void *cast_packer_none(void);

#endif
