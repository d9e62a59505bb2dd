/* transferable.h - userdata whose content moves instead of being copied.
   SPDX-License-Identifier: MIT

   "Transferable" as in the Web's structured clone: after the send the sender's
   object is empty. C modules say how, see casting_transfer in casting.h. What
   crosses is a counted box with the content. It is filled only when the message
   is complete, as the last step of packing, so that a failure before leaves the
   userdata as it was. If the message is not sent after all, its content is put
   back (cast_pack_undo).

   1. The content belongs to the userdata or to the box, never to both. It is
      taken out of a box by an exchange for NULL, by whatever thread: the
      receiver, the sender that undoes, or the last one to drop the message. */
#ifndef CAST_TRANSFERABLE_H
#define CAST_TRANSFERABLE_H

#include "../../../include/casting.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "packer.h"

typedef struct cast_transferable {
  cast_object object;
  const casting_transfer *how; /* (i) the C module's functions */
  _Atomic(void *) content;     /* (a) NULL: not there yet, or taken out */
} cast_transferable;

extern const cast_type cast_transferable_type;

/* How the userdata with the metatable on top moves; NULL: it does not. */
const casting_transfer *cast_transferable_how(lua_State *L, int t);
/* An empty box for the userdata on top. May raise. NULL: out of memory. */
cast_transferable *cast_transferable_new(
  cast_packer *p, lua_State *L, int t, const casting_transfer *how);
/* Fills the boxes of a complete message. NULL: done. Else all is as before, but
   for the message: returns the address of a userdata that refuses; or
   cast_transferable_gone, if one has been collected, because nothing but the
   message had it any more. */
extern const char cast_transferable_gone[];
const void *cast_transferable_take(cast_packer *p, lua_State *L, cast_msg *m);
/* What was taken goes back; drops *m. Does not raise. */
void cast_transferable_undo(cast_packer *p, lua_State *L, cast_msg *m);
/* Makes a userdata with the content of the box and pushes it; false: what is
   pushed is the error's value. */
bool cast_transferable_push(cast_packer *p, lua_State *L, cast_transferable *b);

#endif
