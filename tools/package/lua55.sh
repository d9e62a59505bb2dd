#!/bin/sh
# lua55.sh - builds Lua 5.5 from Debian's source package, for systems that have
# no package of it.
# SPDX-License-Identifier: MIT
#
#   lua55.sh DIR    DIR/bin/lua5.5, DIR/lib/liblua5.5.a, DIR/include/lua5.5 and
#                   DIR/lib/pkgconfig/lua5.5.pc, unless they are there
#
# The source is that of the suite $LUA55_SUITE (sid). On failure the last line
# of the output says why.
set -u
cd "$(dirname -- "$0")/../.." || exit 2
# shellcheck source=tools/package/debian.sh
. tools/package/debian.sh

dir=$1
[ ! -x "$dir/bin/lua5.5" ] || exit 0
mkdir -p "$(dirname -- "$dir")" || exit 1
# Built beside its place, and moved there whole: two may do this at once.
new=$(mktemp -d "$dir.XXXXXX") || exit 1
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
debian_source lua5.5 "$new/source" "${LUA55_SUITE:-sid}" || exit 1

if ! make -C "$new/source/src" -j "$(getconf _NPROCESSORS_ONLN)" \
  CC="${CC:-gcc}" MYCFLAGS="-fPIC -DLUA_USE_POSIX -DLUA_USE_DLOPEN" \
  MYLIBS="-Wl,-E -ldl" lua; then
  echo "its source does not build"
  exit 1
fi
mkdir -p "$new/bin" "$new/lib/pkgconfig" "$new/include/lua5.5" &&
  (cd "$new/source/src" &&
    cp lua "$new/bin/lua5.5" && cp liblua.a "$new/lib/liblua5.5.a" &&
    cp lua.h luaconf.h lauxlib.h lualib.h "$new/include/lua5.5/") &&
  release=$("$new/bin/lua5.5" -v | sed 's/^Lua \([^ ]*\).*/\1/') &&
  cat >"$new/lib/pkgconfig/lua5.5.pc" <<END || exit 1
Name: Lua
Description: Lua $release, built from Debian's source package
Version: $release
Cflags: -I$dir/include/lua5.5
Libs: -L$dir/lib -llua5.5 -lm -ldl -Wl,-E
END
rm -rf "$new/source"
[ -x "$dir/bin/lua5.5" ] || { rm -rf "$dir" && mv "$new" "$dir"; } || exit 1
echo "Lua $release is in $dir"
