#!/bin/sh
# embed.sh - both programs that make embedded.h write the same, and a compiler
# reads the Lua files out of it.
# SPDX-License-Identifier: MIT
#
#   embed.sh LUA [CC]
#
# Of lualib/casting, and of a file with all that C, CMake or Lua may take for
# something else.
set -u
cd "$(dirname -- "$0")/../.." || exit 2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

mkdir "$work/odd" || exit 1
cat >"$work/odd/b.lua" <<'END2'
local a, b = "\"\\\n", '?\?'  -- ??= ??/ ??) %d %s %0 \0 \n
local c = [[;${OUTPUT};@OUTPUT@;$ENV{HOME};[ ] ]=];]] --[==[ # ]==]

	local tab = "é"   
END2
printf 'return 1' >"$work/odd/a.lua" # no end of the line
printf '\n\n' >"$work/odd/c.lua"

same() { # same FOLDER
  cmake -DINPUT="$1" -DOUTPUT="$work/cmake.h" -P tools/gen/embed.cmake &&
    "$lua" tools/gen/embed.lua "$work/lua.h" "$1"/*.lua &&
    cmp "$work/cmake.h" "$work/lua.h"
}
# Every file of the folder, printed by a program that has the header.
printed() { # printed FOLDER
  cat >"$work/print.c" <<'END2'
#include <stdio.h>
typedef struct { const char *name; const char *const *lines; } cast_embedded;
#include "cmake.h"
int main(void) {
  for (const cast_embedded *f = cast_embedded_files; f->name != NULL; f++) {
    printf("== %s\n", f->name);
    for (const char *const *line = f->lines; *line != NULL; line++)
      fputs(*line, stdout);
  }
  return 0;
}
END2
  "$cc" -std=c11 -Wall -Werror -o "$work/print" "$work/print.c" || return 1
  for file in "$1"/*.lua; do
    echo "== $(basename "$file" .lua)"
    cat "$file"
    [ -z "$(tail -c 1 "$file")" ] || echo
  done >"$work/expected"
  "$work/print" | cmp - "$work/expected"
}

lua=$1 cc=${2:-cc}
for folder in lualib/casting "$work/odd"; do
  if ! same "$folder" || ! printed "$folder"; then
    echo "embed.sh: $folder: not the same"
    exit 1
  fi
done
