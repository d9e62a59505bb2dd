# help.sh - what `./dev help` and `./dev COMMAND --help` say; part of dev, which
# sources it.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154

usage() {
  cat <<'EOF'
usage: ./dev COMMAND

  run FILE [ARGS]      run a Lua program with `require "casting"` at hand
  test [PATTERN]       build and run the unit and Lua tests on all versions;
                       PATTERN (a regular expression) chooses some by name
  check [NAME ...]     the deeper checks, all or some of:
                         lint format house docs warnings models tsan asan ubsan
                         shrink inject collect allocfail tidy fuzz coverage valgrind
                         mutants browser luasocket packages portable qemu
                         bigendian bare
        [--budget S]     skip what would not end within S seconds
  bench [NAME [ARGS]]  run bench/NAME.lua, or all of them
  bench compare        beside Go, Erlang and plain coroutines, on three Luas:
                       writes docs/benchmarks.*; options: bench/README.md
  bench http           HTTP, beside nginx, Go, Node, cqueues, luv
  bench net            sockets, beside a loop of epoll, Go, luv, cqueues, Node
  bench luasocket      casting.socket, beside LuaSocket's own core
  bench tls            TLS, beside nginx and a server in C
  docs                 make a site of all documents, in build/docs; open its
                       index.html in a browser
  format [FILE ...]    apply .clang-format to all C sources, or some
  install [PREFIX]     install for every Lua version found (/usr/local): modules,
                       libraries, header, pkg-config files, types, man pages,
                       and the program casting
  deb                  build Debian packages, in build/deb
  lua55                build Lua 5.5 for the tests, from Debian's source package,
                       in $XDG_CACHE_HOME/casting (~/.cache/casting)
  clean                remove build/
  help [COMMAND]       this text, or more about a command (as COMMAND --help)

Environment:
  LUA     the interpreter of run and bench (default: the newest one present)
  LUAS    the versions of test, check and install, for example "5.4 luajit"
          (default: 5.1 5.2 5.3 5.4 luajit, and 5.5 where it is installed or
          was built by ./dev lua55)
  CC      the C compiler; a build folder of another one is begun anew
  TESTS   a regular expression: the checks that run tests run only these
  FUZZ    how many seconds the check fuzz runs (default: 60)
  SEED    of the inputs that the check fuzz sends to servers (default: the time)
  JOBS    how many compilers or tests run at once (default: all processors)
EOF
}

# What `./dev COMMAND --help` prints.
help_of() { # help_of COMMAND
  case $1 in
  run)
    cat <<'EOF'
usage: ./dev run FILE [ARGS]

Builds casting for one Lua, if that is necessary, and runs FILE with it; ARGS
are the program's. Lua's own options (-e, -i, -l and so on) may come first.

  LUA=luajit ./dev run FILE    with another Lua than the newest one present
  CC=clang ./dev run FILE      built with another compiler
EOF
    ;;
  test)
    cat <<'EOF'
usage: ./dev test [PATTERN]

Builds the unit tests and the modules of all Lua versions, and runs the tests,
or those whose name matches PATTERN, a regular expression. Names are such as
unit/chan, lua/select/lua5.4, regress/043-a-period-of-300-years/luajit,
rules/lint. The last line is "N passed, M failed".

  LUAS="5.4 luajit" ./dev test select    on two versions
  JOBS=1 ./dev test                      one at a time
EOF
    ;;
  check)
    cat <<'EOF'
usage: ./dev check [NAME ...] [--budget SECONDS]

Runs all checks, or those that are named, in an order of its own:
EOF
    # shellcheck source=tools/test/check.sh
    . "$root/tools/test/check.sh"
    echo "$checks" | tr ' ' '\n' | sed 's/:.*//' | paste -s -d ' ' - |
      fold -s -w 76 | sed 's/^/  /'
    cat <<'EOF'
With --budget, those that would not end in that time are left out.
CONTRIBUTING.md says what each is for. The last line is "N passed, M failed".

  TESTS=select ./dev check asan     only the tests whose name matches
  LUAS=5.4 ./dev check tsan         on one version
EOF
    ;;
  bench)
    cat <<'EOF'
usage: ./dev bench [NAME [ARGS]]
       ./dev bench compare [OPTIONS]
       ./dev bench http [OPTIONS]
       ./dev bench net [OPTIONS]
       ./dev bench luasocket [--rounds N] [--seconds S] [--smoke]
       ./dev bench tls [OPTIONS]

Runs bench/NAME.lua, or all of them; ARGS such as --rounds 3, --seconds 0.5,
--place one. "compare" and "net" install and run others beside casting; their
OPTIONS: --rounds N, --seconds S, --only A,B, --columns PATTERN, --append,
--data FILE, --report, --smoke; those of "http" and "tls": --rounds, --seconds,
--only, --smoke. See bench/README.md.

  LUA=luajit ./dev bench pingpong
EOF
    ;;
  docs)
    cat <<'EOF'
usage: ./dev docs

Makes a site of all documents, with a search box, in build/docs.
EOF
    ;;
  format)
    cat <<'EOF'
usage: ./dev format [FILE ...]

Applies .clang-format to all C sources, or to some.
EOF
    ;;
  install)
    cat <<'EOF'
usage: ./dev install [PREFIX]

Installs casting below PREFIX (/usr/local) for each Lua that is there: modules,
libraries, header, files for pkg-config, types, man pages, and the program
casting. Of the optional modules, those whose libraries are there; it says which
it has left out.
Programs in C that are linked to it start: root has ldconfig run, and where the
system's loader does not look, the files for pkg-config say so to the program.

  LUAS="5.4 luajit" ./dev install        only for these
  ./dev install ~/.local                 without the rights of root
  DESTDIR=/tmp/x ./dev install /usr      below another root, for packagers
EOF
    ;;
  deb)
    cat <<'EOF'
usage: ./dev deb

Builds the Debian packages lua-casting, lua-casting-tls, lua-casting-http and
lua-casting-dev, in build/deb, with Debian's own compiler.
EOF
    ;;
  lua55)
    cat <<'EOF'
usage: ./dev lua55

Builds Lua 5.5 from Debian's source package, for the tests, in
$XDG_CACHE_HOME/casting (~/.cache/casting), unless it is there.
EOF
    ;;
  clean)
    cat <<'EOF'
usage: ./dev clean

Removes build/, with all that ./dev has built.
EOF
    ;;
  help) usage ;;
  esac
}
