#!/bin/sh
# amalgamate.sh - all of casting as one C file.
# SPDX-License-Identifier: MIT
#
#   amalgamate.sh > casting.c
#   cc -O2 -std=gnu11 -pthread -Iinclude -I/usr/include/lua5.4 ... casting.c
#
# casting.h stays beside it. CMake or a Lua is needed, to make embedded.h, which
# is in it as well.
#
# Names that are a file's own are bare in the sources, so the same name may mean
# another thing in another file: those that two files have (functions,
# variables, types, constants) get the file's name in front. A file's own macros
# end with it. Headers come once, in the order of their including, the system's
# first. Only what casting.h shows is visible outside.
set -u
cd "$(dirname -- "$0")/../.." || exit 2

# The order: the operating system layer, the runtime, the binding.
# kqueue.c is for systems to which the rest of src/os has no port.
files=$(ls src/os/*.c src/*.c src/io/*.c src/lua/*/*.c | grep -v "/kqueue\.c$")
# What is generated is not among the sources.
generated=$(mktemp -d) || exit 1
trap 'rm -rf "$generated"' EXIT
sh tools/gen/embed.sh "$generated" || exit 1
version=$(sed -n 's/.*CASTING_VERSION "\(.*\)".*/\1/p' include/casting.h)

cat <<END
/* casting.c - all of casting $version in one file, made by tools/gen/amalgamate.sh.
   SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
/* CASTING_MODULE: it becomes a module of its own, and is not linked with Lua. */
#ifndef CASTING_MODULE
#define CAST_STATIC 1
#endif
#ifdef __clang__ /* inline functions of headers are in a source file here */
#pragma clang diagnostic ignored "-Wunused-function"
#endif
END

