#!/bin/sh
# man.sh - manual pages of the C functions, made of the comments in casting.h.
# SPDX-License-Identifier: MIT
#
#   man.sh DIR           writes DIR/NAME.3 for each function and public type
#   man.sh --markdown    prints all of it as one document, for ./dev docs
#
# The form of the comments:
# - A comment and the declarations right below it, up to an empty line or the
#   next comment, are one page. Its name is that of the first function; the
#   others, and the types that it shows, lead to it (".so").
# - The first sentence ends its line. It is the page's title.
# - Lines that begin with "Returns", or a function's name and "returns", begin
#   what is returned; such with "Raises" what errors there are.
# - "NAME  text", with two blanks at least, is an item of a list; what is
#   indented to `text` belongs to it.
# - A paragraph that is indented by two more blanks is code.
# - `x` and *x are names of arguments.
# - A type belongs to the first page whose functions name it.
# - A ruler begins a group of pages, which name each other under "see also".
set -u
cd "$(dirname -- "$0")/../.." || exit 2
mode=man
case ${1:-} in
'')
  echo "usage: man.sh DIR | --markdown" >&2
  exit 2
  ;;
--markdown) mode=markdown dir='' ;;
*)
  dir=$1
  mkdir -p "$dir" || exit 1
  ;;
esac
version=$(sed -n 's/.*CASTING_VERSION "\(.*\)".*/\1/p' include/casting.h)
date=$(sed -n 's/^\.TH CASTING 7 \([^ ]*\).*/\1/p' docs/casting.7)

LC_ALL=C awk -v mode=$mode -v dir="$dir" -v version="$version" \
  -v date="$date" '
# -- reading the header ------------------------------------------------------

function end_page() {
  if (nfuncs[npages + 1] > 0) npages++
  else ntext[npages + 1] = 0
  has_comment = 0
}

function begin_comment(line) {
  end_page()
  has_comment = in_comment = 1
  sub(/^\/\* ?/, "   ", line)
  add_comment(line)
}

function add_comment(line,    p) {
  p = npages + 1
  if (line ~ /\*\/$/) {
    in_comment = 0
    sub(/ *\*\/$/, "", line)
  }
  sub(/^   /, "", line)
  if (line != "" || ntext[p] > 0) text[p, ++ntext[p]] = line
}

