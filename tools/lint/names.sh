#!/bin/sh
# names.sh - each name that a comment or a document mentions exists.
# SPDX-License-Identifier: MIT
#
#   names.sh [ROOT]    prints FILE:LINE: what is wrong; exit status 1 if anything
#
# A name exists if it is a word of the code: of sources, tests, examples and
# scripts, without their comments. One that begins as those of the sources do
# (cast_, casting_, os_, api_, wire_, CAST_, WIRE_) must be so in src/, include/
# or CMake's files. For a word in capitals the end of a name will do (`ONE` for CAST_WAIT_ONE), and for
# one before a "*" its beginning (CASTING_E*). What is looked at:
#   in comments of src/, include/ and modules/, and in documents   words with a "_"
#   in documents                                         `WORD` and `WORD()`
#   in both   casting.WORD, and `task:WORD` or that of another handle: these
#             are in lualib/casting.d.lua
# Not in examples of documents, which tests run. CHANGELOG.md, which tells of
# what is gone, and benchmarks.md, which is written by a program, are left out.
set -u
cd "${1:-$(dirname -- "$0")/../..}" || exit 2

# What others define and nothing here uses: the C library and the system, Lua,
# other languages and their libraries, the fields of a Debian package.
others='Arc BIO_CTRL_EOF epoll_pwait2 fdMutex fdseq io_uring max_user_watches pdReady
  pollDesc SINGLE_ISSUER EXTRA_STACK GRND_NONBLOCK Homepage LUA_USE_POSIX
  MALLOC_MMAP_THRESHOLD_ RTLD_GLOBAL StructuredTaskScope _Fork __reduce__ add_timer allowhook async_stream clone
  container_of daemon dlerror gen_server gmtime localeconv localtime
  luaL_fileresult luaL_tolstring max_map_count mktime move_on_after pg
  process_flag pthread_cleanup_push queryservice rand register_init set_finalizer
  shared_ptr sigwait start_link trap_exit whereis
  AbortController CloseWrite async autoSelectFamily cluster new_poll new_thread
  new_timer new_work read_start setInterval setTimeout worker_threads
  recv_many open_port spawn_executable exit_status port_close set_signal
  new_pipe new_signal on_exit child_process execFileSync maxBuffer
  CancelledError DEVNULL TimeoutExpired TimeoutStopSec add_signal_handler
  asyncio create_subprocess_exec create_task open_connection
  start_new_session start_server to_thread
  casting_history EventSource IdleTimeout ReadHeaderTimeout client_max_body_size
  content_by_lua_block escape_uri get_body_data get_headers get_method
  get_post_args get_uri_args keepalive_timeout on_abort worker_processes'

code=$(find src bin include modules tests examples bench lualib tools cmake -type f \
  ! -name '*.md' ! -name '*.txt' ! -path 'tests/fuzz/corpus/*' &&
  ls dev CMakeLists.txt .ci/run)
documents=$(find . \( -path ./build -o -path ./.git \) -prune -o -name '*.md' \
  ! -name CHANGELOG.md ! -name benchmarks.md -print | sed 's,^\./,,')

# shellcheck disable=SC2086
printf '%s\n' $code $documents | LC_ALL=C sort |
  LC_ALL=C awk -v others="$others" '
# -- what exists --------------------------------------------------------------

function is_ours(word) {
  return word ~ /^(cast|casting|os|api|wire|CAST|WIRE)_/
}

# Notes the words of code, and of strings in it.
function learn(text,    word, place) {
  place = file ~ /^(src|include|cmake|CMake)/
  while (match(text, /[A-Za-z_][A-Za-z0-9_]*/)) {
    word = substr(text, RSTART, RLENGTH)
    text = substr(text, RSTART + RLENGTH)
    if ((word in known) || (is_ours(word) && !place)) continue
    known[word] = 1
    if (word !~ /^[A-Z_0-9]+$/) continue
    while (sub(/^[A-Z0-9]*_/, "", word)) known[word] = 1
  }
}

