/* context.c - what many TLS connections share.
   SPDX-License-Identifier: MIT

   The settings can be replaced while connections are made: those that are have
   taken references of what they need. Lock: the context's own. */
#include "tls.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <string.h>

struct tls_context {
  atomic_uint refs;       /* (a) */
  bool is_server;         /* (i) */
  tls_sessions *sessions; /* (i) of a client; or NULL */
  CRYPTO_RWLOCK *lock;
  tls_settings settings; /* (lock) */
};

void tls_settings_fini(tls_settings *s) {
  SSL_CTX_free(s->ctx);
  for (size_t i = 0; i < s->nhosts; i++) {
    SSL_CTX_free(s->hosts[i].ctx);
    OPENSSL_free(s->hosts[i].pattern);
  }
  OPENSSL_free(s->hosts);
  OPENSSL_free(s->alpn);
  tls_tickets_unref(s->tickets);
  memset(s, 0, sizeof *s);
}

/* -- what OpenSSL asks during a handshake --------------------------------- */

/* Does the name, whose case counts for nothing, fit? */
static bool fits(const char *pattern, const char *name) {
  if (pattern[0] == '*' && pattern[1] == '.') {
    name = strchr(name, '.');
    if (name == NULL) return false;
    pattern++;
  }
  return OPENSSL_strcasecmp(pattern, name) == 0;
}

static SSL_CTX *ctx_for_locked(const tls_settings *s, const char *name) {
  for (size_t i = 0; i < s->nhosts; i++)
    if (OPENSSL_strcasecmp(s->hosts[i].pattern, name) == 0)
      return s->hosts[i].ctx;
  for (size_t i = 0; i < s->nhosts; i++)
    if (fits(s->hosts[i].pattern, name)) return s->hosts[i].ctx;
  return NULL;
}

static int choose_host(SSL *ssl, int *alert, void *arg) {
  tls_context *x = tls_connection_of(ssl)->context;
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  (void)alert;
  (void)arg;
  if (name == NULL || !CRYPTO_THREAD_read_lock(x->lock))
    return SSL_TLSEXT_ERR_NOACK;
  SSL_CTX *ctx = ctx_for_locked(&x->settings, name);
  if (ctx != NULL) (void)SSL_set_SSL_CTX(ssl, ctx);
  CRYPTO_THREAD_unlock(x->lock);
  return SSL_TLSEXT_ERR_OK;
}

/* The first protocol of ours that the other side has, too. There must be one,
   if both know of such protocols (RFC 7301). */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *nout,
  const unsigned char *in, unsigned nin, void *arg) {
  tls_context *x = tls_connection_of(ssl)->context;
  int rc = SSL_TLSEXT_ERR_NOACK;
  unsigned char *chosen = NULL;
  unsigned char n = 0;
  (void)arg;
  if (!CRYPTO_THREAD_read_lock(x->lock)) return SSL_TLSEXT_ERR_ALERT_FATAL;
  if (x->settings.alpn != NULL) {
    rc = SSL_select_next_proto(&chosen, &n, x->settings.alpn, x->settings.nalpn,
           in, nin) == OPENSSL_NPN_NEGOTIATED
           ? SSL_TLSEXT_ERR_OK
           : SSL_TLSEXT_ERR_ALERT_FATAL;
    /* What was chosen may be replaced: it is looked up in what came. */
    for (unsigned i = 0; rc == SSL_TLSEXT_ERR_OK && i < nin; i += in[i] + 1u)
      if (in[i] == n && memcmp(in + i + 1, chosen, n) == 0) {
        *out = in + i + 1;
        *nout = n;
        break;
      }
  }
  CRYPTO_THREAD_unlock(x->lock);
  return rc;
}

static int keep_session(SSL *ssl, SSL_SESSION *session) {
  tls_connection *c = tls_connection_of(ssl);
  if (c != NULL) c->has_ticket = true;
  if (c != NULL && c->key != NULL)
    tls_sessions_put(
      tls_context_sessions(c->context), c->generation, c->key, session);
  return 0;
}

static void set_callbacks(SSL_CTX *ctx, bool is_server) {
  if (is_server) {
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_host);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    tls_tickets_use(ctx);
    /* Tickets do it: what a client can resume it keeps itself. */
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  } else {
    (void)SSL_CTX_set_session_cache_mode(
      ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
  }
}

static void adopt(tls_context *x, const tls_settings *s) {
  x->settings = *s;
  set_callbacks(s->ctx, x->is_server);
  for (size_t i = 0; i < s->nhosts; i++)
    set_callbacks(s->hosts[i].ctx, x->is_server);
}

/* -- contexts ------------------------------------------------------------- */

tls_context *tls_context_new(
  bool is_server, const tls_settings *settings, tls_sessions *sessions) {
  tls_context *x = OPENSSL_zalloc(sizeof *x);
  if (x == NULL) return NULL;
  x->lock = CRYPTO_THREAD_lock_new();
  if (x->lock == NULL) {
    OPENSSL_free(x);
    return NULL;
  }
  atomic_init(&x->refs, 1);
  x->is_server = is_server;
  x->sessions = sessions;
  adopt(x, settings);
  return x;
}

tls_context *tls_context_ref(tls_context *x) {
  atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
  return x;
}

void tls_context_unref(tls_context *x) {
  /* PAIR refs: releases what this thread did to it, acquires what the others
     did. */
  if (atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) != 1) return;
  tls_settings_fini(&x->settings);
  tls_sessions_free(x->sessions);
  CRYPTO_THREAD_lock_free(x->lock);
  OPENSSL_free(x);
}

bool tls_context_replace(tls_context *x, const tls_settings *settings) {
  tls_settings before;
  tls_tickets *not_used = NULL;
  if (!CRYPTO_THREAD_write_lock(x->lock)) return false;
  before = x->settings;
  adopt(x, settings);
  /* Who resumes is not looked at again: what was thought of clients before
     must not count for what is thought of them now. Else tickets stay good, but
     new ones have a new key. */
  if (x->is_server && !before.verifies && !settings->verifies) {
    not_used = x->settings.tickets;
    x->settings.tickets = tls_tickets_ref(before.tickets);
    tls_tickets_turn(before.tickets);
  }
  tls_sessions_clear(x->sessions);
  CRYPTO_THREAD_unlock(x->lock);
  tls_tickets_unref(not_used);
  tls_settings_fini(&before);
  return true;
}

bool tls_context_is_server(const tls_context *x) { return x->is_server; }

tls_sessions *tls_context_sessions(tls_context *x) { return x->sessions; }

bool tls_context_verifies(tls_context *x) {
  bool yes;
  if (!CRYPTO_THREAD_read_lock(x->lock)) return true;
  yes = x->settings.verifies;
  CRYPTO_THREAD_unlock(x->lock);
  return yes;
}

void tls_context_age(tls_context *x, int64_t seconds) {
  if (!x->is_server || !CRYPTO_THREAD_read_lock(x->lock)) return;
  tls_tickets_age(x->settings.tickets, seconds);
  CRYPTO_THREAD_unlock(x->lock);
}

SSL *tls_context_connection(
  tls_context *x, bool *verifies, uint64_t *generation, tls_tickets **tickets) {
  SSL *ssl;
  if (!CRYPTO_THREAD_read_lock(x->lock)) return NULL;
  ssl = SSL_new(x->settings.ctx);
  *verifies = x->settings.verifies;
  *tickets = tls_tickets_ref(x->settings.tickets);
  *generation = tls_sessions_generation(x->sessions);
  CRYPTO_THREAD_unlock(x->lock);
  return ssl;
}
