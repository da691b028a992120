//! Empty RTP packets to a party behind NAT, so that the NAT lets in what the party's own device would not have asked for.

use std::time::Duration;

use super::Session;
use super::stream::Stream;
use crate::clock::Time;

/// Between two of them.
const INTERVAL: Duration = Duration::from_millis(200);

/// An RTP header of a payload type that nobody uses, and nothing behind it: with any device, and with what looks into the packets on
/// the way, it passes for RTP.
const EMPTY: [u8; 12] = [0x80, 127, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];

impl Session {
    /// Sends what is due.
    pub(super) fn pierce(&mut self, now: Time) {
        for stream in &mut self.streams {
            if stream.pierce_due().is_none_or(|due| due > now) {
                continue;
            }
            stream.pierce_at = Some(now + INTERVAL);
            if let (Some(from), Some(to)) = (stream.way_out(), stream.target()) {
                self.outbox.push(from.id, to, |packet| packet.extend(EMPTY));
            }
        }
    }

    pub(super) fn pierce_timeout(&self) -> Option<Time> {
        self.streams.iter().filter_map(Stream::pierce_due).min()
    }
}

impl Stream {
    fn pierce_due(&self) -> Option<Time> {
        self.pierce_at.filter(|_| !self.status.has_received())
    }
}
