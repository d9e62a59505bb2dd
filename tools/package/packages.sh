#!/bin/sh
# packages.sh - builds and tries every form in which casting is delivered.
# SPDX-License-Identifier: MIT
#
#   packages.sh [PART ...]     all, or some of: copied install rock dist amalgam
#                              deb
#
#   copied    a tree that was copied after it was built builds itself
#   install   ./dev install into a scratch prefix; an example runs from there
#             with each stock interpreter; C programs are built with what
#             pkg-config says, shared and static, and from C++, and start as
#             they are
#   rock      `luarocks make` in a copy of the sources, per Lua version: offline,
#             where no program is but the compiler and LuaRocks' own; then the
#             same for the optional modules, whose tests run there
#   dist      the release archive; `luarocks make` in it, likewise
#   amalgam   the single C file, compiled as a module and into a program
#   deb       ./dev deb, lintian, unpacked into a scratch root
#
# Works in build/packages. The last line counts: "N passed, M failed".
set -u
cd "$(dirname -- "$0")/../.." || exit 2
root=$PWD
work=$root/build/packages
luas=${LUAS:-"5.1 5.2 5.3 5.4 luajit"}
pc_path=${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH} # Lua's own may be there
passed=0 failed=0
mkdir -p "$work" || exit 2

try() { # try TEXT COMMAND ...: counts it; shows its output if it fails
  text=$1
  shift
  if "$@" >"$work/log" 2>&1; then
    passed=$((passed + 1))
    echo "ok $text"
  else
    failed=$((failed + 1))
    tail -n 60 "$work/log"
    echo "not ok $text"
  fi
}
interpreter() { case $1 in luajit) echo luajit ;; *) echo "lua$1" ;; esac; }
# Where a version's modules lie below lib/lua and share/lua.
short() { case $1 in luajit) echo 5.1 ;; *) echo "$1" ;; esac; }
lua_pc() { # what pkg-config calls it
  case $1 in
  luajit) echo luajit ;;
  *) if pkg-config --exists "lua$1"; then echo "lua$1"; else echo "lua-$1"; fi ;;
  esac
}
# The flags of the Lua library itself, headers and all.
lua_flags() { pkg-config --cflags --libs "$(lua_pc "$1")"; }

# The sources as they are here, without what was built.
copy() { # copy DIR
  rm -rf "$1"
  mkdir -p "$1" || return 1
  tar -C "$root" --exclude=./build --exclude=./.git -cf - . | tar -C "$1" -xf -
}

# Runs an example as a reader would, and looks at what it prints.
example() { # example VERSION PATH CPATH
  out=$(env -i PATH="$PATH" LUA_PATH="$2;;" LUA_CPATH="$3;;" \
    "$(interpreter "$1")" examples/sieve.lua 30) || return 1
  echo "$out"
  echo "$out" | grep -q 29
}

# Runs an example by the program `casting`.
launches() { # launches VERSION PROGRAM
  out=$(env -i PATH="$PATH" HOME="$work" "$2" --lua "$(interpreter "$1")" \
    examples/sieve.lua 30) || return 1
  echo "$out" | grep -q 29
}

# The optional modules.
modules='tls http'

# Loads one of them, of which nothing else tells where casting is.
loads() { # loads MODULE VERSION PATH CPATH
  env -i PATH="$PATH" LUA_PATH="$3;;" LUA_CPATH="$4;;" \
    "$(interpreter "$2")" "$work/$1.lua" >"$work/out" || return 1
  cat "$work/out"
  case $1 in
  tls) grep -q '^OpenSSL 3' "$work/out" ;;
  http) grep -q '^HTTP/1.1 200 OK' "$work/out" ;;
  esac
}
cat >"$work/tls.lua" <<'END'
local tls = require "casting.tls"
assert(tls.context {})
print("OpenSSL " .. tls.version)
END
cat >"$work/http.lua" <<'END'
local http = require "casting.http"
local casting = require "casting"
local listener = assert(casting.net.listen("127.0.0.1", 0))
local server = casting.spawn(http.serve, listener, function(request, response)
  response:write(request.path)
end)
local client = assert(casting.net.connect(listener:name()))
client:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
print((client:read "a"))
listener:close()
server:await()
END

