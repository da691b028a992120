//! `connect`, `mesh`, `inject`: parties of one or several calls that get each other's media.

use crate::clock::Time;

use super::state::{Call, PartyId};
use super::subscription::{FlowId, MediaId, Subscribed};
use super::{Connect, ConnectMode, Inject, MediaError, Mesh};

impl Call {
    /// Connects parties. Whoever is connected to is made up if there is nobody of that tag.
    pub(super) fn connect(&mut self, request: &Connect, now: Time) -> Result<(), MediaError> {
        let mut sources = self.choose_sources(&request.sources)?;
        let sink = match self.tagged(&request.to_tag) {
            Some(party) => party,
            None => self.add_party(Some(request.to_tag.clone()), None, now),
        };
        sources.retain(|source| *source != sink);
        if sources.is_empty() {
            return Err(MediaError::Nobody);
        }
        for (index, source) in sources.iter().copied().enumerate() {
            self.revive([source, sink]);
            match request.mode {
                ConnectMode::Dialogue if index == 0 => self.associate_only(source, sink),
                ConnectMode::Dialogue => {
                    self.separate(source);
                    self.associate(source, sink);
                }
                ConnectMode::OneWay => self.subscribe_party(source, sink, Subscribed::Media),
                ConnectMode::BothWays => {
                    self.subscribe_party(source, sink, Subscribed::Media);
                    self.subscribe_party(sink, source, Subscribed::Media);
                }
            }
        }
        self.last_signal = Some(now);
        Ok(())
    }

    /// Subscribes parties to each other as said.
    pub(super) fn mesh(&mut self, request: &Mesh, now: Time) -> Result<(), MediaError> {
        let mut links: Vec<(PartyId, PartyId)> = Vec::new();
        for link in &request.links {
            let from = self.tagged(&link.from).ok_or(MediaError::NoFromTag)?;
            for to in &link.to {
                let to = self.tagged(to).ok_or(MediaError::NoToTag)?;
                links.push((from, to));
                if request.bidirectional {
                    links.push((to, from));
                }
            }
        }
        links.retain(|(from, to)| from != to);
        if request.replace {
            let is_receiver = |party: PartyId| links.iter().any(|(_, to)| *to == party);
            self.unsubscribe(|known| is_receiver(known.sink.party));
        }
        for (from, to) in links {
            self.revive([from, to]);
            self.subscribe_party(from, to, Subscribed::Media);
        }
        self.last_signal = Some(now);
        Ok(())
    }

    /// Starts or stops sending the media of one party to another besides what it gets.
    pub(super) fn inject(&mut self, request: &Inject, now: Time) -> Result<(), MediaError> {
        let sink = self.tagged(&request.to_tag).ok_or(MediaError::NoToTag)?;
        let source = match &request.source_tag {
            Some(tag) => Some(self.tagged(tag).ok_or(MediaError::NoSourceTag)?),
            None => None,
        };
        match (request.on, source) {
            (true, Some(source)) => self.subscribe_party(source, sink, Subscribed::Injection),
            (true, None) => return Err(MediaError::NoSourceTag),
            (false, source) => self.unsubscribe(|known| {
                let is_meant = source.is_none_or(|source| source == known.source.party);
                known.what == Subscribed::Injection && known.sink.party == sink && is_meant
            }),
        }
        self.last_signal = Some(now);
        Ok(())
    }

    /// Takes over the parties of another call. Gives back what the ids of their streams grow by.
    pub(super) fn absorb(&mut self, other: Call) -> Result<u32, MediaError> {
        let tags = |call: &Call| {
            let of_party =
                |party: &super::state::Party| party.tag.iter().chain(&party.aliases).cloned().collect();
            let tags: Vec<Vec<super::Tag>> = call.parties.iter().map(of_party).collect();
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
            for peers in [&mut newcomer.peers, &mut newcomer.acquaintances] {
                peers.iter_mut().for_each(|peer| *peer = party(*peer));
            }
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
