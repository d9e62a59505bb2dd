# check.sh - the checks of `./dev check`; part of dev, which sources it.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
#
# A check NAME is a function check_NAME that adds to passed, failed and
# skipped; need_NAME (if there is one) says what it needs to be installed.
# Nothing is suppressed: a report of a tool is a failure.

# In the order of running, which is that of worth for the time, with the
# seconds that each takes on two cores from scratch (for --budget).
checks='lint:10 format:20 house:15 docs:30 warnings:280 models:200 tsan:350 asan:350 shrink:380
ubsan:320 inject:250 collect:600 allocfail:700 tidy:120 fuzz:90 coverage:500 valgrind:900
mutants:180 browser:120 luasocket:240 packages:260 portable:260 qemu:900 bigendian:120 bare:1100'

check_main() {
  budget=''
  chosen=''
  while [ $# -gt 0 ]; do
    case $1 in
    --budget)
      [ $# -gt 1 ] || misused check "--budget needs seconds"
      budget=$2
      shift
      ;;
    --budget=*) budget=${1#*=} ;;
    -*) misused check "unknown option $1" ;;
    *)
      case " $(echo $checks)" in
      *" $1:"*) chosen="$chosen $1" ;;
      *) misused check "there is no check \"$1\"" ;;
      esac
      ;;
    esac
    shift
  done
  case $budget in
  *[!0-9]*) misused check "--budget needs whole seconds, not $budget" ;;
  esac
  all=''
  for c in $checks; do
    case " $chosen " in
    "  " | *" ${c%:*} "*) all="$all $c" ;;
    esac
  done

  began=$(date +%s)
  estimated=1
  left_out=''
  summary=''
  quiet=yes # only failures, not a line for each test
  cd "$root" || exit 1
  dir=$root/build
  need_folder
  for c in $all; do
    check=${c%:*}
    seconds=${c#*:}
    if [ -n "$budget" ] && ! fits "$check" "$seconds"; then
      left_out="$left_out $check"
      continue
    fi
    started=$(date +%s) passed_before=$passed failed_before=$failed
    echo "== $check"
    if command -v "need_$check" >/dev/null; then
      "need_$check"
      meet
    fi
    "check_$check"
    estimated=$((estimated + seconds))
    summary="$summary$check: $((passed - passed_before)) passed,\
 $((failed - failed_before)) failed, $(($(date +%s) - started)) s
"
  done
  echo "== summary"
  printf %s "$summary"
  [ -z "$left_out" ] || echo "left out for want of time:$left_out"
  report $skipped
}

# Does a check of so many seconds fit into the budget? The estimate is scaled
# by how this machine has done so far. A check that runs the tests is cut short
# when the budget is spent, and worth beginning with four minutes.
fits() { # fits CHECK SECONDS
  spent=$(($(date +%s) - began))
  scaled=$2
  case $1 in
  tsan | asan | ubsan | shrink | inject | collect | valgrind)
    [ "$scaled" -le 240 ] || scaled=240
    ;;
  esac
  if [ $spent -gt $estimated ] && [ $estimated -gt 60 ]; then
    scaled=$((scaled * spent / estimated))
  fi
  [ $((spent + scaled)) -le "$budget" ]
}

# Counts the outcome of one command; its output is shown if it fails.
attempt() { # attempt TEXT COMMAND ...
  text=$1
  shift
  mkdir -p "$root/build"
  if "$@" >"$root/build/attempt.log" 2>&1; then
    passed=$((passed + 1))
  else
    tail -n 400 "$root/build/attempt.log"
    echo "$text: failed"
    failed=$((failed + 1))
  fi
}

with_lua() { # with_lua SCRIPT ...: by whatever Lua is there
  for lua in lua5.4 lua5.3 lua5.2 lua5.1 luajit; do
    if has $lua; then break; fi
  done
  "$lua" "$@"
}

# -- rules -----------------------------------------------------------------------

need_lint() { need_command lua-check luacheck; }
check_lint() {
  for rules in lint pairs names api changelog commits; do
    attempt "tools/lint/$rules.sh" sh "tools/lint/$rules.sh"
  done
  places=''
  for place in lualib modules bench examples tests tools; do
    if [ -d $place ]; then places="$places $place"; fi
  done
  # shellcheck disable=SC2086
  attempt "luacheck" luacheck -q --no-color $places
}

