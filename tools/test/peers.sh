#!/bin/sh
# peers.sh - the server of casting.http beside nginx and Node.
# SPDX-License-Identifier: MIT
#
#   SEED=1 LUAS="5.4 luajit" peers.sh SECONDS
#
# Runs tests/fuzz/http_peers.lua with the modules in build/release, SECONDS on
# each Lua; without SEED it takes a new one. The last line counts: "N passed, M
# failed".
set -u
cd "$(dirname -- "$0")/../.." || exit 2
PATH=$PATH:/usr/sbin # nginx
passed=0 failed=0

for v in ${LUAS:-5.4}; do
  case $v in
  luajit) lua=luajit ;;
  *) lua=lua$v ;;
  esac
  echo "== $lua"
  # shellcheck disable=SC2086
  if LUA_CPATH="build/release/$lua/?.so;;" LUA_PATH="build/release/$lua/?.lua;;" \
    timeout -k 5 $(($1 + 300)) "$lua" tests/fuzz/http_peers.lua "$1" ${SEED:-}; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
