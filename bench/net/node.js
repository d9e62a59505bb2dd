// node.js - an echo server on Node: callbacks, one thread.
// SPDX-License-Identifier: MIT
//
// With the word `idle` as its argument, and --expose-gc before the file, it
// collects its garbage for "collect".

'use strict';

const net = require('net');
const collects = process.argv[2] === 'idle';

const server = net.createServer({ noDelay: true }, (client) => {
  client.on('data', (bytes) => {
    if (collects && bytes.length === 7) global.gc();
    client.write(bytes);
  });
  client.on('error', () => {});
});

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(server.address().port);
});
