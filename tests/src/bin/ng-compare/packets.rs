//! Packets to the ports of both daemons, and what arrives.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use relay_tests::names::Names;
use relay_tests::recording;
use serde_json::{Map, Value, json};

/// So long after packets a daemon has dealt with them, on a machine that is busy: queries are to tell of them.
const SETTLED: Duration = Duration::from_millis(15);

/// Nothing more comes after so long, on a machine that is busy.
const QUIET: Duration = Duration::from_millis(150);

/// What both daemons did alike by then is all.
const QUIET_IF_ALIKE: Duration = Duration::from_millis(60);

/// The sockets of the clients of one daemon, and what they sent and received.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    sockets: BTreeMap<String, UdpSocket>,
    /// Payloads, by who sent them.
    sent: BTreeMap<String, Vec<Vec<u8>>>,
    /// SSRCs that were sent.
    ssrcs: Vec<u32>,
    /// First sequence number and timestamp of SSRCs that the daemon made up.
    first: BTreeMap<u32, (u16, u32)>,
    arrived: BTreeMap<String, Vec<Value>>,
}

impl Clients {
    /// Opens sockets: `{name: "address:port"}`.
    pub(crate) fn open(
        &mut self,
        step: &Value,
        mut open: impl FnMut(SocketAddr) -> io::Result<UdpSocket>,
    ) -> io::Result<()> {
        for (name, address) in step.as_object().into_iter().flatten() {
            let address = address.as_str().unwrap_or_default().parse();
            let socket = open(address.map_err(io::Error::other)?)?;
            socket.set_nonblocking(true)?;
            self.sockets.insert(name.clone(), socket);
        }
        Ok(())
    }

    /// Sends what an entry of `send` describes. An entry whose port is not known sends nothing.
    pub(crate) fn send(&mut self, entry: &Value, names: &mut Names) {
        let to = names.fill_text(entry["to"].as_str().unwrap_or_default());
        let name = entry["from"].as_str().unwrap_or_default();
        let (Some(socket), Ok(to)) = (self.sockets.get(name), to.parse::<SocketAddr>()) else {
            return;
        };
        let sent = self.sent.entry(name.to_owned()).or_default();
        if let Some(raw) = entry["raw"].as_str() {
            let packet = bytes(raw);
            // The daemon may refuse it: that is what is looked at.
            let _ = socket.send_to(&packet, to);
            sent.push(packet);
            thread::sleep(SETTLED);
            return;
        }
        let number = |key: &str| entry[key].as_u64().unwrap_or_default();
        let ssrc = u32::try_from(number("ssrc")).unwrap_or_default();
        self.ssrcs.push(ssrc);
        names.sent_ssrc(ssrc);
        for index in 0..number("n").max(1) {
            let mut packet = vec![0x80, u8::try_from(number("pt") & 0x7f).unwrap_or_default()];
            packet.extend(&(number("seq") + index).to_be_bytes()[6..]);
            packet.extend(&(number("ts") + 160 * index).to_be_bytes()[4..]);
            packet.extend(ssrc.to_be_bytes());
            let payload = bytes(entry["payload"].as_str().unwrap_or_default());
            packet.extend(&payload);
            let _ = socket.send_to(&packet, to);
            sent.push(payload);
            thread::sleep(Duration::from_millis(number("every")));
        }
        thread::sleep(SETTLED);
    }

    /// Whether anything has arrived since the last look.
    fn look(&mut self, names: &mut Names) -> bool {
        let mut any = false;
        let mut buffer = vec![0; 2048];
        let mut packets = Vec::new();
        for (name, socket) in &self.sockets {
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                packets.push((name.clone(), buffer[..length].to_vec(), from));
            }
        }
        for (name, packet, from) in packets {
            let described = self.packet(&packet, from, names);
            self.arrived.entry(name).or_default().push(described);
            any = true;
        }
        any
    }

    /// A packet as `tests/fixtures/oracle/README.md` section 5.2 has it.
    fn packet(&mut self, packet: &[u8], from: SocketAddr, names: &mut Names) -> Value {
        let from = names.place(&from.ip().to_string(), u64::from(from.port()));
        let mut described = Map::from_iter([("from".to_owned(), json!(from))]);
        let version = packet.first().is_some_and(|byte| byte >> 6 == 2);
        let kind = packet.get(1).copied().unwrap_or_default();
        if version && packet.len() >= 8 && (192..=223).contains(&kind) {
            match self.reference(packet) {
                Some(reference) => described.insert("raw".to_owned(), json!(reference)),
                None => described.insert("rtcp".to_owned(), json!(rtcp(packet))),
            };
        } else if version && packet.len() >= 12 {
            let word = |at: usize| {
                packet[at..at + 4]
                    .iter()
                    .fold(0, |word, byte| word << 8 | u32::from(*byte))
            };
            let (seq, ts, ssrc) = (u16::from_be_bytes([packet[2], packet[3]]), word(4), word(8));
            let header = 12 + 4 * usize::from(packet[0] & 15);
            let body = packet.get(header..).unwrap_or_default();
            described.insert("pt".to_owned(), json!(kind & 127));
            if self.ssrcs.contains(&ssrc) {
                described.insert("seq".to_owned(), json!(seq));
                described.insert("ts".to_owned(), json!(ts));
                described.insert("ssrc".to_owned(), json!(ssrc));
            } else {
                let first = *self.first.entry(ssrc).or_insert((seq, ts));
                described.insert("seq".to_owned(), json!(format!("+{}", seq.wrapping_sub(first.0))));
                described.insert("ts".to_owned(), json!(format!("+{}", ts.wrapping_sub(first.1))));
                described.insert("ssrc".to_owned(), json!("«SSRC»"));
            }
            if kind & 128 != 0 {
                described.insert("marker".to_owned(), json!(1));
            }
            let payload = self.reference(body).unwrap_or_else(|| hex(body));
            described.insert("payload".to_owned(), json!(payload));
        } else {
            let raw = self.reference(packet).unwrap_or_else(|| hex(packet));
            described.insert("raw".to_owned(), json!(raw));
        }
        Value::Object(described)
    }

    /// The packet sent that has this payload.
    fn reference(&self, body: &[u8]) -> Option<String> {
        self.sent.iter().find_map(|(name, payloads)| {
            let index = payloads.iter().position(|payload| payload == body)?;
            Some(format!("={name}:{index}"))
        })
    }

    fn all(&self) -> Value {
        let all = self.sockets.keys().map(|name| {
            let mut packets = self.arrived.get(name).cloned().unwrap_or_default();
            // Threads of a daemon may deliver what came at one time in any order.
            packets.sort_by_key(ToString::to_string);
            (name.clone(), Value::Array(packets))
        });
        json!({"result": "packets", "expect": all.collect::<Map<_, _>>()})
    }
}

