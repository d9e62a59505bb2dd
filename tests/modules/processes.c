/* processes.c - a module for tests: forks, signals, descriptors.
   SPDX-License-Identifier: MIT

   fork() --> 0 in the child; else its number. With a sanitizer, or LuaJIT, it
              waits until all other threads sleep, five seconds at most: the
              child could find locks of theirs held for ever (helper.lua)
   wait(pid, seconds) --> "exit", code | "signal", number | nil: it still ran,
                          and was killed
   pid()              of the process itself
   exit(code)         at once
   kill(pid, signal)
   readable(fd, seconds) --> true or false
   mask() --> the numbers of the signals that the thread blocks, as text
   block(signal, yes), ignore(signal, yes)
   system(command) --> what system(3) returns
   dup(fd) --> another number of the same file
   bind(fd, port) --> is that socket at this port of this machine now?
   packets() --> two numbers: a socket for packets (SOCK_SEQPACKET) that
                 listens, and one that is connected to it; nil: there are none
   close(fd) --> true or false
   bound(name) --> the number of a Unix socket that listens at that name
   interrupted(f, ...) --> f(...), of a C function, with a hook set that raises
                           "interrupted!", as lua.c sets one on Ctrl-C */
#define _GNU_SOURCE
#include "../forked.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each child holds the end of a pipe, which closes with it. */
#define CHILDREN 64
static struct {
  pid_t pid;
  int fd;
} children[CHILDREN];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
  defined(LUA_JITLIBNAME)
/* The state is what follows the name, which is in parentheses: see proc(5). */
static bool is_asleep(const char *tid) {
  char path[64], line[256], state = 'S';
  FILE *f;
  (void)snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", tid);
  if ((f = fopen(path, "r")) == NULL) return true; /* it has ended */
  if (fgets(line, sizeof line, f) != NULL) {
    const char *end = strrchr(line, ')');
    if (end != NULL) (void)sscanf(end, ") %c", &state);
  }
  (void)fclose(f);
  return state == 'S';
}

static int count_awake(void) {
  DIR *tasks = opendir("/proc/self/task");
  struct dirent *entry;
  int awake = 0;
  if (tasks == NULL) return 0;
  while ((entry = readdir(tasks)) != NULL)
    awake += entry->d_name[0] != '.' && !is_asleep(entry->d_name);
  (void)closedir(tasks);
  return awake;
}

static void quieten(void) {
  for (int i = 0; i < 5000 && count_awake() > 1; i++) (void)usleep(1000);
}
#else
static void quieten(void) {}
#endif

static int lib_fork(lua_State *L) {
  int fds[2], at = 0;
  pid_t pid;
  quieten();
  if (pipe2(fds, O_CLOEXEC) != 0) return luaL_error(L, "no pipe");
  pid = fork();
  if (pid < 0) return luaL_error(L, "no process");
  if (pid == 0) {
    test_forked();
    (void)close(fds[0]);
    lua_pushinteger(L, 0);
    return 1;
  }
  (void)close(fds[1]);
  (void)pthread_mutex_lock(&lock);
  while (at < CHILDREN && children[at].pid != 0) at++;
  if (at < CHILDREN) {
    children[at].pid = pid;
    children[at].fd = fds[0];
  }
  (void)pthread_mutex_unlock(&lock);
  if (at == CHILDREN) return luaL_error(L, "too many children");
  lua_pushinteger(L, (lua_Integer)pid);
  return 1;
}

static int take_fd(pid_t pid) {
  int fd = -1;
  (void)pthread_mutex_lock(&lock);
  for (int i = 0; i < CHILDREN; i++)
    if (children[i].pid == pid) {
      fd = children[i].fd;
      children[i].pid = 0;
    }
  (void)pthread_mutex_unlock(&lock);
  return fd;
}

static bool is_readable(int fd, double seconds) {
  struct pollfd p = {fd, POLLIN, 0};
  int n;
  do n = poll(&p, 1, (int)(seconds * 1000));
  while (n < 0 && errno == EINTR);
  return n > 0;
}

static int lib_wait(lua_State *L) {
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  double seconds = luaL_checknumber(L, 2);
  int fd = take_fd(pid), status = 0;
  bool ended;
  if (fd < 0) return luaL_error(L, "no child of this process");
  ended = is_readable(fd, seconds);
  (void)close(fd);
  if (!ended) (void)kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (!ended) return 0;
  lua_pushstring(L, WIFSIGNALED(status) ? "signal" : "exit");
  lua_pushinteger(
    L, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return 2;
}

static int lib_pid(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)getpid());
  return 1;
}

static int lib_exit(lua_State *L) {
  (void)fflush(NULL);
  _exit((int)luaL_checkinteger(L, 1));
}

