//! Format parameters (`a=fmtp`) that are written anew instead of copied.

use std::fmt;

/// The parameters of Opus (RFC 7587 section 6.1) in the order in which they are written.
const OPUS: [&str; 9] = [
    "stereo",
    "sprop-stereo",
    "useinbandfec",
    "usedtx",
    "cbr",
    "maxplaybackrate",
    "sprop-maxcapturerate",
    "maxaveragebitrate",
    "minptime",
];

/// Parameters that are left out: `a=ptime` and `a=maxptime` say the same.
const OPUS_DROPPED: [&str; 2] = ["ptime", "maxptime"];

/// Opus parameters, written in a fixed order and with a fixed spacing; unknown ones come last.
pub(super) struct Opus<'a>(pub(super) &'a str);

impl Opus<'_> {
    fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let parts = self.0.split(';').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| (part.split('=').next().unwrap_or(part).trim_end(), part))
    }
}

impl fmt::Display for Opus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = OPUS
            .iter()
            .flat_map(|name| self.parameters().filter(move |(n, _)| n == name));
        let unknown = self
            .parameters()
            .filter(|(n, _)| !OPUS.contains(n) && !OPUS_DROPPED.contains(n));
        for (index, (_, parameter)) in known.chain(unknown).enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{parameter}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_put_in_order() {
        for (input, output) in [
            ("minptime=10;useinbandfec=1", "useinbandfec=1; minptime=10"),
            ("stereo=1;sprop-stereo=1", "stereo=1; sprop-stereo=1"),
            (
                "maxplaybackrate=48000;stereo=1;useinbandfec=1",
                "stereo=1; useinbandfec=1; maxplaybackrate=48000",
            ),
            (
                "useinbandfec=1; maxaveragebitrate=30000; maxplaybackrate=48000; ptime=20; minptime=10; maxptime=40",
                "useinbandfec=1; maxplaybackrate=48000; maxaveragebitrate=30000; minptime=10",
            ),
            (
                "useinbandfec=1; usedtx=1; maxaveragebitrate=64000",
                "useinbandfec=1; usedtx=1; maxaveragebitrate=64000",
            ),
        ] {
            assert_eq!(Opus(input).to_string(), output);
            assert_eq!(Opus(output).to_string(), output);
        }
    }

    #[test]
    fn unknown_parameters_are_kept() {
        assert_eq!(
            Opus("x-foo=2;;junk; stereo=0").to_string(),
            "stereo=0; x-foo=2; junk"
        );
    }
}
