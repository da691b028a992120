//! Unprotects what a party sends.

use std::fmt;

use hmac::Mac;
use smallvec::SmallVec;

use super::header::{Header, RTCP_HEADER, rtcp_ssrc};
use super::keys::{Format, Keys, RTCP_TAG};
use super::position::{CYCLE, Position, RTP_INDICES, nearest};
use super::sources::{Hint, SourceState, Sources, State};
use super::transform::{AEAD_TAG, Transform, Which, aead_open, authenticate};
use super::{Error, MAX_TRAILER};
use crate::security::Srtp;

/// What one party protects its media with, and how far it has come.
pub struct Inbound {
    keys: Keys,
    format: Format,
    sources: Sources,
    /// Where a packet of an AEAD suite is kept: a failed attempt destroys it.
    spare: Box<[u8]>,
}

/// An authentic packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of the packet without what protected it.
    pub length: usize,
    /// Its index: of RTP with the rollover counter, of RTCP that of SRTCP.
    pub index: u64,
}

/// What becomes of an authentic packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Decrypted,
    Unchanged,
}

/// Longest packet of an AEAD suite that can be kept.
const SPARE: usize = 2048;

impl Inbound {
    /// Of a party whose packets were not seen yet.
    pub fn new(srtp: &Srtp) -> Inbound {
        Inbound::with(srtp, Sources::new())
    }

    /// Goes on where another one was.
    pub fn restore(state: &State) -> Inbound {
        Inbound::with(&state.srtp, Sources::restore(state.sources.iter().copied()))
    }

    fn with(srtp: &Srtp, sources: Sources) -> Inbound {
        let keys = Keys::new(srtp);
        Inbound {
            spare: vec![0; if keys.is_aead() { SPARE } else { 0 }].into_boxed_slice(),
            keys,
            format: Format::of(srtp),
            sources,
        }
    }

    /// All that it knows.
    pub fn state(&self) -> State {
        State {
            srtp: self.keys.srtp().clone(),
            sources: self.sources.states(),
            rtcp_index: 0,
        }
    }

    /// The keys.
    pub fn srtp(&self) -> &Srtp {
        self.keys.srtp()
    }

    /// How many bytes of each RTP packet are its protection.
    pub fn rtp_trailer(&self) -> usize {
        let tag = if self.keys.is_aead() {
            AEAD_TAG
        } else {
            self.format.rtp_tag
        };
        tag + self.format.mki.as_slice().len()
    }

    /// Whether any RTP was authentic under the key.
    pub fn has_opened(&self) -> bool {
        self.sources.have_rtp()
    }

    /// How many SSRCs it knows.
    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// The party has a new master key. Rollover counters go on (RFC 3711 section 3.3.1), though a party that starts them
    /// anew is understood as well.
    pub fn rekey(&mut self, srtp: &Srtp) {
        let mut sources = std::mem::replace(&mut self.sources, Sources::new());
        sources.forget_windows();
        *self = Inbound::with(srtp, sources);
    }

    /// RTP of an SSRC went elsewhere up to this index, about: rollover counter and sequence number; and of those just before
    /// it, these did, as in [`Position::window`]. Nobody authenticated them on their way, so it may be wrong: what it says was
    /// used is believed after [`CONFIRMATIONS`] packets, unless one comes that was not. What is known to be used stays so.
    pub fn seed(&mut self, ssrc: u32, index: u64, elsewhere: u128) {
        if let Ok(source) = self.sources.of(ssrc) {
            source.hint = Some(Hint {
                index,
                elsewhere: Some(elsewhere),
            });
            source.behind_hint = 0;
        }
    }

    /// The index of the newest RTP packet of an SSRC.
    pub fn rtp_index(&self, ssrc: u32) -> Option<u64> {
        let source = self.sources.peek(ssrc);
        let hint = source.hint.map(|hint| hint.index);
        hint.or(source.rtp.map(|position| position.highest))
    }

