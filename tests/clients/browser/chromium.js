// A headless Chromium, driven through its DevTools pipe: one party of a call, see page.js.
'use strict';
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { writePicture, writeTone } = require('./media');

const PROGRAM = '/usr/bin/chromium';
// Only what fails takes so long, seconds.
const PATIENCE = 120;

const OPTIONS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--remote-debugging-pipe',
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
  // Candidates have addresses, not names that only multicast DNS knows.
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];

class Chromium {
  // In a network namespace, or in that of this program. The microphone hears a tone of so many hertz, the camera sees one
  // colour, [Y, Cb, Cr].
  static async start({ namespace, hertz, colour }) {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'relay-chromium-'));
    const [tone, picture] = [path.join(home, 'tone.wav'), path.join(home, 'picture.y4m')];
    writeTone(tone, hertz);
    writePicture(picture, colour);
    const enter = namespace ? ['nsenter', `--net=/run/netns/${namespace}`] : [];
    const [program, ...options] = [
      ...enter, PROGRAM, ...OPTIONS, `--user-data-dir=${path.join(home, 'profile')}`,
      `--use-file-for-fake-audio-capture=${tone}`, `--use-file-for-fake-video-capture=${picture}`, 'about:blank',
    ];
    const child = spawn(program, options, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    const browser = new Chromium(child, home);
    try {
      await browser.openPage();
    } catch (error) {
      await browser.close();
      throw error;
    }
    return browser;
  }

  constructor(child, home) {
    this.child = child;
    this.home = home;
    this.requests = 0;
    this.waiting = new Map();
    this.ended = once(child, 'exit').then(([code, signal]) => {
      const error = new Error(`Chromium ended: ${code ?? signal}`);
      this.waiting.forEach(({ reject }) => reject(error));
    });
    const [input, output] = child.stdio.slice(3);
    // It ends before it has read everything.
    input.on('error', () => {});
    let rest = '';
    output.setEncoding('utf8').on('data', (data) => {
      const messages = (rest + data).split('\0');
      rest = messages.pop();
      messages.forEach((message) => this.hear(JSON.parse(message)));
    });
  }

  hear({ id, method, result, error }) {
    if (method === 'Page.loadEventFired') this.isLoaded();
    const asked = this.waiting.get(id);
    this.waiting.delete(id);
    if (error) asked?.reject(new Error(error.message));
    else asked?.resolve(result);
  }

  ask(method, params = {}) {
    const id = ++this.requests;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: this.session })}\0`);
    });
  }

  async openPage() {
    const { targetInfos } = await this.ask('Target.getTargets');
    const { targetId } = targetInfos.find(({ type }) => type === 'page');
    this.session = (await this.ask('Target.attachToTarget', { targetId, flatten: true })).sessionId;
    await this.ask('Page.enable');
    const loaded = new Promise((resolve) => { this.isLoaded = resolve; });
    await this.ask('Page.navigate', { url: pathToFileURL(path.join(__dirname, 'page.html')).href });
    await loaded;
  }

  // Calls a function of the page, and waits for what it promises.
  async call(name, ...values) {
    const expression = `${name}(${values.map((value) => JSON.stringify(value)).join()})`;
    const answer = await this.ask('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    const { result, exceptionDetails: failed } = answer;
    if (failed) throw new Error(`${name}: ${failed.exception?.description ?? failed.text}`);
    return result.value;
  }

  // Ends it, and leaves nothing of it.
  async close() {
    this.child.kill();
    await this.ended;
    fs.rmSync(this.home, { recursive: true, force: true, maxRetries: 10 });
  }
}

// What is promised, if it comes in time: else says how the browsers are.
async function inTime(promise, browsers) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error('waited in vain')), 1000 * PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } catch (error) {
    for (const browser of browsers) console.error(JSON.stringify(await browser.call('report')));
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { Chromium, inTime };
