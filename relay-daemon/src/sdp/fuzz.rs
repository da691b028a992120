//! What must hold for any input: for the fuzz target and the property tests.

use std::net::{IpAddr, Ipv4Addr};

use relay_common::ng::octets;

use super::{
    CopiedMedia, Description, MediaRewrite, MediaSection, Origin, Problem, RejectedMedia, RelayedMedia,
    SessionRewrite, Text, write,
};

/// Parses any bytes. What can be parsed is written unchanged, parsed again and written again, which must make no
/// difference.
///
/// # Panics
///
/// If something does not hold.
pub fn fuzz(data: &[u8]) {
    let Ok(description) = Description::parse(&octets::text(data)) else {
        return;
    };
    let written = unchanged(&description);
    match Description::parse(&written) {
        Ok(again) => assert_eq!(unchanged(&again), written),
        Err(error) => assert!(is_limit(&error.problem), "{error} in our own {written}"),
    }
}

/// Writes an SDP for a relay that moves no media: every decision is the sender's.
pub fn unchanged(sender: &Description) -> String {
    let session = SessionRewrite {
        origin: sender.origin.clone().unwrap_or_else(no_origin),
        session_name: sender.session_name.clone().unwrap_or(Text::from_static("-")),
        groups: sender.groups.iter().cloned().collect(),
        ice_lite: sender.ice_lite,
        loop_id: sender.loop_id.clone(),
        music: None,
    };
    let media: Vec<_> = sender.media.iter().map(same_media).collect();
    write(sender, &session, &media)
}

fn same_media(section: &MediaSection) -> MediaRewrite<'_> {
    let unusable = section.protocol.is_rtp() && section.codecs.is_empty();
    let address = match section.address {
        Some(address) if section.port != 0 && !unusable => address,
        _ => return MediaRewrite::Rejected(RejectedMedia::new(section)),
    };
    if !section.protocol.is_rtp() {
        return MediaRewrite::Copied(CopiedMedia::new(section, section.port, address));
    }
    MediaRewrite::Relayed(RelayedMedia {
        rtcp: section.rtcp,
        rtcp_mux: section.rtcp_mux,
        bundle_only: false,
        crypto: section.crypto.clone(),
        dtls: section.dtls.clone(),
        ice: section.ice.clone(),
        ..RelayedMedia::new(section, section.port, address)
    })
}

fn no_origin() -> Origin {
    let dash = Text::from_static("-");
    Origin {
        username: dash.clone(),
        session_id: Text::from_static("0"),
        version: Text::from_static("0"),
        address_type: dash.clone(),
        address: dash,
    }
    .with_address(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Lines that we add can make an SDP too large that was just small enough.
fn is_limit(problem: &Problem) -> bool {
    matches!(problem, Problem::TooLarge | Problem::TooManyLines)
}
