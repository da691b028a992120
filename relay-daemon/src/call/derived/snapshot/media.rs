//! A media section of a party as it is at one moment.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Moment, received_by_user, sent_by_user};
use crate::call::model::half::Half;
use crate::call::model::media::{Media, Passing, Remote};
use crate::call::model::stream::{KernelCounts, last_kernel_packet, passed};
use crate::host::Host;
use crate::plan::{StreamId, StreamKind, StreamStatus};
use crate::report::{MediaSnapshot, QualitySnapshot, Received, SsrcSnapshot, StreamSnapshot};
use crate::sdp::{Codec, MediaSection};

impl Media {
    pub(super) fn snapshot(
        &self,
        peer: Option<&MediaSection>,
        moment: Moment<'_>,
        sent: &BTreeMap<StreamId, KernelCounts>,
    ) -> MediaSnapshot {
        let stream = |half| self.stream_snapshot(half, moment, sent);
        let streams = [stream(Half::Rtp), stream(Half::Rtcp)];
        MediaSnapshot {
            codec: self.codec_of(&streams[0]),
            kind: match self.passing {
                Passing::On { has_kind: false } => String::new(),
                Passing::On { has_kind: true } | Passing::No => self.kind.to_string(),
            },
            protocol: self
                .shown_protocol
                .as_ref()
                .unwrap_or(&self.protocol)
                .known_name()
                .map(str::to_owned),
            codecs: common_codecs(self.section(), peer),
            direction: self.direction,
            sources: Vec::new(),
            flags: self.flags(),
            suite: self.crypto.suite(),
            qualities: self.qualities(moment.epoch),
            streams,
            is_bare: self.bare,
        }
    }

    /// What most packets from the party were coded with, of those that came to userspace; if most did not, the newest one: in its own
    /// words, or in those that it was told.
    fn codec_of(&self, stream: &StreamSnapshot) -> Option<String> {
        let received = &stream.received;
        let usual = self.rtp.status.usual_payload_type();
        let newest = || stream.ssrcs.iter().find_map(|ssrc| ssrc.payload_type);
        let payload_type = match received.kernel.packets > received.userspace.packets {
            true => newest(),
            false => usual,
        }?;
        let remote_section = self.section().map(|section| section.codecs.as_slice());
        let mut known = self
            .ever
            .iter()
            .chain(remote_section.unwrap_or_default())
            .chain(self.local_codecs.list());
        let codec = known.find(|codec| codec.payload_type == payload_type)?;
        codec.rtpmap.as_ref().map(ToString::to_string)
    }

    fn stream_snapshot(
        &self,
        half: Half,
        moment: Moment<'_>,
        sent: &BTreeMap<StreamId, KernelCounts>,
    ) -> StreamSnapshot {
        let stream = self.stream(half);
        // Nothing was said of RTCP where packets only go on.
        let is_known = self.passing == Passing::No || half == Half::Rtp;
        let endpoint = |remote: Option<Remote>| Some(remote.filter(|_| is_known)?.of_half(half));
        let ports = || self.bound(half).into_iter().map(|port| port.id);
        let user = stream.last_user_packet();
        let kernel = last_kernel_packet(ports(), moment.host);
        let newest = user.max(kernel);
        let [rtp, rtcp] = self.ports.shown();
        let local = match half {
            Half::Rtp => rtp,
            Half::Rtcp => rtcp,
        };
        let sent_by_kernel = stream.sent_by_kernel() + sent.get(&stream.id).copied().unwrap_or_default();
        StreamSnapshot {
            kind: match (self.is_rtp(), half) {
                (true, Half::Rtp) => StreamKind::Rtp,
                (true, Half::Rtcp) => StreamKind::Rtcp,
                (false, _) => StreamKind::Datagrams,
            },
            local,
            advertised: self.ports.current().map(|set| set.place.advertised),
            signalled: endpoint(self.endpoints.stated),
            target: endpoint(self.endpoints.used),
            learned: stream.status.learned(),
            path: stream.status.path(),
            ice: stream.status.ice(),
            dtls: stream.status.dtls(),
            received: Received {
                kernel: self.received_by_kernel(half, moment.host).into(),
                userspace: received_by_user(stream),
            },
            sent: sent_by_user(stream) + sent_by_kernel.into(),
            last_activity: moment.of_day(newest.unwrap_or_default().max(stream.signalled_at)),
            last_user_packet: user.map(|time| moment.of_day(time)),
            last_kernel_packet: kernel.map(|time| moment.of_day(time)),
            silent: newest.map(|time| moment.now.since(time)),
            ssrcs: self.heard(half, moment.host),
            sent_ssrcs: (sent_by_kernel == KernelCounts::default()).then(|| sent_ssrcs(&stream.status)),
            passed: passed(ports(), moment.host),
            refused: stream.status.refused_by_srtp(),
            flags: self.stream_flags(half),
        }
    }

