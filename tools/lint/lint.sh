#!/bin/sh
# lint.sh - the project's own rules for C sources, as far as a script can see.
# SPDX-License-Identifier: MIT
#
#   lint.sh [ROOT]    prints FILE:LINE: what is wrong; exit status 1 if anything
#
# Rules, for src/, include/ and modules/:
#   layers    a file includes only files of modules before its own, see below;
#             one below modules/ those beside it, and the public headers
#   lua       lua.h and its kin only in src/lua, and in modules
#   os        headers beyond the C standard library only in src/os, and in
#             modules
#   platform  #if about an operating system or processor only in src/os (and
#             in the public header, for its export marks)
#   size      files of at most 600 lines (casting.h, of whose comments the
#             manual pages are made: 800), functions of at most 70 (pack: any)
#   width     lines of at most 80 columns, no tabs, no blanks at the end
#   atomics   orderings are explicit; every one above relaxed has a comment
#             "PAIR name" on its line or within the 6 lines before; a name has
#             two ends at least, and docs/CONCURRENCY.md lists it
#   fences    no atomic_thread_fence (ThreadSanitizer cannot see it)
#   volatile  none
#   arguments luaL_check*, luaL_opt* and luaL_arg* in functions of casting's:
#             lua/state/argument.h names these better; not in luasocket/,
#             whose errors are LuaSocket's, and in modules, which do not have it
#   stacks    no luaL_traceback: lua/stack.h writes the same without running
#             finalizers, which may have its coroutine go on
#   long      no variable of that type outside src/os: it is 32 bits on Windows;
#             modules may, for their libraries have it
#   opener    the first line names the file and its purpose; an SPDX line
#   todo      no TODO, FIXME or XXX left
#   prose     lines of documents have at most 120 columns, but for tables and
#             what bench/compare writes
#   links     links of documents lead somewhere, see links.sh
#   signposts each file of src and modules is in the README.md beside it; each
#             file that a
#             comment or a document names exists
#   version   name and version of the rockspecs are those of casting.h
#   rocks     the rockspec of an optional module has all its files
#   races     each R-number that is used is defined, and none twice
#   names     names of files have letters, digits and "._+-" only: a program for
#             another processor that a shell takes for a script makes others
#   hosts     scripts name no hosts: Debian's archive is what the machine's own
#             apt says, see tools/package/debian.sh
set -u
cd "${1:-$(dirname -- "$0")/../..}" || exit 2

find src include modules -name '*.[chS]' 2>/dev/null | LC_ALL=C sort |
  LC_ALL=C awk -v layers="$(sed 's/#.*//' tools/lint/layers)" '
function bad(n, what) {
  print file ":" n ": " what
  errors++
}

