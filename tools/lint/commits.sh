#!/bin/sh
# commits.sh - messages of commits are as CONTRIBUTING.md says.
# SPDX-License-Identifier: MIT
#
#   commits.sh [BASE]     those after BASE; without it, those since this file was
#                         added. Prints COMMIT: what is wrong; exit status 1 if
#                         anything
#   commits.sh -m FILE    the message in FILE, of what is about to be committed:
#                         the hook commit-msg calls it so
#
# Rules:
#   subject   "area: verb ...", in small letters up to the verb, which is an
#             imperative; at most 72 characters, no full stop
#   body      after an empty line, lines of at most 72 characters, but for what
#             is indented, has no blank in it, or is a trailer ("Word: ...")
#   why       there is a body, unless the commit changes at most 20 lines, or
#             nothing but documents
# Merges and reverts are not looked at. Without a history (an archive, a shallow
# clone, no git) there is nothing to look at, and that is said.
set -u
cd "$(dirname -- "$0")/../.." || exit 2

# Reads a message; says what is wrong with it. small: it may be without a body.
judge() { # judge NAME SMALL
  LC_ALL=C awk -v name="$1" -v small="$2" '
    function bad(what) {
      print name ": " what
      errors++
    }
    # Does it look like another form than the imperative?
    function is_form(verb) {
      if (verb ~ /^(need|embed|feed|seed|speed|shed|proceed|exceed|bring|string|ping|ring)$/)
        return 0
      return verb ~ /(ed|ing|[^su]s)$/
    }
    { gsub(/[\200-\277]/, "") } # bytes that go on with a character
    NR == 1 {
      skip = /^(Revert "|Merge )/
      if (skip) exit
      subject = $0
      if (length(subject) > 72)
        bad("subject: " length(subject) " characters, not 72 at most")
      if (subject !~ /^[a-z0-9][a-z0-9_.\/, -]*: [a-z]/) {
        bad("subject: not \"area: verb ...\" in small letters: " subject)
      } else {
        verb = subject
        sub(/^[^:]*: /, "", verb)
        sub(/[^a-z-].*/, "", verb)
        if (is_form(verb)) bad("subject: no imperative: " verb)
      }
      if (subject ~ /[.]$/) bad("subject: a full stop at its end")
    }
    NR == 2 && $0 != "" { bad("body: no empty line before it") }
    NR > 2 {
      if ($0 !~ /^ *$/) body = 1
      if (length($0) > 72 && $0 !~ /^[ \t]/ && $0 ~ / / &&
          $0 !~ /^[A-Z][A-Za-z-]*: /)
        bad("body: a line of " length($0) " characters, not 72 at most")
    }
    END {
      if (skip) exit 0
      if (NR == 0) bad("subject: none")
      if (!body && !small) bad("why: it has no body, and is not small")
      exit errors > 0
    }'
}

# Reads what `git diff --numstat` prints; says 1 if that needs no body.
is_small() {
  awk '
    { lines += $1 + $2 }
    $1 == "-" || $3 !~ /\.md$/ { others++ }
    $1 == "-" { lines += 100 } # a binary file
    END { print lines <= 20 || others == 0 ? 1 : 0 }'
}

if [ "${1:-}" = -m ]; then
  small=$(git diff --cached --numstat | is_small)
  # What git removes; below the line are the changes that -v shows.
  sed '/^# -* >8 -*$/,$d; /^#/d' "$2" |
    sed '1s/^\(fixup\|squash\|amend\)! //' |
    judge "$2" "$small"
  exit
fi

none() {
  echo "no history to look at: $*"
  exit 0
}
command -v git >/dev/null 2>&1 || none "there is no git"
top=$(git rev-parse --show-toplevel 2>/dev/null) || none "no repository"
[ "$top" = "$(pwd -P)" ] || none "the repository is of something else"
base=${1:-}
if [ -z "$base" ]; then
  added=$(git log --diff-filter=A --format=%H -- tools/lint/commits.sh |
    tail -n 1)
  [ -n "$added" ] || none "this file is not committed"
  base=$(git rev-parse -q --verify "$added^") || none "a shallow clone"
fi
commits=$(git rev-list --no-merges --reverse "$base..HEAD") || exit 2
status=0
for c in $commits; do
  small=$(git show --format= --numstat "$c" | is_small)
  git show -s --format=%B "$c" | judge "$(git rev-parse --short "$c")" \
    "$small" || status=1
done
exit $status
