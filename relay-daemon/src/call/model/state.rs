//! A call and its parties.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::call::command::{Branch, CallId, Music, Tag};
use crate::call::section::kind::Kind;
use crate::call::section::origin::Told;
use crate::clock::Time;
use crate::dtls::Credentials;
use crate::host::Host;
use crate::plan::{CallKey, KernelUse, Progress};
use crate::sdp::{Description, MediaSection};

use super::alias::PartyIdentity;
use super::flow::{PartyId, Subscribed, Subscription};
use super::media::{Media, StreamIds, Visibility};
use super::switches::{Controls, FlowControls};

/// A call: everything that was signalled under one call-id.
#[derive(Clone, Debug)]
pub(in crate::call) struct Call {
    pub(in crate::call) key: CallKey,
    pub(in crate::call) id: CallId,
    pub(in crate::call) created: Time,
    /// The control peer that began it.
    pub(in crate::call) created_by: Option<SocketAddr>,
    /// Other call-ids that name it, since it was connected with the calls of these ids.
    pub(in crate::call) other_ids: Vec<CallId>,
    /// When the newest offer or answer came, if one did.
    pub(in crate::call) last_signal: Option<Time>,
    pub(in crate::call) metadata: Option<String>,
    /// In the order in which they appeared. They stay as long as the call.
    pub(in crate::call) parties: Vec<Party>,
    pub(in crate::call) streams: StreamIds,
    /// Who gets whose media otherwise than by offer and answer, in the order in which it was asked for.
    pub(in crate::call) subscriptions: Vec<Subscription>,
    /// What is blocked of everybody's media.
    pub(in crate::call) controls: Controls,
    /// What is blocked of single flows.
    pub(in crate::call) flows: Vec<FlowControls>,
    /// Whether nothing is relayed but RTCP (`drop-traffic`).
    pub(in crate::call) traffic_dropped: bool,
    /// Who we are to its parties in DTLS.
    pub(in crate::call) credentials: Arc<Credentials>,
    /// TOS of everything that is sent.
    pub(in crate::call) tos: u8,
    pub(in crate::call) kernel: KernelUse,
    /// Whether what is said about it is logged in full.
    pub(in crate::call) debugged: bool,
    /// Whether another relay looks after it: no timeout ends it here.
    pub(in crate::call) foreign: bool,
    /// Number of plans so far.
    pub(in crate::call) revision: u32,
    /// Which of them the media follows.
    pub(in crate::call) progress: Progress,
    /// When the whole call is to be deleted.
    pub(in crate::call) deletion: Option<Time>,
    /// Whether the operator knows that media is not relayed for want of ciphers.
    pub(in crate::call) warned_of_encryption: bool,
}

/// One end of a dialogue: usually a phone.
#[derive(Clone, Debug)]
pub(in crate::call) struct Party {
    /// None until it answers.
    pub(in crate::call) tag: Option<Tag>,
    /// Tags that it answered with before.
    pub(in crate::call) aliases: Vec<Tag>,
    /// Branch of the request that went to it.
    pub(in crate::call) branch: Option<Branch>,
    pub(in crate::call) label: Option<String>,
    pub(in crate::call) metadata: Option<String>,
    pub(in crate::call) created: Time,
    /// Index of the logical interface that it is served from: neither a group nor an alias. None until the first message
    /// about it.
    pub(in crate::call) interface: Option<usize>,
    /// Its media sections.
    pub(in crate::call) media: Vec<Media>,
    /// Whom it exchanges offers and answers with, the newest last.
    pub(in crate::call) peers: Vec<PartyId>,
    /// With whom it has ever exchanged them, unless one of the two was deleted since: branches that lost included.
    pub(in crate::call) known_parties: Vec<PartyId>,
    /// Those of its peers whose media it does not get any more.
    pub(in crate::call) deaf_to: Vec<PartyId>,
    /// By which sections it does not talk to peers any more, though it does by others.
    pub(in crate::call) severed: Vec<(PartyId, usize)>,
    /// What it is called by as long as it has no tag.
    pub(in crate::call) number: usize,
    /// What it is recognised by if it comes with another tag.
    pub(in crate::call) identities: Vec<PartyIdentity>,
    /// Its newest SDP.
    pub(in crate::call) remote_description: Option<Arc<Description>>,
    /// What it was told in the lines above the media.
    pub(in crate::call) told: Told,
    /// What is blocked of its media.
    pub(in crate::call) controls: Controls,
    pub(in crate::call) presence: Presence,
    /// Where music for whom it holds comes from.
    pub(in crate::call) music: Option<Music>,
    /// Whether somebody else plays music for whom it holds: its last SDP says so.
    pub(in crate::call) brings_music: bool,
    /// Whether it has sent a final response.
    pub(in crate::call) has_answered_finally: bool,
    /// Whether something was to be played to it: that can be stopped.
    pub(in crate::call) has_player: bool,
    /// `generate-RTCP`: its RTCP ends here, and it gets ours.
    pub(in crate::call) gets_reports: bool,
}

