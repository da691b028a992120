// One party of one call. What it gets is judged by its samples: by how much of each second of sound is a tone, and by the colour
// of each picture.
'use strict';

// Of a second, in each of which the share of a tone is looked for: a clock that is adjusted in between does no harm.
const WINDOWS = 20;

let connection;
// What listens and looks, by the index of the section.
const senses = new Map();

// Gets microphone and camera ready, for codecs like `audio/PCMA`.
async function open(codecs) {
  connection = new RTCPeerConnection();
  connection.ontrack = ({ track, transceiver }) => {
    const index = connection.getTransceivers().indexOf(transceiver);
    senses.set(index, track.kind === 'audio' ? new Ear(track) : new Eye(track));
  };
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    video: codecs.some((codec) => codec.startsWith('video/')),
  });
  stream.getTracks().forEach((track) => connection.addTrack(track, stream));
  connection.preferred = codecs;
}

// Offers its sections; promises the description with all candidates.
async function offer() {
  preferCodecs();
  await connection.setLocalDescription();
  return gathered();
}

// Offers them again, with new credentials of ICE.
async function restart() {
  connection.restartIce();
  return offer();
}

async function answer(sdp) {
  await connection.setRemoteDescription({ type: 'offer', sdp });
  preferCodecs();
  await connection.setLocalDescription();
  return gathered();
}

async function accept(sdp) {
  await connection.setRemoteDescription({ type: 'answer', sdp });
}

function preferCodecs() {
  for (const transceiver of connection.getTransceivers()) {
    const { codecs } = RTCRtpReceiver.getCapabilities(transceiver.receiver.track.kind);
    transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => connection.preferred.includes(mimeType)));
  }
}

async function gathered() {
  // When ICE is restarted, it is still complete for a moment, but without candidates.
  const isDone = () => connection.iceGatheringState === 'complete'
    && connection.localDescription.sdp.includes('a=candidate:');
  await until('icegatheringstatechange', isDone);
  return connection.localDescription.sdp;
}

// Promises that ICE and DTLS are done.
async function connected() {
  await until('connectionstatechange', () => ['connected', 'failed'].includes(connection.connectionState));
  if (connection.connectionState !== 'connected') throw new Error(`the connection ${connection.connectionState}`);
}

// Promises that ICE has noticed that nothing comes any more.
function disconnected() {
  return until('iceconnectionstatechange', () => ['disconnected', 'failed'].includes(connection.iceConnectionState));
}

function until(event, isSo) {
  return new Promise((resolve) => {
    const look = () => isSo() && resolve();
    connection.addEventListener(event, look);
    look();
  });
}

// Promises that a section got so many seconds of a tone, or of pictures of a colour.
function perceives(index, wanted, seconds) {
  return senses.get(index).perceives(wanted, seconds);
}

// Where the media goes: of each transport the far end, and how it is encrypted. What was lost.
async function report() {
  const statistics = await connection.getStats();
  const all = [...statistics.values()];
  const transports = all.filter(({ type }) => type === 'transport').map((transport) => {
    const pair = statistics.get(transport.selectedCandidatePairId);
    const { address, port, candidateType } = statistics.get(pair?.remoteCandidateId) ?? {};
    const { address: from } = statistics.get(pair?.localCandidateId) ?? {};
    return { ice: transport.iceState, from, address, port, candidateType, dtls: transport.dtlsCipher, srtp: transport.srtpCipher };
  });
  const inbound = all.filter(({ type }) => type === 'inbound-rtp');
  const received = inbound.map(({ kind, packetsReceived, packetsLost }) => ({ kind, packetsReceived, packetsLost }));
  return { transports, received, perceived: [...senses.values()].map((sense) => sense.perceived()) };
}

// What a section sounds like.
class Ear {
  constructor(track) {
    // Only what somebody plays is decoded.
    this.player = new Audio();
    this.player.srcObject = new MediaStream([track]);
    this.player.play();
    this.shares = [];
    this.changed = () => {};
    this.listen(new MediaStreamTrackProcessor({ track }).readable.getReader());
  }

  async listen(reader) {
    let samples = [];
    for (;;) {
      const { value: data } = await reader.read();
      const rate = data.sampleRate;
      if (rate !== this.rate) [samples, this.rate] = [[], rate];
      const part = new Float32Array(data.numberOfFrames);
      data.copyTo(part, { planeIndex: 0, format: 'f32-planar' });
      data.close();
      samples.push(...part);
      if (samples.length >= rate) this.hear(samples.splice(0, rate));
    }
  }

  // One second.
  hear(samples) {
    const length = this.rate / WINDOWS;
    let sum = 0;
    for (let at = 0; at < this.rate; at += length) sum += share(samples.slice(at, at + length), this.hertz / this.rate);
    this.shares.push(sum / WINDOWS);
    this.changed();
  }

  perceives(hertz, seconds) {
    this.hertz = hertz;
    this.shares = [];
    return new Promise((resolve) => {
      this.changed = () => this.shares.filter((share) => share > 0.9).length >= seconds && resolve();
    });
  }

  perceived() {
    return { hertz: this.hertz, shares: this.shares.map((share) => Number(share.toFixed(2))) };
  }
}

// Of the energy of some samples, that of a tone with so many turns a sample (Goertzel's algorithm).
function share(samples, turns) {
  const factor = 2 * Math.cos(2 * Math.PI * turns);
  let [last, before, energy] = [0, 0, 0];
  for (const sample of samples) {
    [last, before] = [sample + factor * last - before, last];
    energy += sample * sample;
  }
  const tone = last * last + before * before - factor * last * before;
  return energy ? 2 * tone / samples.length / energy : 0;
}

// What a section looks like.
class Eye {
  constructor(track) {
    this.player = document.createElement('video');
    this.player.muted = true;
    this.player.srcObject = new MediaStream([track]);
    this.player.play();
    this.seconds = new Map();
    this.others = 0;
    this.changed = () => {};
    this.look(new MediaStreamTrackProcessor({ track }).readable.getReader());
  }

  async look(reader) {
    for (;;) {
      const { value: frame } = await reader.read();
      const colour = await colourOf(frame);
      const second = Math.floor(frame.timestamp / 1e6);
      frame.close();
      if (this.wanted?.every((value, plane) => Math.abs(value - colour[plane]) < 10)) {
        this.seconds.set(second, (this.seconds.get(second) ?? 0) + 1);
      } else {
        this.others++;
      }
      this.changed();
    }
  }

  perceives(colour, seconds) {
    this.wanted = colour;
    this.others = 0;
    return new Promise((resolve) => {
      this.changed = () => [...this.seconds.values()].filter((pictures) => pictures >= 3).length >= seconds && resolve();
    });
  }

  perceived() {
    return { colour: this.wanted, pictures: [...this.seconds.values()], others: this.others };
  }
}

// In the middle of a picture: [Y, Cb, Cr].
async function colourOf(frame) {
  const { codedWidth, codedHeight } = frame;
  const bytes = new Uint8Array(frame.allocationSize());
  const planes = await frame.copyTo(bytes);
  return planes.map(({ offset, stride }, plane) => {
    const halves = plane === 0 ? 2 : 4;
    return bytes[offset + stride * Math.floor(codedHeight / halves) + Math.floor(codedWidth / halves)];
  });
}