    /// Authenticates an SRTP packet and decrypts it in place. On an error the packet is of no use any more.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<Opened, Error> {
        self.rtp(packet, Outcome::Decrypted)
    }

    /// Authenticates an SRTP packet and leaves it as it is.
    pub fn authenticate_rtp(&mut self, packet: &mut [u8]) -> Result<Opened, Error> {
        self.unchanged(packet, Inbound::rtp)
    }

    /// Authenticates an SRTCP packet and decrypts it in place. On an error the packet is of no use any more.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<Opened, Error> {
        self.rtcp(packet, Outcome::Decrypted)
    }

    /// Authenticates an SRTCP packet and leaves it as it is.
    pub fn authenticate_rtcp(&mut self, packet: &mut [u8]) -> Result<Opened, Error> {
        self.unchanged(packet, Inbound::rtcp)
    }

    fn unchanged(
        &mut self,
        packet: &mut [u8],
        open: fn(&mut Inbound, &mut [u8], Outcome) -> Result<Opened, Error>,
    ) -> Result<Opened, Error> {
        if !self.keys.is_aead() {
            return open(self, packet, Outcome::Unchanged);
        }
        // There is no authenticating without decrypting.
        let mut copy = [0; SPARE];
        let copy = copy.get_mut(..packet.len()).ok_or(Error::TooLong)?;
        copy.copy_from_slice(packet);
        open(self, copy, Outcome::Decrypted)
    }

    fn rtp(&mut self, packet: &mut [u8], outcome: Outcome) -> Result<Opened, Error> {
        let header = Header::of_rtp(packet)?;
        let format = &self.format;
        let end = format.strip_rtp(packet, self.keys.is_aead())?;
        if header.length > end {
            return Err(Error::TooShort);
        }
        let source = self.sources.peek(header.ssrc);
        let kept = self.spare.get_mut(..packet.len());
        let is_kept = kept.is_some_and(|spare| {
            spare.copy_from_slice(packet);
            true
        });
        let mut error = Error::Replayed;
        for (attempt, index) in candidates(&source, header.sequence).into_iter().enumerate() {
            if index >= RTP_INDICES {
                continue;
            }
            if source.rtp.is_some_and(|position| position.check(index).is_err()) {
                continue;
            }
            let which = Which {
                ssrc: header.ssrc,
                index,
                rtcp: false,
            };
            let transform = self.keys.rtp(index);
            match open_rtp(transform, format, &which, header.length, end, packet, outcome) {
                Ok(()) => {
                    note(self.sources.of(header.ssrc)?, index)?;
                    return Ok(Opened { length: end, index });
                }
                // The first attempt is the likely one: what it says of the packet counts.
                Err(failed) if attempt == 0 => error = failed,
                Err(_) => {}
            }
            match transform {
                Transform::Classic { .. } => {}
                Transform::Aead { .. } if is_kept => {
                    packet.copy_from_slice(&self.spare[..packet.len()]);
                }
                Transform::Aead { .. } => break,
            }
        }
        Err(error)
    }

    fn rtcp(&mut self, packet: &mut [u8], outcome: Outcome) -> Result<Opened, Error> {
        let ssrc = rtcp_ssrc(packet)?;
        let format = &self.format;
        let is_aead = self.keys.is_aead();
        let layout = RtcpLayout::find(format, is_aead, packet)?;
        let (word, index) = (layout.word, u64::from(layout.word & !ENCRYPTED));
        let source = self.sources.peek(ssrc);
        if let Some(position) = source.rtcp {
            position.check(index)?;
        }
        let which = Which {
            ssrc,
            index,
            rtcp: true,
        };
        let is_encrypted = word & ENCRYPTED != 0;
        match self.keys.rtcp(index) {
            Transform::Classic { cipher, mac } => {
                let (body, tag) = packet.split_at_mut(packet.len() - RTCP_TAG);
                authenticate(mac, &body[..layout.end + 4], &[])
                    .verify_truncated_left(tag)
                    .map_err(|_| Error::Authentication)?;
                if is_encrypted && outcome == Outcome::Decrypted {
                    let (header, text) = body[..layout.end].split_at_mut(RTCP_HEADER);
                    cipher.apply(&which, word, header, text);
                }
            }
            Transform::Aead { key, salt } if is_encrypted => {
                let mut additional = [0; RTCP_HEADER + 4];
                additional[..RTCP_HEADER].copy_from_slice(&packet[..RTCP_HEADER]);
                additional[RTCP_HEADER..].copy_from_slice(&word.to_be_bytes());
                let text = &mut packet[RTCP_HEADER..layout.end + AEAD_TAG];
                aead_open(key, salt, &which, &additional, text)?;
            }
            Transform::Aead { key, salt } => {
                // What is authenticated has to be in one piece: the index takes the place of the tag.
                let mut tag = [0; AEAD_TAG];
                tag.copy_from_slice(&packet[layout.end..layout.end + AEAD_TAG]);
                packet[layout.end..layout.end + 4].copy_from_slice(&word.to_be_bytes());
                aead_open(key, salt, &which, &packet[..layout.end + 4], &mut tag)?;
            }
        }
        let position = &mut self.sources.of(ssrc)?.rtcp;
        position.get_or_insert(Position::at(index)).note(index);
        Ok(Opened {
            length: layout.end,
            index,
        })
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("suite", &self.srtp().suite())
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}

/// The bit before an SRTCP index: the packet is encrypted.
pub(super) const ENCRYPTED: u32 = 1 << 31;

/// How many turns of the sequence number are tried at most before a packet is refused: each costs an authentication.
const MAX_CANDIDATES: usize = 8;

/// How many packets that a hint is against show that it was wrong. Who replays what he has captured must be quicker with as many than
/// the party is with one.
const CONFIRMATIONS: u8 = 5;

