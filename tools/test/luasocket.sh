#!/bin/sh
# luasocket.sh - programs and libraries for LuaSocket, on casting.socket.
# SPDX-License-Identifier: MIT
#
#   LUAS="5.1 luajit" luasocket.sh [NAME ...]
#
# LuaSocket's own tests, from Debian's source package, which is fetched once,
# below build/luasocket; and Debian's libraries, with real servers, which are
# started here, on free ports of this machine, in a directory of their own, and
# ended here. The modules are those in build/release. NAMEs, such as "redis" or
# "httptest", choose some. Lines "figure ..." are for the reader; the last line
# counts: "N passed, M failed".
set -u
cd "$(dirname -- "$0")/../.." || exit 2
root=$PWD
chosen=" $* "
programs=$root/tools/test/luasocket
passed=0 failed=0
# shellcheck source=tools/package/debian.sh
. tools/package/debian.sh
ulimit -n "$(ulimit -H -n)" # a thousand connections

work=$(mktemp -d) || exit 2
chmod 755 "$work" # some servers run as other users
running='' postgres=''
finish() {
  # shellcheck disable=SC2086
  [ -z "$running" ] || kill $running 2>/dev/null
  [ -z "$postgres" ] || kill -INT "$postgres" 2>/dev/null
  wait
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

luas=''
for v in ${LUAS:-5.1 5.2 5.3 5.4 luajit}; do
  case $v in
  luajit) luas="$luas luajit" ;;
  5.5) ;; # Debian has no LuaSocket for it
  *) luas="$luas lua$v" ;;
  esac
done
for first in $luas; do break; done

# -- running -------------------------------------------------------------------

is_chosen() { # is_chosen NAME
  case $chosen in
  "  " | *" $1 "*) ;;
  *) return 1 ;;
  esac
}

# Runs a command for at most so many seconds. Then a program with casting tells
# what each of its tasks waits for.
limited() { # limited SECONDS LOG COMMAND ...
  seconds=$1 log=$2
  shift 2
  CASTING_REPORT_ON_QUIT=1 timeout -s QUIT -k 3 "$seconds" "$@" >"$log" 2>&1 \
    </dev/null
  status=$?
  case $status in
  124 | 131 | 137) echo "it hung, and was ended after $seconds s" >>"$log" ;;
  esac
  return $status
}
# The same with a Lua that finds the modules.
limited_lua() { # limited_lua SECONDS LOG LUA ARGUMENT ...
  seconds=$1 log=$2 lua=$3
  shift 3
  limited "$seconds" "$log" env LUA_CPATH="$root/build/release/$lua/?.so;;" \
    LUA_PATH="$programs/?.lua;;" "$lua" "$@"
}

good() { # good NAME
  passed=$((passed + 1))
  echo "ok $1"
}
bad() { # bad NAME LOG
  failed=$((failed + 1))
  echo "== $1"
  tail -n 60 "$2"
  echo "$1: failed"
}

# A program of tools/test/luasocket, on each version that has the module.
try() { # try NAME SECONDS MODULE
  is_chosen "$1" || return 0
  tried=no
  for lua in $luas; do
    if ! "$lua" -e "require '$3'" >/dev/null 2>&1; then continue; fi
    tried=yes
    if limited_lua "$2" "$work/log" "$lua" "$programs/try_$1.lua"; then
      good "$1 $lua"
      grep '^figure ' "$work/log"
    else
      bad "$1 $lua" "$work/log"
    fi
  done
  [ $tried = no ] || return 0
  echo "there is no $3 for any of$luas" >"$work/log"
  case $luas in
  *lua5.1*) bad "$1" "$work/log" ;; # all libraries are for 5.1, at least
  *) cat "$work/log" ;;
  esac
}

# -- servers -------------------------------------------------------------------

