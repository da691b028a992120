#!/usr/bin/env python3
"""Writes one second of a tone as G.711 A-law to standard output; with the name of a file, two and a half minutes of it as WAV there.

tone.py [HERTZ [NAME]]  default: 400
"""
import math
import struct
import sys
import wave

RATE = 8000


def alaw(sample):
    """One 16-bit sample as A-law (ITU-T G.711)."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample), 32635)
    exponent = max(magnitude.bit_length() - 8, 0)
    mantissa = magnitude >> (exponent + 3 if exponent else 4) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


hertz = int(sys.argv[1]) if len(sys.argv) > 1 else 400
samples = [int(8000 * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(RATE)]
if len(sys.argv) > 2:
    with wave.open(sys.argv[2], "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(150 * struct.pack(f"<{RATE}h", *samples))
else:
    sys.stdout.buffer.write(bytes(map(alaw, samples)))
