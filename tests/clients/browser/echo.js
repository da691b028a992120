// A browser bundles sound and picture, and a phone with plain RTP echoes both for ten seconds, each from a port of its own:
//
//   node echo.js ADDRESS:PORT NETNS ADDRESS ADDRESS
//
// The addresses are those of the ng protocol, of the relay in the browser's network, and of the phone. Nothing in what the phone sends says
// which section it is for, but the payload type.
'use strict';
const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const { once } = require('node:events');
const { Client } = require('rtpengine-client');
const { run } = require('../call');
const { Chromium, inTime } = require('./chromium');

const SECONDS = 10;
const HERTZ = 400;
const COLOUR = [81, 90, 240];
const [server, namespace, relay, address] = process.argv.slice(2);
const [host, port] = server.split(':');

// A section of the phone: sends back what comes, as if it were its own. RTP without header extensions, and no RTCP.
async function section() {
  const socket = dgram.createSocket('udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  socket.on('message', (packet, { address, port }) => {
    if (packet[1] >= 192 && packet[1] <= 223) return;
    const contributors = 12 + 4 * (packet[0] & 15);
    const extension = packet[0] & 0x10 ? 4 + 4 * packet.readUInt16BE(contributors + 2) : 0;
    const header = Buffer.from(packet.subarray(0, contributors));
    header[0] &= ~0x10;
    header.writeUInt32BE(~packet.readUInt32BE(8) >>> 0, 8);
    socket.send(Buffer.concat([header, packet.subarray(contributors + extension)]), port, address);
  });
  return socket;
}

const sdpOf = ([audio, video]) => ['v=0', `o=- 1 1 IN IP4 ${address}`, 's=-', `c=IN IP4 ${address}`, 't=0 0',
  `m=audio ${audio.address().port} RTP/AVP 8`, `m=video ${video.address().port} RTP/AVP 96`, 'a=rtpmap:96 VP8/90000', ''].join('\r\n');

run(async () => {
  const ng = new Client({ timeout: 20000 });
  await once(ng, 'listening');
  const ask = async (command, keys) => {
    const reply = await ng[command]({ host, port: Number(port) }, { 'call-id': 'echo', 'from-tag': 'browser', ...keys });
    assert.equal(reply.result, 'ok', JSON.stringify(reply));
    return reply;
  };
  const phone = [await section(), await section()];
  const browser = await Chromium.start({ namespace, hertz: HERTZ, colour: COLOUR });
  const converse = async () => {
    await browser.call('open', ['audio/PCMA', 'video/VP8']);
    await ask('offer', {
      sdp: await browser.call('offer'), direction: ['inner', 'outer'], 'transport-protocol': 'RTP/AVP', ICE: 'remove',
      'rtcp-mux': ['demux'], bundle: ['accept'],
    });
    const answered = await ask('answer', { 'to-tag': 'phone', sdp: sdpOf(phone), direction: ['outer', 'inner'] });
    await browser.call('accept', answered.sdp);
    await browser.call('connected');
    await Promise.all([browser.call('perceives', 0, HERTZ, SECONDS), browser.call('perceives', 1, COLOUR, SECONDS)]);
    const { transports } = await browser.call('report');
    assert.deepEqual(transports.map(({ address }) => address), [relay]);
  };
  try {
    await inTime(converse(), [browser]);
  } finally {
    await browser.close();
  }
  await ask('delete', { 'delete-delay': 0 });
});
