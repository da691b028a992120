//! SDPs as devices send them, and what becomes of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use relay_daemon::sdp::fuzz::{fuzz, unchanged};
use relay_daemon::sdp::{
    self, CopiedMedia, Description, MediaRewrite, MediaSection, RejectedMedia, RelayedMedia, Rtcp,
    SessionRewrite, Text,
};

/// Name and text of each fixture.
fn fixtures() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/sdp");
    let mut fixtures: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sdp"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    fixtures.sort();
    assert!(fixtures.len() >= 40);
    fixtures
}

#[test]
fn devices() {
    for (name, text) in fixtures() {
        let sender = Description::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = rewritten(&sender);
        assert!(
            written.split_inclusive('\n').all(|line| line.ends_with("\r\n")),
            "{name}"
        );
        insta::assert_snapshot!(name, written.replace("\r\n", "\n"));
    }
}

#[test]
fn what_we_write_stays_as_it_is() {
    for (name, text) in fixtures() {
        fuzz(text.as_bytes());
        let written = rewritten(&Description::parse(&text).unwrap());
        let parsed = Description::parse(&written).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(unchanged(&parsed), written, "{name}");
    }
}

/// Attributes that the rules own: made anew, moved, or dropped. All others pass.
const OWNED: &[&str] = &[
    "rtpmap",
    "fmtp",
    "rtcp",
    "rtcp-mux",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "group",
    "extmap",
    "extmap-allow-mixed",
    "crypto",
    "setup",
    "fingerprint",
    "tls-id",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "ice-lite",
    "candidate",
    "remote-candidates",
    "end-of-candidates",
];

#[test]
fn nothing_is_lost_that_the_rules_do_not_own() {
    for (name, text) in fixtures() {
        let written = rewritten(&Description::parse(&text).unwrap());
        let mut rejected = false;
        for line in text.lines().map(|line| line.trim_end_matches('\r')) {
            if let Some(media) = line.strip_prefix("m=") {
                rejected = media.split_whitespace().nth(1) == Some("0");
            }
            let Some(attribute) = line.strip_prefix("a=").filter(|_| !rejected) else {
                continue;
            };
            let key = attribute.split(':').next().unwrap();
            let passes = || {
                written
                    .lines()
                    .any(|written| written.trim_end() == line.trim_end())
            };
            assert!(OWNED.contains(&key.trim_end()) || passes(), "{name}: {line}");
        }
    }
}

/// The SDP for the other side: every section at the relay, no ICE, no encryption.
fn rewritten(sender: &Description) -> String {
    let relay: IpAddr = "203.0.113.1".parse().unwrap();
    let session = SessionRewrite {
        origin: sender.origin.as_ref().unwrap().with_address(relay),
        session_name: sender.session_name.clone().unwrap_or(Text::from_static("-")),
        groups: Vec::new(),
        ice_lite: false,
        loop_id: None,
        music: None,
    };
    let sections = sender.media.iter().zip((30_000..).step_by(2));
    let media: Vec<_> = sections
        .map(|(section, port)| relayed(section, port, relay))
        .collect();
    sdp::write(sender, &session, &media)
}

fn relayed(section: &MediaSection, port: u16, relay: IpAddr) -> MediaRewrite<'_> {
    if section.is_rejected() {
        return MediaRewrite::Rejected(RejectedMedia::new(section));
    }
    if !section.protocol.is_rtp() {
        return MediaRewrite::Copied(CopiedMedia::new(section, port, relay));
    }
    let address = if section.has_zero_address() {
        section.address.unwrap()
    } else {
        relay
    };
    MediaRewrite::Relayed(RelayedMedia {
        rtcp: Some(Rtcp {
            port: port + 1,
            address: None,
        }),
        ..RelayedMedia::new(section, port, address)
    })
}
