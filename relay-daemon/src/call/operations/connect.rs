//! `connect`, `mesh`, `inject`: parties of one or several calls that get each other's media.

use crate::call::command::{ConnectMode, Inject, MediaError, Mesh, Tag};
use crate::call::model::flow::{FlowId, MediaId, PartyId, Subscribed, Subscription};
use crate::call::model::media::Media;
use crate::call::model::state::Call;
use crate::clock::Time;

impl Call {
    /// Connects parties, one after the other. Whoever is connected to is made up if there is nobody of that tag; without
    /// media it takes nobody's place.
    pub(in crate::call) fn connect(
        &mut self,
        sources: &[PartyId],
        to_tag: &Tag,
        mode: ConnectMode,
        now: Time,
    ) {
        let sink = match self.tagged(to_tag) {
            Some(party) => party,
            None => self.add_party(Some(to_tag.clone()), None, now),
        };
        for source in sources.iter().copied().filter(|source| *source != sink) {
            self.revive([source, sink]);
            match mode {
                ConnectMode::Dialogue => self.reconnect(source, sink),
                ConnectMode::OneWay => {
                    self.subscribe_party(source, sink, Subscribed::Media);
                }
                ConnectMode::BothWays => {
                    self.subscribe_party(source, sink, Subscribed::Media);
                    self.subscribe_party(sink, source, Subscribed::Media);
                }
            }
        }
        self.note_signal(now);
    }

    /// Two parties talk to each other by those of their sections that are of one kind, in the place of whom they talked to by
    /// these. Others stay as they are.
    fn reconnect(&mut self, one: PartyId, other: PartyId) {
        let pairs = self.alike_sections(one, other);
        if pairs.is_empty() {
            return;
        }
        let (of_one, of_other): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
        for (party, places) in [(one, of_one), (other, of_other)] {
            for peer in self.party(party).peers.clone() {
                let rest = self.common_sections(party, peer);
                if rest.iter().all(|index| places.contains(index)) {
                    self.part(party, peer);
                } else {
                    self.sever(party, peer, &places);
                }
            }
            let is_meant = |id: MediaId| id.party == party && places.contains(&id.index);
            self.unsubscribe(|known| {
                known.what == Subscribed::Dialogue && (is_meant(known.source) || is_meant(known.sink))
            });
        }
        let is_last = |place: usize| {
            !pairs
                .iter()
                .skip(place + 1)
                .any(|(_, later)| *later == pairs[place].1)
        };
        let (last, lost): (Vec<usize>, Vec<usize>) = (0..pairs.len()).partition(|place| is_last(*place));
        let in_place = |place: &usize| pairs[*place].0 == pairs[*place].1;
        if last.iter().any(in_place) {
            self.associate(one, other);
            let lost: Vec<usize> = lost
                .into_iter()
                .filter(in_place)
                .map(|place| pairs[place].0)
                .collect();
            self.sever(one, other, &lost);
        }
        let section = |party, index| MediaId { party, index };
        for place in last.into_iter().filter(|place| !in_place(place)) {
            let (own, others) = pairs[place];
            let (own, others) = (section(one, own), section(other, others));
            for (source, sink) in [(own, others), (others, own)] {
                self.subscribe(Subscription {
                    source,
                    sink,
                    what: Subscribed::Dialogue,
                });
            }
        }
    }

    /// Which sections of two parties belong together: each of the one with the next of its kind, from its own place on. One that
    /// several belong to in the end talks to the last of them.
    fn alike_sections(&self, one: PartyId, other: PartyId) -> Vec<(usize, usize)> {
        let others = &self.party(other).media;
        let alike = |(index, media): (usize, &Media)| {
            let is_alike = |place: &usize| others.get(*place).is_some_and(|other| other.kind == media.kind);
            let mut places = (index..others.len()).chain(0..index);
            Some((index, places.find(is_alike)?))
        };
        let media = self.party(one).media.iter().enumerate();
        media.filter_map(alike).collect()
    }

    /// In which places both have a section of the same kind, and talk to each other by it if they talk.
    fn common_sections(&self, one: PartyId, other: PartyId) -> Vec<usize> {
        let (ones, others) = (&self.party(one).media, &self.party(other).media);
        let pairs = ones.iter().zip(others).enumerate();
        let common = pairs.filter(|(index, (mine, theirs))| {
            mine.kind == theirs.kind && !self.party(one).severed.contains(&(other, *index))
        });
        common.map(|(index, _)| index).collect()
    }