# Of lualib/casting.d.lua: "function casting.NAME(", "function channel:NAME(",
# "casting.NAME =", "---@field NAME".
function learn_stub(line) {
  if (line ~ /^---@field/) {
    sub(/^---@field +/, "", line)
    sub(/[^A-Za-z_].*/, "", line)
  } else if (line ~ /^---@class casting\.[a-z]+$/) {
    sub(/.*\./, "", line) # a module
  } else if (match(line, /[.:][A-Za-z_]+ *[(=]/)) {
    line = substr(line, RSTART + 1, RLENGTH - 2)
    gsub(/[ (=]/, "", line)
  } else {
    return
  }
  stub[line] = 1
}

function exists(word, kind,    name) {
  if (kind == "function") return word in stub
  if ((word in known) || kind != "beginning") return word in known
  for (name in known)
    if (index(name, word) == 1) return 1
  return 0
}

# -- what is mentioned --------------------------------------------------------

# Kept for the end, when all of the code has been read.
function mention(word, kind) {
  count++
  at[count] = file ":" n
  word_of[count] = word
  kind_of[count] = kind
}

# Words with a "_" that are not of the name of a file or of the place in one.
function mention_words(text,    word, before) {
  while (match(text, /[A-Za-z0-9_]+/)) {
    word = substr(text, RSTART, RLENGTH)
    before = RSTART > 1 ? substr(text, RSTART - 1, 1) : ""
    text = substr(text, RSTART + RLENGTH)
    if (word !~ /^[A-Za-z_]+_[A-Za-z0-9_]*$/ || word ~ /^_*$/) continue
    if (before ~ /[#\/\\-]/ || text ~ /^\// ||
        text ~ /^\.(c|h|S|lua|sh|md|pml|so|a|pc|txt)([^a-z]|$)/) continue
    mention(word, text ~ /^[*]([^*]|$)/ || word ~ /_$/ ? "beginning" : "name")
  }
}

function mention_functions(text,    word) {
  while (match(text, /(^|[^A-Za-z0-9_."@\/-])casting\.[A-Za-z_]+/)) {
    word = substr(text, RSTART, RLENGTH)
    text = substr(text, RSTART + RLENGTH)
    sub(/.*casting\./, "", word)
    # Not the names of files, or of what nobody sees.
    if (word !~ /^(h|c|so|lua|map|pc|d|a|internal)$/)
      mention(word, "function")
  }
}

function mention_quoted(text,    word) {
  while (match(text, /`[^`]+`/)) {
    word = substr(text, RSTART + 1, RLENGTH - 2)
    text = substr(text, RSTART + RLENGTH)
    sub(/\(\)$/, "", word)
    if (word ~ /^[A-Za-z_][A-Za-z0-9_]*$/) {
      mention(word, word ~ /_$/ ? "beginning" : "name")
    } else if (word ~ \
        /^(ch|channel|task|session|scope|supervisor|message|stream|listener|udp):[a-z_]+/) {
      sub(/^[a-z]+:/, "", word)
      sub(/[^a-z_].*/, "", word)
      mention(word, "function")
    }
  }
}

# -- files --------------------------------------------------------------------

# Splits a line of C into code and comment.
function split_line(line,    i) {
  code = comment = ""
  while (line != "") {
    if (in_comment) {
      i = index(line, "*/")
      if (i == 0) {
        comment = comment line
        return
      }
      comment = comment substr(line, 1, i - 1) " "
      in_comment = 0
      line = substr(line, i + 2)
    } else if (match(line, /"([^"\\]|\\.)*"|\/\*|\/\//)) {
      code = code substr(line, 1, RSTART - 1)
      i = substr(line, RSTART, 2)
      if (i == "//") {
        comment = comment substr(line, RSTART + 2)
        return
      }
      if (i == "/*") in_comment = 1
      else code = code substr(line, RSTART, RLENGTH)
      line = substr(line, RSTART + RLENGTH)
    } else {
      code = code line
      return
    }
  }
}

function read_line(line) {
  if (file ~ /\.md$/) {
    if (line ~ /^```/) in_example = !in_example
    if (in_example || line ~ /^    /) return
    mention_words(line)
    mention_functions(line)
    mention_quoted(line)
  } else if (file ~ /\.([chS]|pml|erl|go)$/) {
    split_line(line)
    learn(code)
    if (file !~ /^(src|include|modules)\//) return
    mention_words(comment)
    mention_functions(comment)
  } else if (file == "lualib/casting.d.lua") {
    learn_stub(line)
  } else if (file ~ /\.lua$/ ? line !~ /^ *--/ : line !~ /^ *#/) {
    learn(line)
  }
}

{
  file = $0
  in_comment = in_example = 0
  for (n = 1; (getline line < file) > 0; n++) read_line(line)
  close(file)
}

END {
  count_others = split(others, word, " ")
  for (i = 1; i <= count_others; i++) known[word[i]] = stub[word[i]] = 1
  for (i = 1; i <= count; i++) {
    if (exists(word_of[i], kind_of[i])) continue
    print at[i] ": names: there is no " word_of[i]
    errors++
  }
  if (count == 0) print "names: nothing is mentioned anywhere"
  exit errors > 0 || count == 0
}'
