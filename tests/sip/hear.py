#!/usr/bin/env python3
"""Listens until ten seconds of a tone were heard.

hear.py HERTZ wire ADDRESS  in the RTP (G.711 A-law, not encrypted) that arrives at an address of this network
hear.py HERTZ file NAME     in a recording (WAV of 16-bit samples) that is still being made
Prints how much was heard, and which share of the energy is that of the tone. Fails if that takes two minutes.
"""
import math
import os
import socket
import struct
import sys
import time

RATE = 8000
SECONDS = 10
PATIENCE = 120
# In which the share is looked for, samples: a clock that is adjusted in between does no harm.
WINDOW = RATE // 20
# Of a WAV file, up to the samples.
HEADER = 44


def linear(byte):
    """One A-law sample (ITU-T G.711)."""
    byte ^= 0x55
    exponent, mantissa = byte >> 4 & 7, byte & 15
    magnitude = (mantissa << 4) + 8
    if exponent:
        magnitude = magnitude + 0x100 << exponent - 1
    return magnitude if byte & 0x80 else -magnitude


def heard_on_wire(address):
    """Samples of all RTP that comes to an address, as they come."""
    is_ipv6 = ":" in address
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD if is_ipv6 else 0x0800))
    destination = socket.inet_pton(socket.AF_INET6 if is_ipv6 else socket.AF_INET, address)
    tap.settimeout(0.5)
    while True:
        try:
            packet = tap.recv(2000)
        except TimeoutError:
            yield []
            continue
        header, protocol, at = (40, packet[6], 24) if is_ipv6 else (4 * (packet[0] & 15), packet[9], 16)
        if protocol != 17 or packet[at:at + len(destination)] != destination:
            continue
        rtp = packet[header + 8:header + struct.unpack("!H", packet[header + 4:header + 6])[0]]
        if len(rtp) > 12 and rtp[0] == 0x80 and rtp[1] & 0x7F == 8:
            yield map(linear, rtp[12:])


def heard_in_file(name):
    """Samples of the first channel, at the rate of the telephone, as they come."""
    with open(name, "rb") as recording:
        while os.fstat(recording.fileno()).st_size < HEADER:
            time.sleep(0.1)
            yield []
        header = recording.read(HEADER)
        channels, rate = struct.unpack_from("<HI", header, 22)
        frame = 2 * channels * (rate // RATE)
        while True:
            data = recording.read(frame * WINDOW)
            whole = len(data) // frame * frame
            recording.seek(whole - len(data), os.SEEK_CUR)
            if not whole:
                time.sleep(0.1)
            yield [sample for sample, in struct.iter_unpack("<h", data[:whole])][::frame // 2]


def share(samples, hertz):
    """Of the energy, that of the tone (Goertzel's algorithm)."""
    factor, last, before = 2 * math.cos(2 * math.pi * hertz / RATE), 0.0, 0.0
    for sample in samples:
        last, before = sample + factor * last - before, last
    energy = sum(sample * sample for sample in samples)
    tone = last * last + before * before - factor * last * before
    return 2 * tone / len(samples) / energy if energy else 0.0


def share_of_second(samples, hertz):
    windows = [samples[at:at + WINDOW] for at in range(0, RATE, WINDOW)]
    return sum(share(window, hertz) for window in windows) / len(windows)


def main():
    match sys.argv[1:]:
        case [hertz, "wire", address]:
            source = heard_on_wire(address)
        case [hertz, "file", name]:
            source = heard_in_file(name)
        case _:
            sys.exit(__doc__)
    deadline = time.monotonic() + PATIENCE
    samples, shares = [], []
    for more in source:
        samples.extend(more)
        while len(samples) >= RATE:
            shares.append(share_of_second(samples[:RATE], int(hertz)))
            del samples[:RATE]
        good = [value for value in shares if value > 0.9]
        if len(good) >= SECONDS or time.monotonic() > deadline:
            break
    print(f"{len(shares)} s heard, {sum(shares) / max(len(shares), 1):.2f} of it {hertz} Hz")
    sys.exit(len(good) < SECONDS)


main()
