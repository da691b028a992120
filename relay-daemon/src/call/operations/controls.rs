//! Blocking and silencing: of a whole call, of what a party sends, of a single flow.

use crate::call::command::{
    Controlled, FlowChoice, MediaControl, MediaEcho, MediaError, PartyChoice, Play, Playback, Reply,
    SignalOptions, SourceChoice,
};
use crate::call::model::dialogue::Dialogue;
use crate::call::model::flow::{FlowId, FlowKind, MediaId, PartyId};
use crate::call::model::media::Echo;
use crate::call::model::state::Call;
use crate::call::model::subscription::Way;
use crate::call::model::switches::{Controls, FlowControls};
use crate::plan::{SinkPlan, StreamId, Treatment};
use crate::sdp::MediaKind;

/// Whose controls are switched.
enum Target {
    Call,
    Parties(Vec<PartyId>),
    Flows(Vec<FlowId>),
}

impl FlowChoice {
    fn includes(self, kind: FlowKind) -> bool {
        match self {
            FlowChoice::OfferAnswer => kind == FlowKind::OfferAnswer,
            FlowChoice::PubSub => kind == FlowKind::PubSub,
            FlowChoice::All | FlowChoice::Every | FlowChoice::Unsaid => true,
        }
    }
}

impl Call {
    /// What an offer or an answer says of echo and of dropping everything.
    pub(in crate::call) fn follow_media_options(&mut self, dialogue: Dialogue, options: &SignalOptions) {
        self.traffic_dropped = options.drop_traffic.unwrap_or(self.traffic_dropped);
        self.party_mut(dialogue.sender).controls.events_blocked |= options.block_events;
        let Some(echo) = options.media_echo else {
            return;
        };
        let (sender, receiver) = match echo {
            MediaEcho::Blackhole => (false, false),
            MediaEcho::Forward => (false, true),
            MediaEcho::Backwards => (true, false),
            MediaEcho::Both => (true, true),
        };
        for (party, hears_itself) in [(dialogue.sender, sender), (dialogue.receiver, receiver)] {
            for media in &mut self.party_mut(party).media {
                media.echo = match hears_itself {
                    false => Echo::Blackhole,
                    true => Echo::Back,
                };
            }
        }
    }

    /// Switches something on or off, for whoever is meant.
    pub(in crate::call) fn control(&mut self, request: &MediaControl) -> Result<(), MediaError> {
        let MediaControl { what, on, .. } = *request;
        let target = self.target(request)?;
        if let (Some(label), Target::Parties(parties)) = (&request.set_label, &target) {
            for party in parties {
                self.party_mut(*party).label = Some(label.clone());
            }
        }
        if what == Controlled::Media || what == Controlled::Silence {
            self.doubt_sources();
        }
        match target {
            Target::Call => self.controls.switch(what, on),
            Target::Parties(parties) => {
                for party in parties {
                    self.party_mut(party).controls.switch(what, on);
                }
            }
            Target::Flows(flows) => {
                for flow in flows {
                    self.flow_controls(flow).switch(what, on);
                }
            }
        }
        // What is switched off for everybody is off for each of them, too.
        if request.flows == FlowChoice::All && !on {
            self.controls.switch(what, false);
            for party in &mut self.parties {
                party.controls.switch(what, false);
            }
            for flow in &mut self.flows {
                flow.controls.switch(what, false);
            }
        }
        Ok(())
    }

