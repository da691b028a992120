//! Protects what a party is sent.

use std::fmt;

use hmac::Mac;

use super::header::{Header, RTCP_HEADER, rtcp_ssrc};
use super::inbound::ENCRYPTED;
use super::keys::{Format, Keys, RTCP_TAG};
use super::position::{Position, RTP_INDICES, nearest};
use super::sources::{SourceState, Sources, State};
use super::transform::{AEAD_TAG, Transform, Which, aead_seal, authenticate};
use super::{Error, MAX_TRAILER, PEER_RTCP_INDICES};
use crate::security::Srtp;

/// What media for one party is protected with, and how far it has come.
pub struct Outbound {
    keys: Keys,
    format: Format,
    sources: Sources,
    /// The index of the next SRTCP packet: one for all SSRCs, so that none is used twice when an SSRC is forgotten.
    rtcp_index: u32,
}

impl Outbound {
    /// To a party that was sent nothing yet.
    pub fn new(srtp: &Srtp) -> Outbound {
        Outbound {
            keys: Keys::new(srtp),
            format: Format::of(srtp),
            sources: Sources::new(),
            rtcp_index: 0,
        }
    }

    /// Goes on where another one was.
    pub fn restore(state: &State) -> Outbound {
        Outbound {
            sources: Sources::restore(state.sources.iter().copied()),
            rtcp_index: state.rtcp_index,
            ..Outbound::new(&state.srtp)
        }
    }

    /// All that it knows.
    pub fn state(&self) -> State {
        State {
            srtp: self.keys.srtp().clone(),
            sources: self.sources.states(),
            rtcp_index: self.rtcp_index,
        }
    }

    /// The keys.
    pub fn srtp(&self) -> &Srtp {
        self.keys.srtp()
    }

    /// SRTCP packets with a smaller index are somebody else's: none of ours gets one.
    pub fn skip_rtcp(&mut self, index: u32) {
        self.rtcp_index = self.rtcp_index.max(index);
    }

    /// Goes on with a new master key. Indices go on as well (RFC 3711 section 3.3.1), but none was used with it.
    pub fn rekey(&mut self, srtp: &Srtp) {
        self.sources.forget_windows();
        self.keys = Keys::new(srtp);
        self.format = Format::of(srtp);
    }

    /// Encrypts an RTP packet in place and appends what authenticates it: the first `length` bytes of a buffer that has room
    /// for [`MAX_TRAILER`] more. The result is the length of the SRTP packet. Its index follows from the sequence number,
    /// unless it has to be a certain one. A source that begins its sequence numbers anew gets others: those that it had are used
    /// up with this key, and the receiver could not tell.
    pub fn protect_rtp(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        index: Option<u64>,
    ) -> Result<usize, Error> {
        let packet = with_room(buffer, length)?;
        let header = Header::of_rtp(&packet[..length])?;
        let source = self.sources.of(header.ssrc)?;
        let index = match index {
            Some(index) => check(source, index)?,
            None => {
                let index = next_index(source, header.sequence)?;
                write_sequence(packet, index);
                index
            }
        };
        source.rtp.get_or_insert(Position::at(index)).note(index);
        source.hint = None;
        let which = Which {
            ssrc: header.ssrc,
            index,
            rtcp: false,
        };
        let format = &self.format;
        let mki = format.mki.as_slice();
        let end = match self.keys.rtp(index) {
            Transform::Classic { cipher, mac } => {
                if format.encrypts_rtp {
                    let (header, text) = packet[..length].split_at_mut(header.length);
                    cipher.apply(&which, 0, header, text);
                }
                let tag = length + mki.len();
                packet[length..tag].copy_from_slice(mki);
                if format.rtp_tag > 0 {
                    let mac = authenticate(mac, &packet[..length], &which.rollover_counter());
                    let whole = mac.finalize().into_bytes();
                    packet[tag..tag + format.rtp_tag].copy_from_slice(&whole[..format.rtp_tag]);
                }
                tag + format.rtp_tag
            }
            Transform::Aead { key, salt } => {
                let clear = if format.encrypts_rtp {
                    header.length
                } else {
                    length
                };
                let (additional, text) = packet[..length].split_at_mut(clear);
                let tag = aead_seal(key, salt, &which, additional, text)?;
                let end = length + AEAD_TAG;
                packet[length..end].copy_from_slice(&tag);
                packet[end..end + mki.len()].copy_from_slice(mki);
                end + mki.len()
            }
        };
        Ok(end)
    }

