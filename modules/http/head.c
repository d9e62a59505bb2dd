/* head.c - what a head says, or what is wrong with it.
   SPDX-License-Identifier: MIT

   After RFC 9112 and RFC 9110, with no leniency where the former leaves a
   choice: lines end with CR LF and nothing else, there is one blank between the
   parts of the first line, fields are not folded, and what could be understood
   in two ways is refused. */
#include "http.h"

#include <string.h>

/* -- characters ----------------------------------------------------------- */

/* What a token may have (RFC 9110, 5.6.2). */
static const unsigned char token_bits[32] = {
  0x00, 0x00, 0x00, 0x00, 0xfa, 0x6c, 0xff, 0x03, /* !#$%&'*+-. 0-9 */
  0xfe, 0xff, 0xff, 0xc7, 0xff, 0xff, 0xff, 0x57, /* A-Z ^_` a-z |~ */
};

static bool is_token_byte(unsigned char c) {
  return (token_bits[c >> 3] >> (c & 7)) & 1;
}

bool http_is_token(http_text t) {
  for (size_t i = 0; i < t.n; i++)
    if (!is_token_byte((unsigned char)t.at[i])) return false;
  return t.n > 0;
}

static bool is_value_byte(unsigned char c) {
  return (c >= ' ' && c != 0x7f) || c == '\t';
}

bool http_is_value(http_text t) {
  for (size_t i = 0; i < t.n; i++)
    if (!is_value_byte((unsigned char)t.at[i])) return false;
  return true;
}

static bool is_target(http_text t) {
  for (size_t i = 0; i < t.n; i++) {
    unsigned char c = (unsigned char)t.at[i];
    if (c <= ' ' || c == 0x7f || c == '#') return false;
  }
  return t.n > 0;
}

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool http_text_is(http_text t, const char *name) {
  for (size_t i = 0; i < t.n; i++)
    if (name[i] == '\0' || lower(t.at[i]) != name[i]) return false;
  return name[t.n] == '\0';
}

/* -- lists ---------------------------------------------------------------- */

http_text http_trim(http_text t) {
  while (t.n > 0 && (t.at[0] == ' ' || t.at[0] == '\t')) t.at++, t.n--;
  while (t.n > 0 && (t.at[t.n - 1] == ' ' || t.at[t.n - 1] == '\t')) t.n--;
  return t;
}

/* Takes the next member off a list with commas: false at its end. Members may
   be empty. */
static bool next_member(http_text *list, http_text *member) {
  const char *comma;
  size_t n;
  if (list->at == NULL) return false;
  comma = memchr(list->at, ',', list->n);
  n = comma != NULL ? (size_t)(comma - list->at) : list->n;
  *member = http_trim((http_text){list->at, n});
  if (comma == NULL)
    list->at = NULL;
  else
    *list = (http_text){comma + 1, list->n - n - 1};
  return true;
}

bool http_list_has(http_text list, const char *name) {
  http_text member;
  while (next_member(&list, &member))
    if (http_text_is(member, name)) return true;
  return false;
}

/* -- hosts ---------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_hex(char c) {
  c = lower(c);
  return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* The length of an address of IPv6 in brackets, with these; 0: it is none. */
static size_t literal_size(http_text t) {
  size_t i = 1;
  bool colon = false;
  while (i < t.n && (is_hex(t.at[i]) || t.at[i] == ':' || t.at[i] == '.'))
    colon |= t.at[i++] == ':';
  return colon && i < t.n && t.at[i] == ']' ? i + 1 : 0;
}

/* The length of a name, or of an address of IPv4; 0: it is none. A comma may
   stand in a name, but two fields that were joined have one, too. */
static size_t name_size(http_text t) {
  size_t i = 0;
  for (; i < t.n && t.at[i] != ':'; i++) {
    char c = lower(t.at[i]);
    if (c == '%') {
      if (t.n - i < 3 || !is_hex(t.at[i + 1]) || !is_hex(t.at[i + 2])) return 0;
    } else if (!is_digit(c) && !(c >= 'a' && c <= 'z') &&
               (c == '\0' || strchr("-._~!$&'()*+;=", c) == NULL)) {
      return 0;
    }
  }
  return i;
}

bool http_is_host(http_text t) {
  unsigned long port = 0;
  size_t i = t.n > 0 && t.at[0] == '[' ? literal_size(t) : name_size(t);
  if (i == 0) return false;
  if (i == t.n) return true;
  if (t.at[i] != ':') return false;
  for (i++; i < t.n; i++) {
    if (!is_digit(t.at[i])) return false;
    port = port * 10 + (unsigned long)(t.at[i] - '0');
    if (port > 65535) return false;
  }
  return true;
}

/* -- lines ---------------------------------------------------------------- */

static const http_fault bad_line = {400, "the first line is malformed"};
static const http_fault bad_version = {505, "only HTTP/1.1 and HTTP/1.0"};
static const http_fault bad_target = {400, "the target is malformed"};
static const http_fault bad_field = {400, "a header field is malformed"};
static const http_fault many_fields = {431, "too many header fields"};
static const http_fault bad_length = {400, "Content-Length is malformed"};
static const http_fault two_lengths = {
  400, "Content-Length and Transfer-Encoding at once"};
