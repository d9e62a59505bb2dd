/* log.c - the few lines that casting writes by itself.
   SPDX-License-Identifier: MIT */
#include "log.h"

#include <stdio.h>

#include "fork.h"
#include "limits.h"
#include "lock.h"
#include "os/os.h"

static struct {
  cast_lock lock;
  cast_log_function fn;  /* (lock) where lines go; NULL: stderr */
  void *ud;              /* (lock) its first argument */
  _Atomic uint32_t lost; /* (a) lines dropped since the last one written */
  bool cut;              /* errands' thread: the last line has no end yet */
} out = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

void cast_log_to(cast_log_function fn, void *ud) {
  cast_lock_take(&out.lock);
  out.fn = fn;
  out.ud = ud;
  cast_lock_drop(&out.lock);
}

/* Calls the host's function; false if there is none. The child of a fork does
   not call it, since it may want a lock that a thread of the parent held. */
static bool tell(const char *text, size_t size) {
  bool is;
  if (CAST_UNLIKELY(cast_forked)) return false;
  cast_lock_take(&out.lock);
  is = out.fn != NULL;
  if (is) out.fn(out.ud, text, size);
  cast_lock_drop(&out.lock);
  return is;
}

/* Writes to stderr; false if not all of it could be written in time. */
static bool write_out(const char *text, size_t size, uint64_t since_ns) {
  size_t n = os_say(text, size, since_ns + CAST_SAY_NS, CAST_SAY_NS);
  if (n > 0) out.cut = text[n - 1] != '\n';
  return n == size;
}

/* Writes the text and its end in one piece if the line is not too long, since
   other programs may write to the same stream. */
static bool write_line(const char *text, size_t size, uint64_t since_ns) {
  char line[CAST_LINE_MAX];
  if (out.cut && !write_out("\n", 1, since_ns)) return false;
  if (size >= sizeof line)
    return write_out(text, size, since_ns) && write_out("\n", 1, since_ns);
  memcpy(line, text, size);
  line[size] = '\n';
  return write_out(line, size + 1, since_ns);
}

static bool say(const char *text, size_t size, uint64_t since_ns) {
  return tell(text, size) || write_line(text, size, since_ns);
}

void cast_log_lost(uint32_t n) {
  /* Relaxed: only a number. */
  atomic_fetch_add_explicit(&out.lost, n, memory_order_relaxed);
}

void cast_log(const char *text, size_t size, uint64_t since_ns) {
  uint32_t lost = atomic_exchange_explicit(&out.lost, 0, memory_order_relaxed);
  if (lost > 0) {
    char note[80];
    int n = snprintf(note, sizeof note,
      "casting: %u report%s could not be written and %s dropped",
      (unsigned)lost, lost == 1 ? "" : "s", lost == 1 ? "was" : "were");
    if (!say(note, (size_t)n, since_ns)) {
      cast_log_lost(lost + 1);
      return;
    }
  }
  if (!say(text, size, since_ns)) cast_log_lost(1);
}
