//! Commands about media: who is meant by what, then to the call itself.

use crate::call::Action;
use crate::call::command::{
    CallId, CommandError, Connect, Create, CreateAnswer, Inject, MediaControl, MediaError, Mesh, Publish,
    Reply, SignalOptions, SubscribeAnswer, SubscribeRequest, Tag, Transform, Unsubscribe,
};
use crate::call::model::flow::PartyId;
use crate::call::model::state::{Call, Presence};
use crate::call::section::environment::Environment;
use crate::call::section::origin::Told;
use crate::call::section::ports::Reservations;
use crate::clock::Time;
use crate::host::Host;
use crate::plan::CallKey;
use crate::sdp::Description;

use super::Calls;

impl Calls {
    pub(super) fn control(
        &mut self,
        request: &MediaControl,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let key = self.key(&request.call_id, MediaError::UnknownCall)?;
        self.change(key, host, |call, _, _| Ok(call.control(request)?))?;
        Ok(Reply::Done)
    }

    pub(super) fn publish(
        &mut self,
        now: Time,
        request: &Publish,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let names = Names::of(&request.call_id, &request.from_tag, host);
        let key = self.call_of(now, &names, host);
        let description = self.parse_own_sdp(&request.sdp, &request.options)?;
        if description.media.iter().any(|section| section.address.is_none()) {
            return Err(CommandError::IncompleteSdp);
        }
        let sdp = self.for_party(
            now,
            key,
            &names.tag,
            host,
            |call, party, environment, reservations| {
                // It is heard also if it is of no use.
                let sdp = call.publish(party, description, request, environment, now, reservations)?;
                call.note_options(party, &request.options, now);
                if let Some(metadata) = &request.options.metadata {
                    call.metadata = Some(metadata.clone());
                    call.party_mut(party).metadata = Some(metadata.clone());
                }
                Ok(sdp)
            },
        );
        Ok(names.reply(sdp?.ok_or(MediaError::NoSections)?))
    }

    pub(super) fn subscribe_request(
        &mut self,
        now: Time,
        request: &SubscribeRequest,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let key = self.key(&request.call_id, MediaError::UnknownCalls)?;
        let to_tag = request
            .to_tag
            .clone()
            .unwrap_or_else(|| random_name(host).as_str().into());
        let offer = self.change(key, host, |call, environment, reservations| {
            let party = call.party_of(&to_tag, now);
            let offer = call.offer_subscription(party, request, environment, now, reservations)?;
            let Some(offer) = offer else {
                return Ok(None);
            };
            call.note_options(party, &request.options, now);
            call.follow_reports(party, &request.options);
            if let Some(label) = &request.label {
                call.party_mut(party).label = Some(label.clone());
            }
            Ok(Some(offer))
        });
        if let (Err(CommandError::Media(MediaError::NoSections)), Some(entry)) =
            (&offer, self.calls.get_mut(&key))
        {
            // There is a subscriber all the same, as in the reference.
            entry.call.party_of(&to_tag, now);
        }
        let offer = offer?.ok_or(MediaError::NoSections)?;
        Ok(Reply::Subscription {
            sdp: offer.sdp,
            from_tags: offer.from_tags,
            is_single: offer.is_single,
            to_tag,
            media: request.flags.siprec.then_some(offer.media),
        })
    }

    pub(super) fn subscribe_answer(
        &mut self,
        now: Time,
        answer: &SubscribeAnswer,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let key = self.key(&answer.call_id, MediaError::UnknownCall)?;
        let sdp = answer.sdp.as_ref().ok_or(MediaError::SdpMissing)?;
        let description = self.parse_own_sdp(sdp, &answer.options)?;
        let to_tag = answer.to_tag.as_ref().ok_or(MediaError::ToTagMissing)?;
        let outcome = self.change(key, host, |call, environment, reservations| {
            let party = call.tagged(to_tag).ok_or(MediaError::NoToTag)?;
            let outcome =
                call.answer_subscription(party, answer, description, environment, now, reservations);
            call.note_options(party, &answer.options, now);
            Ok(outcome)
        })?;
        outcome?;
        Ok(Reply::Done)
    }

