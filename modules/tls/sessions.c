/* sessions.c - TLS sessions that a client can resume.
   SPDX-License-Identifier: MIT

   A few, as many as a program has other sides: the oldest goes first. Of TLS
   1.3 each is used once (RFC 8446, appendix C.4). Those of TLS 1.2 are used by
   several connections at once, each of which gets a copy: OpenSSL writes into
   the session of a connection without a lock that others look at, and takes it
   for spoilt when the connection is reset. Lock: its own. */
#include "tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

enum { MOST = 256 };

typedef struct entry {
  char *key; /* NULL: free */
  SSL_SESSION *session;
} entry;

struct tls_sessions {
  CRYPTO_RWLOCK *lock;
  uint64_t generation; /* (lock) */
  size_t next;         /* (lock) that is used next, if no other is free */
  entry at[MOST];
};

tls_sessions *tls_sessions_new(void) {
  tls_sessions *x = OPENSSL_zalloc(sizeof *x);
  if (x == NULL) return NULL;
  x->lock = CRYPTO_THREAD_lock_new();
  if (x->lock != NULL) return x;
  OPENSSL_free(x);
  return NULL;
}

static void clear(entry *e) {
  OPENSSL_free(e->key);
  SSL_SESSION_free(e->session);
  e->key = NULL;
  e->session = NULL;
}

void tls_sessions_free(tls_sessions *x) {
  if (x == NULL) return;
  for (size_t i = 0; i < MOST; i++) clear(&x->at[i]);
  CRYPTO_THREAD_lock_free(x->lock);
  OPENSSL_free(x);
}

void tls_sessions_clear(tls_sessions *x) {
  if (x == NULL || !CRYPTO_THREAD_write_lock(x->lock)) return;
  for (size_t i = 0; i < MOST; i++) clear(&x->at[i]);
  x->generation++;
  CRYPTO_THREAD_unlock(x->lock);
}

uint64_t tls_sessions_generation(tls_sessions *x) {
  uint64_t n;
  if (x == NULL || !CRYPTO_THREAD_read_lock(x->lock)) return 0;
  n = x->generation;
  CRYPTO_THREAD_unlock(x->lock);
  return n;
}

static entry *find_locked(tls_sessions *x, const char *key) {
  for (size_t i = 0; i < MOST; i++)
    if (x->at[i].key != NULL && strcmp(x->at[i].key, key) == 0)
      return &x->at[i];
  return NULL;
}

void tls_sessions_put(tls_sessions *x, uint64_t generation, const char *key,
  const SSL_SESSION *session) {
  entry new = {x != NULL ? OPENSSL_strdup(key) : NULL, NULL};
  entry *e;
  (void)ERR_set_mark(); /* a connection does not fail because this does */
  if (new.key != NULL) new.session = SSL_SESSION_dup(session);
  (void)ERR_pop_to_mark();
  if (new.session != NULL && CRYPTO_THREAD_write_lock(x->lock)) {
    if (x->generation == generation) {
      e = find_locked(x, key);
      if (e == NULL) e = &x->at[x->next++ % MOST];
      clear(e);
      *e = new;
      new = (entry){NULL, NULL};
    }
    CRYPTO_THREAD_unlock(x->lock);
  }
  clear(&new);
}

void tls_sessions_drop(tls_sessions *x, uint64_t generation, const char *key) {
  entry *e;
  if (x == NULL || !CRYPTO_THREAD_write_lock(x->lock)) return;
  e = x->generation == generation ? find_locked(x, key) : NULL;
  if (e != NULL) clear(e);
  CRYPTO_THREAD_unlock(x->lock);
}

SSL_SESSION *tls_sessions_take(
  tls_sessions *x, uint64_t generation, const char *key) {
  SSL_SESSION *session = NULL;
  entry *e;
  if (x == NULL || !CRYPTO_THREAD_write_lock(x->lock)) return NULL;
  e = x->generation == generation ? find_locked(x, key) : NULL;
  if (e != NULL) {
    if (SSL_SESSION_get_protocol_version(e->session) >= TLS1_3_VERSION) {
      session = e->session;
      e->session = NULL;
      clear(e);
    } else {
      session = SSL_SESSION_dup(e->session);
    }
  }
  CRYPTO_THREAD_unlock(x->lock);
  return session;
}
