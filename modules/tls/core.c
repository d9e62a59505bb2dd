/* core.c - the functions in C that tls.lua is made of.
   SPDX-License-Identifier: MIT

   They trust tls.lua with the types of their arguments, and raise if they must
   not. Contexts are handles that may be sent to other sessions: what is sent is
   a reference, and the sender keeps its own. */
#include "../../include/casting_import.h"
#include "tls.h"

#include <lauxlib.h>
#include <lua.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <time.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

#define TYPE "casting.tls.context"
CASTING_API int luaopen_casting_tls_core(lua_State *L);

/* -- contexts ------------------------------------------------------------- */

typedef struct handle {
  tls_context *context; /* a reference; NULL: not yet */
} handle;

static tls_context *check_context(lua_State *L, int i) {
  handle *h = luaL_checkudata(L, i, TYPE);
  if (h->context == NULL) luaL_error(L, "this TLS context was collected");
  return h->context;
}

static void *take(lua_State *L, int i) {
  handle *h = lua_touserdata(L, i);
  return h->context != NULL ? tls_context_ref(h->context) : NULL;
}

static int make(lua_State *L) {
  handle *h = lua_newuserdata(L, sizeof *h);
  h->context = NULL;
  luaL_getmetatable(L, TYPE);
  lua_setmetatable(L, -2);
  return 1;
}

/* Also into that from which it was taken, which has one. */
static void put(lua_State *L, int i, void *content) {
  handle *h = lua_touserdata(L, i);
  if (h->context != NULL) tls_context_unref(h->context);
  h->context = content;
}

static void drop(void *content) { tls_context_unref(content); }

static const casting_transfer transfer = {
  sizeof transfer, "TLS context", "casting.tls", take, make, put, drop};

static int collect(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, TYPE);
  if (h->context != NULL) tls_context_unref(h->context);
  h->context = NULL;
  return 0;
}

static int text(lua_State *L) {
  const handle *h = luaL_checkudata(L, 1, TYPE);
  lua_pushfstring(L, "TLS context: %p", (void *)h->context);
  return 1;
}

/* -- options -------------------------------------------------------------- */

/* Strings stay valid while the table at `t` has them. */
static const char *text_field(lua_State *L, int t, const char *name) {
  const char *value;
  lua_getfield(L, t, name);
  value = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1);
  return value;
}

