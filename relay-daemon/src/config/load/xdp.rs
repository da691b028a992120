//! Where and how the XDP program is to be attached.

use super::super::error::{ConfigError, ValueProblem};
use super::super::given::Given;
use super::{bad_value, choice, number};
use crate::config::{FloodLimits, XdpMode};

const MODES: &[(&str, XdpMode)] = &[
    ("auto", XdpMode::Auto),
    ("native", XdpMode::Native),
    ("generic", XdpMode::Generic),
    ("off", XdpMode::Off),
];

const MODE_WORDS: &str = "auto, native, generic, off";

/// Highest number of packets in a second: more than any machine takes.
const MAX_RATE: i64 = 100_000_000;

/// Longest name of a device, bytes (`IFNAMSIZ`).
const MAX_DEVICE: usize = 15;

/// `xdp-mode`.
pub(super) fn mode(given: &Given) -> Result<XdpMode, ConfigError> {
    Ok(choice(given, "xdp-mode", MODES, MODE_WORDS)?.unwrap_or_default())
}

/// `xdp-interface`, each `DEVICE[=MODE]`. Without a mode it is that of all others; a later value for the same device
/// replaces an earlier one.
pub(super) fn interfaces(given: &Given) -> Result<Vec<(String, XdpMode)>, ConfigError> {
    let Some(setting) = given.find("xdp-interface") else {
        return Ok(Vec::new());
    };
    let common = mode(given)?;
    let mut interfaces: Vec<(String, XdpMode)> = Vec::new();
    for value in &setting.values {
        let (name, mode) = parse(value, common).map_err(|problem| bad_value(setting, value, problem))?;
        interfaces.retain(|(known, _)| known != name);
        interfaces.push((name.to_owned(), mode));
    }
    Ok(interfaces)
}

/// `unexpected-limit`, `unexpected-network-limit`, `drop-unclaimed`.
pub(super) fn floods(given: &Given) -> Result<FloodLimits, ConfigError> {
    Ok(FloodLimits {
        port: number(given, "unexpected-limit", 0..=MAX_RATE, 500)?,
        network: number(given, "unexpected-network-limit", 0..=MAX_RATE, 10_000)?,
        drop_unclaimed: given.has("drop-unclaimed"),
    })
}

fn parse(value: &str, common: XdpMode) -> Result<(&str, XdpMode), ValueProblem> {
    let (name, mode) = match value.rsplit_once('=') {
        Some((name, word)) => {
            let known = MODES.iter().find(|(known, _)| *known == word);
            let (_, mode) = known.ok_or(ValueProblem::NotOneOf(MODE_WORDS))?;
            (name, *mode)
        }
        None => (value, common),
    };
    let is_device = (1..=MAX_DEVICE).contains(&name.len()) && !name.contains(['/', ' ']);
    if !is_device {
        return Err(ValueProblem::NotADevice);
    }
    Ok((name, mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_may_have_a_mode_of_its_own() {
        let parse = |value| parse(value, XdpMode::Native);
        assert_eq!(parse("eth0"), Ok(("eth0", XdpMode::Native)));
        assert_eq!(parse("eth0=generic"), Ok(("eth0", XdpMode::Generic)));
        assert_eq!(parse("eth0.7=off"), Ok(("eth0.7", XdpMode::Off)));
        for device in ["", "=off", "a/b", "longer-than-any-name"] {
            assert_eq!(parse(device), Err(ValueProblem::NotADevice), "{device}");
        }
        assert_eq!(parse("eth0=fast"), Err(ValueProblem::NotOneOf(MODE_WORDS)));
    }
}
