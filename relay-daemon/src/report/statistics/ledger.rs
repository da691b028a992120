//! What has happened since the start: calls that ended, requests that were answered.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::super::{AssociationKind, CallSnapshot, MediaSnapshot, PartySnapshot, Received, Termination};
use super::{RequestKind, Requests};
use crate::clock::Time;
use crate::plan::StreamKind;

/// How many control peers are told apart; those of further ones only add to the totals.
const MOST_PEERS: usize = 1000;

/// Keeps count of what has happened.
#[derive(Clone, Debug)]
pub struct Ledger {
    started: Time,
    ended: Ended,
    requests: Requests,
    proxies: BTreeMap<IpAddr, Requests>,
    /// When the rates were taken last, and what had been relayed by then.
    measured: (Time, Received),
    rates: Received,
}

/// Calls that have ended, and those that were refused.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ended {
    /// Calls that have ended.
    pub calls: u64,
    /// Offers that were refused because of a limit.
    pub rejected: u64,
    /// Ended by [`Termination::Regular`].
    pub regular: u64,
    /// Ended by [`Termination::Timeout`].
    pub timeout: u64,
    /// Ended by [`Termination::SilentTimeout`].
    pub silent_timeout: u64,
    /// Ended by [`Termination::OfferTimeout`].
    pub offer_timeout: u64,
    /// Ended by [`Termination::FinalTimeout`].
    pub final_timeout: u64,
    /// Ended by [`Termination::Forced`].
    pub forced: u64,
    /// RTP between two parties of which neither sent any.
    pub zero_way: u64,
    /// RTP between two parties of which one sent some.
    pub one_way: u64,
    /// How long the calls lasted together.
    pub duration: Duration,
    /// Sum of the squares of their durations, s².
    pub duration_squares: f64,
}

impl Ledger {
    /// An empty one.
    pub fn new(started: Time) -> Ledger {
        Ledger {
            started,
            ended: Ended::default(),
            requests: Requests::default(),
            proxies: BTreeMap::new(),
            measured: (started, Received::default()),
            rates: Received::default(),
        }
    }

    /// A request arrived: from now on the peer is listed.
    pub fn request_arrived(&mut self, peer: IpAddr) {
        if self.proxies.len() < MOST_PEERS {
            self.proxies.entry(peer).or_default();
        }
    }

    /// A request was answered.
    pub fn request_answered(
        &mut self,
        peer: IpAddr,
        kind: Option<RequestKind>,
        failed: bool,
        took: Duration,
    ) {
        self.requests.add(kind, failed, took);
        if let Some(requests) = self.proxies.get_mut(&peer) {
            requests.add(kind, failed, took);
        }
    }

    /// An offer was refused because of a limit.
    pub fn call_rejected(&mut self) {
        self.ended.rejected += 1;
    }

    /// A call ended.
    pub fn call_ended(&mut self, call: &CallSnapshot) {
        let ended = &mut self.ended;
        ended.calls += 1;
        match call.ended {
            Some(Termination::Regular) => ended.regular += 1,
            Some(Termination::Timeout) => ended.timeout += 1,
            Some(Termination::SilentTimeout) => ended.silent_timeout += 1,
            Some(Termination::OfferTimeout) => ended.offer_timeout += 1,
            Some(Termination::FinalTimeout) => ended.final_timeout += 1,
            Some(Termination::Forced) => ended.forced += 1,
            None => {}
        }
        ended.duration += call.age;
        ended.duration_squares += call.age.as_secs_f64().powi(2);
        for (one, other) in conversations(call) {
            match (sent_rtp(one), sent_rtp(other)) {
                (false, false) => ended.zero_way += 1,
                (true, true) => {}
                (true, false) | (false, true) => ended.one_way += 1,
            }
        }
    }

    /// Takes the rates since this was called last, from what has been relayed by now.
    pub fn measure(&mut self, now: Time, relayed: Received) {
        let (before, earlier) = self.measured;
        self.measured = (now, relayed);
        self.rates = relayed.since(earlier).per_second(now.since(before));
    }

    /// How long it has been kept.
    pub fn uptime(&self, now: Time) -> Duration {
        now.since(self.started)
    }

    /// Calls that have ended.
    pub fn ended(&self) -> Ended {
        self.ended
    }

    /// Rates per second as measured last.
    pub fn rates(&self) -> Received {
        self.rates
    }

    /// Requests of all peers.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Requests by peer.
    pub fn proxies(&self) -> impl Iterator<Item = (IpAddr, &Requests)> {
        self.proxies.iter().map(|(peer, requests)| (*peer, requests))
    }
}

impl Ended {
    /// Mean duration of a call, seconds.
    pub fn mean_duration(&self) -> f64 {
        ratio(self.duration.as_secs_f64(), self.calls)
    }