need_format() { need_command clang-format clang-format; }
check_format() {
  attempt "clang-format (apply it with ./dev format)" unformatted
}
unformatted() {
  unformatted=0
  for file in $(find src include modules tests/unit tests/fuzz bench -name '*.[ch]'); do
    if ! clang-format --style=file "$file" | cmp -s - "$file"; then
      echo "$file"
      unformatted=1
    fi
  done
  return $unformatted
}

# Calls, as the object files have them; the figures once.
need_docs() { need_site; }
check_docs() { attempt "./dev docs" make_site; }

need_house() { need_tests; }
check_house() {
  # shellcheck disable=SC2046
  if ! configure release "$(cmake_luas)" ||
    ! build release $(for v in $(built_tags release); do
      echo "binding-test-$v"
    done) core-test; then
    failed=$((failed + 1))
    return
  fi
  for v in $(built_tags release); do
    attempt "tools/lint/house.lua ($v)" house "$v"
  done
  sed -n '/^room /,$p' "$root/build/attempt.log"
}
house() { # house TAG
  with_lua tools/lint/house.lua build/release/CMakeFiles/core-test.dir \
    "build/release/CMakeFiles/binding-test-$1.dir"
}

need_warnings() {
  need_tests
  need_command pkg-config pkg-config
  need_command gcc gcc
  need_command clang clang
}
# Both compilers without a warning on every version, and headers that can be
# included alone, those of src/os with the system's names as their files have
# them. The single file, too: a name of ours that is the system's as well is an
# error there only.
check_warnings() {
  for CC in gcc clang; do
    attempt "$CC -Werror" all_targets "warnings-$CC"
    for v in $luas; do
      attempt "$CC -Werror, single file on $v" single_file "$v"
    done
  done
  unset CC
  for h in include/*.h src/*.h src/io/*.h src/os/*.h; do
    [ -f "$h" ] || continue
    system=''
    case $h in src/os/*) system=-D_GNU_SOURCE ;; esac
    # shellcheck disable=SC2086
    attempt "$h alone" gcc -std=c11 $system -Wall -Wextra -Werror -Iinclude -x c \
      -fsyntax-only -include "$h" /dev/null
  done
}
all_targets() {
  # shellcheck disable=SC2046
  configure "$1" "$(cmake_luas)" -DCASTING_WERROR=ON &&
    build "$1" $(test_targets "$1")
}

single_file() { # single_file VERSION
  case $1 in
  luajit) flags=$(pkg-config --cflags luajit) ;;
  *) flags=$(pkg-config --cflags "lua$1" || pkg-config --cflags "lua-$1") ;;
  esac || return 1
  # shellcheck disable=SC2086
  sh tools/gen/amalgamate.sh | $CC -std=gnu11 -Wall -Wextra -Werror -Iinclude \
    $flags -fsyntax-only -x c -
}

# Bugs only, see .clang-tidy; one Lua with continuations and one without.
need_tidy() {
  need_build
  need_luas 5.4 luajit
  need_command clang clang
  need_command clang-tidy clang-tidy
  need_modules
}
check_tidy() {
  luas_before=$luas
  for luas in $luas_before; do
    if ! CC=clang configure "tidy-$luas" "$(cmake_luas)" \
      -DCASTING_TESTS=OFF -DCASTING_DEBUG=1 ||
      ! build "tidy-$luas" embedded; then
      failed=$((failed + 1))
      continue
    fi
    for place in src src/io src/os 'src/lua/*' modules 'modules/*'; do
      before=''
      case $place in
      src/lua/* | modules*) before="--extra-arg=-include$root/tools/lint/tidy.h" ;;
      *)
        # The core is the same for all versions.
        [ "$luas" != luajit ] || continue
        ;;
      esac
      attempt "clang-tidy $place $luas" sh -c 'dir=$1 jobs=$2 before=$3
        shift 3
        printf "%s\n" "$@" |
          xargs -P "$jobs" -n 1 clang-tidy --quiet -p "$dir" $before' \
        tidy "$dir" "$(jobs)" "$before" $place/*.c
    done
  done
  luas=$luas_before
}

# -- models ------------------------------------------------------------------------

need_models() {
  need_command spin spin
  need_command gcc gcc
}
# Exhaustive search; pan's exit status says nothing, its report does. A model
# may say how it wants to be checked in a line "pan: -DCOLLAPSE -m200000".
check_models() {
  for m in tests/model/*.pml; do
    if [ ! -f "$m" ]; then
      echo "no model in tests/model"
      failed=$((failed + 1))
      return
    fi
    attempt "$m" model "$PWD/$m" "$(basename "$m" .pml)"
  done
}
model() {
  work=$root/build/models/$2
  rm -rf "$work"
  mkdir -p "$work" || return 1
  options=$(sed -n 's,^.*[ *]pan: *\(-.*\)$,\1,p' "$1" | sed 's,\*/,,' |
    head -n 1)
  cc_options=$(echo "$options" | tr ' ' '\n' | grep '^-D' | tr '\n' ' ')
  run_options=$(echo "$options" | tr ' ' '\n' | grep -v '^-D' | tr '\n' ' ')
  grep -q '^ltl' "$1" && run_options="-a $run_options"
  (
    cd "$work" || exit 1
    spin -a "$1" || exit 1
    # shellcheck disable=SC2086
    gcc -O2 -w $cc_options -o pan pan.c || exit 1
    # shellcheck disable=SC2086
    timeout 900 ./pan $run_options >report 2>&1
    cat report
    # Cut short is not checked.
    ! grep -q -i -e 'max search depth too small' -e 'out of memory' \
      -e 'aborting' -e 'Search not completed' report &&
      grep -q 'errors: 0' report
  )
}

