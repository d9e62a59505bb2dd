/* factory.c - functions that make closures of a prototype.
   SPDX-License-Identifier: MIT

   The API of Lua has one way to a new closure of a function that came as
   bytecode: to load it again, prototype and all. But a function in bytecode may
   have other functions in it. So a template is compiled and dumped,

     local a1, a2, a3  return function() return a1, a2, a3 end

   and the inner function in it is replaced by the one that is wanted. What is
   loaded then is a function that makes closures of it. The formats have been
   stable within each version, and template and function come from this very
   process. Each part is read with its bounds checked, and what does not look as
   it should is not touched: then functions are loaded as before. 5.5 is such a
   case, where strings are numbered through the whole dump.

   The inner function's upvalues have to be found in the outer one: from 5.2 on,
   and in LuaJIT, the prototype says where they lie, and that is patched. In 5.1
   it follows the instruction that makes the closure, in the template.

   DESIGN has the figures by which this stays (Values).

   A dump is a header and the main function. A function, by version:

     5.1, 5.2   source (5.1), lines, sizes, code, constants, inner functions,
                upvalues (5.2), debug information (5.2: with the source)
     5.3, 5.4   source, lines, sizes, code, constants, upvalues, inner
                functions, debug information
     LuaJIT     all prototypes in a row, inner ones first, each with its size

   Owner: nobody; the functions here keep nothing. */
#include "factory.h"

#include "../../base.h"
#include "../../msg.h"
#include "../compat/compat.h"

#define DUMP_MAX 16384 /* of the template */

/* The source of a factory, and so of a function in it that was stripped of its
   own: Lua's word for none. */
#define NO_SOURCE "=?"

/* Bytes of a dump: what is left to be read, or what was found. */
typedef struct part {
  const unsigned char *at, *end;
} part;

#if CAST_LUA >= 505
bool cast_factory_push(lua_State *L, const cast_bytes *b, int nups) {
  CAST_UNUSED(L);
  CAST_UNUSED(b);
  CAST_UNUSED(nups);
  return false;
}
#else

/* -- reading -------------------------------------------------------------- */

/* These pass over or read the next thing, and are false where the bytes end
   too soon: a dump of another kind than expected must not be read beyond its
   end. */
static bool skip(part *p, size_t n) {
  if (n > (size_t)(p->end - p->at)) return false;
  p->at += n;
  return true;
}

#if CAST_LUAJIT || CAST_LUA == 504
static bool get_byte(part *p, unsigned *v) {
  if (!skip(p, 1)) return false;
  *v = p->at[-1];
  return true;
}
#endif

#if CAST_LUAJIT

/* A number in groups of seven bits, the low ones first. */
static bool get_uleb(part *p, size_t *v) {
  unsigned byte, shift = 0;
  *v = 0;
  do {
    if (shift > 28 || !get_byte(p, &byte)) return false;
    *v |= (size_t)(byte & 0x7f) << shift;
    shift += 7;
  } while (byte >= 0x80);
  return true;
}

/* Passes the header. Stripped dumps are laid out otherwise; ours never are. */
static bool skip_header(part *p) {
  size_t flags, size;
  if (!skip(p, 4) || p->at[-3] != 'L' || p->at[-2] != 'J' || p->at[-1] != 2 ||
      !get_uleb(p, &flags) || (flags & 2) != 0) /* 2: stripped */
    return false;
  return get_uleb(p, &size) && skip(p, size);
}

/* Passes a prototype, and finds its bytes, and where its upvalues are: two
   bytes each, behind the instructions. */