# The rank of a module (its file with that extension); -1 if it has no place.
function rank_of(module, extension,    room) {
  if ((module extension) in rank) return rank[module extension]
  if (module in rank) return rank[module]
  if (module ~ /^os\// && ("os/*" in rank)) return rank["os/*"]
  room = module
  sub(/\/[^\/]*$/, "/*", room)
  return room in rank ? rank[room] : -1
}

# What file `name`, included from directory `dir`, is called as a module.
function module_of(dir, name) {
  if (name ~ /^(.*include\/)?casting(_import)?\.h$/) {
    sub(/.*\//, "", name)
    sub(/\.h$/, "", name)
    return name
  }
  while (name ~ /^\.\.\//) {
    name = substr(name, 4)
    sub(/[^\/]*\/$/, "", dir)
  }
  name = dir name
  sub(/^src\//, "", name)
  sub(/^include\//, "", name)
  sub(/\.[chS]$/, "", name)
  return name
}

# A module is built by itself: it has its own files, and the public headers.
function check_include_of_module(n, line) {
  if (line ~ /^[ ]*#[ ]*include[ ]*</ ||
      line ~ /include[ ]*"(\.\.\/)+include\/casting(_import)?\.h"/ ||
      line ~ /include[ ]*"[a-z_0-9]+\.h"/)
    return
  bad(n, "layers: a module includes no more than casting.h and its own files")
}

function check_include(n, line,    name, theirs) {
  if (in_module) {
    check_include_of_module(n, line)
    return
  }
  if (line ~ /^[ ]*#[ ]*include[ ]*</) {
    name = line
    sub(/^[^<]*</, "", name)
    sub(/>.*/, "", name)
    if (name ~ /^(lua|lauxlib|lualib|luajit|luaconf)\.h$/) {
      if (file !~ /^(src\/lua|include)\//)
        bad(n, "lua: " name " outside src/lua")
    } else if (!(name in standard) && file !~ /^src\/os\//) {
      bad(n, "os: " name " outside src/os")
    }
    return
  }
  name = line
  sub(/^[^"]*"/, "", name)
  sub(/".*/, "", name)
  theirs = module_of(directory, name)
  if (theirs == module) return
  if (rank_of(theirs, ".h") < 0) {
    bad(n, "layers: " theirs " has no place in tools/lint/layers")
  } else if (rank_of(module, extension) >= 0 &&
             rank_of(theirs, ".h") > rank_of(module, extension)) {
    bad(n, "layers: " module " is below " theirs)
  }
}

# Blanks out comments and strings; keeps what follows on the line.
function code_of(line,    out, i) {
  out = ""
  while (line != "") {
    if (in_comment) {
      i = index(line, "*/")
      if (i == 0) return out
      in_comment = 0
      line = substr(line, i + 2)
    } else if (match(line, /\/\*|\/\/|"/)) {
      out = out substr(line, 1, RSTART - 1)
      if (substr(line, RSTART, 1) == "\"") {
        line = substr(line, RSTART + 1)
        while (match(line, /\\.|"/) && substr(line, RSTART, 1) == "\\")
          line = substr(line, RSTART + 2)
        out = out "\"\""
        if (!match(line, /"/)) return out
        line = substr(line, RSTART + 1)
      } else if (substr(line, RSTART, 2) == "//") {
        return out
      } else {
        in_comment = 1
        line = substr(line, RSTART + 2)
      }
    } else {
      return out line
    }
  }
  return out
}

function check_line(n, line,    code, i, s, name) {
  if (length(line) > 80) bad(n, "width: " length(line) " columns")
  if (line ~ /\t/) bad(n, "width: a tab")
  if (line ~ /[ \t]$/) bad(n, "width: blanks at the end of the line")
  if (line ~ /(^|[^A-Za-z_])(TODO|FIXME|XXX)([^A-Za-z_]|$)/)
    bad(n, "todo: do it, or write down why not")
  s = line
  while (match(s, /PAIR [a-z_]+/)) {
    last_pair = n
    name = substr(s, RSTART + 5, RLENGTH - 5)
    last_name = name
    if (!in_opener) {
      pairs[name]++
      if (!(name in pair_at)) pair_at[name] = file ":" n
    }
    s = substr(s, RSTART + RLENGTH)
  }
  if (line ~ /^[ ]*#[ ]*include/) {
    check_include(n, line)
    return
  }
  if (n > 1 && !in_comment) in_opener = 0
  code = code_of(line)
  if (code ~ /^[ ]*#[ ]*(if|elif)/ && file !~ /^(src\/os|include)\//)
    if (code ~ /_WIN32|__linux__|__APPLE__|__unix__|__MINGW|_MSC_VER/ ||
        code ~ /__x86_64__|__i386__|__aarch64__|__arm__|__riscv|__s390x?__/ ||
        code ~ /__FreeBSD__|__GLIBC__|__ANDROID__|__powerpc|_POSIX_/)
      bad(n, "platform: #if about a platform outside src/os")
  if (code ~ /(^|[^A-Za-z_])long +[a-z_]+ *[=;,)\[]/ && code !~ /long long/ &&
      file !~ /^src\/os\// && !in_module)
    bad(n, "long: it holds no size everywhere; use size_t or int64_t")
  if (code ~ /luaL_(arg|opt|check([a-rt-z]|string))/ && !in_module &&
      file !~ /lua\/luasocket\// &&
      file !~ /lua\/[a-z]+\/(argument|builtin|starve|coroutine|embed|limited|program|restrict|version|(math|os)lib)\.[ch]$/)
    bad(n, "arguments: there is a function for it in lua/state/argument.h")
  if (code ~ /luaL_traceback/) bad(n, "stacks: see lua/stack.h")
  if (code ~ /(^|[^A-Za-z0-9_])volatile([^A-Za-z0-9_]|$)/)
    bad(n, "volatile: use an atomic")
  if (code ~ /atomic_(thread|signal)_fence/)
    bad(n, "fences: label the orderings of the accesses instead")
  if (code ~ /atomic_(load|store|exchange|fetch_[a-z]+|compare_exchange_[a-z]+)[ ]*\(/)
    bad(n, "atomics: use the _explicit form")
  if (code ~ /memory_order_(acquire|release|acq_rel|seq_cst|consume)/ &&
      (last_pair == 0 || n - last_pair > 6))
    bad(n, "atomics: no PAIR comment within the 6 lines before")
  # Such an access is both ends: of what others did, and for others.
  if (code ~ /memory_order_(acq_rel|seq_cst)/) both[last_name] = 1
  # A function: from a line in the first column that ends in "{" to a "}" there.
  if (code ~ /^[A-Za-z_].*\)[ ]*\{[ ]*$/ ||
      (code ~ /^[ ]+.*\)[ ]*\{[ ]*$/ && start == 0 && head > 0)) {
    start = n
    head = 0
  } else if (code ~ /^[A-Za-z_][^;{}=]*\([^;{}]*$/) {
    head = n
  } else if (code ~ /^\}/ || code ~ /;[ ]*$/) {
    if (code ~ /^\}/ && start > 0) {
      if (n - start + 1 > 70 && file !~ /pack/)
        bad(start, "size: a function of " n - start + 1 " lines")
      start = 0
    }
    head = 0
  }
}

BEGIN {
  n = split(layers, word, " ")
  for (i = 1; i <= n; i++) rank[word[i]] = i
  # time.h and signal.h and threads.h are about the system: not here.
  n = split("assert ctype errno float inttypes iso646 limits math stdalign " \
    "stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn " \
    "string setjmp", word, " ")
  for (i = 1; i <= n; i++) standard[word[i] ".h"] = 1

  while ((getline file) > 0) {
    directory = file
    sub(/[^\/]*$/, "", directory)
    base = substr(file, length(directory) + 1)
    module = module_of("", file)
    in_module = file ~ /^modules\//
    in_comment = start = head = last_pair = spdx = 0
    in_opener = 1
    extension = file
    sub(/.*[.]/, ".", extension)
    if (!in_module && rank_of(module, extension) < 0)
      bad(1, "layers: " module " has no place in tools/lint/layers")
    n = 0
    while ((getline line < file) > 0) {
      n++
      if (n == 1 && index(line, base " - ") == 0)
        bad(1, "opener: the first line is not \"" base " - purpose\"")
      if (n <= 3 && index(line, "SPDX-License-Identifier: MIT")) spdx = 1
      check_line(n, line)
    }
    close(file)
    if (!spdx) bad(1, "opener: no SPDX line")
    if (n > (file ~ /include\/casting\.h$/ ? 800 : 600))
      bad(n, "size: " n " lines in the file")
  }

  have_doc = 0
  while ((getline line < "docs/CONCURRENCY.md") > 0) {
    have_doc = 1
    doc = doc " " line
  }
  for (name in pairs) {
    file = pair_at[name]
    sub(/:[0-9]+$/, "", file)
    n = pair_at[name]
    sub(/.*:/, "", n)
    if (pairs[name] < 2 && !(name in both))
      bad(n, "atomics: PAIR " name " has only one end")
    if (have_doc && doc !~ "(^|[^a-z_])" name "([^a-z_]|$)")
      bad(n, "atomics: PAIR " name " is not in docs/CONCURRENCY.md")
  }
  exit errors > 0
}' || exit 1

# Documents. Bytes that go on with a character are not counted.
find . -name '*.md' ! -path './build/*' ! -path ./docs/benchmarks.md |
  LC_ALL=C sort | LC_ALL=C awk '
{
  file = $0
  for (n = 1; (getline line < file) > 0; n++) {
    gsub(/[\200-\277]/, "", line)
    if (length(line) > 120 && line !~ /^ *\|/) {
      print substr(file, 3) ":" n ": prose: " length(line) " columns"
      errors++
    }
  }
  close(file)
}
END { exit errors > 0 }' || exit 1

sh tools/lint/links.sh || exit 1

# Names of files, whether committed or not.
strange=$(LC_ALL=C find . \( -path ./.git -o -path ./build \) -prune -o \
  -name '*[!A-Za-z0-9._+-]*' -print | LC_ALL=C tr -c ' -~\n' '[?*]')
if [ -n "$strange" ]; then
  printf '%s\n' "$strange" | sed 's/$/:1: names: not that of a source/'
  exit 1
fi

# Signposts: each file of src and modules is in the README.md beside it, and each
# file that a comment or a document names exists.
for readme in $(find src modules -name README.md); do
  for f in "${readme%README.md}"*.[ch] "${readme%README.md}"*.lua; do
    [ -f "$f" ] || continue
    case $f in *.h) [ ! -f "${f%.h}.c" ] || continue ;; esac
    grep -q "\`${f##*/}\`" "$readme" || {
      echo "$readme: signposts: it has no line for ${f##*/}"
      exit 1
    }
  done
done
# One that lay there would be found before that of the build.
if [ -f src/lua/lib/embedded.h ]; then
  echo "src/lua/lib/embedded.h:1: signposts: the build makes it; remove it here"
  exit 1
fi
all=$(find src include modules examples bench tests tools lualib -type f | sed 's,.*/,,')
lost=$(find src modules docs CONTRIBUTING.md -name '*.[ch]' -o -name '*.md' |
  xargs grep -H -v '^ *# *include' | grep -o -E '^[^:]*:|\b[a-z_0-9]+\.[ch]\b' |
  awk '/:$/ { f = $0; next } { print f $0 }' |
  LC_ALL=C sort -u | LC_ALL=C awk -F: -v all="$all" '
    BEGIN {
      n = split(all " lua.c lua.h lauxlib.h lualib.h luajit.h memcheck.h " \
        "futex.h casting.c embedded.h e.c", word, "[ \n]+")
      for (i = 1; i <= n; i++) known[word[i]] = 1
    }
    !($2 in known)')
if [ -n "$lost" ]; then
  printf '%s\n' "$lost" | sed 's/$/: signposts: there is no such file/'
  exit 1
fi

# Races: each number that is used is that of a race in docs, or of a model's, and
# none is that of two.
numbers=$(grep -h -o -E '^- \*\*R[0-9]+' docs/*.md | grep -o -E 'R[0-9]+' |
  LC_ALL=C sort)
twice=$(printf '%s\n' "$numbers" | uniq -d)
known=$(printf '%s\n' "$numbers" "$(grep -o -E '^\| R[0-9]+ ' \
  tests/model/README.md | grep -o -E 'R[0-9]+')" | LC_ALL=C sort -u)
unknown=$(find src modules docs tests include -type f | xargs grep -h -o -w -E 'R[0-9]+' |
  LC_ALL=C sort -u | while read -r r; do
  printf '%s\n' "$known" | grep -q -x "$r" || echo "$r"
done)
if [ -n "$twice$unknown" ]; then
  echo "races: numbers of two:" $twice "; of none:" $unknown
  exit 1
fi

# Scripts: they must at least be parsed by the shell that will run them.
for f in dev bin/casting tools/*/*.sh; do
  sh -n "$f" || exit 1
done
if command -v bash >/dev/null 2>&1 && [ -f .ci/run ]; then
  bash -n .ci/run || exit 1
fi
if grep -n -E '(https?|ftp)://' /dev/null dev .ci/* tools/*/*.sh cmake/* \
  CMakeLists.txt | grep -v '^tools/lint/lint.sh:'; then
  echo "hosts: scripts name none, see tools/package/debian.sh"
  exit 1
fi

# The version of the rockspecs is that of casting.h.
version=$(sed -n 's/.*CASTING_VERSION "\(.*\)".*/\1/p' include/casting.h)
wrong=''
is_rockspec() { # is_rockspec FILE
  grep -s -q -x "version = \"$version-1\"" "$1" || {
    echo "$1:1: version: there is no such rockspec, or it is of another version"
    wrong=yes
    return 1
  }
}
is_rockspec "casting-$version-1.rockspec"

# Rocks: LuaRocks builds and installs what it finds in lists, no more.
for folder in modules/*/; do
  name=$(basename "$folder")
  rockspec=${folder}casting-$name-$version-1.rockspec
  is_rockspec "$rockspec" || continue
  files=$(for f in modules/import.c "$folder"*.c; do echo "\"$f\","; done
    for f in "$folder"*.lua; do
      part=$(basename "$f" .lua)
      [ "$part" != "$name" ] || part=''
      echo "[\"casting.$name${part:+.$part}\"] = \"$f\","
    done)
  listed=$(sed -n 's/^ *\([["].*modules\/.*\)/\1/p' "$rockspec")
  odd=$(printf '%s\n' "$files" "$listed" | LC_ALL=C sort | uniq -u)
  if [ -n "$odd" ]; then
    printf '%s\n' "$odd" |
      sed "s|^|$rockspec:1: rocks: missing, or not to be there: |"
    wrong=yes
  fi
done
[ -z "$wrong" ] || exit 1