# Each model in all its scenarios, and broken on purpose: then it must fail.
need_mutants() { need_models; }
check_mutants() {
  if ! sh tests/model/mutants.sh >"$root/build/mutants.log" 2>&1; then
    grep -v '^ok' "$root/build/mutants.log"
  fi
  counts=$(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' \
    "$root/build/mutants.log")
  # Without a last line it did not get to its end.
  [ -n "$counts" ] || counts='0 1'
  passed=$((passed + ${counts% *})) failed=$((failed + ${counts#* }))
}

# -- builds that look for errors at run time ----------------------------------------

# The tests of a configuration that differs from the normal one; TESTS, a
# regular expression, chooses some of them.
tested_config() { # tested_config CONFIG EXCEPT CMAKE-OPTIONS
  config=$1
  select=$2 # such as "|stress": test areas to leave out
  shift 2
  # shellcheck disable=SC2046
  if ! configure "$config" "$(cmake_luas)" "$@" ||
    { [ -n "${TESTS:-}" ] &&
      ! need_match "$config" "$TESTS" -LE "rules$select"; } ||
    ! build "$config" $(test_targets "$config"); then
    failed=$((failed + 1))
    return
  fi
  if [ -n "$budget" ]; then stop_at=$((began + budget)); fi
  run_ctest "$config" -LE "rules$select" ${TESTS:+-R "$TESTS"}
  stop_at=''
}

need_sanitizer() { # need_sanitizer VERSION ...
  need_command gcc gcc
  need_tests "$@"
}
sanitizer() { # sanitizer CONFIG KIND FACTOR [RUNTIME]
  CC=gcc
  preload=''
  if [ $# -gt 3 ]; then preload=${5-}$(gcc -print-file-name="$4"); fi
  tested_config "$1" '' -DCASTING_SANITIZE="$2" -DCASTING_PRELOAD="$preload" \
    -DCASTING_TIME_FACTOR="$3" -DCASTING_DEBUG=1
  unset CC
}
need_tsan() { need_sanitizer 5.4 luajit; }
check_tsan() {
  # See the file: without it ThreadSanitizer loses count of Lua's jumps.
  shim=$root/build/tsan_longjmp.so
  mkdir -p "$root/build"
  gcc -O1 -shared -fPIC -o "$shim" "$root/tools/test/tsan_longjmp.c" || return 1
  sanitizer tsan thread 5 libtsan.so "$shim:"
}
# With 5.1 too, whose ways through the binding are those of LuaJIT, where leaks
# cannot be looked for (see runtest.sh).
need_asan() { need_sanitizer 5.1 5.4 luajit; }
check_asan() { sanitizer asan address 4 libasan.so; }
need_ubsan() { need_sanitizer 5.4 luajit; }
check_ubsan() { sanitizer ubsan undefined 3; }

need_shrink() { need_tests; }
check_shrink() {
  tested_config shrink '' -DCASTING_SHRINK=ON -DCASTING_DEBUG=2 \
    -DCASTING_TIME_FACTOR=3
}

# See tools/test/inject.h.
need_inject() { need_tests 5.1 5.4; }
check_inject() {
  tested_config inject '' -DCASTING_INJECT=ON -DCASTING_SHRINK=ON \
    -DCASTING_DEBUG=2 -DCASTING_TIME_FACTOR=4
}

# A collection, with a finalizer that waits, at each call of Lua's API in which
# there may be one: see src/lua/compat/collect.h. Freed memory shows with
# AddressSanitizer.
need_collect() { need_sanitizer 5.1 5.4 luajit; }
check_collect() {
  CC=gcc
  tested_config collect '|unit' -DCASTING_COLLECT=ON \
    -DCASTING_SANITIZE=address \
    -DCASTING_PRELOAD="$(gcc -print-file-name=libasan.so)" \
    -DCASTING_TIME_FACTOR=8 -DCASTING_DEBUG=1
  unset CC
}

# Each allocation of everything that a program does fails once, and twice and
# twenty times in a row. The environment's CASTING_FAIL_AT and _EVERY (see
# src/mem.h) do that for any other program.
need_allocfail() { need_tests; }
check_allocfail() {
  # shellcheck disable=SC2046
  if ! configure allocfail "$(cmake_luas)" -DCASTING_DEBUG=2 ||
    ! build allocfail $(test_targets allocfail); then
    failed=$((failed + 1))
    return
  fi
  for v in $(built_tags allocfail); do
    attempt "allocfail with $v" allocfail "$v" allocfail 1
    # OpenSSL's own allocations are many: some of them.
    attempt "tls_allocfail with $v" allocfail "$v" tls_allocfail 0.03
    attempt "http_allocfail with $v" allocfail "$v" http_allocfail 0.05
  done
}
allocfail() { # allocfail VERSION NAME SCALE
  LUA_CPATH="$root/build/allocfail/$1/?.so;;" \
    LUA_PATH="$root/build/allocfail/$1/?.lua;;" \
    timeout 600 "$1" "tests/stress/$2.lua" 1 "$3"
}

# Which lines the tests have run, on versions whose calls yield across pcall and
# where they do not; see tools/test/coverage.lua.
need_coverage() {
  need_tests 5.1 5.4 luajit
  need_command gcc gcov
}
check_coverage() {
  # The counts of an earlier run would be added to.
  find "$root/build/coverage" -name '*.gcda' -exec rm -f {} + 2>/dev/null
  launcher=${CMAKE_C_COMPILER_LAUNCHER-} CC=gcc
  unset CMAKE_C_COMPILER_LAUNCHER # objects name the place of their counts
  tested_config coverage '' -DCASTING_COVERAGE=ON -DCASTING_DEBUG=1 \
    -DCASTING_TIME_FACTOR=3
  unset CC
  [ -z "$launcher" ] || export CMAKE_C_COMPILER_LAUNCHER="$launcher"
  attempt "tools/test/coverage.lua" with_lua tools/test/coverage.lua \
    build/coverage build/coverage/never-run
  cat "$root/build/attempt.log"
}

need_valgrind() {
  need_tests 5.4 luajit
  need_command valgrind valgrind
}
check_valgrind() {
  v='valgrind;--quiet;--fair-sched=yes;--error-exitcode=99'
  # What is possibly lost has pointers into its middle, as all Lua states have,
  # and the stacks of threads that run: a program that calls os.exit leaves such.
  v="$v;--leak-check=full;--show-leak-kinds=definite"
  v="$v;--errors-for-leak-kinds=definite"
  # Memory that it keeps back, to find late users, would look like growth to the
  # tests that watch memory.
  v="$v;--freelist-vol=1000000;--suppressions=$root/tools/test/valgrind.supp"
  # A child of fork(2) lacks the threads that owned what it inherits; see
  # tests/forked.h, too.
  v="$v;--child-silent-after-fork=yes"
  tested_config valgrind '|stress' -DCASTING_TIME_FACTOR=20 \
    -DCASTING_PLAIN_MEMORY=ON \
    "-DCASTING_UNIT_WRAPPER=$v" "-DCASTING_LUA_WRAPPER=$v"
}

# The targets of tests/fuzz, and the server beside others, FUZZ seconds in all.
need_fuzz() {
  need_build
  need_luas 5.4
  need_modules
  need_command clang clang
  [ -x /usr/sbin/nginx ] || need_command nginx-light nginx
  need_command nodejs node
}
check_fuzz() {
  CC=clang
  # shellcheck disable=SC2046
  if ! configure fuzz "$(cmake_luas)" -DCASTING_FUZZ=ON ||
    ! build fuzz fuzz-targets; then
    unset CC
    failed=$((failed + 1))
    return
  fi
  unset CC
  programs=$(for v in $(built_tags fuzz); do
    for t in tests/fuzz/corpus/*; do
      [ ! -x "build/fuzz/$v/fuzz-${t##*/}" ] || echo "$v/fuzz-${t##*/}"
    done
    echo "$v/peers"
  done)
  each=$((${FUZZ:-60} / $(echo "$programs" | wc -l)))
  for p in $programs; do
    [ "${p#*/}" = peers ] || attempt "build/fuzz/$p" fuzz "$p" $((each + 1))
  done
  # shellcheck disable=SC2046
  if ! configure release "$(cmake_luas)" ||
    ! build release $(for v in $(built_tags release); do
      echo "module-$v http-$v"
    done); then
    failed=$((failed + 1))
    return
  fi
  counted peers env LUAS="$luas" sh tools/test/peers.sh $((each + 1))
  grep -e 'inputs, .* seed' "$root/build/peers.log"
}
# What is new in an input that has been found stays in build/fuzz; an input that
# fails is there, too.
fuzz() { # fuzz VERSION/fuzz-TARGET SECONDS
  found=$root/build/fuzz/found/$1
  mkdir -p "$found" || return 1
  "$root/build/fuzz/$1" -max_total_time="$2" -timeout=60 -max_len=1024 \
    -len_control=20 -rss_limit_mb=2000 -print_final_stats=1 \
    -artifact_prefix="$root/build/fuzz/" "$found" \
    "$root/tests/fuzz/corpus/${1##*/fuzz-}"
}

# -- packages and ports ---------------------------------------------------------------

# A script with a last line "N passed, M failed".
counted() { # counted NAME COMMAND ...
  name=$1
  shift
  mkdir -p "$root/build"
  "$@" >"$root/build/$name.log" 2>&1
  counts=$(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' \
    "$root/build/$name.log")
  [ -n "$counts" ] || counts='0 1'
  if [ "${counts#* }" -gt 0 ]; then
    grep -v '^ok ' "$root/build/$name.log" | tail -n 200
  fi
  passed=$((passed + ${counts% *})) failed=$((failed + ${counts#* }))
}

need_packages() {
  need_build
  need_luas
  need_command pkg-config pkg-config
  need_command gcc gcc
  need_command luarocks luarocks
  need_command dpkg-dev dpkg-buildpackage
  need_command debhelper dh
  need_command lintian lintian
  need_command fakeroot fakeroot
  need_command openssl openssl
  for v in 5.1 5.2 5.3 5.4 luajit; do need_lua_headers "$v"; done
  need_modules
}
check_packages() { counted packages env LUAS="$luas" sh tools/package/packages.sh; }

# Debian's libraries for LuaSocket, on casting.socket, and its own tests.
need_luasocket() {
  need_build
  need_luas 5.1 5.2 5.3 5.4 luajit
  need_command redis-tools redis-server
  need_command apache2-bin apache2
  need_command openssl openssl
  need_command python3 /usr/bin/python3
  [ -n "$(find /usr/lib/postgresql -name initdb 2>/dev/null)" ] ||
    need postgresql "database server"
  for p in lua-socket lua-sec lua-redis lua-copas lua-logging lua-xmlrpc \
    lua-soap python3-pyftpdlib python3-aiosmtpd; do
    dpkg -s $p >/dev/null 2>&1 || need $p "tried by the check"
  done
}
check_luasocket() {
  # shellcheck disable=SC2046
  if ! configure release "$(cmake_luas)" ||
    ! build release $(for v in $(built_tags release); do
      echo "module-$v"
    done); then
    failed=$((failed + 1))
    return
  fi
  counted luasocket env LUAS="$luas" sh tools/test/luasocket.sh
  grep -e '^skipped' "$root/build/luasocket.log" &&
    skipped=$((skipped + 1))
  sed -n 's/^figure //p' "$root/build/luasocket.log"
}

# Pages of examples, in a browser that casting's own websockets drive.
need_browser() {
  need_build
  need_luas 5.1 5.2 5.3 5.4 luajit
  need_modules
  need_command chromium chromium
  dpkg -s lua-cjson >/dev/null 2>&1 || need lua-cjson "tried by the check"
}
check_browser() {
  # shellcheck disable=SC2046
  if ! configure release "$(cmake_luas)" ||
    ! build release $(for v in $(built_tags release); do
      echo "module-$v$(module_targets release "$v")"
    done); then
    failed=$((failed + 1))
    return
  fi
  counted browser env LUAS="$luas" sh tools/test/browser.sh
}

need_portable() {
  need_build
  need_command make make
  need_command musl-tools musl-gcc
  need_command gcc-mingw-w64-x86-64 x86_64-w64-mingw32-gcc
}
check_portable() { counted portable sh tools/test/ports.sh musl macos windows; }

need_qemu() {
  need_build
  need_command make make
  need_command qemu-user qemu-aarch64
  need_command gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
  need_command gcc-riscv64-linux-gnu riscv64-linux-gnu-gcc
  [ -d /usr/aarch64-linux-gnu/include ] ||
    need libc6-dev-arm64-cross "C library of aarch64"
  [ -d /usr/riscv64-linux-gnu/include ] ||
    need libc6-dev-riscv64-cross "C library of riscv64"
}
check_qemu() { counted qemu sh tools/test/ports.sh aarch64 riscv64; }

# What README.md says, done on a bare Debian.
need_bare() {
  if [ "$(id -u)" = 0 ]; then
    need_command debootstrap debootstrap
    need_command util-linux unshare
  fi
}
check_bare() {
  if [ "$(id -u)" = 0 ]; then
    counted bare sh tools/test/bare.sh
  else
    echo "skipped: only root can make a root directory"
    skipped=$((skipped + 1))
  fi
}

# -- a big-endian processor ----------------------------------------------------------

# Lua 5.4 and casting in one program for s390x, which qemu runs: random values
# must come as they went there, too.
need_bigendian() {
  need_build
  need_command gcc-s390x-linux-gnu s390x-linux-gnu-gcc
  [ -f /usr/s390x-linux-gnu/include/stdio.h ] ||
    need libc6-dev-s390x-cross "C library of s390x"
  need_command qemu-user qemu-s390x
}
check_bigendian() {
  # shellcheck source=tools/package/debian.sh
  . "$root/tools/package/debian.sh"
  top=$root/build/lua54
  mkdir -p "$root/build"
  if ! [ -f "$top/src/lua.h" ] &&
    ! debian_source lua5.4 "$top" >"$root/build/lua54.log" 2>&1; then
    echo "skipped: no source of Lua 5.4 to be had ($(tail -n 1 \
      "$root/build/lua54.log"))"
    skipped=$((skipped + 1))
    return
  fi
  attempt "value_graphs on s390x" bigendian "$top/src"
}
bigendian() {
  lua_sources=$(ls "$1"/*.c | grep -v -e '/lua\.c$' -e '/luac\.c$')
  sh tools/gen/embed.sh "$root/build/generated" || return 1
  # shellcheck disable=SC2086
  s390x-linux-gnu-gcc -std=gnu11 -O1 -g -w -static -pthread -I"$1" \
    -I"$root/build/generated" -D_GNU_SOURCE -DLUA_USE_POSIX -DCAST_DEBUG=2 \
    -o "$root/build/lua-s390x" \
    tools/test/bigendian.c src/*.c src/io/*.c src/os/*.c src/lua/*/*.c $lua_sources -lm -ldl &&
    qemu-s390x "$root/build/lua-s390x" tests/stress/value_graphs.lua 1 0.02
}
