//! The packets, the tables they meet, and what becomes of them.

use relay_common::rewrite::Verdict::{self, Drop, Pass};
use relay_common::slot::{Clock, OtherSource, PassReason, SlotState, guard_flags, rule_flags};
use relay_tests::packets::{ETHERNET, Frame, UdpChecksum, rtp};
use relay_tests::stream::Noise;

use crate::AT;
use crate::world::{IFINDEX, SLOT, World, frame, frame_v6};

/// One packet and what becomes of it.
pub(crate) struct Case {
    pub(crate) description: &'static str,
    pub(crate) world: World,
    pub(crate) frame: Vec<u8>,
    pub(crate) verdict: Verdict,
}

/// All cases, by what is special about them.
pub(crate) fn all() -> Vec<Case> {
    [relayed(), link_layer(), ip(), short(), slots(), media(), sources(), floods(), checksums(), routes(), crossings()]
        .into_iter()
        .flatten()
        .collect()
}

fn case(description: &'static str, world: World, frame: impl Into<Input>, verdict: Verdict) -> Case {
    Case { description, world, frame: frame.into().0, verdict }
}

/// A frame as a case takes it.
struct Input(Vec<u8>);

impl From<Frame> for Input {
    fn from(frame: Frame) -> Self {
        Self(frame.bytes())
    }
}