static int int_field(lua_State *L, int t, const char *name) {
  int value;
  lua_getfield(L, t, name);
  value =
    lua_isboolean(L, -1) ? lua_toboolean(L, -1) : (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

static tls_identity identity_at(lua_State *L, int t) {
  return (tls_identity){.cert = text_field(L, t, "cert"),
    .key = text_field(L, t, "key"),
    .password = text_field(L, t, "password"),
    .pattern = text_field(L, t, "pattern")};
}

/* The list options.hosts, in a userdata that is pushed. */
static void read_hosts(lua_State *L, int t, tls_options *o) {
  tls_identity *list;
  lua_getfield(L, t, "hosts");
  o->nhosts = lua_istable(L, -1) ? (size_t)lua_rawlen(L, -1) : 0;
  list = lua_newuserdata(L, (o->nhosts + 1) * sizeof *list);
  for (size_t i = 0; i < o->nhosts; i++) {
    lua_rawgeti(L, -2, (int)i + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    list[i] = identity_at(L, lua_gettop(L));
    if (list[i].pattern == NULL) luaL_error(L, "a host has no pattern");
    lua_pop(L, 1);
  }
  o->hosts = list;
}

/* Of the table at `t`; pushes what they need. */
static void read_options(lua_State *L, int t, tls_options *o) {
  luaL_checktype(L, t, LUA_TTABLE);
  memset(o, 0, sizeof *o);
  o->is_server = int_field(L, t, "server") != 0;
  o->own = identity_at(L, t);
  o->ca = text_field(L, t, "ca");
  o->verify = int_field(L, t, "verify");
  o->alpn = (const unsigned char *)text_field(L, t, "alpn");
  o->min = int_field(L, t, "min");
  o->max = int_field(L, t, "max");
  o->ciphers = text_field(L, t, "ciphers");
  o->keeps_buffers = int_field(L, t, "buffers") != 0;
  if (o->alpn != NULL) {
    lua_getfield(L, t, "alpn");
    o->nalpn = (unsigned)lua_rawlen(L, -1);
    lua_pop(L, 1);
  }
  read_hosts(L, t, o);
}

static int refuse(lua_State *L, const char *why) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* context(options): a context; or nil and why. */
static int core_context(lua_State *L) {
  char why[TLS_TEXT];
  tls_sessions *sessions = NULL;
  tls_settings settings;
  tls_options o;
  handle *h;
  read_options(L, 1, &o);
  (void)make(L);
  h = lua_touserdata(L, -1);
  if (!tls_settings_init(&settings, &o, why)) return refuse(L, why);
  if (!o.is_server) sessions = tls_sessions_new();
  if (o.is_server || sessions != NULL)
    h->context = tls_context_new(o.is_server, &settings, sessions);
  if (h->context != NULL) return 1;
  tls_sessions_free(sessions);
  tls_settings_fini(&settings);
  return refuse(L, "not enough memory");
}

/* replace(context, options): true; or nil and why, and nothing has changed. */
static int core_replace(lua_State *L) {
  char why[TLS_TEXT];
  tls_settings settings;
  tls_context *x = check_context(L, 1);
  tls_options o;
  read_options(L, 2, &o);
  if (o.is_server != tls_context_is_server(x))
    return luaL_error(L, "a context does not change sides");
  if (!tls_settings_init(&settings, &o, why)) return refuse(L, why);
  if (!tls_context_replace(x, &settings)) {
    tls_settings_fini(&settings);
    return refuse(L, "not enough memory");
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* age(context, seconds): as if so many had passed for the keys of tickets; for
   tests. */
static int core_age(lua_State *L) {
  tls_context_age(check_context(L, 1), (int64_t)luaL_checknumber(L, 2));
  return 0;
}

/* is_context(v): nil; or "server" or "client". */
static int core_is_context(lua_State *L) {
  const char *kind = NULL;
  if (lua_getmetatable(L, 1)) {
    luaL_getmetatable(L, TYPE);
    if (lua_rawequal(L, -1, -2))
      kind = tls_context_is_server(check_context(L, 1)) ? "server" : "client";
  }
  lua_pushstring(L, kind);
  return 1;
}

/* verifies(context): does it look at the certificates of others? */
static int core_verifies(lua_State *L) {
  lua_pushboolean(L, tls_context_verifies(check_context(L, 1)));
  return 1;
}

/* -- connections ---------------------------------------------------------- */

/* start(stream, context, name or nil, key or nil): true; or nil and why:
   "twice" if the stream has TLS, "misuse" if it can have none. */
static int core_start(lua_State *L) {
  tls_context *x = check_context(L, 2);
  const char *name = luaL_optstring(L, 3, NULL);
  const char *key = luaL_optstring(L, 4, NULL);
  const char *why;
  tls_connection *c = tls_connection_new(x, name, key, &why);
  int rc;
  if (c == NULL) return refuse(L, why);
  rc = casting_layer_set(L, 1, &tls_layer, c);
  if (rc == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  tls_layer.drop(c);
  if (rc == CASTING_EINVAL)
    return refuse(
      L, casting_layer_get(L, 1, &tls_layer) != NULL ? "twice" : "misuse");
  return refuse(L, rc == CASTING_ENOMEM ? "not enough memory" : "closed");
}

/* listen(listener, context): true; or nil and why. */
static int core_listen(lua_State *L) {
  tls_context *x = tls_context_ref(check_context(L, 2));
  int rc = casting_layers_set(L, 1, &tls_layers, x);
  if (rc == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  tls_context_unref(x);
  return refuse(L, rc == CASTING_ENOMEM ? "not enough memory" : "misuse");
}

/* -- what is known of a connection ---------------------------------------- */

static void set_text(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

static void set_flag(lua_State *L, const char *field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

/* Of what can only fail because of that. */
static void need_memory(lua_State *L, bool ok) {
  if (!ok) luaL_error(L, "not enough memory");
}

/* In the memory of b, which is empty again then. */
static void set_bio(lua_State *L, const char *field, bool ok, BIO *b) {
  char *at;
  long n = BIO_get_mem_data(b, &at);
  need_memory(L, ok);
  lua_pushlstring(L, at, n > 0 ? (size_t)n : 0);
  lua_setfield(L, -2, field);
  (void)BIO_reset(b);
}

static void set_time(lua_State *L, const char *field, const ASN1_TIME *t) {
  int days, seconds;
  ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
  bool made = epoch != NULL,
       ok = made && ASN1_TIME_diff(&days, &seconds, epoch, t) == 1;
  ASN1_TIME_free(epoch);
  need_memory(L, made);
  if (!ok) return;
  lua_pushnumber(L, (lua_Number)days * 86400 + seconds);
  lua_setfield(L, -2, field);
}

static void set_names(lua_State *L, GENERAL_NAMES *names) {
  int n = 0;
  lua_newtable(L);
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    lua_pushlstring(L, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
      (size_t)ASN1_STRING_length(name->d.dNSName));
    lua_rawseti(L, -2, ++n);
  }
  lua_setfield(L, -2, "names");
}

/* OpenSSL compares digests by their names. Without the memory to look these up
   it takes any two for the same, and gives the SHA-1 that it keeps with a
   certificate. */
static void set_fingerprint(lua_State *L, X509 *x) {
  static const char digits[] = "0123456789abcdef";
  unsigned char sum[EVP_MAX_MD_SIZE];
  char hex[2 * EVP_MAX_MD_SIZE];
  unsigned n;
  need_memory(
    L, X509_digest(x, EVP_sha256(), sum, &n) == 1 && n == SHA256_DIGEST_LENGTH);
  for (size_t i = 0; i < n; i++) {
    hex[2 * i] = digits[sum[i] >> 4];
    hex[2 * i + 1] = digits[sum[i] & 15];
  }
  lua_pushlstring(L, hex, 2 * (size_t)n);
  lua_setfield(L, -2, "sha256");
}

/* What is freed by the caller, whatever is raised. */
typedef struct owned {
  SSL *ssl;
  X509 *certificate;
  GENERAL_NAMES *names;
  BIO *bio;
} owned;

static bool print_name(const owned *o, X509_NAME *(*name)(const X509 *)) {
  unsigned long how = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
  return X509_NAME_print_ex(o->bio, name(o->certificate), 0, how) >= 0;
}

static void push_certificate(lua_State *L, const owned *o) {
  lua_newtable(L);
  set_bio(L, "subject", print_name(o, X509_get_subject_name), o->bio);
  set_bio(L, "issuer", print_name(o, X509_get_issuer_name), o->bio);
  set_bio(L, "pem", PEM_write_bio_X509(o->bio, o->certificate) == 1, o->bio);
  set_time(L, "not_before", X509_get0_notBefore(o->certificate));
  set_time(L, "not_after", X509_get0_notAfter(o->certificate));
  set_names(L, o->names);
  set_fingerprint(L, o->certificate);
}

/* Protected. */
static int push_info(lua_State *L) {
  const owned *o = lua_touserdata(L, 1);
  const unsigned char *alpn;
  unsigned n;
  lua_newtable(L);
  set_text(L, "version", SSL_get_version(o->ssl));
  set_text(L, "cipher", SSL_get_cipher_name(o->ssl));
  set_flag(L, "server", SSL_is_server(o->ssl));
  set_flag(L, "resumed", SSL_session_reused(o->ssl));
  set_text(L, "name", SSL_get_servername(o->ssl, TLSEXT_NAMETYPE_host_name));
  SSL_get0_alpn_selected(o->ssl, &alpn, &n);
  if (n > 0) {
    lua_pushlstring(L, (const char *)alpn, n);
    lua_setfield(L, -2, "alpn");
  }
  set_flag(L, "verified",
    SSL_get_verify_mode(o->ssl) != SSL_VERIFY_NONE && o->certificate != NULL &&
      SSL_get_verify_result(o->ssl) == X509_V_OK);
  if (o->certificate == NULL) return 1;
  push_certificate(L, o);
  lua_setfield(L, -2, "peer");
  return 1;
}

int tls_tell(void *state, lua_State *L) {
  const tls_connection *c = state;
  bool lacks;
  int status = 0, kind = -1;
  owned o;
  if (!c->established) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushcfunction(L, push_info);
  /* From here to the call nothing may raise. */
  memset(&o, 0, sizeof o);
  o.ssl = c->ssl;
  o.certificate = SSL_get1_peer_certificate(o.ssl);
  ERR_clear_error();
  if (o.certificate != NULL)
    o.names =
      X509_get_ext_d2i(o.certificate, NID_subject_alt_name, &kind, NULL);
  /* Names that are malformed are none. */
  lacks = o.names == NULL && kind >= 0 &&
          (ERR_peek_error() == 0 || tls_lacks_memory());
  if (!lacks) o.bio = BIO_new(BIO_s_mem());
  lua_pushlightuserdata(L, &o);
  if (o.bio != NULL) status = lua_pcall(L, 1, 1, 0);
  BIO_free(o.bio);
  GENERAL_NAMES_free(o.names);
  X509_free(o.certificate);
  ERR_clear_error();
  if (status != 0) return lua_error(L);
  if (o.bio == NULL) return luaL_error(L, "not enough memory");
  return 1;
}

/* -- misuse --------------------------------------------------------------- */

/* Is that a function of casting's that is written in Lua: of its library, whose
   chunks have such names, or of the file `mine`? */
static bool is_own(const lua_Debug *at, const char *mine) {
  return strncmp(at->source, "=casting/", 9) == 0 ||
         strcmp(at->source, mine) == 0;
}

/* Pushes the line of the program that has called a function of casting's, as
   errors have it: "" if that was C. Between the library's own functions and
   their caller there is one in C. Returns whether it was called as a method. */
static bool push_caller(lua_State *L, bool of_library) {
  lua_Debug at = {.what = ""}, mine = {.source = ""};
  int i = 1;
  if (lua_getstack(L, 1, &mine)) lua_getinfo(L, "S", &mine);
  while (lua_getstack(L, i, &at) && lua_getinfo(L, "S", &at) &&
         (*at.what == 't' || is_own(&at, mine.source)))
    i++;
  if (of_library && *at.what == 'C') i++;
  luaL_where(L, i);
  return lua_getstack(L, i - 1, &at) && lua_getinfo(L, "n", &at) &&
         strcmp(at.namewhat, "method") == 0;
}

/* bad(i, name, text, is it a function of the library's?): raises "bad argument
   #i to 'name' (text)". The object of a method is argument 1, and not counted
   if it was called as one. Without i: raises "name: text". */
static int core_bad(lua_State *L) {
  int i = (int)luaL_optinteger(L, 1, 0);
  const char *name = luaL_checkstring(L, 2);
  const char *problem = luaL_checkstring(L, 3);
  if (push_caller(L, lua_toboolean(L, 4) != 0) && i > 1) i--;
  if (i == 0)
    lua_pushfstring(L, "%s: %s", name, problem);
  else
    lua_pushfstring(L, "bad argument #%d to '%s' (%s)", i, name, problem);
  lua_concat(L, 2);
  return lua_error(L);
}

/* version(): OpenSSL's. */
static int core_version(lua_State *L) {
  lua_pushstring(L, OpenSSL_version(OPENSSL_VERSION_STRING));
  return 1;
}

/* -- the table ------------------------------------------------------------ */

static const luaL_Reg functions[] = {
  {"context", core_context},
  {"replace", core_replace},
  {"age", core_age},
  {"is_context", core_is_context},
  {"verifies", core_verifies},
  {"start", core_start},
  {"listen", core_listen},
  {"bad", core_bad},
  {"version", core_version},
  {NULL, NULL},
};

static void set_functions(lua_State *L, const luaL_Reg *list) {
  for (; list->name != NULL; list++) {
    lua_pushcfunction(L, list->func);
    lua_setfield(L, -2, list->name);
  }
}

int luaopen_casting_tls_core(lua_State *L) {
  static const luaL_Reg meta[] = {
    {"__gc", collect}, {"__tostring", text}, {NULL, NULL}};
  static const char pinned = 0;
  casting_import(L);
  casting_pin(&pinned); /* callbacks of OpenSSL may come until the end */
  if (luaL_newmetatable(L, TYPE)) {
    set_functions(L, meta);
    lua_newtable(L); /* of methods, which tls.lua adds */
    lua_setfield(L, -2, "__index");
    casting_transfer_register(L, lua_gettop(L), &transfer);
  }
  lua_newtable(L);
  set_functions(L, functions);
  lua_getfield(L, -2, "__index");
  lua_setfield(L, -2, "methods");
  return 1;
}
