//! Parties, sections and who gets whose media, by name.

/// Names a party: its index in the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::call) struct PartyId(pub(in crate::call) usize);

/// Names a media section of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::call) struct MediaId {
    pub(in crate::call) party: PartyId,
    pub(in crate::call) index: usize,
}

/// A section whose party gets something that concerns another section, without a dialogue between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct Subscription {
    pub(in crate::call) source: MediaId,
    pub(in crate::call) sink: MediaId,
    pub(in crate::call) what: Subscribed,
}

impl Subscription {
    /// Whether it is what `inject start` makes between two parties.
    pub(in crate::call) fn is_injection(&self, source: PartyId, sink: PartyId) -> bool {
        self.what == Subscribed::Injection && self.source.party == source && self.sink.party == sink
    }

    /// Whether it is a party's part in a dialogue by sections in different places.
    pub(in crate::call) fn is_dialogue_of(&self, party: PartyId) -> bool {
        self.what == Subscribed::Dialogue && [self.source.party, self.sink.party].contains(&party)
    }

    /// How its flow came about.
    pub(in crate::call) fn kind(&self) -> FlowKind {
        match self.what {
            Subscribed::Dialogue => FlowKind::OfferAnswer,
            Subscribed::Media | Subscribed::Injection | Subscribed::Egress | Subscribed::Rtcp => {
                FlowKind::PubSub
            }
        }
    }
}

/// What a subscriber gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Subscribed {
    /// What the source's party sends.
    Media,
    /// The same, until it is stopped (`inject start`).
    Injection,
    /// What is sent to the source's party (flag `egress`).
    Egress,
    /// The RTCP that the source's party sends (flag `RTCP-mirror`).
    Rtcp,
    /// What the source's party sends: the two talk to each other by sections in different places (`connect`).
    Dialogue,
}

/// How a flow of media came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum FlowKind {
    /// By offer and answer.
    OfferAnswer,
    /// By a subscription.
    PubSub,
}

/// The way from one party to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct FlowId {
    pub(in crate::call) source: PartyId,
    pub(in crate::call) sink: PartyId,
    pub(in crate::call) kind: FlowKind,
}