    pub(super) fn unsubscribe(
        &mut self,
        request: &Unsubscribe,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let key = self.key(&request.call_id, MediaError::UnknownCall)?;
        let entry = self.calls.get(&key).ok_or(MediaError::UnknownCall)?;
        let mut draft = entry.call.clone();
        draft.settle(host);
        let to_tag = request.to_tag.as_ref().ok_or(MediaError::ToTagMissing)?;
        let subscriber = draft.tagged(to_tag).ok_or(MediaError::NoToTag)?;
        let source = match &request.from_tag {
            Some(tag) => Some(draft.tagged(tag).ok_or(MediaError::NoUnsubscribedTag)?),
            None => None,
        };
        draft.end_subscriptions(subscriber, source, host);
        self.replace(draft, host);
        Ok(Reply::Done)
    }

    pub(super) fn connect(
        &mut self,
        now: Time,
        request: &Connect,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let ids = [Some(&request.call_id), request.to_call_id.as_ref()];
        let keys = self.known_keys(ids.into_iter().flatten(), MediaError::UnknownCalls)?;
        let call = self.find(&request.call_id).ok_or(MediaError::UnknownCalls)?;
        let sources = call.choose_sources(&request.sources)?;
        if sources.is_empty() {
            return Err(MediaError::NoSources.into());
        }
        let to_tag = request.to_tag.as_ref().ok_or(MediaError::ToTagMissing)?;
        self.in_one_call(&keys, host, |call| {
            call.connect(&sources, to_tag, request.mode, now);
            Ok(())
        })
    }

    pub(super) fn mesh(
        &mut self,
        now: Time,
        request: &Mesh,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let keys = self.known_keys(&request.calls, MediaError::UnknownMeshCalls)?;
        self.in_one_call(&keys, host, |call| call.mesh(request, now))
    }

    pub(super) fn inject(
        &mut self,
        now: Time,
        request: &Inject,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let ids = [Some(&request.call_id), request.source_call_id.as_ref()];
        let keys = self.known_keys(ids.into_iter().flatten(), MediaError::UnknownCalls)?;
        self.in_one_call(&keys, host, |call| call.inject(request, now))
    }

    pub(super) fn create(
        &mut self,
        now: Time,
        request: &Create,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let names = Names::of(&request.call_id, &request.from_tag, host);
        let is_new = !self.keys.contains_key(&names.call_id);
        let sdp = self.in_call(now, &names.call_id, host, |call, environment, reservations| {
            if is_new {
                // Nobody has signalled anything yet.
                call.last_signal = None;
            }
            let party = call.party_of(&names.tag, now);
            let options = &request.options;
            call.create_offer(party, &request.media, options, environment, now, reservations)
        })?;
        Ok(names.reply(sdp))
    }

    pub(super) fn create_answer(
        &mut self,
        now: Time,
        answer: &CreateAnswer,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let key = self.key(&answer.call_id, MediaError::UnknownCreatedCall)?;
        let description = match answer.sdp.is_empty() {
            true => Description::default(),
            false => self.parse_own_sdp(&answer.sdp, &answer.options)?,
        };
        self.change(key, host, |call, environment, reservations| {
            let party = call.tagged(&answer.from_tag).ok_or(MediaError::NoCreatedTag)?;
            call.take_answer(
                party,
                description,
                &answer.options,
                environment,
                now,
                reservations,
            );
            Ok(())
        })?;
        Ok(Reply::Done)
    }

    pub(super) fn transform(
        &mut self,
        now: Time,
        request: &Transform,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let names = Names::of(&request.call_id, &request.from_tag, host);
        let key = self.call_of(now, &names, host);
        let media = self.for_party(
            now,
            key,
            &names.tag,
            host,
            |call, party, environment, reservations| {
                let interface = request.interfaces.from.as_deref();
                call.transform(party, &request.media, interface, environment, now, reservations)
            },
        )?;
        Ok(Reply::Transformed {
            call_id: names.call_id,
            from_tag: names.tag,
            media,
        })
    }