    /// The same for RTCP. Unless the SRTCP index has to be a certain one, which is below [`PEER_RTCP_INDICES`], it was never
    /// used.
    pub fn protect_rtcp(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        index: Option<u64>,
    ) -> Result<usize, Error> {
        let packet = with_room(buffer, length)?;
        let ssrc = rtcp_ssrc(&packet[..length])?;
        let (index, end) = match index.map(u32::try_from) {
            // A peer that says that it is near the end does not take us there.
            Some(index) => (index.unwrap_or(u32::MAX), PEER_RTCP_INDICES),
            None => (self.rtcp_index, ENCRYPTED),
        };
        if index >= end {
            return Err(Error::Exhausted);
        }
        let which = Which {
            ssrc,
            index: index.into(),
            rtcp: true,
        };
        let format = &self.format;
        let mki = format.mki.as_slice();
        let word = if format.encrypts_rtcp {
            index | ENCRYPTED
        } else {
            index
        };
        let word_bytes = word.to_be_bytes();
        let end = match self.keys.rtcp(index.into()) {
            Transform::Classic { cipher, mac } => {
                if format.encrypts_rtcp {
                    let (header, text) = packet[..length].split_at_mut(RTCP_HEADER);
                    cipher.apply(&which, word, header, text);
                }
                packet[length..length + 4].copy_from_slice(&word_bytes);
                let mac = authenticate(mac, &packet[..length + 4], &[]);
                let tag = length + 4 + mki.len();
                packet[length + 4..tag].copy_from_slice(mki);
                packet[tag..tag + RTCP_TAG].copy_from_slice(&mac.finalize().into_bytes()[..RTCP_TAG]);
                tag + RTCP_TAG
            }
            Transform::Aead { key, salt } => {
                let tag = if format.encrypts_rtcp {
                    let mut additional = [0; RTCP_HEADER + 4];
                    additional[..RTCP_HEADER].copy_from_slice(&packet[..RTCP_HEADER]);
                    additional[RTCP_HEADER..].copy_from_slice(&word_bytes);
                    aead_seal(key, salt, &which, &additional, &mut packet[RTCP_HEADER..length])?
                } else {
                    packet[length..length + 4].copy_from_slice(&word_bytes);
                    aead_seal(key, salt, &which, &packet[..length + 4], &mut [])?
                };
                let at = length + AEAD_TAG;
                packet[length..at].copy_from_slice(&tag);
                packet[at..at + 4].copy_from_slice(&word_bytes);
                packet[at + 4..at + 4 + mki.len()].copy_from_slice(mki);
                at + 4 + mki.len()
            }
        };
        self.rtcp_index = self.rtcp_index.max(index + 1);
        Ok(end)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("suite", &self.srtp().suite())
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}

/// The index of the next packet of a source, by the sequence number that the packet has.
fn next_index(source: &mut SourceState, sequence: u16) -> Result<u64, Error> {
    let Some(highest) = source.highest() else {
        return check(source, sequence.into());
    };
    let index = nearest(highest, sequence.wrapping_add(source.offset));
    let is_old = index + u64::from(u128::BITS) <= highest;
    // Two packets in a row that are far too old: the source begins anew (RFC 3550 section A.1). One is just late.
    let begins_anew = is_old && source.restart == Some(sequence);
    source.restart = is_old.then_some(sequence.wrapping_add(1));
    if is_old && !begins_anew {
        return Err(Error::Replayed);
    }
    if !begins_anew {
        return check(source, index);
    }
    let index = highest + 1;
    #[expect(clippy::cast_possible_truncation, reason = "the sequence number of the index")]
    let next = index as u16;
    source.offset = next.wrapping_sub(sequence);
    source.restart = None;
    check(source, index)
}

/// Refuses an index that was used: another packet with it would have the same key stream.
fn check(source: &SourceState, index: u64) -> Result<u64, Error> {
    if index >= RTP_INDICES {
        return Err(Error::Exhausted);
    }
    source.rtp.map_or(Ok(()), |position| position.check(index))?;
    Ok(index)
}

/// The sequence number of an index, where RTP has it.
fn write_sequence(packet: &mut [u8], index: u64) {
    #[expect(clippy::cast_possible_truncation, reason = "the sequence number of the index")]
    let sequence = index as u16;
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
}

fn with_room(buffer: &mut [u8], length: usize) -> Result<&mut [u8], Error> {
    buffer.get_mut(..length + MAX_TRAILER).ok_or(Error::TooLong)
}
