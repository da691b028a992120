//! RTP and RTCP that clients send.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::acts::Act;
use super::client::Client;
use crate::random::Random;

/// What is done with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    Open,
    Send,
    Expect,
    /// Until sources are no longer learned.
    Pause,
}

/// Longer than a daemon learns sources after a message.
const LEARNT: f64 = 3.3;

/// Parties that have sockets: two that talk, and a listener.
const PARTIES: [usize; 3] = [0, 1, 4];

/// The daemon's ports, as far as parties were told.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// By party: `ADDRESS:PORT` for RTP and RTCP of each section.
    told: BTreeMap<usize, Vec<(String, String)>>,
    /// In the last offer, which nobody has answered yet.
    offered: Vec<(String, String)>,
    /// Whom the next reply is for.
    awaiting: Option<usize>,
    /// How many packets a socket has sent.
    sent: BTreeMap<String, u64>,
}

impl Ports {
    /// Before a request is sent.
    pub(crate) fn expect(&mut self, act: &Act) {
        self.awaiting = match *act {
            Act::Offer { to, .. } => to,
            Act::Answer { from, by, .. } => {
                self.told.insert(by, self.offered.clone());
                Some(from)
            }
            Act::Subscribe { by, .. } => Some(by),
            Act::Publish { .. }
            | Act::SubscribeAnswer { .. }
            | Act::CreateAnswer { .. }
            | Act::Plain { .. }
            | Act::Packets(_) => None,
        };
    }

    /// An SDP of the daemon.
    pub(crate) fn heard(&mut self, sdp: &str) {
        let ports = ports(sdp);
        match self.awaiting.take() {
            Some(party) => drop(self.told.insert(party, ports)),
            None => self.offered = ports,
        }
    }

    pub(crate) fn step(&mut self, random: &mut Random, traffic: Traffic, clients: &[Client]) -> Value {
        match traffic {
            Traffic::Open => json!({"open": sockets(clients)}),
            Traffic::Expect => json!({"expect": {}}),
            Traffic::Pause => json!({"pause": LEARNT}),
            Traffic::Send => json!({"send": [self.packets(random, clients)]}),
        }
    }

    fn packets(&mut self, random: &mut Random, clients: &[Client]) -> Value {
        let party = random.weighted(&[(45, 0), (45, 1), (10, 4)]);
        let section = random.weighted(&[(85, 0), (15, 1)]);
        let is_rtcp = random.percent(20);
        let own = format!("{}{section}{}", name(party), if is_rtcp { "-rtcp" } else { "" });
        let from = random
            .weighted(&[(70, own.as_str()), (12, "w"), (10, "w2"), (8, "moved")])
            .to_owned();
        let from = if from == "moved" {
            own.replacen(name(party), &format!("{}-moved", name(party)), 1)
        } else {
            from
        };
        let told = self
            .told
            .get(&party)
            .and_then(|sections| sections.get(section))
            .cloned();
        let (rtp, rtcp) = told.unwrap_or_default();
        let to = if is_rtcp { rtcp } else { rtp };
        let count = self.sent.entry(from.clone()).or_insert(1000);
        let seq = *count;
        let n = 1 + random.below(3);
        *count += n as u64;
        let ssrc = from.bytes().fold(0x1000_0000_u32, |ssrc, byte| {
            ssrc.rotate_left(5) ^ u32::from(byte)
        });
        // Some send more than one stream.
        let ssrc = ssrc ^ random.weighted(&[(88, 0), (8, 0x0100_0000), (4, 0x0200_0000)]);
        if is_rtcp {
            return json!({"from": from, "to": to, "raw": reports(random, ssrc, seq, n as u64)});
        }
        if random.percent(3) {
            // Neither RTP nor RTCP, or cut off.
            let raw = random.pick(&[
                "00",
                "7878",
                "000100002112a442000000000000000000000000",
                "16fefd0000000000",
                "8000000100",
                "9000000100000001000000070000ffff",
                "8f0000010000000100000007",
            ]);
            return json!({"from": from, "to": to, "raw": raw});
        }
        let codecs = clients
            .get(party)
            .and_then(|client| client.sdp.as_ref())
            .and_then(|sdp| sdp.media.get(section))
            .map(|section| section.codecs.as_slice())
            .unwrap_or_default();
        let own: Vec<u8> = codecs.iter().filter_map(|codec| codec.pt.parse().ok()).collect();
        let pt = match own.as_slice() {
            [first, ..] if random.percent(60) => *first,
            [_, ..] if random.percent(70) => random.pick(&own),
            _ => random.weighted(&[(70, 0), (10, 8), (10, 101), (10, 77)]),
        };
        let payload: String = (0..24)
            .map(|index| format!("{:02x}", (seq + index * 7 + u64::from(ssrc % 251)) % 256))
            .collect();
        json!({
            "from": from, "to": to, "pt": pt, "seq": seq, "ts": seq * 160, "ssrc": ssrc, "n": n, "payload": payload, "every": 2
        })
    }
}