# Runs the tests of a module on what is installed.
tested() { # tested MODULE VERSION PATH CPATH
  for spec in modules/"$1"/tests/*_spec.lua; do
    env -i PATH="$PATH" LUA_PATH="$3;$root/tests/lua/?.lua;;" \
      LUA_CPATH="$4;;" timeout 600 "$(interpreter "$2")" tools/test/busted.lua \
      -o TAP "$spec" >"$work/out" 2>&1 || {
      grep -A 20 -v '^ok' "$work/out"
      return 1
    }
    grep -q '^ok' "$work/out" || return 1
  done
}

# Runs build/packages/NAME with the libraries below a directory, or as it is.
runs() { # runs NAME [LIBDIR]
  env ${2:+LD_LIBRARY_PATH="$2"} timeout 60 "$work/$1" 20000 >"$work/out" ||
    return 1
  cat "$work/out"
  grep -q 'sum of squares: 338350' "$work/out"
}

# -- a copied tree -------------------------------------------------------------------

# The copy of a built tree, changed, runs what was changed; the tree that it was
# copied from may still be there.
copied() { # copied VERSION
  copy "$work/built" || return 1
  lua=$(interpreter "$1")
  echo 'print(require "casting"._VERSION)' >"$work/version.lua"
  (cd "$work/built" && LUA=$lua ./dev run "$work/version.lua") || return 1
  rm -rf "$work/copy"
  cp -R "$work/built" "$work/copy" || return 1
  header=$work/copy/include/casting.h
  sed 's/^\(#define CASTING_VERSION \).*/\1"9.8.7"/' "$work/built/include/casting.h" \
    >"$header" || return 1
  out=$(cd "$work/copy" && LUA=$lua ./dev run "$work/version.lua") &&
    out2=$(cd "$work/built" && LUA=$lua ./dev run "$work/version.lua") || return 1
  echo "the copy is $out, the tree that it was copied from $out2"
  [ "$out" = 9.8.7 ] && [ "$out2" != 9.8.7 ]
}
part_copied() {
  try "copied: builds itself" copied "${luas%% *}"
  rm -rf "$work/built" "$work/copy"
}

# -- ./dev install ----------------------------------------------------------------

