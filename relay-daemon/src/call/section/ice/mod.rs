//! ICE in the SDP (RFC 8839): with whom, with which credentials, and which candidates.

mod candidates;

use std::net::IpAddr;
use std::sync::Arc;

use crate::call::command::{IceMode, IceOptions};
use crate::plan::PortId;
use crate::sdp::{self, Candidate, MediaSection, Text};
use crate::security::{CandidateKind, IceAgent, IceCredentials, IceRole, MAX_CANDIDATES, RemoteCandidate};

use super::kind::Kind;
use super::random::{Random, alphanumeric};

pub(in crate::call) use self::candidates::{Foundations, Neighbour, OwnCandidates, Rank};

/// Characters of `a=ice-ufrag`.
const UFRAG_LENGTH: usize = 8;
/// Characters of `a=ice-pwd`.
const PWD_LENGTH: usize = 26;

/// ICE between us and one party, in one media section.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Ice {
    pub(in crate::call) side: IceSide,
    /// Whether we are a lite agent towards the party.
    pub(in crate::call) lite: bool,
    /// What the party says of itself.
    peer: Peer,
    /// Our credentials of before, and where our candidates were, while there is no ICE.
    former: Option<(IceCredentials, Option<PortId>)>,
    /// Whether the party does ICE, once it has spoken. Where nothing else is asked for, it is offered what it does.
    does: Option<bool>,
    /// What was said last of media that passes from end to end.
    passthrough: Option<bool>,
    /// Whether the party does ICE that does not end here: media passes from end to end, or is none that we know.
    elsewhere: bool,
    /// Whether the party has answered with ICE that it was not offered.
    unasked: bool,
    /// Whether the party is taken to do ICE, though the offer to it has none: ours would only be candidates beside those of the
    /// other end, which has none.
    assumed: bool,
    /// Whether ICE ended elsewhere already by the newest offer to the party.
    passed: bool,
}

/// Where ICE with a party ends.
#[derive(Clone, Debug, Default)]
pub(in crate::call) enum IceSide {
    /// There is none.
    #[default]
    Off,
    /// At the other end: our addresses are candidates among others, and checks pass through us.
    Through,
    /// Here.
    Here(Box<Here>),
}

/// ICE that ends here.
#[derive(Clone, Debug)]
pub(in crate::call) struct Here {
    pub(in crate::call) agent: IceAgent,
    /// The first of the ports that our candidates are at; none before they were told.
    port: Option<PortId>,
}

/// What a party says of its agent.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    lite: bool,
    trickles: bool,
    /// Whether it goes by RFC 8445.
    ice2: bool,
    /// Whether it has spoken at all: else this is what it is told.
    has_spoken: bool,
}

/// What a message did to ICE with a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum IceChange {
    /// Everything goes on as before.
    Same,
    /// The party has restarted ICE.
    Restarted,
}

/// A message about a media section.
#[derive(Clone, Copy)]
pub(in crate::call) struct IceMessage<'a> {
    pub(in crate::call) kind: Kind,
    /// Whether its sender was never spoken to of the section.
    pub(in crate::call) is_new: bool,
    /// What its sender says.
    pub(in crate::call) section: &'a MediaSection,
    /// Whether the sender has a lite agent.
    pub(in crate::call) peer_lite: bool,
    pub(in crate::call) options: IceOptions,
    /// Whether what is known of the receiver is forgotten.
    pub(in crate::call) reset: bool,
    /// Whether we offer what somebody else sends already: to a subscriber.
    pub(in crate::call) passes_on: bool,
}

