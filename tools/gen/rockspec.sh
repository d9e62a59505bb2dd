#!/bin/sh
# rockspec.sh - writes the rockspec for LuaRocks: casting-VERSION-1.rockspec.
# SPDX-License-Identifier: MIT
#
#   rockspec.sh [-c]   -c: only checks that the file is as it would be written
#
# LuaRocks' own "builtin" build compiles the sources: a C compiler is all it
# needs, so the rockspec lists them.
set -u
cd "$(dirname -- "$0")/../.." || exit 2
version=$(sed -n 's/.*CASTING_VERSION "\(.*\)".*/\1/p' include/casting.h)
file=casting-$version-1.rockspec

sources() {
  find src -name '*.c' | LC_ALL=C sort | sed 's/.*/        "&",/'
}
write() {
  cat <<END
-- $file - casting for LuaRocks; tools/gen/rockspec.sh writes it.
-- SPDX-License-Identifier: MIT
--
--   luarocks make        in the top directory of the sources
rockspec_format = "3.0"
package = "casting"
version = "$version-1"
source = { url = "file://." }
description = {
  summary = "Lua functions in parallel: sessions, tasks, channels",
  detailed = [[
    Runs Lua functions multithreaded and non-blocking: sessions (Lua states
    that share a few OS threads), tasks as cheap as coroutines, and channels
    that move values between them.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.1, < 5.6" }
build = {
  type = "builtin",
  modules = {
    casting = {
      sources = {
$(sources)
      },
      incdirs = { "include" },
      defines = { "_GNU_SOURCE" },
      libraries = { "pthread", "dl", "m" },
    },
  },
  copy_directories = { "docs", "examples" },
}
END
}
if [ "${1:-}" = -c ]; then
  write | cmp -s - "$file" && exit
  echo "$file is not up to date: run tools/gen/rockspec.sh"
  exit 1
fi
write >"$file"
