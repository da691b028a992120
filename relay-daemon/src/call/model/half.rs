//! The two transports of a media section.

/// Which of the two transports of a media section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Half {
    /// RTP, or datagrams of unknown kind.
    Rtp,
    /// RTCP, or the second port for datagrams.
    Rtcp,
}
