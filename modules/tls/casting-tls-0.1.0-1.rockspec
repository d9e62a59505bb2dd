-- casting-tls-0.1.0-1.rockspec - casting.tls for LuaRocks.
-- SPDX-License-Identifier: MIT
--
--   luarocks make modules/tls/casting-tls-0.1.0-1.rockspec
--
-- in the top directory of the sources, where the rock casting is installed.
rockspec_format = "3.0"
package = "casting-tls"
version = "0.1.0-1"
source = { url = "file://." }
description = {
  summary = "TLS for casting, on OpenSSL",
  detailed = [[
    The module casting.tls: streams and listeners of casting.net with TLS.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.1, < 5.6", "casting >= 0.1.0" }
external_dependencies = {
  OPENSSL = { header = "openssl/ssl.h", library = "ssl" },
}
build = {
  type = "builtin",
  modules = {
    ["casting.tls"] = "modules/tls/tls.lua",
    ["casting.tls.core"] = {
      sources = {
        "modules/import.c",
        "modules/tls/bio.c",
        "modules/tls/connection.c",
        "modules/tls/context.c",
        "modules/tls/core.c",
        "modules/tls/sessions.c",
        "modules/tls/settings.c",
        "modules/tls/tickets.c",
      },
      incdirs = { "$(OPENSSL_INCDIR)" },
      libdirs = { "$(OPENSSL_LIBDIR)" },
      libraries = { "ssl", "crypto" },
    },
  },
  copy_directories = {},
}
