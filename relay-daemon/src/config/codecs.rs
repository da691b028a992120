//! What `--codecs` prints.

use crate::codec::Kind;

/// Events and noise, of which there is no audio.
const SUPPLEMENTAL: [&str; 3] = ["telephone-event", "CN", "red"];

/// The codecs that the reference knows. Those that are not supported pass from party to party as they are.
const KNOWN: &[&str] = &[
    "MP3",
    "PCM-U8",
    "L16",
    "X-L16",
    "G726-16",
    "G726-24",
    "G726-32",
    "G726-40",
    "telephone-event",
    "CN",
    "red",
    "AMR",
    "AMR-WB",
    "EVRC",
    "EVRC0",
    "EVRC1",
    "ATRAC3",
    "ATRAC-X",
    "ac3",
    "eac3",
    "vorbis",
    "EVS",
    "opus",
    "iLBC",
    "GSM",
    "speex",
    "G729",
    "G729a",
    "QCELP",
    "G722",
    "G723",
    "PCMA",
    "PCMU",
];

/// A line for each codec: what is supported of decoding and encoding it on this machine.
pub(super) fn list() -> String {
    let line = |name: &&str| {
        let support = match is_supported(name) {
            true => "fully supported",
            false => "not supported",
        };
        format!("{name:>20}: {support}\n")
    };
    KNOWN.iter().map(line).collect()
}

fn is_supported(name: &str) -> bool {
    let mut forms = [(8000, 1), (16_000, 1), (44_100, 1), (48_000, 2)].into_iter();
    SUPPLEMENTAL.contains(&name) || forms.any(|(rate, channels)| Kind::new(name, rate, channels).is_some())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_a_codec() {
        let text = super::list();
        assert!(text.contains("                PCMU: fully supported\n"));
        assert!(text.contains("                 EVS: not supported\n"));
        assert_eq!(text.lines().count(), super::KNOWN.len());
    }
}
