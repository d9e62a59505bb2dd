#!/bin/sh
# runtest.sh - runs one test program and counts its cases; CTest calls it.
# SPDX-License-Identifier: MIT
#
#   runtest.sh -r RESULTS [-t SECONDS] [-f FACTOR] [-m MODULEDIR] [-c]
#              NAME tap|script COMMAND [ARGS]
#
# tap: the standard output is TAP (busted -o TAP, cmocka); script: the exit
# status is the one result. Writes RESULTS/NAME.out, NAME.err and NAME.count
# ("passed failed skipped"; slashes of NAME become dots) and shows both outputs
# if anything failed. A program that crashes, runs out of time, ends early, runs
# no test or provokes a report of a sanitizer or of valgrind has failed.
#
# The program sees: LUA_PATH and LUA_CPATH for `require "casting"`, LUA (its
# own interpreter, for tests that start another), CASTING_TIME_FACTOR (1 for a
# normal build, more where everything is slower).
set -u
limit=60 factor=1 module='' results='' collect=''
while getopts r:t:f:m:c o; do
  case $o in
  r) results=$OPTARG ;;
  t) limit=$OPTARG ;;
  f) factor=$OPTARG ;;
  m) module=$OPTARG ;;
  c) collect=yes ;;
  *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
name=$1 kind=$2
shift 2
# Each process that this script starts is started for each of 1500 tests.
base=$name
while :; do
  case $base in
  */*) base=${base%%/*}.${base#*/} ;;
  *) break ;;
  esac
done
base=$results/$base
if [ -e "$base.count" ]; then rm -f "$base.count"; fi

for v in 5_2 5_3 5_4 5_5; do
  unset "LUA_PATH_$v" "LUA_CPATH_$v" "LUA_INIT_$v"
done
unset LUA_INIT LUA
if [ -n "$module" ]; then
  export LUA_PATH="./tests/lua/?.lua;$module/?.lua;;"
  export LUA_CPATH="$module/?.so;;"
  for i in "$@"; do
    case ${i##*/} in lua*) LUA=$i && break ;; esac
  done
  export LUA
fi
# With -c: a test that asserts an order which finalizers that wait may change has
# a line "-- still: what order"; one that collections alone would spoil, a line
# "-- uncollected: what they would spoil"; see src/lua/lib/collect.c.
for i in "$@"; do
  case $collect$i in
  yestests/*.lua)
    if grep -q '^-- still: ' "$i"; then export CASTING_COLLECT=still; fi
    if grep -q '^-- uncollected: ' "$i"; then export CASTING_COLLECT=0; fi
    ;;
  esac
done
export CASTING_TIME_FACTOR="$factor"
export CMOCKA_MESSAGE_OUTPUT=TAP
# A report must fail the test; nothing of ours is suppressed. Huge requests
# want NULL, as without a sanitizer.
null=allocator_may_return_null=1
# The freed memory that AddressSanitizer keeps back to catch late users would
# look like growth to the tests that watch memory: 8 MB of it, not 256.
asan="$null quarantine_size_mb=8"
# LuaJIT keeps pointers in the low bits of tagged words, where LeakSanitizer
# does not see them: what states hold at exit(3) would all be reported. Leaks
# are looked for on the other versions.
if [ "${LUA:+${LUA##*/}}" = luajit ]; then asan="$asan detect_leaks=0"; fi
export ASAN_OPTIONS="$asan ${ASAN_OPTIONS:-}"
case $0 in
/*) tools=${0%/*} ;;
*/*) tools=$PWD/${0%/*} ;;
*) tools=$PWD ;;
esac
export TSAN_OPTIONS="exitcode=66 suppressions=$tools/tsan.supp \
print_suppressions=0 $null ${TSAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$tools/lsan.supp print_suppressions=0 \
${LSAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1 ${UBSAN_OPTIONS:-}"

timeout -k 5 "$limit" "$@" >"$base.out" 2>"$base.err" </dev/null
status=$?

reports=0
[ ! -s "$base.err" ] || reports=$(grep -c -E \
  -e 'WARNING: ThreadSanitizer|ERROR: (Address|Leak)Sanitizer' \
  -e 'runtime error: |ThreadSanitizer:DEADLYSIGNAL' \
  -e '^==[0-9]+== (Invalid|Mismatched|Conditional|Use of|Syscall param)' \
  -e '^==[0-9]+== .* bytes in .* definitely lost' "$base.err")

if [ "$kind" = tap ]; then
  counts=$(awk '
    /^1\.\.[0-9]+/ { planned += substr($1, 4); next }
    /^(not )?ok [0-9]+.*# SKIP/ { skipped++; next }
    /^ok [0-9]+/ { passed++ }
    /^not ok [0-9]+/ { failed++ }
    END {
      lost = planned - passed - failed - skipped
      if (lost > 0) failed += lost
      print passed + 0, failed + 0, skipped + 0, planned + 0
    }' "$base.out")
else
  counts='0 0 0 0'
  [ "$status" -ne 0 ] || counts='1 0 0 1'
fi
read -r passed failed skipped planned <<EOF
$counts
EOF
why=''
if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
  why="ended by the time limit of $limit s"
elif [ "$reports" -gt 0 ]; then
  why="$reports report(s) of a sanitizer or of valgrind"
elif [ "$status" -gt 128 ]; then
  why="ended by signal $((status - 128))"
elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
  why="exit status $status"
elif [ "$planned" -eq 0 ] && [ "$failed" -eq 0 ]; then
  why="no test ran"
fi
if [ -n "$why" ]; then failed=$((failed + 1)); fi
echo "$passed $failed $skipped" >"$base.count"
[ "$failed" -gt 0 ] || exit 0
if [ "$kind" = tap ]; then
  # Passed cases are of no interest here.
  grep -v '^ok [0-9]' "$base.out" | tail -n 200
else
  tail -n 200 "$base.out"
fi
head -c 20000 "$base.err"
[ -z "$why" ] || echo "$name: $why"
exit 1
