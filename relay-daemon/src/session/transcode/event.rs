//! Telephone events (RFC 4733) among audio that is decoded.

use relay_common::packet::RtpHeader;

use crate::plan::PayloadTypes;

/// If nothing more comes of an event whose end is lost, audio goes on so many times its length later.
const PATIENCE: u32 = 3;

/// The bit that says that an event is over.
const END: u8 = 0x80;

/// The event of an SSRC, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Events {
    current: Option<Event>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    timestamp: u32,
    duration: u16,
    has_ended: bool,
}

/// A packet of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Which event it is, and how loud.
    pub(super) head: [u8; 2],
    /// How long it is so far, in units of its clock.
    pub(super) duration: u16,
    /// Whether it is the first packet of the event.
    pub(super) begins: bool,
    /// Whether it is the first that says that the event is over.
    pub(super) ends: bool,
}

impl Events {
    /// Takes note of a packet. None if it has no event.
    pub(super) fn follow(
        &mut self,
        header: &RtpHeader,
        payload: &[u8],
        events: PayloadTypes,
    ) -> Option<Part> {
        if !events.contains(header.payload_type) {
            return None;
        }
        let &[event, flags, high, low] = payload.first_chunk()?;
        let duration = u16::from_be_bytes([high, low]);
        let known = self
            .current
            .filter(|current| current.timestamp == header.timestamp);
        let had_ended = known.is_some_and(|known| known.has_ended);
        let ends = flags & END != 0;
        self.current = Some(Event {
            timestamp: header.timestamp,
            duration,
            has_ended: had_ended || ends,
        });
        Some(Part {
            head: [event, flags],
            duration,
            begins: known.is_none(),
            ends: ends && !had_ended,
        })
    }

    /// Whether audio is left out, as there is an event at the time.
    pub(super) fn covers(&self, header: &RtpHeader) -> bool {
        let Some(event) = self.current.filter(|event| !event.has_ended) else {
            return false;
        };
        let since = header.timestamp.wrapping_sub(event.timestamp);
        since <= PATIENCE * u32::from(event.duration)
    }
}
