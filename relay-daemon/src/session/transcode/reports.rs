//! RTCP between parties whose media is transcoded: what it says of packets is put in terms of those that the other side has
//! (RFC 3550 section 6.4).

use crate::session::Session;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;

/// Octets of a block about a sender.
const BLOCK: usize = 24;

impl Session {
    /// Whether reports between two streams have to be translated.
    pub(in crate::session) fn translates_reports(&self, source: usize, sink: usize) -> bool {
        let transcodes = |stream: usize| self.section_of(stream).transcoder.is_some();
        transcodes(source) || transcodes(sink)
    }

    /// Translates RTCP that came by one stream and is sent by another, in place: of a sender when and what it sent last, and how much;
    /// of a receiver which packet it has heard last.
    pub(in crate::session) fn translate_reports(&self, source: usize, sink: usize, mut packet: &mut [u8]) {
        while let Some(&[first, kind, high, low]) = packet.first_chunk() {
            let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
            let Some((report, rest)) = packet.split_at_mut_checked(length) else {
                return;
            };
            packet = rest;
            let blocks = match kind {
                SENDER_REPORT => {
                    self.translate_sender(source, sink, report);
                    report.get_mut(28..)
                }
                RECEIVER_REPORT => report.get_mut(8..),
                _ => continue,
            };
            let blocks = blocks.unwrap_or_default().chunks_exact_mut(BLOCK);
            for block in blocks.take(usize::from(first & 0x1f)) {
                self.translate_block(source, sink, block);
            }
        }
    }

    fn translate_sender(&self, source: usize, sink: usize, report: &mut [u8]) {
        let Some(ssrc) = word(report, 4) else { return };
        let transcoder = self.section_of(source).transcoder.as_ref();
        let output = transcoder.and_then(|transcoder| transcoder.output(ssrc, self.section_of(sink).id));
        if let Some(account) = output.and_then(|output| output.account())
            && let Some(place) = report.get_mut(16..28)
        {
            place[..4].copy_from_slice(&account.timestamp.to_be_bytes());
            place[4..8].copy_from_slice(&account.packets.to_be_bytes());
            place[8..].copy_from_slice(&account.octets.to_be_bytes());
        }
    }

    /// The block is about somebody whom the report's receiver has sent.
    fn translate_block(&self, source: usize, sink: usize, block: &mut [u8]) {
        let (Some(ssrc), Some(highest)) = (word(block, 0), word(block, 8)) else {
            return;
        };
        let transcoder = self.section_of(sink).transcoder.as_ref();
        let output = transcoder.and_then(|transcoder| transcoder.output(ssrc, self.section_of(source).id));
        if let Some(output) = output {
            let highest = highest.wrapping_sub(i32::from(output.shift()).cast_unsigned());
            block[8..12].copy_from_slice(&highest.to_be_bytes());
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|word| u32::from_be_bytes(*word))
}
