//! Who we are: in `s=` of SDPs of the relay's own, and in STUN.

use std::sync::OnceLock;

static SOFTWARE: OnceLock<String> = OnceLock::new();

/// The name and version of the program, unless the operator calls it something else.
pub(crate) fn software() -> &'static str {
    SOFTWARE.get().map_or(DEFAULT, String::as_str)
}

const DEFAULT: &str = concat!("relay-", env!("CARGO_PKG_VERSION"));

/// `software-id`, for the rest of the process. What is neither a letter nor a digit becomes a hyphen.
pub(crate) fn call_software(id: &str) {
    // It is said once, at the start.
    let _ = SOFTWARE.set(plain(id));
}

fn plain(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    id.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_plain() {
        assert_eq!(plain("a_b.c/1-2"), "a-b-c-1-2");
        assert!(software().starts_with("relay-"));
    }
}
