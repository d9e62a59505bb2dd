-- asked.lua - what supervisors of this session are asked.
-- SPDX-License-Identifier: MIT
--
-- task of a supervisor -> {channel =, list =}: who has put a request into the
-- list, under a channel for its answer, sends that channel into `channel`. Here
-- are the two, and not in the handle, as whoever has a channel can use it.

return {}