/// What has arrived at both daemons' clients, when nothing more comes.
pub(crate) fn gather(clients: &mut [Clients; 2], lanes: &mut [Names; 2]) -> [Value; 2] {
    let mut last = Instant::now();
    loop {
        for (clients, names) in clients.iter_mut().zip(lanes.iter_mut()) {
            if clients.look(names) {
                last = Instant::now();
            }
        }
        let all = clients.each_ref().map(Clients::all);
        let quiet = if all[0] == all[1] { QUIET_IF_ALIKE } else { QUIET };
        if last.elapsed() >= quiet {
            for clients in clients {
                clients.arrived.clear();
            }
            return all;
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// Whether a step is about packets.
pub(crate) fn is_about(step: &Value) -> bool {
    ["open", "send", "expect", "pause"]
        .iter()
        .any(|key| !step[*key].is_null())
}

/// What is expected, as the reference delivered it.
pub(crate) fn expectation(reference: &Value) -> Value {
    reference["expect"].clone()
}

/// The entries of a step.
pub(crate) fn entries(step: &Value) -> impl Iterator<Item = &Value> {
    recording::array(&step["send"])
}

/// Kinds and senders of what is in a compound packet.
fn rtcp(mut packet: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    while packet.len() >= 4 {
        let length = (4 + 4 * usize::from(u16::from_be_bytes([packet[2], packet[3]]))).min(packet.len());
        let (one, rest) = packet.split_at(length);
        let name = match one[1] {
            200 => "SR",
            201 => "RR",
            202 => "SDES",
            203 => "BYE",
            205 => "RTPFB",
            206 => "PSFB",
            _ => "other",
        };
        all.push(format!("{name} {}", one[0] & 31));
        packet = rest;
    }
    all
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_described() {
        let mut clients = Clients::default();
        let mut names = Names::new(["203.0.113.1".to_owned()]);
        clients.ssrcs.push(0x1122_3344);
        clients.sent.insert("a".to_owned(), vec![vec![7, 8, 9]]);
        let from = |port: u16| SocketAddr::from(([203, 0, 113, 1], port));
        let rtp = bytes("80800005000000a011223344070809");
        assert_eq!(
            clients.packet(&rtp, from(30000), &mut names),
            json!({"from": "203.0.113.1:«PORT1»", "pt": 0, "seq": 5, "ts": 160, "ssrc": 0x1122_3344, "marker": 1, "payload": "=a:0"})
        );
        let report = bytes("80c9000155667788");
        assert_eq!(
            clients.packet(&report, from(30001), &mut names),
            json!({"from": "203.0.113.1:«PORT1+1»", "rtcp": ["RR 0"]})
        );
        assert_eq!(
            clients.packet(&[1, 2], from(30000), &mut names),
            json!({"from": "203.0.113.1:«PORT1»", "raw": "0102"})
        );
    }

    #[test]
    fn what_is_sent_arrives() {
        let mut clients = [Clients::default(), Clients::default()];
        let mut lanes = [0, 1].map(|_| Names::new(["203.0.113.1".to_owned()]));
        let mut addresses = Vec::new();
        for clients in &mut clients {
            let step = json!({"a": "127.0.0.1:0", "b": "127.0.0.1:0"});
            clients.open(&step, UdpSocket::bind).unwrap();
            addresses.push(clients.sockets["b"].local_addr().unwrap());
        }
        for ((clients, names), to) in clients.iter_mut().zip(&mut lanes).zip(&addresses) {
            let entry =
                json!({"from": "a", "to": to.to_string(), "seq": 1, "n": 2, "payload": "0102", "ssrc": 9});
            clients.send(&entry, names);
        }
        let [one, other] = gather(&mut clients, &mut lanes);
        assert_eq!(one["expect"]["b"].as_array().unwrap().len(), 2, "{one}");
        assert_eq!(other["expect"]["a"], json!([]));
    }
}
