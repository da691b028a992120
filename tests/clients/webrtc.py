#!/usr/bin/env python3
"""A WebRTC client that others wrote (aiortc) has a call with a phone that speaks plain RTP.

    webrtc.py RELAY-HOST:NG-PORT PHONE-ADDRESS SECONDS [audio|bundle] [offerer|answerer]

Both hear a tone, each another one, for as long as is said. The client does ICE, DTLS-SRTP and RTCP multiplexing; with
`bundle` it has two audio sections on one transport. Prints what was heard, and fails if it is not right.
"""

import asyncio
import fractions
import math
import random
import socket
import struct
import sys
import time

import numpy
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from av import AudioFrame

RATE = 8000
SAMPLES = 160
# Of the client and of the phone, hertz.
CLIENT_TONE, PHONE_TONE = 440, 1000
# Of each section: its codec and payload type.
CODECS = [("audio/PCMA", 8), ("audio/PCMU", 0)]


def bencode(value):
    if isinstance(value, dict):
        return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    if isinstance(value, int):
        return b"i%de" % value
    value = value.encode()
    return b"%d:%s" % (len(value), value)


def bdecode(data, at=0):
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"d", b"l"):
        items, at = [], at + 1
        while data[at : at + 1] != b"e":
            item, at = bdecode(data, at)
            items.append(item)
        return (dict(zip(items[::2], items[1::2])) if kind == b"d" else items), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1 : end].decode(), end


class Relay:
    """The ng protocol."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, int(port)))
        self.socket.settimeout(5)
        self.call_id = f"webrtc-{random.getrandbits(48)}"

    def __call__(self, command, **arguments):
        cookie = str(random.getrandbits(48))
        message = {"command": command, "call-id": self.call_id, **arguments}
        self.socket.send(cookie.encode() + b" " + bencode(message))
        reply = self.socket.recv(65535).split(b" ", 1)[1]
        reply = bdecode(reply)[0]
        if reply["result"] == "error":
            raise SystemExit(f"{command}: {reply}")
        return reply


def of_alaw(code):
    """One sample of 16 bits from the A-law of ITU-T G.711."""
    code ^= 0x55
    segment, value = code >> 4 & 7, code & 15
    sample = value << 4 | 8 if segment == 0 else (value << 4 | 0x108) << segment - 1
    return sample if code & 0x80 else -sample


def of_ulaw(code):
    """The same from mu-law."""
    code ^= 0xFF
    sample = ((code & 15) << 3 | 0x84) << (code >> 4 & 7)
    return 0x84 - sample if code & 0x80 else sample - 0x84


LINEAR = {8: [of_alaw(code) for code in range(256)], 0: [of_ulaw(code) for code in range(256)]}


def encode(samples, payload_type):
    """The codes that come nearest."""
    table = numpy.array(LINEAR[payload_type])
    return bytes(int(numpy.abs(table - sample).argmin()) for sample in samples)


def payload(packet):
    """Without header, contributors and extensions."""
    start = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        start += 4 + 4 * struct.unpack_from("!H", packet, start + 2)[0]
    return packet[start:]


def tone(hertz, start):
    return [int(8000 * math.sin(2 * math.pi * hertz * (start + n) / RATE)) for n in range(SAMPLES)]


def frequency(samples, rate):
    """The loudest one."""
    spectrum = numpy.abs(numpy.fft.rfft(samples * numpy.hanning(len(samples))))
    return numpy.argmax(spectrum) * rate / len(samples)


class Tone(MediaStreamTrack):
    """What the client says."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.position, self.begin = 0, None

    async def recv(self):
        self.begin = self.begin or time.time()
        await asyncio.sleep(max(0, self.begin + self.position / RATE - time.time()))
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        frame.planes[0].update(struct.pack(f"<{SAMPLES}h", *tone(CLIENT_TONE, self.position)))
        frame.sample_rate, frame.pts = RATE, self.position
        frame.time_base = fractions.Fraction(1, RATE)
        self.position += SAMPLES
        return frame


