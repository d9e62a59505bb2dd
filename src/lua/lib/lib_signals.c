/* lib_signals.c - process.signals.
   SPDX-License-Identifier: MIT

   All that may raise is done before the channel is told of any signal: a
   message for each is made, and the channel has room for all of them, since
   whoever sends them must not need memory. */
#include "lib_signals.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../io/signals.h"
#include "../compat/auxiliary.h"
#include "../io/net.h"
#include "../state/argument.h"
#include "../state/state.h"
#include "../transfer/pack.h"
#include "lib_chan.h"

#include <string.h>

/* Argument i becomes a signal of the list, unless it is there already. */
static void add(lua_State *L, int i, cast_signal *all, uint32_t *n) {
  size_t size;
  const char *name = cast_arg_string(L, i, &size);
  int number = strlen(name) == size ? os_signal_number(name) : 0;
  cast_arg_check(L, number != 0, i, "the name of a signal expected");
  if (!os_signal_is_free(number))
    cast_arg_error(L, i,
      lua_pushfstring(L, "SIG%s cannot be caught", os_signal_name(number)));
  for (uint32_t k = 0; k < *n; k++)
    if (all[k].number == number) return;
  all[*n].number = number;
  lua_pushstring(L, os_signal_name(number));
  memset(&all[*n].name, 0, sizeof all[*n].name);
  if (!cast_pack_inline(L, lua_gettop(L), 1, &all[*n].name))
    cast_misuse(L, "the name of a signal is too long");
  lua_pop(L, 1);
  ++*n;
}

/* signals(name, ...): a channel of names; or nil, why. */
int cast_lib_signals(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_signal all[OS_SIGNALS];
  int top = lua_gettop(L), rc;
  uint32_t n = 0;
  cast_chan *c;
  cast_arg_check(L, top > 0, 1, "the name of a signal expected");
  for (int i = 1; i <= top; i++) add(L, i, all, &n);
  cast_state_prepare(L, S);
  c = cast_chan_push(L, n);
  while (c->room < n)
    if (cast_chan_grow(c, &S->session) != 0) cast_raise_memory(L);
  rc = cast_signals_subscribe(c, all, n);
  if (rc == CASTING_ENOMEM) cast_raise_memory(L);
  if (rc != 0) return cast_net_failure(L, rc);
  return 1;
}
