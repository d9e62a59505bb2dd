/* http.c - heads of HTTP messages, read beside llhttp.
   SPDX-License-Identifier: MIT

   modules/http has a parser of its own, which is stricter than the one of Node:
   a proxy or a cache that understands a message in another way than the server
   behind it is how requests are smuggled. So what ours takes, llhttp must take
   for the very same. What ours refuses is of no concern here.

   The first byte of an input says what the others are: the head of a request
   (even numbers), that of a response (odd), or the line before a chunk (254 and
   255). */
#include <ctype.h>
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../modules/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return 0;
}

/* -- what llhttp finds ---------------------------------------------------- */

typedef struct seen {
  llhttp_t parser; /* first, so that a callback finds the rest */
  http_text target, reason;
  http_field fields[HTTP_FIELDS_MOST];
  size_t nfields;
  bool in_value, is_complete, keeps, has_chunk;
  uint64_t length, chunk;
  unsigned flags;
} seen;

static void extend(http_text *t, const char *at, size_t n) {
  if (t->at == NULL) t->at = at;
  t->n = (size_t)(at + n - t->at);
}

static int on_url(llhttp_t *p, const char *at, size_t n) {
  extend(&((seen *)p)->target, at, n);
  return 0;
}

static int on_status(llhttp_t *p, const char *at, size_t n) {
  extend(&((seen *)p)->reason, at, n);
  return 0;
}

static int on_name(llhttp_t *p, const char *at, size_t n) {
  seen *s = (seen *)p;
  if (s->in_value) s->nfields++;
  s->in_value = false;
  if (s->nfields == HTTP_FIELDS_MOST) return -1;
  extend(&s->fields[s->nfields].name, at, n);
  return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n) {
  seen *s = (seen *)p;
  s->in_value = true;
  extend(&s->fields[s->nfields].value, at, n);
  return 0;
}

static int on_head(llhttp_t *p) {
  seen *s = (seen *)p;
  if (s->in_value) s->nfields++;
  s->is_complete = true;
  s->keeps = llhttp_should_keep_alive(p);
  s->length = p->content_length;
  s->flags = p->flags;
  return 0;
}

static int on_chunk(llhttp_t *p) {
  seen *s = (seen *)p;
  s->has_chunk = true;
  s->chunk = p->content_length;
  return -1;
}

/* The two texts, one behind the other, as one message of that type. */
static char *look(seen *s, llhttp_type_t type, http_text a, http_text b) {
  llhttp_settings_t settings;
  char *all = malloc(a.n + b.n + 1);
  if (all == NULL) abort();
  memcpy(all, a.at, a.n);
  memcpy(all + a.n, b.at, b.n);
  memset(s, 0, sizeof *s);
  llhttp_settings_init(&settings);
  settings.on_url = on_url;
  settings.on_status = on_status;
  settings.on_header_field = on_name;
  settings.on_header_value = on_value;
  settings.on_headers_complete = on_head;
  settings.on_chunk_header = on_chunk;
  llhttp_init(&s->parser, type, &settings);
  (void)llhttp_execute(&s->parser, all, a.n + b.n);
  return all;
}

/* -- comparing ------------------------------------------------------------ */

static void fail(const char *what, const seen *s) {
  fprintf(stderr, "http: llhttp differs: %s (%s, %s)\n", what,
    llhttp_errno_name(llhttp_get_errno(&s->parser)),
    s->parser.reason != NULL ? s->parser.reason : "");
  abort();
}

static http_text trimmed(http_text t) {
  while (t.n > 0 && (t.at[0] == ' ' || t.at[0] == '\t')) t.at++, t.n--;
  while (t.n > 0 && (t.at[t.n - 1] == ' ' || t.at[t.n - 1] == '\t')) t.n--;
  return t;
}

static bool is_same(http_text a, http_text b) {
  return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0);
}

static bool has_field(const http_head *h, const char *name) {
  for (size_t i = 0; i < h->nfields; i++)
    if (http_text_is(h->fields[i].name, name)) return true;
  return false;
}

/* A tab beside a member of its list is part of it for llhttp. */
static bool has_tabs_in_connection(const http_head *h) {
  for (size_t i = 0; i < h->nfields; i++) {
    http_text value = h->fields[i].value;
    if (http_text_is(h->fields[i].name, "connection") &&
        (memchr(value.at, '\t', value.n) != NULL || value.at[value.n] == '\t'))
      return true;
  }
  return false;
}