    /// Subscribes parties to each other as said. With `unsubscribe`, the sources get nothing any more but what is said.
    pub(in crate::call) fn mesh(&mut self, request: &Mesh, now: Time) -> Result<(), MediaError> {
        let mut links: Vec<(PartyId, PartyId)> = Vec::new();
        let sources = request.links.iter().map(|link| match link.from.0.is_empty() {
            true => Err(MediaError::MeshFromMissing),
            false => self.tagged(&link.from).ok_or(MediaError::NoMeshFrom),
        });
        let sources: Vec<PartyId> = sources.collect::<Result<_, _>>()?;
        for (link, from) in request.links.iter().zip(sources.iter().copied()) {
            for to in &link.to {
                let to = self.tagged(to).ok_or(MediaError::NoMeshTo)?;
                links.push((from, to));
                if request.bidirectional {
                    links.push((to, from));
                }
            }
        }
        links.retain(|(from, to)| from != to);
        if request.replace {
            sources.iter().for_each(|source| self.deafen(*source));
        }
        for (from, to) in links {
            self.revive([from, to]);
            self.subscribe_party(from, to, Subscribed::Media);
        }
        self.note_signal(now);
        Ok(())
    }

    /// Starts or stops sending the media of one party to another besides what it gets.
    pub(in crate::call) fn inject(&mut self, request: &Inject, now: Time) -> Result<(), MediaError> {
        let sink = self.tagged(&request.to_tag).ok_or(MediaError::NoToTag)?;
        let source = self.tagged(&request.source_tag).ok_or(MediaError::NoSourceTag)?;
        if request.on {
            if source == sink {
                return Err(MediaError::InjectionToSelf);
            }
            let again = self.is_injected(source, sink);
            if !self.subscribe_party(source, sink, Subscribed::Injection) && !again {
                return Err(MediaError::NothingToInject);
            }
        } else {
            if !self.is_injected(source, sink) {
                return Err(MediaError::NothingInjected);
            }
            self.unsubscribe(|known| known.is_injection(source, sink));
        }
        self.note_signal(now);
        Ok(())
    }

    fn is_injected(&self, source: PartyId, sink: PartyId) -> bool {
        let mut known = self.subscriptions.iter();
        known.any(|known| known.is_injection(source, sink))
    }

    /// When the newest message came, if one that begins a dialogue did: a call of created parties knows none.
    fn note_signal(&mut self, now: Time) {
        self.last_signal = self.last_signal.map(|_| now);
    }

    /// Takes over the parties of another call. Gives back what the ids of their streams grow by.
    pub(in crate::call) fn absorb(&mut self, other: Call) -> Result<u32, MediaError> {
        let tags = |call: &Call| {
            let of_party = |party: &crate::call::model::state::Party| {
                party.tag.iter().chain(&party.aliases).cloned().collect()
            };
            let tags: Vec<Vec<crate::call::command::Tag>> = call.parties.iter().map(of_party).collect();
            tags.concat()
        };
        let known = tags(self);
        if tags(&other).iter().any(|tag| known.contains(tag)) {
            return Err(MediaError::TagCollision);
        }
        let (parties, offset) = (self.parties.len(), self.streams.reserve(&other.streams));
        let party = |id: PartyId| PartyId(id.0 + parties);
        let section = |id: MediaId| MediaId {
            party: party(id.party),
            ..id
        };
        for mut newcomer in other.parties {
            for peers in [
                &mut newcomer.peers,
                &mut newcomer.known_parties,
                &mut newcomer.deaf_to,
            ] {
                peers.iter_mut().for_each(|peer| *peer = party(*peer));
            }
            newcomer
                .severed
                .iter_mut()
                .for_each(|(peer, _)| *peer = party(*peer));
            // As the reference numbers those whom it moves.
            newcomer.number += 1;
            for media in &mut newcomer.media {
                media.rtp.id.0 += offset;
                media.rtcp.id.0 += offset;
            }
            self.parties.push(newcomer);
        }
        self.subscriptions
            .extend(other.subscriptions.into_iter().map(|mut subscription| {
                subscription.source = section(subscription.source);
                subscription.sink = section(subscription.sink);
                subscription
            }));
        self.flows.extend(other.flows.into_iter().map(|mut known| {
            known.flow = FlowId {
                source: party(known.flow.source),
                sink: party(known.flow.sink),
                ..known.flow
            };
            known
        }));
        self.other_ids.push(other.id);
        self.other_ids.extend(other.other_ids);
        Ok(offset)
    }
}
