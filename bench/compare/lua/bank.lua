-- bank.lua - Savina's bank transaction.
-- SPDX-License-Identifier: MIT
--
-- A teller orders transfers between a thousand accounts. The account that pays
-- asks the other to take the money and waits for its answer before it looks at
-- its next order, then tells the teller. A step is a transfer.
--
-- Money goes only to accounts of higher numbers, so no two wait for each other.
-- The teller has at most fifty orders out, and room for as many answers.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox

local ACCOUNTS, ORDERS, BALANCE = 1000, 50, 1000000
local random, now = lib.random, lib.now
local casting = require "casting"

local function account(me, boxes, answer, teller)
  local balance, box = BALANCE, boxes[me]
  while true do
    local word, amount, other = box:receive()
    if word == "pay" then
      balance = balance - amount
      boxes[other]:send("take", amount, me)
      answer[me]:receive()
      teller:send(amount)
    elseif word == "take" then
      balance = balance + amount
      answer[other]:send(amount)
    else
      return balance
    end
  end
end

-- Every second account. Spawned here, they share what is copied to a session.
local function branch(first, boxes, answer, teller)
  local tasks, balances = {}, {}
  for i = first, ACCOUNTS, 2 do
    tasks[i] = casting.spawn(account, i, boxes, answer, teller)
  end
  for i, task in pairs(tasks) do
    balances[i] = task:await()
  end
  return balances
end

local function choose(x)
  local from = x % (ACCOUNTS * 8 / 10) + 1
  x = random(x)
  local to = from + 1 + x % (ACCOUNTS - from)
  x = random(x)
  return x, from, to, x % 100
end

local function order(n, boxes, teller)
  local x, out = 1, 0
  local from, to, amount
  local start = now()
  for _ = 1, n do
    if out == ORDERS then
      teller:receive()
      out = out - 1
    end
    x, from, to, amount = choose(x)
    boxes[from]:send("pay", amount, to)
    out = out + 1
  end
  for _ = 1, out do
    teller:receive()
  end
  local seconds = now() - start
  for i = 1, #boxes do
    boxes[i]:send("stop")
  end
  return seconds
end

lib.measure("bank transaction", "transfers/s", function(n, spawn)
  local boxes, answer, teller = {}, {}, mailbox()
  for i = 1, ACCOUNTS do
    boxes[i], answer[i] = mailbox(), mailbox(1)
  end
  local branches = {}
  for k = 1, 2 do
    branches[k] = spawn(k, branch, k, boxes, answer, teller)
  end
  local seconds = spawn(0, order, n, boxes, teller):await()
  local expected, x = {}, 1
  local from, to, amount
  for i = 1, ACCOUNTS do
    expected[i] = BALANCE
  end
  for _ = 1, n do
    x, from, to, amount = choose(x)
    expected[from] = expected[from] - amount
    expected[to] = expected[to] + amount
  end
  for k = 1, 2 do
    for i, balance in pairs(branches[k]:await()) do
      check(balance, expected[i], "the balance of account " .. i)
      expected[i] = nil
    end
  end
  check(next(expected), nil, "an account without a balance")
  return n, seconds
end)
