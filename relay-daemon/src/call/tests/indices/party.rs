//! A party that does as libsrtp does: one context for each key, as long as the key is used or may be used again.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::observer::MARK;
use crate::sdp::{Crypto, Description};
use crate::security::{MasterKey, Srtp, Suite};
use crate::srtp::{MAX_TRAILER, Outbound};

/// Suites that parties know.
pub(super) const SUITES: [Suite; 3] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::AeadAes128Gcm,
];

/// What a party puts into its next description.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// Of an offer, and of an answer where there is a choice.
    pub(super) secure: bool,
    /// Whether keys that it had are replaced.
    pub(super) new_keys: bool,
    /// Which of [`SUITES`] it offers first, or takes if it may.
    pub(super) suite: usize,
    /// Whether it speaks from another port from now on.
    pub(super) moves: bool,
}

pub(super) struct Party {
    pub(super) tag: &'static str,
    pub(super) address: SocketAddr,
    /// Whether RTCP is at the port of RTP.
    pub(super) muxed: bool,
    /// Whether the rollover counters of a new key begin at zero, or go on.
    begins_anew: bool,
    /// A key for each suite that it has used.
    pub(super) own: Vec<(u32, Srtp)>,
    fresh: u64,
    /// Contexts of former keys.
    contexts: Vec<Outbound>,
    /// The context in use.
    sends: Option<Outbound>,
    /// SSRCs, each with its next sequence number.
    sources: Vec<(u32, u16)>,
    sent: u64,
    /// What it was told last: where to send to.
    pub(super) told: Option<Told>,
    /// What it sent, protected.
    pub(super) captured: Vec<Vec<u8>>,
}

/// What a description for a party says.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) rtp: u16,
    pub(super) rtcp: u16,
    pub(super) lines: Vec<(u32, Srtp)>,
    secure: bool,
}

impl Party {
    pub(super) fn new(tag: &'static str, place: u8, muxed: bool, begins_anew: bool) -> Party {
        Party {
            tag,
            address: ([198, 51, 100, place], 4000).into(),
            muxed,
            begins_anew,
            own: Vec::new(),
            fresh: u64::from(place) << 32,
            contexts: Vec::new(),
            sends: None,
            sources: vec![(u32::from(place) << 24, 65_000)],
            sent: 0,
            told: None,
            captured: Vec::new(),
        }
    }

    /// What it protects its media with.
    pub(super) fn key(&self) -> Option<&Srtp> {
        self.sends.as_ref().map(Outbound::srtp)
    }

    pub(super) fn offer(&mut self, choice: Choice) -> String {
        self.prepare(choice);
        let mut lines = Vec::new();
        if choice.secure {
            for place in 0..SUITES.len() {
                let suite = SUITES[(place + choice.suite) % SUITES.len()];
                let tag = u32::try_from(place + 1).unwrap();
                lines.push((tag, self.key_for(suite)));
            }
        }
        self.own = lines;
        self.description(choice.secure, &self.own)
    }

    /// Its answer to what it was told, with its keys in use from now on.
    pub(super) fn answer(&mut self, choice: Choice) -> String {
        self.prepare(choice);
        let told = self.told.clone().expect("an offer");
        let taken = (0..SUITES.len()).find_map(|place| {
            let suite = SUITES[(place + choice.suite) % SUITES.len()];
            let mut lines = told.lines.iter();
            lines
                .find(|(_, srtp)| srtp.suite() == suite)
                .map(|(tag, _)| (*tag, suite))
        });
        let line = taken
            .filter(|_| told.secure)
            .map(|(tag, suite)| (tag, self.key_for(suite)));
        self.send_with(line.as_ref().map(|(_, srtp)| srtp));
        let lines: Vec<(u32, Srtp)> = line.into_iter().collect();
        let text = self.description(told.secure, &lines);
        lines.into_iter().for_each(|line| self.keep(line));
        text
    }

    /// Takes the answer to its offer: with the line that it names its media is protected.
    pub(super) fn accept(&mut self, sdp: &str) {
        let told = self.hear(sdp);
        let line = told.lines.first().filter(|_| told.secure);
        let own = line.and_then(|(tag, _)| self.own.iter().find(|(own, _)| own == tag).cloned());
        self.send_with(own.as_ref().map(|(_, srtp)| srtp));
    }

    /// Takes note of a description.
    pub(super) fn hear(&mut self, sdp: &str) -> Told {
        let told = Told::new(sdp);
        self.told = Some(told.clone());
        told
    }