    /// What somebody says to the relay itself.
    fn parse_own_sdp(&self, sdp: &str, options: &SignalOptions) -> Result<Description, CommandError> {
        if sdp.is_empty() {
            return Err(MediaError::SdpMissing.into());
        }
        self.with_source(self.parse_sdp(sdp)?, options)
    }

    /// Works on a copy of a call, which takes its place if all goes well.
    fn change<T>(
        &mut self,
        key: CallKey,
        host: &mut dyn Host,
        work: impl FnOnce(&mut Call, &Environment, &mut Reservations<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let entry = self.calls.get(&key).ok_or(CommandError::UnknownCall)?;
        let mut draft = entry.call.clone();
        draft.settle(host);
        let mut reservations = Reservations::new(host);
        let outcome = work(&mut draft, &self.environment, &mut reservations)?;
        reservations.keep();
        draft.keep_counts_of(&entry.call, host);
        self.replace(draft, host);
        Ok(outcome)
    }

    /// The call of that id, made if there is none: nobody has signalled anything in it yet. It outlives a refusal, as in the
    /// reference.
    fn call_of(&mut self, now: Time, names: &Names, host: &mut dyn Host) -> CallKey {
        if let Some(key) = self.keys.get(&names.call_id) {
            return *key;
        }
        let key = self.add(now, &names.call_id, host);
        if let Some(entry) = self.calls.get_mut(&key) {
            entry.call.last_signal = None;
        }
        key
    }

    /// Works on a copy of a call, for a party that is made if there is none of that tag. It outlives a refusal, too, unless
    /// there were no ports.
    fn for_party<T>(
        &mut self,
        now: Time,
        key: CallKey,
        tag: &Tag,
        host: &mut dyn Host,
        work: impl FnOnce(&mut Call, PartyId, &Environment, &mut Reservations<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let outcome = self.change(key, host, |call, environment, reservations| {
            let party = call.party_of(tag, now);
            work(call, party, environment, reservations)
        });
        if let Err(CommandError::OutOfPorts(_)) = outcome {
            self.forget_if_new(key);
        } else if let (Err(_), Some(entry)) = (&outcome, self.calls.get_mut(&key)) {
            entry.call.party_of(tag, now);
        }
        outcome
    }

    /// Forgets a call in which nothing has ever happened.
    fn forget_if_new(&mut self, key: CallKey) {
        let call = self.calls.get(&key).map(|entry| &entry.call);
        if call
            .is_some_and(|call| call.parties.is_empty() && call.revision == 0 && call.last_signal.is_none())
        {
            self.forget(key);
        }
    }

    /// The same in a call that is made if there is none of that id. A new call does not outlive a failure. Limits are for
    /// calls that begin with an offer.
    fn in_call<T>(
        &mut self,
        now: Time,
        id: &CallId,
        host: &mut dyn Host,
        work: impl FnOnce(&mut Call, &Environment, &mut Reservations<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let known = self.keys.get(id).copied();
        let key = known.unwrap_or_else(|| self.add(now, id, host));
        let outcome = self.change(key, host, work);
        if known.is_none() && outcome.is_err() {
            self.forget(key);
        }
        outcome
    }

    /// Makes one call of several, the first, and changes it; or changes nothing.
    fn in_one_call(
        &mut self,
        keys: &[CallKey],
        host: &mut dyn Host,
        work: impl FnOnce(&mut Call) -> Result<(), MediaError>,
    ) -> Result<Reply, CommandError> {
        let (Some((into, others)), mut merged) = (keys.split_first(), Vec::new()) else {
            return Ok(Reply::Done);
        };
        let mut draft = self.settled(*into, host)?;
        for from in others {
            let other = self.settled(*from, host)?;
            let is_planned = other.revision > 0;
            let offset = draft.absorb(other)?;
            draft.revision += 1;
            if is_planned {
                merged.push(Action::Merge {
                    from: *from,
                    offset,
                    plan: draft.plan(&self.environment),
                });
            }
        }
        work(&mut draft)?;
        for from in others {
            self.forget(*from);
        }
        self.keys
            .extend(draft.other_ids.iter().map(|id| (id.clone(), *into)));
        self.actions.extend(merged);
        self.replace(draft, host);
        Ok(Reply::Done)
    }

    fn settled(&self, key: CallKey, host: &dyn Host) -> Result<Call, CommandError> {
        let entry = self.calls.get(&key).ok_or(CommandError::UnknownCall)?;
        let mut call = entry.call.clone();
        call.settle(host);
        Ok(call)
    }

    pub(super) fn key(&self, id: &CallId, unknown: MediaError) -> Result<CallKey, MediaError> {
        self.keys.get(id).copied().ok_or(unknown)
    }

    /// The calls of some ids, each once; there must be one.
    fn known_keys<'i>(
        &self,
        ids: impl IntoIterator<Item = &'i CallId>,
        unknown: MediaError,
    ) -> Result<Vec<CallKey>, MediaError> {
        let mut keys = Vec::new();
        for id in ids {
            let key = self.key(id, unknown)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        match keys.is_empty() {
            true => Err(unknown),
            false => Ok(keys),
        }
    }
}

impl Call {
    /// The party of a tag, made if there is none. Whoever had unsubscribed begins anew.
    fn party_of(&mut self, tag: &Tag, now: Time) -> PartyId {
        let had_left = |party: &PartyId| {
            let known = self.party(*party);
            known.tag.as_ref() == Some(tag) && known.known_parties.is_empty() && !self.has_flows(*party)
        };
        if let Some(party) = self.tagged(tag) {
            return party;
        }
        let former = self.ids().find(had_left);
        if let Some(party) = former {
            let party = self.party_mut(party);
            party.media.clear();
            party.told = Told::default();
            party.presence = Presence::Here;
        }
        former.unwrap_or_else(|| self.add_party(Some(tag.clone()), None, now))
    }

    /// What is said of RTCP to a subscriber holds for its sources as well.
    fn follow_reports(&mut self, subscriber: PartyId, options: &SignalOptions) {
        let Some(gets_reports) = options.generate_rtcp else {
            return;
        };
        let known = self.subscriptions.iter();
        let of_subscriber = known.filter(|known| known.sink.party == subscriber);
        let sources: Vec<PartyId> = of_subscriber.map(|known| known.source.party).collect();
        for source in sources {
            self.party_mut(source).gets_reports = gets_reports;
        }
    }

    /// What a message says apart from its SDP.
    fn note_options(&mut self, party: PartyId, options: &SignalOptions, now: Time) {
        self.last_signal = Some(now);
        self.debugged |= options.debug;
        self.revive([party, party]);
        let party = self.party_mut(party);
        party.gets_reports = options.generate_rtcp.unwrap_or(party.gets_reports);
        if let Some(label) = &options.label {
            party.label = Some(label.clone());
        }
    }
}

/// A call and a party, by names that were given or made up.
struct Names {
    call_id: CallId,
    tag: Tag,
}

impl Names {
    fn of(call_id: &Option<CallId>, tag: &Option<Tag>, host: &mut dyn Host) -> Names {
        Names {
            call_id: call_id
                .clone()
                .unwrap_or_else(|| random_name(host).as_str().into()),
            tag: tag.clone().unwrap_or_else(|| random_name(host).as_str().into()),
        }
    }

    fn reply(self, sdp: String) -> Reply {
        Reply::Own {
            call_id: self.call_id,
            from_tag: self.tag,
            sdp,
        }
    }
}

/// 64 hexadecimal digits.
fn random_name(host: &mut dyn Host) -> String {
    let mut random = [0; 32];
    host.random(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
