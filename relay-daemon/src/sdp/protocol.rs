//! The transport of a media section: the third field of `m=`.

use std::fmt;

use super::{Source, Text};

macro_rules! protocols {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A transport protocol. Names are recognised in any case and written as listed here; those that are
        /// not recognised keep theirs.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Protocol {
            $($(#[$doc])* $variant,)*
            /// Any other, as it was written.
            Other(Text),
        }

        impl Protocol {
            /// The protocol of this name, if it is a known one.
            pub fn named(name: &str) -> Option<Protocol> {
                $(if name.eq_ignore_ascii_case($name) {
                    return Some(Protocol::$variant);
                })*
                None
            }

            /// The name as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Protocol::$variant => $name,)*
                    Protocol::Other(name) => name,
                }
            }
        }
    };
}

protocols! {
    /// RFC 3551.
    RtpAvp = "RTP/AVP",
    /// RFC 3711.
    RtpSavp = "RTP/SAVP",
    /// RFC 4585.
    RtpAvpf = "RTP/AVPF",
    /// RFC 5124.
    RtpSavpf = "RTP/SAVPF",
    /// RFC 5764.
    UdpTlsRtpSavp = "UDP/TLS/RTP/SAVP",
    /// RFC 5764.
    UdpTlsRtpSavpf = "UDP/TLS/RTP/SAVPF",
    /// T.38 over UDPTL (T.38 annex D).
    Udptl = "udptl",
}

impl Protocol {
    /// The name as it is written, if it is that of a known protocol.
    pub fn known_name(&self) -> Option<&str> {
        (!matches!(self, Protocol::Other(_))).then(|| self.as_str())
    }

    /// Whether the section carries RTP, so that its formats are payload types.
    pub fn is_rtp(&self) -> bool {
        match self {
            Protocol::RtpAvp
            | Protocol::RtpSavp
            | Protocol::RtpAvpf
            | Protocol::RtpSavpf
            | Protocol::UdpTlsRtpSavp
            | Protocol::UdpTlsRtpSavpf => true,
            Protocol::Udptl | Protocol::Other(_) => false,
        }
    }

    /// Whether the RTP is encrypted.
    pub fn is_srtp(&self) -> bool {
        match self {
            Protocol::RtpSavp | Protocol::RtpSavpf | Protocol::UdpTlsRtpSavp | Protocol::UdpTlsRtpSavpf => {
                true
            }
            Protocol::RtpAvp | Protocol::RtpAvpf | Protocol::Udptl | Protocol::Other(_) => false,
        }
    }

    /// Whether the section carries RTP that the profile does not encrypt.
    pub fn is_plain_rtp(&self) -> bool {
        self.is_rtp() && !self.is_srtp()
    }

    /// Whether RTCP may have feedback messages in it.
    pub fn has_feedback(&self) -> bool {
        match self {
            Protocol::RtpAvpf | Protocol::RtpSavpf | Protocol::UdpTlsRtpSavpf => true,
            Protocol::RtpAvp
            | Protocol::RtpSavp
            | Protocol::UdpTlsRtpSavp
            | Protocol::Udptl
            | Protocol::Other(_) => false,
        }
    }

    /// Whether it is MSRP, which is never relayed (RFC 4975).
    pub fn is_msrp(&self) -> bool {
        match self {
            Protocol::Other(name) => {
                name.eq_ignore_ascii_case("TCP/MSRP") || name.eq_ignore_ascii_case("TCP/TLS/MSRP")
            }
            Protocol::RtpAvp
            | Protocol::RtpSavp
            | Protocol::RtpAvpf
            | Protocol::RtpSavpf
            | Protocol::UdpTlsRtpSavp
            | Protocol::UdpTlsRtpSavpf
            | Protocol::Udptl => false,
        }
    }

    pub(super) fn parse(name: &str, source: &Source) -> Protocol {
        Protocol::named(name).unwrap_or_else(|| Protocol::Other(source.text(name)))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_written_in_their_own_case() {
        let parse = |name| Protocol::parse(name, &Source::default());
        assert_eq!(parse("rtp/avp"), Protocol::RtpAvp);
        assert_eq!(parse("rtp/avp").to_string(), "RTP/AVP");
        assert_eq!(parse("UDPTL").to_string(), "udptl");
        assert_eq!(parse("tcp/bfcp").to_string(), "tcp/bfcp");
    }

    #[test]
    fn which_carry_what() {
        let parse = |name| Protocol::parse(name, &Source::default());
        assert!(parse("UDP/TLS/RTP/SAVPF").is_rtp());
        assert!(!parse("udptl").is_rtp());
        assert!(parse("RTP/SAVPF").is_srtp());
        assert!(!parse("RTP/AVPF").is_srtp());
        assert!(parse("TCP/MSRP").is_msrp());
        assert!(!parse("TCP/BFCP").is_msrp());
    }
}