static void compare(const http_head *h, const seen *s) {
  if (h->nfields != s->nfields) fail("number of fields", s);
  for (size_t i = 0; i < h->nfields; i++) {
    if (!is_same(h->fields[i].name, s->fields[i].name)) fail("a name", s);
    if (!is_same(h->fields[i].value, trimmed(s->fields[i].value)))
      fail("a value", s);
  }
  if (!(h->flags & HTTP_CHUNKED) != !(s->flags & F_CHUNKED)) fail("chunked", s);
  if (!(h->flags & HTTP_HAS_LENGTH) != !(s->flags & F_CONTENT_LENGTH))
    fail("whether it has a length", s);
  if (h->flags & HTTP_HAS_LENGTH && h->length != s->length) fail("length", s);
}

/* What ours knows and llhttp does not: other methods, targets that the server
   refuses when it takes them apart, HTTP/1.2 and so on. */
static bool may_refuse(const http_head *h, const seen *s, http_text head) {
  /* For llhttp it begins HTTP/2, of which more must come. */
  if (is_same(h->method, (http_text){"PRI", 3})) return true;
  switch ((int)llhttp_get_errno(&s->parser)) {
  case HPE_INVALID_METHOD: return true;
  case HPE_INVALID_CONSTANT: /* a method of another protocol */
    return is_same(h->method, (http_text){"SOURCE", 6});
  case HPE_INVALID_URL:
    return is_same(h->method, (http_text){"CONNECT", 7}) ||
           (h->target.at[0] != '/' && h->target.at[0] != '*');
  case HPE_UNEXPECTED_CONTENT_LENGTH: /* the same one twice, of a server */
    return h->status != 0;
  case HPE_INVALID_VERSION: {
    const char *at = h->status != 0 ? head.at : strstr(head.at, " HTTP/1.") + 1;
    return at[7] > '1';
  }
  default: return false;
  }
}

static void check_request(http_text head) {
  http_head h;
  seen s;
  char *all;
  if (http_head_request(&h, head) != NULL) return;
  all = look(&s, HTTP_REQUEST, head, (http_text){"\r\n\r\n", 4});
  if (!s.is_complete) {
    if (!may_refuse(&h, &s, head)) fail("it takes no such request", &s);
  } else {
    const char *method = llhttp_method_name(s.parser.method);
    if (!is_same(h.method, (http_text){method, strlen(method)}))
      fail("method", &s);
    if (!is_same(h.target, s.target)) fail("target", &s);
    compare(&h, &s);
    if (h.flags & HTTP_KEEPS && !s.keeps &&
        !has_field(&h, "proxy-connection") && !has_tabs_in_connection(&h))
      fail("whether the connection is kept", &s);
  }
  free(all);
}

static void check_response(http_text head) {
  http_head h;
  seen s;
  char *all;
  if (http_head_response(&h, head) != NULL) return;
  all = look(&s, HTTP_RESPONSE, head, (http_text){"\r\n\r\n", 4});
  if (!s.is_complete) {
    if (!may_refuse(&h, &s, head)) fail("it takes no such response", &s);
  } else {
    if (h.status != s.parser.status_code) fail("status", &s);
    if (!is_same(h.reason, s.reason)) fail("reason", &s);
    compare(&h, &s);
  }
  free(all);
}

static void check_chunk(http_text line) {
  static const char head[] =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  int64_t size = http_chunk_size(line);
  http_text a = {head, sizeof head - 1};
  char *text, *all;
  seen s;
  if (size < 0) return;
  text = malloc(line.n + 2);
  if (text == NULL) abort();
  memcpy(text, line.at, line.n);
  memcpy(text + line.n, "\r\n", 2);
  all = look(&s, HTTP_REQUEST, a, (http_text){text, line.n + 2});
  /* It knows of no quoted values behind the size, nor of blanks there. */
  if (!s.has_chunk && memchr(line.at, ';', line.n) == NULL)
    fail("it takes no such chunk", &s);
  if (s.has_chunk && s.chunk != (uint64_t)size) fail("size of a chunk", &s);
  free(all);
  free(text);
}

/* The first place of a text of n bytes, or NULL. */
static const char *find(http_text t, const char *text, size_t n) {
  for (size_t i = 0; i + n <= t.n; i++)
    if (memcmp(t.at + i, text, n) == 0) return t.at + i;
  return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  http_text t;
  const char *end;
  char *copy;
  uint8_t kind;
  if (size == 0) return 0;
  kind = data[0];
  /* As a Lua string: a zero behind it. */
  copy = malloc(size);
  if (copy == NULL) abort();
  memcpy(copy, data + 1, size - 1);
  copy[size - 1] = '\0';
  t = (http_text){copy, size - 1};
  /* A head ends at its first empty line, and a line at its end. */
  end = kind >= 254 ? find(t, "\r\n", 2) : find(t, "\r\n\r\n", 4);
  if (end != NULL) t.n = (size_t)(end - t.at);
  copy[t.n] = '\0';
  if (kind >= 254)
    check_chunk(t);
  else if (kind % 2 == 0)
    check_request(t);
  else
    check_response(t);
  free(copy);
  return 0;
}
