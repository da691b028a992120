//! What a message asks of the gateway for T.38.

/// `T.38`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaxOptions {
    /// `decode`: an offer of T.38 becomes audio.
    pub decode: bool,
    /// `force`: an offer of audio becomes T.38.
    pub force: bool,
    /// `stop`: no gateway any more.
    pub stop: bool,
    /// `FEC`: forward error correction in the place of redundancy.
    pub error_correction: bool,
    /// `T.38-version`: the version that is offered, 0 if none is said.
    pub version: u8,
}
