#!/usr/bin/env python3
"""Writes one second of a 400 Hz tone as G.711 A-law to standard output."""
import math
import sys

RATE = 8000


def alaw(sample):
    """One 16-bit sample as A-law (ITU-T G.711)."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample), 32635)
    exponent = max(magnitude.bit_length() - 8, 0)
    mantissa = magnitude >> (exponent + 3 if exponent else 4) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


samples = (int(8000 * math.sin(2 * math.pi * 400 * n / RATE)) for n in range(RATE))
sys.stdout.buffer.write(bytes(map(alaw, samples)))
