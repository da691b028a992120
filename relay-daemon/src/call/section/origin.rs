//! The lines above the media that a receiver has been told: some of them must not change later.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use crate::call::command::Replace;
use crate::sdp::{Origin, Text};

/// What a party was told in `o=` and `s=`.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Told {
    last: Option<Heading>,
    /// Of the whole SDP, the last time that its version was counted by its changes.
    fingerprint: Option<u64>,
}

/// What is written into `o=` and `s=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::call) struct Heading {
    pub(in crate::call) origin: Origin,
    pub(in crate::call) session_name: Text,
}

impl Told {
    /// The `o=` that was written last, if there was one.
    pub(in crate::call) fn origin(&self) -> Option<&Origin> {
        self.last.as_ref().map(|last| &last.origin)
    }

    /// The `s=` that was written last, if there was one.
    pub(in crate::call) fn session_name(&self) -> Option<&Text> {
        self.last.as_ref().map(|last| &last.session_name)
    }

    /// Writes an SDP for the party, given what the sender's says and our own address.
    pub(in crate::call) fn write(
        &mut self,
        sender: Heading,
        replace: &Replace,
        own_address: IpAddr,
        write: impl Fn(&Heading) -> String,
    ) -> String {
        let mut heading = self.heading(sender, replace, own_address);
        let mut sdp = write(&heading);
        if replace.counts_changes() {
            if self.fingerprint.is_some_and(|last| last != fingerprint(&sdp)) {
                heading.origin.version = next(&heading.origin.version);
                sdp = write(&heading);
            }
            self.fingerprint = Some(fingerprint(&sdp));
        }
        self.last = Some(heading);
        sdp
    }

    /// What was told last stands wherever it is to be kept, even if it was the sender's then.
    fn heading(&self, sender: Heading, replace: &Replace, own_address: IpAddr) -> Heading {
        let mut heading = sender;
        let keeps_address = replace.origin || replace.origin_full;
        let Some(last) = &self.last else {
            if keeps_address {
                heading.origin = heading.origin.with_address(own_address);
            }
            return heading;
        };
        let origin = &mut heading.origin;
        if replace.username || replace.origin_full {
            origin.username = last.origin.username.clone();
        }
        if replace.origin_full {
            origin.session_id = last.origin.session_id.clone();
        }
        if keeps_address {
            origin.address_type = last.origin.address_type.clone();
            origin.address = last.origin.address.clone();
        }
        if replace.counts_changes() {
            origin.version = last.origin.version.clone();
        }
        if replace.force_version {
            origin.version = next(&last.origin.version);
        }
        if replace.session_name {
            heading.session_name = last.session_name.clone();
        }
        heading
    }
}

impl Replace {
    fn counts_changes(&self) -> bool {
        self.version || self.origin_full
    }
}

fn fingerprint(sdp: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    sdp.hash(&mut hasher);
    hasher.finish()
}