host() { # host VERSION PREFIX static|shared: examples/c/host.c
  export PKG_CONFIG_PATH="$2/lib/pkgconfig$pc_path"
  if [ "$3" = static ]; then
    libs="$2/lib/libcasting$(suffix "$1").a -ldl -lm"
  else
    libs=$(pkg-config --libs "casting-$1")
  fi
  # shellcheck disable=SC2046,SC2086
  cc -Wall -Wextra -Wpedantic -Wconversion -Werror -D_GNU_SOURCE \
    -o "$work/host-$1-$3" examples/c/host.c \
    $(pkg-config --cflags "casting-$1") $libs $(lua_flags "$1") -pthread &&
    runs "host-$1-$3"
}
# All of Lua and of casting in the program, out of archives.
archives() { # archives VERSION PREFIX
  lua=$(PKG_CONFIG_PATH=${pc_path#:} pkg-config --variable=libdir "$(lua_pc "$1")")
  for name in "liblua$1" libluajit-5.1; do
    if [ -f "$lua/$name.a" ]; then lua=$lua/$name.a; fi
  done
  if ! [ -f "$lua" ]; then
    echo "there is no archive of Lua $1"
    return 0
  fi
  # shellcheck disable=SC2046
  cc -D_GNU_SOURCE -I"$2/include" -o "$work/archives" examples/c/host.c \
    "$2/lib/libcasting$(suffix "$1").a" "$lua" -ldl -lm \
    $(lua_flags "$1" | tr ' ' '\n' | grep '^-I') -pthread && runs archives &&
    cc -D_GNU_SOURCE -I"$2/include" -o "$work/archives" examples/c/host.c \
      -Wl,-E $(PKG_CONFIG_PATH="$2/lib/pkgconfig" \
        pkg-config --cflags --libs "casting-$1") "$lua" -ldl -lm \
      $(lua_flags "$1" | tr ' ' '\n' | grep '^-I') -pthread && runs archives
}
# A program that is linked with another Lua than its library is for starts, and
# is told that.
mixed() { # mixed VERSION PREFIX OTHER
  export PKG_CONFIG_PATH="$2/lib/pkgconfig$pc_path"
  # shellcheck disable=SC2046
  cc -D_GNU_SOURCE -o "$work/mixed" examples/c/host.c \
    $(pkg-config --cflags --libs "casting-$1") $(lua_flags "$3") -pthread ||
    return 1
  timeout 60 "$work/mixed" 100 >"$work/out" 2>&1
  rc=$?
  cat "$work/out"
  [ $rc = 1 ] && grep -q '^start: invalid$' "$work/out"
}
suffix() { case $1 in luajit) echo -luajit ;; *) echo "$1" ;; esac; }
# A program, a module and `require "casting"` have one runtime between them.
module() { # module VERSION PREFIX
  # shellcheck disable=SC2046
  cc -shared -fPIC -D_GNU_SOURCE -o "$work/parkmod.so" examples/c/parkmod.c \
    $(PKG_CONFIG_PATH="$2/lib/pkgconfig$pc_path" \
      pkg-config --cflags --libs "casting-$1") \
    $(lua_flags "$1" | tr ' ' '\n' | grep '^-I') -pthread || return 1
  for first in "require 'casting'" "require 'parkmod'"; do
    echo "$first" >"$work/first.lua"
    cat "$work/first.lua" examples/c/waiting.lua >"$work/both.lua"
    LUA_CPATH="$2/lib/lua/$1/?.so;$work/?.so" \
      timeout 60 "$(interpreter "$1")" "$work/both.lua" >"$work/out" 2>&1
    cat "$work/out"
    grep -q 'others ran meanwhile:.*true' "$work/out" || return 1
  done
}
hidden() { # hidden FILE: nothing but the API is visible
  ! nm -D --defined-only "$1" | grep -v -e ' casting_' -e ' luaopen_casting' \
    -e ' A CASTING_' | grep .
}
archive_hidden() {
  ! nm -g --defined-only "$1" | grep -e ' [TDBR] ' | grep -v -e ' casting_' \
    -e ' luaopen_casting' | grep .
}
from_cpp() { # from_cpp PREFIX
  printf '%s\n' '#include <casting.h>' 'int main() {' \
    '  casting_value v; casting_message *m = casting_message_new();' \
    '  casting_message_integer(m, 1);' \
    '  return casting_message_read(m, &v) == 1 ? 0 : 1; }' >"$work/a.cpp"
  g++ -std=c++11 -Wall -Wextra -Wpedantic -Wconversion -Werror \
    -I"$1/include" -o "$work/cpp" "$work/a.cpp" -L"$1/lib" \
    -l"casting$(suffix "$2")" $(lua_flags "$2") &&
    LD_LIBRARY_PATH=$1/lib "$work/cpp"
}
man_pages() { # man_pages DIR: each can be had, and man has no complaints
  for f in "$1"/man1/casting.1 "$1"/man7/casting.7 "$1"/man3/*.3; do
    echo "$f"
    MANPATH=$1 man --warnings "$(basename "$f" ".${f##*.}")" 2>"$work/warnings" |
      grep -q '^NAME$' || return 1
    if grep . "$work/warnings"; then return 1; fi
  done
  [ "$(find "$1/man3" -name '*.3' | grep -c .)" -ge \
    "$(grep -c '^CASTING_API' include/casting.h)" ]
}
part_install() {
  prefix=$work/prefix
  last=''
  rm -rf "$prefix"
  try "install: ./dev install" env LUAS="$luas" ./dev install "$prefix"
  for v in $luas; do
    s=$(short "$v")
    try "install: example on $v" example "$v" "$prefix/share/lua/$s/?.lua" \
      "$prefix/lib/lua/$s/?.so"
    try "install: casting on $v" launches "$v" "$prefix/bin/casting"
    for m in $modules; do
      try "install: casting.$m on $v" loads "$m" "$v" \
        "$prefix/share/lua/$s/?.lua" "$prefix/lib/lua/$s/?.so"
    done
    try "install: shared on $v" host "$v" "$prefix" shared
    try "install: static on $v" host "$v" "$prefix" static
    try "install: archives of both on $v" archives "$v" "$prefix"
    try "install: module on $v" module "$v" "$prefix"
    try "install: internals hidden on $v" \
      hidden "$prefix/lib/libcasting$(suffix "$v").so"
    try "install: internals of the archive hidden on $v" \
      archive_hidden "$prefix/lib/libcasting$(suffix "$v").a"
    if [ -n "$last" ]; then
      try "install: library of $v, Lua of $last" mixed "$v" "$prefix" "$last"
      try "install: library of $last, Lua of $v" mixed "$last" "$prefix" "$v"
    fi
    last=$v
  done
  if command -v g++ >/dev/null; then
    try "install: C++" from_cpp "$prefix" "$last"
  fi
  if command -v man >/dev/null; then
    try "install: man pages" man_pages "$prefix/share/man"
  fi
}

# -- LuaRocks ----------------------------------------------------------------------

# What README.md says is enough: LuaRocks and what it calls, and a compiler and
# what that calls.
programs() { # programs DIR
  rm -rf "$1"
  mkdir -p "$1" || return 1
  for p in luarocks lua-any gcc as ld cat chmod cp cut env find grep head ls \
    md5sum mkdir mktemp mv pwd rm rmdir sed sh stat test touch uname; do
    ! at=$(command -v "$p") || case $at in /*) ln -s "$at" "$1/$p" ;; esac
  done
  for p in cmake make ninja awk python3 perl cc; do
    ! PATH=$1 command -v $p || return 1
  done
}
# Nothing is fetched: no server is known.
make_rock() { # make_rock VERSION DIR [ROCKSPEC]: into $tree
  of=$1 dir=$2
  shift 2
  lua=$(command -v "$(interpreter "$of")") || return 1
  if [ "$of" = luajit ]; then # LuaRocks is told that it is a 5.1
    set -- "$@" LUA="$lua" \
      LUA_INCDIR="$(pkg-config --variable=includedir luajit)"
  fi
  (cd "$dir" && env -i PATH="$work/programs" HOME="$work" luarocks \
    --lua-dir="${lua%/bin/*}" --lua-version="$(short "$of")" --tree="$tree" \
    --only-server="$work/none" make "$@") >"$work/rock.log" 2>&1 || {
    cat "$work/rock.log"
    return 1
  }
  # A page is enough to tell of it.
  if [ "$(grep -c . "$work/rock.log")" -gt 20 ]; then
    cat "$work/rock.log"
    return 1
  fi
}
# Nothing is installed that is not meant: casting, and these modules.
installed() { # installed VERSION [MODULE ...]: in $tree
  s=$(short "$1")
  shift
  {
    printf '%s\n' "lib/lua/$s/casting.so" "share/lua/$s/casting.d.lua"
    for m; do
      echo "lib/lua/$s/casting/$m/core.so"
      for f in modules/"$m"/*.lua; do
        case ${f##*/} in
        "$m.lua") echo "share/lua/$s/casting/$m.lua" ;;
        *) echo "share/lua/$s/casting/$m/${f##*/}" ;;
        esac
      done
    done
  } | LC_ALL=C sort >"$work/expected"
  (cd "$tree" && find lib/lua share/lua -type f) | LC_ALL=C sort |
    diff "$work/expected" -
}
rock() { # rock VERSION DIR
  tree=$work/tree-$1
  rm -rf "$tree"
  make_rock "$1" "$2" && installed "$1" &&
    example "$1" "$tree/share/lua/$s/?.lua" "$tree/lib/lua/$s/?.so" &&
    out=$("$tree/bin/casting" examples/sieve.lua 30) &&
    echo "$out" | grep -q 29
}
# In the tree are that of casting, and those of the modules before this one.
rock_module() { # rock_module MODULE VERSION DIR MODULES
  tree=$work/tree-$2
  # shellcheck disable=SC2086
  make_rock "$2" "$3" \
    "$(cd "$3" && echo modules/"$1"/*.rockspec)" && installed "$2" $4 &&
    loads "$1" "$2" "$tree/share/lua/$s/?.lua" "$tree/lib/lua/$s/?.so"
}
rocks() { # rocks PART DIR
  try "$1: few programs" programs "$work/programs"
  for v in $luas; do
    # Debian's LuaRocks does not know how the headers of 5.5 tell the version.
    if [ "$v" = 5.5 ] &&
      ! luarocks --lua-version=5.5 config variables.LUA_INCDIR >/dev/null 2>&1
    then
      echo "skipped: this LuaRocks does not find Lua 5.5"
      continue
    fi
    try "$1: luarocks make on $v" rock "$v" "$2"
    before='' s=$(short "$v")
    for m in $modules; do
      before="$before $m"
      try "$1: luarocks make, casting.$m on $v" rock_module "$m" "$v" "$2" \
        "$before"
      [ "$1" = rock ] || continue
      try "$1: tests of casting.$m on $v" tested "$m" "$v" \
        "$tree/share/lua/$s/?.lua" "$tree/lib/lua/$s/?.so"
    done
  done
}
part_rock() {
  try "rock: copy" copy "$work/sources"
  rocks rock "$work/sources"
}

