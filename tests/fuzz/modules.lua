-- modules.lua - the module that both states of the fuzzer encode.c have.
-- SPDX-License-Identifier: MIT
package.preload["fuzz.geometry"] = (loadstring or load)[[
  local G = {Point = {}, data = {1, 2, 3}, deep = {Inner = {}}}
  G.Point.__index = G.Point
  G.deep.Inner.__name = "inner"
  G.format = string.format
  G.deep.byte = string.byte
  function G.Point.new(x) return setmetatable({x = x}, G.Point) end
  function G.keep(...) return {n = select("#", ...), ...} end
  function G.fail() error "no luck" end
  return G]]
require "fuzz.geometry"