function name_of(prototype) {
  sub(/\(.*/, "", prototype)
  sub(/.*[ *]/, "", prototype)
  return prototype
}

function end_function(    p, name) {
  p = npages + 1
  sub(/^CASTING_API /, "", code)
  gsub(/\n */, " ", code)
  sub(/\( /, "(", code)
  name = name_of(code)
  funcs[p, ++nfuncs[p]] = name
  protos[p, nfuncs[p]] = code
  page_of[name] = p
  section_of[p] = section
  code = ""
}

# The comment that was read is that of the type.
function end_type(    i, p) {
  p = npages + 1
  type = code
  if (type ~ /^typedef [^(]*\(\*/) sub(/^[^(]*\(\*/, "", type)
  else sub(/^.*[ }]/, "", type)
  sub(/[^a-z_].*/, "", type)
  types[++ntypes] = type
  type_code[type] = code
  for (i = 1; i <= ntext[p]; i++) type_text[type, i] = text[p, i]
  type_lines[type] = ntext[p]
  ntext[p] = has_comment = 0
  code = ""
}

/^typedef struct casting_waker/ { begun = 1 }
!begun { next }
in_comment { add_comment($0); next }
reading != "" {
  code = code "\n" $0
  if (reading == "type" ? $0 ~ /^}/ : $0 ~ /;$/) {
    if (reading == "type") end_type()
    else end_function()
    reading = ""
  }
  next
}
/^\/\* -- / {
  end_page()
  section = $0
  sub(/^\/\* -- /, "", section)
  sub(/ -* *\*\/$/, "", section)
  next
}
/^\/\*/ { begin_comment($0); next }
/^typedef/ && has_comment {
  code = $0
  if ($0 ~ /;$/) end_type()
  else reading = "type"
  next
}
/^CASTING_API/ {
  if (!has_comment) {
    print "casting.h:" NR ": no comment above" > "/dev/stderr"
    failed = 1
  }
  code = $0
  if ($0 ~ /;$/) end_function()
  else reading = "function"
  next
}
{ end_page() }

# -- words -------------------------------------------------------------------

# What a word of the comments is: a function, a constant, or nothing of ours.
function kind_of(word) {
  if (word in page_of || word in type_code) return "function"
  if (word ~ /^CASTING_[A-Z_]+$/) return "constant"
  return ""
}

function plain(s,    out, i, c) {
  if (mode == "markdown") {
    out = ""
    for (i = 1; i <= length(s); i++) {
      c = substr(s, i, 1)
      out = out (index("_*<>[]", c) > 0 ? "\\" c : c)
    }
    return out
  }
  gsub(/\\/, "\\e", s)
  return s
}

function argument(s) {
  return mode == "markdown" ? "`" s "`" : "\\fI" s "\\fP"
}

function marked_word(word, p) {
  if (mode == "markdown") {
    if (word in page_of && page_of[word] != p)
      return "[`" word "`](#" funcs[page_of[word], 1] ")"
    return "`" word "`"
  }
  word = "\\fB" word "\\fP"
  return word
}

# A line of text with its names marked.
function marked(s, p,    out, word) {
  out = ""
  while (match(s, /`[^`]+`|\*[a-z]+|[A-Za-z_]+/)) {
    out = out plain(substr(s, 1, RSTART - 1))
    word = substr(s, RSTART, RLENGTH)
    s = substr(s, RSTART + RLENGTH)
    if (word ~ /^`/) out = out argument(substr(word, 2, length(word) - 2))
    else if (word ~ /^\*/) out = out argument(word)
    else if (kind_of(word) == "") out = out plain(word)
    else {
      out = out marked_word(word, p)
      if (mode == "man" && word in page_of && page_of[word] != p)
        out = out "(3)"
    }
  }
  return out plain(s)
}

# -- writing -----------------------------------------------------------------

function put(s) {
  if (mode == "man") print s > path
  else print s
}

# Text that is filled: its lines may be broken anywhere.
function put_text(s, p) { put_filled(marked(s, p)) }
function put_filled(s,    i) {
  while (mode == "man" && length(s) > 79) {
    for (i = 79; i > 1 && substr(s, i, 1) != " "; i--) ;
    put_line(substr(s, 1, i - 1))
    s = substr(s, i + 1)
  }
  put_line(s)
}
function put_line(s) {
  put(mode == "man" && s ~ /^[.\047]/ ? "\\&" s : s)
}

function put_code(s) {
  if (mode == "man") {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    gsub(/\047/, "\\(aq", s)
  }
  put_line(s)
}

# As Markdown, what is returned and raised says so itself.
function heading(s) { put(mode == "man" ? ".SH " toupper(s) : "") }
function begin_code() { put(mode == "man" ? ".nf" : "\n```c") }
function end_code() { put(mode == "man" ? ".fi" : "```\n") }

# Writes lines `from` to `to` of the text: paragraphs, lists and code.
function put_lines(lines, from, to, p,    i, line, hang, listed) {
  listed = -1
  for (i = from; i <= to; i++) {
    line = lines[i]
    if (line == "") {
      if (mode == "markdown") put("")
      else if (i < to && lines[i + 1] !~ /^  / && !is_item(lines[i + 1]))
        put(".PP")
      listed = -1
    } else if (listed < 0 && line ~ /^  /) {
      if (mode == "man") put(".PP")
      begin_code()
      for (; i <= to && lines[i] ~ /^  /; i++) put_code(lines[i])
      end_code()
      i--
    } else if (is_item(line)) {
      listed = length(line)
      match(line, /^[^ ]+  +/)
      hang = RLENGTH
      if (mode == "man") {
        put(".TP")
        put(marked_or_argument(substr(line, 1, hang), p))
        put_text(substr(line, hang + 1), p)
      } else {
        put("- " marked_or_argument(substr(line, 1, hang), p) ": " \
          marked(substr(line, hang + 1), p))
      }
    } else {
      if (listed >= 0 && line !~ /^  /) {
        put(mode == "man" ? ".PP" : "")
        listed = -1
      }
      sub(/^ +/, listed >= 0 && mode == "markdown" ? "  " : "", line)
      put_text(line, p)
    }
  }
}
function is_item(line) { return line ~ /^(CASTING_[A-Z]+|[a-z]+)  +[^ ]/ }
function marked_or_argument(word, p) {
  sub(/ +$/, "", word)
  return kind_of(word) == "" ? argument(word) : marked_word(word, p)
}

# The text of a page in its three parts.
function put_parts(p,    i, part, lines, last) {
  part = "Description"
  last = 0
  for (i = 1; i <= ntext[p] + 1; i++) {
    if (i > ntext[p] || text[p, i] ~ /^(casting_[a-z_]+ r|R)eturns / ||
        text[p, i] ~ /^Raises /) {
      while (lines[last] == "") last--
      heading(part)
      put_lines(lines, 1, last, p)
      if (part == "Description") put_rules()
      part = text[p, i] ~ /^Raises/ ? "Errors" : "Return value"
      last = 0
    }
    if (i <= ntext[p]) lines[++last] = text[p, i]
  }
}

# What every page says, so that nobody takes it for all there is.
function put_rules() {
  if (mode == "man")
    put(".PP\nRules that hold for all functions (threads, references, times," \
      "\noutcomes) are in\n.BR casting (7).")
}

# A prototype: its arguments stand out, and it is broken at commas.
function put_prototype(s,    line, n, i, args, head) {
  head = s
  sub(/\(.*/, "(", head)
  sub(/^[^(]*\(/, "", s)
  sub(/\);$/, "", s)
  n = split(s, args, /, /)
  line = head
  for (i = 1; i <= n; i++) {
    if (length(line) + length(args[i]) > 76) {
      put_signature(line)
      line = "    "
    }
    line = line args[i] (i < n ? ", " : ");")
  }
  put_signature(line)
}
function put_signature(line,    out) {
  sub(/ +$/, "", line)
  if (mode == "markdown") {
    put(line)
    return
  }
  out = ""
  while (match(line, /[ *][a-zA-Z_]+(,|\);)/)) {
    out = out "\\fB" substr(line, 1, RSTART) "\\fP"
    line = substr(line, RSTART + 1)
    match(line, /[a-zA-Z_]+/)
    if (substr(line, 1, RLENGTH) == "void")
      out = out "\\fBvoid\\fP"
    else
      out = out "\\fI" substr(line, 1, RLENGTH) "\\fP"
    line = substr(line, RLENGTH + 1)
  }
  put(line != "" ? out "\\fB" line "\\fP" : out)
}

# Types that the prototypes of a page name, and those which these name.
function find_types(p,    i, all, more) {
  split("", shown)
  all = ""
  for (i = 1; i <= nfuncs[p]; i++) all = all " " protos[p, i]
  do {
    more = 0
    for (i = 1; i <= ntypes; i++)
      if (!(i in shown) && all ~ ("[^a-z_]" types[i] "[^a-z_]")) {
        shown[i] = 1
        all = all " " type_code[types[i]]
        more = 1
      }
  } while (more)
}

function put_types(p,    i, j, n, any, lines, code_lines) {
  find_types(p)
  for (i = 1; i <= ntypes; i++) {
    if (!(i in shown)) continue
    if (!any++) heading("Types")
    if (mode == "man") put(".SS " types[i])
    n = type_lines[types[i]]
    split("", lines)
    for (j = 1; j <= n; j++) lines[j] = type_text[types[i], j]
    put_lines(lines, 1, n, p)
    if (mode == "man") put(".PP")
    begin_code()
    n = split(type_code[types[i]], code_lines, "\n")
    for (j = 1; j <= n; j++) put_code(code_lines[j])
    end_code()
    if (mode == "man" && !(types[i] in page_of)) link_page(types[i], funcs[p, 1])
  }
}

function link_page(name, to,    file) {
  file = dir "/" name ".3"
  print ".so man3/" to ".3" > file
  close(file)
}

function title_of(p,    s) {
  s = text[p, 1]
  if (s !~ /\.$/) {
    print "casting.h: the first line of " funcs[p, 1] \
      " is not a sentence" > "/dev/stderr"
    failed = 1
  }
  sub(/\.$/, "", s)
  return s
}

function write_man(p,    i, names, s) {
  path = dir "/" funcs[p, 1] ".3"
  s = title_of(p)
  names = funcs[p, 1]
  for (i = 2; i <= nfuncs[p]; i++) names = names ", " funcs[p, i]
  put(".\\\" Made of casting.h by tools/gen/man.sh.")
  put(".TH " toupper(funcs[p, 1]) " 3 " date " \"casting " version \
    "\" \"C API of casting\"")
  put(".nh")
  put(".SH NAME")
  put_filled(names " \\- " tolower(substr(s, 1, 1)) substr(s, 2))
  put(".SH SYNOPSIS")
  put(".nf")
  put("\\fB#include <casting.h>\\fP")
  put("")
  for (i = 1; i <= nfuncs[p]; i++) put_prototype(protos[p, i])
  put(".fi")
  put_parts(p)
  put_types(p)
  put(".SH SEE ALSO")
  put(".ad l")
  for (i = 1; i <= npages; i++)
    if (i != p && section_of[i] == section_of[p])
      put(".BR " funcs[i, 1] " (3),")
  put(".BR casting (7)")
  close(path)
  for (i = 2; i <= nfuncs[p]; i++) link_page(funcs[p, i], funcs[p, 1])
}

function write_markdown(p,    i, s) {
  if (section_of[p] != last_section) {
    last_section = section_of[p]
    put("\n## " toupper(substr(last_section, 1, 1)) substr(last_section, 2))
  }
  put("\n### " funcs[p, 1])
  begin_code()
  for (i = 1; i <= nfuncs[p]; i++) put_prototype(protos[p, i])
  end_code()
  put_parts(p)
  put_types(p)
}

END {
  if (npages == 0) failed = 1
  if (mode == "markdown") {
    print "# C functions\n\nFor version " version ", made of the comments in" \
      "\n[casting.h](../include/casting.h), at whose top are rules that" \
      "\nhold for all of them. [casting in C](c-api.md) is the guide; the" \
      "\nmanual pages, such as `man casting_start`, say the same as this page."
    section_of[1] = section_of[2] = section_of[3] = "the module"
  }
  for (i = 1; i <= npages; i++)
    if (mode == "man") write_man(i)
    else write_markdown(i)
  exit failed
}' include/casting.h
