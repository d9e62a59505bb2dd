/* host.c - a program that embeds Lua: sessions fed from threads of its own.
   SPDX-License-Identifier: MIT

     cc host.c -o host \
       $(pkg-config --cflags --libs casting-5.4 lua5.4) -pthread
     ./host [messages]

   Two sessions share one channel of jobs; a thread of this program (no Lua
   state, no session) fills it, and the main thread collects their answers.
   Then one session alone, to see how many messages pass in a second. */
#include <casting.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>
#include <lua.h>

typedef struct feed {
  casting_channel *jobs;
  long messages;
} feed;

static void must(int rc, const char *what) {
  if (rc >= 0) return;
  fprintf(stderr, "%s: %s\n", what, casting_word(rc));
  exit(1);
}

/* The thread: sends 1, 2, 3 ..., then closes the channel. */
static void *feeder(void *arg) {
  feed *f = arg;
  casting_message *m = casting_message_new();
  if (m == NULL) must(CASTING_ENOMEM, "message");
  for (long i = 1; i <= f->messages; i++) {
    casting_message_integer(m, i);
    must(casting_channel_send(f->jobs, m, CASTING_FOREVER), "send");
  }
  casting_message_free(m);
  casting_channel_close(f->jobs);
  return NULL;
}

static pthread_t begin(feed *f) {
  pthread_t thread;
  int rc = pthread_create(&thread, NULL, feeder, f);
  if (rc != 0) {
    fprintf(stderr, "thread: %s\n", strerror(rc));
    exit(1);
  }
  return thread;
}

/* A function for Lua, registered in each session when it is made. */
static int square(lua_State *L) {
  lua_Number n = luaL_checknumber(L, 1);
  lua_pushnumber(L, n * n);
  return 1;
}

static int init(lua_State *L, void *ud) {
  (void)ud;
  lua_pushcfunction(L, square);
  lua_setglobal(L, "square");
  return 0;
}

static casting_session *make_session(const char *name) {
  char error[200] = "";
  casting_session *s = NULL;
  casting_session_options o;
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  o.name = name;
  o.init = init;
  o.error = error;
  o.error_size = sizeof error;
  must(casting_session_new(&o, &s), error);
  return s;
}

static casting_task *work(
  casting_session *s, const char *text, casting_channel *jobs) {
  casting_message *args = casting_message_new();
  casting_task *t = NULL;
  casting_message_channel(args, jobs);
  must(casting_spawn_source(s, text, strlen(text), args, &t), "spawn");
  casting_message_free(args);
  return t;
}

/* The number that a task has returned. */
static double result(casting_task *t) {
  casting_message *m = casting_message_new();
  casting_value v;
  int rc = casting_task_join(t, CASTING_FOREVER, m);
  double n = 0;
  if (casting_message_read(m, &v) == 1) {
    if (v.type == CASTING_TNUMBER) n = v.as.number;
    if (v.type == CASTING_TINTEGER) n = (double)v.as.integer;
    if (v.type == CASTING_TSTRING && rc != 0)
      fprintf(stderr, "%.*s\n", (int)v.as.string.size, v.as.string.at);
  }
  must(rc, "task");
  casting_message_free(m);
  casting_task_unref(t);
  return n;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void two_sessions(void) {
  static const char text[] = "local sum = 0\n"
                             "for n in ... do sum = sum + square(n) end\n"
                             "return sum\n";
  feed f = {casting_channel_new(16), 100};
  casting_session *a = make_session("a"), *b = make_session("b");
  casting_task *ta = work(a, text, f.jobs), *tb = work(b, text, f.jobs);
  pthread_t thread = begin(&f);
  printf("sum of squares: %.0f\n", result(ta) + result(tb));
  pthread_join(thread, NULL);
  must(casting_session_close(a, 5), "close");
  must(casting_session_close(b, 5), "close");
  casting_session_unref(a);
  casting_session_unref(b);
  casting_channel_unref(f.jobs);
}

static void throughput(long messages) {
  static const char text[] = "local sum = 0\n"
                             "for n in ... do sum = sum + n end\n"
                             "return sum\n";
  feed f = {casting_channel_new(1024), messages};
  casting_session *s = make_session("counter");
  double began = now(), sum;
  casting_task *t = work(s, text, f.jobs);
  pthread_t thread = begin(&f);
  sum = result(t);
  began = now() - began;
  pthread_join(thread, NULL);
  if (sum != (double)messages * ((double)messages + 1) / 2)
    must(CASTING_EINVAL, "sum");
  printf("%ld messages, %.0f per second\n", messages,
    (double)messages / began);
  casting_session_unref(s);
  casting_channel_unref(f.jobs);
}

int main(int argc, char **argv) {
  char *rest = NULL;
  long messages = argc > 1 ? strtol(argv[1], &rest, 10) : 2000000;
  if (messages < 1 || (rest != NULL && *rest != '\0')) {
    fprintf(stderr, "host: %s is no number of messages\n", argv[1]);
    return 2;
  }
  must(casting_start(NULL), "start");
  two_sessions();
  throughput(messages);
  must(casting_stop(5), "stop");
  return 0;
}
