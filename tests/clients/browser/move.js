// A browser talks to a phone with plain RTP, which echoes its tone, and moves: its address is taken away, it gets another one and
// restarts ICE.
//
//   node move.js MANNER ADDRESS:PORT NETNS ADDRESS ADDRESS
//
// The addresses are those of the ng protocol, of the relay in the browser's network, and of the phone. MANNER is `full` or `lite`:
// what ICE of the relay is.
'use strict';
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const dgram = require('node:dgram');
const { once } = require('node:events');
const { Client } = require('rtpengine-client');
const { run } = require('../call');
const { Chromium, inTime } = require('./chromium');

const SECONDS = 5;
const HERTZ = 400;
const COLOUR = [81, 90, 240];
// Of the browser, in its namespace: the addresses before and after.
const DEVICE = 'c0';
const BEFORE = '10.9.1.2';
const AFTER = '10.9.1.77';
const [manner, server, namespace, relay, address] = process.argv.slice(2);
const [host, port] = server.split(':');

// Sends back what comes, as if it were its own, and no RTCP.
async function echo() {
  const socket = dgram.createSocket('udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  socket.on('message', (packet, { address, port }) => {
    if (packet[1] >= 192 && packet[1] <= 223) return;
    const reply = Buffer.from(packet);
    reply.writeUInt32BE(~packet.readUInt32BE(8) >>> 0, 8);
    socket.send(reply, port, address);
  });
  return socket;
}

const sdpOf = (phone) => ['v=0', `o=- 1 1 IN IP4 ${address}`, 's=-', `c=IN IP4 ${address}`, 't=0 0',
  `m=audio ${phone.address().port} RTP/AVP 8`, ''].join('\r\n');

function changeAddress(action, address) {
  execFileSync('nsenter', [`--net=/run/netns/${namespace}`, 'ip', 'address', action, `${address}/24`, 'dev', DEVICE]);
}

run(async () => {
  const ng = new Client({ timeout: 20000 });
  await once(ng, 'listening');
  const ask = async (command, keys) => {
    const reply = await ng[command]({ host, port: Number(port) }, { 'call-id': 'move', 'from-tag': 'browser', ...keys });
    assert.equal(reply.result, 'ok', JSON.stringify(reply));
    return reply;
  };
  const phone = await echo();
  const browser = await Chromium.start({ namespace, hertz: HERTZ, colour: COLOUR });
  const negotiate = async (sdp) => {
    await ask('offer', {
      sdp, direction: ['inner', 'outer'], 'transport-protocol': 'RTP/AVP', ICE: 'remove', 'rtcp-mux': ['demux'],
      ...(manner === 'lite' && { 'ICE-lite': 'backward' }),
    });
    const answered = await ask('answer', { 'to-tag': 'phone', sdp: sdpOf(phone), direction: ['outer', 'inner'] });
    assert.equal(answered.sdp.includes('a=ice-lite'), manner === 'lite');
    await browser.call('accept', answered.sdp);
  };
  const hears = async (from) => {
    await browser.call('perceives', 0, HERTZ, SECONDS);
    const { transports } = await browser.call('report');
    assert.deepEqual(transports.map((transport) => [transport.from, transport.address]), [[from, relay]]);
  };
  const converse = async () => {
    await browser.call('open', ['audio/PCMA']);
    await negotiate(await browser.call('offer'));
    await browser.call('connected');
    await hears(BEFORE);
    changeAddress('delete', BEFORE);
    changeAddress('add', AFTER);
    await browser.call('disconnected');
    await negotiate(await browser.call('restart'));
    await hears(AFTER);
  };
  try {
    await inTime(converse(), [browser]);
  } finally {
    await browser.close();
    phone.close();
  }
  await ask('delete', { 'delete-delay': 0 });
});
