//! The writer.

use std::fmt::{self, Display, Write};
use std::net::IpAddr;

use super::rewrite::{CopiedMedia, MediaRewrite, RejectedMedia, RelayedMedia, SessionRewrite};
use super::{Attribute, Codec, Description, MediaSection, address_type};

/// Writes the SDP for the receiver of a message.
///
/// `sender` is what came in; `session` and `media` say what becomes of it. The media sections come out in the
/// order of `media`, which is the sender's unless the caller adds or leaves out some.
pub fn write(sender: &Description, session: &SessionRewrite, media: &[MediaRewrite<'_>]) -> String {
    let mut sdp = String::with_capacity(TYPICAL_SIZE);
    // Writing to a string does not fail.
    let _ = write!(sdp, "{}", Session { sender, session });
    for section in media {
        let _ = match section {
            MediaRewrite::Rejected(section) => write!(sdp, "{section}"),
            MediaRewrite::Relayed(section) => write!(sdp, "{section}"),
            MediaRewrite::Copied(section) => write!(sdp, "{section}"),
        };
    }
    sdp
}

/// Bytes to start with. Most SDPs of phones are smaller.
const TYPICAL_SIZE: usize = 1024;

/// Everything above the first `m=`.
struct Session<'a> {
    sender: &'a Description,
    session: &'a SessionRewrite,
}

impl Display for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Session { sender, session } = self;
        write!(f, "v=0\r\no={}\r\ns={}\r\n", session.origin, session.session_name)?;
        lines(f, "i=", &sender.information)?;
        lines(f, "u=", &sender.uri)?;
        lines(f, "e=", &sender.emails)?;
        lines(f, "p=", &sender.phones)?;
        sender.bandwidth.fmt(f)?;
        match sender.timing.is_empty() {
            true => f.write_str("t=0 0\r\n")?,
            false => lines(f, "t=", &sender.timing)?,
        }
        lines(f, "a=rtpengine:", &session.loop_id)?;
        lines(f, "a=", &session.music)?;
        flag(f, session.ice_lite, "ice-lite")?;
        lines(f, "a=group:", &session.groups)?;
        lines(f, "a=", sender.other_attributes())
    }
}

impl Display for RejectedMedia<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} 0 {}", self.kind, self.protocol)?;
        match (self.formats.is_empty(), self.protocol.is_rtp()) {
            // RTP without any payload type is no valid section.
            (true, true) => f.write_str(" 0")?,
            (true, false) => {}
            (false, _) => write!(f, " {}", self.formats)?,
        }
        f.write_str("\r\n")?;
        lines(f, "i=", self.information)?;
        if let Some(address) = self.address {
            connection(f, address)?;
        }
        if let Some(bandwidth) = self.bandwidth {
            bandwidth.fmt(f)?;
        }
        if let Some(section) = self.copied {
            let mut attributes = section.attributes.iter();
            return attributes.try_for_each(|attribute| {
                lines(
                    f,
                    "a=",
                    Some(attribute).filter(|it| it.name() != "end-of-candidates"),
                )
            });
        }
        lines(f, "a=mid:", self.mid)?;
        lines(f, "a=label:", self.label)
    }
}

impl Display for RelayedMedia<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = self.section;
        write!(f, "m={} {} {}", self.kind, self.port, self.protocol)?;
        // Of a transport that the receiver does not speak the formats mean nothing to it.
        match self.codecs.is_empty() && self.protocol != section.protocol {
            true => f.write_str(" 0")?,
            false => formats(f, section, &self.codecs)?,
        }
        f.write_str("\r\n")?;
        lines(f, "i=", &section.information)?;
        connection(f, self.address)?;
        section.bandwidth.fmt(f)?;
        lines(f, "a=mid:", self.mid)?;
        lines(f, "a=label:", &section.label)?;
        flag(f, self.bundle_only, "bundle-only")?;
        for codec in &self.codecs {
            codec.fmt(f)?;
        }
        let mixed = self.extmap_allow_mixed && !self.extmaps.is_empty();
        flag(f, mixed, "extmap-allow-mixed")?;
        lines(f, "a=extmap:", &self.extmaps)?;
        lines(f, "a=rtcp-fb:", &section.feedback)?;
        lines(f, "a=", section.other_attributes())?;
        lines(f, "a=", self.direction)?;
        lines(f, "a=rtcp:", self.rtcp)?;
        flag(f, self.rtcp_mux, "rtcp-mux")?;
        lines(f, "a=crypto:", &self.crypto)?;
        self.dtls.fmt(f)?;
        lines(f, "a=ptime:", self.ptime)?;
        lines(f, "a=maxptime:", self.maxptime)?;
        self.ice.fmt(f)
    }
}

