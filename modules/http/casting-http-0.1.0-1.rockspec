-- casting-http-0.1.0-1.rockspec - casting.http for LuaRocks.
-- SPDX-License-Identifier: MIT
--
--   luarocks make modules/http/casting-http-0.1.0-1.rockspec
--
-- in the top directory of the sources, where the rock casting is installed.
rockspec_format = "3.0"
package = "casting-http"
version = "0.1.0-1"
source = { url = "file://." }
description = {
  summary = "HTTP for casting",
  detailed = [[
    The module casting.http: servers and clients of HTTP/1.1, and websockets,
    over the sockets of casting.net, with or without casting.tls.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.1, < 5.6", "casting >= 0.1.0" }
external_dependencies = {
  ZLIB = { header = "zlib.h", library = "z" },
}
build = {
  type = "builtin",
  modules = {
    ["casting.http"] = "modules/http/http.lua",
    ["casting.http.answer"] = "modules/http/answer.lua",
    ["casting.http.asking"] = "modules/http/asking.lua",
    ["casting.http.body"] = "modules/http/body.lua",
    ["casting.http.client"] = "modules/http/client.lua",
    ["casting.http.date"] = "modules/http/date.lua",
    ["casting.http.dial"] = "modules/http/dial.lua",
    ["casting.http.events"] = "modules/http/events.lua",
    ["casting.http.exchange"] = "modules/http/exchange.lua",
    ["casting.http.files"] = "modules/http/files.lua",
    ["casting.http.form"] = "modules/http/form.lua",
    ["casting.http.handshake"] = "modules/http/handshake.lua",
    ["casting.http.jar"] = "modules/http/jar.lua",
    ["casting.http.pool"] = "modules/http/pool.lua",
    ["casting.http.proxy"] = "modules/http/proxy.lua",
    ["casting.http.request"] = "modules/http/request.lua",
    ["casting.http.response"] = "modules/http/response.lua",
    ["casting.http.server"] = "modules/http/server.lua",
    ["casting.http.types"] = "modules/http/types.lua",
    ["casting.http.url"] = "modules/http/url.lua",
    ["casting.http.websocket"] = "modules/http/websocket.lua",
    ["casting.http.core"] = {
      sources = {
        "modules/import.c",
        "modules/http/chunk.c",
        "modules/http/codec.c",
        "modules/http/coding.c",
        "modules/http/core.c",
        "modules/http/deflate.c",
        "modules/http/digest.c",
        "modules/http/frame.c",
        "modules/http/head.c",
        "modules/http/inflate.c",
        "modules/http/reading.c",
        "modules/http/writing.c",
      },
      incdirs = { "$(ZLIB_INCDIR)" },
      libdirs = { "$(ZLIB_LIBDIR)" },
      libraries = { "z" },
    },
  },
  copy_directories = {},
}
