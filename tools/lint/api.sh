#!/bin/sh
# api.sh - every public function is documented, has a type stub and is tested.
# SPDX-License-Identifier: MIT
#
#   api.sh [ROOT]    prints what lacks where, and how many of all functions lack
#                    nothing; exit status 1 if anything does
#
# Lua: the functions are those of the luaL_Reg arrays in src/lua; the array's
# C name says what they belong to (channel, task, session, else the module), for
# casting.net, casting.process, casting.fs and casting.socket its file's name;
# and the methods of scopes, supervisors and watches in lualib/casting.
# C: the functions declared with CASTING_API in include/casting.h.
#   manual   a heading of a page of docs/manual names it: casting.NAME for the
#            module, channel:NAME, task:NAME and so on for methods; what stands
#            below it has the form that index.md describes; and index.md lists
#            it. A C function: a comment in casting.h, its name in
#            docs/c-api.md, and that of its manual page in docs/casting.7
#   stub     lualib/casting.d.lua defines it: casting.NAME, or Class:NAME
#   test     a file in tests/lua calls it; for C, one in tests/unit
set -u
cd "${1:-$(dirname -- "$0")/../..}" || exit 2
status=0
missing=0
lacking=''

lacks() { # lacks WHERE FUNCTION
  echo "$2 lacks $1"
  status=1
  case " $lacking " in
  *" $2 "*) ;;
  *) lacking="$lacking $2" missing=$((missing + 1)) ;;
  esac
}

# Prints "class name" for each Lua function.
lua_functions() {
  awk '
    /luaL_Reg +[a-z_]+\[\]/ {
      class = "casting"
      if ($0 ~ /net_functions/) class = "net"
      if (FILENAME ~ /net_stream/) class = "stream"
      if (FILENAME ~ /net_listener/) class = "listener"
      if (FILENAME ~ /net_udp/) class = "udp"
      if (FILENAME ~ /io\/net\.c/) class = "" # internal.sockets
      if ($0 ~ /fs_functions/) class = "fs"
      if ($0 ~ /cast_(fs|watch)_functions/) class = "" # internal.files
      if ($0 ~ /process_functions/) class = "process"
      if (FILENAME ~ /proc_handle/) class = "program"
      if (FILENAME ~ /fs_file/) class = "file"
      if ($0 ~ /cast_proc_functions/) class = "" # internal.processes
      if ($0 ~ /channel|chan/) class = "channel"
      if ($0 ~ /task/) class = "task"
      if ($0 ~ /session/) class = "session"
      if ($0 ~ /service/) class = "service"
      if ($0 ~ /message/) class = "message"
      if ($0 ~ /semaphore/) class = "semaphore"
      if ($0 ~ /broadcast/) class = "broadcast"
      if ($0 ~ /limiter/) class = "limiter"
      if ($0 ~ /permit/) class = "permit"
      if ($0 ~ /socket_functions/) class = "socket"
      if ($0 ~ /launcher_functions/) class = "" # of the program casting
      if (FILENAME ~ /luasocket\//) class = "" # of LuaSocket
      if ($0 ~ /loadedlibs|openers|libs\[|replaced\[|internal|builtins/) class = ""
      inside = 1
    }
    inside {
      line = $0
      while (match(line, /\{ *"[a-z_]+" *,/)) {
        name = substr(line, RSTART, RLENGTH)
        gsub(/[^a-z_]/, "", name)
        if (class != "" && name !~ /^__/) print class, name
        line = substr(line, RSTART + RLENGTH)
      }
      if ($0 ~ /\};|\{NULL/) inside = 0
    }' src/lua/*/*.c 2>/dev/null | LC_ALL=C sort -u
  sed -n 's/^function Scope:\([a-z][a-z_]*\).*/scope \1/p' \
    lualib/casting/scope.lua 2>/dev/null
  sed -n 's/^function Handle:\([a-z][a-z_]*\).*/supervisor \1/p' \
    lualib/casting/handle.lua 2>/dev/null
  sed -n -e 's/^function Pool:\([a-z][a-z_]*\).*/pool \1/p' \
    -e 's/^function Lease:\([a-z][a-z_]*\).*/lease \1/p' \
    lualib/casting/pool.lua 2>/dev/null
  sed -n 's/^function Pipeline:\([a-z][a-z_]*\).*/pipeline \1/p' \
    lualib/casting/stream.lua 2>/dev/null
  sed -n 's/^function methods:\([a-z][a-z_]*\).*/watch \1/p' \
    lualib/casting/fs_watcher.lua 2>/dev/null
}

functions=$(lua_functions)
if [ -n "$(find src/lua -name 'lib_*.c' 2>/dev/null)" ] &&
  [ -z "$functions" ]; then
  echo "found no luaL_Reg array in src/lua"
  exit 1
fi
while read -r class name; do
  [ -n "$class" ] || continue
  case $class in
  casting | net | process | fs | socket)
    call="$class[.]$name" heading=$call stub=$call text="$class.$name"
    ;;
  *)
    heading="$class:$name"
    stub="$class[:.]$name"
    call=":$name"
    text="$class:$name"
    ;;
  esac
  end='([^a-z_]|$)'
  grep -q -s -E "^## $heading$end" docs/manual/*.md ||
    lacks "a heading in docs/manual" "$text"
  grep -q -s -E "^\\| \[\`$heading$end" docs/manual/index.md ||
    lacks "a line in docs/manual/index.md" "$text"
  grep -q -s -i -E "(function|field) +([a-z_.]*[.])?$stub$end" \
    lualib/casting.d.lua || lacks "a stub in lualib/casting.d.lua" "$text"
  cat tests/lua/*.lua modules/*/tests/*.lua 2>/dev/null | grep -q -E "$call$end" ||
    lacks "a test in tests/lua" "$text"
done <<EOF
$functions
EOF

# The form of the manual's entries: each heading that is a call has a list below
# it with what it returns and raises, and its arguments, if it has any.
malformed() {
  cat docs/manual/*.md | awk '
    function close_entry() {
      if (call == "") return
      if (args && !("Arguments" in has)) print call, "Arguments"
      if (!("Returns" in has)) print call, "Returns"
      if (!("Errors" in has)) print call, "Errors"
    }
    /^```/ { code = !code }
    code { next }
    /^#+ / {
      close_entry()
      call = $0 ~ /^## [a-z_.:]+\(.*\)$/ ? $2 : ""
      sub(/\(.*/, "", call)
      args = $0 !~ /\(\)$/
      split("", has)
    }
    /^- \*\*[A-Z][a-z]+:\*\*/ {
      gsub(/[*:]/, "", $2)
      has[$2] = 1
    }
    END { close_entry() }'
}
while read -r name part; do
  [ -z "$name" ] || lacks "\"$part\" in its entry of the manual" "$name"
