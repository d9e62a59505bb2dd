/* net_wait.h - waiting for descriptors of others, alone or in a select.
   SPDX-License-Identifier: MIT

   All of it is select: `net.wait`, and casting_wait_fd, are selects with one
   case, or two. So a wait takes nothing: it is woken beside the tasks that read
   or accept, and not in place of one of them (R160). */
#ifndef CAST_NET_WAIT_H
#define CAST_NET_WAIT_H

#include "../../os/os.h"
#include "../../select.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* -- cases of a select ---------------------------------------------------- */

/* What a value in the list of casting.select is. */
typedef enum cast_net_kind {
  CAST_NET_NONE, /* nothing of ours; *c is as before */
  CAST_NET_CASE, /* *c waits for it */
  CAST_NET_WRONG /* one of ours that cannot be waited for: *why is a text */
} cast_net_kind;

/* The stream, socket or listener at idx: the case is that there is something to
   read or to accept. */
cast_net_kind cast_net_case(
  lua_State *L, int idx, cast_case *c, const char **why);
/* The list {net.wait, fd, mode}, whose n values are at idx. */
cast_net_kind cast_net_wait_case(
  lua_State *L, int idx, int n, cast_case *c, const char **why);

/* cast_select_files for the cases of t, of which cast_cases_own has taken hold;
   it waits if `waits`, perhaps for its turn first. Not CAST_PARKED:
   t->base.wait.index is *which, as after a wait. */
int cast_net_select(cast_state *S, cast_ltask *t, bool waits);
/* For `again` of a kind of wait that cast_net_select has parked. */
int cast_net_select_again(cast_state *S, cast_ltask *t);
/* For a report: such a case that is waited for. */
void cast_net_describe_case(cast_buffer *b, const cast_case *c);
/* After cast_net_select: gives up all that the cases hold, but messages. */
void cast_net_select_over(cast_ltask *t);

/* -- waits for one descriptor --------------------------------------------- */

/* Is the value at idx the number of a descriptor? A string is none. */
bool cast_net_is_fd(lua_State *L, int idx);
#define CAST_NET_FD "a descriptor must be a non-negative integer" /* else */
/* What to do in place of waiting for the value at idx, which is no number. */
const char *cast_net_fd_hint(lua_State *L, int idx);

/* Makes the cases of t: `events` of the descriptor fd, OS_READABLE and
   OS_WRITABLE. False: out of memory. */
bool cast_net_wait_begin(cast_ltask *t, int fd, uint32_t events);
/* For `finish`, and for what cast_net_select has returned: gives up what the
   wait holds, and says how it has ended: 0, ready; CASTING_EINVAL, no open
   descriptor; else a CASTING_E*. */
int cast_net_wait_end(cast_ltask *t, int result);
void cast_net_wait_describe(cast_buffer *b, const cast_ltask *t);

#endif
