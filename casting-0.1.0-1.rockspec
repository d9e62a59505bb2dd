-- casting-0.1.0-1.rockspec - casting for LuaRocks; tools/rockspec.sh writes it.
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
build = {
  type = "builtin",
  modules = {
    casting = {
      sources = {
        "src/base.c",
        "src/big.c",
        "src/block.c",
        "src/chan.c",
        "src/context.c",
        "src/core.c",
        "src/deadlock.c",
        "src/foreign.c",
        "src/heap.c",
        "src/host.c",
        "src/lock.c",
        "src/log.c",
        "src/lua/api_chan.c",
        "src/lua/api_lua.c",
        "src/lua/api_message.c",
        "src/lua/api_read.c",
        "src/lua/api_session.c",
        "src/lua/budget.c",
        "src/lua/cancel.c",
        "src/lua/closure.c",
        "src/lua/code.c",
        "src/lua/compat.c",
        "src/lua/coroutine.c",
        "src/lua/decode.c",
        "src/lua/embed.c",
        "src/lua/embedded.c",
        "src/lua/encode.c",
        "src/lua/encoder.c",
        "src/lua/factory.c",
        "src/lua/guard.c",
        "src/lua/handle.c",
        "src/lua/hook.c",
        "src/lua/lib_casting.c",
        "src/lua/lib_chan.c",
        "src/lua/lib_host.c",
        "src/lua/lib_message.c",
        "src/lua/lib_session.c",
        "src/lua/lib_task.c",
        "src/lua/link.c",
        "src/lua/monitor.c",
        "src/lua/moved.c",
        "src/lua/names.c",
        "src/lua/pack.c",
        "src/lua/park.c",
        "src/lua/path.c",
        "src/lua/report.c",
        "src/lua/seen.c",
        "src/lua/starting.c",
        "src/lua/state.c",
        "src/lua/stop.c",
        "src/lua/strings.c",
        "src/lua/survey.c",
        "src/lua/task.c",
        "src/lua/tree.c",
        "src/lua/words.c",
        "src/mem.c",
        "src/monitor.c",
        "src/msg.c",
        "src/object.c",
        "src/os/context.c",
        "src/os/linux.c",
        "src/os/posix.c",
        "src/runq.c",
        "src/runtime.c",
        "src/sched.c",
        "src/select.c",
        "src/session.c",
        "src/slab.c",
        "src/task.c",
        "src/timer.c",
        "src/wait.c",
        "src/worker.c",
      },
      incdirs = { "include" },
      defines = { "_GNU_SOURCE" },
      libraries = { "pthread", "dl", "m" },
    },
  },
  copy_directories = { "docs", "examples" },
}
