// What microphones hear and cameras see.
'use strict';
const fs = require('node:fs');

const RATE = 16000;
const SECONDS = 120;
const [WIDTH, HEIGHT] = [160, 120];

// A tone as WAV (16 bits, mono), longer than any test: at its end it would be repeated after a pause.
function writeTone(file, hertz) {
  const data = Buffer.alloc(2 * RATE * SECONDS);
  for (let n = 0; n < RATE * SECONDS; n++) {
    data.writeInt16LE(Math.round(12000 * Math.sin(2 * Math.PI * hertz * n / RATE)), 2 * n);
  }
  const header = Buffer.alloc(44);
  header.write('RIFF');
  header.writeUInt32LE(36 + data.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(RATE, 24);
  header.writeUInt32LE(2 * RATE, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(data.length, 40);
  fs.writeFileSync(file, Buffer.concat([header, data]));
}

// A picture of one colour, [Y, Cb, Cr], as YUV4MPEG2. It is repeated.
function writePicture(file, colour) {
  const planes = colour.map((value, plane) => Buffer.alloc(WIDTH * HEIGHT / (plane === 0 ? 1 : 4), value));
  const frame = Buffer.concat([Buffer.from('FRAME\n'), ...planes]);
  fs.writeFileSync(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F15:1 Ip A1:1 C420\n`), frame, frame]));
}

module.exports = { writePicture, writeTone };
