/* api_chan.c - channels for C, from any thread.
   SPDX-License-Identifier: MIT

   A thread that waits here does so as a task without a session (foreign.h), so
   it stands in the same queues as tasks.

   As long as C has a reference to a channel it may send there, and wake a task:
   so each reference counts as an announcement that forbids to find a deadlock
   (cast_deadlock_expect). */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../../chan.h"
#include "../../deadlock.h"
#include "../../foreign.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../runtime.h"
#include "../compat/auxiliary.h"
#include "../transfer/wire.h"
#include "api.h"

uint64_t cast_api_deadline(double seconds) {
  if (seconds == 0) return 0;
  return seconds > 0 ? cast_deadline_in(seconds) : OS_FOREVER;
}

/* C gets a strong reference to c, which is announced; NULL stays NULL. */
static casting_channel *api(cast_chan *c) {
  if (c == NULL) return NULL;
  cast_deadlock_expect();
  return cast_api_chan_out(&c->object);
}

casting_channel *casting_channel_new(size_t capacity) {
  return api(cast_chan_new(capacity));
}

casting_channel *casting_channel_named(
  const char *name, size_t capacity, int *error) {
  int rc = CASTING_EFORKED;
  cast_chan *c = NULL;
  if (!cast_api_is_forked())
    c = cast_runtime_named(name, strlen(name), &capacity, &rc);
  if (error != NULL) *error = rc;
  return api(c);
}

casting_channel *casting_channel_ref(casting_channel *c) {
  cast_deadlock_expect();
  cast_ref(&cast_api_chan(c)->object);
  return c;
}

void casting_channel_unref(casting_channel *c) {
  if (cast_api_is_forked()) return;
  cast_deadlock_unexpect();
  cast_unref(&cast_api_chan(c)->object);
}

/* Does the message begin with nil? The results of a task may, but sent into a
   channel that would look like its end. */
static bool is_first_nil(cast_msg *m) {
  const unsigned char *at = cast_msg_data(m);
  unsigned head = *at++;
  if ((head & WIRE_COUNT) > WIRE_COUNT_MAX) at += 4;
  if ((head & WIRE_REFS) != 0) at += 4;
  return *at == WIRE_NIL;
}

/* A call that does not wait (0 seconds) has the outcomes of try_send and
   try_receive: CASTING_EFULL and CASTING_EEMPTY. */
int casting_channel_send(
  casting_channel *c, casting_message *m, double seconds) {
  int rc = cast_api_complete(m);
  if (cast_api_is_forked()) return CASTING_EFORKED;
  if (rc != 0) return rc;
  if (CAST_UNLIKELY(is_first_nil(&m->msg))) return CASTING_EINVAL;
  rc = cast_foreign_send(cast_api_chan(c), &m->msg, cast_api_deadline(seconds));
  if (rc == 0) cast_api_set(m, NULL);
  return rc;
}

/* What *m has had is dropped also if nothing is received. */
int casting_channel_receive(
  casting_channel *c, casting_message *m, double seconds) {
  cast_msg msg;
  int rc;
  cast_api_set(m, NULL);
  if (cast_api_is_forked()) return CASTING_EFORKED;
  memset(&msg, 0, sizeof msg);
  rc = cast_foreign_receive(cast_api_chan(c), &msg, cast_api_deadline(seconds));
  if (rc == 0) cast_api_set(m, &msg);
  return rc;
}

int casting_channel_close(casting_channel *c) {
  return !cast_api_is_forked() && cast_chan_close(cast_api_chan(c), NULL);
}

int casting_channel_closed(casting_channel *c) {
  (void)cast_api_is_forked();
  return cast_chan_is_closed(cast_api_chan(c));
}

size_t casting_channel_len(casting_channel *c) {
  (void)cast_api_is_forked();
  return cast_chan_len(cast_api_chan(c));
}

size_t casting_channel_capacity(const casting_channel *c) {
  return cast_api_chan(c)->capacity;
}
