// node.js - the servers of Node that `./dev bench http` measures.
// SPDX-License-Identifier: MIT
//
//     node.js              "Hello, World!"
//     node.js websocket    a websocket that echoes, of the package ws

'use strict';

const http = require('http');

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.end('Hello, World!');
});

if (process.argv[2] === 'websocket') {
  const { WebSocketServer } = require('ws');
  new WebSocketServer({ server }).on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.on('error', () => {});
  });
}

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(server.address().port);
});
