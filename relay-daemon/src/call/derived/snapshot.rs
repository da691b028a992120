//! A call as it is at one moment.

mod flags;
mod media;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::call::model::flow::{FlowId, FlowKind, MediaId, PartyId};
use crate::call::model::half::Half;
use crate::call::model::media::{Media, Visibility};
use crate::call::model::state::{Call, Presence};
use crate::call::model::stream::{KernelCounts, Stream};
use crate::clock::Time;
use crate::host::Host;
use crate::plan::{StreamId, Treatment};
use crate::report::{
    Association, AssociationKind, CallSnapshot, Counts, MediaFlag, MediaSnapshot, PartySnapshot,
    SsrcReporting, StreamSnapshot,
};

/// When a snapshot is taken, and from where.
#[derive(Clone, Copy)]
pub(in crate::call) struct Moment<'a> {
    pub(in crate::call) now: Time,
    /// Time of day when [`Time`] was zero.
    pub(in crate::call) epoch: Duration,
    pub(in crate::call) host: &'a dyn Host,
}

/// Which parties are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Scope {
    All,
    /// A party and those it talks to.
    Around(PartyId),
    /// Nobody: the tag is unknown.
    Nobody,
}

impl Call {
    /// Whether the media does what was signalled last.
    pub(in crate::call) fn is_carried_out(&self) -> bool {
        self.progress.revision() == self.revision
    }

    /// What is known of the call at this moment.
    pub(in crate::call) fn snapshot(&self, moment: Moment<'_>, scope: Scope) -> CallSnapshot {
        // Before what the media published, so that it is no older than that.
        let pending = !self.is_carried_out();
        let sent = self.unsettled(moment.host);
        let sources = self.sources();
        let all: Vec<PartySnapshot> = self
            .ids()
            .map(|id| self.party_snapshot(id, moment, &sent, &sources))
            .collect();
        let sum = |half: usize| {
            let media = all.iter().flat_map(|party| &party.media);
            media
                .map(|media| media.streams[half].received.total())
                .fold(Counts::default(), |sum, counts| sum + counts)
        };
        let deletion = self.parties.iter().filter_map(|party| match party.presence {
            Presence::Leaving(at) => Some(at),
            Presence::Here | Presence::Gone => None,
        });
        CallSnapshot {
            is_foreign: self.foreign,
            call_id: self.id.to_string(),
            other_ids: self.other_ids.iter().map(ToString::to_string).collect(),
            created: moment.of_day(self.created),
            created_by: self.created_by,
            tos: self.tos,
            age: moment.now.since(self.created),
            last_signal: self
                .last_signal
                .map(|time| moment.of_day(time))
                .unwrap_or_default(),
            controls: self.control_names(),
            metadata: self.metadata.clone(),
            kernel: self.kernel,
            pending,
            deleted_in: self
                .deletion
                .into_iter()
                .chain(deletion)
                .min()
                .map(|at| at.since(moment.now)),
            ended: None,
            ssrc_reporting: SsrcReporting::default(),
            rtp: sum(0),
            rtcp: sum(1),
            parties: self.within(scope, all),
        }
    }

    /// Adds what the kernel has sent on behalf of others to those it was sent to, before the plan changes.
    pub(in crate::call) fn settle(&mut self, host: &dyn Host) {
        // The kernel goes on counting: each counter is read once.
        let received = self.received_by_kernel(host);
        let sent = sum_by_sink(&received);
        let streams = self.parties.iter_mut().flat_map(|party| &mut party.media);
        for stream in streams.map(|media| &mut media.rtp) {
            if let Some(reception) = received.iter().find(|reception| reception.stream == stream.id) {
                stream.settle(reception.total);
            }
            if let Some(sent) = sent.get(&stream.id) {
                stream.add_sent(*sent);
            }
        }
    }

    /// What the kernel has sent to each stream since the plan changed.
    pub(in crate::call) fn unsettled(&self, host: &dyn Host) -> BTreeMap<StreamId, KernelCounts> {
        sum_by_sink(&self.received_by_kernel(host))
    }

    /// What the kernel has received, and for whom. It relays nothing but RTP.
    fn received_by_kernel(&self, host: &dyn Host) -> Vec<Reception> {
        let reception = |(id, media): (MediaId, &Media)| {
            let total = media.received_by_kernel(Half::Rtp, host);
            let sinks = self.sinks(id, media, Half::Rtp).0;
            let mut receivers = sinks.iter().filter(|sink| sink.media == Treatment::Pass);
            let sink = match (receivers.next(), receivers.next()) {
                (Some(sink), None) => Some(sink.stream),
                (Some(_), Some(_)) | (None, _) => None,
            };
            Reception {
                stream: media.rtp.id,
                total,
                fresh: media.rtp.unsettled(total),
                sink,
            }
        };
        self.sections().map(reception).collect()
    }

    /// From which sections each section gets media.
    fn sources(&self) -> BTreeMap<MediaId, Vec<MediaId>> {
        let mut sources: BTreeMap<MediaId, Vec<MediaId>> = BTreeMap::new();
        for (id, _) in self.sections() {
            for way in self.ways_from(id).into_iter().filter(|way| !way.rtcp_only) {
                sources.entry(way.sink).or_default().push(id);
            }
        }
        sources
    }

    fn within(&self, scope: Scope, all: Vec<PartySnapshot>) -> Vec<PartySnapshot> {
        let Scope::Around(center) = scope else {
            return if scope == Scope::All { all } else { Vec::new() };
        };
        let sources = self.associations_to(center);
        let is_wanted = |id: PartyId| id == center || sources.iter().any(|flow| flow.source == id);
        let wanted = all.into_iter().enumerate();
        wanted
            .filter(|(index, _)| is_wanted(PartyId(*index)))
            .map(|(_, party)| party)
            .collect()
    }

