#!/bin/sh
# browser.sh - pages of the examples, in a Chromium without a window.
# SPDX-License-Identifier: MIT
#
#   LUAS="5.4 luajit" browser.sh
#
# Runs tests/browser/*_spec.lua with the modules in build/release, on the Luas
# that have lua-cjson. CASTING_SHOTS=DIRECTORY keeps pictures of the pages. The
# last line counts: "N passed, M failed".
set -u
cd "$(dirname -- "$0")/../.." || exit 2
passed=0 failed=0
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM

for v in ${LUAS:-5.1 5.2 5.3 5.4 luajit}; do
  case $v in
  luajit) lua=luajit ;;
  *) lua=lua$v ;;
  esac
  if ! "$lua" -e 'require "cjson"' >/dev/null 2>&1; then
    echo "skipped: $lua has no cjson"
    continue
  fi
  for spec in tests/browser/*_spec.lua; do
    LUA_CPATH="build/release/$lua/?.so;;" LUA=$lua \
      LUA_PATH="tests/browser/?.lua;tests/lua/?.lua;build/release/$lua/?.lua;;" \
      timeout -k 5 300 "$lua" tools/test/busted.lua -o TAP "$spec" >"$log" 2>&1
    good=$(grep -c '^ok ' "$log")
    bad=$(grep -c '^not ok ' "$log")
    if [ "$bad" -eq 0 ] && ! grep -q "^1\\.\\.$good\$" "$log"; then bad=1; fi
    [ "$good" -gt 0 ] || bad=1
    if [ "$bad" -gt 0 ]; then
      echo "== $spec $lua"
      tail -n 60 "$log"
    fi
    passed=$((passed + good)) failed=$((failed + bad))
  done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
