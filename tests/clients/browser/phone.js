// A browser as a SIP phone that has one codec: node phone.js HERTZ HERTZ CODEC ADDRESS:PORT PROXY:PORT [CALLEE]
//
// It calls, or waits for a call; says the first tone until it is stopped; and tells when it has heard the second for ten seconds.
'use strict';
const { run } = require('../call');
const { Chromium, inTime } = require('./chromium');
const { SipPhone } = require('./sip');

const SECONDS = 10;
const GREEN = [145, 54, 34];
const [says, hears, codec, address, proxy, callee] = process.argv.slice(2);

async function talk(browser, phone) {
  if (callee) {
    await browser.call('accept', await phone.call(callee, await browser.call('offer')));
  } else {
    await phone.pickUp((sdp) => browser.call('answer', sdp));
  }
  await browser.call('connected');
  await browser.call('perceives', 0, Number(hears), SECONDS);
  console.log(`${SECONDS} s heard of ${hears} Hz`);
}

run(async () => {
  const browser = await Chromium.start({ hertz: Number(says), colour: GREEN });
  const stopped = new Promise((resolve) => process.once('SIGTERM', resolve));
  let phone;
  try {
    await browser.call('open', [`audio/${codec}`]);
    // Whoever sees that it listens may call.
    phone = await SipPhone.start(address, proxy);
    await Promise.race([inTime(talk(browser, phone), [browser]), stopped]);
    await stopped;
  } finally {
    phone?.close();
    await browser.close();
  }
});
