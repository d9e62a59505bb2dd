/* userdata.h - writes userdata into an encoder.
   SPDX-License-Identifier: MIT */
#ifndef CAST_USERDATA_H
#define CAST_USERDATA_H

#include "encoder.h"

/* Writes the userdata on top of the stack, and pops it. */
cast_put cast_userdata_put(cast_encoder *e);

#endif
