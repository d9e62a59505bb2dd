-- launcher_editor.lua - a line that is typed at a terminal.
-- SPDX-License-Identifier: MIT
--
-- The editor knows no terminal: it is fed the bytes that come from one, and
-- says what has happened and what is to be written. The line lies in one row;
-- if it is longer, a part of it is shown that has the cursor in it.
--
-- An editor (Editor):
--   chars     the line: a list of characters, each of UTF-8 or a byte
--   at        how many of them are before the cursor
--   pending   bytes that were fed and not looked at
--   prompt    what stands before the line
--   columns   of the terminal
--   history   a list of lines, the last one typed at its end
--   place     which of them is shown; #history + 1: none
--   kept      the line that was left for one of the history
--   killed    what ^K, ^U or ^W has taken last
--   shown     the first character that is shown

local ipairs, setmetatable = ipairs, setmetatable

local Editor = {}
Editor.__index = Editor

local LEAST = 8 -- columns for the line, however long the prompt is

-- -- characters ---------------------------------------------------------------

-- How many bytes the character has that begins with this one.
local function length(byte)
  if byte < 0xc2 or byte > 0xf4 then return 1 end
  return byte < 0xe0 and 2 or byte < 0xf0 and 3 or 4
end

-- The character that begins at the i-th byte; nil if more must come.
local function take(bytes, i)
  local n = length(bytes:byte(i))
  for k = i + 1, i + n - 1 do
    local byte = bytes:byte(k)
    if not byte then return nil end
    if byte < 0x80 or byte > 0xbf then return bytes:sub(i, i) end
  end
  return bytes:sub(i, i + n - 1)
end

-- First and last of the ranges of Unicode that terminals show in no column, and
-- in two.
local NONE = {0x300, 0x36f, 0x200b, 0x200f, 0xfe00, 0xfe0f}
local TWO = {0x1100, 0x115f, 0x2e80, 0x303e, 0x3041, 0xa4cf, 0xac00, 0xd7a3,
  0xf900, 0xfaff, 0xfe30, 0xfe6f, 0xff00, 0xff60, 0xffe0, 0xffe6, 0x1f300,
  0x1f64f, 0x1f900, 0x1f9ff, 0x20000, 0x3fffd}

local function within(ranges, code)
  for i = 1, #ranges, 2 do
    if code >= ranges[i] and code <= ranges[i + 1] then return true end
  end
end

