//! Memory that a datagram is going to need.
//!
//! With hundreds of calls, nearly everything that belongs to the next packet's call has left the processor's inner caches
//! since its last one. A driver that knows the ports of several packets has it all fetched at the same time.

use super::{Flow, Session};
use crate::plan::PortId;
use crate::prefetch::prefetch;

/// What is fetched. Each step uses what the one before it fetched: do one for all ports before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// Whom the ports belong to.
    Ports,
    /// The stream that receives.
    Source,
    /// The streams that it is sent to, and the keys of what arrives.
    Sinks,
    /// The keys of what is sent.
    Keys,
}

impl Fetch {
    /// All of them, in order.
    pub const ALL: [Fetch; 4] = [Fetch::Ports, Fetch::Source, Fetch::Sinks, Fetch::Keys];
}

impl Session {
    /// Fetches a part of what an RTP packet needs that is about to be handed in. Changes nothing but how long that takes.
    pub fn fetch(&self, port: PortId, what: Fetch) {
        if what == Fetch::Ports {
            prefetch(self.ports.as_slice());
            return;
        }
        let Some(source) = self.find(port).and_then(|found| self.streams.get(found.stream)) else {
            return;
        };
        let sinks = || {
            let sinks = source.sinks(Flow::Rtp).iter();
            sinks.filter_map(|sink| self.streams.get(sink.stream))
        };
        match what {
            Fetch::Ports => {}
            Fetch::Source => prefetch(source),
            Fetch::Sinks => {
                prefetch(&*source.status);
                source.ciphers.fetch_inbound();
                sinks().for_each(prefetch);
            }
            Fetch::Keys => sinks().for_each(|sink| {
                prefetch(&*sink.status);
                sink.ciphers.fetch_outbound();
            }),
        }
    }
}
