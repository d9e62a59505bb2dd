/* connection.c - a TLS connection, as a layer over a stream.
   SPDX-License-Identifier: MIT

   The handshake happens at the first read, write or flush. Invariants:
   1. While `out` is there no bytes are taken from a task: a write says that it
      wants room below.
   2. OpenSSL's queue of errors belongs to the thread, so it is emptied before
      each call and read after it, before anything else runs.
   3. What has failed has failed for good, and says the same each time. A
      failure to write below, after the handshake, ends writing only: what the
      other side had sent before can still be read. An end below without a word
      ends reading only: the other side may have shut no more than that. */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define RECORD_MOST 16384        /* bytes that one record carries */
#define RECORDS_MOST ((size_t)4) /* that go together */
#define RECORD_MORE 256     /* at most what a record is longer than its bytes */
#define BUDGET (256u << 10) /* bytes that one call reads below */
#define FLIGHT 1024         /* what most calls write during a handshake */

/* -- its life ------------------------------------------------------------- */

tls_connection *tls_connection_of(SSL *ssl) { return SSL_get_app_data(ssl); }

static void drop(void *state) {
  tls_connection *c = state;
  SSL_free(c->ssl);
  tls_tickets_unref(c->tickets);
  tls_context_unref(c->context);
  OPENSSL_free(c->out);
  OPENSSL_free(c->key);
  OPENSSL_free(c->why);
  OPENSSL_free(c);
}

static bool is_address(const char *name) {
  ASN1_OCTET_STRING *a = a2i_IPADDRESS(name);
  ASN1_OCTET_STRING_free(a);
  return a != NULL;
}

