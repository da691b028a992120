//! What a message asks of ICE.

/// `ICE`, `ICE-lite`, and flags about ICE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IceOptions {
    /// What goes out.
    pub mode: IceMode,
    /// `ICE-reject`: ICE that the sender of an offer wants is not answered.
    pub reject: bool,
    /// `trickle-ICE`: says that candidates may trickle (RFC 8838).
    pub trickle: bool,
    /// `ice2`: says so in `a=ice-options` (RFC 8445 section 10).
    pub ice2: bool,
    /// `ICE-lite`: in offers only. Without it everything stays as it is.
    pub lite: Option<IceLite>,
    /// `passthrough`: whether media passes from end to end, past us, whatever is in the SDP. Without it everything stays as
    /// it is.
    pub passthrough: Option<bool>,
}

impl IceOptions {
    /// The same where there is no other end that ICE could pass to.
    pub(in crate::call) fn ending_here(self) -> IceOptions {
        let mode = match self.mode {
            IceMode::Optional | IceMode::ForceRelay => IceMode::Default,
            mode @ (IceMode::Default | IceMode::Remove | IceMode::Force) => mode,
        };
        IceOptions { mode, ..self }
    }
}

/// Candidates in the SDP that goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IceMode {
    /// Own ones if the sender offered ICE, else none.
    #[default]
    Default,
    /// None.
    Remove,
    /// Own ones in the place of the sender's, also if it sent none.
    Force,
    /// Own ones in addition to the sender's, less wanted than those.
    Optional,
    /// Own ones, as those of a relay, in addition to the sender's.
    ForceRelay,
}

/// Towards whom we are a lite agent (RFC 8445 section 2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IceLite {
    /// Towards the receiver of the offer.
    pub forward: bool,
    /// Towards its sender.
    pub backward: bool,
}
