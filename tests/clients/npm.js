// A call by npm's rtpengine-client: node npm.js udp|tcp|websocket ADDRESS PORT
'use strict';
const { once } = require('node:events');
const { Client, TcpClient, WsClient } = require('rtpengine-client');
const { run, wholeCall } = require('./call');

const [transport, host, port] = process.argv.slice(2);
const timeout = 20000;
const open = {
  udp: () => [new Client({ timeout }), 'listening'],
  tcp: () => [new TcpClient({ hostport: `${host}:${port}`, timeout }), 'connect'],
  websocket: () => [new WsClient({ url: `ws://${host}:${port}`, timeout }), 'listening'],
};

run(async () => {
  const [client, ready] = open[transport]();
  await once(client, ready);
  const peer = transport === 'udp' ? [{ host, port: Number(port) }] : [];
  const ask = (command, keys) => client[command](...peer, keys);
  // Over TCP this client takes whatever comes in one piece for one reply.
  await wholeCall(ask, `npm-${transport}`, { many: transport !== 'tcp' });
});