    /// What a party gets of others, and could at least.
    fn associations_to(&self, sink: PartyId) -> Vec<FlowId> {
        let mut flows = self.flows_to(sink);
        flows.retain(|flow| self.is_association(flow));
        flows
    }

    /// Who has no sections in common has nothing to do with each other.
    fn is_association(&self, flow: &FlowId) -> bool {
        flow.kind == FlowKind::PubSub || self.has_common_sections(flow.source, flow.sink)
    }

    fn party_snapshot(
        &self,
        id: PartyId,
        moment: Moment<'_>,
        sent: &BTreeMap<StreamId, KernelCounts>,
        sources: &BTreeMap<MediaId, Vec<MediaId>>,
    ) -> PartySnapshot {
        let party = self.party(id);
        let association = |other: PartyId, kind: FlowKind| Association {
            tag: self
                .party(other)
                .tag
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            kind: kind.into(),
        };
        let is_shown = |party: &PartyId, index: usize| {
            let media = self.party(*party).media.get(index);
            media.is_none_or(|media| media.shown != Visibility::Removed)
        };
        let known = party.media.iter().enumerate();
        let known = known.filter(|(_, media)| media.shown != Visibility::Removed);
        let media = known.map(|(index, media)| {
            let sources = sources.get(&MediaId { party: id, index });
            let sources = sources.map(Vec::as_slice).unwrap_or_default();
            let dialogue = |source: &&MediaId| party.peers.contains(&source.party);
            let newest = sources.iter().rfind(dialogue).or(sources.last());
            let peer = newest.and_then(|source| self.media(*source)?.section());
            let mut snapshot = media.snapshot(peer, moment, sent);
            if !party.peers.iter().all(|peer| is_shown(peer, index)) {
                snapshot = snapshot.unheard();
            }
            if party.gets_reports {
                snapshot.flags.push(MediaFlag::RtcpGenerator);
                snapshot.flags.sort();
            }
            MediaSnapshot {
                sources: sources
                    .iter()
                    .map(|source| (self.name(source.party), source.index))
                    .collect(),
                ..snapshot
            }
        });
        PartySnapshot {
            name: self.name(id),
            tag: party.tag.as_ref().map(ToString::to_string),
            aliases: party.aliases.iter().map(ToString::to_string).collect(),
            branch: party.branch.as_ref().map(ToString::to_string),
            label: party.label.clone(),
            metadata: party.metadata.clone(),
            created: moment.of_day(party.created),
            subscriptions: self
                .associations_to(id)
                .iter()
                .map(|flow| association(flow.source, flow.kind))
                .collect(),
            subscribers: self
                .flows_from(id)
                .iter()
                .filter(|flow| self.is_association(flow))
                .map(|flow| association(flow.sink, flow.kind))
                .collect(),
            controls: party.controls.names(),
            media: media.collect(),
        }
    }

    /// What the party is called, if it has no tag: what it lacks.
    fn name(&self, id: PartyId) -> String {
        match &self.party(id).tag {
            Some(tag) => tag.to_string(),
            None => format!("<untagged {}>", self.party(id).number),
        }
    }
}

impl MediaSnapshot {
    /// A section that the other party is not told of: nothing is done about it but that it is remembered.
    fn unheard(self) -> MediaSnapshot {
        MediaSnapshot {
            flags: Vec::new(),
            streams: self.streams.map(|stream| StreamSnapshot {
                signalled: None,
                flags: Vec::new(),
                ..stream
            }),
            ..self
        }
    }
}

impl From<FlowKind> for AssociationKind {
    fn from(kind: FlowKind) -> AssociationKind {
        match kind {
            FlowKind::OfferAnswer => AssociationKind::OfferAnswer,
            FlowKind::PubSub => AssociationKind::PubSub,
        }
    }
}

impl Moment<'_> {
    fn of_day(&self, time: Time) -> Duration {
        self.epoch + Duration::from_nanos(time.0)
    }
}

/// What the kernel has received from a party.
struct Reception {
    stream: StreamId,
    /// In all.
    total: KernelCounts,
    /// Since the plan changed.
    fresh: KernelCounts,
    /// To whom it was sent, if to somebody.
    sink: Option<StreamId>,
}

fn sum_by_sink(received: &[Reception]) -> BTreeMap<StreamId, KernelCounts> {
    let mut sent: BTreeMap<StreamId, KernelCounts> = BTreeMap::new();
    for reception in received {
        if let Some(sink) = reception.sink {
            // What was dropped was not sent.
            *sent.entry(sink).or_default() += KernelCounts {
                dropped: 0,
                ..reception.fresh
            };
        }
    }
    sent
}

pub(in crate::call) fn received_by_user(stream: &Stream) -> Counts {
    let status = &stream.status;
    Counts {
        packets: status.packets_in.load(Ordering::Relaxed),
        bytes: status.bytes_in.load(Ordering::Relaxed),
        errors: status.errors_in.load(Ordering::Relaxed),
    }
}

pub(in crate::call) fn sent_by_user(stream: &Stream) -> Counts {
    let status = &stream.status;
    Counts {
        packets: status.packets_out.load(Ordering::Relaxed),
        bytes: status.bytes_out.load(Ordering::Relaxed),
        errors: status.errors_out.load(Ordering::Relaxed),
    }
}

impl From<KernelCounts> for Counts {
    fn from(counts: KernelCounts) -> Counts {
        Counts {
            packets: counts.packets,
            bytes: counts.bytes,
            errors: counts.dropped,
        }
    }
}
