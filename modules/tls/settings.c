/* settings.c - what a context is made of: certificates, keys, what is trusted.
   SPDX-License-Identifier: MIT

   Each option that is a text is PEM if it has a line "-----BEGIN", and else a
   path. Nothing is asked at a terminal. */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

/* -- failures ------------------------------------------------------------- */

/* What OpenSSL's error means here; its own words are those of decoders. */
static const char *reason_of(unsigned long e, const char *option) {
  int lib = ERR_GET_LIB(e), reason = ERR_GET_REASON(e);
  if (ERR_SYSTEM_ERROR(e)) return strerror(reason);
  if (lib == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE)
    return strcmp(option, "ca") == 0
             ? "there is no PEM in it (a directory needs a / at its end)"
             : "there is no PEM in it";
  if (lib == ERR_LIB_OSSL_DECODER && reason == ERR_R_UNSUPPORTED)
    return "there is no private key in it";
  if (reason == ERR_R_INTERRUPTED_OR_CANCELLED) /* give_password has none */
    return "it needs a password";
  return ERR_reason_error_string(e);
}

/* False, and why in `text`: of what option, of what path, the first error. */
static bool refuse(char text[TLS_TEXT], const char *option, const char *what) {
  unsigned long e = ERR_peek_error();
  const char *reason = reason_of(e, option);
  bool is_path = what != NULL && strstr(what, "-----BEGIN") == NULL;
  (void)snprintf(text, TLS_TEXT, "%s%s%.150s: %s", option, is_path ? ": " : "",
    is_path ? what : "", reason != NULL ? reason : "not enough memory");
  ERR_clear_error();
  return false;
}

/* -- reading -------------------------------------------------------------- */

static BIO *open_text(const char *what) {
  if (strstr(what, "-----BEGIN") != NULL) return BIO_new_mem_buf(what, -1);
  return BIO_new_file(what, "rb");
}

static int give_password(char *to, int size, int rwflag, void *ud) {
  const char *password = ud;
  size_t n = password != NULL ? strlen(password) : 0;
  (void)rwflag;
  if (n == 0 || n > (size_t)size) return -1;
  memcpy(to, password, n);
  return (int)n;
}

/* The end of a list in a file is no error. */
static bool is_end(void) {
  unsigned long e = ERR_peek_last_error();
  bool yes =
    ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
  if (yes) ERR_clear_error();
  return yes;
}

/* The first certificate, and those behind it, which lead to what others
   trust. */
static bool use_chain(SSL_CTX *ctx, BIO *b) {
  X509 *x = PEM_read_bio_X509_AUX(b, NULL, give_password, NULL);
  bool ok = x != NULL && SSL_CTX_use_certificate(ctx, x) == 1;
  X509_free(x);
  while (ok && (x = PEM_read_bio_X509(b, NULL, give_password, NULL)) != NULL) {
    ok = SSL_CTX_add1_chain_cert(ctx, x) == 1;
    X509_free(x);
  }
  return ok && is_end();
}

static bool use_key(SSL_CTX *ctx, BIO *b, const char *password) {
  EVP_PKEY *key = PEM_read_bio_PrivateKey(
    b, NULL, give_password, (void *)(uintptr_t)password);
  bool ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1;
  EVP_PKEY_free(key);
  return ok;
}

static bool use_identity(
  SSL_CTX *ctx, const tls_identity *own, char text[TLS_TEXT]) {
  const char *key = own->key != NULL ? own->key : own->cert;
  BIO *b;
  bool ok;
  if (own->cert == NULL) return true;
  b = open_text(own->cert);
  ok = b != NULL && use_chain(ctx, b);
  BIO_free(b);
  if (!ok) return refuse(text, "cert", own->cert);
  b = open_text(key);
  ok = b != NULL && use_key(ctx, b, own->password);
  BIO_free(b);
  if (!ok) return refuse(text, "key", key);
  if (SSL_CTX_check_private_key(ctx) == 1) return true;
  return refuse(text, "key", key);
}

/* Of files that are named after what they certify (openssl-rehash). */
static bool is_directory(const char *what) {
  size_t n = strlen(what);
  return n > 0 && what[n - 1] == '/';
}

/* What is trusted; also what a server asks clients for. */
static bool trust(SSL_CTX *ctx, const tls_options *o, char text[TLS_TEXT]) {
  X509_STORE *store = SSL_CTX_get_cert_store(ctx);
  bool any = false, ok = true;
  BIO *b;
  X509 *x;
  if (o->verify == 0) return true;
  if (o->ca == NULL)
    return SSL_CTX_set_default_verify_paths(ctx) == 1 ||
           refuse(text, "ca", NULL);
  if (is_directory(o->ca))
    return SSL_CTX_load_verify_dir(ctx, o->ca) == 1 ||
           refuse(text, "ca", o->ca);
  b = open_text(o->ca);
  if (b == NULL) return refuse(text, "ca", o->ca);
  while (ok && (x = PEM_read_bio_X509(b, NULL, give_password, NULL)) != NULL) {
    ok = X509_STORE_add_cert(store, x) == 1 &&
         (!o->is_server || SSL_CTX_add_client_CA(ctx, x) == 1);
    any = true;
    X509_free(x);
  }
  BIO_free(b);
  return (ok && any && is_end()) || refuse(text, "ca", o->ca);
}