static int lib_kill(lua_State *L) {
  (void)kill((pid_t)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2));
  return 0;
}

static int lib_readable(lua_State *L) {
  lua_pushboolean(
    L, is_readable((int)luaL_checkinteger(L, 1), luaL_checknumber(L, 2)));
  return 1;
}

static int lib_mask(lua_State *L) {
  luaL_Buffer b;
  sigset_t set;
  char text[16];
  (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
  luaL_buffinit(L, &b);
  for (int i = 1; i <= SIGRTMAX; i++)
    if (sigismember(&set, i) == 1) {
      (void)snprintf(text, sizeof text, "%d ", i);
      luaL_addstring(&b, text);
    }
  luaL_pushresult(&b);
  return 1;
}

static int lib_block(lua_State *L) {
  sigset_t set;
  (void)sigemptyset(&set);
  (void)sigaddset(&set, (int)luaL_checkinteger(L, 1));
  (void)pthread_sigmask(
    lua_toboolean(L, 2) ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
  return 0;
}

static int lib_ignore(lua_State *L) {
  (void)signal(
    (int)luaL_checkinteger(L, 1), lua_toboolean(L, 2) ? SIG_IGN : SIG_DFL);
  return 0;
}

static int lib_system(lua_State *L) {
  lua_pushinteger(L, system(luaL_checkstring(L, 1)));
  return 1;
}

static int lib_dup(lua_State *L) {
  lua_pushinteger(L, dup((int)luaL_checkinteger(L, 1)));
  return 1;
}

static int lib_bind(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  in_port_t port = htons((in_port_t)luaL_checkinteger(L, 2));
  struct sockaddr_storage a;
  socklen_t size = sizeof a;
  memset(&a, 0, sizeof a);
  if (getsockname(fd, (struct sockaddr *)&a, &size) == 0) {
    if (a.ss_family == AF_INET6) {
      ((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
      ((struct sockaddr_in6 *)&a)->sin6_port = port;
    } else {
      ((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      ((struct sockaddr_in *)&a)->sin_port = port;
    }
    lua_pushboolean(L, bind(fd, (struct sockaddr *)&a, size) == 0);
    return 1;
  }
  lua_pushboolean(L, 0);
  return 1;
}

/* The system chooses a name in the abstract space. */
static int lib_packets(lua_State *L) {
  struct sockaddr_un a;
  socklen_t size = sizeof a;
  int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0), other;
  if (fd < 0) return 0;
  other = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  memset(&a, 0, sizeof a);
  a.sun_family = AF_UNIX;
  if (other < 0 ||
      bind(fd, (struct sockaddr *)(void *)&a, sizeof a.sun_family) != 0 ||
      listen(fd, 5) != 0 ||
      getsockname(fd, (struct sockaddr *)(void *)&a, &size) != 0 ||
      connect(other, (struct sockaddr *)(void *)&a, size) != 0)
    return luaL_error(L, "no connection");
  lua_pushinteger(L, fd);
  lua_pushinteger(L, other);
  return 2;
}

static int lib_close(lua_State *L) {
  lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
  return 1;
}

static int lib_bound(lua_State *L) {
  struct sockaddr_un a;
  size_t n;
  const char *name = luaL_checklstring(L, 1, &n);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  memset(&a, 0, sizeof a);
  a.sun_family = AF_UNIX;
  luaL_argcheck(L, n <= sizeof a.sun_path, 1, "too long");
  memcpy(a.sun_path, name, n);
  n += offsetof(struct sockaddr_un, sun_path);
  if (fd < 0 || bind(fd, (struct sockaddr *)(void *)&a, (socklen_t)n) != 0 ||
      listen(fd, 5) != 0)
    return luaL_error(L, "no socket");
  lua_pushinteger(L, fd);
  return 1;
}

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "interrupted!");
}

static int lib_interrupted(lua_State *L) {
  lua_sethook(L, stop, LUA_MASKCOUNT, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static const luaL_Reg functions[] = {
  {"fork", lib_fork},
  {"wait", lib_wait},
  {"pid", lib_pid},
  {"exit", lib_exit},
  {"kill", lib_kill},
  {"readable", lib_readable},
  {"mask", lib_mask},
  {"block", lib_block},
  {"ignore", lib_ignore},
  {"system", lib_system},
  {"dup", lib_dup},
  {"close", lib_close},
  {"bind", lib_bind},
  {"packets", lib_packets},
  {"bound", lib_bound},
  {"interrupted", lib_interrupted},
  {NULL, NULL},
};

int luaopen_processes(lua_State *L);
int luaopen_processes(lua_State *L) {
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
