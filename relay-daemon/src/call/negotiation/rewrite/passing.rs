//! Ways past us: ICE, and sections of which the receiver learns as the sender has them.

use std::net::SocketAddr;

use crate::call::command::{IceMode, IceOptions};
use crate::call::section::ice::{Neighbour, OwnCandidates, Rank, has_ice};
use crate::call::section::kind::Kind;
use crate::call::section::ports::PortSet;
use crate::sdp::{Candidate, CopiedMedia, Ice, Text};
use crate::security::IceRole;

use super::{Message, Section};

impl Section<'_> {
    /// ICE with the receiver, as it is told.
    pub(super) fn ice(&self, message: &Message<'_>, ports: &PortSet) -> Ice {
        if !message.is_of_a_party() && message.kind == Kind::Answer && self.receiver.ice.agent().is_none() {
            // A publisher is not told what it can do.
            return Ice::default();
        }
        let mut candidates = self.candidates(message, ports, Rank::Alone);
        let selected = self.receiver.selected_pairs(ports);
        if selected.is_some() {
            // Those that were decided on: of each component the first, which is the one that `c=` names.
            candidates.dedup_by_key(|candidate| candidate.component);
        }
        let controls = message.kind == Kind::Offer && self.receiver.ice_role() == IceRole::Controlling;
        let remotes = selected.filter(|_| controls);
        // What is asked for concerns the sections of the message.
        let is_news = self.sender.remote_section.as_ref();
        let options = match is_news.is_some_and(|remote_section| remote_section.is_of(&message.description)) {
            true => message.options.ice,
            false => IceOptions::default(),
        };
        // A section that is carried by another one says nothing of ICE unless it does ICE itself.
        let own = self.receiver.bundle.own_ice.as_deref();
        let ice = own.filter(|own| !own.is_on()).unwrap_or(&self.receiver.ice);
        Ice {
            remote_candidates: remotes.map(|remotes| remote_candidates(&remotes)),
            ..ice.text(message.kind, options, candidates)
        }
    }

    fn candidates(&self, message: &Message<'_>, ports: &PortSet, rank: Rank) -> Vec<Candidate> {
        let own = OwnCandidates {
            ports,
            foundations: &message.environment.foundations,
            media_address: message.options.media_address,
            rank,
            all: self.receiver.ice.is_on(),
        };
        own.lines()
    }

    /// What becomes of a section of which the receiver learns as the sender has it; None if it learns of it otherwise.
    pub(super) fn copied(&self, message: &Message<'_>, ports: &PortSet) -> Option<CopiedMedia<'_>> {
        let relay_only = message.options.ice.mode == IceMode::ForceRelay;
        let answered = relay_only && message.kind == Kind::Answer;
        let does_ice = self.sender.ice.is_on() || (answered && has_ice(&self.remote_section));
        if self.is_passed_on(message) {
            let rank = match message.options.ice.mode {
                IceMode::ForceRelay => Rank::Last,
                IceMode::Default | IceMode::Remove | IceMode::Force | IceMode::Optional => {
                    Rank::Beside(Neighbour::among(&self.remote_section.ice.candidates))
                }
            };
            return Some(CopiedMedia {
                kind: self.kind(message),
                candidates: self.candidates_beside(does_ice, message, ports, rank),
                ..self.to_sender(message)?
            });
        }
        if relay_only && !has_ice(&self.remote_section) {
            return self.to_sender(message);
        }
        (!self.remote_section.protocol.is_rtp()).then(|| CopiedMedia {
            kind: self.kind(message),
            candidates: self.candidates_beside(does_ice, message, ports, Rank::Alone),
            ..CopiedMedia::new(
                &self.remote_section,
                ports.rtp.address.port(),
                self.address(message, ports),
            )
        })
    }

    /// Whether the receiver learns of the section as its sender has it. An answer that asks for a relay passes as it is, whatever
    /// came before.
    fn is_passed_on(&self, message: &Message<'_>) -> bool {
        let answered = message.options.ice.mode == IceMode::ForceRelay && message.kind == Kind::Answer;
        self.receiver.passes_through() || answered
    }

    /// Our candidates in addition to those of a sender, if it does ICE.
    fn candidates_beside(
        &self,
        does_ice: bool,
        message: &Message<'_>,
        ports: &PortSet,
        rank: Rank,
    ) -> Vec<Candidate> {
        match does_ice {
            true => self.candidates(message, ports, rank),
            false => Vec::new(),
        }
    }

    /// The section as the sender has it: media passes us by. Nowhere, if the sender has not spoken of it.
    fn to_sender(&self, message: &Message<'_>) -> Option<CopiedMedia<'_>> {
        let is_rtp = self.remote_section.protocol.is_rtp() && self.receiver.protocol.is_rtp();
        let protocol = match is_rtp {
            true => &self.receiver.protocol,
            false => &self.remote_section.protocol,
        };
        let (port, address) = match self.sender.remote_section {
            Some(_) => {
                let address = message.options.media_address.or(self.remote_section.address);
                (self.remote_section.port, address)
            }
            None => (0, self.nowhere(message)),
        };
        Some(CopiedMedia {
            kind: self.kind(message),
            codecs: self.codecs(),
            protocol,
            ..CopiedMedia::new(&self.remote_section, port, address?)
        })
    }
}

/// `a=remote-candidates` (RFC 8839 section 5.2).
fn remote_candidates(pairs: &[(u8, SocketAddr)]) -> Text {
    let pairs = pairs
        .iter()
        .map(|(component, remote)| format!("{component} {} {}", remote.ip(), remote.port()));
    Text::from(pairs.collect::<Vec<_>>().join(" "))
}
