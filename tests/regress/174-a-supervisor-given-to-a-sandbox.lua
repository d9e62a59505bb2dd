-- A sandbox that was given the handle of a trusted supervisor could have it run
-- source text, stop its children and end it; and it could send anything into
-- the channel of requests, which was a field of the handle.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local sup = casting.supervisor {name = "trusted", children = {{id = "keep",
  start = function() require "casting".sleep(1000) end}}}
local box = casting.session {sandbox = true}
local found = box:spawn(function(sup)
  local c = require "casting"
  local found = {}
  local function try(name, f, ...)
    local ok, e = pcall(f, ...)
    found[name] = ok and "done" or tostring(e)
  end
  try("start_child", sup.start_child, sup, {id = "evil",
    restart = "temporary", start = "return 1"})
  try("terminate_child", sup.terminate_child, sup, "keep")
  try("restart_child", sup.restart_child, sup, "keep")
  try("delete_child", sup.delete_child, sup, "keep")
  try("which_children", sup.which_children, sup)
  try("count_children", sup.count_children, sup)
  try("stop", sup.stop, sup, 0)
  -- Nothing in the handle takes messages.
  local values = {}
  for k, v in next, sup do values[k] = v end
  for k, v in pairs(values) do
    if tostring(v):find "^channel" then found.channel = tostring(k) end
  end
  -- What tells of its end works; and so does a supervisor of its own.
  found.status = sup.task:status()
  found.wait = select(2, sup:wait(0))
  local own = c.supervisor {children = {}}
  found.own = own:start_child {id = 1, start = function() return 1 end,
    restart = "temporary"} ~= nil and own:count_children().specs >= 0
  found.stopped = own:stop()
  found.after = select(2, own:count_children())
  return found
end, sup):await(60)

for _, name in ipairs {"start_child", "terminate_child", "restart_child",
  "delete_child", "which_children", "count_children", "stop"} do
  local text = name .. ": the supervisor was not made by this sandbox"
  assert(found[name]:find(text, 1, true), name .. ": " .. found[name])
end
assert(found.channel == nil, found.channel)
assert(found.wait == "timeout", found.wait)
assert(found.own == true and found.stopped == true, found.own)
assert(found.after == "noproc", found.after)
local children = sup:which_children()
assert(#children == 1 and children[1].status == "running")
assert(sup:stop(60) == true)
box:close(60)
