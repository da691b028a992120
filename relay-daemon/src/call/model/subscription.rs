//! Who gets whose media: by offer and answer, or by a subscription.

use smallvec::SmallVec;

use crate::call::section::codecs::is_alike;
use crate::clock::Time;
use crate::plan::Renumbering;

use super::flow::{FlowId, FlowKind, MediaId, PartyId, Subscribed, Subscription};
use super::media::Media;
use super::state::Call;

/// One of the ways that media takes from a section.
#[derive(Clone, Debug)]
pub(in crate::call) struct Way {
    /// Where it leads.
    pub(in crate::call) sink: MediaId,
    /// Whether it is for RTCP alone.
    pub(in crate::call) rtcp_only: bool,
    /// What it consists of: more than one for what is sent to a party and from there to somebody else.
    pub(in crate::call) flows: SmallVec<[FlowId; 1]>,
}

impl Way {
    /// Which payload types the receiver knows by other numbers. Those who subscribe are offered the sender's own.
    pub(in crate::call) fn renumbering(&self, source: &Media, sink: &Media) -> Renumbering {
        let mut renumbering = Renumbering::default();
        if self.flows.iter().any(|flow| flow.kind != FlowKind::OfferAnswer) {
            return renumbering;
        }
        for codec in &source.codecs {
            let mut alike = sink.codecs.iter().filter(|other| is_alike(codec, other));
            let Some(first) = alike.clone().next() else {
                continue;
            };
            if !alike.any(|other| other.payload_type == codec.payload_type)
                && !renumbering.insert(codec.payload_type, first.payload_type)
            {
                break;
            }
        }
        renumbering
    }
}

impl Call {
    pub(in crate::call) fn media(&self, id: MediaId) -> Option<&Media> {
        self.parties.get(id.party.0)?.media.get(id.index)
    }

    /// All media sections.
    pub(in crate::call) fn sections(&self) -> impl Iterator<Item = (MediaId, &Media)> + Clone {
        self.ids().flat_map(|party| {
            let media = self.party(party).media.iter().enumerate();
            media.map(move |(index, media)| (MediaId { party, index }, media))
        })
    }

    /// The ways from a section. Each sink stands there once.
    pub(in crate::call) fn ways_from(&self, source: MediaId) -> SmallVec<[Way; 1]> {
        let mut ways: SmallVec<[Way; 1]> = SmallVec::new();
        let peers = self.party(source.party).peers.iter();
        for party in peers.copied() {
            let sink = MediaId { party, ..source };
            let kind = |id| self.media(id).map(|media| &media.kind);
            if self.party(source.party).severed.contains(&(party, source.index)) {
                continue;
            }
            if self.hears(party, source.party) && kind(sink).is_some() && kind(sink) == kind(source) {
                ways.push(Way::direct(source, sink, FlowKind::OfferAnswer));
            }
        }
        for subscription in self.subscriptions.iter().filter(|known| known.source == source) {
            let mut way = Way::direct(source, subscription.sink, subscription.kind());
            way.rtcp_only = subscription.what == Subscribed::Rtcp;
            if subscription.what != Subscribed::Egress && !leads_to(&ways, subscription.sink) {
                ways.push(way);
            }
        }
        self.add_egress(&mut ways);
        ways
    }

    /// All flows from a party, each once: in the order of its sections, for each those of its dialogues first, beginning with
    /// the newest.
    pub(in crate::call) fn flows_from(&self, source: PartyId) -> Vec<FlowId> {
        let peers = self.party(source).peers.iter().rev();
        let peers = peers.filter(|peer| self.hears(**peer, source));
        let peers = peers.map(|peer| {
            let sink = *peer;
            let kind = FlowKind::OfferAnswer;
            (self.first_place(source, *peer), FlowId { source, sink, kind })
        });
        let subscribers = self
            .subscriptions
            .iter()
            .filter(|known| known.source.party == source)
            .map(|known| {
                let (sink, kind) = (known.sink.party, known.kind());
                (known.source.index, FlowId { source, sink, kind })
            });
        in_order(peers.chain(subscribers))
    }

    /// All flows to a party, each once, in the same order.
    pub(in crate::call) fn flows_to(&self, sink: PartyId) -> Vec<FlowId> {
        let peers = self.party(sink).peers.iter().rev();
        let peers = peers.filter(|peer| self.hears(sink, **peer));
        let peers = peers.map(|peer| {
            let source = *peer;
            let kind = FlowKind::OfferAnswer;
            (self.first_place(sink, *peer), FlowId { source, sink, kind })
        });
        let sources = self
            .subscriptions
            .iter()
            .filter(|known| known.sink.party == sink)
            .map(|known| {
                let (source, kind) = (known.source.party, known.kind());
                (known.sink.index, FlowId { source, sink, kind })
            });
        in_order(peers.chain(sources))
    }

    /// The first place in which a party talks to one of its peers.
    fn first_place(&self, party: PartyId, peer: PartyId) -> usize {
        let (own, others) = (&self.party(party).media, &self.party(peer).media);
        let mut places = 0..own.len().min(others.len());
        let severed = &self.party(party).severed;
        let talks =
            |place: &usize| own[*place].kind == others[*place].kind && !severed.contains(&(peer, *place));
        places.find(talks).unwrap_or_default()
    }

    /// Whether anybody gets media of the party, or it anybody's.
    pub(in crate::call) fn has_flows(&self, party: PartyId) -> bool {
        let concerns = |known: &Subscription| [known.source.party, known.sink.party].contains(&party);
        !self.party(party).peers.is_empty() || self.subscriptions.iter().any(concerns)
    }

