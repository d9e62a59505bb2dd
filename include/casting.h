/* casting.h - public C API of casting: Lua functions in parallel.
   SPDX-License-Identifier: MIT */
#ifndef CASTING_H
#define CASTING_H

#define CASTING_VERSION "0.1.0"
#define CASTING_VERSION_NUM 100

#if defined(_WIN32)
#define CASTING_API __declspec(dllexport)
#elif defined(__GNUC__)
#define CASTING_API __attribute__((visibility("default")))
#else
#define CASTING_API
#endif

/* Outcomes. Functions return 0 or one of these. */
enum {
  CASTING_ENOMEM = -1,     /* out of memory, threads or descriptors */
  CASTING_ETIMEOUT = -2,   /* the time given has passed */
  CASTING_EINTR = -3,      /* interrupted by a signal */
  CASTING_ECLOSED = -4,    /* the channel or session is closed */
  CASTING_EFULL = -5,      /* no room and no receiver now */
  CASTING_EEMPTY = -6,     /* nothing to receive now */
  CASTING_ECANCELLED = -7, /* the waiting task was cancelled */
  CASTING_EINVAL = -8      /* an argument is out of its range */
};

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;

/* The module's opener: `require "casting"` calls it. Pushes the module table
   and returns 1. Opening it again in the same Lua state gives the same table;
   any number of Lua states of one process may open it. */
CASTING_API int luaopen_casting(struct lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