static const http_fault bad_coding = {400, "Transfer-Encoding is malformed"};
static const http_fault old_coding = {400, "Transfer-Encoding in HTTP/1.0"};
static const http_fault unknown_coding = {501, "only chunked is understood"};
static const http_fault bad_host = {400, "Host is missing or malformed"};
static const http_fault bad_expectation = {417, "only 100-continue is met"};

/* Takes a line off *rest: false at the end. A CR or LF that ends no line stays
   in it, where nothing allows it. */
static bool next_line(http_text *rest, http_text *line) {
  const char *end = rest->at;
  if (rest->at == NULL) return false;
  *line = *rest;
  rest->at = NULL;
  end = memchr(end, '\n', line->n);
  if (end == NULL || end == line->at || end[-1] != '\r') return true;
  rest->at = end + 1;
  rest->n = line->n - (size_t)(end + 1 - line->at);
  line->n = (size_t)(end - 1 - line->at);
  return true;
}

/* The part before the first blank, which is taken off too. */
static bool next_word(http_text *line, http_text *word) {
  const char *blank = memchr(line->at, ' ', line->n);
  if (blank == NULL) return false;
  *word = (http_text){line->at, (size_t)(blank - line->at)};
  line->n -= word->n + 1;
  line->at = blank + 1;
  return true;
}

/* HTTP/1.0: what ends in 1 or more is as good as 1.1. */
static const http_fault *read_version(http_head *h, http_text t) {
  if (t.n != 8 || memcmp(t.at, "HTTP/", 5) != 0 || t.at[6] != '.')
    return &bad_line;
  if (t.at[5] < '0' || t.at[5] > '9' || t.at[7] < '0' || t.at[7] > '9')
    return &bad_line;
  if (t.at[5] != '1') return &bad_version;
  if (t.at[7] == '0') h->flags |= HTTP_OLD;
  return NULL;
}

static bool split_field(http_text line, http_field *f) {
  const char *colon = memchr(line.at, ':', line.n);
  if (colon == NULL) return false;
  f->name = (http_text){line.at, (size_t)(colon - line.at)};
  f->value = http_trim((http_text){colon + 1, line.n - f->name.n - 1});
  return true;
}

bool http_next_field(http_text *rest, http_field *f) {
  http_text line;
  return next_line(rest, &line) && split_field(line, f);
}

static const http_fault *read_fields(http_head *h, http_text rest) {
  http_text line;
  h->nfields = 0;
  while (next_line(&rest, &line)) {
    http_field *f = &h->fields[h->nfields];
    if (h->nfields == HTTP_FIELDS_MOST) return &many_fields;
    if (!split_field(line, f) || !http_is_token(f->name) ||
        !http_is_value(f->value))
      return &bad_field;
    h->nfields++;
  }
  return NULL;
}

/* -- what the fields say -------------------------------------------------- */

/* A tab beside what says where the body ends is allowed, but Node does not know
   "chunked" with one behind it. The value stands behind a colon, and before the
   end of a line or of the head. */
static bool has_tab(http_text value) {
  while (value.at[-1] == ' ') value.at--, value.n++;
  while (value.at[value.n] == ' ') value.n++;
  return value.at[-1] == '\t' || value.at[value.n] == '\t' ||
         memchr(value.at, '\t', value.n) != NULL;
}

/* At most 15 digits, which a double holds without loss. A server may say the
   same length twice; to say it to a server is an attempt at something. */
static const http_fault *read_length(http_head *h, http_text value) {
  bool again = h->flags & HTTP_HAS_LENGTH;
  uint64_t n = 0;
  if (has_tab(value)) return &bad_length;
  if (value.n == 0 || value.n > 15 || (again && h->status == 0))
    return &bad_length;
  for (size_t i = 0; i < value.n; i++) {
    if (value.at[i] < '0' || value.at[i] > '9') return &bad_length;
    n = n * 10 + (uint64_t)(value.at[i] - '0');
  }
  if (again && n != h->length) return &bad_length;
  h->length = n;
  h->flags |= HTTP_HAS_LENGTH;
  return NULL;
}

/* Chunked comes once, and is the last. Other codings are not understood:
   *unknown counts them. */
static const http_fault *read_coding(
  http_head *h, http_text value, int *unknown) {
  http_text member;
  if (has_tab(value)) return &bad_coding;
  while (next_member(&value, &member)) {
    if (h->flags & HTTP_CHUNKED) return &bad_coding;
    if (!http_is_token(member)) return &bad_coding;
    if (http_text_is(member, "chunked"))
      h->flags |= HTTP_CHUNKED;
    else
      ++*unknown;
  }
  return NULL;
}

/* What all fields together say of where the body ends. The end of one with
   other codings is known if chunked is the last of them; if it is not, the
   message is malformed, and that counts for more (RFC 9112, 6.3). */
