//! SRTP with a peer that is not ours: libsrtp at both ends.

use std::net::{SocketAddr, UdpSocket};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ng_client::{Dictionary, Value, command};
use relay_daemon::security::{MasterKey, Srtp, Suite};
use relay_tests::call::{Call, Told};
use relay_tests::daemon::{Control, PATIENCE, wait_until};
use relay_tests::lab::IpVersion;
use relay_tests::libsrtp::LibSrtp;
use relay_tests::netns::requires_root;
use relay_tests::probe::Side;

use super::bench::{Bench, audio};

const REPORT: [u8; 8] = [0x80, 201, 0, 1, 1, 2, 3, 4];

/// What an end protects its media with, or that it does not.
type Key = Option<Srtp>;

fn key(suite: Suite, fill: u8) -> Srtp {
    Srtp::new(MasterKey::cut(suite, [fill; MasterKey::MAX_LENGTH]))
}

/// One end of a call: its RTP, its RTCP, and how it protects them.
struct End {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    told: Told,
    sends: Option<LibSrtp>,
    receives: Option<LibSrtp>,
}

impl End {
    fn send(&mut self, packet: &[u8]) -> Vec<u8> {
        let wire = match &mut self.sends {
            Some(sends) => sends.protect(packet).unwrap(),
            None => packet.to_vec(),
        };
        let (socket, to) = match packet[1] {
            201 => (&self.rtcp, self.told.rtcp),
            _ => (&self.rtp, self.told.rtp),
        };
        socket.send_to(&wire, to).unwrap();
        wire
    }

    /// The next packet of a kind: as it came, and as it reads.
    fn receive(&mut self, is_rtcp: bool) -> (Vec<u8>, Vec<u8>) {
        let (socket, from) = match is_rtcp {
            true => (&self.rtcp, self.told.rtcp),
            false => (&self.rtp, self.told.rtp),
        };
        let mut buffer = [0; 2000];
        let (length, source) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(source, from);
        let wire = buffer[..length].to_vec();
        let plain = match &mut self.receives {
            Some(receives) => receives.unprotect(&wire).unwrap(),
            None => wire.clone(),
        };
        (wire, plain)
    }
}

/// Relayed packets are what was sent.
fn converse(ends: &mut [End; 2], numbers: std::ops::Range<u16>, unchanged: bool) {
    for number in numbers {
        let mut packet = vec![0x80, 8];
        packet.extend(number.to_be_bytes());
        packet.extend([0, 0, 0, 160, 1, 2, 3, 4]);
        packet.resize(172, 0xd5);
        for (from, to) in [(0, 1), (1, 0)] {
            let sent = ends[from].send(&packet);
            let (wire, plain) = ends[to].receive(false);
            assert_eq!(plain, packet);
            assert_eq!(wire == sent, unchanged);
            ends[from].send(&REPORT);
            assert_eq!(ends[to].receive(true).1, REPORT);
        }
    }
}

fn sdp(side: Side, version: IpVersion, key: &Key, tag: u32) -> String {
    let sdp = audio(side, version, 4000).to_string();
    let Some(srtp) = key else {
        return sdp;
    };
    let inline = BASE64.encode(srtp.key.key_and_salt());
    let sdp = sdp.replace("RTP/AVP", "RTP/SAVP");
    format!("{sdp}a=crypto:{tag} {} inline:{inline}\r\n", srtp.suite())
}

/// What an SDP says of a suite: the tag and the key.
fn crypto(sdp: &str, suite: Suite) -> Option<(u32, Srtp)> {
    let lines = sdp.lines().filter_map(|line| line.strip_prefix("a=crypto:"));
    let mut lines = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    let line = lines.find(|line| line[1] == suite.name())?;
    let inline = BASE64.decode(line[2].strip_prefix("inline:")?).ok()?;
    Some((line[0].parse().ok()?, Srtp::new(MasterKey::new(suite, &inline)?)))
}

