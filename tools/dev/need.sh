# need.sh - what must be installed, and how that is done; part of dev, which
# sources it.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154

# Needs are collected as "package|what it is for" lines, then met together.
missing=''
need() { # need PACKAGE TEXT: note that it is missing
  case "|$missing" in *"|$1:"*) return ;; esac
  missing="$missing$1:$2|"
}
need_command() { # need_command PACKAGE COMMAND [OTHER ...]
  need_package=$1
  shift
  for c in "$@"; do
    if has "$c"; then return; fi
  done
  need "$need_package" "$1"
}

compiler() {
  if [ -n "${CC:-}" ]; then
    echo "$CC"
  elif has cc; then
    echo cc
  elif has gcc; then
    echo gcc
  else
    echo clang
  fi
}
# The compiler as a text that tells it from others: its version, what it compiles
# for, and its options.
compiler_is() { # compiler_is COMPILER [OPTION ...]
  it=$(LC_ALL=C "$@" --version 2>/dev/null | head -n 1)
  # "cc (Debian 12.2.0-14) 12.2.0" is what gcc says, too, with its own name.
  case $it in "${1##*/} ("*) it="gcc ${it#*) }" ;; esac
  it="${it:-unknown} ($("$@" -dumpmachine 2>/dev/null | head -n 1))"
  shift
  echo "$it${*:+ $*}"
}

has_header() { # has_header 'HEADER' [FLAGS]: does the compiler find it
  header=$1
  shift
  printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n%s\n' \
    "#include <setjmp.h>
#include <$header>" |
    $(compiler) "$@" -E -x c - >/dev/null 2>&1
}