static const http_fault *check_framing(const http_head *h, int unknown) {
  if (unknown > 0)
    return h->flags & HTTP_CHUNKED ? &unknown_coding : &bad_coding;
  if (!(h->flags & HTTP_CHUNKED)) return NULL;
  if (h->flags & HTTP_HAS_LENGTH) return &two_lengths;
  return h->flags & HTTP_OLD ? &old_coding : NULL;
}

/* `keeps` and `closes` are what was said so far. */
static void read_connection(
  http_text value, bool *keeps, bool *closes, bool *upgrades) {
  http_text member;
  while (next_member(&value, &member)) {
    *keeps |= http_text_is(member, "keep-alive");
    *closes |= http_text_is(member, "close");
    *upgrades |= http_text_is(member, "upgrade");
  }
}

/* What is sent may depend on it (RFC 9110, 13 and 14). */
static bool is_condition(http_text name) {
  return (name.n > 3 && http_text_is((http_text){name.at, 3}, "if-")) ||
         http_text_is(name, "range");
}

/* What the fields of both kinds of messages say; *hosts counts Host. */
static const http_fault *read_meaning(http_head *h, int *hosts) {
  bool keeps = false, closes = false, upgrades = false, has_upgrade = false;
  bool asks = h->status == 0; /* it is a request */
  const http_fault *fault = NULL;
  int unknown = 0;
  *hosts = 0;
  for (size_t i = 0; i < h->nfields && fault == NULL; i++) {
    http_text name = h->fields[i].name, value = h->fields[i].value;
    if (asks && is_condition(name)) h->flags |= HTTP_CONDITIONS;
    switch (name.n) {
    case 4:
      if (asks && http_text_is(name, "host") &&
          (++*hosts > 1 || (value.n > 0 && !http_is_host(value))))
        fault = &bad_host;
      break;
    case 6:
      if (asks && http_text_is(name, "expect")) {
        if (http_text_is(value, "100-continue"))
          h->flags |= HTTP_EXPECTS;
        else
          fault = &bad_expectation;
      }
      break;
    case 7: has_upgrade |= http_text_is(name, "upgrade"); break;
    case 10:
      if (http_text_is(name, "connection"))
        read_connection(value, &keeps, &closes, &upgrades);
      break;
    case 14:
      if (http_text_is(name, "content-length")) fault = read_length(h, value);
      break;
    case 17:
      if (http_text_is(name, "transfer-encoding"))
        fault = read_coding(h, value, &unknown);
      break;
    default: break;
    }
  }
  if (!closes && (!(h->flags & HTTP_OLD) || keeps)) h->flags |= HTTP_KEEPS;
  if (upgrades && has_upgrade) h->flags |= HTTP_UPGRADES;
  return fault != NULL ? fault : check_framing(h, unknown);
}

/* -- both kinds ----------------------------------------------------------- */

const http_fault *http_head_request(http_head *h, http_text head) {
  const http_fault *fault;
  http_text line;
  int hosts;
  h->status = 0;
  h->flags = 0;
  h->length = 0;
  /* An empty line before it comes of old clients (RFC 9112, 2.2). */
  if (head.n > 2 && memcmp(head.at, "\r\n", 2) == 0)
    head = (http_text){head.at + 2, head.n - 2};
  if (!next_line(&head, &line) || !next_word(&line, &h->method) ||
      !http_is_token(h->method) || !next_word(&line, &h->target))
    return &bad_line;
  fault = read_version(h, line);
  if (fault == NULL && !is_target(h->target)) fault = &bad_target;
  if (fault == NULL) fault = read_fields(h, head);
  if (fault == NULL) fault = read_meaning(h, &hosts);
  if (fault != NULL) return fault;
  if (hosts == 0 && !(h->flags & HTTP_OLD)) return &bad_host;
  if (h->flags & HTTP_OLD)
    h->flags &= ~(unsigned)(HTTP_EXPECTS | HTTP_UPGRADES);
  return NULL;
}

const http_fault *http_head_response(http_head *h, http_text head) {
  const http_fault *fault;
  http_text line, version;
  int hosts;
  h->flags = 0;
  h->length = 0;
  if (!next_line(&head, &line) || !next_word(&line, &version)) return &bad_line;
  fault = read_version(h, version);
  if (fault != NULL) return fault;
  /* The blank behind the status is missing now and then. */
  if (line.n < 3 || !is_digit(line.at[0]) || !is_digit(line.at[1]) ||
      !is_digit(line.at[2]) || (line.n > 3 && line.at[3] != ' '))
    return &bad_line;
  h->status =
    (line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 + (line.at[2] - '0');
  h->reason =
    line.n > 4 ? (http_text){line.at + 4, line.n - 4} : (http_text){line.at, 0};
  /* What is beyond 599 is as good as 500 (RFC 9110, 15). */
  if (h->status < 100 || !http_is_value(h->reason)) return &bad_line;
  fault = read_fields(h, head);
  return fault != NULL ? fault : read_meaning(h, &hosts);
}
