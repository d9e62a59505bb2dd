#!/bin/sh
# dist.sh - the release archive: the sources, and what is generated.
# SPDX-License-Identifier: MIT
#
#   dist.sh [-w] [DIR]    writes DIR/casting-VERSION.tar.gz, and prints its name
#
#   -w     the files as they are here, instead of those of the last commit
#   DIR    build/dist if none is given
#
# Beside the sources it has generated/casting.c, which is all of casting in one
# file, and a rockspec with LuaRocks' own build, which compiles the listed sources,
# can do nothing before it, and prints a command for each. No other build looks
# into generated/. The archive of a commit is always the same,
# to the byte. Needs GNU tar.
set -u
cd "$(dirname -- "$0")/../.." || exit 2
here=''
if [ "${1:-}" = -w ]; then
  here=yes
  shift
fi
out=${1:-build/dist}
mkdir -p "$out" && out=$(CDPATH='' cd -- "$out" && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# -- the sources -------------------------------------------------------------------

mkdir "$work/sources" || exit 1
if [ -n "$here" ]; then
  time=$(date +%s)
  tar --exclude=./build --exclude=./.git -cf "$work/sources.tar" .
else
  time=$(git log -1 --format=%ct) &&
    git archive --format=tar -o "$work/sources.tar" HEAD
fi && tar -C "$work/sources" -xf "$work/sources.tar" || exit 1
version=$(sed -n 's/.*CASTING_VERSION "\(.*\)".*/\1/p' \
  "$work/sources/include/casting.h")
name=casting-$version
mv "$work/sources" "$work/$name" && cd "$work/$name" || exit 1

# -- what is generated -------------------------------------------------------------

# The rockspec up to `build` and what is said of it, with another one.
rockspec() { # rockspec FILE
  sed '/^-- A checkout lacks/,$d' "$1"
  cat <<END
build = {
  type = "builtin",
  modules = {
    casting = {
      sources = { "generated/casting.c" },
      incdirs = { "include" },
      defines = { "CASTING_MODULE" },
      libraries = { "pthread", "dl", "m" },
    },
  },
  install = {
    lua = { "lualib/casting.d.lua" },
    bin = { "bin/casting" },
  },
  copy_directories = { "docs", "examples" },
}
END
}
mkdir generated && sh tools/gen/amalgamate.sh >generated/casting.c &&
  rockspec "$name-1.rockspec" >"$work/rockspec" &&
  mv "$work/rockspec" "$name-1.rockspec" || exit 1

# -- the archive -------------------------------------------------------------------

cd "$work" &&
  LC_ALL=C tar --sort=name --format=ustar --mtime="@$time" --owner=0 --group=0 \
    --numeric-owner --mode=go=rX,u+rw -cf "$name.tar" "$name" &&
  gzip -9 -n "$name.tar" && mv "$name.tar.gz" "$out/" || exit 1
echo "$out/$name.tar.gz"
