#!/bin/sh
# copied.sh - removes a build directory that came along with a copied tree: it
# would go on building the tree that it was copied from.
# SPDX-License-Identifier: MIT
#
#   copied.sh DIR    removes DIR if CMake has configured it for another place
set -u
cache=$1/CMakeCache.txt
[ -f "$cache" ] || exit 0
here=$(CDPATH='' cd -P -- "$1" && pwd -P) || exit 1
there=$(sed -n 's/^CMAKE_CACHEFILE_DIR:INTERNAL=//p' "$cache")
if [ "$(CDPATH='' cd -P -- "$there" 2>/dev/null && pwd -P)" != "$here" ]; then
  echo "copied.sh: $1 is of another tree: begun anew" >&2
  rm -rf "$1"
fi
