#!/bin/sh
# prepare.sh - what `./dev bench http` compares with and Debian cannot install
# beside the rest.
# SPDX-License-Identifier: MIT
#
#     prepare.sh FOLDER
#
# FOLDER/lua gets nginx's module lua with what it needs: its LuaJIT is another
# library of the same name, so installing it removes LuaJIT, and it is unpacked
# only. FOLDER/node_modules gets the package ws for Node.
set -eu
mkdir -p "$1"
cd "$1"

if [ ! -d lua ]; then
  rm -rf new
  mkdir new
  (
    cd new
    apt-get -q download libnginx-mod-http-lua libnginx-mod-http-ndk \
      lua-resty-core lua-resty-lrucache libluajit2-5.1-2
    for package in *.deb; do dpkg -x "$package" .; done
    rm -f ./*.deb
  )
  mv new lua
fi

if [ ! -d node_modules/ws ]; then
  echo '{"private": true}' >package.json
  npm install --no-audit --no-fund --ignore-scripts ws@8
fi
