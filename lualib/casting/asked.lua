-- asked.lua - what supervisors of this session are asked.
-- SPDX-License-Identifier: MIT
--
-- The table leads from the task of a supervisor to
--   list     its requests, by their numbers: {op =, reply =, arguments...; n =}
--   last     the last number
--   channel  of the numbers
--   over     no request is served any more
-- A task that asks (request.lua) puts its request into the list, and sends its
-- number. The channel is kept here, and not in the supervisor's handle: a
-- program that got hold of it could send numbers of its own.

return {}