fn ask(control: &mut Control, mut request: Dictionary, more: &[(&'static str, &str)]) -> String {
    for (key, value) in more {
        request.push(*key, *value);
    }
    let interfaces = match request.find("command").and_then(Value::text).as_deref() {
        Some("offer") => ["inner", "outer"],
        _ => ["outer", "inner"],
    };
    request.push("direction", interfaces.map(Value::from).to_vec());
    let reply = control.request(&request);
    reply.find("sdp").and_then(Value::text).unwrap().into_owned()
}

/// A call whose ends protect what they send with these keys.
fn set_up(bench: &mut Bench, call: &Call, versions: [IpVersion; 2], keys: [Key; 2]) -> [End; 2] {
    let [caller_key, callee_key] = keys;
    let family = |version| match version {
        IpVersion::V4 => "IP4",
        IpVersion::V6 => "IP6",
    };
    let protocol = if callee_key.is_some() {
        "RTP/SAVP"
    } else {
        "RTP/AVP"
    };
    let offer = command::offer(
        call.id(),
        "caller",
        &sdp(Side::Caller, versions[0], &caller_key, 1),
    );
    let more = [
        ("transport-protocol", protocol),
        ("address-family", family(versions[1])),
    ];
    let offered = ask(&mut bench.control, offer, &more);
    let callee_hears = callee_key
        .as_ref()
        .map(|key| crypto(&offered, key.suite()).unwrap());
    let tag = callee_hears.as_ref().map_or(1, |(tag, _)| *tag);
    let answer = sdp(Side::Callee, versions[1], &callee_key, tag);
    let answer = command::answer(call.id(), "caller", "callee", &answer);
    let answered = ask(
        &mut bench.control,
        answer,
        &[("address-family", family(versions[0]))],
    );
    let caller_hears = caller_key
        .as_ref()
        .map(|key| crypto(&answered, key.suite()).unwrap().1);
    let bind = |side, version: IpVersion, port| {
        let socket = bench.lab.bind(side, SocketAddr::new(version.address(side), port));
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let end = |side, version, sdp: &str, sends: Key, receives: Key| End {
        rtp: bind(side, version, 4000),
        rtcp: bind(side, version, 4001),
        told: Told::parse(sdp).unwrap(),
        sends: sends.map(|key| LibSrtp::outbound(&key).unwrap()),
        receives: receives.map(|key| LibSrtp::inbound(&key).unwrap()),
    };
    [
        end(Side::Caller, versions[0], &answered, caller_key, caller_hears),
        end(
            Side::Callee,
            versions[1],
            &offered,
            callee_key,
            callee_hears.map(|(_, key)| key),
        ),
    ]
}

const IPV4: [IpVersion; 2] = [IpVersion::V4; 2];

#[test]
fn srtp_passes_through_the_kernel_where_both_sides_have_the_same_keys() {
    if !requires_root() || !LibSrtp::is_installed() {
        return;
    }
    let mut bench = Bench::start(&["--table=0", "--no-fallback", "--xdp-mode=native"]);
    for (name, suite) in [("cm", Suite::AesCm128HmacSha1_80), ("gcm", Suite::AeadAes256Gcm)] {
        let call = Call::new(name);
        let keys = [Some(key(suite, 1)), Some(key(suite, 2))];
        let mut ends = set_up(&mut bench, &call, IPV4, keys);
        converse(&mut ends, 65_500..65_535, true);
        call.wait_for_path(&mut bench.control, "kernel");
        let before = call.received(&mut bench.control, Side::Caller);
        converse(&mut ends, 0..60, true);
        let after = call.received(&mut bench.control, Side::Caller);
        assert!(after.0 >= before.0 + 60, "{before:?} then {after:?}");
        call.delete(&mut bench.control, 0);
    }
}

#[test]
fn each_side_has_its_own_protection() {
    if !requires_root() || !LibSrtp::is_installed() {
        return;
    }
    let mut bench = Bench::start(&["--table=0", "--no-fallback", "--xdp-mode=native"]);
    let plain = || None;
    let cm = || Some(key(Suite::AesCm128HmacSha1_80, 1));
    let gcm = || Some(key(Suite::AeadAes128Gcm, 2));
    let cm_256 = || Some(key(Suite::Aes256CmHmacSha1_32, 3));
    let pairs = [
        ("plain to cm", plain(), cm()),
        ("cm to plain", cm(), plain()),
        ("plain to gcm", plain(), gcm()),
        ("cm to gcm", cm(), gcm()),
        ("gcm to cm", gcm(), cm_256()),
    ];
    for (name, caller, callee) in pairs {
        let call = Call::new(name);
        let mut ends = set_up(&mut bench, &call, IPV4, [caller, callee]);
        converse(&mut ends, 65_500..65_535, false);
        converse(&mut ends, 0..30, false);
        call.wait_for_path(&mut bench.control, "encrypted differently on both sides");
        call.delete(&mut bench.control, 0);
    }
}

#[test]
fn ipv6_reaches_srtp_on_ipv4() {
    if !requires_root() || !LibSrtp::is_installed() {
        return;
    }
    let mut bench = Bench::start(&["--table=0", "--no-fallback", "--xdp-mode=native"]);
    let versions = [IpVersion::V6, IpVersion::V4];
    let suite = Suite::AesCm128HmacSha1_80;
    for (name, keys) in [
        ("srtp on IPv4", [None, Some(key(suite, 1))]),
        ("srtp on IPv6", [Some(key(suite, 1)), None]),
    ] {
        let call = Call::new(name);
        let mut ends = set_up(&mut bench, &call, versions, keys);
        converse(&mut ends, 1..60, false);
        call.delete(&mut bench.control, 0);
    }
}

#[test]
fn what_is_refused_is_named() {
    if !requires_root() || !LibSrtp::is_installed() {
        return;
    }
    let mut bench = Bench::start(&["--table=-1"]);
    let call = Call::new("call");
    let keys = [Some(key(Suite::AesCm128HmacSha1_80, 1)), None];
    let mut ends = set_up(&mut bench, &call, IPV4, keys);
    converse(&mut ends, 1..10, false);
    let replayed = ends[0].send(&[&[0x80, 8, 0, 10], &[0; 168][..]].concat());
    assert_eq!(ends[1].receive(false).1.len(), 172);
    let mut forged = replayed.clone();
    forged[3] += 1;
    for packet in [&replayed, &forged, &forged] {
        ends[0].rtp.send_to(packet, ends[0].told.rtp).unwrap();
    }
    let mut refused = Dictionary::new();
    refused.push("authentication failed", 2_u64);
    refused.push("replayed", 1_u64);
    wait_until("the packets are refused", || {
        let stream = call.stream(&mut bench.control, Side::Caller);
        stream.find("refused").and_then(Value::dictionary) == Some(&refused)
    });
}