# A free port for each NAME, which is a variable in the environment then.
free_ports() { # free_ports NAME ...
  ports=$("$first" - "$@" <<'EOF'
local socket, servers = require "socket", {}
for i, name in ipairs(arg) do
  servers[i] = assert(socket.bind("127.0.0.1", 0))
  print(("export %s=%d"):format(name, select(2, servers[i]:getsockname())))
end
EOF
  ) && eval "$ports"
}

# Starts a server, and waits until it accepts connections at PORT.
start() { # start PORT COMMAND ...
  port=$1
  shift
  "$@" >"$work/$port.log" 2>&1 </dev/null &
  pid=$!
  running="$running $pid"
  accepts "$port" $pid && return
  bad "the server at port $port: $1" "$work/$port.log"
  return 1
}
accepts() { # accepts PORT PID
  tries=0
  while [ $tries -lt 200 ] && kill -0 "$2" 2>/dev/null; do
    if "$first" -e "if not require 'socket'.connect('127.0.0.1', $1) then
        os.exit(1)
      end"; then return 0; fi
    sleep 0.1
    tries=$((tries + 1))
  done
  return 1
}

start_redis() {
  free_ports REDIS_PORT
  export REDIS_PATH="$work/redis.socket"
  start "$REDIS_PORT" redis-server --bind 127.0.0.1 --port "$REDIS_PORT" \
    --unixsocket "$REDIS_PATH" --save '' --dir "$work" --maxclients 3000 \
    --tcp-backlog 2000
}