    fn qualities(&self, epoch: Duration) -> Vec<QualitySnapshot> {
        let qualities = self.rtp.status.qualities().into_iter();
        qualities
            .map(|quality| QualitySnapshot { quality, epoch })
            .collect()
    }

    /// SSRCs of media from the party, the newest first.
    pub(in crate::call) fn ssrcs(&self, half: Half, host: &dyn Host) -> Vec<SsrcSnapshot> {
        match half {
            Half::Rtp => {
                let ports = self.bound(half).into_iter().map(|port| port.id);
                self.rtp.ssrcs(ports, host)
            }
            Half::Rtcp => Vec::new(),
        }
    }

    /// SSRCs of media and RTCP from the party, the newest first.
    fn heard(&self, half: Half, host: &dyn Host) -> Vec<SsrcSnapshot> {
        let mut all = self.ssrcs(half, host);
        if half == Half::Rtcp {
            return all;
        }
        let is_kernels = self.received_by_kernel(half, host) != KernelCounts::default();
        let log = self.rtp.status.heard.all();
        // At the ports more are told apart.
        all.retain(|known| is_kernels || log.iter().any(|heard| heard.ssrc == known.ssrc));
        for heard in log {
            let fresh = SsrcSnapshot::from(heard);
            match all.iter_mut().find(|known| known.ssrc == heard.ssrc) {
                Some(known) if is_kernels => known.newest = known.newest.max(fresh.newest),
                // At the ports it is told how regularly it came, of RTP that came there.
                Some(known) => {
                    *known = SsrcSnapshot {
                        packets: fresh.packets,
                        bytes: fresh.bytes,
                        newest: fresh.newest,
                        timestamp: fresh.timestamp,
                        sequence: fresh.sequence,
                        ..*known
                    }
                }
                None => all.push(fresh),
            }
        }
        all.sort_by_key(|ssrc| Reverse(ssrc.newest));
        all
    }

    pub(in crate::call) fn received_by_kernel(&self, half: Half, host: &dyn Host) -> KernelCounts {
        let ports = self.bound(half).into_iter().map(|port| port.id);
        self.stream(half).received_by_kernel(ports, host)
    }
}

/// SSRCs of what userspace sent to a party, the newest first.
fn sent_ssrcs(status: &StreamStatus) -> Vec<SsrcSnapshot> {
    status.sent.all().into_iter().map(SsrcSnapshot::from).collect()
}

/// What both sides can do, in the party's order; what the other side offers while the party has not spoken.
fn common_codecs(own: Option<&MediaSection>, peer: Option<&MediaSection>) -> Vec<String> {
    let (Some(first), second) = (own.or(peer), peer) else {
        return Vec::new();
    };
    let in_both = |codec: &&Codec| {
        second.is_none_or(|second| {
            second
                .codecs
                .iter()
                .any(|other| match (&codec.rtpmap, &other.rtpmap) {
                    (Some(one), Some(other)) => one.matches(other),
                    (None, _) | (_, None) => codec.payload_type == other.payload_type,
                })
        })
    };
    let is_media = |codec: &&Codec| !codec.is("telephone-event") && !codec.is("CN");
    let names = first.codecs.iter().filter(in_both).filter(is_media);
    names
        .filter_map(|codec| codec.rtpmap.as_ref().map(ToString::to_string))
        .collect()
}