impl Display for CopiedMedia<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = self.section;
        write!(f, "m={} {} {}", self.kind, self.port, self.protocol)?;
        formats(f, section, &self.codecs)?;
        f.write_str("\r\n")?;
        lines(f, "i=", &section.information)?;
        connection(f, self.address)?;
        section.bandwidth.fmt(f)?;
        let is_end = |attribute: &&Attribute| attribute.name() == "end-of-candidates";
        let attributes = section.attributes.iter().filter(|attribute| !is_end(attribute));
        lines(f, "a=", attributes)?;
        self.defaults(f)?;
        lines(f, "a=candidate:", &self.candidates)?;
        let end = section.attributes.iter().find(is_end);
        // Without ICE there is nothing that could end.
        lines(f, "a=", end.filter(|_| !self.candidates.is_empty()))
    }
}

impl CopiedMedia<'_> {
    /// What the session says for the section of credentials and certificates.
    fn defaults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MediaSection {
            ice,
            dtls,
            attributes,
            ..
        } = self.section;
        let stated = |name: &str| attributes.iter().any(|attribute| attribute.name() == name);
        let mut default = |name: &str, values: &[&dyn Display]| match stated(name) {
            true => Ok(()),
            false => values
                .iter()
                .try_for_each(|value| write!(f, "a={name}:{value}\r\n")),
        };
        for (name, value) in [
            ("ice-ufrag", &ice.ufrag),
            ("ice-pwd", &ice.pwd),
            ("ice-options", &ice.options),
        ] {
            if let Some(value) = value {
                default(name, &[value])?;
            }
        }
        if let Some(setup) = &dtls.setup {
            default("setup", &[setup])?;
        }
        let fingerprints = dtls.fingerprints.iter();
        let fingerprints: Vec<&dyn Display> = fingerprints.map(|value| value as &dyn Display).collect();
        default("fingerprint", &fingerprints)?;
        match &dtls.tls_id {
            Some(tls_id) => default("tls-id", &[tls_id]),
            None => Ok(()),
        }
    }
}

/// The end of `m=`: the payload types, or the sender's formats if there are none.
fn formats(f: &mut fmt::Formatter<'_>, section: &MediaSection, codecs: &[&Codec]) -> fmt::Result {
    if codecs.is_empty() {
        // RTP without any payload type is no valid section.
        let nothing = if section.protocol.is_rtp() { " 0" } else { "" };
        return match section.formats.is_empty() {
            true => f.write_str(nothing),
            false => write!(f, " {}", section.formats),
        };
    }
    codecs
        .iter()
        .try_for_each(|codec| write!(f, " {}", codec.payload_type))
}

/// A line for each of the values.
fn lines<T: Display>(
    f: &mut fmt::Formatter<'_>,
    prefix: &str,
    values: impl IntoIterator<Item = T>,
) -> fmt::Result {
    for value in values {
        f.write_str(prefix)?;
        value.fmt(f)?;
        f.write_str("\r\n")?;
    }
    Ok(())
}

/// An attribute without a value, if it is set.
fn flag(f: &mut fmt::Formatter<'_>, set: bool, name: &str) -> fmt::Result {
    lines(f, "a=", set.then_some(name))
}

fn connection(f: &mut fmt::Formatter<'_>, address: IpAddr) -> fmt::Result {
    write!(f, "c=IN {} {address}\r\n", address_type(address))
}

#[cfg(test)]
mod tests {
    use crate::sdp::Protocol;

    use super::*;
    use crate::sdp::Candidate;

