// As much of SIP over UDP (RFC 3261) as one call through a proxy takes. On a network that loses nothing: nothing is sent twice.
'use strict';
const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const dgram = require('node:dgram');
const { once } = require('node:events');

class SipPhone {
  // A phone that listens at one address and sends everything to another: `HOST:PORT`.
  static async start(address, proxy) {
    const [host, port] = address.split(':');
    const socket = dgram.createSocket('udp4');
    socket.bind(Number(port), host);
    await once(socket, 'listening');
    return new SipPhone(socket, address, proxy.split(':'));
  }

  constructor(socket, address, [proxy, port]) {
    this.socket = socket;
    this.address = address;
    this.proxy = [Number(port), proxy];
    this.contact = `<sip:browser@${address}>`;
    // Who waits for a message: what it has to be, and what is done with it.
    this.waiting = [];
    this.unheard = [];
    socket.on('message', (message) => this.hear(parse(message.toString())));
  }

  // Calls somebody, `USER@HOST:PORT`; promises the SDP of the answer.
  async call(callee, sdp) {
    const from = `<sip:browser@${this.address}>;tag=${token()}`;
    const call = { callId: `${token()}@browser`, from, to: `<sip:${callee}>`, target: `sip:${callee}`, routes: [] };
    this.request('INVITE', call, sdp);
    const answer = await this.next(({ status }) => status >= 200);
    assert.equal(answer.status, 200, answer.first);
    call.to = answer.one('to');
    call.target = /<(.*)>/.exec(answer.one('contact'))[1];
    call.routes = answer.all('record-route').reverse();
    this.request('ACK', call);
    return answer.body;
  }

  // Waits for a call; `answer` makes an SDP of the caller's.
  async pickUp(answer) {
    const invite = await this.next(({ first }) => first.startsWith('INVITE '));
    const sdp = await answer(invite.body);
    this.accept(invite, `${invite.one('to')};tag=${token()}`, sdp);
    await this.next(({ first }) => first.startsWith('ACK '));
  }

  close() {
    this.socket.close();
  }

  accept(request, to, sdp) {
    const copied = ['via', 'record-route', 'from', 'call-id', 'cseq'];
    const headers = copied.flatMap((name) => request.all(name).map((value) => `${name}: ${value}`));
    this.send('SIP/2.0 200 OK', [...headers, `To: ${to}`], sdp);
  }

  request(method, { callId, from, to, target, routes }, sdp) {
    this.send(`${method} ${target} SIP/2.0`, [
      `Via: SIP/2.0/UDP ${this.address};branch=z9hG4bK${token()}`, ...routes.map((route) => `Route: ${route}`),
      'Max-Forwards: 70', `From: ${from}`, `To: ${to}`, `Call-ID: ${callId}`, `CSeq: 1 ${method}`,
    ], sdp);
  }

  send(first, headers, sdp = '') {
    const type = sdp ? ['Content-Type: application/sdp'] : [];
    const lines = [first, ...headers, `Contact: ${this.contact}`, ...type, `Content-Length: ${Buffer.byteLength(sdp)}`, '', sdp];
    this.socket.send(lines.join('\r\n'), ...this.proxy);
  }

  // Promises the next message that is wanted.
  next(isWanted) {
    const heard = this.unheard.findIndex(isWanted);
    if (heard >= 0) return Promise.resolve(this.unheard.splice(heard, 1)[0]);
    return new Promise((resolve) => this.waiting.push({ isWanted, resolve }));
  }

  hear(message) {
    if (message.first.startsWith('BYE ')) this.accept(message, message.one('to'));
    const index = this.waiting.findIndex(({ isWanted }) => isWanted(message));
    if (index >= 0) this.waiting.splice(index, 1)[0].resolve(message);
    else this.unheard.push(message);
  }
}

function parse(text) {
  const [head, body] = text.split(/\r\n\r\n(.*)/s);
  const [first, ...lines] = head.split('\r\n');
  const headers = lines.map((line) => /^([^:\s]+)\s*:\s*(.*)$/.exec(line)).map(([, name, value]) => [name.toLowerCase(), value]);
  // A list may stand in one header, or in many.
  const all = (name) => headers.filter(([known]) => known === name).flatMap(([, value]) => value.split(/,\s*(?=[<A-Z])/));
  const status = Number(/^SIP\/2\.0 (\d+)/.exec(first)?.[1] ?? 0);
  return { first, status, body, all, one: (name) => all(name)[0] };
}

const token = () => randomBytes(8).toString('hex');

module.exports = { SipPhone };