# Apache, which answers as httptest.lua wants it, and over TLS.
start_apache() {
  free_ports HTTP_PORT TLS_PORT
  web=$work/web
  mkdir -p "$web/test/auth" "$web/test/cgi" || return
  chmod 777 "$web/test"
  export CGI_PLACE="127.0.0.1:$HTTP_PORT/luasocket-test-cgi"
  export HTTPS_PLACE="127.0.0.1:$TLS_PORT/luasocket-test/file"
  export HTTPS_FILE="$web/test/file"
  "$first" -e 'io.write(("0123456789"):rep(20000))' >"$HTTPS_FILE"
  # Each with a file of its own in place of one in /tmp.
  printf '#!/bin/sh\necho Content-type: text/plain\necho\ncat\n' \
    >"$web/test/cgi/cat"
  printf '#!/bin/sh\n%s\nsleep 1\necho "$QUERY_STRING"\n' \
    'printf "Content-type: text/plain\n\n"' >"$web/test/cgi/slow"
  if [ -d "$tests" ]; then
    cp "$tests/index.html" "$web/test/"
    cp "$tests/auth/index.html" "$web/test/auth/"
    for file in "$tests"/cgi/*; do
      [ -e "$web/test/cgi/${file##*/}" ] || cp "$file" "$web/test/cgi/"
    done
  fi
  chmod 755 "$web"/test/cgi/*
  echo "luasocket:$(openssl passwd -apr1 password)" >"$web/passwords"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -keyout "$web/key" -out "$web/certificate" 2>/dev/null || return
  modules=/usr/lib/apache2/modules
  {
    for m in mpm_event authz_core authz_user authn_core authn_file \
      auth_basic alias dir mime cgid ssl; do
      echo "LoadModule ${m}_module $modules/mod_$m.so"
    done
    cat <<EOF
ServerRoot "$web"
ServerName 127.0.0.1
PidFile "$web/pid"
ErrorLog "$web/error.log"
ScriptSock "$web/cgi.socket"
TypesConfig /dev/null
Listen 127.0.0.1:$HTTP_PORT
Listen 127.0.0.1:$TLS_PORT
StartServers 1
ThreadsPerChild 128
MaxRequestWorkers 128
ThreadLimit 128
ServerLimit 1
$([ "$(id -u)" != 0 ] || printf 'User nobody\nGroup nogroup\n')
Alias "/luasocket-test" "$web/test"
ScriptAlias "/luasocket-test-cgi" "$web/test/cgi"
<Directory "$web/test/auth">
  AuthName "test-auth"
  AuthType Basic
  AuthUserFile "$web/passwords"
  Require valid-user
</Directory>
<VirtualHost 127.0.0.1:$TLS_PORT>
  SSLEngine on
  SSLCertificateFile "$web/certificate"
  SSLCertificateKeyFile "$web/key"
</VirtualHost>
EOF
  } >"$web/conf"
  start "$HTTP_PORT" apache2 -f "$web/conf" -D FOREGROUND
}

# As LuaSocket's ftptest.lua wants it.
start_ftp() {
  free_ports FTP_PORT
  mkdir -p "$work/ftp/home" "$work/ftp/public/pub" || return
  if [ -d "$tests" ]; then
    cp "$tests/index.html" "$work/ftp/home/"
    cp "$tests/index.html" "$work/ftp/home/#?"
    cp "$tests/index.html" "$work/ftp/public/pub/"
  fi
  start "$FTP_PORT" /usr/bin/python3 "$programs/ftpserver.py" "$FTP_PORT" \
    "$work/ftp/home" "$work/ftp/public"
}

start_smtp() {
  free_ports SMTP_PORT
  export SMTP_STORE="$work/mail"
  start "$SMTP_PORT" /usr/bin/python3 -m aiosmtpd -n \
    -l "127.0.0.1:$SMTP_PORT" -c aiosmtpd.handlers.Mailbox "$SMTP_STORE"
}

# It does not run as root.
start_postgres() {
  free_ports PG_PORT
  export PG_PATH="$work/pg"
  mkdir "$PG_PATH" || return
  bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
  as=''
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$PG_PATH"
    as='setpriv --reuid=postgres --regid=postgres --clear-groups'
  fi
  # shellcheck disable=SC2086
  if ! limited 60 "$work/log" $as "$bin/initdb" -D "$PG_PATH/data" -A trust \
    -U casting -E UTF8 --no-sync --locale=C; then
    bad initdb "$work/log"
    return 1
  fi
  # shellcheck disable=SC2086
  start "$PG_PORT" $as "$bin/postgres" -D "$PG_PATH/data" -p "$PG_PORT" \
    -c listen_addresses=127.0.0.1 -k "$PG_PATH" -c fsync=off
  status=$?
  postgres=$pid
  return $status
}

# -- LuaSocket's own tests -----------------------------------------------------

# A copy of its tests for one version, with what must be other: the addresses
# and ports of these servers for those of the author's network. What asks for
# port 80 is left out, and in httptest.lua a URL of no scheme, for which the
# request raises an error in socket.http.
copy_of() { # copy_of LUA
  free_ports A B C D
  copy=$work/tests.$1
  rm -rf "$copy"
  cp -r "$tests" "$copy" || return
  sed -i 's/"10\.0\.0\.1", 81/"127.0.0.1", FULLPORT/' "$copy/testclnt.lua"
  sed -i 's/ "5462"/ "'"$A"'"/' "$copy/test_socket_error.lua"
  sed -i "s/5088/$B/" "$copy/test_bind.lua"
  sed -i "s/5432/$C/" "$copy/udp-zero-length-send-recv"
  sed -i "s/8765/$D/" "$copy/tcp-getoptions"
  sed -i -e 's/^host = host or .*/host = HOST/' \
    -e '/^local r, e = http.request{url = host/,/tostring(e))$/d' \
    -e 's/host \.\. ":" \.\. prefix/host .. prefix/' \
    -e 's,"http:..www.tecgraf[^"]*","http:" .. "//" .. host .. prefix .. "/",' \
    "$copy/httptest.lua"
}

install="require('casting.socket').install()"

