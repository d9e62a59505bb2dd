/* bio.c - how OpenSSL reads and writes below a layer.
   SPDX-License-Identifier: MIT

   OpenSSL's own BIO for sockets writes with write(2), which may raise SIGPIPE,
   and knows nothing of the stream's readiness. This one takes all that it is
   given to write: what there is no room for below waits in `out`, which holds
   no more than a few records and the messages of a handshake, as the layer
   takes nothing from a task while it is there (connection.c). So OpenSSL never
   has to repeat a write, and a task that gives up leaves no half record.

   What one call writes during a handshake, and the records of a long write,
   wait there in any case, and go together: OpenSSL would send a server's end of
   a handshake, each ticket for a session and each record by themselves. */
#include "tls.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <string.h>

#define OUT_MOST (1u << 20) /* more than any flight of a handshake */
/* Of records, and of what is answered after the handshake. */
#define ANSWERS_MOST (128u << 10)

static BIO_METHOD *method;
static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

static int read_below(BIO *b, char *to, int size) {
  tls_connection *c = BIO_get_data(b);
  ptrdiff_t n;
  BIO_clear_retry_flags(b);
  if (c->below == NULL || size <= 0) return -1;
  if (c->budget == 0) { /* a peer that sends nothing for the task */
    c->more = true;
    BIO_set_retry_read(b);
    return -1;
  }
  n = casting_below_read(c->below, to, (size_t)size);
  if (n > 0) {
    c->budget -= (size_t)n < c->budget ? (size_t)n : c->budget;
    return (int)n;
  }
  if (n == CASTING_EEMPTY)
    BIO_set_retry_read(b);
  else if (n == 0)
    c->ended_below = true;
  else
    c->below_outcome = (int)n;
  return n == 0 ? 0 : -1;
}

static bool keep(tls_connection *c, const char *from, size_t size) {
  if (c->out != NULL && c->at > 0) {
    memmove(c->out, c->out + c->at, c->end - c->at);
    c->end -= c->at;
    c->at = 0;
  }
  if (size > OUT_MOST - c->end) return false;
  if (c->out == NULL || size > c->room - c->end) {
    size_t room = c->end + size;
    unsigned char *out;
    if (room < c->held) room = c->held;
    out = OPENSSL_realloc(c->out, room);
    if (out == NULL) return false;
    c->out = out;
    c->room = room;
  }
  memcpy(c->out + c->end, from, size);
  c->end += size;
  return true;
}

static int write_below(BIO *b, const char *from, int size) {
  tls_connection *c = BIO_get_data(b);
  size_t done = 0, total = (size_t)size;
  BIO_clear_retry_flags(b);
  if (c->below == NULL || size < 0) return -1;
  if (c->write_outcome != 0) return size; /* nobody can read it */
  if (c->established && c->held == 0 && c->end - c->at > ANSWERS_MOST) {
    c->below_outcome = CASTING_EFAILED;
    if (c->why == NULL)
      c->why =
        OPENSSL_strdup("TLS: the other side does not read what it asks for");
    return -1;
  }
  while (c->held == 0 && c->out == NULL && done < total) {
    ptrdiff_t n = casting_below_write(c->below, from + done, total - done);
    if (n == CASTING_EFULL) break;
    if (n <= 0) {
      (void)tls_write_failed(c, (int)n);
      return c->established ? size : -1;
    }
    done += (size_t)n;
  }
  if (done < total && !keep(c, from + done, total - done)) {
    c->below_outcome = CASTING_ENOMEM;
    return -1;
  }
  return size;
}

static long control(BIO *b, int what, long number, void *at) {
  (void)b;
  (void)number;
  (void)at;
  /* It does not tell of the end when it is asked: OpenSSL would take that for a
     failure of both sides. */
  return what == BIO_CTRL_FLUSH || what == BIO_CTRL_DUP;
}

static void make_method(void) {
  BIO_METHOD *m =
    BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "casting");
  if (m == NULL) return;
  if (BIO_meth_set_read(m, read_below) && BIO_meth_set_write(m, write_below) &&
      BIO_meth_set_ctrl(m, control))
    method = m;
  else
    BIO_meth_free(m);
}

bool tls_bio_set(tls_connection *c) {
  BIO *b;
  if (!CRYPTO_THREAD_run_once(&once, make_method) || method == NULL)
    return false;
  b = BIO_new(method);
  if (b == NULL) return false;
  BIO_set_data(b, c);
  BIO_set_init(b, 1);
  SSL_set_bio(c->ssl, b, b);
  return true;
}
