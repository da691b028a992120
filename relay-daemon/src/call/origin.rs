//! The lines above the media that a receiver has been told: some of them must not change later.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use crate::sdp::{Origin, Text};

use super::{Replace, VersionRule};

/// What a party was told in `o=` and `s=`.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    origin: Option<Origin>,
    session_name: Option<Text>,
    /// Our address in `o=`, once it was put there.
    address: Option<IpAddr>,
    /// The version in `o=`, while it is ours to count.
    version: Option<Text>,
    /// Of the whole SDP.
    fingerprint: Option<u64>,
}

/// What is written into `o=` and `s=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) origin: Origin,
    pub(super) session_name: Text,
}

impl Told {
    /// The `o=` that was written last, if there was one.
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Writes an SDP for the party, given what the sender's says and our own address.
    pub(super) fn write(
        &mut self,
        sender: Heading,
        replace: &Replace,
        own_address: IpAddr,
        write: impl Fn(&Heading) -> String,
    ) -> String {
        let mut heading = self.heading(sender, replace, own_address);
        let sdp = match (self.version_rule(replace), self.version.take()) {
            (VersionRule::Copy, _) => write(&heading),
            (VersionRule::WhenChanged | VersionRule::Always, None) => {
                self.version = Some(heading.origin.version.clone());
                write(&heading)
            }
            (VersionRule::WhenChanged, Some(version)) => {
                heading.origin.version = version;
                let mut sdp = write(&heading);
                if Some(fingerprint(&sdp)) != self.fingerprint {
                    heading.origin.version = next(&heading.origin.version);
                    sdp = write(&heading);
                }
                self.version = Some(heading.origin.version.clone());
                sdp
            }
            (VersionRule::Always, Some(version)) => {
                heading.origin.version = next(&version);
                self.version = Some(heading.origin.version.clone());
                write(&heading)
            }
        };
        self.fingerprint = Some(fingerprint(&sdp));
        self.origin = Some(heading.origin);
        self.session_name = Some(heading.session_name);
        sdp
    }

    fn heading(&mut self, sender: Heading, replace: &Replace, own_address: IpAddr) -> Heading {
        let mut heading = sender;
        if let Some(origin) = &self.origin {
            if replace.username || replace.origin_full {
                heading.origin.username = origin.username.clone();
            }
            if replace.origin_full {
                heading.origin = Origin {
                    version: heading.origin.version,
                    ..origin.clone()
                };
            }
        }
        if replace.origin || replace.origin_full {
            let address = *self.address.get_or_insert(own_address);
            heading.origin = heading.origin.with_address(address);
        }
        if let (true, Some(name)) = (replace.session_name, &self.session_name) {
            heading.session_name = name.clone();
        }
        heading
    }

    fn version_rule(&self, replace: &Replace) -> VersionRule {
        match (replace.version, replace.origin_full) {
            (VersionRule::Copy, false) => VersionRule::Copy,
            (VersionRule::Copy | VersionRule::WhenChanged, _) => VersionRule::WhenChanged,
            (VersionRule::Always, _) => VersionRule::Always,
        }
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
    fn the_address_stays_what_it_was_first() {
        let replace = Replace {
            origin: true,
            ..Replace::default()
        };
        let mut told = Told::default();
        assert_eq!(
            tell(&mut told, "a 1 1 IN IP6 2001:db8::1", &replace, "x"),
            "a 1 1 IN IP4 203.0.113.1 call x"
        );
        let sdp = told.write(
            heading("a 1 2 IN IP4 198.51.100.1", "s"),
            &replace,
            "203.0.113.2".parse().unwrap(),
            |h| h.origin.to_string(),
        );
        assert_eq!(sdp, "a 1 2 IN IP4 203.0.113.1");
    }

    #[test]
    fn the_version_grows_with_each_change() {
        let replace = Replace {
            version: VersionRule::WhenChanged,
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
            version: VersionRule::Always,
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
