// site.js - what the theme leaves to do; see ./dev docs.
// SPDX-License-Identifier: MIT

// A page that was opened as a file may not read others, so the search shows
// titles there, without the lines in which the words stand.
if (location.protocol === "file:" && window.DOCUMENTATION_OPTIONS) {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// Debian's copy of the theme has colours for "dark" and for "light", and none
// for "auto": that is one of the two.
const dark = matchMedia("(prefers-color-scheme: dark)");
function settle() {
  const data = document.body.dataset;
  if (data.theme === "auto") data.theme = dark.matches ? "dark" : "light";
}
if (document.body) {
  new MutationObserver(settle).observe(document.body,
    { attributes: true, attributeFilter: ["data-theme"] });
  settle();
}