    /// A data channel whose credentials and certificate stand in the session, but for the user name.
    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
        a=ice-ufrag:session\r\na=ice-pwd:secret\r\na=fingerprint:sha-1 AB\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=ice-ufrag:section\r\n\
        a=candidate:1 1 UDP 1 198.51.100.1 9 typ host\r\na=end-of-candidates\r\na=setup:actpass\r\n";

    /// The attributes of the section.
    fn attributes(sdp: &str, candidates: Vec<Candidate>) -> Vec<String> {
        let description = Description::parse(sdp).unwrap();
        let section = &description.media[0];
        let copied = CopiedMedia {
            candidates,
            ..CopiedMedia::new(section, 30000, "203.0.113.1".parse().unwrap())
        };
        let text = copied.to_string();
        let attributes = text.lines().filter_map(|line| line.strip_prefix("a="));
        attributes.map(str::to_owned).collect()
    }

    #[test]
    fn what_the_session_says_of_a_copied_section_stays_with_it() {
        let ours = Description::parse(SDP).unwrap().media[0].ice.candidates.clone();
        assert_eq!(
            attributes(SDP, ours),
            [
                "ice-ufrag:section",
                "candidate:1 1 UDP 1 198.51.100.1 9 typ host",
                "setup:actpass",
                "ice-pwd:secret",
                "fingerprint:sha-1 AB",
                "candidate:1 1 UDP 1 198.51.100.1 9 typ host",
                "end-of-candidates",
            ]
        );
    }

    /// A section of two kinds of feedback, some of it for all formats.
    const VIDEO: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
        m=video 4000 RTP/AVPF 34\r\na=x-own\r\na=rtcp-fb:* nack\r\na=rtcp-fb:34 nack pli\r\na=ptime:0\r\na=ptime:20\r\n\
        m=image 0 udptl t38\r\na=T38FaxVersion:0\r\na=mid:1\r\na=end-of-candidates\r\n";

    #[test]
    fn feedback_for_all_formats_follows_that_for_each() {
        let description = Description::parse(VIDEO).unwrap();
        let relayed = RelayedMedia::new(&description.media[0], 30000, "203.0.113.1".parse().unwrap());
        assert_eq!(
            relayed.to_string().lines().skip(2).collect::<Vec<_>>(),
            [
                "a=rtpmap:34 H263/90000",
                "a=rtcp-fb:34 nack pli",
                "a=rtcp-fb:* nack",
                "a=x-own",
                "a=sendrecv",
            ],
            "the first packet time counts, and is none"
        );
    }

    #[test]
    fn formats_of_another_transport_do_not_pass() {
        let description = Description::parse(VIDEO).unwrap();
        let section = &description.media[0];
        let relayed = |protocol: &Protocol| {
            let relayed = RelayedMedia {
                codecs: Vec::new(),
                protocol: protocol.clone(),
                ..RelayedMedia::new(section, 30000, "203.0.113.1".parse().unwrap())
            };
            relayed.to_string().lines().next().map(str::to_owned)
        };
        assert_eq!(relayed(&section.protocol).unwrap(), "m=video 30000 RTP/AVPF 34");
        assert_eq!(relayed(&Protocol::RtpAvp).unwrap(), "m=video 30000 RTP/AVP 0");
    }

    #[test]
    fn of_a_section_that_means_nothing_to_us_all_passes_that_its_rejection_says() {
        let description = Description::parse(VIDEO).unwrap();
        let section = &description.media[1];
        let rejected = |copied| RejectedMedia {
            copied,
            ..RejectedMedia::new(section)
        };
        let line = "m=image 0 udptl t38\r\nc=IN IP4 0.0.0.0\r\n";
        assert_eq!(
            rejected(Some(section)).to_string(),
            format!("{line}a=T38FaxVersion:0\r\na=mid:1\r\n")
        );
        assert_eq!(rejected(None).to_string(), format!("{line}a=mid:1\r\n"));
    }

    #[test]
    fn without_ice_no_candidates_end() {
        let without: Vec<&str> = SDP.lines().filter(|line| !line.contains("ice-ufrag")).collect();
        assert!(!attributes(&without.join("\r\n"), Vec::new()).contains(&"end-of-candidates".to_owned()));
    }
}
