//! The writer against the recorded conversations: every SDP that the reference returned is put together again from the
//! SDP that came in and from the decisions that can be read off the returned one (ports, addresses, codecs, direction,
//! ...), and must be identical to it. So order of lines, spelling and what is copied or consumed are checked without
//! the negotiation that makes the decisions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use relay_daemon::sdp::{
    self, BlankLine, Codec, CopiedMedia, Description, Direction, MediaRewrite, MediaSection, RejectedMedia,
    RelayedMedia, SessionRewrite,
};
use serde_json::Value;

/// Conversations with returned SDPs that are not made of the one that came in.
fn not_covered() -> BTreeSet<String> {
    let lines = include_str!("sdp_oracle/not-covered.txt").lines();
    let names = lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next());
    names.map(ToOwned::to_owned).collect()
}

#[test]
fn returned_sdps_are_reproduced() {
    let mut compared = 0;
    let mut different = BTreeSet::new();
    let mut report = String::new();
    for (name, steps) in conversations() {
        for (index, step) in steps.iter().enumerate() {
            let (Some(input), Some(expected)) = (sdp_of(&step["request"]), sdp_of(&step["reply"])) else {
                continue;
            };
            compared += 1;
            let written = reproduce(&input, &expected);
            if written.as_deref() != Ok(&*expected) {
                different.insert(name.clone());
                report += &format!("== {name} step {index}\n{}\n", difference(&expected, &written));
            }
        }
    }
    println!("{report}\n{compared} compared");
    assert_eq!(different, not_covered(), "{report}");
    assert!(compared > 1800, "only {compared} SDPs compared");
}

/// Areas in which options or other parties decide on such values.
const OTHER_VALUES: &[&str] = &["combo-", "mid-", "ptime-", "strings-"];

/// What the sender says of direction, packet times, identification and header extensions reaches the other side, unless
/// the message asks for something else: so the parsed values are those that the reference acts upon.
#[test]
fn parsed_values_are_passed_on() {
    let mut compared = 0;
    let not_covered = not_covered();
    for (name, steps) in conversations() {
        let others = OTHER_VALUES.iter().any(|area| name.starts_with(area));
        if others || not_covered.contains(&name) || steps.iter().any(asks_for_other_values) {
            continue;
        }
        for (index, step) in steps.iter().enumerate() {
            let (Some(input), Some(expected)) = (sdp_of(&step["request"]), sdp_of(&step["reply"])) else {
                continue;
            };
            let sender = Description::parse(&input).unwrap();
            let outcome = Description::parse(&expected).unwrap();
            if sender.media.len() != outcome.media.len() {
                continue;
            }
            for (sender, outcome) in sender.media.iter().zip(&outcome.media) {
                if outcome.is_rejected() || !outcome.protocol.is_rtp() {
                    continue;
                }
                compared += 1;
                let step = format!("{name} step {index}");
                let direction = sender.direction;
                let receives = direction.receives() && !outcome.has_zero_address();
                assert_eq!(
                    outcome.direction,
                    Direction::new(direction.sends(), receives),
                    "{step}"
                );
                assert_eq!(sender.label, outcome.label, "{step}");
                assert_eq!(sender.extmaps, outcome.extmaps, "{step}");
                assert_eq!(sender.maxptime, outcome.maxptime, "{step}");
                // Those of the other side take their place.
                assert!(sender.ptime.is_none() || sender.ptime == outcome.ptime, "{step}");
                assert!(sender.mid.is_none() || sender.mid == outcome.mid, "{step}");
            }
        }
    }
    assert!(compared > 800, "only {compared} sections compared");
}

fn asks_for_other_values(step: &Value) -> bool {
    let request = &step["request"];
    let one_sided = request["command"]
        .as_str()
        .is_some_and(|command| ["publish", "mesh"].contains(&command));
    let keys = ["bundle", "extmap", "flags", "ptime", "rtpp_flags", "sdp-attr"];
    one_sided || keys.iter().any(|key| !request[key].is_null())
}

/// What the reference refuses is refused for the same reason, and nothing else is.
#[test]
fn the_same_sdps_are_refused() {
    let mut refused = 0;
    for (name, steps) in conversations() {
        for (index, step) in steps.iter().enumerate() {
            // A trickled candidate comes without the session around it (RFC 8840), and without an answer.
            let fragment = step["request"]["flags"]
                .as_array()
                .is_some_and(|flags| flags.contains(&"fragment".into()));
            let Some(input) = step["request"]["sdp"].as_str().filter(|_| !fragment) else {
                continue;
            };
            let blank_line = if name == "errors-reject-invalid" {
                BlankLine::Refused
            } else {
                BlankLine::Ends
            };
            let error = Description::parse_with(&with_numbers(input), blank_line).err();
            let reason = error.as_ref().map(|error| match error.is_incomplete() {
                true => "Incomplete SDP specification",
                false => "Failed to parse SDP",
            });
            // Others are not about how it is written.
            let about_text = ["Incomplete SDP specification", "Failed to parse SDP"];
            let expected = step["reply"]["error-reason"]
                .as_str()
                .filter(|reason| about_text.contains(reason));
            assert_eq!(reason, expected, "{name} step {index}: {error:?}");
            refused += usize::from(error.is_some());
        }
    }
    assert!(refused > 9, "only {refused} refused");
}

