#!/bin/sh
# bare.sh - does on a bare Debian what README.md says, word for word.
# SPDX-License-Identifier: MIT
#
#   bare.sh [PART ...]     all, or some of: user offline try install rock deb
#                          single
#
#   user      who may not install packages is told which to ask for; mistakes
#   offline   root without a network
#   try       the commands of "Try it": build and run an example, all tests
#   install   those of "Install", the first block: ./dev install; and a program
#             in C. Then as a plain user, without a network, in ~/.local
#   rock      the second: LuaRocks
#   deb       the third: Debian packages; the other interpreters with them
#   single    the fourth: one C file, compiled and linked
#
# Each part begins with a root of its own that has Debian's packages of priority
# "required" and apt, no package lists, and the sources as a checkout has them.
# The commands are taken out of README.md; each block must succeed, must print
# what is expected of it, and leaves nothing among the sources. What each command
# printed is in build/bare/table.
#
# Needs root, debootstrap, tar and unshare. The root is made once, below
# build/bare, from $BARE_SUITE (bookworm) of the mirror that apt uses here. What is mounted goes away with the
# mount namespace of each part. The last line counts: "N passed, M failed".
set -u
cd "$(dirname -- "$0")/../.." || exit 2
top=$PWD
work=$top/build/bare
suite=${BARE_SUITE:-bookworm}
passed=0 failed=0
# shellcheck source=tools/package/debian.sh
. tools/package/debian.sh

ok() {
  passed=$((passed + 1))
  echo "ok $1"
}
not_ok() {
  failed=$((failed + 1))
  echo "not ok $1"
}