/// Whether a party takes part in the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Presence {
    #[default]
    Here,
    /// It is to be deleted then, unless a message about it comes before.
    Leaving(Time),
    /// It was deleted.
    Gone,
}

impl Party {
    /// Which of its media sections stands at a position of its SDPs: it does not know of those that are not shown to
    /// it.
    pub(in crate::call) fn media_index(&self, position: usize) -> usize {
        let mut shown = self
            .media
            .iter()
            .enumerate()
            .filter(|(_, media)| media.shown != Visibility::Removed);
        match shown.nth(position) {
            Some((index, _)) => index,
            None => self.media.len(),
        }
    }

    /// Which of its media sections the sections of its SDP are that have the same kind and identification as one that is
    /// known from before: they may have changed places. Where the SDP has two for one, the last one counts, unless it stands
    /// where another one did.
    pub(in crate::call) fn identified(&self, sections: &[MediaSection]) -> Vec<Option<usize>> {
        let identified = |(position, section): (usize, &MediaSection)| {
            let mid = section.mid.as_ref()?;
            let is_it = |media: &Media| media.kind == section.kind && media.bundle.mid.as_ref() == Some(mid);
            let mut media = self.media.iter();
            // Where several are called so a message that is repeated means the same again.
            let at_place = Some(self.media_index(position));
            let at_place = at_place.filter(|index| self.media.get(*index).is_some_and(is_it));
            at_place.or_else(|| media.rposition(|media| media.shown != Visibility::Removed && is_it(media)))
        };
        sections.iter().enumerate().map(identified).collect()
    }

    /// Which of its media sections any other section of its SDP is: that at the same position. `taken` are those that stand
    /// before it in the SDP. One that the party adds may be of those that were not shown to it, the next of its kind.
    pub(in crate::call) fn section_index(
        &self,
        kind: Kind,
        position: usize,
        section: &MediaSection,
        taken: &[usize],
    ) -> usize {
        let free = |index: &usize| !taken.contains(index);
        let find = |wanted: &dyn Fn(usize, &Media) -> bool| {
            let mut media = self.media.iter().enumerate();
            media
                .position(|(index, media)| free(&index) && media.kind == section.kind && wanted(index, media))
        };
        let shown = |media: &Media| media.shown != Visibility::Removed;
        let is_unknown = |index: usize| self.media.get(index).is_some_and(|media| !shown(media));
        let follows = |index: usize| taken.iter().all(|taken| *taken < index);
        let at_position = self.media_index(position);
        Some(at_position)
            .filter(|index| *index < self.media.len())
            .or_else(|| find(&|_, media| shown(media)))
            .or_else(|| find(&|index, _| kind == Kind::Offer && follows(index)))
            .or_else(|| Some(position).filter(|index| is_unknown(*index) && free(index)))
            .unwrap_or(self.media.len())
    }
}

impl Call {
    pub(in crate::call) fn new(
        key: CallKey,
        id: CallId,
        tos: u8,
        credentials: Arc<Credentials>,
        now: Time,
    ) -> Call {
        Call {
            key,
            id,
            created: now,
            created_by: None,
            other_ids: Vec::new(),
            last_signal: Some(now),
            metadata: None,
            parties: Vec::new(),
            streams: StreamIds::default(),
            subscriptions: Vec::new(),
            controls: Controls::default(),
            flows: Vec::new(),
            traffic_dropped: false,
            credentials,
            tos,
            kernel: KernelUse::default(),
            debugged: false,
            foreign: false,
            revision: 0,
            progress: Progress::default(),
            deletion: None,
            warned_of_encryption: false,
        }
    }

    pub(in crate::call) fn party(&self, id: PartyId) -> &Party {
        &self.parties[id.0]
    }

    pub(in crate::call) fn party_mut(&mut self, id: PartyId) -> &mut Party {
        &mut self.parties[id.0]
    }

    /// All parties with their names.
    pub(in crate::call) fn ids(&self) -> impl Iterator<Item = PartyId> + Clone + use<> {
        (0..self.parties.len()).map(PartyId)
    }

    /// The party that has, or had, this tag, if it was not deleted.
    pub(in crate::call) fn tagged(&self, tag: &Tag) -> Option<PartyId> {
        let position = |matches: &dyn Fn(&Party) -> bool| self.present().find(|id| matches(self.party(*id)));
        position(&|party| party.tag.as_ref() == Some(tag))
            .or_else(|| position(&|party| party.aliases.contains(tag)))
    }

    /// The newest party of a branch, if it was not deleted.
    pub(in crate::call) fn on_branch(&self, branch: &Branch) -> Option<PartyId> {
        self.present()
            .filter(|party| self.party(*party).branch.as_ref() == Some(branch))
            .last()
    }

