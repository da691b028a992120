//! What a message asks of bundles.

/// `bundle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BundleOptions {
    /// `accept`: the sender may bundle.
    pub accept: bool,
    /// How it is offered to the receiver.
    pub offer: BundleOffer,
    /// `reject`: the sender may not bundle.
    pub reject: bool,
}

/// How bundling is offered to the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleOffer {
    /// Not at all.
    #[default]
    No,
    /// `offer`: with ports of its own for each section, in case that the receiver does not bundle.
    Offered,
    /// `require`: with one port for all.
    Required,
    /// `strict`: with one port, in the first section, and none in the others.
    Strict,
}
