-- types.lua - what kind of data a file has, by the end of its name.
-- SPDX-License-Identifier: MIT
--
-- Media types as they are registered (IANA), for what the web is made of.

local text = "; charset=utf-8"

return {
  html = "text/html" .. text, htm = "text/html" .. text,
  css = "text/css" .. text, js = "text/javascript" .. text,
  mjs = "text/javascript" .. text, txt = "text/plain" .. text,
  md = "text/markdown" .. text, csv = "text/csv" .. text,
  lua = "text/plain" .. text, xml = "text/xml" .. text,
  vtt = "text/vtt" .. text, ics = "text/calendar" .. text,
  json = "application/json", map = "application/json",
  webmanifest = "application/manifest+json", pdf = "application/pdf",
  wasm = "application/wasm", zip = "application/zip",
  gz = "application/gzip", tar = "application/x-tar",
  rss = "application/rss+xml", atom = "application/atom+xml",
  svg = "image/svg+xml", png = "image/png", jpg = "image/jpeg",
  jpeg = "image/jpeg", gif = "image/gif", webp = "image/webp",
  avif = "image/avif", ico = "image/vnd.microsoft.icon", bmp = "image/bmp",
  tif = "image/tiff", tiff = "image/tiff",
  mp3 = "audio/mpeg", ogg = "audio/ogg", opus = "audio/opus",
  wav = "audio/wav", flac = "audio/flac", m4a = "audio/mp4",
  mp4 = "video/mp4", webm = "video/webm", ogv = "video/ogg",
  mov = "video/quicktime",
  woff = "font/woff", woff2 = "font/woff2", ttf = "font/ttf",
  otf = "font/otf",
}
