/* tls.h - TLS over the streams of casting, on OpenSSL.
   SPDX-License-Identifier: MIT

   A context has what many connections share: certificates, what is trusted,
   sessions to resume. A connection is a layer over a stream (casting.h).
   Nothing of Lua is kept in either, so both outlive the Lua state that has made
   them, and any thread may use them: a connection one at a time, a context
   several at once. Memory is OpenSSL's (OPENSSL_malloc), which a program can
   replace (CRYPTO_set_mem_functions). */
#ifndef TLS_H
#define TLS_H

#include "../../include/casting.h"

#include <openssl/ssl.h>
#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "casting.tls needs OpenSSL 3"
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* -- sessions that a client can resume ------------------------------------ */

typedef struct tls_sessions tls_sessions;

tls_sessions *tls_sessions_new(void); /* NULL: no memory */
void tls_sessions_free(tls_sessions *x);
/* How often they were cleared. */
uint64_t tls_sessions_generation(tls_sessions *x);
/* Keeps a copy. The oldest one goes if there is no room. What is of another
   generation is dropped. */
void tls_sessions_put(tls_sessions *x, uint64_t generation, const char *key,
  const SSL_SESSION *session);
/* Nobody resumes what was kept for this key. */
void tls_sessions_drop(tls_sessions *x, uint64_t generation, const char *key);
/* One of the caller's, or NULL. What may be used only once is there no more. */
SSL_SESSION *tls_sessions_take(
  tls_sessions *x, uint64_t generation, const char *key);
void tls_sessions_clear(tls_sessions *x);

/* -- keys of the tickets that a server gives ------------------------------ */

typedef struct tls_tickets tls_tickets;

tls_tickets *tls_tickets_new(void); /* NULL: no memory, or no randomness */
tls_tickets *tls_tickets_ref(tls_tickets *x);
void tls_tickets_unref(tls_tickets *x);
/* From now on tickets are made with another key, unless this one is new; those
   that there are stay good. */
void tls_tickets_turn(tls_tickets *x);
/* As if so many seconds had passed, for tests. */
void tls_tickets_age(tls_tickets *x, int64_t seconds);
/* Connections of that context ask for keys. */
void tls_tickets_use(SSL_CTX *ctx);

/* -- contexts ------------------------------------------------------------- */

/* The certificate for a name that a client asks for. */
typedef struct tls_host {
  char *pattern; /* in lower case; "*.example.org": any one label before that */
  SSL_CTX *ctx;
} tls_host;

/* What connections are made with; changes as a whole (tls_context_replace). */
typedef struct tls_settings {
  SSL_CTX *ctx;
  tls_host *hosts;
  size_t nhosts;
  unsigned char *alpn; /* of a server: as in the protocol; or NULL */
  unsigned nalpn;
  tls_tickets *tickets; /* of a server: a reference */
  bool verifies;        /* of a client: the certificate, and so the name */
} tls_settings;

typedef struct tls_context tls_context;

/* Takes the settings over. NULL: no memory, and nothing was taken. */
tls_context *tls_context_new(
  bool is_server, const tls_settings *settings, tls_sessions *sessions);
tls_context *tls_context_ref(tls_context *x);
void tls_context_unref(tls_context *x);
/* Connections that are made from now on have these settings. NULL: no memory,
   and nothing was taken. False: no memory. */
bool tls_context_replace(tls_context *x, const tls_settings *settings);
bool tls_context_is_server(const tls_context *x);
bool tls_context_verifies(tls_context *x);
tls_sessions *tls_context_sessions(tls_context *x);
/* A new connection's, and what goes with it: does it look at certificates,
   which sessions may it resume, and which keys have its tickets (a reference;
   NULL: a client)? NULL: no memory. */
SSL *tls_context_connection(
  tls_context *x, bool *verifies, uint64_t *generation, tls_tickets **tickets);
/* See tls_tickets_age. */
void tls_context_age(tls_context *x, int64_t seconds);
void tls_settings_fini(tls_settings *s);

/* Options of a context. Strings are valid during the call; NULL: not given. */
typedef struct tls_identity {
  const char *cert, *key; /* PEM, or a path */
  const char *password;   /* of the key */
  const char *pattern;    /* of a host of a server */
} tls_identity;

typedef struct tls_options {
  bool is_server;
  tls_identity own;
  const tls_identity *hosts;
  size_t nhosts;
  const char *ca; /* PEM, a path of a file or directory; NULL: the system's */
  int verify;     /* 0: no; 1: yes; 2: if there is a certificate */
  const unsigned char *alpn; /* as in the protocol */
  unsigned nalpn;
  int min, max; /* TLS1_2_VERSION and so on; 0: not given */
  const char *ciphers;
  bool keeps_buffers; /* also while a connection is idle */
} tls_options;

#define TLS_TEXT 256
/* False: why is in `text`. */
bool tls_settings_init(
  tls_settings *s, const tls_options *o, char text[TLS_TEXT]);

/* -- connections ---------------------------------------------------------- */

typedef struct tls_connection {
  SSL *ssl;
  tls_context *context;
  tls_tickets *tickets; /* of a server: a reference */
  casting_below *below; /* during a call of the layer's */
  unsigned char *out;   /* what there was no room for below; NULL: nothing */
  size_t at, end, room; /* of it */
  size_t budget;        /* bytes that may be read in this call */
  size_t held;          /* during a call: what it writes, so many bytes or
                           more, waits in `out` for its end; 0: it does not */
  char *key;            /* of a client: of its session; or NULL */
  const void *given;    /* of a client: the session that it began with, perhaps
                           freed meanwhile; or NULL */
  char *why;            /* why it has failed; NULL: see `outcome` */
  int below_outcome;    /* the failure below, or 0 */
  int write_outcome;    /* writing has failed so, after the handshake; reading
                           goes on: what had come before can be read */
  uint64_t generation;  /* of its sessions */
  bool more;            /* the budget is used up */
  int outcome;          /* it has failed so, for good: CASTING_E*; or 0 */
  bool established;     /* the handshake is over */
  bool ended;           /* this side has sent its end */
  bool has_ticket;      /* of a client: one has come */
  bool ended_below;     /* there was the end, perhaps too early */
  bool truncated;       /* there was, after the handshake: reading has failed */
  bool reads;           /* the latest call of the layer's is a read */
} tls_connection;

extern const casting_layer tls_layer;
extern const casting_layers tls_layers; /* of a context */

/* name: whose certificate it must be, if the context verifies, and what is
   asked for; NULL: nobody's. key: of sessions; NULL: none. NULL, and in *why
   the reason: no memory, or a client that verifies has no name. */
tls_connection *tls_connection_new(
  tls_context *context, const char *name, const char *key, const char **why);
tls_connection *tls_connection_of(SSL *ssl);
/* Writing below has failed: the outcome of what was to be written. */
int tls_write_failed(tls_connection *c, int outcome);
/* Is one of OpenSSL's errors that there is no memory? Clears them. */
bool tls_lacks_memory(void);
/* What is known of it, for Lua (core.c). */
int tls_tell(void *state, struct lua_State *L);
/* How it reads and writes below (bio.c). False: no memory. */
bool tls_bio_set(tls_connection *c);

#endif