/// Indices that a sequence number may stand for, the likely one first.
fn candidates(source: &SourceState, sequence: u16) -> SmallVec<[u64; MAX_CANDIDATES]> {
    let mut candidates = SmallVec::new();
    let mut add = |index: Option<u64>| {
        if let Some(index) = index.filter(|index| !candidates.contains(index)) {
            candidates.push(index);
        }
    };
    match (source.hint, source.rtp) {
        // Perhaps the first packet of its first turn was lost.
        (None, None) => {
            add(Some(sequence.into()));
            add(Some(CYCLE + u64::from(sequence)));
        }
        (None, Some(position)) => {
            let likely = nearest(position.highest, sequence);
            add(Some(likely));
            add(Some(likely + CYCLE));
        }
        (Some(hint), position) => {
            let likely = nearest(hint.index, sequence);
            add(Some(likely));
            add(Some(likely + CYCLE));
            add(likely.checked_sub(CYCLE));
            let least = position.map_or(sequence.into(), |position| nearest(position.highest, sequence));
            for turn in 0..MAX_CANDIDATES as u64 - 3 {
                add(Some(least + turn * CYCLE).filter(|index| *index < likely));
            }
        }
    }
    candidates
}

/// Takes note of an authentic packet, or says why it does not count.
fn note(source: &mut SourceState, index: u64) -> Result<(), Error> {
    let known = source.rtp;
    if let Some(known) = known.filter(|known| index <= known.highest) {
        // Late, and it came by here: that says nothing of where the others are.
        source.rtp = Some(known.with(index));
        return Ok(());
    }
    let elsewhere = source.hint.and_then(|hint| {
        let window = hint.elsewhere?;
        // In which turn it was is only known if any packet has come under the key.
        let highest = match known {
            Some(_) => hint.index,
            None => nearest(index, sequence_of(hint.index)),
        };
        Some(Position { highest, window })
    });
    source.rtp = Some(match (elsewhere, known) {
        // Nothing was captured of a new key.
        (None, None) => Position::at(index),
        (None, Some(known)) => known.with(index),
        (Some(elsewhere), _) if elsewhere.check(index).is_ok() => {
            let all = known.map_or(elsewhere, |known| known.merge(elsewhere));
            all.with(index)
        }
        // What did not come by here may be what is replayed now.
        (Some(_), _) => {
            source.behind_hint += 1;
            if source.behind_hint < CONFIRMATIONS {
                return Err(Error::Replayed);
            }
            Position::after_gap(index)
        }
    });
    source.hint = None;
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "the sequence number of the index")]
fn sequence_of(index: u64) -> u16 {
    index as u16
}

fn open_rtp(
    transform: &Transform,
    format: &Format,
    which: &Which,
    header: usize,
    end: usize,
    packet: &mut [u8],
    outcome: Outcome,
) -> Result<(), Error> {
    match transform {
        Transform::Classic { cipher, mac } => {
            if format.rtp_tag > 0 {
                let tag = &packet[packet.len() - format.rtp_tag..];
                authenticate(mac, &packet[..end], &which.rollover_counter())
                    .verify_truncated_left(tag)
                    .map_err(|_| Error::Authentication)?;
            }
            if format.encrypts_rtp && outcome == Outcome::Decrypted {
                let (header, text) = packet[..end].split_at_mut(header);
                cipher.apply(which, 0, header, text);
            }
            Ok(())
        }
        Transform::Aead { key, salt } => {
            let clear = if format.encrypts_rtp { header } else { end };
            let (additional, text) = packet[..end + AEAD_TAG].split_at_mut(clear);
            aead_open(key, salt, which, additional, text)
        }
    }
}

impl Format {
    /// Where an SRTP packet ends but for its trailer.
    fn strip_rtp(&self, packet: &[u8], is_aead: bool) -> Result<usize, Error> {
        let mki = self.mki.as_slice();
        let (before, behind) = if is_aead { (AEAD_TAG, 0) } else { (0, self.rtp_tag) };
        let at = packet
            .len()
            .checked_sub(mki.len() + behind)
            .ok_or(Error::TooShort)?;
        if packet[at..at + mki.len()] != *mki {
            return Err(Error::UnknownKey);
        }
        at.checked_sub(before).ok_or(Error::TooShort)
    }
}

/// The parts of an SRTCP packet: what is protected, then index, MKI and tag, or tag, index and MKI.
struct RtcpLayout {
    /// Where the trailer starts.
    end: usize,
    /// The SRTCP index with its bit for encryption.
    word: u32,
}

impl RtcpLayout {
    fn find(format: &Format, is_aead: bool, packet: &[u8]) -> Result<RtcpLayout, Error> {
        let mki = format.mki.as_slice();
        let (before, behind) = if is_aead { (AEAD_TAG, 0) } else { (0, RTCP_TAG) };
        let rest = packet
            .len()
            .checked_sub(before + 4 + mki.len() + behind)
            .filter(|end| *end >= RTCP_HEADER);
        let end = rest.ok_or(Error::TooShort)?;
        let (word, rest) = packet[end + before..]
            .split_first_chunk()
            .ok_or(Error::TooShort)?;
        if rest[..mki.len()] != *mki {
            return Err(Error::UnknownKey);
        }
        Ok(RtcpLayout {
            end,
            word: u32::from_be_bytes(*word),
        })
    }
}

const _: () = assert!(MAX_TRAILER >= AEAD_TAG + 4 + 255);
