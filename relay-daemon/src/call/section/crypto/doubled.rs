//! Opportunistic SRTP from before RFC 8643: one section as two.

/// Whether a party has two sections in the place of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Doubled {
    #[default]
    No,
    /// It offered them (`OSRTP=accept-legacy`).
    ByParty(Paired),
    /// It was offered them (`OSRTP=offer-legacy`).
    ByUs(Half),
}

/// Two sections that are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct Paired {
    /// The one that is in use.
    pub(in crate::call) half: Half,
    /// Whether that for SRTP comes first.
    pub(in crate::call) srtp_first: bool,
}

/// The one of two sections that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Half {
    Plain,
    Srtp,
}
