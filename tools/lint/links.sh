#!/bin/sh
# links.sh - every link in a document leads to something that is there.
# SPDX-License-Identifier: MIT
#
#   links.sh [ROOT]    prints FILE:LINE: what is wrong; exit status 1 if anything
#
# Looked at are all Markdown files but those in build/. A link is what stands
# in [text](here). It must name a file or a folder, as seen from the document,
# and after "#" the anchor of a heading there, as GitHub and tools/docs make it:
# small letters, "-" for blanks, and nothing but letters, digits, "-" and "_".
# The second heading of a name gets "-1" at its end. Links to other hosts are
# not followed. Code is no text: what is in it is not a link.
set -u
cd "${1:-$(dirname -- "$0")/../..}" || exit 2

find . \( -path ./.git -o -path ./build \) -prune -o -name '*.md' -print |
  LC_ALL=C sort | LC_ALL=C awk '
function anchor_of(heading) {
  sub(/^#+ +/, "", heading)
  sub(/ +$/, "", heading)
  heading = tolower(heading)
  gsub(/[^a-z0-9 _\200-\377-]/, "", heading)
  gsub(/ /, "-", heading)
  return heading
}

# Is this line inside of a fenced or an indented block?
function is_code(line) {
  if (line ~ /^ *```/) {
    fenced = !fenced
    return 1
  }
  return fenced || (line ~ /^    / && after_empty)
}

function read_headings(path,    line, anchor) {
  fenced = 0
  while ((getline line < path) > 0) {
    if (line ~ /^ *```/) fenced = !fenced
    if (fenced || line !~ /^#+ /) continue
    anchor = anchor_of(line)
    if (seen[path, anchor]++) anchor = anchor "-" seen[path, anchor] - 1
    anchors[path, anchor] = 1
  }
  close(path)
  fenced = 0
}

# "a/../b" is "b".
function plain(path) {
  sub(/^\.\//, "", path)
  gsub(/\/\.\//, "/", path)
  while (match(path, /(^|\/)[^\/.][^\/]*\/\.\.(\/|$)/))
    path = substr(path, 1, RSTART - 1) \
      (substr(path, RSTART, 1) == "/" ? "/" : "") substr(path, RSTART + RLENGTH)
  return path
}

function exists(path) {
  if (!(path in there)) there[path] = system("test -e \"./" path "\"") == 0
  return there[path]
}

function check(file, n, link,    name, anchor) {
  if (link ~ /^[a-z]+:/) return
  links++
  name = link
  anchor = ""
  if (match(link, /#/)) {
    name = substr(link, 1, RSTART - 1)
    anchor = substr(link, RSTART + 1)
  }
  if (name == "") {
    name = file
  } else {
    directory = file
    sub(/[^\/]*$/, "", directory)
    name = plain(directory name)
  }
  if (name ~ /^\.\.\// || !exists(name)) {
    print file ":" n ": links: there is no " link
    errors++
  } else if (anchor != "" && name ~ /\.md$/) {
    if (!((name, anchor) in anchors)) {
      print file ":" n ": links: no heading for " link
      errors++
    }
  }
}

{ files[NR] = plain($0) }

END {
  for (i = 1; i <= NR; i++) read_headings(files[i])
  for (i = 1; i <= NR; i++) {
    file = files[i]
    fenced = 0
    after_empty = 1
    for (n = 1; (getline line < file) > 0; n++) {
      if (is_code(line)) continue
      after_empty = line ~ /^ *$/
      gsub(/`[^`]*`/, "`", line)
      while (match(line, /\]\([^)]*\)/)) {
        link = substr(line, RSTART + 2, RLENGTH - 3)
        line = substr(line, RSTART + RLENGTH)
        check(file, n, link)
      }
    }
    close(file)
  }
  if (links == 0) print "links: found none"
  exit errors > 0 || links == 0
}'
