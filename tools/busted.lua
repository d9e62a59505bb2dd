-- busted.lua - runs busted under whichever interpreter runs this file, so that
-- the choice of the version does not depend on how `busted` was installed.
-- SPDX-License-Identifier: MIT
require "busted.runner" { standalone = false }