/// Mostly what can be read.
fn reports(random: &mut Random, ssrc: u32, seq: u64, n: u64) -> String {
    let octets = n * 24;
    let sender = format!("{ssrc:08x}e000000100000002{:08x}{n:08x}{octets:08x}", seq * 160);
    let block = format!("{ssrc:08x}00000000{seq:08x}000000050000000000000000");
    match random.below(16) {
        0..=2 => format!("80c90001{ssrc:08x}"),
        3 => format!("81c90007{ssrc:08x}{block}"),
        4 => format!("81cb0001{ssrc:08x}"),
        5 => format!("81ca0003{ssrc:08x}0104616263640000"),
        6 => format!("81ce0002{ssrc:08x}{ssrc:08x}"),
        7 => format!("80c90001{ssrc:08x}81cd0003{ssrc:08x}{ssrc:08x}00010000"),
        8 => format!("80cc0002{ssrc:08x}41424344"),
        9 => format!("80cf0001{ssrc:08x}"),
        10 => format!("81c8000c{sender}{block}"),
        11 => random
            .pick(&[
                "80c90000",
                "80c80001aabbccdd",
                "80d00001aabbccdd",
                "80c9",
                "00c90001aabbccdd",
            ])
            .to_owned(),
        _ => format!("80c80006{sender}"),
    }
}

fn name(party: usize) -> &'static str {
    ["a", "b", "d", "e", "c", "f"][party % 6]
}

/// All that clients may use: as many as there are in two sections, before and after they move by 40 ports, and of strangers.
fn sockets(clients: &[Client]) -> Value {
    let mut all = Map::new();
    for client in PARTIES.iter().filter_map(|party| clients.get(*party)) {
        for (moved, offset) in [("", 0), ("-moved", 40)] {
            for section in 0..2 {
                let port = client.port() + 10 * section + offset;
                let name = format!("{}{moved}{section}", name(client.number));
                all.insert(name.clone(), json!(format!("{}:{port}", client.host(false))));
                all.insert(
                    format!("{name}-rtcp"),
                    json!(format!("{}:{}", client.host(false), port + 1)),
                );
            }
        }
    }
    all.insert("w".to_owned(), json!("198.51.96.50:21000"));
    all.insert("w2".to_owned(), json!("198.51.97.10:21500"));
    Value::Object(all)
}

/// Of each section, for RTP and RTCP; empty where there is none.
fn ports(sdp: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut port = "";
    let mut address = "";
    for line in sdp.split("\r\n") {
        if let Some(media) = line.strip_prefix("m=") {
            port = media.split(' ').nth(1).unwrap_or_default();
            all.push((String::new(), String::new()));
        } else if let Some(connection) = line.strip_prefix("c=IN ") {
            address = connection.split(' ').nth(1).unwrap_or_default();
        }
        let Some(last) = all.last_mut() else {
            continue;
        };
        if port.starts_with('«') && !address.contains(':') {
            last.0 = format!("{address}:{port}");
            let rtcp = line
                .strip_prefix("a=rtcp:")
                .and_then(|value| value.split(' ').next());
            if let Some(rtcp) = rtcp {
                last.1 = format!("{address}:{rtcp}");
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_a_reply() {
        let sdp = "v=0\r\nm=audio «PORT1» RTP/AVP 0\r\nc=IN IP4 203.0.113.1\r\na=rtcp:«PORT1+1»\r\nm=video 0 RTP/AVP 9\r\n";
        let there = (
            "203.0.113.1:«PORT1»".to_owned(),
            "203.0.113.1:«PORT1+1»".to_owned(),
        );
        assert_eq!(ports(sdp), [there, (String::new(), String::new())]);
    }
}
