// node.js - Node's server for tests/fuzz/http_peers.lua: takes what it takes,
// and says in a field what it was.
// SPDX-License-Identifier: MIT
'use strict'
const http = require('http')

// What is said of a request, when its body has ended.
function answer (req, res, size) {
  const last = req.method === 'GET' && req.url === '/last'
  const seen = last ? 'last' : `${req.method} ${size}`
  res.writeHead(200, { 'X-Seen': seen, 'Content-Length': 0 })
  res.end()
}

const server = http.createServer({ maxHeaderSize: 65536 }, (req, res) => {
  const { socket } = req
  let size = 0
  socket.asked = (socket.asked || []).filter(r => !r.answered)
  socket.asked.push(req)
  req.on('data', data => { size += data.length })
  req.on('error', () => {})
  req.on('end', () => {
    answer(req, res, size)
    req.answered = true
  })
})

// Answers to requests that are whole must go out before the refusal of what
// stands behind them; Node would drop them.
function finish (socket, text) {
  const waits = (socket.asked || []).some(r => r.complete && !r.answered)
  if (waits) return setImmediate(finish, socket, text)
  if (socket.writable) socket.end(text)
}
server.on('clientError', (e, socket) => {
  finish(socket, 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
})
server.on('connect', (req, socket) => {
  finish(socket, 'HTTP/1.1 501 Not Implemented\r\nConnection: close\r\n\r\n')
})
// Behind an offer to upgrade Node would wait for ever.
server.on('connection', socket => {
  socket.on('end', () => setImmediate(finish, socket, ''))
})

// A client that has ended its side still gets its answers.
server.httpAllowHalfOpen = true
server.listen(process.argv[2])