static bool skip_proto(part *p, part *whole, part *upvalues) {
  size_t size, n[4], debug, line;
  unsigned nups;
  whole->at = p->at;
  if (!get_uleb(p, &size) || size == 0) return false;
  part body = {p->at, p->at + size};
  if (!skip(p, size) || !skip(&body, 3) || !get_byte(&body, &nups) ||
      !get_uleb(&body, &n[0]) || !get_uleb(&body, &n[1]) ||
      !get_uleb(&body, &n[2]) || !get_uleb(&body, &debug))
    return false;
  if (debug > 0 && !get_uleb(&body, &line)) return false; /* the first, */
  if (debug > 0 && !get_uleb(&body, &line)) return false; /* and how many */
  if (!skip(&body, 4 * n[2])) return false;
  upvalues->at = body.at;
  if (!skip(&body, 2 * (size_t)nups)) return false;
  upvalues->end = body.at;
  whole->end = p->at;
  return true;
}

/* Protos come inner ones first, and a zero ends them. Finds the last two. */
static bool split(part *p, part *inner, part *outer, part *upvalues) {
  inner->at = NULL;
  outer->at = NULL;
  while (p->at < p->end && *p->at != 0) {
    *inner = *outer;
    if (!skip_proto(p, outer, upvalues)) return false;
  }
  return outer->at != NULL && p->end - p->at == 1;
}

/* Adds a dump to *out: all prototypes of `old`, the last of which is its main
   function; its upvalues are said to be locals of the function around it, in
   slots 0 to nups - 1. Then comes the main function of `made`, the template, to
   which the one in front of it is the inner one. */
static bool splice(luaL_Buffer *out, part old, part made, int nups) {
  part start = old, inner, main, outer, upvalues, unused;
  if (!skip_header(&old) || !split(&old, &inner, &main, &upvalues) ||
      upvalues.end - upvalues.at != (ptrdiff_t)2 * nups ||
      !skip_header(&made) || !split(&made, &inner, &outer, &unused) ||
      inner.at == NULL)
    return false;
  luaL_addlstring(
    out, (const char *)start.at, (size_t)(upvalues.at - start.at));
  for (int i = 0; i < nups; i++) {
    uint16_t v;
    memcpy(&v, upvalues.at + (ptrdiff_t)2 * i, 2);
    v = (uint16_t)(0x8000 | (v & 0x4000) | i); /* local, immutable, slot */
    luaL_addlstring(out, (const char *)&v, 2);
  }
  luaL_addlstring(
    out, (const char *)upvalues.end, (size_t)(main.end - upvalues.end));
  luaL_addlstring(out, (const char *)outer.at, (size_t)(outer.end - outer.at));
  luaL_addlstring(out, "\0", 1);
  return true;
}

#else

/* HEADER: bytes in front of the main function. UPVALUE: bytes that say where
   one lies. */
#if CAST_LUA == 504
#define HEADER 32 /* with the number of upvalues */
#define UPVALUE 3
/* A number in groups of seven bits, the high ones first; the last has bit 7. */
static bool get_int(part *p, size_t *v) {
  unsigned byte;
  *v = 0;
  do {
    if (*v > SIZE_MAX >> 8 || !get_byte(p, &byte)) return false;
    *v = *v << 7 | (byte & 0x7f);
  } while (byte < 0x80);
  return true;
}
#else
#define HEADER (CAST_LUA == 503 ? 34 : CAST_LUA == 502 ? 18 : 12)
#define UPVALUE 2
static bool get_int(part *p, size_t *v) {
  int n;
  if (!skip(p, sizeof n)) return false;
  memcpy(&n, p->at - sizeof n, sizeof n);
  *v = (size_t)n;
  return n >= 0;
}
#endif

/* Passes n numbers. */
static bool skip_ints(part *p, int n) {
  size_t v;
  while (n-- > 0)
    if (!get_int(p, &v)) return false;
  return true;
}

/* Passes a string: its size, with the '\0' or 0 for none, and its bytes. */
static bool skip_string(part *p) {
  size_t size;
#if CAST_LUA == 504
  return get_int(p, &size) && (size == 0 || skip(p, size - 1));
#elif CAST_LUA == 503
  if (!skip(p, 1)) return false;
  size = p->at[-1];
  if (size == 0xff) {
    if (!skip(p, sizeof size)) return false;
    memcpy(&size, p->at - sizeof size, sizeof size);
  }
  return size == 0 || skip(p, size - 1);
#else
  if (!skip(p, sizeof size)) return false;
  memcpy(&size, p->at - sizeof size, sizeof size);
  return skip(p, size);
#endif
}

