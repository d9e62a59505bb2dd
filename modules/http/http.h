/* http.h - heads of HTTP/1.1 messages, read and written.
   SPDX-License-Identifier: MIT

   A head is what stands before the body of a message: a line that says what it
   is, and fields. It is read as a whole, from a Lua string without the empty
   line at its end. What is wrong with a head is found before any of it is
   believed (RFC 9112): a receiver that guesses is how requests are smuggled
   past another one.

   Nothing here waits. casting is needed where a head is offered to a stream,
   which takes what it can at once (writing.c), and for nothing else. */
#ifndef HTTP_H
#define HTTP_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

typedef struct http_text {
  const char *at;
  size_t n;
} http_text;

/* Is it that text, whatever the case of its letters? `lower` has none of upper
   case. */
bool http_text_is(http_text t, const char *lower);

/* -- characters (head.c) -------------------------------------------------- */

bool http_is_token(http_text t);
/* May it be the value of a field, or a reason? No byte of control but tabs. */
bool http_is_value(http_text t);
/* Is it a host, or host:port, as the field Host has it? One that is empty is
   none. */
bool http_is_host(http_text t);
/* Without the blanks and tabs around it. */
http_text http_trim(http_text t);
/* Does a list with commas have this member, whatever the case of its letters?
   `lower` has none of upper case. */
bool http_list_has(http_text list, const char *lower);

/* -- heads (head.c) ------------------------------------------------------- */

/* Fields of one head. */
#define HTTP_FIELDS_MOST 200

typedef struct http_field {
  http_text name, value; /* the value without the blanks around it */
} http_field;

/* What a head says of the connection and of the body behind it. */
typedef enum http_flag {
  HTTP_KEEPS = 1,       /* the connection may go on after this message */
  HTTP_CHUNKED = 2,     /* the body is in chunks */
  HTTP_EXPECTS = 4,     /* Expect: 100-continue */
  HTTP_UPGRADES = 8,    /* Connection: upgrade, and there is such a field */
  HTTP_OLD = 16,        /* HTTP/1.0 */
  HTTP_HAS_LENGTH = 32, /* Content-Length is there */
  HTTP_CONDITIONS = 64, /* of a request: If-... or Range is there */
} http_flag;

typedef struct http_head {
  http_text method, target; /* of a request */
  int status;               /* of a response */
  http_text reason;
  unsigned flags;
  uint64_t length; /* of the body, with HTTP_HAS_LENGTH */
  size_t nfields;
  http_field fields[HTTP_FIELDS_MOST];
} http_head;

/* What is wrong with a head: the status that a server answers with, and why. */
typedef struct http_fault {
  int status;
  const char *why;
} http_fault;

/* Fills *h, whose texts are parts of `head`. NULL: it is right. */
const http_fault *http_head_request(http_head *h, http_text head);
const http_fault *http_head_response(http_head *h, http_text head);

/* Takes the next field off *rest, lines of a head that was found right: false
   at the end. */
bool http_next_field(http_text *rest, http_field *f);

/* -- chunks (chunk.c) ----------------------------------------------------- */

/* The size that stands in the line before a chunk, without its end; extensions
   behind it are looked at and left out. -1: it is wrong. */
int64_t http_chunk_size(http_text line);

/* -- the date (writing.c) -------------------------------------------------- */

#define HTTP_DATE_SIZE 40 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* The date of a second. Each function for Lua has one as its upvalue, that of
   its state; all zero at first. */
typedef struct http_clock {
  time_t at;
  size_t n;
  char text[HTTP_DATE_SIZE];
} http_clock;

/* -- functions for Lua ---------------------------------------------------- */

extern const luaL_Reg http_reading[];   /* reading.c */
extern const luaL_Reg http_writing[];   /* writing.c */
extern const luaL_Reg http_coding[];    /* coding.c */
extern const luaL_Reg http_inflating[]; /* inflate.c */

#endif