    /// What is on for the whole call, in words.
    pub(in crate::call) fn control_names(&self) -> Vec<&'static str> {
        let mut names = self.controls.names();
        names.extend(self.traffic_dropped.then_some("traffic dropped"));
        names
    }

    /// Why nothing is played.
    pub(in crate::call) fn play(&mut self, request: &Play) -> Result<Reply, MediaError> {
        let parties = match self.choose_sources(&request.parties) {
            Ok(parties) if parties.is_empty() => return Err(MediaError::Nobody),
            Ok(parties) => parties,
            Err(error) => return Err(error),
        };
        let has_sent = |party: &PartyId| {
            let media = &self.party(*party).media;
            media.iter().any(|media| media.rtp.status.ssrc().is_some())
        };
        match request.what {
            Playback::Media { source } => {
                if let SourceChoice::One(_) = request.parties {
                    parties
                        .iter()
                        .for_each(|party| self.party_mut(*party).has_player = true);
                }
                Err(source.map_or(MediaError::NoFile, MediaError::NoMusic))
            }
            Playback::Stop if parties.iter().all(|party| self.party(*party).has_player) => Ok(Reply::Stopped),
            Playback::Stop => Err(MediaError::NotPlaying),
            Playback::Dtmf { code: None } => Err(MediaError::BadCode),
            Playback::Dtmf { code: Some(_) } if !parties.iter().any(has_sent) => Err(MediaError::NoSsrc),
            Playback::Dtmf { code: Some(_) } => Err(MediaError::NoEvents),
        }
    }

    /// Forgets what was switched for flows that are no more.
    pub(in crate::call) fn forget_dead_flows(&mut self) {
        if self.flows.is_empty() {
            return;
        }
        let flows = std::mem::take(&mut self.flows);
        self.flows = flows
            .into_iter()
            .filter(|known| self.flows_from(known.flow.source).contains(&known.flow))
            .collect();
    }

    /// What a sink gets of a section's media.
    pub(in crate::call) fn sink_plan(&self, source: MediaId, way: &Way, stream: StreamId) -> SinkPlan {
        let mut plan = SinkPlan::from(stream);
        let is_audio = self
            .media(source)
            .is_some_and(|media| media.kind == MediaKind::Audio);
        for flow in &way.flows {
            let of_flow = self.flows.iter().find(|known| known.flow == *flow);
            let of_flow = of_flow.map(|known| known.controls).unwrap_or_default();
            for controls in [self.controls, self.party(flow.source).controls, of_flow] {
                plan.media = stricter(plan.media, controls.treatment());
                plan.drop_events |= controls.events_blocked;
            }
        }
        if plan.media == Treatment::Silence && !is_audio {
            plan.media = Treatment::Pass;
        }
        if self.traffic_dropped {
            plan.media = Treatment::Drop;
            plan.drop_events = true;
        }
        plan
    }

    fn target(&self, request: &MediaControl) -> Result<Target, MediaError> {
        if request.flows == FlowChoice::All {
            return Ok(Target::Call);
        }
        let source = match &request.source {
            Some(choice) => Some(self.choose(choice)?),
            None => None,
        };
        match (request.flows, source, &request.sink) {
            (_, Some(source), Some(sink)) => self.flow(source, sink).map(Target::Flows),
            (FlowChoice::OfferAnswer | FlowChoice::PubSub | FlowChoice::Every, source, _) => {
                let sources: Vec<PartyId> =
                    source.map_or_else(|| self.ids().collect(), |source| vec![source]);
                let flows: Vec<FlowId> = sources
                    .into_iter()
                    .flat_map(|source| self.flows_from(source))
                    .filter(|flow| request.flows.includes(flow.kind))
                    .collect();
                // Of everybody's, there may be none.
                match flows.is_empty() && source.is_some() {
                    true => Err(MediaError::NoFlows),
                    false => Ok(Target::Flows(flows)),
                }
            }
            (FlowChoice::Unsaid | FlowChoice::All, Some(source), None) => Ok(Target::Parties(vec![source])),
            (FlowChoice::Unsaid | FlowChoice::All, None, _) => Ok(Target::Call),
        }
    }

    fn flow(&self, source: PartyId, sink: &PartyChoice) -> Result<Vec<FlowId>, MediaError> {
        let unknown = match sink {
            PartyChoice::Label(_) => MediaError::NoFlowToLabel,
            PartyChoice::Address(_) | PartyChoice::Tag(_) => MediaError::NoFlowToTag,
        };
        let sink = self.choose(sink).map_err(|_| unknown)?;
        let mut flows = self.flows_from(source);
        flows.retain(|flow| flow.sink == sink);
        match flows.is_empty() {
            true => Err(MediaError::NotSubscribed),
            false => Ok(flows),
        }
    }

    fn flow_controls(&mut self, flow: FlowId) -> &mut Controls {
        let position = match self.flows.iter().position(|known| known.flow == flow) {
            Some(position) => position,
            None => {
                self.flows.push(FlowControls {
                    flow,
                    controls: Controls::default(),
                });
                self.flows.len() - 1
            }
        };
        &mut self.flows[position].controls
    }
}

fn stricter(one: Treatment, other: Treatment) -> Treatment {
    match (one, other) {
        (Treatment::Drop, _) | (_, Treatment::Drop) => Treatment::Drop,
        (Treatment::Silence, _) | (_, Treatment::Silence) => Treatment::Silence,
        (Treatment::Pass, Treatment::Pass) => Treatment::Pass,
    }
}
