//! What `--codecs` prints.

/// The codecs that the reference knows. None of them is decoded or encoded here: they pass from party to party as they are.
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

/// A line for each codec: what is supported of decoding and encoding it.
pub(super) fn list() -> String {
    let line = |name: &&str| format!("{name:>20}: not supported\n");
    KNOWN.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_a_codec() {
        let text = super::list();
        assert!(text.contains("                PCMU: not supported\n"));
        assert_eq!(text.lines().count(), super::KNOWN.len());
    }
}
