#!/bin/sh
# nginx.sh - nginx with one worker, which is its only process.
# SPDX-License-Identifier: MIT
#
#     nginx.sh CERTIFICATE KEY FOLDER
#
# It cannot say which port it got: so this chooses one, below those that the
# system gives to clients.
port=$((20000 + $$ % 10000))
folder=$(cd "$3" && pwd) || exit 1
cat >"$folder/nginx.conf" <<END
daemon off;
master_process off;
pid $folder/nginx.pid;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path $folder/nginx;
  proxy_temp_path $folder/nginx;
  fastcgi_temp_path $folder/nginx;
  uwsgi_temp_path $folder/nginx;
  scgi_temp_path $folder/nginx;
  client_header_timeout 600;
  server {
    listen 127.0.0.1:$port ssl;
    ssl_certificate $(realpath "$1");
    ssl_certificate_key $(realpath "$2");
    ssl_protocols TLSv1.2 TLSv1.3;
  }
}
END
echo "$port"
exec nginx -p "$folder" -c "$folder/nginx.conf" -e "$folder/nginx.log"
