// One call from the first offer to its end, and what goes wrong on the way.
'use strict';
const assert = require('node:assert/strict');

const CALLER = { port: 40000, tag: 'caller' };
const CALLEE = { port: 40010, tag: 'callee' };

const sdpOf = (party, direction = 'sendrecv') =>
  ['v=0', `o=- ${party.port} 1 IN IP4 127.0.0.1`, 's=-', 'c=IN IP4 127.0.0.1', 't=0 0',
    `m=audio ${party.port} RTP/AVP 8`, 'a=rtpmap:8 PCMA/8000', `a=${direction}`, ''].join('\r\n');

const portIn = (sdp) => Number(/^m=audio (\d+) RTP\/AVP 8\r$/m.exec(sdp)[1]);

// Goes through the call. `ask(command, keys)` promises the reply; `many` says whether requests may overtake each other.
async function wholeCall(ask, id, { many }) {
  const call = { 'call-id': id };
  const offerOf = (from, to) => ({ ...call, 'from-tag': from.tag, ...(to && { 'to-tag': to.tag }), sdp: sdpOf(from) });
  const succeed = async (command, keys) => {
    const reply = await ask(command, keys);
    assert.equal(reply.result, command === 'ping' ? 'pong' : 'ok', JSON.stringify(reply));
    return reply;
  };
  const fail = async (command, keys, reason) =>
    assert.deepEqual(await ask(command, keys), { result: 'error', 'error-reason': reason });
  const answerOf = (from, to) => ({ ...call, 'from-tag': to.tag, 'to-tag': from.tag, sdp: sdpOf(from) });

  await succeed('ping', {});
  await fail('query', call, 'Unknown call-id');
  await fail('answer', answerOf(CALLEE, CALLER), 'Unknown call-id');
  await fail('offer', { ...call, sdp: sdpOf(CALLER) }, 'No from-tag in message');
  await fail('offer', { 'from-tag': CALLER.tag, sdp: sdpOf(CALLER) }, 'No call-id in message');
  assert.deepEqual((await succeed('list', {})).calls, [], 'what was refused left nothing');

  const calleeIsTold = portIn((await succeed('offer', offerOf(CALLER))).sdp);
  const callerIsTold = portIn((await succeed('answer', answerOf(CALLEE, CALLER))).sdp);
  const ports = [CALLER.port, CALLEE.port, calleeIsTold, callerIsTold];
  assert.equal(new Set(ports).size, 4, `${ports}`);
  assert.deepEqual((await succeed('list', { limit: 10 })).calls, [id]);

  const streamOf = (statistics, party) => statistics.tags[party.tag].medias[0].streams[0];
  let statistics = await succeed('query', call);
  assert.deepEqual(Object.keys(statistics.tags).sort(), [CALLEE.tag, CALLER.tag]);
  assert.equal(streamOf(statistics, CALLER)['local port'], callerIsTold);
  assert.equal(streamOf(statistics, CALLEE)['local port'], calleeIsTold);
  assert.equal(statistics.totals.RTP.packets, 0);

  // The callee re-INVITEs.
  assert.equal(portIn((await succeed('offer', offerOf(CALLEE, CALLER))).sdp), callerIsTold);
  assert.equal(portIn((await succeed('answer', answerOf(CALLER, CALLEE))).sdp), calleeIsTold);
  await fail('offer', { ...offerOf(CALLER, CALLEE), sdp: 'v=1' }, 'Failed to parse SDP');
  statistics = await succeed('query', { ...call, 'from-tag': CALLER.tag });
  assert.equal(streamOf(statistics, CALLER)['local port'], callerIsTold);

  if (many) await severalAtOnce(succeed, fail, call);

  assert.ok((await succeed('delete', { ...call, 'from-tag': CALLER.tag, 'delete-delay': 0 })).totals);
  const again = await ask('delete', { ...call, 'from-tag': CALLER.tag });
  assert.deepEqual([again.result, again.warning], ['ok', 'Call-ID not found or tags didn\'t match']);
  assert.deepEqual((await succeed('list', {})).calls, []);
}

// Each reply must come to its own request.
async function severalAtOnce(succeed, fail, call) {
  const all = [];
  for (let number = 0; number < 40; number++) {
    const own = { 'call-id': `${call['call-id']}-${number}`, 'from-tag': `${number}`, sdp: sdpOf({ port: 41000 + 2 * number }) };
    all.push(succeed('ping', {}));
    all.push(fail('query', { 'call-id': own['call-id'] + '-unknown' }, 'Unknown call-id'));
    all.push((async () => {
      await succeed('offer', own);
      const { tags } = await succeed('query', { 'call-id': own['call-id'] });
      assert.ok(tags[own['from-tag']], Object.keys(tags).join());
      await succeed('delete', { 'call-id': own['call-id'], 'delete-delay': 0 });
    })());
  }
  await Promise.all(all);
}

// Runs to the end; a failure says what it was.
function run(work) {
  work().then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}

module.exports = { run, wholeCall };