/* Passes a number, and so many things of `each` bytes. The first comparison is
   there so that the product cannot overflow. */
static bool skip_array(part *p, size_t each) {
  size_t n;
  return get_int(p, &n) && n <= (size_t)(p->end - p->at) && skip(p, n * each);
}

/* Passes the constants, whose sizes differ by type; 5.4 has variants of these
   in bits 4 and 5. An unknown type is not a dump that this was written for. */
static bool skip_constants(part *p) {
  size_t n;
  if (!get_int(p, &n)) return false;
  for (; n > 0; n--) {
    if (!skip(p, 1)) return false;
    unsigned tag = p->at[-1];
    switch (tag & 0x0f) {
    case LUA_TNIL: break;
    case LUA_TBOOLEAN:
      if (CAST_LUA < 504 && !skip(p, 1)) return false;
      break;
    case LUA_TNUMBER:
      if (!skip(p, sizeof(lua_Number))) return false;
      break;
    case LUA_TSTRING:
      if (!skip_string(p)) return false;
      break;
    default: return false;
    }
  }
  return true;
}

/* Passes lines, local variables, and names of upvalues. */
static bool skip_debug(part *p) {
  size_t n;
  if (CAST_LUA == 502 && !skip_string(p)) return false;
  if (!skip_array(p, CAST_LUA == 504 ? 1 : sizeof(int))) return false;
#if CAST_LUA == 504
  if (!get_int(p, &n)) return false;
  for (; n > 0; n--)
    if (!skip_ints(p, 2)) return false;
#endif
  if (!get_int(p, &n)) return false;
  for (; n > 0; n--)
    if (!skip_string(p) || !skip_ints(p, 2)) return false;
  if (!get_int(p, &n)) return false;
  for (; n > 0; n--)
    if (!skip_string(p)) return false;
  return true;
}

/* What was found in a function. */
typedef struct proto {
  unsigned nups; /* 5.1: how many upvalues it has */
  part upvalues; /* bytes that say where they lie; 5.1: nothing */
  part inner;    /* its last inner function */
  size_t ninner; /* how many it has */
} proto;

static bool skip_function(part *p, proto *f, int depth);

/* Passes the inner functions, `depth` levels of them: so the C stack is
   limited. */
static bool skip_inner(part *p, proto *f, int depth) {
  proto unused;
  if (depth == 0 || !get_int(p, &f->ninner)) return false;
  for (size_t i = 0; i < f->ninner; i++) {
    f->inner.at = p->at;
    if (!skip_function(p, &unused, depth - 1)) return false;
    f->inner.end = p->at;
  }
  return true;
}

/* Passes what says where upvalues lie. */
static bool skip_upvalues(part *p, proto *f) {
  f->upvalues = (part){p->at, p->at};
#if CAST_LUA >= 502
  size_t n;
  if (!get_int(p, &n)) return false;
  f->upvalues.at = p->at;
  if (n > 255 || !skip(p, n * UPVALUE)) return false;
  f->upvalues.end = p->at;
#endif
  return true;
}

/* Passes a function with all that is in it; see above for the order. */
static bool skip_function(part *p, proto *f, int depth) {
  if (CAST_LUA != 502 && !skip_string(p)) return false;
  if (!skip_ints(p, 2) || !skip(p, CAST_LUA == 501 ? 4 : 3)) return false;
  f->nups = p->at[-4];
  if (!skip_array(p, 4) || !skip_constants(p)) return false;
  if (CAST_LUA >= 503)
    return skip_upvalues(p, f) && skip_inner(p, f, depth) && skip_debug(p);
  return skip_inner(p, f, depth) && skip_upvalues(p, f) && skip_debug(p);
}

/* Adds a dump to *out: the template `made`, with the main function of `old` in
   place of its inner one. From 5.2 on the upvalues of that are said to be
   registers 0 to nups - 1 of the function around it; their kind (5.4) stays. */