# The root as debootstrap leaves it, but without package lists: as images of
# containers have it.
base() {
  [ -f "$work/base.tar" ] && return 0
  rm -rf "$work/base"
  mkdir -p "$work" || return 1
  mirror=$(debian_mirror)
  if ! debootstrap --variant=minbase "$suite" "$work/base" ${mirror:+"$mirror"} \
    >"$work/debootstrap.log" 2>&1; then
    tail -n 5 "$work/debootstrap.log"
    return 1
  fi
  rm -rf "$work"/base/var/lib/apt/lists/* "$work"/base/var/cache/apt/archives/*.deb
  tar -C "$work/base" -cf "$work/base.tar.new" . &&
    mv "$work/base.tar.new" "$work/base.tar" && rm -rf "$work/base"
}

# A root with the sources in /casting: those that git has, or would take; and
# with the file of names that an installer writes, or one who makes a container.
fresh() { # fresh NAME
  root=$work/$1
  rm -rf "$root"
  mkdir -p "$root" && tar -C "$root" -xf "$work/base.tar" &&
    cp /etc/resolv.conf "$root/etc/resolv.conf" && mkdir "$root/casting" &&
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts" ||
    return 1
  if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files -co --exclude-standard | while IFS= read -r f; do
      [ ! -f "$f" ] || echo "$f"
    done >"$work/files" && tar -cf - -T "$work/files"
  else
    tar --exclude=./build -cf - .
  fi | tar -C "$root/casting" --no-same-owner -xf -
}

# Runs a script of standard input in the root, with nothing of our environment;
# with OFFLINE there is no network.
within() { # within USER [OFFLINE]
  # shellcheck disable=SC2016
  unshare --mount --pid --fork ${2:+--net} sh -c '
    root=$1 user=$2
    mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 1
    if [ "$user" = root ]; then home=/root; else home=/tmp; fi
    cd / && exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      HOME="$home" TERM=dumb chroot --userspec="$user" "$root" \
      sh -c "cd /casting && exec sh -e"' sh "$root" "$1"
}

# The commands of a section: its Nth block of indented lines.
block() { # block HEADING N
  awk -v heading="## $1" -v n="$2" '
    /^## / { here = $0 == heading }
    here && /^    / { if (!inside) count++; inside = 1 }
    !/^    / { inside = 0 }
    here && inside && count == n { print substr($0, 5) }' README.md
}

# One command, as USER (with OFFLINE, without a network): its exit status, and
# at most so many lines, of which one matches. What it printed is noted.
tried() { # tried USER OFFLINE STATUS LINES PATTERN COMMAND
  echo "$6" | within "$1" "$2" >"$work/log" 2>&1
  rc=$?
  {
    echo "$1${2:+, no network}: $6"
    sed 's/^/    /' "$work/log"
  } >>"$work/table"
  lines=$(grep -c . "$work/log")
  if [ "$rc" = "$3" ] && [ "$lines" -le "$4" ] &&
    grep -q -e "$5" "$work/log"; then
    ok "$1${2:+, no network}: $6"
  else
    tail -n 20 "$work/log"
    not_ok "$1${2:+, no network}: $6: status $rc, $lines lines"
  fi
}

# The sources are as they were, but for what git would not see.
clean_tree() {
  (cd "$root/casting" && find . -path ./build -prune -o -type f -print |
    sed 's|^\./||' | sort) >"$work/now"
  sort "$work/files" | comm -13 - "$work/now" | git check-ignore -v -n --stdin |
    grep '^::'
}

# Runs a block of README.md in the fresh root, and looks at what comes out.
follow() { # follow TEXT HEADING N EXPECTED ...
  text=$1
  block "$2" "$3" >"$work/script"
  shift 3
  if ! [ -s "$work/script" ]; then
    echo "README.md has no such block"
    not_ok "$text"
    return
  fi
  began=$(date +%s)
  within root <"$work/script" >"$work/log" 2>&1
  rc=$?
  {
    echo "root: $text"
    sed 's/^/    /' "$work/log"
  } >>"$work/table"
  if [ "$rc" != 0 ]; then
    tail -n 60 "$work/log"
    not_ok "$text: failed"
    return
  fi
  for expected; do
    if ! grep -q -e "$expected" "$work/log"; then
      tail -n 60 "$work/log"
      not_ok "$text: it does not print: $expected"
      return
    fi
  done
  ok "$text ($(grep -c . "$work/script") commands, $(($(date +%s) - began)) s)"
  if clean_tree; then not_ok "$text: leaves these files"; fi
}

# What has been installed works with other interpreters, too.
run_with() { # run_with LUA ...
  for lua; do
    if echo "apt-get install -y $lua && $lua examples/sieve.lua 10" |
      within root >"$work/log" 2>&1 && grep -q 29 "$work/log"; then
      ok "and with $lua"
    else
      tail -n 20 "$work/log"
      not_ok "and with $lua"
    fi
  done
}

# Nothing is there, and nothing can be installed.
part_user() {
  paste="only root can .*: su -c 'apt-get update && apt-get install .*"
  tried nobody '' 1 1 "$paste cmake" './dev run examples/wordcount.lua'
  tried nobody '' 1 1 "$paste lua-busted" './dev test'
  tried nobody '' 1 1 "$paste clang" 'CC=clang ./dev run examples/sieve.lua'
  tried nobody '' 1 1 "no right to write to /usr/local/lib: su -c './dev install'" \
    './dev install'
  tried nobody '' 1 1 "$paste debhelper" './dev deb'
  tried nobody '' 1 1 "$paste make" './dev lua55'
  tried nobody '' 2 1 'no command "tset"' './dev tset'
  tried nobody '' 2 1 'unknown option --verbose' './dev test --verbose'
  tried nobody '' 1 1 'no file examples/sieve' './dev run examples/sieve'
  tried nobody '' 2 1 'no bench/pong.lua' './dev bench pong'
  tried nobody '' 1 1 'LUAS: "5.6" is none of' 'LUAS=5.6 ./dev test'
  tried nobody '' 1 1 'LUA=lua6: no such program' \
    'LUA=lua6 ./dev run examples/sieve.lua'
  tried nobody '' 1 1 'CC=tcc: there is no such program' \
    'CC=tcc ./dev run examples/sieve.lua'
  tried nobody '' 0 60 '^usage: ./dev COMMAND' './dev --help'
  for c in run test check bench docs format install deb lua55 clean; do
    tried nobody '' 0 20 "^usage: ./dev $c" "./dev $c --help"
  done
  tried nobody '' 1 1 'neither CMake nor a Lua' 'sh tools/gen/amalgamate.sh'
  if [ -e "$root/casting/build" ]; then not_ok "nothing was built"; fi
}

# Root could install what is missing, if there were a network.
part_offline() {
  none='no network (.*: apt-get update && apt-get install .*'
  tried root offline 1 2 "$none cmake" './dev run examples/wordcount.lua'
  tried root offline 1 2 "$none lua-busted" './dev test'
  tried root offline 1 2 "$none cmake" './dev install'
  tried root offline 1 2 "$none debhelper" './dev deb'
  tried root offline 1 2 "$none make" './dev lua55'
}

# After ./dev install by root: a program in C starts; so it does for a plain user
# who installs below his home, and has no network. There is one Lua only, so all
# others load a module that is not theirs.
part_install() {
  # shellcheck disable=SC2016
  host='cc examples/c/host.c -o /tmp/host.$(id -u) $(pkg-config --cflags --libs
    casting-5.4 lua5.4) -pthread && /tmp/host.$(id -u) 1000'
  tried root '' 0 200 'sum of squares: 338350' \
    "apt-get install -y -q pkg-config && $(echo $host)"
  echo 'ldconfig -v -N 2>/dev/null | grep casting; rm -rf /usr/local/lib/*casting* \
    /usr/local/lib/lua /usr/local/lib/pkgconfig /usr/local/share/lua; ldconfig
    rm -rf build; chown -R nobody /casting' | within root >"$work/log" 2>&1
  tried nobody offline 0 6 '29' './dev run examples/sieve.lua 10'
  tried nobody offline 0 1 'hello' "./dev run -e 'print \"hello\"'"
  tried nobody offline 1 1 "only root can .*: su -c '.* lua-busted" './dev test'
  tried nobody offline 0 8 'export PKG_CONFIG_PATH=/tmp/.local' \
    './dev install ~/.local'
  # shellcheck disable=SC2016
  tried nobody offline 0 4 'prime number 10 is 29' \
    'LUA_CPATH="/tmp/.local/lib/lua/5.4/?.so;;" lua5.4 examples/sieve.lua 10'
  tried nobody offline 0 3 'sum of squares: 338350' \
    "export PKG_CONFIG_PATH=\$HOME/.local/lib/pkgconfig; $(echo $host)"
  tried nobody offline 1 1 'no right to write to /usr/local/lib' './dev install'
  echo 'chown root build/release build' | within root >"$work/log" 2>&1
  tried nobody offline 1 1 "no right to write to .*: su -c 'chown -R nobody" \
    './dev run examples/sieve.lua 10'
  other_luas
}

# Each other Lua says whose the module is.
other_luas() {
  echo 'apt-get install -y -q lua5.1 lua5.2 lua5.3 luajit' |
    within root >"$work/log" 2>&1
  for lua in lua5.1 lua5.2 lua5.3 luajit; do
    tried nobody offline 1 20 "casting was built for Lua 5.4, and this is Lua" \
      "LUA_CPATH='/tmp/.local/lib/lua/5.4/?.so' $lua -e 'require \"casting\"'"
  done
}

# What LuaRocks has printed and installed: the module, and the types.
part_rock() {
  lines=$(sed -n '/^casting /,$p' "$work/log" | grep -c .)
  if [ "$lines" -le 20 ]; then
    ok "LuaRocks prints $lines lines"
  else
    not_ok "LuaRocks prints $lines lines"
  fi
  found=$(cd "$root/usr/local" && find lib/lua share/lua -type f | sort |
    paste -s -d ' ' -)
  if [ "$found" = "lib/lua/5.4/casting.so share/lua/5.4/casting.d.lua" ]; then
    ok "LuaRocks installs $found"
  else
    not_ok "LuaRocks installs $found"
  fi
  tried nobody '' 2 2 'permission' 'luarocks --lua-version=5.4 make'
}

part() { # part NAME
  if ! fresh "$1"; then
    not_ok "$1: no root"
    return
  fi
  case $1 in
  try) follow "try it" "Try it" 1 'words' '^[0-9]* passed, 0 failed$' ;;
  install)
    follow "install" "Install" 1 'installed under /usr/local' '29' \
      '^dev: compiling for .* [0-9]* s$'
    part_install
    ;;
  rock)
    follow "with LuaRocks" "Install" 2 '29'
    part_rock
    ;;
  single)
    follow "a single file" "Install" 4 'sum of squares: 338350' ;;
  deb)
    follow "as a Debian package" "Install" 3 '29'
    run_with lua5.1 lua5.2 lua5.3 luajit
    ;;
  user) part_user ;;
  offline) part_offline ;;
  esac
  [ "$failed" -gt 0 ] || rm -rf "$root"
}

if [ $# -eq 0 ]; then set -- user offline try install rock deb single; fi
for name; do
  case $name in
  user | offline | try | install | rock | deb | single) ;;
  *)
    echo "bare.sh: no part $name" >&2
    exit 2
    ;;
  esac
done
mkdir -p "$work" && : >"$work/table"
if ! base; then
  not_ok "debootstrap"
else
  for name; do part "$name"; done
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