impl IceMessage<'_> {
    /// Takes over what the message says into both sides.
    pub(in crate::call) fn apply(
        &self,
        sender: &mut Ice,
        receiver: &mut Ice,
        random: Random<'_>,
    ) -> IceChange {
        let asked = self.options.passthrough.or(sender.passthrough);
        for side in [&mut *sender, &mut *receiver] {
            side.passthrough = asked;
            if asked == Some(false) && side.passes_through() {
                side.side = IceSide::Off;
                side.does = None;
            }
        }
        // Once it has passed from end to end, it does so for good.
        let passes = sender.passes_through() || receiver.passes_through();
        let wanted = matches!(self.options.mode, IceMode::Optional | IceMode::ForceRelay) && asked.is_none();
        let through = asked.unwrap_or(passes);
        match self.kind {
            // Nothing is said against what is known.
            Kind::Offer if self.section.is_rejected() && sender.does.is_some() => IceChange::Same,
            Kind::Offer => {
                let through = through || (wanted && self.sender_does());
                receiver.is_offered(self, through, &mut *random);
                sender.offers(self, through, random)
            }
            Kind::Answer => {
                let through = through || (wanted && has_ice(self.section) && receiver.may_do());
                receiver.is_answered(self, through, &mut *random);
                sender.answers(self, through, random)
            }
        }
    }

    /// Whether ICE with the sender is wanted on both sides.
    fn sender_does(&self) -> bool {
        has_ice(self.section) && !self.options.reject
    }

    /// Whether ICE, if there is any, ends here. It does not for what we do not know: data channels.
    fn ends_here(&self, through: bool) -> bool {
        !through && self.section.protocol.is_rtp()
    }
}

impl Ice {
    /// Whether the party does ICE, or is offered it: then it is told candidates of ours.
    pub(in crate::call) fn is_on(&self) -> bool {
        match self.side {
            IceSide::Off | IceSide::Through => self.elsewhere,
            IceSide::Here(_) => true,
        }
    }

    /// Whether the party's newest answer has ICE, though it was not offered any.
    pub(in crate::call) fn is_answered_unasked(&self) -> bool {
        self.unasked
    }

    /// Whether the party is taken to do ICE, though the offer to it has none.
    pub(in crate::call) fn is_assumed(&self) -> bool {
        self.assumed
    }

    /// Whether ICE with the party ended elsewhere from the newest offer on.
    pub(in crate::call) fn passed_from_the_offer(&self) -> bool {
        self.passed
    }

    /// Whether nothing is known against ICE with a party that is answered: it offered it, or was never heard of.
    fn may_do(&self) -> bool {
        self.does.unwrap_or_else(|| self.is_new())
    }

    /// Whether the party has not said whether it does ICE, and was not offered it.
    fn is_new(&self) -> bool {
        self.does.is_none() && matches!(self.side, IceSide::Off) && !self.elsewhere
    }

    /// Whether ICE ends at the other end.
    pub(in crate::call) fn passes_through(&self) -> bool {
        matches!(self.side, IceSide::Through)
    }

    /// Whether it was said that media passes from end to end, or that it does not.
    pub(in crate::call) fn is_told_whether_to_pass(&self) -> bool {
        self.passthrough.is_some()
    }

    /// The agent, if ICE ends here.
    pub(in crate::call) fn agent(&self) -> Option<&IceAgent> {
        match &self.side {
            IceSide::Here(here) => Some(&here.agent),
            IceSide::Off | IceSide::Through => None,
        }
    }

    /// Whether candidates of the party may come later.
    pub(in crate::call) fn peer_trickles(&self) -> bool {
        self.peer.trickles
    }

    /// Whether the party has a lite agent.
    pub(in crate::call) fn peer_is_lite(&self) -> bool {
        self.peer.lite
    }

    /// Who decides. `offered_to` tells whether the party was on the receiving side of the first offer.
    pub(in crate::call) fn role(&self, offered_to: bool) -> IceRole {
        let decides = match (self.lite, self.peer.lite) {
            (false, true) => true,
            (true, false) => false,
            (true, true) | (false, false) => offered_to,
        };
        match decides {
            true => IceRole::Controlling,
            false => IceRole::Controlled,
        }
    }

