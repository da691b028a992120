// A call over one WebSocket: node websocket.js SUBPROTOCOL json|bencode ADDRESS PORT
'use strict';
const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { once } = require('node:events');
const bencode = require('bencode');
const WebSocket = require('ws');
const { run, wholeCall } = require('./call');

const [protocol, format, host, port] = process.argv.slice(2);
const codec = {
  json: { encode: (keys) => Buffer.from(JSON.stringify(keys)), decode: (body) => JSON.parse(body) },
  bencode: { encode: (keys) => bencode.encode(keys), decode: (body) => bencode.decode(body, 'utf8') },
}[format];

// With cookies: a reply belongs to the request with the same one. The relay answers a cookie that it knows, from whatever
// connection, as it did before.
function withCookies(socket) {
  const waiting = new Map();
  socket.on('message', (message) => {
    const space = message.indexOf(' ');
    const cookie = message.subarray(0, space).toString();
    assert.ok(waiting.has(cookie), `a reply to no request: ${message}`);
    waiting.get(cookie)(codec.decode(message.subarray(space + 1)));
    waiting.delete(cookie);
  });
  return (keys) => new Promise((resolve) => {
    const cookie = randomUUID();
    waiting.set(cookie, resolve);
    socket.send(Buffer.concat([Buffer.from(`${cookie} `), codec.encode(keys)]));
  });
}

// Without: replies come in the order of the requests.
function inOrder(socket) {
  const waiting = [];
  socket.on('message', (message) => {
    assert.ok(waiting.length, `a reply to no request: ${message}`);
    waiting.shift()(codec.decode(message));
  });
  return (keys) => new Promise((resolve) => {
    waiting.push(resolve);
    socket.send(codec.encode(keys));
  });
}

run(async () => {
  const socket = new WebSocket(`ws://${host}:${port}/`, protocol);
  await once(socket, 'open');
  assert.equal(socket.protocol, protocol);
  const send = protocol === 'ng.rtpengine.com' ? withCookies(socket) : inOrder(socket);
  await wholeCall((command, keys) => send({ command, ...keys }), `${protocol}-${format}`, { many: true });
  socket.close();
  await once(socket, 'close');
  await isRefused('unheard-of.example.com');
});

async function isRefused(other) {
  const socket = new WebSocket(`ws://${host}:${port}/`, other);
  const [error] = await once(socket, 'error');
  assert.ok(error);
}
