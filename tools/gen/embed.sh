#!/bin/sh
# embed.sh - what of the library is written in Lua, as a C file.
# SPDX-License-Identifier: MIT
#
#   embed.sh            writes src/lua/lib/embedded.c from lua/casting/*.lua
#   embed.sh --check    exit status 1 if that file is not up to date
#
# The file is kept with the sources, so that every way to build them (CMake,
# LuaRocks, the single file) needs nothing but a C compiler. Run it after each
# change in lua/casting.
set -u
cd "$(dirname -- "$0")/../.." || exit 2
out=src/lua/lib/embedded.c

embed() {
  echo '/* embedded.c - the modules of lua/casting, written by tools/gen/embed.sh.
   SPDX-License-Identifier: MIT */
/* clang-format off */
#include "embed.h"
'
  for file in lua/casting/*.lua; do
    name=$(basename "$file" .lua)
    echo "static const char *const ${name}_lua[] = {"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/  "&\\n",/' "$file"
    printf '  NULL,\n};\n\n'
  done
  echo 'const cast_embedded cast_embedded_files[] = {'
  for file in lua/casting/*.lua; do
    name=$(basename "$file" .lua)
    echo "  {\"$name\", ${name}_lua},"
  done
  printf '  {NULL, NULL},\n};\n'
}

case ${1:-} in
--check)
  embed | cmp -s - "$out" && exit 0
  echo "$out is not up to date: run tools/gen/embed.sh"
  exit 1
  ;;
*) embed >"$out" ;;
esac
