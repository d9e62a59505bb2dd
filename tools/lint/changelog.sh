#!/bin/sh
# changelog.sh - CHANGELOG.md can be read at a glance.
# SPDX-License-Identifier: MIT
#
#   changelog.sh [ROOT]    prints FILE:LINE: what is wrong; exit status 1 if
#                          anything
#
# Below the title and a paragraph there is a section for each version,
#   ## Unreleased                     the first one, or
#   ## VERSION - YYYY-MM-DD
# with some of the sections of Keep a Changelog, each once and in this order:
# Added, Changed, Deprecated, Removed, Fixed, Security. In them there is nothing
# but entries, of one line each: "- ..." of at most 120 characters, with a full
# stop at its end.
set -u
cd "${1:-$(dirname -- "$0")/../..}" || exit 2

LC_ALL=C awk '
function bad(what) {
  print FILENAME ":" NR ": changelog: " what
  errors++
}

BEGIN {
  n = split("Added Changed Deprecated Removed Fixed Security", word, " ")
  for (i = 1; i <= n; i++) rank[word[i]] = i
}

{ gsub(/[\200-\277]/, "") } # bytes that go on with a character
/^$/ || (!version && !/^## /) { next }
/^## / {
  version++
  last = 0
  kind = ""
  if (!/^## [0-9]+\.[0-9]+\.[0-9]+ - [0-9]+-[0-9]+-[0-9]+$/ &&
      !(version == 1 && $0 == "## Unreleased"))
    bad("neither \"## Unreleased\" nor \"## VERSION - DATE\": " $0)
  next
}
/^### / {
  kind = substr($0, 5)
  if (!(kind in rank)) bad("no such section: " kind)
  else if (rank[kind] <= last) bad(kind " comes too late, or again")
  last = rank[kind]
  next
}
{
  entries++
  if (kind == "") bad("an entry outside of a section: " $0)
  if (!/^- [^ ]/) bad("not an entry of one line: " $0)
  if (length($0) > 120) bad(length($0) " characters, not 120 at most")
  if (!/\.\)?$/) bad("no full stop at the end: " $0)
  if ($0 in seen) bad("the entry is that of line " seen[$0])
  seen[$0] = NR
}

END {
  if (entries == 0) bad("no entries")
  exit errors > 0
}' CHANGELOG.md