done <<EOF
$(malformed)
EOF

for page in docs/manual/*.md; do
  page=$(basename "$page")
  [ "$page" = index.md ] || grep -q "^- \[.*\](${page})" docs/manual/index.md ||
    lacks "a line in docs/manual/index.md" "docs/manual/$page"
done

# The comment that a declaration belongs to may be that of a group before it: a
# group ends at an empty line.
undocumented() {
  awk '
    /^\/\*/ || /\*\/$/ { commented = 1 }
    /^$/ { if (!after_section) commented = 0 }
    { after_section = /^\/\* -- / }
    /^CASTING_API / {
      line = $0
      sub(/\(.*/, "", line)
      sub(/.*[ *]/, "", line)
      if (!commented) print line
    }' include/casting.h
}
for name in $(undocumented); do
  lacks "a comment in include/casting.h" "$name"
done
c_functions=$(sed -n 's/^CASTING_API .*[ *]\([a-z_]*\)(.*/\1/p' include/casting.h)
for name in $c_functions; do
  grep -q -s -E "$name([^a-z_]|\$)" docs/c-api.md ||
    lacks "a mention in docs/c-api.md" "$name"
  [ "$name" = luaopen_casting ] ||
    cat tests/unit/*.c 2>/dev/null | grep -q -E "$name *\\(" ||
    lacks "a test in tests/unit" "$name"
done

# The manual pages: they can be made, and casting(7) lists them.
pages=$(mktemp -d) || exit 2
sh tools/gen/man.sh "$pages" || status=1
for page in "$pages"/*.3; do
  name=$(basename "$page" .3)
  head -n 1 "$page" | grep -q '^\.so ' ||
    grep -q "^\.BR $name (3)" docs/casting.7 ||
    lacks "a mention in docs/casting.7" "$name"
done
rm -r "$pages"

# Each function is looked up in several places; any that is lacking counts.
total=$(($(printf '%s\n' "$functions" | grep -c .) +
  $(printf '%s\n' "$c_functions" | grep -c .)))
echo "$total public functions, $((100 * (total - missing) / total)) %" \
  "documented, stubbed, tested"
exit $status
