#!/bin/sh
# dev.sh - what ./dev says of mistakes: in one line, before it builds anything.
# SPDX-License-Identifier: MIT
#
# Prints TAP. It runs copies of ./dev and its scripts in a tree where there is
# nothing to build, with programs of its own in place of compilers, CMake,
# apt-get and Lua; what these are called for is in $work/calls. What needs a
# system that really lacks something is in bare.sh.
set -u
cd "$(dirname -- "$0")/../.." || exit 2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
tree=$work/tree bin=$work/bin
count=0 bad=0

mkdir -p "$tree/bench" "$tree/src/lua" "$bin" "$work/include/lua5.4" "$work/none" || exit 1
cp -R dev tools "$tree/" && cp bench/*.lua "$tree/bench/" || exit 1
echo 'print "hello"' >"$tree/hello.lua"
: >"$work/include/lua5.4/lua.h"

# What a shell script may expect anywhere.
for p in sh cat chmod cp cut date dirname env find flock fold grep head id ls \
  mkdir mktemp mv nproc paste pwd rm sed sort tail test touch tr uname; do
  at=$(command -v "$p") || continue
  case $at in /*) ln -s "$at" "$bin/$p" ;; esac
done

# A program of that name, whose script is the standard input. Each notes its
# call first.
stub() { # stub NAME
  rm -f "$bin/$1"
  {
    echo '#!/bin/sh'
    echo "echo \"$1 \$*\" >>'$work/calls'"
    cat
  } >"$bin/$1"
  chmod +x "$bin/$1"
}
stub_user() { # stub_user ID
  echo "case \$* in -u) echo $1 ;; -un) echo somebody ;; esac" | stub id
}
remove() {
  for p; do rm -f "${bin:?}/$p"; done
}

# Runs ./dev with these programs; its output is $out, its exit status $status.
dev() {
  : >"$work/calls"
  out=$(cd "$tree" && env -i PATH="$bin" HOME="$work/none" lua_prefix="$work" \
    TMPDIR="$work" "$@" 2>&1 </dev/null)
  status=$?
}
lines() { printf '%s\n' "$out" | grep -c .; }

check() { # check TEXT COMMAND ...
  text=$1
  shift
  count=$((count + 1))
  if "$@"; then
    echo "ok $count - $text"
  else
    bad=$((bad + 1))
    echo "not ok $count - $text"
    printf 'status %s, printed:\n%s\n' "$status" "$out" | sed 's/^/# /'
    sed 's/^/# called: /' "$work/calls"
  fi
}
# It ended with that status and one line, which matches; and nothing was built.
one_line() { # one_line STATUS PATTERN
  [ "$status" = "$1" ] && [ "$(lines)" = 1 ] &&
    printf '%s\n' "$out" | grep -q -e "$2" && not_built
}
not_built() { ! grep -q '^cmake --build' "$work/calls"; }
untouched() { [ ! -e "$tree/build" ] && [ ! -s "$work/calls" ]; }

# -- words -----------------------------------------------------------------------

is_help() { # is_help COMMAND
  [ "$status" = 0 ] && untouched &&
    case $out in "usage: ./dev $1"*) ;; *) false ;; esac
}
for c in run test check bench docs format install deb lua55 clean; do
  dev ./dev $c --help
  check "$c --help" is_help $c
  help=$out
  dev ./dev help $c
  check "help $c is the same" [ "$out" = "$help" ]
done
dev ./dev check asan -h
check "check asan -h" is_help check
dev ./dev bench compare --help
check "bench compare --help" is_help bench
dev ./dev
check "no command: help" is_help COMMAND
dev ./dev --help
check "--help" is_help COMMAND

dev ./dev tset
check "an unknown command" one_line 2 'no command "tset".* run test check '
dev ./dev 'run test'
check "two words in one" one_line 2 'no command "run test"'
dev ./dev help nonsense
check "help of nothing" one_line 2 'no command "nonsense"'
for c in run test check bench docs format install deb lua55 clean; do
  dev ./dev $c --wrong
  check "$c --wrong" one_line 2 "^dev: $c: unknown option --wrong .*dev $c --help"
  check "$c --wrong does nothing" untouched
done
for words in 'install a b' 'docs b' 'deb b' 'lua55 b' 'clean b' 'help run b'; do
  # shellcheck disable=SC2086
  dev ./dev $words
  check "$words" one_line 2 'what is "b"?'
done
dev ./dev test one two
check "two patterns" one_line 2 'one PATTERN, please: "one|two"'
dev ./dev run
check "run without a file" one_line 2 'which Lua file?'
dev ./dev run missing.lua
check "run of a missing file" one_line 1 'there is no file missing.lua'
dev ./dev run tools
check "run of a directory" one_line 1 'tools is a directory'
dev ./dev format missing.c
check "format of a missing file" one_line 1 'there is no file missing.c'
dev ./dev bench nonsense
check "an unknown benchmark" one_line 2 'no bench/nonsense.lua; .* pingpong '
dev ./dev bench compare --wrong
check "bench compare --wrong" one_line 2 'unknown option --wrong'
dev ./dev bench pingpong --rounds 3 -wrong
check "bench pingpong -wrong" one_line 2 'unknown option -wrong'
dev ./dev check nonsense
check "an unknown check" one_line 2 'no check "nonsense"'
dev ./dev check --budget soon
check "a wrong budget" one_line 2 'budget needs whole seconds, not soon'
dev LUAS='5.4 5.6' ./dev test
check "an unknown version" one_line 1 'LUAS: "5.6" is none of 5.1'
dev LUAS=lua5.4 ./dev install "$work/prefix"
check "an unknown version to install" one_line 1 'LUAS: "lua5.4" is none'
dev JOBS=many ./dev test
check "a wrong number of jobs" one_line 1 'JOBS=many: a number'
dev FUZZ=soon ./dev check fuzz
check "a wrong number of seconds" one_line 1 'FUZZ=soon: a number of seconds'

# -- what is missing ----------------------------------------------------------------

stub_user 1000
stub apt-cache </dev/null
stub apt-get </dev/null
dev ./dev run hello.lua
check "no rights, no sudo" one_line 1 \
  "only root can .*: su -c 'apt-get update && apt-get install .* cmake ninja"
echo 'exit 1' | stub sudo
dev ./dev run hello.lua
check "no rights, sudo wants a password" one_line 1 \
  "only root can .*: sudo sh -c 'apt-get update && apt-get install"
check "apt-get is not called then" sh -c "! grep -q ^apt-get '$work/calls'"
remove sudo apt-get apt-cache
dev ./dev run hello.lua
check "no apt-get" one_line 1 \
  'missing are: lua5.4 (a Lua interpreter) .* cmake (cmake) .*names of packages'

stub_user 0
stub apt-cache </dev/null
cat <<'END' | stub apt-get
echo "Temporary failure resolving 'deb.debian.org'" >&2
exit 100
END
dev ./dev run hello.lua
offline() {
  [ "$status" = 1 ] && not_built && [ "$(lines)" = 2 ] &&
    printf '%s\n' "$out" | head -n 1 | grep -q 'installing .* failed$' &&
    printf '%s\n' "$out" | tail -n 1 | grep -q -e "^dev: no network (Temporary \
failure resolving 'deb.debian.org'); .*: apt-get update && apt-get install .*cmake"
}
check "no network" offline
check "which is found out soon" [ "$(grep -c '^apt-get' "$work/calls")" -le 3 ]
echo 'echo "E: Unable to locate package lua5.4" >&2; exit 100' | stub apt-get
dev ./dev run hello.lua
said() { # said STATUS PATTERN
  [ "$status" = "$1" ] && not_built && printf '%s\n' "$out" | grep -q -e "$2"
}
check "a package that apt-get does not know" said 1 \
  'apt-get knows no package lua5.4; .*: apt-get update'
echo 'echo "E: Sub-process dpkg returned an error" >&2; exit 100' | stub apt-get
dev ./dev run hello.lua
check "another failure of apt-get" said 1 \
  'apt-get has failed (E: Sub-process dpkg .*log: .*): apt-get update'

# -- compilers ---------------------------------------------------------------------

# What is there now; CMake makes what ./dev looks for, and CTest knows two tests.
cat <<'END' | stub lua5.4
case $* in *io.write*) printf 5.4 ;; *hello.lua) echo hello ;; esac
END
cat <<'END' | stub gcc
case $* in
*--version) echo "gcc (Some Linux 1-2) 1.2" ;;
*-dumpmachine) echo some-linux ;;
*-foo*) echo "gcc: error: unrecognized option '-foo'" >&2 && exit 1 ;;
esac
END
cat <<'END' | stub clang
case $* in
--version) echo "Some Linux clang version 3.4" ;;
-dumpmachine) echo some-linux ;;
esac
END
cat <<'END' | stub cmake
if [ "$1" = --build ]; then mkdir -p "$2/lua5.4" && : >"$2/lua5.4/casting.so"; fi
dir=''
for word; do
  if [ "$dir" = next ]; then dir=$word; fi
  if [ "$word" = -B ]; then dir=next; fi
done
[ -n "$dir" ] || exit 0
mkdir -p "$dir"
echo "CC=$CC" >"$dir/cc"
echo "CMAKE_CACHEFILE_DIR:INTERNAL=$dir" >"$dir/CMakeCache.txt"
echo lua5.4 >"$dir/versions"
END
stub ninja </dev/null
cat <<'END' | stub ctest
case $* in
*-N*-R*'('*) echo 'RegularExpression::compile(): Unmatched parentheses.' >&2 ;;
*-N*-R*select*) echo '  Test #1: lua/select/lua5.4' ;;
*-N*-R*) ;;
esac
END
for program in dpkg ldconfig strace ip redis-server; do
  stub "$program" </dev/null
done

built_by() { [ "$(cat "$tree/build/release/cc")" = "CC=$1" ]; }
dev CC=nonsense ./dev run hello.lua
check "CC is no program" one_line 1 'CC=nonsense: there is no such program'
dev LUA=nonsense ./dev run hello.lua
check "LUA is no program" one_line 1 'LUA=nonsense: no such program'
dev LUA=5.4 ./dev run hello.lua
check "LUA is a version" one_line 1 'LUA=5.4: no such program; try LUA=lua5.4'
dev CC=gcc ./dev run hello.lua
steps() {
  printf '%s\n' "$out" | grep -q '^dev: configuring build/release \.\.\. [0-9]* s$' &&
    printf '%s\n' "$out" | grep -q '^dev: compiling for lua5.4 \.\.\. [0-9]* s$'
}
check "a new folder is told in steps" steps
check "CC is heeded" built_by gcc
touch "$tree/build/release/old"
dev CC=gcc ./dev run hello.lua
check "the same again is silent" [ "$out" = hello ]
dev CC=clang ./dev run hello.lua
told() { printf '%s\n' "$out" | grep -q -e "$1"; }
check "another CC is told" told \
  'release was compiled with gcc 1.2 (some-linux): begun anew with'
check "... and heeded" built_by clang
check "... in an empty folder" [ ! -e "$tree/build/release/old" ]
dev CC=clang ./dev run hello.lua
check "and is silent again" [ "$out" = hello ]
dev ./dev run hello.lua
check "no CC: the first compiler there is" built_by gcc
dev "CC=gcc -m32" ./dev run hello.lua
check "options of CC count" built_by 'gcc -m32'
dev "CC=gcc -m32 -foo" ./dev run hello.lua
check "options that do not work are told first" one_line 1 \
  "CC=gcc -m32 -foo: it cannot make a program (gcc: error: unrecognized option"
check "... and the folder stays" built_by 'gcc -m32'
dev CC=clang ./dev deb
check "deb tells that it is not heeded" said 1 "not with CC=clang"

# -- tests and installation -----------------------------------------------------------

dev LUAS=5.4 ./dev test nonsense
check "a pattern that matches nothing" said 1 'no test .* matches "nonsense"'
dev LUAS=5.4 ./dev test '('
check "a pattern that is none" said 1 \
  '"(" is no regular expression: Unmatched parentheses'
dev LUAS=5.4 ./dev test select
check "a pattern that matches is built" grep -q '^cmake --build' "$work/calls"
dev LUAS=5.4 TESTS=nonsense ./dev check shrink
check "TESTS that match nothing" said 1 'no test .* matches "nonsense"'

dev LUAS=5.4 ./dev install "$work/prefix"
installed() {
  [ "$status" = 0 ] && for what in 'configuring build/install' \
    'compiling for lua5.4' "installing under $work/prefix"; do
    printf '%s\n' "$out" | grep -q "^dev: $what \.\.\. [0-9]* s\$" || return 1
  done
}
check "install tells its steps and their times" installed
check "programs in C find the library there" \
  grep -q '^cmake .*-DCASTING_RPATH=ON' "$work/calls"
mkdir -p "$work/known/lib"
echo "echo '$work/known/lib: (from x)'" | stub ldconfig
dev LUAS=5.4 ./dev install "$work/known"
check "... and where the loader looks, its cache is renewed" sh -c "
  grep -q -e '-DCASTING_RPATH=OFF' '$work/calls' &&
    grep -q '^ldconfig \$' '$work/calls'"
stub_user 1000
dev LUAS=5.4 ./dev install "$work/known"
check "... unless that is not allowed" \
  grep -q -e '-DCASTING_RPATH=ON' "$work/calls"

echo "1..$count"
[ "$bad" = 0 ]
