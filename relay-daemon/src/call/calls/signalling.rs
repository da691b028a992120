//! Messages of a dialogue: offers, answers, and candidates that come later.

use std::sync::Arc;

use crate::call::command::{CommandError, Fragment, Limit, Reply, Signal, SignalOptions, TosRule};
use crate::call::model::dialogue::{self, Dialogue, TalksToItself};
use crate::call::model::state::Call;
use crate::call::negotiation::negotiate::Message;
use crate::call::negotiation::rewrite::NothingUsable;
use crate::call::negotiation::{fax, fragment, legacy};
use crate::call::section::kind::Kind;
use crate::call::section::ports::Reservations;
use crate::clock::Time;
use crate::config::CallSettings;
use crate::host::Host;
use crate::plan::CallKey;
use crate::sdp::{BlankLine, Description, Text};

use super::Calls;

impl Calls {
    pub(super) fn offer(
        &mut self,
        now: Time,
        signal: &Signal,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let known = self.keys.get(&signal.call_id).copied();
        if let (None, Some(limit)) = (known, self.limit()) {
            return Err(CommandError::Limit(limit));
        }
        let description = self.parse_sdp(&signal.sdp);
        let description = description.and_then(|description| self.with_source(description, &signal.options));
        if self.has_been_here(signal, &description) {
            return Ok(Reply::Sdp(signal.sdp.clone()));
        }
        let key = known.unwrap_or_else(|| self.add(now, &signal.call_id, host));
        if let (None, Err(_), Some(entry)) = (known, &description, self.calls.get_mut(&key)) {
            // It was not understood.
            entry.call.last_signal = None;
        }
        let outcome = self.signal(now, key, Kind::Offer, signal, description?, host);
        if let (None, Err(CommandError::OutOfPorts(_))) = (known, &outcome) {
            self.forget(key);
        }
        outcome
    }

    /// Why no call can begin, if there is a reason.
    pub(super) fn limit(&self) -> Option<Limit> {
        let most = self.environment.settings.max_sessions;
        let is_full = most.is_some_and(|most| self.calls.len() >= most);
        is_full.then_some(Limit::Sessions).or(self.overload)
    }

    pub(super) fn answer(
        &mut self,
        now: Time,
        signal: &Signal,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let key = *self.keys.get(&signal.call_id).ok_or(CommandError::UnknownCall)?;
        let description = self.parse_sdp(&signal.sdp);
        let description = description.and_then(|description| self.with_source(description, &signal.options));
        if self.has_been_here(signal, &description) {
            return Ok(Reply::Sdp(signal.sdp.clone()));
        }
        self.signal(now, key, Kind::Answer, signal, description?, host)
    }

    /// Takes in candidates that trickle. They may be ahead of their offer.
    pub(super) fn fragment(
        &mut self,
        now: Time,
        fragment: &Fragment,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let description = fragment::parse(&fragment.sdp).map_err(CommandError::BadSdp)?;
        let call = self.find(&fragment.call_id);
        let party = call.and_then(|call| call.tagged(&fragment.from_tag));
        match (call, party) {
            (Some(call), Some(party)) => {
                let mut call = call.clone();
                call.party_mut(party).add_fragment(&description);
                self.replace(call, host);
            }
            (_, _) => self.fragments.keep(now, fragment, description),
        }
        Ok(Reply::Done)
    }

