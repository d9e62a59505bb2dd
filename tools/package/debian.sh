# debian.sh - what Debian's archive has, from the mirrors that this machine
# names itself; for other scripts to source.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh

# Copies the machine's lists of package sources into DIR, turned into lists of
# source packages. Suites with a "-" in their names (updates, backports) are
# left out. With SUITE, that one takes the place of the machine's own.
debian_lists() { # debian_lists DIR [SUITE]
  main=/etc/apt/sources.list parts=/etc/apt/sources.list.d
  eval "$(apt-config shell main Dir::Etc::SourceList/f \
    parts Dir::Etc::SourceParts/d)" || return 1
  mkdir -p "$1" || return 1
  for list in "$main" "${parts%/}"/*.list; do
    [ -f "$list" ] || continue
    # "deb [options] URI suite component ..." on one line.
    awk -v suite="${2:-}" '
      $1 == "deb" {
        uri = 2
        if ($2 ~ /^\[/) while ($(uri++) !~ /\]$/ && uri < NF);
        at = uri + 1
        if ($uri ~ /^cdrom:/ || at > NF || $at ~ /[-\/]/) next
        $1 = "deb-src"
        if (suite != "") $at = suite
        print
      }' "$list" >"$1/${list##*/}.list" || return 1
  done
  for list in "${parts%/}"/*.sources; do
    [ -f "$list" ] || continue
    # Paragraphs of lines "Field: value"; lines that go on begin with a blank.
    awk -v suite="${2:-}" '
      function flush(    i) {
        if (suites != "") {
          for (i = 1; i <= n; i++) print line[i]
          print "Suites: " suites "\n"
        }
        n = 0
        suites = ""
      }
      /^[ \t]*$/ { flush(); next }
      /^#/ { next }
      tolower($1) == "types:" { $0 = "Types: deb-src" }
      tolower($1) == "suites:" {
        for (i = 2; i <= NF; i++)
          if ($i !~ /[-\/]/) suites = suite != "" ? suite : suites " " $i
        next
      }
      { line[++n] = $0 }
      END { flush() }' "$list" >"$1/${list##*/}" || return 1
  done
}

# The first mirror of these, for debootstrap.
debian_mirror() { # debian_mirror
  lists=$(mktemp -d) || return 1
  debian_lists "$lists" || return 1
  cat "$lists"/* | sed -n -e 's/^deb-src \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' \
    -e 's/^[Uu][Rr][Ii][Ss]: *\([^ ]*\).*/\1/p' | head -n 1
  rm -rf "$lists"
}

# Unpacks the source of PACKAGE, without Debian's changes, as DIR. On failure
# the last line of the output says why.
debian_source() { # debian_source PACKAGE DIR [SUITE]
  package=$1 into=$2 suite=${3:-}
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "there is no apt-get"
    return 1
  fi
  rm -rf "$into" "$into.new" "$into.apt"
  mkdir -p "$into.new" "$into.apt/lists/partial" "$into.apt/cache" &&
    debian_lists "$into.apt/sources" "$suite" || return 1
  # Nothing of the machine's own apt changes.
  set -- -q -o Dir::Etc::SourceList=/dev/null \
    -o Dir::Etc::SourceParts="$into.apt/sources" \
    -o Dir::State::Lists="$into.apt/lists" -o Dir::Cache="$into.apt/cache" \
    -o APT::Sandbox::User= -o Acquire::Languages=none
  # A machine may name several mirrors, and not all need have that suite.
  apt-get "$@" update || :
  if (cd "$into.apt/cache" &&
    apt-get "$@" source --download-only --tar-only "$package") &&
    tar -C "$into.new" --strip-components=1 \
      -xf "$into.apt/cache/${package}_"*.orig.tar.*; then
    rm -rf "$into.apt"
    mv "$into.new" "$into"
  else
    rm -rf "$into.apt" "$into.new"
    echo "no mirror that this machine names has it${suite:+ in $suite}"
    return 1
  fi
}