    /// Subscribes one section to another. Known subscriptions are not repeated.
    pub(in crate::call) fn subscribe(&mut self, subscription: Subscription) {
        if !self.subscriptions.contains(&subscription) {
            self.subscriptions.push(subscription);
        }
    }

    /// Subscribes a party to another: each section to one of its kind, unless it gets that media already. Tells whether
    /// there was any such section.
    pub(in crate::call) fn subscribe_party(
        &mut self,
        source: PartyId,
        sink: PartyId,
        what: Subscribed,
    ) -> bool {
        let mut pairs = self.matching_sections(source, sink);
        pairs.retain(|(source, sink)| !leads_to(&self.ways_from(*source), *sink));
        for (source, sink) in &pairs {
            self.subscribe(Subscription {
                source: *source,
                sink: *sink,
                what,
            });
        }
        !pairs.is_empty()
    }

    /// Whether a party gets the media of one that it talks to.
    fn hears(&self, sink: PartyId, source: PartyId) -> bool {
        !self.party(sink).deaf_to.contains(&source)
    }

    /// A party gets nothing any more.
    pub(in crate::call) fn deafen(&mut self, sink: PartyId) {
        self.unsubscribe(|known| known.sink.party == sink);
        for peer in self.party(sink).peers.clone() {
            if !self.party(sink).deaf_to.contains(&peer) {
                self.party_mut(sink).deaf_to.push(peer);
            }
        }
    }

    /// Ends subscriptions.
    pub(in crate::call) fn unsubscribe(&mut self, ended: impl Fn(&Subscription) -> bool) {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|subscription| !ended(subscription));
        if self.subscriptions.len() < before {
            self.doubt_sources();
        }
    }

    /// Who gets what has changed: all sources of the call have to show themselves again.
    pub(in crate::call) fn doubt_sources(&self) {
        for media in self.parties.iter().flat_map(|party| &party.media) {
            media.rtp.status.doubt();
            media.rtcp.status.doubt();
        }
    }

    /// All sources of the call are learned anew.
    pub(in crate::call) fn restart_learning(&mut self, now: Time) {
        for media in self.parties.iter_mut().flat_map(|party| &mut party.media) {
            media.rtp.signalled_at = now;
            media.rtcp.signalled_at = now;
        }
    }

    /// Which sections of two parties belong together: those of the same kind in the same place, else the first of
    /// its kind that is left.
    fn matching_sections(&self, source: PartyId, sink: PartyId) -> Vec<(MediaId, MediaId)> {
        let sections = |party| {
            let media = self.party(party).media.iter().enumerate();
            media.map(move |(index, media)| (MediaId { party, index }, media))
        };
        let mut free: Vec<(MediaId, &Media)> = sections(sink).collect();
        let mut pairs = Vec::new();
        for (id, media) in sections(source) {
            let fits = |(other, candidate): &(MediaId, &Media)| {
                candidate.kind == media.kind
                    && candidate.is_rtp() == media.is_rtp()
                    && (other.index == id.index || !self.has_twin(*other, source))
            };
            let in_place = free
                .iter()
                .position(|(other, media)| other.index == id.index && fits(&(*other, media)));
            if let Some(position) = in_place.or_else(|| free.iter().position(fits)) {
                pairs.push((id, free.remove(position).0));
            }
        }
        pairs
    }

    /// Whether the party has a section of the same kind in the same place.
    fn has_twin(&self, of: MediaId, party: PartyId) -> bool {
        let twin = self.media(MediaId { party, ..of });
        twin.map(|media| &media.kind) == self.media(of).map(|media| &media.kind)
    }

    /// What is sent to a party goes on to those who subscribed to that.
    fn add_egress(&self, ways: &mut SmallVec<[Way; 1]>) {
        let mut next = 0;
        while let Some(way) = ways.get(next).cloned() {
            next += 1;
            let accepts = self.media(way.sink).is_some_and(Media::accepts_media);
            if way.rtcp_only || !accepts {
                continue;
            }
            let taps = self
                .subscriptions
                .iter()
                .filter(|known| known.what == Subscribed::Egress && known.source == way.sink);
            for tap in taps {
                if !leads_to(ways, tap.sink) {
                    ways.push(way.to(tap.sink));
                }
            }
        }
    }
}

impl Way {
    pub(in crate::call) fn direct(source: MediaId, sink: MediaId, kind: FlowKind) -> Way {
        Way {
            sink,
            rtcp_only: false,
            flows: SmallVec::from([FlowId {
                source: source.party,
                sink: sink.party,
                kind,
            }]),
        }
    }

    /// The way beyond the sink.
    fn to(&self, sink: MediaId) -> Way {
        let mut way = self.clone();
        way.flows.push(FlowId {
            source: self.sink.party,
            sink: sink.party,
            kind: FlowKind::PubSub,
        });
        Way { sink, ..way }
    }
}

/// Flows by the first place that they belong to, each once.
fn in_order(flows: impl Iterator<Item = (usize, FlowId)>) -> Vec<FlowId> {
    let mut flows: Vec<(usize, FlowId)> = flows.collect();
    flows.sort_by_key(|(place, _)| *place);
    let mut ordered: Vec<FlowId> = Vec::new();
    for (_, flow) in flows {
        if !ordered.contains(&flow) {
            ordered.push(flow);
        }
    }
    ordered
}

fn leads_to(ways: &[Way], sink: MediaId) -> bool {
    ways.iter().any(|way| way.sink == sink)
}