    /// The next packet of a source, as it is sent. None if the key has no index for it any more, as half a turn and more was sent
    /// without it.
    pub(super) fn packet(&mut self, source: usize, lost: u16, is_rtcp: bool) -> Option<Vec<u8>> {
        while self.sources.len() <= source {
            let (ssrc, _) = self.sources[0];
            let another = ssrc + u32::try_from(self.sources.len()).unwrap();
            self.sources.push((another, 65_500));
        }
        self.sent += 1;
        let (ssrc, sequence) = &mut self.sources[source];
        let mut packet = match is_rtcp {
            true => vec![0x80, 201, 0, 1],
            false => vec![0x80, 8],
        };
        if !is_rtcp {
            *sequence = sequence.wrapping_add(1 + lost);
            packet.extend(sequence.to_be_bytes());
            packet.extend([0; 4]);
        }
        packet.extend(ssrc.to_be_bytes());
        if is_rtcp {
            packet.extend([0x80, 204, 0, 5]);
            packet.extend(ssrc.to_be_bytes());
        }
        packet.extend(MARK);
        packet.extend(self.sent.to_be_bytes());
        let Some(sends) = &mut self.sends else {
            return Some(packet);
        };
        let length = packet.len();
        packet.resize(length + MAX_TRAILER, 0);
        let protected = match is_rtcp {
            true => sends.protect_rtcp(&mut packet, length, None),
            false => sends.protect_rtp(&mut packet, length, None),
        };
        packet.truncate(protected.ok()?);
        self.captured.push(packet.clone());
        Some(packet)
    }

    /// A source begins its sequence numbers anew, under the same SSRC: only without encryption, else under another one.
    pub(super) fn restart(&mut self, source: usize) {
        if let Some((ssrc, sequence)) = self.sources.get_mut(source) {
            match self.sends {
                // So far back that no context takes it for a packet that is late.
                None => *sequence = 60_000,
                Some(_) => *ssrc ^= 0x0080_0000,
            }
        }
    }

    fn prepare(&mut self, choice: Choice) {
        if choice.moves {
            self.address.set_port(self.address.port() + 10);
        }
        if choice.new_keys {
            self.own.clear();
        }
    }

    fn keep(&mut self, line: (u32, Srtp)) {
        self.own.retain(|(_, known)| known.suite() != line.1.suite());
        self.own.push(line);
    }

    /// The key that it has for a suite, or a new one.
    fn key_for(&mut self, suite: Suite) -> Srtp {
        let known = self.own.iter().find(|(_, srtp)| srtp.suite() == suite);
        if let Some((_, known)) = known {
            return known.clone();
        }
        self.fresh += 1;
        let mut bytes = [0; MasterKey::MAX_LENGTH];
        bytes[..8].copy_from_slice(&self.fresh.to_be_bytes());
        Srtp::new(MasterKey::cut(suite, bytes))
    }

    fn send_with(&mut self, srtp: Option<&Srtp>) {
        if self.key() == srtp {
            return;
        }
        let before = self.sends.take();
        if let Some(srtp) = srtp {
            let place = self.contexts.iter().position(|context| context.srtp() == srtp);
            self.sends = Some(match (place, &before) {
                (Some(place), _) => self.contexts.swap_remove(place),
                (None, Some(before)) if !self.begins_anew => {
                    let mut next = Outbound::restore(&before.state());
                    next.rekey(srtp);
                    next
                }
                (None, _) => Outbound::new(srtp),
            });
        }
        self.contexts.extend(before);
    }

    fn description(&self, secure: bool, lines: &[(u32, Srtp)]) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let profile = if secure { "RTP/SAVP" } else { "RTP/AVP" };
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} {profile} 8\r\n"
        );
        if self.muxed {
            sdp += "a=rtcp-mux\r\n";
        }
        for (tag, srtp) in lines {
            let key = STANDARD.encode(srtp.key.key_and_salt());
            sdp += &format!("a=crypto:{tag} {} inline:{key}\r\n", srtp.suite().name());
        }
        sdp
    }
}

impl Told {
    pub(super) fn new(sdp: &str) -> Told {
        let description = Description::parse(sdp).expect("a valid SDP");
        let section = &description.media[0];
        let line = |line: &Crypto| {
            let suite = Suite::named(&line.suite)?;
            let key = line.key.strip_prefix("inline:")?.split('|').next()?;
            let key = MasterKey::new(suite, &STANDARD_NO_PAD.decode(key.trim_end_matches('=')).ok()?)?;
            Some((line.tag, Srtp::new(key)))
        };
        let port = section.port;
        let separate = section.rtcp.as_ref().map_or(port + 1, |rtcp| rtcp.port);
        Told {
            rtp: port,
            rtcp: if section.rtcp_mux { port } else { separate },
            lines: section.crypto.iter().filter_map(line).collect(),
            secure: section.protocol.as_str().contains("SAVP"),
        }
    }
}