# -- the release archive -------------------------------------------------------------

dist() {
  rm -rf "$work/dist"
  sh tools/package/dist.sh -w "$work/dist" &&
    tar -C "$work/dist" -xzf "$work"/dist/casting-*.tar.gz || return 1
  release=$(echo "$work"/dist/casting-*[0-9])
  ls "$release/generated/casting.c" &&
    grep 'type = "builtin"' "$release"/casting-*.rockspec &&
    ! grep 'rock[.]lua' "$release"/casting-*.rockspec
}
part_dist() {
  try "dist: the archive" dist
  rocks dist "${release:-$work/none}"
}

# -- the single file ---------------------------------------------------------------

amalgam() {
  dir=$work/amalgam
  rm -rf "$dir"
  mkdir -p "$dir" && sh tools/gen/amalgamate.sh >"$dir/casting.c" &&
    cp include/casting.h "$dir/" || return 1
  # shellcheck disable=SC2046
  cc -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -pthread \
    -DCASTING_MODULE -o "$dir/casting.so" "$dir/casting.c" \
    $(lua_flags "$1" | tr ' ' '\n' | grep '^-I') -ldl -lm
}
amalgam_program() { # with the program, in one compilation
  # shellcheck disable=SC2046
  cc -std=gnu11 -O2 -D_GNU_SOURCE -I"$work/amalgam" -o "$work/host-amalgam" \
    examples/c/host.c "$work/amalgam/casting.c" $(lua_flags "$1") -ldl -lm \
    -pthread && runs host-amalgam /
}
part_amalgam() {
  v=5.4
  case " $luas " in *" 5.4 "*) ;; *) v=${luas%% *} ;; esac
  try "amalgam: compiles on $v" amalgam "$v"
  try "amalgam: only the API is visible" hidden "$work/amalgam/casting.so"
  try "amalgam: example on $v" example "$v" /none/?.lua "$work/amalgam/?.so"
  try "amalgam: program on $v" amalgam_program "$v"
}

