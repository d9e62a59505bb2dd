#!/bin/sh
# pairs.sh - the PAIR names of docs/CONCURRENCY.md and of the sources agree.
# SPDX-License-Identifier: MIT
#
#   pairs.sh [ROOT]    prints what differs; exit status 1 if anything
#
# Compared are pairs of name and file: a row of the table "PAIR names" begins
# with the name and mentions files as `chan.c` or `os/linux.c`, below src/, or as
# `modules/tls/context.c`; a source mentions "PAIR name". Neither may have a pair that the other lacks. Each
# name has one row, and other documents and models use those names only.
set -u
cd "${1:-$(dirname -- "$0")/../..}" || exit 2

find src include modules docs tests/model -name '*.[ch]' -o -name '*.md' -o \
  -name '*.pml' | LC_ALL=C sort | LC_ALL=C awk '
function bad(what) {
  print what
  errors++
}

BEGIN {
  doc = "docs/CONCURRENCY.md"
  while ((getline line < doc) > 0) {
    if (line ~ /^#/) inside = line ~ /PAIR names/
    if (!inside || line !~ /^\| [a-z_]+ \|/) continue
    name = line
    sub(/^\| /, "", name)
    sub(/ .*/, "", name)
    if (name == "name") continue
    if (name in listed) bad(doc ": " name " is listed twice")
    listed[name] = 1
    while (match(line, /`[a-z_\/]+\.[ch]`/)) {
      file = substr(line, RSTART + 1, RLENGTH - 2)
      if (file !~ /^modules\//) file = "src/" file
      documented[name " " file] = 1
      line = substr(line, RSTART + RLENGTH)
    }
  }
  while ((getline file) > 0) {
    n = 0
    while ((getline line < file) > 0) {
      n++
      while (match(line, /PAIR [a-z_]+/)) {
        name = substr(line, RSTART + 5, RLENGTH - 5)
        if (file ~ /\.[ch]$/) used[name " " file] = n
        else if (!(name in listed) && name !~ /^names?$/)
          bad(file ":" n ": " doc " has no PAIR " name)
        line = substr(line, RSTART + RLENGTH)
      }
    }
    close(file)
  }
  for (key in used)
    if (!(key in documented)) {
      split(key, part, " ")
      bad(part[2] ":" used[key] ": " doc " lacks it in the row of PAIR " \
        part[1])
    }
  for (key in documented)
    if (!(key in used)) {
      split(key, part, " ")
      bad(doc ": there is no PAIR " part[1] " in " part[2])
    }
  exit errors > 0
}'
