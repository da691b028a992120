//! Empty RTP packets to a party behind NAT, so that the NAT lets in what the party's own device would not have asked for.

use std::time::Duration;

use super::Session;
use super::stream::Stream;
use crate::clock::Time;

/// Between two of them; the second one comes sooner.
const INTERVAL: Duration = Duration::from_secs(1);
const FIRST_INTERVAL: Duration = Duration::from_millis(500);

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
            let second = stream.signalled_at() + FIRST_INTERVAL;
            stream.pierce_at = Some(if now < second { second } else { now + INTERVAL });
            if let (Some(from), Some(to)) = (stream.way_out(), stream.place()) {
                stream.status.count_out(EMPTY.len());
                self.outbox.push(from.id, to, |packet| packet.extend(EMPTY));
            }
        }
    }

    pub(super) fn pierce_timeout(&self) -> Option<Time> {
        self.streams.iter().filter_map(Stream::pierce_due).min()
    }
}

impl Stream {
    /// Whether the party has sent anything since the newest message.
    fn has_spoken(&self) -> bool {
        self.status
            .last_arrival()
            .is_some_and(|at| at >= self.signalled_at())
    }

    fn pierce_due(&self) -> Option<Time> {
        self.pierce_at.filter(|_| !self.has_spoken())
    }
}
