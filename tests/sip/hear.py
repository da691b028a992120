#!/usr/bin/env python3
"""Listens for a tone of 400 Hz.

hear.py wire SECONDS ADDRESS...  in the RTP (G.711 A-law, not encrypted) that arrives at an address of this network
hear.py file NAME                in a recording of 16-bit samples
Prints which share of the energy, of the loudest second, is that of the tone. Fails if there is none.
"""
import math
import socket
import struct
import sys
import time
import wave

RATE = 8000
TONE = 400


def linear(byte):
    """One A-law sample (ITU-T G.711)."""
    byte ^= 0x55
    exponent, mantissa = byte >> 4 & 7, byte & 15
    magnitude = (mantissa << 4) + 8
    if exponent:
        magnitude = magnitude + 0x100 << exponent - 1
    return magnitude if byte & 0x80 else -magnitude


def heard_on_wire(seconds, address):
    """Samples of all RTP that comes to an address."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    tap.settimeout(0.5)
    end = time.monotonic() + seconds
    samples = []
    while time.monotonic() < end:
        try:
            packet = tap.recv(2000)
        except TimeoutError:
            continue
        header = 4 * (packet[0] & 15)
        if packet[9] != 17 or socket.inet_ntoa(packet[16:20]) != address:
            continue
        rtp = packet[header + 8:header + struct.unpack("!H", packet[header + 4:header + 6])[0]]
        if len(rtp) > 12 and rtp[0] == 0x80 and rtp[1] & 0x7F == 8:
            samples.extend(map(linear, rtp[12:]))
    return samples


def heard_in_file(name):
    """Samples of the first channel, at the rate of the telephone."""
    with wave.open(name) as recording:
        step = recording.getnchannels() * recording.getframerate() // RATE
        data = recording.readframes(recording.getnframes())
    return struct.unpack(f"<{len(data) // 2}h", data)[::step]


def share(samples):
    """Of the energy, that of the tone (Goertzel's algorithm)."""
    factor, last, before = 2 * math.cos(2 * math.pi * TONE / RATE), 0.0, 0.0
    for sample in samples:
        last, before = sample + factor * last - before, last
    energy = sum(sample * sample for sample in samples)
    tone = last * last + before * before - factor * last * before
    return 2 * tone / len(samples) / energy if energy else 0.0


def main():
    match sys.argv[1:]:
        case ["wire", seconds, address]:
            samples = heard_on_wire(float(seconds), address)
        case ["file", name]:
            samples = heard_in_file(name)
        case _:
            sys.exit(__doc__)
    seconds = [samples[at:at + RATE] for at in range(0, len(samples) - RATE + 1, RATE)]
    best = max(map(share, seconds), default=0.0)
    print(f"{len(samples) / RATE:.1f} s heard, {best:.2f} of it the tone")
    sys.exit(best < 0.9)


main()