-- What is written for a character, and in how many columns it is shown.
local function show(char)
  local byte = char:byte()
  if char == "\t" then return "  ", 2 end
  if byte < 32 then return "^" .. ("%c"):format(byte + 64), 2 end
  if byte < 127 then return char, 1 end
  if #char == 1 then return "?", 1 end
  local code = byte % 2 ^ (7 - #char)
  for i = 2, #char do code = code * 64 + char:byte(i) % 64 end
  return char, within(NONE, code) and 0 or within(TWO, code) and 2 or 1
end

local function split(text)
  local list, i = {}, 1
  while i <= #text do
    local char = take(text, i) or text:sub(i, i)
    list[#list + 1] = char
    i = i + #char
  end
  return list
end

-- In halves, so that no byte is copied often.
local function join(list, from, to)
  if from > to then return "" end
  if from == to then return list[from] end
  local middle = (from + to - (from + to) % 2) / 2
  return join(list, from, middle) .. join(list, middle + 1, to)
end

-- -- the line -----------------------------------------------------------------

function Editor:text() return join(self.chars, 1, #self.chars) end

function Editor:set(text)
  self.chars = split(text)
  self.at = #self.chars
end

-- Takes the characters from one place to another out, and returns them.
function Editor:cut(from, to)
  local rest, cut = {}, join(self.chars, from, to)
  for i, char in ipairs(self.chars) do
    if i < from or i > to then rest[#rest + 1] = char end
  end
  self.chars, self.at = rest, from - 1
  return cut
end

function Editor:insert(list)
  local chars, rest, at = self.chars, {}, self.at
  for i = at + 1, #chars do rest[#rest + 1] = chars[i] end
  for _, char in ipairs(list) do
    at = at + 1
    chars[at] = char
  end
  self.at = at
  for _, char in ipairs(rest) do
    at = at + 1
    chars[at] = char
  end
end

-- Where the word before the cursor begins, or the one behind it ends.
function Editor:word(step)
  local chars, at = self.chars, self.at
  local inside = false
  while true do
    local char = chars[step < 0 and at or at + 1]
    if not char then return at end
    local is = char:find "[%w_\128-\255]" ~= nil
    if inside and not is then return at end
    inside = is
    at = at + step
  end
end

-- As a shell has it: what is between blanks.
function Editor:blank()
  local at = self.at
  while at > 0 and self.chars[at]:find "%s" do at = at - 1 end
  while at > 0 and not self.chars[at]:find "%s" do at = at - 1 end
  return at
end

-- Shows another line of the history.
function Editor:recall(place)
  local history = self.history
  if place < 1 or place > #history + 1 then return end
  if self.place == #history + 1 then self.kept = self:text() end
  self.place = place
  self:set(history[place] or self.kept)
end

-- -- keys ---------------------------------------------------------------------

local keys = {}

local function kill(self, from, to)
  if from <= to then self.killed = self:cut(from, to) end
end

function keys.home(self) self.at = 0 end
function keys.finish(self) self.at = #self.chars end
function keys.left(self) if self.at > 0 then self.at = self.at - 1 end end
function keys.right(self)
  if self.at < #self.chars then self.at = self.at + 1 end
end
function keys.back(self) self.at = self:word(-1) end
function keys.forward(self) self.at = self:word(1) end
function keys.rubout(self)
  if self.at > 0 then self:cut(self.at, self.at) end
end
function keys.delete(self)
  if self.at < #self.chars then self:cut(self.at + 1, self.at + 1) end
end
function keys.kill_rest(self) kill(self, self.at + 1, #self.chars) end
function keys.kill_start(self) kill(self, 1, self.at) end
function keys.kill_blank(self) kill(self, self:blank() + 1, self.at) end
function keys.kill_word(self) kill(self, self:word(-1) + 1, self.at) end
function keys.kill_next(self) kill(self, self.at + 1, self:word(1)) end
function keys.yank(self) self:insert(split(self.killed)) end
function keys.up(self) self:recall(self.place - 1) end
function keys.down(self) self:recall(self.place + 1) end

-- These end the feeding, and are told by their names.
function keys.line() return "line" end
function keys.cancel() return "cancel" end
function keys.report() return "report" end
function keys.stop() return "stop" end
function keys.clear() return "clear" end
function keys.delete_or_end(self)
  if #self.chars == 0 then return "end" end
  keys.delete(self)
end

-- By control characters: 1 is ^A. A ^D that was typed before the keys came one
-- by one is read as a zero.
local CONTROL = {[0] = "delete_or_end", "home", "left", "cancel",
  "delete_or_end", "finish", "right",
  [8] = "rubout", [10] = "line", [11] = "kill_rest", [12] = "clear",
  [13] = "line", [14] = "down", [16] = "up", [20] = "report",
  [21] = "kill_start", [23] = "kill_blank", [25] = "yank", [26] = "stop",
  [28] = "report", [127] = "rubout"}

-- Behind an escape; those of more bytes are sequences of the terminal.
local ESCAPES = {b = "back", f = "forward", d = "kill_next",
  ["\127"] = "kill_word", ["\8"] = "kill_word"}
local SEQUENCES = {A = "up", B = "down", C = "right", D = "left", H = "home",
  F = "finish", ["1~"] = "home", ["7~"] = "home", ["4~"] = "finish",
  ["8~"] = "finish", ["3~"] = "delete", ["1;5C"] = "forward",
  ["1;5D"] = "back", ["1;3C"] = "forward", ["1;3D"] = "back"}

-- The key that begins with an escape, nil if it is none of ours, and the rest
-- of the bytes; or nothing if more must come.
local function escape(bytes)
  local kind = bytes:sub(2, 2)
  if kind == "" then return nil end
  if kind ~= "[" and kind ~= "O" then
    return ESCAPES[kind], bytes:sub(3)
  end
  local body, rest = bytes:match "^..([0-?]*[@-~])(.*)$"
  if not body and not bytes:find "^..[0-?]*$" then
    return nil, bytes:sub(3)
  end
  return SEQUENCES[body or ""], rest
end

-- -- what a prompt calls ------------------------------------------------------

function Editor.new(history)
  return setmetatable({chars = {}, at = 0, pending = "", prompt = "",
    columns = 80, history = history, place = #history + 1, kept = "",
    killed = "", shown = 1}, Editor)
end

-- A new line.
function Editor:begin(prompt)
  self.prompt, self.chars, self.at, self.shown = prompt, {}, 0, 1
  self.place, self.kept = #self.history + 1, ""
end

-- Takes bytes: what has happened ("line", "cancel", "end", "report", "stop",
-- "clear"), or nil if all of them were looked at. The other bytes are kept for
-- the next call.
function Editor:feed(bytes)
  local rest = self.pending .. bytes
  while rest ~= "" do
    local byte, key = rest:byte(), nil
    if byte == 27 then
      local later
      key, later = escape(rest)
      if not later then break end
      rest = later
    elseif CONTROL[byte] then
      key, rest = CONTROL[byte], rest:sub(2)
    else
      local text = rest:match "^[\t -~]+" or take(rest, 1)
      if not text then break end
      self:insert(split(text))
      rest = rest:sub(#text + 1)
    end
    local what = key and keys[key](self)
    if what then
      self.pending = rest
      return what
    end
  end
  self.pending = rest
end

-- The width of the characters from one to another.
local function width(chars, from, to)
  local columns = 0
  for i = from, to do
    local _, n = show(chars[i])
    columns = columns + n
  end
  return columns
end

-- What is to be written so that the row shows the line. What was left of the
-- row before stays there, as long as the cursor is behind it and fits.
function Editor:draw()
  local chars, at, prompt = self.chars, self.at, split(self.prompt)
  local before = width(prompt, 1, #prompt)
  local room = self.columns - before - 1
  if room < LEAST then room = LEAST end
  local first = self.shown < at + 1 and self.shown or at + 1
  local cursor = width(chars, first, at)
  while cursor > room do
    cursor, first = cursor - width(chars, first, first), first + 1
  end
  self.shown = first
  local row, used = "", 0
  for i = first, #chars do
    local text, n = show(chars[i])
    if used + n > room then break end
    row, used = row .. text, used + n
  end
  cursor = cursor + before
  return "\r" .. self.prompt .. row .. "\27[K\r" ..
    (cursor > 0 and ("\27[%dC"):format(cursor) or "")
end

return Editor
