#!/bin/sh
# bare.sh - does on a bare Debian what README.md says, word for word.
# SPDX-License-Identifier: MIT
#
#   bare.sh [PART ...]     all, or some of: try install rock deb user
#
#   try       the commands of "Try it": build and run an example, all tests
#   install   those of "Install", the first block: ./dev install
#   rock      the second: LuaRocks
#   deb       the third: Debian packages; the other interpreters with them
#   user      who may not install packages is told which to ask for
#
# Each part begins with a root of its own that has Debian's packages of priority
# "required" and apt, no package lists, and the sources as a checkout has them.
# The commands are taken out of README.md; each block must succeed, and must
# print what is expected of it.
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

# Runs a script of standard input in the root, with nothing of our environment.
within() { # within USER
  unshare --mount --pid --fork sh -c '
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
  if ! within root <"$work/script" >"$work/log" 2>&1; then
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

part() { # part NAME
  if ! fresh "$1"; then
    not_ok "$1: no root"
    return
  fi
  case $1 in
  try) follow "try it" "Try it" 1 'words' '^[0-9]* passed, 0 failed$' ;;
  install) follow "install" "Install" 1 'installed under /usr/local' '29' ;;
  rock) follow "with LuaRocks" "Install" 2 '29' ;;
  deb)
    follow "as a Debian package" "Install" 3 '29'
    run_with lua5.1 lua5.2 lua5.3 luajit
    ;;
  user)
    if echo './dev run examples/wordcount.lua' |
      within nobody >"$work/log" 2>&1; then
      not_ok "a user without rights: it claims to have succeeded"
    elif grep -q 'please install' "$work/log" && grep -q 'cmake' "$work/log"; then
      ok "a user without rights is told what is missing"
    else
      cat "$work/log"
      not_ok "a user without rights is not told what is missing"
    fi
    ;;
  esac
  [ "$failed" -gt 0 ] || rm -rf "$root"
}

if [ $# -eq 0 ]; then set -- user try install rock deb; fi
for name; do
  case $name in
  try | install | rock | deb | user) ;;
  *)
    echo "bare.sh: no part $name" >&2
    exit 2
    ;;
  esac
done
if ! base; then
  not_ok "debootstrap"
else
  for name; do part "$name"; done
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