/* -- settings ------------------------------------------------------------- */

/* For a server certificate that is asked of clients: resumed sessions are of
   the same kind of server. */
static const unsigned char session_context[] = "casting";

static void set_modes(SSL_CTX *ctx, const tls_options *o) {
  long mode = SSL_MODE_ENABLE_PARTIAL_WRITE |
              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY;
  if (!o->keeps_buffers) mode |= SSL_MODE_RELEASE_BUFFERS;
  /* Else each handshake would look among what is trusted for a chain. */
  if (o->is_server) mode |= SSL_MODE_NO_AUTO_CHAIN;
  (void)SSL_CTX_set_mode(ctx, mode);
  (void)SSL_CTX_set_options(
    ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
           SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_read_ahead(ctx, 1);
  if (o->verify == 0)
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
  else
    SSL_CTX_set_verify(ctx,
      o->is_server && o->verify == 1
        ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        : SSL_VERIFY_PEER,
      NULL);
}

/* Names of TLS 1.3 begin with "TLS_", and have a list of their own. Where there
   are no names of a version, it has its usual ones. */
static bool set_ciphers(SSL_CTX *ctx, const char *list) {
  static const char between[] = ":, ";
  size_t size = strlen(list) + 2;
  char *lists = OPENSSL_zalloc(2 * size), *at[2] = {lists, lists + size};
  bool ok = lists != NULL;
  while (ok && *(list += strspn(list, between)) != '\0') {
    size_t n = strcspn(list, between);
    char **to = &at[strncmp(list, "TLS_", 4) == 0];
    memcpy(*to, list, n);
    (*to)[n] = ':';
    *to += n + 1;
    list += n;
  }
  for (int i = 0; ok && i < 2; i++) {
    char *own = lists + (size_t)i * size;
    if (at[i] > own)
      at[i][-1] = '\0';
    else if (i == 1 || at[1] > lists + size)
      continue;
    ok = (i == 1 ? SSL_CTX_set_ciphersuites(ctx, own)
                 : SSL_CTX_set_cipher_list(ctx, own)) == 1;
  }
  OPENSSL_free(lists);
  return ok;
}

static SSL_CTX *make_ctx(
  const tls_options *o, const tls_identity *own, char text[TLS_TEXT]) {
  SSL_CTX *ctx;
  bool ok;
  ERR_clear_error();
  ctx = SSL_CTX_new(o->is_server ? TLS_server_method() : TLS_client_method());
  if (ctx == NULL) {
    refuse(text, "TLS", NULL);
    return NULL;
  }
  set_modes(ctx, o);
  ok = SSL_CTX_set_min_proto_version(
         ctx, o->min != 0 ? o->min : TLS1_2_VERSION) == 1 &&
       SSL_CTX_set_max_proto_version(ctx, o->max) == 1 &&
       SSL_CTX_set_session_id_context(
         ctx, session_context, sizeof session_context - 1) == 1;
  if (!ok) refuse(text, "min, max", NULL);
  if (ok && o->ciphers != NULL && !set_ciphers(ctx, o->ciphers))
    ok = refuse(text, "ciphers", NULL);
  if (ok && !o->is_server && o->nalpn > 0 &&
      SSL_CTX_set_alpn_protos(ctx, o->alpn, o->nalpn) != 0)
    ok = refuse(text, "alpn", NULL);
  if (ok && trust(ctx, o, text) && use_identity(ctx, own, text)) return ctx;
  SSL_CTX_free(ctx);
  return NULL;
}

static bool out_of_memory(char text[TLS_TEXT]) {
  (void)snprintf(text, TLS_TEXT, "not enough memory");
  return false;
}

static bool add_hosts(
  tls_settings *s, const tls_options *o, char text[TLS_TEXT]) {
  if (o->nhosts == 0) return true;
  s->hosts = OPENSSL_zalloc(o->nhosts * sizeof *s->hosts);
  if (s->hosts == NULL) return out_of_memory(text);
  for (; s->nhosts < o->nhosts; s->nhosts++) {
    tls_host *h = &s->hosts[s->nhosts];
    h->ctx = make_ctx(o, &o->hosts[s->nhosts], text);
    if (h->ctx == NULL) return false;
    h->pattern = OPENSSL_strdup(o->hosts[s->nhosts].pattern);
    if (h->pattern == NULL) {
      SSL_CTX_free(h->ctx);
      return out_of_memory(text);
    }
  }
  return true;
}

bool tls_settings_init(
  tls_settings *s, const tls_options *o, char text[TLS_TEXT]) {
  memset(s, 0, sizeof *s);
  s->verifies = o->verify != 0;
  s->ctx = make_ctx(o, &o->own, text);
  if (s->ctx == NULL) return false;
  if (o->is_server && o->nalpn > 0) {
    s->alpn = OPENSSL_malloc(o->nalpn);
    if (s->alpn != NULL) memcpy(s->alpn, o->alpn, s->nalpn = o->nalpn);
  }
  if (o->is_server) s->tickets = tls_tickets_new();
  if ((o->is_server &&
        (s->tickets == NULL || (o->nalpn > 0 && s->alpn == NULL)) &&
        !out_of_memory(text)) ||
      !add_hosts(s, o, text)) {
    tls_settings_fini(s);
    return false;
  }
  return true;
}