static bool splice(luaL_Buffer *out, part old, part made, int nups) {
  part start = made, at;
  proto inner, outer;
  if (!skip(&old, HEADER) || !skip(&made, HEADER)) return false;
  at = old;
  if (!skip_function(&at, &inner, 100) || at.at != at.end ||
      !skip_function(&made, &outer, 2) || made.at != made.end ||
      outer.ninner != 1)
    return false;
  if (CAST_LUA >= 502
        ? inner.upvalues.end - inner.upvalues.at != (ptrdiff_t)UPVALUE * nups
        : inner.nups != (unsigned)nups)
    return false;
  luaL_addlstring(
    out, (const char *)start.at, (size_t)(outer.inner.at - start.at));
  luaL_addlstring(
    out, (const char *)old.at, (size_t)(inner.upvalues.at - old.at));
  for (int i = 0; CAST_LUA >= 502 && i < nups; i++) {
    char where[3] = {1, (char)i, 0}; /* in the stack, register */
    if (UPVALUE == 3) where[2] = (char)inner.upvalues.at[3 * i + 2];
    luaL_addlstring(out, where, UPVALUE);
  }
  luaL_addlstring(out, (const char *)inner.upvalues.end,
    (size_t)(at.end - inner.upvalues.end));
  luaL_addlstring(
    out, (const char *)outer.inner.end, (size_t)(made.end - outer.inner.end));
  return true;
}

#endif

/* -- the template --------------------------------------------------------- */

typedef struct dumped {
  size_t size; /* of what has come so far */
  unsigned char bytes[DUMP_MAX];
} dumped;

/* The lua_Writer. */
static int write(lua_State *L, const void *from, size_t size, void *ud) {
  dumped *d = ud;
  CAST_UNUSED(L);
  if (size > DUMP_MAX - d->size) return 1;
  if (size > 0) memcpy(d->bytes + d->size, from, size);
  d->size += size;
  return 0;
}

/* Writes "a1,a2,a3" and returns its end. */
static char *names(char *at, int n) {
  for (int i = 1; i <= n; i++)
    at += sprintf(at, i == 1 ? "a%d" : ",a%d", i); /* at most ",a60" */
  return at;
}

/* The inner function returns its upvalues, so it has them all, in order. */
static bool dump_template(lua_State *L, dumped *d, int nups) {
  char text[2 * 4 * CAST_FACTORY_UPVALUES + 64], *at = text;
  at += sprintf(at, "local ");
  at = names(at, nups);
  at += sprintf(at, " return function() return ");
  at = names(at, nups);
  at += sprintf(at, " end");
  d->size = 0;
  if (cast_lua_load(L, text, (size_t)(at - text), NO_SOURCE, "t") != LUA_OK)
    return false;
  return cast_lua_dump(L, write, d) == 0;
}

/* All memory is Lua's, so an error loses none: the dump is in a userdata, the
   new bytecode in a luaL_Buffer. */
bool cast_factory_push(lua_State *L, const cast_bytes *b, int nups) {
  int top = lua_gettop(L);
  luaL_Buffer out;
  CAST_ASSERT(nups >= 1 && nups <= CAST_FACTORY_UPVALUES);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  dumped *d = cast_lua_newuserdata(L, sizeof *d);
  bool ok = dump_template(L, d, nups);
  if (ok) {
    const unsigned char *old = (const unsigned char *)b->data;
    luaL_buffinit(L, &out);
    ok = splice(&out, (part){old, old + b->size},
      (part){d->bytes, d->bytes + d->size}, nups);
    luaL_pushresult(&out);
  }
  if (ok) {
    size_t size;
    const char *s = lua_tolstring(L, -1, &size);
    ok = cast_lua_load(L, s, size, NO_SOURCE, "b") == LUA_OK;
  }
  if (ok) lua_replace(L, top + 1);
  lua_settop(L, ok ? top + 1 : top);
  return ok;
}

#endif