# What a program has written, without addresses of objects and tracebacks.
told() { # told LOG
  sed -e 's/0x[0-9a-f]*//g' -e '/^	/d' "$1"
}
# A test that runs by itself, with the original core, and with this one. What
# fails with both, and in the same way, is as it was.
own_test() { # own_test FILE [CODE]
  name=${1%.lua}
  is_chosen "$name" || return 0
  for lua in $luas; do
    cd "$work/tests.$lua" || return
    limited 60 "$work/original" "$lua" -e "${2:-}" "$1"
    original=$?
    if limited_lua 60 "$work/log" "$lua" -e "$install ${2:-}" "$1"; then
      good "$name $lua"
    elif [ $status = 1 ] && [ $original = 1 ] &&
      [ "$(told "$work/log")" = "$(told "$work/original")" ]; then
      echo "fails, as with the original core: $name $lua"
      good "$name $lua"
    else
      bad "$name $lua" "$work/log"
    fi
    cd "$root" || return
  done
}

# testclnt.lua has testsrvr.lua run pieces of Lua. It takes a minute, and waits
# for most of it, so it runs beside what follows.
begin_clients() {
  is_chosen testclnt || return 0
  for lua in $luas; do
    free_ports CONTROL
    code="$install host='127.0.0.1' port='$CONTROL' \
dofile '$programs/prelude.lua'"
    (
      cd "$work/tests.$lua" || exit 1
      trap - EXIT
      limited_lua 200 "$work/testsrvr.$lua" "$lua" -e "$code" testsrvr.lua &
      server=$!
      accepts "$CONTROL" $server &&
        limited_lua 180 "$work/testclnt.$lua" "$lua" -e "$code" testclnt.lua
      kill $server 2>/dev/null
      wait
    ) &
    running="$running $!"
    eval "client_$(echo "$lua" | tr -d .)=$!"
  done
}
end_clients() {
  is_chosen testclnt || return 0
  for lua in $luas; do
    eval "wait \$client_$(echo "$lua" | tr -d .)"
    log=$work/testclnt.$lua
    # A test that fails leaves with status 0.
    if grep -q 'done in' "$log" && ! grep -q 'ERROR' "$log"; then
      good "testclnt $lua"
    else
      echo "-- testsrvr.lua:" >>"$log"
      tail -n 10 "$work/testsrvr.$lua" >>"$log"
      bad "testclnt $lua" "$log"
    fi
  done
}

# -- all of them ---------------------------------------------------------------

tests=$root/build/luasocket/test
if [ ! -d "$tests" ]; then
  mkdir -p "$root/build"
  debian_source luasocket "$root/build/luasocket" >"$work/log" 2>&1 ||
    echo "skipped: no source of LuaSocket to be had ($(tail -n 1 "$work/log"))"
fi
if [ -d "$tests" ]; then
  for lua in $luas; do copy_of "$lua" || exit 2; done
  begin_clients
  for test in excepttest.lua ltn12test.lua mimetest.lua stufftest.lua \
    urltest.lua test_bind.lua test_getaddrinfo.lua test_socket_error.lua \
    udp-zero-length-send-recv; do
    own_test $test
  done
  own_test tcp-getoptions 'unpack = unpack or table.unpack'
fi

# Starts a server, if one of the NAMEs is chosen.
served() { # served SERVER NAME ...
  server=$1
  shift
  for name; do
    if is_chosen "$name"; then
      "start_$server"
      return
    fi
  done
  return 1
}

if served redis redis; then try redis 60 redis; fi
if served postgres postgres; then try postgres 60 socket; fi
if served smtp smtp; then try smtp 60 socket.smtp; fi
if served ftp ftp ftptest; then
  try ftp 60 socket.ftp
  [ ! -d "$tests" ] || own_test ftptest.lua "host = '127.0.0.1:$FTP_PORT'"
fi
try logging 60 logging.socket
try rpc 60 soap.client
try copas 60 copas
apache=no
if served apache httptest http luasec; then
  apache=yes
  try http 60 socket.http
  [ ! -d "$tests" ] || own_test httptest.lua "HOST = '127.0.0.1:$HTTP_PORT'"
fi
[ ! -d "$tests" ] || end_clients
# When the machine has nothing else to do: it measures a time.
[ $apache = no ] || try luasec 60 ssl.https

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
