/* tickets.c - the keys of the tickets that a server gives to clients.
   SPDX-License-Identifier: MIT

   A ticket has in it, encrypted, what the server needs to resume a session: who
   learns the key reads what TLS 1.2 connections with such a ticket have sent.
   So no key lasts: the current one, with which tickets are made, becomes the
   one before that after LIFE, and is forgotten after another LIFE. Nothing runs
   when that time has come: who needs a key looks whether it is too old. Tickets
   are good for two hours (SSL_CTX_set_timeout), less than LIFE, so a new key
   spoils none.

   What is resumed is not looked at again: settings share their keys only if a
   ticket of one is as good for the other. Lock: its own. */
#include "tls.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define LIFE (INT64_C(12) * 3600) /* seconds; of the current key */
#define TICKET 7200               /* seconds; of a ticket */
#define NAME 16                   /* bytes, as the callback has it */

typedef struct ticket_key {
  unsigned char name[NAME]; /* stands before the ticket */
  unsigned char cipher[32], mac[32];
} ticket_key;

struct tls_tickets {
  atomic_uint refs; /* (a) */
  CRYPTO_RWLOCK *lock;
  ticket_key current, before; /* (lock) */
  bool has_before;            /* (lock) */
  int64_t born;               /* (lock) second of the current one's begin */
};

static int64_t now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec;
}

static bool make_key(ticket_key *k) {
  return RAND_bytes(k->name, sizeof k->name) == 1 &&
         RAND_priv_bytes(k->cipher, sizeof k->cipher) == 1 &&
         RAND_priv_bytes(k->mac, sizeof k->mac) == 1;
}

static void forget(tls_tickets *x) {
  OPENSSL_cleanse(&x->before, sizeof x->before);
  x->has_before = false;
}

tls_tickets *tls_tickets_new(void) {
  tls_tickets *x = OPENSSL_zalloc(sizeof *x);
  if (x == NULL) return NULL;
  atomic_init(&x->refs, 1);
  x->lock = CRYPTO_THREAD_lock_new();
  x->born = now();
  if (x->lock != NULL && make_key(&x->current)) return x;
  tls_tickets_unref(x);
  return NULL;
}

tls_tickets *tls_tickets_ref(tls_tickets *x) {
  if (x != NULL) atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
  return x;
}

void tls_tickets_unref(tls_tickets *x) {
  /* PAIR refs: releases what this thread did to it, acquires what the others
     did. */
  if (x == NULL ||
      atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) != 1)
    return;
  CRYPTO_THREAD_lock_free(x->lock);
  OPENSSL_cleanse(x, sizeof *x);
  OPENSSL_free(x);
}

/* False: no new key can be made, and the current one stays. */
static bool turn_locked(tls_tickets *x, int64_t at) {
  ticket_key fresh;
  bool ok = make_key(&fresh);
  if (ok) {
    x->before = x->current;
    x->has_before = true;
    x->current = fresh;
    x->born = at;
  }
  OPENSSL_cleanse(&fresh, sizeof fresh);
  return ok;
}

void tls_tickets_turn(tls_tickets *x) {
  int64_t at = now();
  if (!CRYPTO_THREAD_write_lock(x->lock)) return;
  if (at - x->born >= TICKET) (void)turn_locked(x, at);
  CRYPTO_THREAD_unlock(x->lock);
}

void tls_tickets_age(tls_tickets *x, int64_t seconds) {
  if (!CRYPTO_THREAD_write_lock(x->lock)) return;
  x->born -= seconds;
  CRYPTO_THREAD_unlock(x->lock);
}

/* If the current key is too old there is another one afterwards. False: it
   cannot be made. */
static bool renew(tls_tickets *x) {
  int64_t at = now(), age;
  bool ok = true;
  if (!CRYPTO_THREAD_read_lock(x->lock)) return false;
  age = at - x->born;
  CRYPTO_THREAD_unlock(x->lock);
  if (age < LIFE) return true;
  if (!CRYPTO_THREAD_write_lock(x->lock)) return false;
  age = at - x->born; /* another thread may have been first */
  if (age >= LIFE) ok = turn_locked(x, at);
  if (age >= 2 * LIFE) forget(x); /* nobody has come for so long */
  CRYPTO_THREAD_unlock(x->lock);
  return ok;
}

/* -- what OpenSSL asks ---------------------------------------------------- */

static bool use_key(const ticket_key *k, unsigned char *iv, EVP_CIPHER_CTX *c,
  EVP_MAC_CTX *mac, int encrypts) {
  char digest[] = "SHA256";
  unsigned char key[sizeof k->mac];
  OSSL_PARAM params[3];
  bool ok;
  memcpy(key, k->mac, sizeof key);
  params[0] =
    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, sizeof key);
  params[1] =
    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
  params[2] = OSSL_PARAM_construct_end();
  ok =
    EVP_MAC_CTX_set_params(mac, params) == 1 &&
    EVP_CipherInit_ex(c, EVP_aes_256_cbc(), NULL, k->cipher, iv, encrypts) == 1;
  OPENSSL_cleanse(key, sizeof key);
  return ok;
}

/* A failure would end the connection, which needs no ticket: there is none. */
static int encrypt_locked(tls_tickets *x, unsigned char *name,
  unsigned char *iv, EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac) {
  if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
    return 0;
  memcpy(name, x->current.name, NAME);
  return use_key(&x->current, iv, c, mac, 1);
}

/* 0: nobody's; 1: it is good; 2: it is, and the client gets another one. */
static int decrypt_locked(tls_tickets *x, const unsigned char *name,
  unsigned char *iv, EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac) {
  if (memcmp(name, x->current.name, NAME) == 0)
    return use_key(&x->current, iv, c, mac, 0);
  if (x->has_before && memcmp(name, x->before.name, NAME) == 0)
    return use_key(&x->before, iv, c, mac, 0) ? 2 : 0;
  return 0;
}

/* Each ticket of TLS 1.3 is used once, so its client gets another one. */
static int choose(SSL *ssl, unsigned char *name, unsigned char *iv,
  EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac, int encrypts) {
  tls_tickets *x = tls_connection_of(ssl)->tickets;
  int rc = 0;
  (void)ERR_set_mark(); /* the connection does not fail because this does */
  if (renew(x) && CRYPTO_THREAD_read_lock(x->lock)) {
    rc = encrypts ? encrypt_locked(x, name, iv, c, mac)
                  : decrypt_locked(x, name, iv, c, mac);
    CRYPTO_THREAD_unlock(x->lock);
  }
  (void)ERR_pop_to_mark();
  return rc == 1 && !encrypts && SSL_version(ssl) >= TLS1_3_VERSION ? 2 : rc;
}

void tls_tickets_use(SSL_CTX *ctx) {
  (void)SSL_CTX_set_timeout(ctx, TICKET);
  (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, choose);
}
