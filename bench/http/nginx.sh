#!/bin/sh
# nginx.sh - nginx with one worker, which is its only process.
# SPDX-License-Identifier: MIT
#
#     nginx.sh lua PARTS FOLDER     "Hello, World!" of the module lua, which is
#                                   unpacked in PARTS (prepare.sh)
#     nginx.sh files ROOT FOLDER    the files of a folder
#     nginx.sh kept ROOT FOLDER     the same with a cache of open files
#
# FOLDER is for its own files. It cannot say which port it got: so this chooses
# one, below those that the system gives to clients.
kind=$1 of=$(realpath "$2")
port=$((20000 + $$ % 10000))
folder=$(cd "$3" && pwd) || exit 1
modules='' shared='' place="root $of;"
case $kind in
lua)
  modules="
    load_module $of/usr/lib/nginx/modules/ndk_http_module.so;
    load_module $of/usr/lib/nginx/modules/ngx_http_lua_module.so;"
  shared="lua_package_path '$of/usr/share/lua/5.1/?.lua;;';"
  place="default_type 'text/plain; charset=utf-8';
    content_by_lua_block {
      ngx.header.content_length = 13
      ngx.print('Hello, World!')
    }"
  for library in "$of"/usr/lib/*/libluajit-5.1.so.2; do
    LD_LIBRARY_PATH=${library%/*}
  done
  export LD_LIBRARY_PATH
  ;;
kept) shared='open_file_cache max=1000 inactive=60s;
    open_file_cache_valid 60s;' ;;
esac
cat >"$folder/nginx.conf" <<CONF
daemon off;
master_process off;
pid $folder/nginx.pid;
$modules
events { worker_connections 20000; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  client_body_temp_path $folder/nginx;
  proxy_temp_path $folder/nginx;
  fastcgi_temp_path $folder/nginx;
  uwsgi_temp_path $folder/nginx;
  scgi_temp_path $folder/nginx;
  types { text/plain txt; }
  $shared
  server {
    listen 127.0.0.1:$port;
    location / { $place }
  }
}
CONF
echo "$port"
exec nginx -p "$folder" -c "$folder/nginx.conf" -e "$folder/nginx.log"
