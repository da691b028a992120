//! What became of the RTP of calls: packets seen leaving one end and arriving at another, matched
//! with the help of the SIP messages of the ends. The relay changes addresses, so the call-id says
//! which endpoints belong together. Each call joins two ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use relay_common::packet::RtpHeader;
use serde_json::{Value, json};

/// One end of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Where calls come from.
    Caller,
    /// Where they go.
    Callee,
}

/// A network that calls come from or go to: its index among those of the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct End(pub usize);

/// A UDP datagram seen at one end.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Time of day, since the Unix epoch.
    pub at: Duration,
    /// Which end.
    pub end: End,
    /// Whether it was sent there, else received.
    pub sent: bool,
    /// Source address.
    pub source: SocketAddr,
    /// Destination address.
    pub destination: SocketAddr,
    /// UDP payload.
    pub payload: &'a [u8],
}

/// Everything seen so far.
#[derive(Debug)]
pub struct Probe {
    /// What the ends are called.
    names: Vec<String>,
    /// Call of each endpoint that announced itself by SDP; the newest, if it takes part in several.
    endpoints: HashMap<(End, SocketAddr), String>,
    /// The ends that each call joins.
    calls: BTreeMap<String, BTreeSet<End>>,
    /// Media addresses in the SDP that arrived at each end.
    announced: BTreeMap<End, BTreeSet<SocketAddr>>,
    /// What each end has seen of a packet. Who sent it to whom is found in the end: each end is seen in order, but not
    /// one in step with the other.
    packets: HashMap<Packet, BTreeMap<End, Sightings>>,
    strays: u64,
}

/// What the relay leaves alone, and so names a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Packet {
    call: String,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

/// When a packet was seen at an end, and a hash of all of it.
#[derive(Debug, Default)]
struct Sightings {
    sent: Vec<(Duration, u64)>,
    received: Vec<(Duration, u64)>,
}

impl Side {
    /// Both.
    pub const ALL: [Side; 2] = [Side::Caller, Side::Callee];

    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Caller => Side::Callee,
            Side::Callee => Side::Caller,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Caller => "caller",
            Side::Callee => "callee",
        }
    }
}

impl Probe {
    /// A probe of ends with these names.
    pub fn new(names: Vec<String>) -> Probe {
        Probe {
            names,
            endpoints: HashMap::new(),
            calls: BTreeMap::new(),
            announced: BTreeMap::new(),
            packets: HashMap::new(),
            strays: 0,
        }
    }

    /// Takes in a datagram. What is neither SIP nor RTP does not count.
    pub fn see(&mut self, datagram: &Datagram<'_>) {
        if let Some(message) = SipMessage::parse(datagram.payload) {
            self.see_sip(datagram, &message);
        } else if let Some(header) = RtpHeader::parse(datagram.payload) {
            self.see_rtp(datagram, header);
        }
    }

    /// The report: per direction that some call has, what was sent, received, lost, duplicated, corrupted, and how long
    /// it took.
    pub fn report(&self) -> Value {
        let directions: BTreeSet<(End, End)> = self
            .calls
            .values()
            .flat_map(|ends| ends.iter().flat_map(|from| ends.iter().map(|to| (*from, *to))))
            .filter(|(from, to)| from != to)
            .collect();
        let announced = self.announced.iter().map(|(end, addresses)| {
            let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            (self.name(*end), addresses)
        });
        json!({
            "calls": self.calls.len(),
            "directions": directions.iter().map(|(from, to)| self.direction(*from, *to)).collect::<Vec<_>>(),
            "announced": announced.collect::<BTreeMap<_, _>>(),
            "strays": self.strays + self.without_partner(),
        })
    }

    fn see_sip(&mut self, datagram: &Datagram<'_>, message: &SipMessage<'_>) {
        // Nobody is at the address 0.0.0.0, which puts a call on hold.
        let Some(media) = message.media.filter(|media| !media.ip().is_unspecified()) else {
            return;
        };
        if datagram.sent {
            let call = message.call_id.to_owned();
            self.calls.entry(call.clone()).or_default().insert(datagram.end);
            self.endpoints.insert((datagram.end, media), call);
        } else {
            self.announced.entry(datagram.end).or_default().insert(media);
        }
    }

    fn see_rtp(&mut self, datagram: &Datagram<'_>, header: RtpHeader) {
        let local = match datagram.sent {
            true => datagram.source,
            false => datagram.destination,
        };
        let Some(call) = self.endpoints.get(&(datagram.end, local)) else {
            self.strays += 1;
            return;
        };
        let packet = Packet {
            call: call.clone(),
            ssrc: header.ssrc,
            sequence: header.sequence,
            timestamp: header.timestamp,
        };
        let sightings = self.packets.entry(packet).or_default();
        let sightings = sightings.entry(datagram.end).or_default();
        let list = match datagram.sent {
            true => &mut sightings.sent,
            false => &mut sightings.received,
        };
        let mut hasher = DefaultHasher::new();
        datagram.payload.hash(&mut hasher);
        list.push((datagram.at, hasher.finish()));
    }

