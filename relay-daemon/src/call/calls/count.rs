//! What all calls have relayed, counted in passing, and how they stand at a moment.

use std::ops::Bound;

use crate::call::derived::snapshot::{received_by_user, sent_by_user};
use crate::call::model::half::Half;
use crate::call::model::media::Media;
use crate::call::model::state::{Call, Party};
use crate::host::Host;
use crate::plan::{CallKey, Path};
use crate::report::{Census, Received, Relayed};
use crate::sdp::AddressFamily;

use super::Calls;

impl Calls {
    /// Adds what calls have relayed since they were counted last to [`Calls::relayed`]: at most `limit` calls, those
    /// after `after` in the order of their creation. Gives back the last of them if there are more.
    pub fn count(&mut self, after: Option<CallKey>, limit: usize, host: &dyn Host) -> Option<CallKey> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut calls = self.calls.range_mut((from, Bound::Unbounded));
        let mut last = None;
        for (key, entry) in calls.by_ref().take(limit) {
            entry.call.count(&mut self.relayed, host);
            last = Some(*key);
        }
        last.filter(|_| calls.next().is_some())
    }

    /// What was relayed since the start, by calls that have ended too, as far as it was counted.
    pub fn relayed(&self) -> &Relayed {
        &self.relayed
    }

    /// How the calls stand. Looks at each of them.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for entry in self.calls.values() {
            entry.call.add_to(&mut census);
        }
        census
    }
}

impl Call {
    /// Adds what was relayed since the last time.
    pub(super) fn count(&mut self, relayed: &mut Relayed, host: &dyn Host) {
        let unsettled = self.unsettled(host);
        for media in self.parties.iter_mut().flat_map(|party| &mut party.media) {
            let sets = media.ports.all();
            let place = sets.map(|set| (media.interface, set.place.local)).next();
            let ssrcs = media.ssrcs(Half::Rtp, host);
            relayed.add_reception(place, media.rtp.count_reception(&ssrcs));
            for half in [Half::Rtp, Half::Rtcp] {
                let received = Received {
                    kernel: media.received_by_kernel(half, host).into(),
                    userspace: received_by_user(media.stream(half)),
                };
                let stream = media.stream_mut(half);
                let sent_by_kernel =
                    stream.sent_by_kernel() + unsettled.get(&stream.id).copied().unwrap_or_default();
                let sent = sent_by_user(stream) + sent_by_kernel.into();
                let (received, sent) = stream.count(received, sent);
                relayed.add(place, received, sent);
            }
        }
    }

    fn add_to(&self, census: &mut Census) {
        census.sessions += 1;
        census.foreign += u64::from(self.foreign);
        let sections = self.parties.iter().map(|party| party.media.len()).max();
        for index in 0..sections.unwrap_or(0) {
            let of_parties = self.parties.iter().filter_map(|party| party.media.get(index));
            let open: Vec<&Media> = of_parties.filter(|media| media.is_open()).collect();
            for media in &open {
                census.add_flow(media.rtp.status.path());
            }
            let flowing = open.iter().filter(|media| media.rtp.status.has_packets());
            let in_kernel = flowing
                .clone()
                .filter(|media| media.rtp.status.path() == Path::Kernel);
            let (in_kernel, flowing) = (in_kernel.count(), flowing.count());
            census.media_kernel += u64::from(in_kernel > 0 && in_kernel == flowing);
            census.media_mixed += u64::from(in_kernel > 0 && in_kernel < flowing);
            census.media_userspace += u64::from(in_kernel == 0 && !open.is_empty());
        }
        // Of those who talk to each other, once they both do.
        let is_answered = |party: &&Party| {
            let mut peers = party.peers.iter().map(|peer| self.party(*peer));
            party.remote_description.is_some() && peers.any(|peer| peer.remote_description.is_some())
        };
        let families = self
            .parties
            .iter()
            .filter(is_answered)
            .flat_map(|party| &party.media);
        let families: Vec<AddressFamily> = families
            .filter_map(|media| Some(AddressFamily::of(media.ports.current()?.rtp.address.ip())))
            .collect();
        let has = |family| families.contains(&family);
        match (has(AddressFamily::Ip4), has(AddressFamily::Ip6)) {
            (true, false) => census.ipv4_only += 1,
            (false, true) => census.ipv6_only += 1,
            (true, true) => census.ip_mixed += 1,
            (false, false) => {}
        }
    }
}
