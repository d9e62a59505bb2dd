/* message.c - packed messages as counted objects.
   SPDX-License-Identifier: MIT

   Apart from packed.c, so that who looks through a message (dataonly.c) needs
   nothing of handles. */
#include "../../account.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "packed.h"

static void message_free(cast_object *o) {
  cast_message *m = CAST_CONTAINER(o, cast_message, object);
  cast_account_release(m->account, sizeof *m);
  cast_free(m);
}

/* The message's references may be the last ones of others: they are put on a
   list instead of being given up in each other (object.h). */
static void message_release(cast_object *o, cast_object **more) {
  cast_msg_drop_later(&CAST_CONTAINER(o, cast_message, object)->msg, more);
}

const cast_type cast_message_type = {"message", message_free, message_release};