    /// How often packets were seen of calls that have only one end.
    fn without_partner(&self) -> u64 {
        let packets = self.packets.iter();
        let alone =
            packets.filter(|(packet, _)| self.calls.get(&packet.call).is_none_or(|ends| ends.len() < 2));
        let sightings = alone.flat_map(|(_, ends)| ends.values());
        sightings
            .map(|seen| (seen.sent.len() + seen.received.len()) as u64)
            .sum()
    }

    fn name(&self, end: End) -> &str {
        self.names.get(end.0).map_or("?", String::as_str)
    }

    fn direction(&self, from: End, to: End) -> Value {
        let (mut sent, mut received, mut lost, mut duplicated, mut corrupted) = (0, 0, 0, 0, 0);
        let mut latencies = Vec::new();
        let joins = |packet: &Packet| {
            let ends = self.calls.get(&packet.call);
            ends.is_some_and(|ends| ends.contains(&from) && ends.contains(&to))
        };
        for (_, ends) in self.packets.iter().filter(|(packet, _)| joins(packet)) {
            let departures = ends.get(&from).map_or(&[][..], |seen| &seen.sent);
            let arrivals = ends.get(&to).map_or(&[][..], |seen| &seen.received);
            sent += departures.len();
            received += arrivals.len();
            lost += departures.len().saturating_sub(arrivals.len());
            duplicated += arrivals.len().saturating_sub(departures.len());
            for ((left, was), (arrived, is)) in departures.iter().zip(arrivals) {
                corrupted += usize::from(was != is);
                latencies.push(arrived.saturating_sub(*left));
            }
        }
        latencies.sort_unstable();
        json!({
            "from": self.name(from),
            "to": self.name(to),
            "sent": sent,
            "received": received,
            "lost": lost,
            "duplicated": duplicated,
            "corrupted": corrupted,
            "latency_us": {
                "median": microseconds(quantile(&latencies, 50)),
                "p99": microseconds(quantile(&latencies, 99)),
            },
        })
    }
}

/// The smallest value that at least `percent` of the sorted values do not exceed.
fn quantile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

fn microseconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64() * 1e6)
}

/// What counts of a SIP message.
#[derive(Debug, PartialEq, Eq)]
struct SipMessage<'a> {
    call_id: &'a str,
    /// Address and port of the first media section.
    media: Option<SocketAddr>,
}