/* Asks for that name, and lets no other pass. */
static bool expect(SSL *ssl, const char *name, bool verifies) {
  bool numeric = is_address(name);
  ERR_clear_error(); /* of a name that is no address */
  if (!numeric && SSL_set_tlsext_host_name(ssl, name) != 1) return false;
  if (!verifies) return true;
  if (numeric)
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
  SSL_set_hostflags(ssl,
    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return SSL_set1_host(ssl, name) == 1;
}

static bool resume(tls_connection *c) {
  SSL_SESSION *session =
    tls_sessions_take(tls_context_sessions(c->context), c->generation, c->key);
  bool ok = session == NULL || SSL_set_session(c->ssl, session) == 1;
  c->given = session;
  SSL_SESSION_free(session);
  return ok;
}

/* OpenSSL does not tell of a ticket that comes when a session of TLS 1.2 is
   resumed: that makes a new session of it. */
static void keep_ticket(tls_connection *c) {
  const SSL_SESSION *session = SSL_get_session(c->ssl);
  if (c->given == NULL || session == c->given || !SSL_session_reused(c->ssl) ||
      SSL_version(c->ssl) >= TLS1_3_VERSION)
    return;
  tls_sessions_put(
    tls_context_sessions(c->context), c->generation, c->key, session);
}

/* Kept here: after a failure OpenSSL would say no again. */
static void note(const SSL *ssl, int what, int value) {
  tls_connection *c = SSL_get_app_data(ssl);
  (void)value;
  if (c == NULL || !(what & SSL_CB_HANDSHAKE_DONE)) return;
  c->established = true;
  keep_ticket(c);
}

tls_connection *tls_connection_new(
  tls_context *context, const char *name, const char *key, const char **why) {
  bool is_server = tls_context_is_server(context), verifies = false;
  tls_connection *c = OPENSSL_zalloc(sizeof *c);
  *why = "not enough memory";
  if (c == NULL) return NULL;
  c->context = tls_context_ref(context);
  c->ssl =
    tls_context_connection(context, &verifies, &c->generation, &c->tickets);
  c->key = key != NULL ? OPENSSL_strdup(key) : NULL;
  if (c->ssl != NULL && !is_server && verifies && name == NULL)
    *why = "name is missing";
  else if (c->ssl != NULL && SSL_set_app_data(c->ssl, c) && tls_bio_set(c) &&
           (key == NULL || (c->key != NULL && resume(c))) &&
           (name == NULL || expect(c->ssl, name, verifies)))
    *why = NULL;
  if (*why != NULL) {
    drop(c);
    ERR_clear_error();
    return NULL;
  }
  SSL_set_info_callback(c->ssl, note);
  if (is_server)
    SSL_set_accept_state(c->ssl);
  else
    SSL_set_connect_state(c->ssl);
  return c;
}

static void *make(void *ud) {
  const char *why;
  return tls_connection_new(ud, NULL, NULL, &why);
}
static void drop_context(void *ud) { tls_context_unref(ud); }

/* -- failures ------------------------------------------------------------- */

static int fail_because(tls_connection *c, const char *text) {
  c->why = OPENSSL_strdup(text);
  return c->outcome = c->why != NULL ? CASTING_EFAILED : CASTING_ENOMEM;
}

bool tls_lacks_memory(void) {
  unsigned long e;
  bool lacks = false;
  while ((e = ERR_get_error()) != 0)
    lacks |= ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
  return lacks;
}

/* Why, of the errors of OpenSSL. */
static int fail_of_errors(tls_connection *c) {
  unsigned long e = ERR_peek_last_error();
  const char *reason = ERR_reason_error_string(e);
  int what = ERR_GET_REASON(e);
  char text[TLS_TEXT];
  if (ERR_GET_LIB(e) != ERR_LIB_SSL) what = 0;
  /* A session that was found wrong is not resumed (RFC 5246, 7.2.2). */
  if (c->key != NULL)
    tls_sessions_drop(tls_context_sessions(c->context), c->generation, c->key);
  if (tls_lacks_memory()) return c->outcome = CASTING_ENOMEM;
  if (what == SSL_R_CERTIFICATE_VERIFY_FAILED)
    (void)snprintf(text, sizeof text, "TLS: certificate verify failed: %s",
      X509_verify_cert_error_string(SSL_get_verify_result(c->ssl)));
  else if (what == SSL_R_WRONG_VERSION_NUMBER || what == SSL_R_HTTP_REQUEST)
    (void)snprintf(
      text, sizeof text, "TLS: %s: the other side may not speak TLS", reason);
  else
    (void)snprintf(
      text, sizeof text, "TLS: %s", reason != NULL ? reason : "protocol error");
  return fail_because(c, text);
}

static int fail(tls_connection *c, int kind) {
  if (c->outcome != 0) return c->outcome;
  if (c->below_outcome != 0) return c->outcome = c->below_outcome;
  if (kind == SSL_ERROR_SSL || ERR_peek_error() != 0) return fail_of_errors(c);
  if (!c->ended_below) return fail_because(c, "TLS: protocol error");
  if (!c->established) return c->outcome = CASTING_ECLOSED;
  c->truncated = true;
  return CASTING_EFAILED;
}

static const char *failure(void *state) {
  const tls_connection *c = state;
  return c->why == NULL && c->truncated && c->reads ? "truncated" : c->why;
}

/* -- calls of OpenSSL ----------------------------------------------------- */

int tls_write_failed(tls_connection *c, int outcome) {
  if (!c->established) {
    c->below_outcome = outcome;
    return fail(c, SSL_ERROR_SYSCALL);
  }
  c->write_outcome = outcome;
  OPENSSL_free(c->out);
  c->out = NULL;
  c->at = c->end = c->room = 0;
  return outcome;
}

/* Writes what is kept: 0, CASTING_EFULL or a failure. */
static int write_kept(tls_connection *c) {
  while (c->at < c->end) {
    ptrdiff_t n = casting_below_write(c->below, c->out + c->at, c->end - c->at);
    if (n == CASTING_EFULL) return CASTING_EFULL;
    if (n <= 0) return tls_write_failed(c, (int)n);
    c->at += (size_t)n;
  }
  OPENSSL_free(c->out);
  c->out = NULL;
  c->at = c->end = c->room = 0;
  return 0;
}

static void begin(tls_connection *c, casting_below *b) {
  c->below = b;
  c->more = false;
  c->budget = BUDGET;
  c->held = c->established ? 0 : FLIGHT;
  ERR_clear_error();
}

/* If it has failed, what tells the other side of it goes as far as there is
   room now. */
static ptrdiff_t over(tls_connection *c, ptrdiff_t result) {
  if (c->outcome != 0 && c->below_outcome == 0 && c->out != NULL)
    (void)write_kept(c);
  c->below = NULL;
  return result;
}

/* What a call that has returned rc <= 0 waits for; or its failure. The other
   side answers only when it has all that is kept. */
static int blocked(tls_connection *c, int rc) {
  int kind = SSL_get_error(c->ssl, rc);
  if (kind == SSL_ERROR_WANT_READ && c->more) return CASTING_EINTR;
  if (kind == SSL_ERROR_WANT_READ) {
    if (c->out == NULL || c->established) return CASTING_EEMPTY;
    rc = write_kept(c);
    return rc == 0 ? CASTING_EEMPTY : rc;
  }
  if (kind == SSL_ERROR_WANT_WRITE) return CASTING_EFULL;
  /* An end that comes before the handshake is over is nobody's word. */
  if (kind == SSL_ERROR_ZERO_RETURN) return c->outcome = CASTING_ECLOSED;
  return fail(c, kind);
}

static ptrdiff_t read_layer(
  void *state, casting_below *b, void *to, size_t size) {
  tls_connection *c = state;
  size_t done = 0;
  int rc = 0;
  c->reads = true;
  if (c->outcome != 0) return c->outcome;
  if (c->truncated) return CASTING_EFAILED;
  begin(c, b);
  while (done < size) {
    size_t most = size - done < INT32_MAX ? size - done : INT32_MAX;
    ERR_clear_error();
    rc = SSL_read(c->ssl, (char *)to + done, (int)most);
    if (rc <= 0) break;
    done += (size_t)rc;
  }
  if (rc <= 0) {
    if (SSL_get_error(c->ssl, rc) == SSL_ERROR_ZERO_RETURN && c->established)
      rc = 0;
    else
      rc = blocked(c, rc); /* if it has failed, the next call says so, too */
  }
  /* Answers to what the other side has sent meanwhile: they go, or wait for
     the next call. */
  if (c->out != NULL && c->outcome == 0 && c->established) (void)write_kept(c);
  return over(c, done > 0 ? (ptrdiff_t)done : rc);
}

static ptrdiff_t write_layer(
  void *state, casting_below *b, const void *from, size_t size) {
  tls_connection *c = state;
  size_t done = 0;
  int rc;
  c->reads = false;
  if (c->outcome != 0) return c->outcome;
  if (c->write_outcome != 0) return c->write_outcome;
  if (c->ended) return CASTING_ECLOSED;
  begin(c, b);
  if (c->out != NULL && (rc = write_kept(c)) != 0) return over(c, rc);
  if (size > RECORDS_MOST * RECORD_MOST) size = RECORDS_MOST * RECORD_MOST;
  if (size > RECORD_MOST) c->held = size + RECORDS_MOST * RECORD_MORE;
  do {
    size_t n = size - done < RECORD_MOST ? size - done : RECORD_MOST;
    rc = SSL_write(c->ssl, (const char *)from + done, (int)n);
    if (rc > 0) done += (size_t)rc;
  } while (rc > 0 && done < size);
  if (rc <= 0)
    rc = blocked(c, rc);
  else if (c->held > 0 && c->out != NULL)
    rc = write_kept(c);
  if (c->write_outcome != 0) return over(c, c->write_outcome);
  return over(c, done > 0 && c->outcome == 0 ? (ptrdiff_t)done : rc);
}

static int flush(void *state, casting_below *b) {
  tls_connection *c = state;
  int rc = 0;
  c->reads = false;
  if (c->outcome != 0) return c->outcome;
  if (c->write_outcome != 0) return c->write_outcome;
  if (c->established && c->out == NULL) return 0;
  begin(c, b);
  if (!c->ended && !c->established) {
    rc = SSL_do_handshake(c->ssl);
    rc = rc == 1 ? 0 : blocked(c, rc);
  }
  if (rc == 0 && c->out != NULL) rc = write_kept(c);
  return (int)over(c, rc);
}

/* A server of TLS 1.3 sends tickets behind the handshake. If a client has not
   read them when it closes the connection, the system sends a reset, which
   destroys what the client has written. So they are taken in, as far as they
   have come; what is for the task stays where it is. */
static void take_tickets(tls_connection *c) {
  char byte;
  if (c->has_ticket || SSL_is_server(c->ssl) ||
      SSL_version(c->ssl) < TLS1_3_VERSION)
    return;
  (void)SSL_peek(c->ssl, &byte, 1);
  ERR_clear_error();
}

static int end(void *state, casting_below *b) {
  tls_connection *c = state;
  if (c->outcome != 0) return c->outcome;
  if (c->ended) return 0;
  c->ended = true;
  if (!c->established) return 0;
  begin(c, b);
  take_tickets(c);
  if (SSL_shutdown(c->ssl) < 0) ERR_clear_error();
  return (int)over(c, 0);
}

const casting_layer tls_layer = {sizeof tls_layer, read_layer, write_layer,
  flush, end, failure, drop, tls_tell};

const casting_layers tls_layers = {
  sizeof tls_layers, &tls_layer, make, drop_context};