    /// Works on a copy of the call, which takes the call's place if the message is accepted.
    fn signal(
        &mut self,
        now: Time,
        key: CallKey,
        kind: Kind,
        signal: &Signal,
        description: Description,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let instance = || Text::from(&*self.environment.instance);
        let loop_id = signal.options.loop_protect.then(instance);
        let entry = self.calls.get(&key).ok_or(CommandError::UnknownCall)?;
        let mut draft = entry.call.clone();
        draft.settle(host);
        let dialogue = match (kind, &signal.to_tag) {
            (Kind::Offer, _) => dialogue::of_offer(&mut draft, signal, &description, now),
            (Kind::Answer, Some(to_tag)) => {
                dialogue::of_answer(&mut draft, signal, &description, to_tag, now)
            }
            (Kind::Answer, None) => Err(TalksToItself),
        };
        let dialogue = dialogue.map_err(|TalksToItself| CommandError::InvalidDialogue)?;
        let accepts = match kind {
            Kind::Offer if signal.options.osrtp.accept_legacy => legacy::Accepts::Pairs,
            Kind::Offer => legacy::Accepts::Ours,
            Kind::Answer => legacy::Accepts::Known,
        };
        let sender = draft.party(dialogue.sender);
        let (description, doubled) = legacy::merge(description, sender, accepts);
        let asked_for = signal.options.music;
        let music = draft.follow_music(kind, dialogue, asked_for, &description, &self.environment);
        // What the message says holds all the same.
        let (music, no_music) = match music {
            Ok(music) => (music, None),
            Err(error) => (None, Some(error)),
        };
        let (sender, receiver) = (draft.party(dialogue.sender), draft.party(dialogue.receiver));
        let (description, gateways) =
            fax::translate(description, kind, sender, receiver, &signal.options.fax);
        let message = Message {
            kind,
            dialogue,
            description: Arc::new(description),
            doubled,
            gateways,
            options: &signal.options,
            environment: &self.environment,
            credentials: Arc::clone(&draft.credentials),
            loop_id,
            music,
            now,
        };
        let mut reservations = Reservations::new(host);
        message.apply(&mut draft, &mut reservations)?;
        draft.follow_media_options(dialogue, &signal.options);
        // Where everything is rejected there is nothing to tell the receiver, but rejected it is.
        let sdp = message.rewrite(&mut draft, &mut reservations);
        reservations.keep();
        draft.take_note(now, dialogue, signal, &self.environment.settings);
        let sender = draft.party_mut(dialogue.sender);
        if let Some(tag) = &sender.tag {
            for fragment in self.fragments.take(now, &signal.call_id, tag) {
                sender.add_fragment(&fragment);
            }
        }
        draft.keep_counts_of(&entry.call, host);
        if let Some(codec) = draft.unavailable_codec(dialogue.receiver) {
            tracing::warn!(call = %draft.id.0, codec, "cannot be translated here, media passes as it is: see --codecs");
        }
        self.replace(draft, host);
        if let Some(error) = no_music {
            return Err(error.into());
        }
        sdp.map(Reply::Sdp)
            .map_err(|NothingUsable| CommandError::Rewriting)
    }

    /// Whether an SDP carries our own mark, so that it must pass as it is.
    fn has_been_here(&self, signal: &Signal, description: &Result<Description, CommandError>) -> bool {
        let mark = description
            .as_ref()
            .ok()
            .and_then(|description| description.loop_id.as_ref());
        signal.options.loop_protect && mark.is_some_and(|mark| **mark == *self.environment.instance)
    }

    /// The description, unless its sections are to have the address of the SIP message, which brings none.
    pub(super) fn with_source(
        &self,
        description: Description,
        options: &SignalOptions,
    ) -> Result<Description, CommandError> {
        let source = options.sip_source(self.environment.settings.sip_source);
        let is_missing = source.is_some_and(|source| source.is_none());
        match is_missing && !description.media.is_empty() {
            true => Err(CommandError::IncompleteSdp),
            false => Ok(description),
        }
    }

    pub(super) fn parse_sdp(&self, sdp: &str) -> Result<Description, CommandError> {
        if sdp.is_empty() {
            return Err(CommandError::Rewriting);
        }
        let blank_line = match self.environment.settings.reject_invalid_sdp {
            true => BlankLine::Refused,
            false => BlankLine::Ends,
        };
        Description::parse_with(sdp, blank_line).map_err(|error| match error.is_incomplete() {
            true => CommandError::IncompleteSdp,
            false => CommandError::BadSdp(error),
        })
    }
}

impl Call {
    /// What a message says apart from its SDP.
    fn take_note(&mut self, now: Time, dialogue: Dialogue, signal: &Signal, settings: &CallSettings) {
        self.last_signal = Some(now);
        self.tos = match signal.options.tos {
            TosRule::Configured => settings.tos,
            TosRule::Keep => self.tos,
            TosRule::Set(tos) => tos,
        };
        for party in [dialogue.sender, dialogue.receiver] {
            let party = self.party_mut(party);
            party.gets_reports = signal.options.generate_rtcp.unwrap_or(party.gets_reports);
        }
        self.debugged |= signal.options.debug;
        self.revive([dialogue.sender, dialogue.receiver]);
        let sender = self.party_mut(dialogue.sender);
        if let Some(label) = &signal.options.label {
            sender.label = Some(label.clone());
        }
        if let Some(metadata) = &signal.options.metadata {
            sender.metadata = Some(metadata.clone());
            self.metadata = Some(metadata.clone());
        }
    }
}
