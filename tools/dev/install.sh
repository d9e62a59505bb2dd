# install.sh - `./dev install`; part of dev, which sources it.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154

# The path without symbolic links; what does not exist below it counts.
physical() { # physical DIR
  at=$(existing "$1")
  printf '%s%s\n' "$(CDPATH='' cd -- "$at" && pwd -P)" "${1#"$at"}"
}

# Does the dynamic loader look into that directory by itself? Elsewhere than
# with glibc's ldconfig this cannot be told, and is taken for no.
loader_knows() { # loader_knows DIR
  wanted=$(physical "$1")
  ldconfig -v -N -X 2>/dev/null | sed -n 's|^\(/[^:]*\):.*|\1|p' |
    while read -r d; do (CDPATH='' cd -- "$d" && pwd -P) 2>/dev/null; done |
    grep -q -x -F -e "$wanted"
}

# Sets rpath to ON where a program that links the library would not find it when
# it starts: then the files for pkg-config give the program the directory. Where
# the loader looks, it finds what its cache has, which root only can renew; those
# who install below DESTDIR see to that themselves.
choose_rpath() { # choose_rpath DIR
  PATH=$PATH:/usr/sbin:/sbin
  rpath=ON
  if loader_knows "$1" && { [ -n "${DESTDIR:-}" ] || [ "$(id -u)" = 0 ]; }; then
    rpath=OFF
  fi
}

# Ends unless all directories can be written that something is installed in.
need_prefix() {
  for d in bin lib include share share/man; do
    at=$(existing "${DESTDIR:-}$prefix/$d")
    [ -w "$at" ] || die "no right to write to $at: $(
      as_root "./dev install$asked"
    ); or, where you have the right: ./dev install ~/.local"
  done
}

# Tells what an interpreter needs that does not look there by itself, or what
# its `require` says.
tell_lua() { # tell_lua VERSION
  program=$(lua_package "$1")
  has "$program" || return 0
  why=$("$program" -e 'local ok, e = pcall(require, "casting")
    if not ok then io.write(tostring(e)) end' 2>&1)
  case $why in
  '') return 0 ;;
  "module 'casting' not found"*) ;;
  *)
    say "$program does not load it: $why"
    return 0
    ;;
  esac
  case $1 in
  # A file in Lua chooses between their modules.
  luajit | 5.1) set -- "LUA_PATH='$prefix/share/lua/5.1/?.lua;;'" ;;
  *) set -- "LUA_CPATH='$prefix/lib/lua/$1/?.so;;'" ;;
  esac
  echo "$program looks elsewhere: export $1"
}
tell_c() {
  if has pkg-config; then
    if pkg-config --exists "casting-${luas%% *}"; then return 0; fi
  else # which looks there by itself once it is installed
    case $prefix in /usr | /usr/local) return 0 ;; esac
  fi
  echo "programs in C: export PKG_CONFIG_PATH=$prefix/lib/pkgconfig"
}

install_main() {
  expect_words install 1 "$@"
  prefix=${1:-/usr/local}
  asked=${1:+ $1}
  case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
  need_prefix
  need_build
  if [ -n "${LUAS:-}" ]; then
    need_luas
  else
    luas=''
    for v in 5.1 5.2 5.3 5.4 5.5 luajit; do
      if has "$(lua_package "$v")"; then
        need_lua_headers "$v"
        luas="$luas $v"
      elif lua_header "$v"; then
        luas="$luas $v"
      fi
    done
    if [ -z "$luas" ]; then
      choose_lua
      luas=$version
    fi
  fi
  luas=$(echo $luas)
  meet
  choose_rpath "$prefix/lib"
  loud=yes
  configure install "$(cmake_luas)" -DCASTING_TESTS=OFF \
    -DCASTING_RPATH=$rpath || exit 1
  targets=''
  for t in $(built_tags install); do
    targets="$targets module-$t archive-$t$(module_targets install "$t")"
  done
  # shellcheck disable=SC2086
  build install $targets || exit 1
  step "installing under ${DESTDIR:-}$prefix" \
    quietly cmake --install "$dir" --prefix "$prefix" || exit 1
  if [ $rpath = OFF ] && [ -z "${DESTDIR:-}" ]; then
    step "telling the loader (ldconfig)" quietly ldconfig
  fi
  echo "installed under $prefix for: $(built_tags install | tr '\n' ' ')"
  while read -r left; do
    echo "left out, as its library is not here: $left"
  done <"$dir/modules-left"
  [ -z "${DESTDIR:-}" ] || return 0
  for v in $luas; do tell_lua "$v"; done
  tell_c
  case :$PATH: in
  *":$prefix/bin:"*) ;;
  *) echo "the program casting: export PATH=$prefix/bin:\$PATH" ;;
  esac
}