# shellcheck disable=SC2086
LC_ALL=C awk -v generated="$generated/" '
# The names that a source file has for itself: as they are declared in the first
# column, or as enumerators.
function names_of(file,    line, name, inside, s, n, i, word) {
  split("", seen)
  count = 0
  while ((getline line < file) > 0) {
    s = line
    sub(/\/\*.*/, "", s)
    sub(/^[A-Z_]+ static /, "static ", s)
    # static functions and variables, types, and enumerators
    if (s ~ /^#[ ]*define[ ]+[A-Za-z_]/) {
      name = s
      sub(/^#[ ]*define[ ]+/, "", name)
      sub(/[^A-Za-z0-9_].*/, "", name)
      macros[file] = macros[file] " " name
      continue
    }
    if (s ~ /^(static|_Noreturn static|enum|typedef|struct|union) / ||
        s ~ /^\} [a-z_]+/ || s ~ /^} [A-Za-z_]/) {
      if (s ~ /^static|^_Noreturn static/) {
        name = s
        sub(/[=({;[].*/, "", name)
        if (s ~ /\(\*[a-z_]+\)/) name = ""
        gsub(/[ *]+$/, "", name)
        sub(/.*[ *]/, "", name)
        note(file, name)
      }
      if (s ~ /^typedef struct [a-z_]+ /|| s ~ /^struct [a-z_]+ *\{/ ||
          s ~ /^enum [a-z_]+ *\{/ || s ~ /^typedef enum [a-z_]+ *\{/ ||
          s ~ /^typedef union [a-z_]+ *\{/) {
        name = s
        sub(/^typedef /, "", name)
        sub(/^(struct|enum|union) /, "", name)
        sub(/[ {;].*/, "", name)
        note(file, name)
      }
      if (s ~ /^typedef .*;$/ && s !~ /\(/) {
        name = s
        sub(/;$/, "", name)
        sub(/.*[ *]/, "", name)
        note(file, name)
      }
      if (s ~ /^\} [a-z_]+/) {
        name = s
        sub(/^\} /, "", name)
        sub(/[^A-Za-z0-9_].*/, "", name)
        note(file, name)
      }
    }
    # A declaration whose name stands alone on a later line is not our style.
    if (s ~ /^(typedef )?enum[ a-z_]*\{/) inside = 1
    if (inside) {
      word = s
      sub(/^[^{]*\{/, "", word)
      sub(/\}.*/, "", word)
      n = split(word, part, ",")
      for (i = 1; i <= n; i++) {
        name = part[i]
        gsub(/^[ ]+/, "", name)
        sub(/[^A-Za-z0-9_].*/, "", name)
        if (name ~ /^[A-Z]/) note(file, name)
      }
      if (s ~ /\}/) inside = 0
    }
  }
  close(file)
}
function note(file, name) {
  # With a prefix already: no other file has it.
  if (name == "" || name ~ /^(struct|union|enum|const)$/ ||
    name ~ /^cast_|^casting_|^os_|^luaopen_|^api_/) return
  if ((file, name) in has) return
  has[file, name] = 1
  owners[name]++
  list[file] = list[file] " " name
}

# Prints a file, with what it includes before it, once each.
function print_file(file, depth,    line, name, dir, part, n, i, prefix, guard) {
  dir = file
  sub(/[^\/]*$/, "", dir)
  while ((getline line < file) > 0) {
    if (line ~ /^[ ]*#[ ]*include[ ]*"/) {
      name = line
      sub(/^[^"]*"/, "", name)
      sub(/".*/, "", name)
      name = clean(dir name)
      if (name ~ /include\/casting\.h$/) continue
      if (!(name in printed)) {
        printed[name] = 1
        print_file(name, depth + 1)
      }
      continue
    }
    if (line ~ /^#define _GNU_SOURCE/) continue
    if (line ~ /^[ ]*#[ ]*include[ ]*</) {
      if (stays(line)) out = out shown(line) "\n"
      continue
    }
    out = out line "\n"
  }
  close(file)
}
function clean(path) {
  if (path ~ /\/embedded\.h$/) return generated "embedded.h"
  while (path ~ /[^\/]+\/\.\.\//) sub(/[^\/]+\/\.\.\//, "", path)
  return path
}
# System headers of a file and of what it includes, with their conditions.
function headers(file,    line, dir, name) {
  dir = file
  sub(/[^\/]*$/, "", dir)
  while ((getline line < file) > 0) {
    if (line ~ /^[ ]*#[ ]*include[ ]*"/) {
      name = line
      sub(/^[^"]*"/, "", name)
      sub(/".*/, "", name)
      name = clean(dir name)
      if (!(name in scanned)) {
        scanned[name] = 1
        headers(name)
      }
    } else if (line ~ /^#include </ && !stays(line)) {
      if (!(line in system_header)) {
        system_header[line] = 1
        heads = heads line "\n"
      }
    }
  }
  close(file)
}

BEGIN {
  quoted = "^\\047([^\\047\\\\]|\\\\.)*\\047"
  # Names that the system has as well.
  n = split("write read send close poll wait pause link splice accept bind " \
    "connect listen socket shutdown recv", part, " ")
  for (i = 1; i <= n; i++) taken[part[i]] = 1
  n = ARGC - 1
  for (i = 1; i <= n; i++) file[i] = ARGV[i]
  ARGC = 1
  for (i = 1; i <= n; i++) {
    headers(file[i])
    names_of(file[i])
  }
  printf "%s", heads
  print "#if defined(__GNUC__) && !defined(_WIN32)"
  print "#pragma GCC visibility push(hidden)"
  print "#endif"
  print "#include \"casting.h\""
  for (i = 1; i <= n; i++) {
    prefix = file[i]
    sub(/^src\//, "", prefix)
    sub(/\.c$/, "", prefix)
    gsub(/[^a-z0-9]/, "_", prefix)
    # Headers first, under their own names.
    out = ""
    own(file[i])
    printf "%s", out
    print "/* ---- " file[i] " */"
    split("", renamed)
    m = split(list[file[i]], name, " ")
    for (k = 1; k <= m; k++)
      if (owners[name[k]] > 1 || (name[k] in taken))
        renamed[name[k]] = prefix "__" name[k]
    body(file[i])
    m = split(macros[file[i]], name, " ")
    for (k = 1; k <= m; k++) print "#undef " name[k]
  }
  print "#if defined(__GNUC__) && !defined(_WIN32)"
  print "#pragma GCC visibility pop"
  print "#endif"
}
# The headers of a source file.
function own(f,    line, dir, name) {
  dir = f
  sub(/[^\/]*$/, "", dir)
  while ((getline line < f) > 0)
    if (line ~ /^[ ]*#[ ]*include[ ]*"/) {
      name = line
      sub(/^[^"]*"/, "", name)
      sub(/".*/, "", name)
      name = clean(dir name)
      if (name ~ /include\/casting\.h$/ || (name in printed)) continue
      printed[name] = 1
      print_file(name, 1)
    }
  close(f)
}
function body(f,    line) {
  while ((getline line < f) > 0)
    if (line ~ /^[ ]*#[ ]*include[ ]*</) {
      if (stays(line)) print shown(line)
    } else if (line ~ /^extern .*[ *]environ;/) { # the C library has it
      print shown(line)
    } else if (line !~ /^[ ]*#[ ]*include/ && line !~ /^#define _GNU_SOURCE/) {
      print rename(line)
    }
  close(f)
}
# The line with names of the file replaced: words in code that are not members
# of something (a member may have the name of a function).
function rename(line,    out, c, word, before) {
  out = before = ""
  while (line != "") {
    if (in_comment) {
      c = index(line, "*/")
      if (c == 0) return out line
      out = out substr(line, 1, c + 1)
      line = substr(line, c + 2)
      in_comment = 0
    } else if (match(line, /^[A-Za-z_][A-Za-z_0-9]*/)) {
      word = substr(line, 1, RLENGTH)
      line = substr(line, RLENGTH + 1)
      out = out ((word in renamed) && before !~ /(\.|->)$/ ? \
        renamed[word] : word)
      before = word
    } else if (substr(line, 1, 2) == "/*") {
      out = out "/*"
      line = substr(line, 3)
      in_comment = 1
    } else if (match(line, /^"([^"\\]|\\.)*"/) ||
               match(line, quoted) || match(line, /^[0-9][0-9a-zA-Z.]*/)) {
      out = out substr(line, 1, RLENGTH)
      line = substr(line, RLENGTH + 1)
      before = ""
    } else {
      c = substr(line, 1, 1)
      out = out c
      line = substr(line, 2)
      if (c != " ") before = before c
    }
  }
  return out
}
# Headers that are there under a condition only.
function stays(line) { return line ~ /<(sanitizer|valgrind)\/|<(ucontext|luajit)/ }
function shown(line) {
  return "#pragma GCC visibility push(default)\n" line \
    "\n#pragma GCC visibility pop"
}
' $files
