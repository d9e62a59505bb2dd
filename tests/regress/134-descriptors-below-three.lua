-- 134: In a process that had closed its standard files, the descriptor that
-- casting.fd returns became one of them: what reads stdin took its events.
-- SPDX-License-Identifier: MIT
local lua = os.getenv "LUA"
if not lua or package.config:sub(1, 1) ~= "/" then return end

local code = [[
local casting = require 'casting'
casting.spawn(function() end)
local fd = casting.fd()
os.exit(fd > 2 and 0 or 100 + fd)]]
for _, closed in ipairs {"<&-", ">&-", "<&- >&- 2>&-"} do
  local command = ('"%s" -e "%s" %s'):format(lua, code, closed)
  local ok, _, status = os.execute(command)
  assert(ok == true or ok == 0, closed .. " " .. tostring(status or ok))
end