class Ear:
    """What somebody hears."""

    def __init__(self, name, hertz):
        self.name, self.hertz, self.samples, self.rate = name, hertz, [], RATE

    def judge(self, seconds):
        heard = numpy.array(self.samples[len(self.samples) // 4 :], dtype=float)
        length = len(self.samples) / self.rate
        actual = frequency(heard, self.rate) if len(heard) else 0
        print(f"{self.name} heard {length:.1f} s of {actual:.0f} Hz")
        return length >= 0.8 * seconds and abs(actual - self.hertz) < 20


class Phone(asyncio.DatagramProtocol):
    """One section of a phone."""

    def __init__(self, number):
        self.ear, self.target, self.strange = Ear(f"phone {number}", CLIENT_TONE), None, 0
        self.payload_type = CODECS[number][1]

    async def start(self, address):
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(address, 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        return self

    def datagram_received(self, data, source):
        if data[0] >> 6 == 2 and data[1] & 0x7F == self.payload_type:
            self.ear.samples += map(LINEAR[self.payload_type].__getitem__, payload(data))
        elif not 194 <= data[1] <= 223:
            self.strange += 1

    async def speak(self, seconds):
        begin, ssrc = time.time(), random.getrandbits(32)
        for number in range(int(seconds * RATE / SAMPLES)):
            await asyncio.sleep(max(0, begin + number * SAMPLES / RATE - time.time()))
            at = number * SAMPLES
            header = struct.pack("!BBHII", 0x80, self.payload_type, number & 0xFFFF, at, ssrc)
            self.transport.sendto(header + encode(tone(PHONE_TONE, at), self.payload_type), self.target)


def phone_sdp(address, phones):
    lines = ["v=0", f"o=- 1 1 IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0"]
    for phone in phones:
        lines += [f"m=audio {phone.port} RTP/AVP {phone.payload_type}", "a=sendrecv"]
    return "".join(line + "\r\n" for line in lines)


def targets(sdp):
    """Where each audio section of plain RTP is sent to."""
    address, found = None, []
    for line in sdp.splitlines():
        if line.startswith("c=IN IP4 "):
            address = line.split()[2]
        elif line.startswith("m=audio "):
            assert line.split()[2] == "RTP/AVP", sdp
            found.append(int(line.split()[1]))
    assert not any("ice-" in line or "fingerprint" in line for line in sdp.splitlines()), sdp
    return [(address, port) for port in found]


TO_PHONE = {"transport-protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"], "flags": ["no-rtcp-attribute"]}
TO_CLIENT = {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "rtcp-mux": ["offer", "require"], "SDES": ["off"]}


def choose_codecs(connection):
    """Leaves out what would have to be transcoded, and has the sections' payload types differ."""
    codecs = RTCRtpSender.getCapabilities("audio").codecs
    for transceiver, (name, _) in zip(connection.getTransceivers(), CODECS):
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == name])


async def call(relay, address, seconds, sections, offers):
    phones = [await Phone(number).start(address) for number in range(sections)]
    client, ears, tasks = RTCPeerConnection(), [], []

    @client.on("track")
    def on_track(track):
        ear = Ear(f"client {len(ears)}", PHONE_TONE)
        ears.append(ear)

        async def listen():
            while True:
                frame = await track.recv()
                ear.rate = frame.sample_rate
                channels = len(frame.layout.channels)
                ear.samples += frame.to_ndarray().reshape(-1)[::channels].tolist()

        tasks.append(asyncio.ensure_future(listen()))

    if offers:
        for _ in phones:
            client.addTrack(Tone())
        choose_codecs(client)
        await client.setLocalDescription(await client.createOffer())
        reply = relay("offer", **{"from-tag": "client", "sdp": client.localDescription.sdp, "bundle": ["accept"], **TO_PHONE})
        places = targets(reply["sdp"])
        reply = relay(
            "answer", **{"from-tag": "client", "to-tag": "phone", "sdp": phone_sdp(address, phones)}
        )
        await client.setRemoteDescription(RTCSessionDescription(reply["sdp"], "answer"))
    else:
        offer = phone_sdp(address, phones)
        reply = relay("offer", **{"from-tag": "phone", "sdp": offer, "bundle": ["offer"], **TO_CLIENT})
        await client.setRemoteDescription(RTCSessionDescription(reply["sdp"], "offer"))
        for transceiver in client.getTransceivers():
            transceiver.direction = "sendrecv"
            transceiver.sender.replaceTrack(Tone())
        await client.setLocalDescription(await client.createAnswer())
        answer = client.localDescription.sdp
        reply = relay("answer", **{"from-tag": "phone", "to-tag": "client", "sdp": answer})
        places = targets(reply["sdp"])

    for phone, place in zip(phones, places):
        phone.target = place
    connected = asyncio.get_running_loop().create_future()

    @client.on("connectionstatechange")
    def on_change():
        if client.connectionState in ("connected", "failed", "closed") and not connected.done():
            connected.set_result(client.connectionState)

    if client.connectionState == "connected":
        connected.set_result("connected")
    try:
        state = await asyncio.wait_for(connected, 15)
    except asyncio.TimeoutError:
        state = f"{client.connectionState}, ICE {client.iceConnectionState}"
    print(f"connection: {state}")
    if state == "connected":
        await asyncio.gather(*(phone.speak(seconds) for phone in phones))
    states = set()
    for party in relay("relay show")["parties"]:
        for media in party.get("medias", []):
            states |= {(stream.get("ICE"), stream.get("DTLS")) for stream in media["streams"]}
    states.discard((None, None))
    print(f"ICE and DTLS: {states}")
    await client.close()
    for task in tasks:
        task.cancel()
    relay("delete", **{"from-tag": "client" if offers else "phone"})
    judged = [phone.ear.judge(seconds) for phone in phones] + [ear.judge(seconds) for ear in ears]
    strange = sum(phone.strange for phone in phones)
    if strange:
        print(f"{strange} datagrams for the phone were no media")
    if states != {("completed", "established")}:
        return False
    return state == "connected" and len(ears) == sections and all(judged) and not strange


def main():
    relay, address, seconds, sections, part = sys.argv[1:]
    sections = {"audio": 1, "bundle": 2}[sections]
    good = asyncio.run(call(Relay(relay), address, float(seconds), sections, part == "offerer"))
    sys.exit(0 if good else 1)


main()