    /// The parties that were not deleted.
    pub(in crate::call) fn present(&self) -> impl Iterator<Item = PartyId> {
        self.ids()
            .filter(|party| self.party(*party).presence != Presence::Gone)
    }

    /// Adds a party.
    pub(in crate::call) fn add_party(
        &mut self,
        tag: Option<Tag>,
        branch: Option<Branch>,
        now: Time,
    ) -> PartyId {
        self.parties.push(Party {
            tag,
            aliases: Vec::new(),
            branch,
            label: None,
            metadata: None,
            created: now,
            interface: None,
            media: Vec::new(),
            peers: Vec::new(),
            known_parties: Vec::new(),
            identities: Vec::new(),
            deaf_to: Vec::new(),
            severed: Vec::new(),
            number: self.parties.len(),
            remote_description: None,
            told: Told::default(),
            controls: Controls::default(),
            presence: Presence::default(),
            music: None,
            brings_music: false,
            has_answered_finally: false,
            has_player: false,
            gets_reports: false,
        });
        PartyId(self.parties.len() - 1)
    }

    /// Two parties talk to each other, and perhaps to others too. The newest peer stands last. What one of them has subscribed
    /// to of the other comes anyway.
    pub(in crate::call) fn associate(&mut self, one: PartyId, other: PartyId) {
        self.unsubscribe(|known| {
            let (source, sink) = (known.source.party, known.sink.party);
            let between = (source, sink) == (one, other) || (source, sink) == (other, one);
            between
                && matches!(
                    known.what,
                    Subscribed::Media | Subscribed::Egress | Subscribed::Dialogue
                )
        });
        for (party, peer) in [(one, other), (other, one)] {
            let party = self.party_mut(party);
            party.deaf_to.retain(|known| *known != peer);
            party.severed.retain(|(known, _)| *known != peer);
            party.peers.retain(|known| *known != peer);
            party.peers.push(peer);
        }
    }

    /// Two parties talk to each other and to nobody else.
    pub(in crate::call) fn associate_only(&mut self, one: PartyId, other: PartyId) {
        self.separate(one);
        self.separate(other);
        self.associate(one, other);
    }

    /// Two parties do not talk to each other any more.
    pub(in crate::call) fn part(&mut self, one: PartyId, other: PartyId) {
        for (party, peer) in [(one, other), (other, one)] {
            self.party_mut(party).peers.retain(|known| *known != peer);
        }
    }

    /// Whether two parties that talk to each other do so by any section.
    pub(in crate::call) fn has_common_sections(&self, one: PartyId, other: PartyId) -> bool {
        let pairs = self.party(one).media.iter().zip(&self.party(other).media);
        pairs.enumerate().any(|(index, (own, others))| {
            ![own.shown, others.shown].contains(&Visibility::Removed)
                && !self.party(one).severed.contains(&(other, index))
        })
    }

    /// Two parties do not talk to each other by these sections any more.
    pub(in crate::call) fn sever(&mut self, one: PartyId, other: PartyId, sections: &[usize]) {
        for (party, peer) in [(one, other), (other, one)] {
            let severed = sections.iter().map(|index| (peer, *index));
            self.party_mut(party).severed.extend(severed);
        }
    }

    /// A party talks to nobody any more.
    pub(in crate::call) fn separate(&mut self, party: PartyId) {
        self.unsubscribe(|known| known.is_dialogue_of(party));
        for peer in std::mem::take(&mut self.party_mut(party).peers) {
            self.party_mut(peer).peers.retain(|known| *known != party);
        }
    }

    /// Two parties have to do with each other until one of them is deleted.
    pub(in crate::call) fn introduce(&mut self, one: PartyId, other: PartyId) {
        for (party, other) in [(one, other), (other, one)] {
            let known_parties = &mut self.party_mut(party).known_parties;
            if !known_parties.contains(&other) {
                known_parties.push(other);
            }
        }
    }

    /// Whether anybody who takes part talks to anybody else who does.
    pub(in crate::call) fn is_associated(&self) -> bool {
        let here = |party: &Party| party.presence != Presence::Gone;
        let mut present = self.parties.iter().filter(|party| here(party));
        let mut dialogues = self.subscriptions.iter();
        present.any(|party| party.peers.iter().any(|peer| here(self.party(*peer))))
            || dialogues.any(|known| {
                known.what == Subscribed::Dialogue
                    && here(self.party(known.source.party))
                    && here(self.party(known.sink.party))
            })
    }

    /// Keeps what the kernel counted for ports that this call had before and has no longer.
    pub(in crate::call) fn keep_counts_of(&mut self, former: &Call, host: &dyn Host) {
        for (party, former) in self.parties.iter_mut().zip(&former.parties) {
            for (media, former) in party.media.iter_mut().zip(&former.media) {
                media.keep_counts_of(former, host);
            }
        }
    }
}