/// Name and steps of each conversation.
fn conversations() -> impl Iterator<Item = (String, Vec<Value>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/oracle/conversations");
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.into_iter().map(|path| {
        let conversation: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        (
            conversation["name"].as_str().unwrap().to_owned(),
            conversation["steps"].as_array().unwrap().clone(),
        )
    })
}

fn sdp_of(message: &Value) -> Option<String> {
    message["sdp"]
        .as_str()
        .filter(|sdp| !sdp.is_empty())
        .map(with_numbers)
}

/// Puts port numbers in the place of their names. Other placeholders stand for text and may stay.
fn with_numbers(text: &str) -> String {
    let mut parts = text.split("«PORT");
    let mut result = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('»').unwrap();
        let (number, offset) = name.split_once('+').unwrap_or((name, "0"));
        let port = 30_000 + 2 * number.parse::<u16>().unwrap() + offset.parse::<u16>().unwrap();
        result += &port.to_string();
        result += rest;
    }
    result
}

/// What the writer makes of an input, with the decisions of an expected output.
fn reproduce(input: &str, expected: &str) -> Result<String, String> {
    let sender = Description::parse(input).map_err(|error| error.to_string())?;
    let outcome = Description::parse(expected).map_err(|error| error.to_string())?;
    let session = SessionRewrite {
        origin: outcome.origin.clone().ok_or("no origin")?,
        session_name: outcome.session_name.clone().ok_or("no name")?,
        groups: outcome.groups.to_vec(),
        ice_lite: outcome.ice_lite,
        loop_id: outcome.loop_id.clone(),
        music: None,
    };
    let mut sections = sender.media.iter();
    let mut media = Vec::new();
    for outcome in &outcome.media {
        // The sections between the last one and this one were removed.
        let section = sections.clone().position(|section| section.kind == outcome.kind);
        media.push(match section.and_then(|index| sections.nth(index)) {
            Some(section) => rewrite(section, outcome),
            None => MediaRewrite::Rejected(RejectedMedia::absent(outcome)),
        });
    }
    Ok(sdp::write(&sender, &session, &media))
}

fn rewrite<'a>(section: &'a MediaSection, outcome: &'a MediaSection) -> MediaRewrite<'a> {
    let address = outcome
        .address
        .filter(|address| outcome.port != 0 || !address.is_unspecified());
    let Some(address) = address else {
        return MediaRewrite::Rejected(RejectedMedia {
            mid: outcome.mid.as_ref(),
            ..RejectedMedia::new(section)
        });
    };
    let local = (30_000..40_000).contains(&outcome.port) || outcome.port == 0;
    if !local || !outcome.protocol.is_rtp() {
        let known = &section.ice.candidates;
        let added = outcome
            .ice
            .candidates
            .iter()
            .filter(|candidate| !known.contains(candidate));
        let candidates = added.cloned().collect();
        return MediaRewrite::Copied(CopiedMedia {
            codecs: outcome.codecs.iter().collect(),
            candidates,
            ..CopiedMedia::new(section, outcome.port, address)
        });
    }
    MediaRewrite::Relayed(RelayedMedia {
        protocol: outcome.protocol.clone(),
        codecs: sender_codecs(section, outcome),
        extmaps: outcome.extmaps.clone(),
        extmap_allow_mixed: outcome.extmap_allow_mixed,
        direction: outcome.stated_direction,
        rtcp: outcome.rtcp,
        rtcp_mux: outcome.rtcp_mux,
        mid: outcome.mid.as_ref(),
        bundle_only: outcome.bundle_only,
        ptime: outcome.ptime,
        maxptime: outcome.maxptime,
        crypto: outcome.crypto.clone(),
        dtls: outcome.dtls.clone(),
        ice: outcome.ice.clone(),
        ..RelayedMedia::new(section, outcome.port, address)
    })
}

/// The codecs of the outcome with everything that the sender says about them. Only one that the sender does not have is
/// taken from the outcome.
fn sender_codecs<'a>(section: &'a MediaSection, outcome: &'a MediaSection) -> Vec<&'a Codec> {
    let described = outcome
        .attributes
        .iter()
        .any(|attribute| attribute.name() == "rtpmap");
    let own = |codec: &'a Codec| {
        let same = |own: &&Codec| own.payload_type == codec.payload_type && own.rtpmap == codec.rtpmap;
        section.codecs.iter().find(same).unwrap_or(codec)
    };
    outcome.codecs.iter().filter(|_| described).map(own).collect()
}

fn difference(expected: &str, written: &Result<String, String>) -> String {
    let written = match written {
        Ok(written) => written,
        Err(error) => return format!("  {error}"),
    };
    let expected: Vec<_> = expected.lines().collect();
    let written: Vec<_> = written.lines().collect();
    let mut report = String::new();
    for line in expected.iter().filter(|line| !written.contains(line)) {
        report += &format!("  - {line}\n");
    }
    for line in written.iter().filter(|line| !expected.contains(line)) {
        report += &format!("  + {line}\n");
    }
    if report.is_empty() {
        report = format!(
            "  order: {}\n  written: {}\n",
            expected.join(" | "),
            written.join(" | ")
        );
    }
    report
}