    /// Standard deviation of the durations, seconds.
    pub fn duration_deviation(&self) -> f64 {
        let variance = ratio(self.duration_squares, self.calls) - self.mean_duration().powi(2);
        // Rounding may leave a little less than nothing.
        variance.max(0.0).sqrt()
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 calls")]
fn ratio(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// Media sections of which two parties that talk to each other each have one.
fn conversations(call: &CallSnapshot) -> impl Iterator<Item = (&MediaSnapshot, &MediaSnapshot)> {
    let talks_to = |one: &PartySnapshot, other: &PartySnapshot| {
        let peers = one.subscriptions.iter();
        peers
            .filter(|peer| peer.kind == AssociationKind::OfferAnswer)
            .any(|peer| other.tag.as_deref().unwrap_or_default() == peer.tag)
    };
    let pairs = call.parties.iter().enumerate().flat_map(move |(index, one)| {
        let others = call.parties[index + 1..].iter();
        others
            .filter(move |other| talks_to(one, other))
            .map(move |other| (one, other))
    });
    pairs
        .flat_map(|(one, other)| one.media.iter().zip(&other.media))
        .filter(|(one, other)| is_open_rtp(one) && is_open_rtp(other))
}

/// Whether the party takes part in a section: it names an address for it.
fn is_open_rtp(media: &MediaSnapshot) -> bool {
    let rtp = &media.streams[0];
    rtp.kind == StreamKind::Rtp && rtp.signalled.is_some()
}

fn sent_rtp(media: &MediaSnapshot) -> bool {
    media.streams[0].received.total().packets > 0
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::super::{Association, Counts, Local, Passed, StreamSnapshot};
    use super::*;
    use crate::plan::{Path, UserspaceReason};
    use crate::sdp::Direction;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn packets(packets: u64) -> Received {
        let userspace = Counts {
            packets,
            ..Counts::default()
        };
        Received {
            userspace,
            ..Received::default()
        }
    }

    fn stream(kind: StreamKind, received: u64) -> StreamSnapshot {
        StreamSnapshot {
            kind,
            local: Local::Closed,
            advertised: None,
            signalled: Some("192.0.2.1:4000".parse().unwrap()),
            target: Some("192.0.2.1:4000".parse().unwrap()),
            learned: None,
            path: Path::Userspace(UserspaceReason::NoPacketYet),
            ice: None,
            dtls: None,
            received: packets(received),
            sent: Counts::default(),
            last_activity: Duration::ZERO,
            last_user_packet: None,
            last_kernel_packet: None,
            silent: None,
            ssrcs: Vec::new(),
            sent_ssrcs: None,
            passed: Passed::default(),
            refused: Vec::new(),
            flags: Vec::new(),
        }
    }

    /// A party whose peer is the other one of `a` and `b`.
    fn party(tag: &str, received: &[u64]) -> PartySnapshot {
        let media = received.iter().map(|received| MediaSnapshot {
            kind: "audio".to_owned(),
            protocol: Some("RTP/AVP".to_owned()),
            codecs: Vec::new(),
            codec: None,
            direction: Direction::default(),
            suite: None,
            sources: Vec::new(),
            flags: Vec::new(),
            qualities: Vec::new(),
            streams: [stream(StreamKind::Rtp, *received), stream(StreamKind::Rtcp, 1)],
            is_bare: false,
        });
        PartySnapshot {
            name: tag.to_owned(),
            tag: Some(tag.to_owned()),
            subscriptions: vec![Association {
                tag: if tag == "a" { "b" } else { "a" }.to_owned(),
                kind: AssociationKind::OfferAnswer,
            }],
            media: media.collect(),
            ..PartySnapshot::default()
        }
    }

    fn call(seconds: u64, ended: Termination, parties: Vec<PartySnapshot>) -> CallSnapshot {
        CallSnapshot {
            age: Duration::from_secs(seconds),
            ended: Some(ended),
            parties,
            ..CallSnapshot::default()
        }
    }

    #[test]
    fn calls_are_counted_when_they_end() {
        let mut ledger = Ledger::new(Time(0));
        let parties = vec![party("a", &[10, 10, 0]), party("b", &[10, 0, 0])];
        ledger.call_ended(&call(10, Termination::Regular, parties));
        ledger.call_ended(&call(20, Termination::Timeout, vec![party("a", &[0])]));
        ledger.call_rejected();
        let ended = ledger.ended();
        assert_eq!(
            (ended.calls, ended.regular, ended.timeout, ended.rejected),
            (2, 1, 1, 1)
        );
        assert_eq!((ended.one_way, ended.zero_way), (1, 1));
        assert_eq!(ended.mean_duration(), 15.0);
        assert_eq!(ended.duration_deviation(), 5.0);
        assert_eq!(Ledger::new(Time(0)).ended().duration_deviation(), 0.0);
    }

    #[test]
    fn rates_are_those_of_the_last_period() {
        let second = Duration::from_secs(1);
        let mut ledger = Ledger::new(Time(0));
        ledger.measure(Time(0) + second, packets(50));
        assert_eq!(ledger.rates(), packets(50));
        ledger.measure(Time(0) + 3 * second, packets(150));
        assert_eq!(ledger.rates(), packets(50));
        ledger.measure(Time(0) + 3 * second, packets(150));
        assert_eq!(ledger.rates(), Received::default());
    }

    #[test]
    fn peers_are_listed_from_their_first_request_and_bounded() {
        let mut ledger = Ledger::new(Time(0));
        ledger.request_arrived(PEER);
        assert_eq!(ledger.proxies().next(), Some((PEER, &Requests::default())));
        let ping = RequestKind::of("ping");
        ledger.request_answered(PEER, ping, false, Duration::from_secs(1));
        for number in 0..2000 {
            let peer = Ipv4Addr::from_bits(number).into();
            ledger.request_arrived(peer);
            ledger.request_answered(peer, ping, true, Duration::ZERO);
        }
        assert_eq!(ledger.proxies().count(), MOST_PEERS);
        assert_eq!(ledger.requests().errors, 2000);
        assert_eq!(ledger.requests().of(ping.unwrap()).count, 2001);
    }
}