impl From<Vec<u8>> for Input {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

fn redirect(length: usize) -> Verdict {
    Verdict::Redirect { ifindex: IFINDEX, length }
}

/// 20 ms of G.711.
fn voice() -> Vec<u8> {
    rtp(8, 0x1234, 160_000, 0xdead_beef, 160)
}

/// Length of the frame around [`voice`], IPv4 and IPv6.
const VOICE: usize = ETHERNET + 20 + 8 + 12 + 160;
const VOICE_V6: usize = VOICE + 20;

fn with(mut frame: Frame, change: impl FnOnce(&mut Frame)) -> Frame {
    change(&mut frame);
    frame
}

/// The bytes of a frame, changed after lengths and checksums were computed.
fn bytes(frame: &Frame, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = frame.bytes();
    change(&mut bytes);
    bytes
}

fn relayed() -> Vec<Case> {
    let other_tos = || World::new().with_rule(|rule| rule.tos = 0x03);
    let plain = || World::new().with_rule(|rule| rule.flags &= !rule_flags::RTP);
    let padded = with(frame(vec![0x80, 0]), |frame| frame.trailer = vec![0xee; 16]);
    vec![
        case("RTP over IPv4", World::new(), frame(voice()), redirect(VOICE)),
        case("RTP over IPv6", World::new(), frame_v6(voice()), redirect(VOICE_V6)),
        case("TOS and ECN bits of the rule", other_tos(), frame(voice()), redirect(VOICE)),
        case("traffic class of the rule", other_tos(), frame_v6(voice()), redirect(VOICE_V6)),
        case("an odd number of bytes", World::new(), frame(rtp(0, 1, 2, 3, 33)), redirect(ETHERNET + 28 + 45)),
        case("SRTP, whose payload and tag stay as they are", World::new(), frame(srtp()), redirect(VOICE + 10)),
        case("another payload type than the clock's", clocked(), frame(voice()), redirect(VOICE)),
        case("an RTP header alone", World::new(), frame(rtp(0, 1, 2, 3, 0)), redirect(ETHERNET + 28 + 12)),
        case("Ethernet padding stays", plain(), padded, redirect(60)),
        case("a port that does not carry RTP relays anything", plain(), frame(vec![0x16, 1, 2, 3]), redirect(ETHERNET + 28 + 4)),
        case("an empty datagram to a port that does not carry RTP", plain(), frame(vec![]), redirect(ETHERNET + 28)),
    ]
}

/// As [`voice`], encrypted, with an authentication tag.
fn srtp() -> Vec<u8> {
    let mut packet = voice();
    let cipher = Noise::new(7);
    packet[12..].iter_mut().zip(cipher).for_each(|(byte, noise)| *byte ^= noise);
    packet.extend(Noise::new(8).take(10));
    packet
}

/// The clock of the media is known, but not that of payload type 8.
fn clocked() -> World {
    let mut world = World::new();
    world.annexes[SLOT].clock = Clock::new(111, 48_000);
    world
}

fn link_layer() -> Vec<Case> {
    let tagged = |tags: &[(u16, u16)]| with(frame(voice()), |frame| frame.vlans = tags.to_vec());
    let tagged_v6 = |tags: &[(u16, u16)]| with(frame_v6(voice()), |frame| frame.vlans = tags.to_vec());
    let to = |mac| with(frame(voice()), |frame| frame.destination_mac = mac);
    let vlan = (0x8100, 0x6005);
    let service = (0x88a8, 0x0007);
    let one_out = || World::new().with_route(|route| route.vlans = [0x8100_a00c, 0]);
    let two_out = || World::new().with_route(|route| route.vlans = [0x88a8_0021, 0x8100_a00c]);
    vec![
        case("a VLAN tag goes", World::new(), tagged(&[vlan]), redirect(VOICE)),
        case("a service tag alone goes", World::new(), tagged(&[service]), redirect(VOICE)),
        case("both QinQ tags go", World::new(), tagged(&[service, vlan]), redirect(VOICE)),
        case("two VLAN tags go, IPv6", World::new(), tagged_v6(&[vlan, vlan]), redirect(VOICE_V6)),
        case("three tags", World::new(), tagged(&[service, vlan, vlan]), Pass(PassReason::NotIp)),
        case("a tag with a priority alone is none", World::new(), tagged(&[(0x8100, 0xa000)]), redirect(VOICE)),
        case("such a tag before another one", World::new(), tagged(&[(0x8100, 0xa000), vlan]), redirect(VOICE)),
        case("a VLAN that the host does not have", World::new(), tagged(&[(0x8100, 0x6006)]), Pass(PassReason::NotOurs)),
        case("a customer's VLAN by the number of a service's", World::new(), tagged(&[(0x8100, 7)]), Pass(PassReason::NotOurs)),
        case("both tags in the other order", World::new(), tagged(&[vlan, service]), Pass(PassReason::NotOurs)),
        case("one tag too many", World::new(), tagged_v6(&[vlan, (0x8100, 6)]), Pass(PassReason::NotOurs)),
        case("a device that does not have the address", World::new().elsewhere(), frame(voice()), Pass(PassReason::NotOurs)),
        case("the same over IPv6", World::new().elsewhere(), frame_v6(voice()), Pass(PassReason::NotOurs)),
        case("the same to a port beyond the range", World::new().elsewhere(), with(frame(voice()), |frame| frame.destination.set_port(30004)), Pass(PassReason::NotOurs)),
        case("for another host", World::new(), to([2, 0, 0, 0, 0, 9]), Pass(PassReason::OtherHost)),
        case("for another host, told by the first byte", World::new(), to([4, 0, 0, 0, 0, 1]), Pass(PassReason::OtherHost)),
        case("multicast", World::new(), to([1, 0, 0x5e, 0, 2, 1]), Pass(PassReason::OtherHost)),
        case("broadcast", World::new(), to([0xff; 6]), Pass(PassReason::OtherHost)),
        case("for another host, IPv6", World::new(), with(frame_v6(voice()), |frame| frame.destination_mac[3] = 7), Pass(PassReason::OtherHost)),
        case("a VLAN tag comes", one_out(), frame(voice()), redirect(VOICE + 4)),
        case("a VLAN tag comes, IPv6", one_out(), frame_v6(voice()), redirect(VOICE_V6 + 4)),
        case("a VLAN tag gives way to another", one_out(), tagged(&[vlan]), redirect(VOICE + 4)),
        case("two tags come", two_out(), frame(voice()), redirect(VOICE + 8)),
        case("two tags come, IPv6", two_out(), frame_v6(voice()), redirect(VOICE_V6 + 8)),
        case("two tags give way to two", two_out(), tagged(&[service, vlan]), redirect(VOICE + 8)),
        case("two tags give way to one", one_out(), tagged(&[service, vlan]), redirect(VOICE + 4)),
        case("ARP", World::new(), ethertype(0x0806), Pass(PassReason::NotIp)),
        case("an 802.3 length in place of an EtherType", World::new(), ethertype(0x0040), Pass(PassReason::NotIp)),
    ]
}

fn ethertype(value: u16) -> Vec<u8> {
    bytes(&frame(voice()), |bytes| bytes[12..14].copy_from_slice(&value.to_be_bytes()))
}

fn ip() -> Vec<Case> {
    let fragment = |bits| with(frame(voice()), |frame| frame.fragment = bits);
    let options = with(frame(voice()), |frame| frame.options = vec![0x94, 0x04, 0, 0]);
    let changed = |at: usize, value| bytes(&frame(voice()), |bytes| bytes[ETHERNET + at] = value);
    let changed_v6 = |at: usize, value| bytes(&frame_v6(voice()), |bytes| bytes[ETHERNET + at] = value);
    vec![
        case("don't fragment", World::new(), fragment(0x4000), redirect(VOICE)),
        case("the reserved flag", World::new(), fragment(0x8000), redirect(VOICE)),
        case("the first fragment", World::new(), fragment(0x2000), Pass(PassReason::Fragment)),
        case("a middle fragment", World::new(), fragment(0x2010), Pass(PassReason::Fragment)),
        case("the last fragment", World::new(), fragment(0x0020), Pass(PassReason::Fragment)),
        case("an option", World::new(), options, Pass(PassReason::IpOptions)),
        case("a header too short", World::new(), changed(0, 0x44), Pass(PassReason::IpOptions)),
        case("version 6 behind the EtherType of 4", World::new(), changed(0, 0x65), Pass(PassReason::IpOptions)),
        case("version 4 behind the EtherType of 6", World::new(), changed_v6(0, 0x45), Pass(PassReason::NotIp)),
        case("TCP", World::new(), changed(9, 6), Pass(PassReason::NotUdp)),
        case("ICMP", World::new(), changed(9, 1), Pass(PassReason::NotUdp)),
        case("TCP over IPv6", World::new(), changed_v6(6, 6), Pass(PassReason::NotUdp)),
        case("hop-by-hop options", World::new(), changed_v6(6, 0), Pass(PassReason::NotUdp)),
        case("a routing header", World::new(), changed_v6(6, 43), Pass(PassReason::NotUdp)),
        case("a fragment header", World::new(), changed_v6(6, 44), Pass(PassReason::Fragment)),
    ]
}

fn short() -> Vec<Case> {
    let cut = |length| bytes(&frame(voice()), |bytes| bytes.truncate(length));
    let cut_v6 = |length| bytes(&frame_v6(voice()), |bytes| bytes.truncate(length));
    let cut_tagged = |length| {
        let tagged = with(frame(voice()), |frame| frame.vlans = vec![(0x88a8, 1), (0x8100, 2)]);
        bytes(&tagged, |bytes| bytes.truncate(length))
    };
    let field = |at: usize, value: u16| {
        bytes(&frame(voice()), |bytes| bytes[at..at + 2].copy_from_slice(&value.to_be_bytes()))
    };
    let field_v6 = |at: usize, value: u16| {
        bytes(&frame_v6(voice()), |bytes| bytes[at..at + 2].copy_from_slice(&value.to_be_bytes()))
    };
    let frames = [
        ("an Ethernet header alone", cut(14)),
        ("one byte of IPv4", cut(15)),
        ("IPv4 without its last byte", cut(33)),
        ("IPv4 alone", cut(34)),
        ("UDP without its last byte", cut(41)),
        ("UDP alone", cut(42)),
        ("RTP without its last header byte", cut(53)),
        ("RTP without its last byte", cut(VOICE - 1)),
        ("IPv6 without its last byte", cut_v6(53)),
        ("IPv6 alone", cut_v6(54)),
        ("UDP over IPv6 without its last byte", cut_v6(61)),
        ("UDP over IPv6 alone", cut_v6(62)),
        ("RTP over IPv6 without its last byte", cut_v6(VOICE_V6 - 1)),
        ("the outer tag without its last byte", cut_tagged(17)),
        ("the outer tag alone", cut_tagged(18)),
        ("the inner tag without its last byte", cut_tagged(21)),
        ("both tags alone", cut_tagged(22)),
        ("tags and IPv4 alone", cut_tagged(42)),
        ("an IPv4 length below its header", field(ETHERNET + 2, 19)),
        ("an IPv4 length without UDP", field(ETHERNET + 2, 27)),
        ("an IPv4 length beyond the frame", field(ETHERNET + 2, 201)),
        ("an IPv4 length beyond the UDP length", field(ETHERNET + 2, 199)),
        ("a UDP length beyond the IPv4 length", field(ETHERNET + 24, 181)),
        ("a UDP length below its header", field(ETHERNET + 24, 7)),
        ("a UDP length of zero", field(ETHERNET + 24, 0)),
        ("an IPv6 length of zero", field_v6(ETHERNET + 4, 0)),
        ("an IPv6 length beyond the frame", field_v6(ETHERNET + 4, 181)),
        ("a UDP length of zero over IPv6", field_v6(ETHERNET + 44, 0)),
    ];
    let short = |(description, frame)| case(description, World::new(), frame, Pass(PassReason::Short));
    frames.into_iter().map(short).collect()
}

fn slots() -> Vec<Case> {
    let to = |destination: &str| {
        with(frame(voice()), |frame| frame.destination = destination.parse().unwrap())
    };
    let unspecified = with(frame_v6(voice()), |frame| frame.destination = "[::]:0".parse().unwrap());
    let beyond_the_table = || {
        let mut world = World::new();
        for (_, range) in world.locals.iter_mut().filter(|(_, range)| range.base == 4) {
            (range.base, range.port_max) = (14, 30_010);
        }
        world
    };
    let first_copy = World::new().with_first_copy(SLOT);
    let mut odd_state = World::new();
    odd_state.slots[SLOT].state = 3;
    let mut highest_port = World::new();
    highest_port.slots.swap(SLOT, 7);
    highest_port.annexes.swap(SLOT, 7);
    let mapped = World::new().with_rule(|rule| rule.flags &= !rule_flags::IPV6_IN);
    let blocked = || World::new().with_rule(|rule| rule.flags |= rule_flags::BLOCK);
    vec![
        case("an unclaimed slot", World::new().with_state(SlotState::Unclaimed), frame(voice()), Pass(PassReason::Unclaimed)),
        case("a claimed slot", World::new().with_state(SlotState::Claimed), frame(voice()), Pass(PassReason::NotOffloaded)),
        case("the first copy of the rule", first_copy, frame(voice()), redirect(VOICE)),
        case("a state of the future", odd_state, frame(voice()), Pass(PassReason::NotOffloaded)),
        case("the port below the range", World::new(), to("192.0.2.1:29999"), Pass(PassReason::NotOurs)),
        case("the port above the range", World::new(), to("192.0.2.1:30004"), Pass(PassReason::NotOurs)),
        case("the highest port", highest_port, to("192.0.2.1:30003"), redirect(VOICE)),
        case("a port next to it", World::new(), to("192.0.2.1:30001"), Pass(PassReason::Unclaimed)),
        case("another address", World::new(), to("192.0.2.2:30000"), Pass(PassReason::NotOurs)),
        case("the unspecified address", World::new(), unspecified, Pass(PassReason::NotOurs)),
        case("a range beyond the table", beyond_the_table(), to("192.0.2.1:30002"), Pass(PassReason::NotOurs)),
        case("a rule for the other IP version", mapped, frame_v6(voice()), Pass(PassReason::Unsupported)),
        case("blocked media", blocked(), frame(voice()), Drop),
        case("blocked media over IPv6", blocked(), frame_v6(voice()), Drop),
        case("blocked media from elsewhere", blocked(), elsewhere(voice()), Pass(PassReason::OtherSource)),
        case("STUN to blocked media", blocked(), frame(stun()), Pass(PassReason::Stun)),
    ]
}

fn elsewhere(payload: Vec<u8>) -> Frame {
    with(frame(payload), |frame| frame.source = "198.51.100.8:4000".parse().unwrap())
}

fn stun() -> Vec<u8> {
    [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat()
}

fn media() -> Vec<Case> {
    let receiver_report = |length: usize| [&[0x80, 201, 0, 1][..], &vec![9; length - 4]].concat();
    let first = |byte| {
        let mut packet = voice();
        packet[0] = byte;
        frame(packet)
    };
    let second = |byte| frame(rtp(byte, 1, 2, 3, 20));
    let shorter = |length: usize| frame(voice()[..length].to_vec());
    let small = redirect(ETHERNET + 28 + 12 + 20);
    vec![
        case("STUN", World::new(), frame(stun()), Pass(PassReason::Stun)),
        case("STUN over IPv6", World::new(), frame_v6(stun()), Pass(PassReason::Stun)),
        case("STUN from elsewhere", World::new(), elsewhere(stun()), Pass(PassReason::Stun)),
        case("DTLS", World::new(), first(22), Pass(PassReason::Dtls)),
        case("the first byte below DTLS", World::new(), first(19), Pass(PassReason::NotRtp)),
        case("the last byte of DTLS", World::new(), first(63), Pass(PassReason::Dtls)),
        case("TURN channel data", World::new(), first(0x40), Pass(PassReason::NotRtp)),
        case("RTP version 0", World::new(), first(0x7f), Pass(PassReason::NotRtp)),
        case("RTP version 3", World::new(), first(0xc0), Pass(PassReason::NotRtp)),
        case("padding, extension and all CSRCs", World::new(), first(0xbf), redirect(VOICE)),
        case("RTCP", World::new(), frame(receiver_report(32)), Pass(PassReason::Rtcp)),
        case("the shortest RTCP", World::new(), frame(receiver_report(8)), Pass(PassReason::Rtcp)),
        case("RTCP from elsewhere", World::new(), elsewhere(receiver_report(32)), Pass(PassReason::Rtcp)),
        case("the byte below RTCP", World::new(), second(193), small),
        case("the first byte of RTCP", World::new(), second(194), Pass(PassReason::Rtcp)),
        case("the last byte of RTCP", World::new(), second(223), Pass(PassReason::Rtcp)),
        case("the byte above RTCP", World::new(), second(224), small),
        case("RTP without its last header byte", World::new(), shorter(11), Pass(PassReason::NotRtp)),
        case("one byte of RTP", World::new(), shorter(1), Pass(PassReason::NotRtp)),
        case("a short DTLS record", World::new(), frame(vec![20]), Pass(PassReason::Dtls)),
        case("an empty datagram", World::new(), frame(vec![]), Pass(PassReason::NotRtp)),
        case("a listed payload type", World::new(), second(3), Pass(PassReason::PayloadType)),
        case("a listed payload type above 63", World::new(), second(101), Pass(PassReason::PayloadType)),
        case("a listed payload type with marker", World::new(), second(0x80 | 101), Pass(PassReason::PayloadType)),
        case("the payload type 64 above a listed one", World::new(), second(67), small),
        case("the payload type 64 below a listed one", World::new(), second(101 - 64), small),
        case("a listed payload type from elsewhere", World::new(), elsewhere(rtp(101, 1, 2, 3, 4)), Pass(PassReason::PayloadType)),
    ]
}

fn sources() -> Vec<Case> {
    let other = |action: OtherSource| World::new().with_rule(move |rule| rule.other_source = action as u8);
    let odd = || World::new().with_rule(|rule| rule.other_source = 3);
    let port = || with(frame(voice()), |frame| frame.source.set_port(4002));
    let elsewhere_v6 = || {
        with(frame_v6(voice()), |frame| frame.source = "[2001:db8:a:0:1::7]:4000".parse().unwrap())
    };
    vec![
        case("another address passes", other(OtherSource::Pass), elsewhere(voice()), Pass(PassReason::OtherSource)),
        case("another address is dropped", other(OtherSource::Drop), elsewhere(voice()), Drop),
        case("another address goes on", other(OtherSource::Forward), elsewhere(voice()), redirect(VOICE)),
        case("another port passes", other(OtherSource::Pass), port(), Pass(PassReason::OtherSource)),
        case("another port is dropped", other(OtherSource::Drop), port(), Drop),
        case("another port goes on", other(OtherSource::Forward), port(), redirect(VOICE)),
        case("another IPv6 address passes", other(OtherSource::Pass), elsewhere_v6(), Pass(PassReason::OtherSource)),
        case("another IPv6 address goes on", other(OtherSource::Forward), elsewhere_v6(), redirect(VOICE_V6)),
        case("an action of the future", odd(), elsewhere(voice()), Pass(PassReason::OtherSource)),
    ]
}

/// What packets of unexpected sources may cost.
fn floods() -> Vec<Case> {
    let empty = || World::new().with_empty_ports();
    let claimed = || empty().with_state(SlotState::Claimed);
    let from = |source: &str| source.parse().unwrap();
    let stranger = || from("198.51.100.8:4000");
    let expecting = |world: World, source| world.with_expected(source, guard_flags::KNOWN);
    let of_rule = |other_source: OtherSource| empty().with_rule(|rule| rule.other_source = other_source as u8);
    let no_network = || World::new().with_empty_network(stranger());
    let other_port = || with(frame(voice()), |frame| frame.source.set_port(4001));
    let another_network = || with(frame(stun()), |frame| frame.source = "203.0.113.8:4000".parse().unwrap());
    let v6 = || with(frame_v6(stun()), |frame| frame.source = from("[2001:db8:a::8]:4000"));
    vec![
        case("media of the expected source while the bucket is empty", empty(), frame(voice()), redirect(VOICE)),
        case("its STUN", empty(), frame(stun()), Pass(PassReason::Stun)),
        case("the same over IPv6", empty(), frame_v6(stun()), Pass(PassReason::Stun)),
        case("STUN of a stranger", empty(), elsewhere(stun()), Drop),
        case("STUN of a stranger over IPv6", empty(), v6(), Drop),
        case("media of a stranger", empty(), elsewhere(voice()), Drop),
        case("noise of a stranger", empty(), elsewhere(vec![0xff; 20]), Drop),
        case("media of another port of the expected address", empty(), other_port(), Drop),
        case("media of a stranger that would go on", of_rule(OtherSource::Forward), elsewhere(voice()), Drop),
        case("media of a stranger that would be dropped", of_rule(OtherSource::Drop), elsewhere(voice()), Drop),
        case("media of a source that the daemon expects already", expecting(empty(), stranger()), elsewhere(voice()), Pass(PassReason::OtherSource)),
        case("media of anybody, as configured", empty().with_expected(stranger(), guard_flags::ANY), other_port(), Pass(PassReason::OtherSource)),
        case("STUN of a stranger while the bucket of its network is empty", no_network(), elsewhere(stun()), Drop),
        case("media of the expected source while the bucket of its network is empty", no_network(), frame(voice()), redirect(VOICE)),
        case("STUN of another network", no_network(), another_network(), Pass(PassReason::Stun)),
        case("anything at a claimed port", claimed(), frame(voice()), Drop),
        case("anything at a claimed port while there are tokens", World::new().with_state(SlotState::Claimed), elsewhere(stun()), Pass(PassReason::NotOffloaded)),
        case("what is expected at a claimed port", expecting(claimed(), crate::world::caller()), frame(voice()), Pass(PassReason::NotOffloaded)),
        case("what is expected there, over IPv6", expecting(claimed(), crate::world::caller_v6()), frame_v6(voice()), Pass(PassReason::NotOffloaded)),
        case("another source than expected there", expecting(claimed(), stranger()), frame(voice()), Drop),
        case("a source that was expected there", claimed().with_expected(crate::world::caller(), 0), frame(voice()), Drop),
        case("anything to a claimed port by a device that does not have the address", claimed().elsewhere(), frame(voice()), Drop),
        case("the same over IPv6", claimed().elsewhere(), frame_v6(voice()), Drop),
        case("the same in a VLAN that the host does not have", claimed(), with(frame(voice()), |frame| frame.vlans = vec![(0x8100, 6)]), Drop),
        case("what is expected, by such a device", expecting(claimed().elsewhere(), crate::world::caller()), frame(voice()), Pass(PassReason::NotOurs)),
        case("a port that nobody has claimed, by such a device", empty().with_state(SlotState::Unclaimed).elsewhere(), frame(voice()), Pass(PassReason::NotOurs)),
        case("a port that nobody has claimed", empty().with_state(SlotState::Unclaimed), frame(voice()), Pass(PassReason::Unclaimed)),
    ]
}

fn checksums() -> Vec<Case> {
    let checksum = |checksum| with(frame(voice()), |frame| frame.checksum = checksum);
    let checksum_v6 = |checksum| with(frame_v6(voice()), |frame| frame.checksum = checksum);
    let none = UdpChecksum::Fixed(0);
    vec![
        case("no checksum stays none", World::new(), checksum(none), redirect(VOICE)),
        case("no checksum over IPv6", World::new(), checksum_v6(none), Pass(PassReason::ZeroChecksum)),
        case("a partial checksum", World::new(), checksum(UdpChecksum::Partial), Pass(PassReason::PartialChecksum)),
        case("a partial checksum over IPv6", World::new(), checksum_v6(UdpChecksum::Partial), Pass(PassReason::PartialChecksum)),
        case("a wrong checksum stays wrong", World::new(), checksum(UdpChecksum::Fixed(0x1234)), redirect(VOICE)),
        case("a wrong checksum of the IPv4 header", World::new(), broken_header(10), Pass(PassReason::HeaderChecksum)),
        case("another TTL than that which was sent", World::new(), broken_header(8), Pass(PassReason::HeaderChecksum)),
        case("a wrong checksum of the IPv4 header, and no next hop", World::new().with_route(|route| route.valid = 0), broken_header(11), Pass(PassReason::HeaderChecksum)),
        case("a checksum of all ones", World::new(), checksum(UdpChecksum::Fixed(0xffff)), redirect(VOICE)),
        case("a checksum that becomes zero", World::new(), becoming_zero(), redirect(VOICE)),
    ]
}

/// A frame with a bit of its IPv4 header turned over.
fn broken_header(at: usize) -> Vec<u8> {
    bytes(&frame(voice()), |bytes| bytes[ETHERNET + at] ^= 0x04)
}

/// A frame whose updated checksum would be zero, and so is sent as all ones.
fn becoming_zero() -> Frame {
    (0..=u16::MAX)
        .map(|sequence| frame(rtp(8, sequence, 160_000, 0xdead_beef, 160)))
        .find(|frame| {
            let (_, bytes) = World::new().rewrite(AT, &frame.bytes());
            bytes[ETHERNET + 26..ETHERNET + 28] == [0xff, 0xff]
        })
        .expect("one of all sequence numbers")
}

fn routes() -> Vec<Case> {
    let invalid = World::new().with_route(|route| route.valid = 0);
    let mtu = |mtu| World::new().with_route(move |route| route.mtu = mtu);
    let nowhere = World::new().with_rule(|rule| rule.route = 100_000);
    let second = World::new().with_rule(|rule| rule.route = 1).with_route(|route| route.valid = 0);
    let ip = u16::try_from(VOICE - ETHERNET).unwrap();
    vec![
        case("an invalid next hop", invalid, frame(voice()), Pass(PassReason::NoRoute)),
        case("no next hop", nowhere, frame(voice()), Pass(PassReason::NoRoute)),
        case("the second next hop", second, frame(voice()), redirect(VOICE)),
        case("just within the MTU", mtu(ip), frame(voice()), redirect(VOICE)),
        case("just above the MTU", mtu(ip - 1), frame(voice()), Pass(PassReason::TooBig)),
        case("just within the MTU, IPv6", mtu(ip + 20), frame_v6(voice()), redirect(VOICE_V6)),
        case("just above the MTU, IPv6", mtu(ip + 19), frame_v6(voice()), Pass(PassReason::TooBig)),
    ]
}

fn crossings() -> Vec<Case> {
    let tags = [0x88a8_0021, 0x8100_a00c];
    let tagged = with(frame_v6(voice()), |frame| frame.vlans = vec![(0x88a8, 1), (0x8100, 2)]);
    let none = |frame| with(frame, |frame| frame.checksum = UdpChecksum::Fixed(0));
    let ip = u16::try_from(VOICE - ETHERNET).unwrap();
    vec![
        case("IPv4 becomes IPv6", World::crossing(), frame(voice()), redirect(VOICE_V6)),
        case("IPv6 becomes IPv4", World::crossing(), frame_v6(voice()), redirect(VOICE)),
        case("to IPv6, with tags", World::crossing().with_route(|route| route.vlans = tags), frame(voice()), redirect(VOICE_V6 + 8)),
        case("to IPv4, other tags come", World::crossing().with_route(|route| route.vlans = tags), tagged.clone(), redirect(VOICE + 8)),
        case("to IPv4, tags go", World::crossing(), tagged, redirect(VOICE)),
        case("no checksum cannot become IPv6", World::crossing(), none(frame(voice())), Pass(PassReason::ZeroChecksum)),
        case("no checksum from IPv6", World::crossing(), none(frame_v6(voice())), Pass(PassReason::ZeroChecksum)),
        case("to IPv6, above the MTU", World::crossing().with_route(|route| route.mtu = ip + 19), frame(voice()), Pass(PassReason::TooBig)),
        case("to IPv4, within the MTU", World::crossing().with_route(|route| route.mtu = ip), frame_v6(voice()), redirect(VOICE)),
        case("IPv4 to a slot for IPv6", World::crossing().with_rule(|rule| rule.flags ^= rule_flags::IPV6_IN), frame(voice()), Pass(PassReason::Unsupported)),
    ]
}
