//! What of an RTP or RTCP header a cipher has to know.

use relay_common::packet::RTP_HEADER;

use super::Error;

/// Bytes of an RTCP packet that are never encrypted: its first header word and the sender's SSRC.
pub(super) const RTCP_HEADER: usize = 8;

/// An RTP header (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    /// Bytes before the payload: contributors and extension included.
    pub(super) length: usize,
}

impl Header {
    pub(super) fn of_rtp(packet: &[u8]) -> Result<Header, Error> {
        let fixed: &[u8; RTP_HEADER] = packet.first_chunk().ok_or(Error::TooShort)?;
        let [first, _, s0, s1, _, _, _, _, ssrc @ ..] = *fixed;
        let mut length = RTP_HEADER + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let extension: &[u8; 4] = packet
                .get(length..)
                .and_then(<[u8]>::first_chunk)
                .ok_or(Error::TooShort)?;
            let [_, _, high, low] = *extension;
            length += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        }
        if length > packet.len() {
            return Err(Error::TooShort);
        }
        Ok(Header {
            ssrc: u32::from_be_bytes(ssrc),
            sequence: u16::from_be_bytes([s0, s1]),
            length,
        })
    }
}

/// The SSRC of an RTCP packet's sender.
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, Error> {
    let header: &[u8; RTCP_HEADER] = packet.first_chunk().ok_or(Error::TooShort)?;
    let [_, _, _, _, ssrc @ ..] = *header;
    Ok(u32::from_be_bytes(ssrc))
}
