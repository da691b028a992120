//! Format parameters (`a=fmtp`) that are written anew instead of copied.

use std::fmt;

use smallvec::SmallVec;

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

/// Writes the line for Opus parameters, in a fixed order and with a fixed spacing; unknown ones come last. Writes nothing
/// if no parameter is left.
pub(super) fn write_opus(f: &mut fmt::Formatter<'_>, payload_type: u8, parameters: &str) -> fmt::Result {
    let mut parameters = in_order(parameters);
    let Some(first) = parameters.next() else {
        return Ok(());
    };
    write!(f, "a=fmtp:{payload_type} {first}")?;
    parameters.try_for_each(|parameter| write!(f, "; {parameter}"))?;
    f.write_str("\r\n")
}

fn in_order(parameters: &str) -> impl Iterator<Item = &str> {
    let mut ranked: SmallVec<[(usize, &str); 12]> = parameters
        .split(';')
        .map(str::trim)
        .filter_map(|parameter| Some((rank(parameter)?, parameter)))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, parameter)| parameter)
}

/// The place of a parameter. `None` if it is left out.
fn rank(parameter: &str) -> Option<usize> {
    let name = parameter.split('=').next().unwrap_or(parameter).trim_end();
    if name.is_empty() || OPUS_DROPPED.contains(&name) {
        return None;
    }
    Some(OPUS.iter().position(|known| *known == name).unwrap_or(OPUS.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(parameters: &str) -> String {
        in_order(parameters).collect::<Vec<_>>().join("; ")
    }

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
            assert_eq!(ordered(input), output);
            assert_eq!(ordered(output), output);
        }
    }

    #[test]
    fn unknown_parameters_are_kept() {
        assert_eq!(ordered("x-foo=2;;junk; stereo=0"), "stereo=0; x-foo=2; junk");
    }
}
