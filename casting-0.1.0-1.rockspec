-- casting-0.1.0-1.rockspec - casting for LuaRocks.
-- SPDX-License-Identifier: MIT
--
--   luarocks make        in the top directory of the sources
rockspec_format = "3.0"
package = "casting"
version = "0.1.0-1"
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

-- A checkout lacks a file that is generated, and LuaRocks' own build cannot make
-- it. tools/package/dist.sh, which adds that file to a release, replaces this.
build = {
  type = "command",
  build_command = [["$(LUA)" tools/gen/rock.lua --cc $(CC) --cflags $(CFLAGS)]]
    .. [[ --incdir "$(LUA_INCDIR)" --ld $(LD) --libflag $(LIBFLAG)]]
    .. [[ --libs -lpthread -ldl -lm]],
  install = {
    lib = { "build/rock/casting.so" },
    lua = { "lualib/casting.d.lua" },
    bin = { "bin/casting" },
  },
  platforms = {
    windows = {
      build_command = [["$(LUA)" tools/gen/rock.lua --cc $(CC)]]
        .. [[ --cflags $(CFLAGS) --incdir "$(LUA_INCDIR)" --ld $(LD)]]
        .. [[ --libflag $(LIBFLAG) --libs "$(LUA_LIBDIR)/$(LUALIB)"]],
      install = { lib = { "build/rock/casting.dll" } },
    },
  },
  copy_directories = { "docs", "examples" },
}