/// One more. What is no number starts over at 1.
fn next(version: &str) -> Text {
    let number: u128 = version.parse().unwrap_or(0);
    Text::from(number.saturating_add(1).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "203.0.113.1";

    fn heading(origin: &str, name: &str) -> Heading {
        let sdp = format!("v=0\r\no={origin}\r\ns={name}\r\n");
        let description = crate::sdp::Description::parse(&sdp).unwrap();
        Heading {
            origin: description.origin.unwrap(),
            session_name: description.session_name.unwrap(),
        }
    }

    /// The `o=` and `s=` that come out for a body.
    fn tell(told: &mut Told, origin: &str, replace: &Replace, body: &str) -> String {
        told.write(
            heading(origin, "call"),
            replace,
            OURS.parse().unwrap(),
            |heading| format!("{} {} {body}", heading.origin, heading.session_name),
        )
    }

    #[test]
    fn everything_is_copied_by_default() {
        let mut told = Told::default();
        for origin in ["a 1 1 IN IP4 198.51.100.1", "b 2 9 IN IP6 2001:db8::1"] {
            assert_eq!(
                tell(&mut told, origin, &Replace::default(), "x"),
                format!("{origin} call x")
            );
        }
    }

    #[test]
    fn the_address_stays_what_it_was_last() {
        let replace = Replace {
            origin: true,
            ..Replace::default()
        };
        let (theirs, moved) = ("a 1 1 IN IP6 2001:db8::1", "a 1 2 IN IP4 198.51.100.1");
        let mut told = Told::default();
        assert_eq!(
            tell(&mut told, theirs, &replace, "x"),
            "a 1 1 IN IP4 203.0.113.1 call x"
        );
        let sdp = told.write(
            heading(moved, "s"),
            &replace,
            "203.0.113.2".parse().unwrap(),
            |h| h.origin.to_string(),
        );
        assert_eq!(sdp, "a 1 2 IN IP4 203.0.113.1");
        let mut told = Told::default();
        tell(&mut told, theirs, &Replace::default(), "x");
        assert_eq!(
            tell(&mut told, moved, &replace, "x"),
            "a 1 2 IN IP6 2001:db8::1 call x"
        );
    }

    #[test]
    fn the_version_grows_with_each_change() {
        let replace = Replace {
            version: true,
            ..Replace::default()
        };
        let mut told = Told::default();
        let mut version = |sent: u32, body: &str| {
            let sdp = tell(
                &mut told,
                &format!("- 1 {sent} IN IP4 198.51.100.1"),
                &replace,
                body,
            );
            sdp.split(' ').nth(2).unwrap().to_owned()
        };
        assert_eq!(version(20, "x"), "20");
        assert_eq!(version(25, "x"), "20");
        assert_eq!(version(26, "y"), "21");
        assert_eq!(version(27, "y"), "21");
        assert_eq!(version(1, "x"), "22");
    }

    #[test]
    fn the_version_grows_always_if_forced() {
        let replace = Replace {
            force_version: true,
            ..Replace::default()
        };
        let mut told = Told::default();
        let origins: Vec<String> = (0..3)
            .map(|_| tell(&mut told, "- 1 7 IN IP4 198.51.100.1", &replace, "x"))
            .collect();
        assert_eq!(
            origins,
            [7, 8, 9].map(|version| format!("- 1 {version} IN IP4 198.51.100.1 call x"))
        );
    }

    #[test]
    fn rules_for_the_version_add_up() {
        const COPY: (bool, bool) = (false, false);
        const CHANGES: (bool, bool) = (true, false);
        const FORCED: (bool, bool) = (false, true);
        const BOTH: (bool, bool) = (true, true);
        for (rules, expected) in [
            // What was told before the changes counted is no change.
            ([COPY, COPY, CHANGES], [10, 20, 20]),
            ([CHANGES, COPY, CHANGES], [10, 20, 21]),
            ([COPY, CHANGES, BOTH], [10, 10, 12]),
            ([COPY, FORCED, CHANGES], [10, 11, 11]),
            ([BOTH, BOTH, FORCED], [10, 12, 13]),
        ] {
            let mut told = Told::default();
            let versions = [10, 20, 30]
                .iter()
                .zip(rules)
                .map(|(sent, (version, force_version))| {
                    let replace = Replace {
                        version,
                        force_version,
                        ..Replace::default()
                    };
                    let sdp = tell(
                        &mut told,
                        &format!("- 1 {sent} IN IP4 198.51.100.1"),
                        &replace,
                        "x",
                    );
                    sdp.split(' ').nth(2).unwrap().parse().unwrap()
                });
            assert_eq!(versions.collect::<Vec<i32>>(), expected, "{rules:?}");
        }
    }

    #[test]
    fn names_are_frozen_at_what_was_told_last() {
        let replace = Replace {
            username: true,
            session_name: true,
            ..Replace::default()
        };
        let mut told = Told::default();
        tell(
            &mut told,
            "first 1 1 IN IP4 198.51.100.1",
            &Replace::default(),
            "x",
        );
        let sdp = told.write(
            heading("second 2 2 IN IP4 198.51.100.2", "other"),
            &replace,
            OURS.parse().unwrap(),
            |h| format!("{} {}", h.origin, h.session_name),
        );
        assert_eq!(sdp, "first 2 2 IN IP4 198.51.100.2 call");
    }

    #[test]
    fn a_full_origin_stays_but_for_its_version() {
        let replace = Replace {
            origin_full: true,
            ..Replace::default()
        };
        let mut told = Told::default();
        tell(&mut told, "a 1 5 IN IP4 198.51.100.1", &replace, "x");
        assert_eq!(
            tell(&mut told, "b 2 9 IN IP6 2001:db8::1", &replace, "y"),
            "a 1 6 IN IP4 203.0.113.1 call y"
        );
    }

    #[test]
    fn versions_may_be_long() {
        assert_eq!(next("123456789012345678901234567"), "123456789012345678901234568");
        assert_eq!(next("x"), "1");
    }
}
