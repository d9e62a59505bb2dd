-- asked.lua - what supervisors of this session are asked.
-- SPDX-License-Identifier: MIT
--
-- The table leads from the task of a supervisor to {channel =, list =}. A task
-- that asks (request.lua) makes a channel for the answer, puts its request into
-- `list` under that channel, and sends the channel into `channel`. The handle
-- of the supervisor has neither of the two, since whoever has a channel can use
-- it.

return {}
