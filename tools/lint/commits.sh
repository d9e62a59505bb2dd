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

# Reads commits, and says what is wrong with each. One is a line "\1NAME", the
# message, a line "\2", and what `git diff --numstat` prints.
judge() {
  LC_ALL=C awk '
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
    function judge_subject(subject) {
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
    # A commit of at most 20 lines, or of nothing but documents, needs no body.
    function finish() {
      if (name == "" || skip) return
      if (number == 0) bad("subject: none")
      if (!body && changed > 20 && others > 0)
        bad("why: it has no body, and is not small")
    }
    /^\001/ {
      finish()
      name = substr($0, 2)
      number = skip = body = changed = others = files = 0
      next
    }
    /^\002/ { files = 1; next }
    files {
      if ($0 == "") next
      changed += $1 == "-" ? 100 : $1 + $2 # "-": a binary file
      if ($1 == "-" || $3 !~ /\.md$/) others++
      next
    }
    {
      gsub(/[\200-\277]/, "") # bytes that go on with a character
      number++
    }
    number == 1 {
      skip = /^(Revert "|Merge )/
      if (!skip) judge_subject($0)
    }
    number == 2 && $0 != "" && !skip { bad("body: no empty line before it") }
    number > 2 && !skip {
      if ($0 !~ /^ *$/) body = 1
      if (length($0) > 72 && $0 !~ /^[ \t]/ && $0 ~ / / &&
          $0 !~ /^[A-Z][A-Za-z-]*: /)
        bad("body: a line of " length($0) " characters, not 72 at most")
    }
    END {
      finish()
      exit errors > 0
    }'
}

if [ "${1:-}" = -m ]; then
  {
    printf '\001%s\n' "$2"
    # What git removes; below the line are the changes that -v shows.
    sed '/^# -* >8 -*$/,$d; /^#/d' "$2" |
      sed '1s/^\(fixup\|squash\|amend\)! //'
    printf '\002\n'
    git diff --cached --numstat
  } | judge
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
git rev-parse -q --verify "$base^{commit}" >/dev/null || {
  echo "no commit: $base" >&2
  exit 2
}
git log --no-merges --reverse --numstat --format='%x01%h%n%B%x02' \
  "$base..HEAD" | judge