impl<'a> SipMessage<'a> {
    fn parse(payload: &'a [u8]) -> Option<SipMessage<'a>> {
        let text = str::from_utf8(payload).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        if !head.lines().next()?.contains("SIP/2.0") {
            return None;
        }
        let call_id = head.lines().find_map(|line| line.strip_prefix("Call-ID:"))?;
        Some(SipMessage {
            call_id: call_id.trim(),
            media: media_address(body),
        })
    }
}

fn media_address(sdp: &str) -> Option<SocketAddr> {
    let words = |prefix: &str| {
        sdp.lines()
            .find_map(|line| line.strip_prefix(prefix))
            .map(|rest| rest.split(' '))
    };
    let address: IpAddr = words("c=")?.nth(2)?.parse().ok()?;
    let port: u16 = words("m=")?.nth(1)?.parse().ok()?;
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "198.18.1.2:10000";
    const CALLEE: &str = "198.18.2.2:20000";
    const RELAY: &str = "198.18.1.1:30000";
    const A: End = End(0);
    const B: End = End(1);
    const C: End = End(2);

    fn sip(probe: &mut Probe, end: End, sent: bool, call_id: &str, media: &str) {
        let media: SocketAddr = media.parse().unwrap();
        let text = format!(
            "INVITE sip:x SIP/2.0\r\nCall-ID: {call_id}\r\n\r\nv=0\r\nc=IN IP4 {}\r\nm=audio {} RTP/AVP 8\r\n",
            media.ip(),
            media.port()
        );
        let datagram = Datagram {
            at: Duration::ZERO,
            end,
            sent,
            source: RELAY.parse().unwrap(),
            destination: RELAY.parse().unwrap(),
            payload: text.as_bytes(),
        };
        probe.see(&datagram);
    }

    fn rtp(probe: &mut Probe, at_ms: u64, end: End, sent: bool, local: &str, sequence: u8, last: u8) {
        let local: SocketAddr = local.parse().unwrap();
        let relay = RELAY.parse().unwrap();
        let (source, destination) = if sent { (local, relay) } else { (relay, local) };
        probe.see(&Datagram {
            at: Duration::from_millis(at_ms),
            end,
            sent,
            source,
            destination,
            payload: &[0x80, 8, 0, sequence, 0, 0, 0, 0, 0, 0, 0, 1, last],
        });
    }

    fn probe() -> Probe {
        Probe::new(["caller", "callee", "target"].map(String::from).into())
    }

    fn call() -> Probe {
        let mut probe = probe();
        sip(&mut probe, A, true, "1@a", CALLER);
        sip(&mut probe, B, false, "1@a", RELAY);
        sip(&mut probe, B, true, "1@a", CALLEE);
        probe
    }

    #[test]
    fn packets_are_matched_through_the_call() {
        let mut probe = call();
        for sequence in 0..3 {
            rtp(&mut probe, 10, A, true, CALLER, sequence, 0);
        }
        rtp(&mut probe, 12, B, false, CALLEE, 0, 0);
        rtp(&mut probe, 13, B, false, CALLEE, 1, 9);
        rtp(&mut probe, 13, B, false, CALLEE, 1, 9);
        let report = probe.report();
        assert_eq!(report["calls"], 1);
        assert_eq!(report["announced"]["callee"], json!([RELAY]));
        assert_eq!(
            report["directions"][0],
            json!({
                "from": "caller", "to": "callee", "sent": 3, "received": 3, "lost": 1,
                "duplicated": 1, "corrupted": 1, "latency_us": { "median": 2000.0, "p99": 3000.0 },
            })
        );
        assert_eq!(report["directions"][1]["sent"], 0);
        assert_eq!(report["directions"][1]["latency_us"]["p99"], Value::Null);
    }

    #[test]
    fn the_same_numbers_in_two_calls_are_two_packets() {
        let mut probe = call();
        sip(&mut probe, A, true, "2@a", "198.18.1.2:10004");
        sip(&mut probe, B, true, "2@a", "198.18.2.2:20004");
        rtp(&mut probe, 1, A, true, CALLER, 0, 0);
        rtp(&mut probe, 1, A, true, "198.18.1.2:10004", 0, 0);
        rtp(&mut probe, 2, B, false, "198.18.2.2:20004", 0, 0);
        let direction = &probe.report()["directions"][0];
        assert_eq!((&direction["sent"], &direction["lost"]), (&json!(2), &json!(1)));
    }

    #[test]
    fn a_party_in_two_calls_talks_in_the_newer_one() {
        let mut probe = call();
        sip(&mut probe, A, true, "2@a", CALLER);
        sip(&mut probe, C, true, "2@a", "198.18.3.2:10000");
        rtp(&mut probe, 1, A, true, CALLER, 0, 0);
        rtp(&mut probe, 2, C, false, "198.18.3.2:10000", 0, 0);
        let report = probe.report();
        let ends = |direction: &Value| format!("{} {}", direction["from"], direction["to"]).replace('"', "");
        let directions = report["directions"].as_array().unwrap();
        let names: Vec<String> = directions.iter().map(ends).collect();
        assert_eq!(
            names,
            ["caller callee", "caller target", "callee caller", "target caller"]
        );
        assert_eq!(directions[1]["received"], 1);
        assert_eq!(directions[0]["sent"], 0);
    }

    /// The ends are not watched in step.
    #[test]
    fn a_packet_may_arrive_before_its_sender_is_known() {
        let mut probe = probe();
        sip(&mut probe, A, true, "1@a", CALLER);
        rtp(&mut probe, 2, A, false, CALLER, 0, 0);
        assert_eq!(probe.report()["strays"], 1);
        sip(&mut probe, B, true, "1@a", CALLEE);
        rtp(&mut probe, 1, B, true, CALLEE, 0, 0);
        let report = probe.report();
        assert_eq!(report["strays"], 0);
        let direction = &report["directions"][1];
        assert_eq!(
            (&direction["received"], &direction["lost"]),
            (&json!(1), &json!(0))
        );
    }

    #[test]
    fn who_holds_has_no_address() {
        let mut probe = call();
        let before = probe.report();
        sip(&mut probe, A, true, "1@a", "0.0.0.0:10000");
        sip(&mut probe, B, false, "1@a", "0.0.0.0:30000");
        assert_eq!(probe.report(), before);
    }

    #[test]
    fn packets_of_no_call_are_strays() {
        let mut probe = call();
        rtp(&mut probe, 1, B, false, "198.18.2.2:21000", 0, 0);
        assert_eq!(probe.report()["strays"], 1);
    }

    #[test]
    fn quantiles_of_few_values() {
        let values = [1, 2, 3, 4].map(Duration::from_millis);
        assert_eq!(quantile(&values, 50), Some(values[1]));
        assert_eq!(quantile(&values, 99), Some(values[3]));
        assert_eq!(quantile(&[], 50), None);
    }
}
