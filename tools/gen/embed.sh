#!/bin/sh
# embed.sh - writes embedded.h by the program that is there: CMake or a Lua.
# SPDX-License-Identifier: MIT
#
#   embed.sh DIR    writes DIR/embedded.h
#
# For scripts that compile or print the sources themselves.
set -u
mkdir -p "$1" && dir=$(CDPATH='' cd -- "$1" && pwd) || exit 1
cd "$(dirname -- "$0")/../.." || exit 2
if command -v cmake >/dev/null; then
  exec cmake -DOUTPUT="$dir/embedded.h" -P tools/gen/embed.cmake >&2
fi
for lua in lua lua5.5 lua5.4 lua5.3 lua5.2 lua5.1 luajit; do
  if command -v "$lua" >/dev/null; then
    exec "$lua" tools/gen/embed.lua "$dir/embedded.h" lualib/casting/*.lua
  fi
done
echo "embed.sh: neither CMake nor a Lua is to be found" >&2
exit 1