# -- Debian packages -----------------------------------------------------------------

linted() {
  out=$(lintian --fail-on error,warning --tag-display-limit 0 \
    "$deb"/*.changes)
  rc=$?
  echo "$out"
  return $rc
}
unpacked() {
  rm -rf "$work/deb/root"
  mkdir -p "$work/deb/root/var/lib/dpkg" || return 1
  : >"$work/deb/root/var/lib/dpkg/status"
  # The root is bare: what they depend on is this system's.
  dpkg --root="$work/deb/root" --force-depends --force-not-root \
    --force-script-chrootless -i "$deb"/*casting_*.deb \
    "$deb"/*casting-dev_*.deb "$deb"/*casting-tls_*.deb \
    "$deb"/*casting-http_*.deb
}
part_deb() {
  deb=$root/build/deb
  try "deb: ./dev deb" ./dev deb
  try "deb: lintian" linted
  try "deb: unpacked" unpacked
  arch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
  for v in 5.1 5.2 5.3 5.4; do
    case " $luas " in *" $v "*) ;; *) continue ;; esac
    try "deb: example on $v" example "$v" /none/?.lua \
      "$work/deb/root/usr/lib/$arch/lua/$v/?.so"
  done
  for v in 5.4 5.2; do
    case " $luas " in *" $v "*) ;; *) continue ;; esac
    for m in $modules; do
      try "deb: casting.$m on $v" loads "$m" "$v" \
        "$work/deb/root/usr/share/lua/$v/?.lua" \
        "$work/deb/root/usr/lib/$arch/lua/$v/?.so"
    done
  done
  try "deb: program" deb_host "$arch"
}
deb_host() {
  # shellcheck disable=SC2046
  cc -D_GNU_SOURCE -I"$work/deb/root/usr/include" -o "$work/host-deb" \
    examples/c/host.c -L"$work/deb/root/usr/lib/$1" -lcasting5.4 \
    $(lua_flags 5.4) -pthread && runs host-deb "$work/deb/root/usr/lib/$1"
}

if [ $# -eq 0 ]; then set -- copied install rock dist amalgam deb; fi
for part; do
  case $part in
  copied | install | rock | dist | amalgam | deb) "part_$part" ;;
  *)
    echo "packages.sh: no part $part" >&2
    exit 2
    ;;
  esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