# Where the headers of a version may be, besides the compiler's own places.
lua_header() { # lua_header VERSION: succeeds if they are here
  case $1 in
  luajit)
    for d in luajit-2.1 luajit-2.0 luajit; do
      for p in /usr /usr/local /opt/homebrew; do
        [ ! -f "$p/include/$d/luajit.h" ] || return 0
      done
    done
    ;;
  *)
    short=$(printf %s "$1" | tr -d .)
    for d in "lua$1" "lua-$1" "lua$short" "lua/$1"; do
      for p in /usr /usr/local /opt/homebrew "${lua_prefix:-/usr}"; do
        [ ! -f "$p/include/$d/lua.h" ] || return 0
      done
    done
    for p in "${lua_prefix:-/usr}" /usr /usr/local /opt/homebrew; do
      if grep -q -s -E -e "LUA_VERSION_NUM[[:space:]]+$(printf %s "$1" |
        tr . 0)\$" -e "LUA_VERSION_MINOR_N[[:space:]]+${1#5.}\$" \
        "$p/include/lua.h"; then
        return 0
      fi
    done
    ;;
  esac
  return 1
}
lua_package() {
  case $1 in luajit) echo luajit ;; *) echo "lua$1" ;; esac
}
lua_dev_package() {
  case $1 in
  luajit) echo libluajit-5.1-dev ;;
  *) echo "liblua$1-dev" ;;
  esac
}
# Few systems have a package of 5.5: what `./dev lua55` has built is used as if
# it were installed. What users install or run is not to depend on it, so only
# commands that test do, and those that ask for 5.5.
lua55=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/casting/lua5.5
find_lua55() {
  [ -x "$lua55/bin/lua5.5" ] || return 0
  case $(command -v lua5.5) in
  '') PATH=$PATH:$lua55/bin ;;
  "$lua55"/*) ;; # a check has called ./dev
  *) return ;;
  esac
  lua_prefix=$lua55
  export CMAKE_PREFIX_PATH="$lua55${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
  export PKG_CONFIG_PATH="\
$lua55/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
}

need_lua_headers() {
  lua_header "$1" || need "$(lua_dev_package "$1")" "C headers of Lua $1"
}

# Can the compiler make a program?
compiles() { # compiles COMPILER [OPTION ...]
  program=$(mktemp) || exit 1
  echo 'int main(void) { return 0; }' |
    LC_ALL=C "$@" -x c -o "$program" - >/dev/null 2>"$program.log"
  compiled=$?
  why=$(grep -v '^ *$' "$program.log" | head -n 1)
  rm -f "$program" "$program.log"
  return $compiled
}
# Ends if CC has options with which it cannot, although it can without them.
heed_options() {
  case ${CC:-} in *' '*) ;; *) return 0 ;; esac
  # shellcheck disable=SC2086
  if ! compiles "${CC%% *}" || compiles $CC; then return 0; fi
  die "CC=$CC: it cannot make a program (${why:-no reason given})"
}

need_build() {
  if [ -n "${CC:-}" ] && ! has "${CC%% *}"; then
    case $CC in
    gcc | clang | gcc-[0-9]* | clang-[0-9]*) need "$CC" "named by CC" ;;
    *) die "CC=$CC: there is no such program" ;;
    esac
  fi
  heed_options
  if [ -z "${CC:-}" ]; then need_command gcc cc gcc clang; fi
  if has cc || has gcc || has clang; then
    has_header stdlib.h || need libc6-dev "C library headers"
  else
    need libc6-dev "C library headers"
  fi
  need_command cmake cmake
  need_command ninja-build ninja make
}

privilege() { # how apt-get is run, or nothing possible
  if [ "$(id -u)" = 0 ]; then
    privilege=''
  elif has sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    privilege=sudo
  else
    return 1
  fi
}

# Without a network each try is in vain; without package lists, too.
apt() {
  DEBIAN_FRONTEND=noninteractive $privilege apt-get -y -q \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=1 "$@"
}
apt_update() { apt -o APT::Update::Error-Mode=any update; }

# Without package lists nothing is known; then they are fetched first. If the
# installation fails, they may be old.
install_packages() { # install_packages LOG PACKAGE ...
  apt_log=$1
  shift
  known=yes
  for p; do apt-cache show "$p" >/dev/null 2>&1 || known=no; done
  if [ $known = yes ] &&
    apt install --no-install-recommends "$@" >"$apt_log" 2>&1; then
    return 0
  fi
  # One of several mirrors may fail, and the others have what is wanted.
  apt_update >>"$apt_log" 2>&1 || :
  apt install --no-install-recommends "$@" >>"$apt_log" 2>&1
}

# Why they were not installed, in one line.
tell_apt() { # tell_apt LOG COMMAND
  apt_log=$1 paste=$2
  no_network='could not resolve|temporary failure|could not connect|unable to connect|network is unreachable|no route to host|connection (timed out|refused|failed)'
  why=$(grep -i -E -e "$no_network" "$apt_log" | tail -n 1 |
    grep -o -i -E -e "($no_network).*")
  unknown=$(sed -n -e 's/^E: Unable to locate package //p' \
    -e "s/^E: Package '\\(.*\\)' has no installation candidate.*/\\1/p" \
    "$apt_log" | sort -u | paste -s -d ' ' -)
  if [ -n "$why" ]; then
    rm -f "$apt_log"
    die "no network ($why); with one, this installs what is missing: $paste"
  elif [ -n "$unknown" ]; then
    rm -f "$apt_log"
    die "apt-get knows no package $unknown; to see for yourself: $paste"
  fi
  why=$(grep -E '^E: |^dpkg: error' "$apt_log" | head -n 1)
  die "apt-get has failed (${why:-no reason given}; log: $apt_log): $paste"
}

# Installs what need() noted, or says what is missing and fails.
meet() {
  if [ -z "$missing" ]; then return 0; fi
  packages=$(printf %s "$missing" | tr '|' '\n' | cut -d: -f1 |
    paste -s -d ' ' -)
  if ! has apt-get; then
    die "missing are: $(printf %s "$missing" | tr '|' '\n' |
      sed 's/\(.*\):\(.*\)/\1 (\2)/' | paste -s -d ' ' -); these are Debian's \
names of packages; please install them"
  fi
  paste=$(as_root "apt-get update && \
apt-get install -y --no-install-recommends $packages")
  privilege || die "only root can install what is missing: $paste"
  if [ "$privilege" = sudo ]; then sudo -v; fi # asks before the line begins
  log=$(mktemp) || exit 1
  # shellcheck disable=SC2086 # one word for each
  step "installing $packages" install_packages "$log" $packages ||
    tell_apt "$log" "$paste"
  rm -f "$log"
  missing=''
  hash -r 2>/dev/null || :
}