    /// The party makes an offer. `through` tells that ICE passes to the other end.
    fn offers(&mut self, message: &IceMessage<'_>, through: bool, random: Random<'_>) -> IceChange {
        let does = message.sender_does();
        self.peer = Peer::new(message.section, does, message.peer_lite);
        self.unasked = false;
        self.lite = message.options.lite.map_or(self.lite, |lite| lite.backward);
        self.does = Some(does);
        match does {
            _ if !message.ends_here(through) => self.leave(through, does),
            false => self.turn_off(),
            true => {
                let heard = self.hear(message.section, &mut *random);
                if let (IceSide::Here(here), IceChange::Restarted) = (&mut self.side, heard) {
                    here.agent.local = new_credentials(random);
                }
                return heard;
            }
        }
        IceChange::Same
    }

    /// An offer is made to the party.
    fn is_offered(&mut self, message: &IceMessage<'_>, through: bool, random: Random<'_>) {
        let options = message.options;
        if message.reset {
            *self = Ice {
                lite: self.lite,
                peer: self.peer,
                passthrough: self.passthrough,
                ..Ice::default()
            };
        }
        self.lite = options.lite.map_or(self.lite, |lite| lite.forward);
        let ends_here = message.ends_here(through);
        self.assumed = ends_here && options.mode == IceMode::ForceRelay;
        self.passed = through;
        if message.passes_on && has_ice(message.section) {
            // It is offered the like of what the source has.
            let source = Peer::new(message.section, true, message.peer_lite);
            self.peer.lite = source.lite;
            self.peer.trickles |= source.trickles;
            self.peer.ice2 |= source.ice2;
            self.does = Some(true);
        } else if message.passes_on && !self.peer.has_spoken {
            self.does = None;
        }
        let wanted = match options.mode {
            IceMode::ForceRelay if ends_here => false,
            IceMode::ForceRelay => has_ice(message.section),
            IceMode::Default => self.does.unwrap_or_else(|| has_ice(message.section)),
            IceMode::Force | IceMode::Optional => true,
            IceMode::Remove => false,
        };
        // It is told so until it says what it can do.
        self.peer.trickles |= options.trickle;
        self.peer.ice2 |= options.ice2;
        match (wanted, &self.side) {
            _ if !ends_here => self.leave(through, wanted),
            (false, _) => self.turn_off(),
            (true, IceSide::Here(_)) => {}
            (true, IceSide::Off | IceSide::Through) => self.turn_on(None, None, random),
        }
    }

    /// The party answers.
    fn answers(&mut self, message: &IceMessage<'_>, through: bool, random: Random<'_>) -> IceChange {
        if message.section.is_rejected() {
            // Nothing is said against what was offered.
            self.does = Some(self.is_on());
            return IceChange::Same;
        }
        let does = message.sender_does();
        self.peer = Peer::new(message.section, does, message.peer_lite);
        self.does = Some(does);
        self.assumed = false;
        self.unasked = does && matches!(self.side, IceSide::Off) && !self.elsewhere;
        match (does, &self.side) {
            _ if !message.ends_here(through) => self.leave(through, does),
            (false, _) => self.turn_off(),
            (true, IceSide::Off) if message.is_new => {
                self.turn_on(credentials(message.section), Some(message.section), random);
            }
            (true, IceSide::Here(_)) => return self.hear(message.section, random),
            // Not asked for, or not ours.
            (true, IceSide::Off | IceSide::Through) => {}
        }
        IceChange::Same
    }

    /// The party is answered. Whoever was never heard of is told what the answer says.
    fn is_answered(&mut self, message: &IceMessage<'_>, through: bool, random: Random<'_>) {
        let is_new = self.is_new();
        let wanted = match message.options.mode {
            IceMode::Remove => false,
            _ if is_new => has_ice(message.section),
            IceMode::Default | IceMode::Force | IceMode::Optional | IceMode::ForceRelay => self.is_on(),
        };
        if message.options.mode == IceMode::Remove && !through {
            self.does = Some(false);
        }
        match wanted {
            _ if !message.ends_here(through) => self.leave(through, wanted),
            false => self.turn_off(),
            true if is_new => self.turn_on(None, None, random),
            true => {}
        }
    }

