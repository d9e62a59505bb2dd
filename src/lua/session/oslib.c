/* oslib.c - functions of the library os that use static data.
   SPDX-License-Identifier: MIT

   Two sessions that call such a function at the same time would get each
   other's results.

   os.date of 5.1 uses localtime and gmtime, whose result lies in one buffer of
   the process. (Later versions, and LuaJIT, use the variants with a buffer of
   the caller's.) A lock around it would not exclude the main program, whose
   os.date is the interpreter's. os.setlocale returns a text that the next call
   may free, and no variant of setlocale avoids that: sessions call it one after
   the other, and copy the text under the lock.

   These were looked at and left alone, since in the C libraries of Linux they
   share nothing: strerror in io.open, os.remove and others (constant texts, or
   in glibc since 2.32 one of the thread), dlerror (one of the thread), mktime
   (it has a lock), mkstemp, in place of tmpnam, in os.tmpname.

   Locks: locale_lock (CAST_RANK_LEAF). */
#include "../../limits.h"
#include "../../lock.h"
#include "../../os/os.h"
#include "../compat/compat.h"
#include "../state/replace.h"
#include "library.h"

/* -- os.date -------------------------------------------------------------- */

#if CAST_LUA == 501 && !CAST_LUAJIT

static void set_field(lua_State *L, const char *key, int value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

/* Pushes the table that the format "*t" means. */
static void push_fields(lua_State *L, const struct tm *tm) {
  lua_createtable(L, 0, 9);
  set_field(L, "sec", tm->tm_sec);
  set_field(L, "min", tm->tm_min);
  set_field(L, "hour", tm->tm_hour);
  set_field(L, "day", tm->tm_mday);
  set_field(L, "month", tm->tm_mon + 1);
  set_field(L, "year", tm->tm_year + 1900);
  set_field(L, "wday", tm->tm_wday + 1);
  set_field(L, "yday", tm->tm_yday + 1);
  if (tm->tm_isdst < 0) return; /* nobody knows */
  lua_pushboolean(L, tm->tm_isdst);
  lua_setfield(L, -2, "isdst");
}

/* Pushes `format` with its items expanded one by one, as 5.1 does it: so the
   length of the result has no limit. */
static void push_formatted(
  lua_State *L, const char *format, const struct tm *tm) {
  char item[3] = "%?", text[CAST_DATE_ITEM_MAX];
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (; *format != '\0'; format++) {
    if (*format != '%' || format[1] == '\0') {
      luaL_addchar(&b, *format);
    } else {
      item[1] = *++format;
      luaL_addlstring(&b, text, strftime(text, sizeof text, item, tm));
    }
  }
  luaL_pushresult(&b);
}

/* The time at argument i, or now. A number that fits no int64_t gives a time
   that has no date. */
static int64_t check_time(lua_State *L, int i) {
  lua_Number t;
  if (lua_isnoneornil(L, i)) return (int64_t)time(NULL);
  t = luaL_checknumber(L, i);
  return t >= -9e18 && t <= 9e18 ? (int64_t)t : INT64_MIN;
}

/* os.date([format [, time]]) of 5.1. */
static int os_date(lua_State *L) {
  const char *format = luaL_optstring(L, 1, "%c");
  int64_t t = check_time(L, 2);
  bool utc = *format == '!';
  struct tm tm;
  if (utc) format++;
  if (!os_calendar(t, utc, &tm))
    lua_pushnil(L);
  else if (strcmp(format, "*t") == 0)
    push_fields(L, &tm);
  else
    push_formatted(L, format, &tm);
  return 1;
}

#endif

/* -- os.setlocale --------------------------------------------------------- */

static cast_lock locale_lock = CAST_LOCK_STATIC(CAST_RANK_LEAF);

/* os.setlocale([locale [, category]]) */
static int os_setlocale(lua_State *L) {
  const char *name = luaL_optstring(L, 1, NULL);
  char copy[CAST_LOCALE_MAX];
  size_t size;
  int category;
  /* LuaJIT's luaL_checkoption takes a value that is no string for one that is
     missing: raise here. */
  (void)luaL_optstring(L, 2, NULL);
  category = luaL_checkoption(L, 2, "all", os_categories);
  cast_lock_take(&locale_lock);
  size = os_locale(category, name, copy, sizeof copy);
  cast_lock_drop(&locale_lock);
  if (size > 0)
    lua_pushlstring(L, copy, size);
  else
    lua_pushnil(L);
  return 1;
}

/* ------------------------------------------------------------------------- */

void cast_open_os(lua_State *L) {
  static const luaL_Reg replaced[] = {
#if CAST_LUA == 501 && !CAST_LUAJIT
    {"date", os_date},
#endif
    {"setlocale", os_setlocale},
    {NULL, NULL},
  };
  cast_libs_replace(L, "os", replaced);
}
