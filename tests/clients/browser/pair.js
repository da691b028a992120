// Two browsers in two networks talk for ten seconds, and see each other: node pair.js MANNER ADDRESS:PORT NETNS NETNS ADDRESS ADDRESS
//
// The addresses are those of the ng protocol, and of the relay in the caller's and in the callee's network. MANNER says where
// ICE and DTLS end:
//
//   bundled         at the relay; sound and picture have one transport
//   passed          at the browsers, which are told no candidates but the relay's; their group passes, and they bundle
//   passed-bundled  the same, where the relay may bundle
'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const { Client } = require('rtpengine-client');
const { run } = require('../call');
const { Chromium, inTime } = require('./chromium');

const SECONDS = 10;
const CODECS = ['audio/opus', 'video/VP8', 'video/rtx'];
const PARTIES = [
  { hertz: 400, colour: [81, 90, 240] },
  { hertz: 1000, colour: [145, 54, 34] },
];
const BUNDLED = { bundle: ['accept', 'offer'] };
const MANNERS = {
  bundled: { options: { ICE: 'force', SDES: ['off'], 'rtcp-mux': ['require'], ...BUNDLED }, transports: 1, kind: 'host' },
  passed: { options: { ICE: 'force-relay' }, transports: 1, kind: 'relay', path: 'kernelized' },
  'passed-bundled': { options: { ICE: 'force-relay', ...BUNDLED }, transports: 1, kind: 'relay', path: 'kernelized' },
};
const [manner, server, ...rest] = process.argv.slice(2);
const [host, port] = server.split(':');
const [namespaces, relays] = [rest.slice(0, 2), rest.slice(2, 4)];
const { options, transports, kind, path } = MANNERS[manner];

// An SDP without the other browser's candidates.
const withoutOthers = (sdp, relay) =>
  sdp.replace(/^a=candidate:.*\r\n/gm, (line) => (line.split(' ')[4] === relay ? line : ''));

async function converse(browsers, ask) {
  const [caller, callee] = browsers;
  for (const browser of browsers) await browser.call('open', CODECS);
  const offered = await ask('offer', { sdp: await caller.call('offer'), direction: ['inner', 'outer'], ...options });
  const answer = await callee.call('answer', withoutOthers(offered.sdp, relays[1]));
  const answered = await ask('answer', { 'to-tag': 'callee', sdp: answer, direction: ['outer', 'inner'], ...options });
  await caller.call('accept', withoutOthers(answered.sdp, relays[0]));
  await Promise.all(browsers.map((browser) => browser.call('connected')));
  await Promise.all(browsers.flatMap((browser, index) => {
    const { hertz, colour } = PARTIES[1 - index];
    return [hertz, colour].map((wanted, section) => browser.call('perceives', section, wanted, SECONDS));
  }));
}

// Whether all went through the relay, and as it should.
async function check(browsers, ask) {
  for (const [index, browser] of browsers.entries()) {
    const found = await browser.call('report');
    console.log(JSON.stringify(found));
    assert.equal(found.transports.length, transports);
    for (const transport of found.transports) {
      assert.deepEqual([transport.address, transport.candidateType], [relays[index], kind]);
    }
    assert.equal(found.perceived[1].others, 0, 'pictures of another colour');
  }
  const { tags } = await ask('query', {});
  const { medias } = tags.caller;
  assert.equal(medias.length, 2);
  // What the browsers bundle goes by the first section's ports, whatever we know of that.
  for (const { streams } of path === 'kernelized' ? medias.slice(0, 1) : medias) {
    const { flags } = streams[0];
    const isKernelized = flags.includes('kernelized') && !flags.includes('no kernel support');
    assert.equal(isKernelized, path === 'kernelized', flags.join());
  }
}

run(async () => {
  const ng = new Client({ timeout: 20000 });
  await once(ng, 'listening');
  const ask = async (command, keys) => {
    const reply = await ng[command]({ host, port: Number(port) }, { 'call-id': manner, 'from-tag': 'caller', ...keys });
    assert.equal(reply.result, 'ok', JSON.stringify(reply));
    return reply;
  };
  const browsers = [];
  try {
    for (const [index, party] of PARTIES.entries()) {
      browsers.push(await Chromium.start({ ...party, namespace: namespaces[index] }));
    }
    await inTime(converse(browsers, ask), browsers);
    await check(browsers, ask);
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
  }
  await ask('delete', { 'delete-delay': 0 });
});