    /// Our candidates are at these ports, of which this is the first. If they were at others before, ICE starts anew.
    pub(in crate::call) fn settle_at(&mut self, port: PortId, random: Random<'_>) {
        let IceSide::Here(here) = &mut self.side else {
            return;
        };
        if here.port.is_some_and(|former| former != port) {
            here.agent.local = new_credentials(random);
        }
        here.port = Some(port);
    }

    /// The section was rejected: candidates at other ports are no restart then.
    pub(in crate::call) fn unsettle(&mut self) {
        if let IceSide::Here(here) = &mut self.side {
            here.port = None;
        }
    }

    /// A section that may come to share the transport of another has the credentials of that one.
    pub(in crate::call) fn share_credentials(&mut self, other: &Ice) {
        if let (IceSide::Here(here), Some(agent)) = (&mut self.side, other.agent()) {
            here.agent.local = agent.local.clone();
        }
    }

    /// Candidates came in a fragment (RFC 8840). Those of a former or future generation of ICE do not count.
    pub(in crate::call) fn add_fragment(&mut self, section: &MediaSection) {
        let IceSide::Here(here) = &mut self.side else {
            return;
        };
        let agent = &mut here.agent;
        let ufrag = agent.remote.as_ref().map(|remote| &*remote.ufrag);
        let theirs = section.ice.ufrag.as_deref();
        if theirs.is_some() && theirs != ufrag {
            return;
        }
        take_in(agent, section);
    }

    /// The lines for the party. It is offered what is asked for, and told what it has said that it can do, if there is ICE with
    /// it or ever was.
    pub(in crate::call) fn text(
        &self,
        kind: Kind,
        options: IceOptions,
        candidates: Vec<Candidate>,
    ) -> sdp::Ice {
        let offered = kind == Kind::Offer && self.is_on();
        let known = self.is_on() || self.former.is_some() || self.unasked;
        let trickle = (offered && options.trickle) || (known && self.peer.trickles);
        let ice2 = (offered && options.ice2) || (known && self.peer.ice2);
        let text = sdp::Ice {
            options: match (trickle, ice2) {
                (true, true) => Some(Text::from_static("trickle ice2")),
                (true, false) => Some(Text::from_static("trickle")),
                (false, true) => Some(Text::from_static("ice2")),
                (false, false) => None,
            },
            end_of_candidates: trickle,
            ..sdp::Ice::default()
        };
        // What it can do is repeated to a party also where there is no ICE.
        let Some(agent) = self.agent() else {
            return text;
        };
        sdp::Ice {
            ufrag: Some(Text::from(&*agent.local.ufrag)),
            pwd: Some(Text::from(&*agent.local.pwd)),
            candidates,
            ..text
        }
    }

    fn hear(&mut self, section: &MediaSection, random: Random<'_>) -> IceChange {
        let remote = credentials(section);
        let IceSide::Here(here) = &mut self.side else {
            self.turn_on(remote, Some(section), random);
            return IceChange::Same;
        };
        let agent = &mut here.agent;
        let restarted = agent.remote.is_some() && agent.remote != remote;
        if restarted {
            agent.candidates.clear();
            agent.complete = false;
        }
        agent.remote = remote;
        take_in(agent, section);
        match restarted {
            true => IceChange::Restarted,
            false => IceChange::Same,
        }
    }

    /// There is ICE, with our credentials of before if there were any, and with what the party says in a section.
    fn turn_on(
        &mut self,
        remote: Option<IceCredentials>,
        remote_section: Option<&MediaSection>,
        random: Random<'_>,
    ) {
        let (local, port) = self
            .former
            .take()
            .unwrap_or_else(|| (new_credentials(random), None));
        let mut agent = IceAgent {
            local,
            remote,
            candidates: Vec::new(),
            complete: false,
        };
        if let Some(section) = remote_section {
            take_in(&mut agent, section);
        }
        self.side = IceSide::Here(Box::new(Here { agent, port }));
        self.elsewhere = false;
    }

    fn turn_off(&mut self) {
        if let IceSide::Here(here) = std::mem::take(&mut self.side) {
            self.former = Some((here.agent.local, here.port));
        }
        self.elsewhere = false;
    }

    /// ICE with the party, if there is any, is not with us.
    fn leave(&mut self, through: bool, on: bool) {
        match through {
            true => self.side = IceSide::Through,
            false => self.turn_off(),
        }
        self.elsewhere = on;
    }
}

impl Peer {
    /// What a party says that does ICE, or does not.
    fn new(section: &MediaSection, does: bool, lite: bool) -> Peer {
        Peer {
            lite: lite && does,
            trickles: trickles(section),
            ice2: can(section, "ice2"),
            has_spoken: true,
        }
    }
}

/// Whether the sender of a section does ICE.
pub(in crate::call) fn has_ice(section: &MediaSection) -> bool {
    section.ice.ufrag.is_some()
}

/// Whether candidates of the sender of a section may come later (RFC 8838): it says so, or it has no address and says
/// nothing of its options.
pub(in crate::call) fn trickles(section: &MediaSection) -> bool {
    let is_blank = has_ice(section) && section.ice.options.is_none() && is_placeholder(section);
    can(section, "trickle") || is_blank
}

/// Whether a section has no address as its candidates come later (RFC 8840 section 4.1.3): that is no hold.
pub(in crate::call) fn has_no_address_yet(section: &MediaSection) -> bool {
    trickles(section) && is_placeholder(section)
}

/// The port that stands for none where there are no candidates yet.
const PLACEHOLDER_PORT: u16 = 9;

fn is_placeholder(section: &MediaSection) -> bool {
    section.port == PLACEHOLDER_PORT && section.has_zero_address()
}

/// Whether the sender of a section has an option of ICE.
fn can(section: &MediaSection, option: &str) -> bool {
    let options = section.ice.options.as_deref().unwrap_or_default();
    has_ice(section) && options.split_ascii_whitespace().any(|word| word == option)
}

fn credentials(section: &MediaSection) -> Option<IceCredentials> {
    Some(IceCredentials {
        ufrag: Arc::from(section.ice.ufrag.as_deref()?.trim()),
        pwd: Arc::from(section.ice.pwd.as_deref()?.trim()),
    })
}

fn new_credentials(random: Random<'_>) -> IceCredentials {
    IceCredentials {
        ufrag: alphanumeric(UFRAG_LENGTH, &mut *random),
        pwd: alphanumeric(PWD_LENGTH, random),
    }
}

/// Takes in a party's candidates. Of two at one address the more wanted counts.
fn take_in(agent: &mut IceAgent, section: &MediaSection) {
    let candidates = &mut agent.candidates;
    for candidate in section.ice.candidates.iter().filter_map(usable) {
        let same = |known: &RemoteCandidate| {
            (known.component, known.address) == (candidate.component, candidate.address)
        };
        match candidates.iter().position(same) {
            Some(known) if candidates[known].priority < candidate.priority => candidates[known] = candidate,
            Some(_) => {}
            None if candidates.len() < MAX_CANDIDATES => candidates.push(candidate),
            None => {}
        }
    }
    agent.complete |= section.ice.end_of_candidates;
}

/// None for another transport, a name in place of the address (mDNS), or what is nonsense.
fn usable(candidate: &Candidate) -> Option<RemoteCandidate> {
    if !candidate.transport.eq_ignore_ascii_case("udp") {
        return None;
    }
    let address: IpAddr = candidate.address.parse().ok()?;
    Some(RemoteCandidate {
        foundation: Arc::from(&*candidate.foundation),
        component: u8::try_from(candidate.component)
            .ok()
            .filter(|component| (1..=2).contains(component))?,
        priority: candidate.priority,
        address: (address, candidate.port).into(),
        kind: CandidateKind::named(&candidate.kind)?,
    })
}

#[cfg(test)]
mod tests;
