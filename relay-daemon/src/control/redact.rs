//! What messages may be shown of to whoever reads the log.

use std::borrow::Cow;

/// What stands before a master key of SRTP (RFC 4568 section 9.1) and before a password of ICE (RFC 8839 section 5.4).
const BEFORE_SECRETS: [&str; 2] = ["inline:", "ice-pwd:"];

/// The message without keys and passwords: with three dots in their place.
pub(super) fn without_secrets(message: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = message;
    while let Some(at) = first_secret(rest) {
        shown.push_str(&rest[..at]);
        shown.push_str("...");
        rest = &rest[at..];
        rest = &rest[secret_length(rest)..];
    }
    match rest.len() == message.len() {
        true => Cow::Borrowed(message),
        false => Cow::Owned(shown + rest),
    }
}

/// Where the next one begins.
fn first_secret(text: &str) -> Option<usize> {
    let begins = |before: &str| text.find(before).map(|at| at + before.len());
    BEFORE_SECRETS.into_iter().filter_map(begins).min()
}

/// Of how many bytes a text begins with that are a key or a password: base64, in which JSON may have `\/` for a slash.
fn secret_length(text: &str) -> usize {
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let escapes = character == '\\' && characters.peek().is_some_and(|(_, next)| *next == '/');
        if !escapes && !character.is_ascii_alphanumeric() && !"+/=".contains(character) {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_passwords_are_left_out() {
        for (message, shown) in [
            (
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:ab+/cd==|2^20|1:4\r\na=x",
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:...|2^20|1:4\r\na=x",
            ),
            (
                "inline:abc|2^20|1:4;inline:def|2^20|2:4 KDR=1",
                "inline:...|2^20|1:4;inline:...|2^20|2:4 KDR=1",
            ),
            (
                r#"{"sdp":"a=ice-ufrag:u\r\na=ice-pwd:pw\/d+1\r\na=y"}"#,
                r#"{"sdp":"a=ice-ufrag:u\r\na=ice-pwd:...\r\na=y"}"#,
            ),
            ("inline:abc", "inline:..."),
            ("inline:", "inline:..."),
            ("inline:\u{fffd}x", "inline:...\u{fffd}x"),
        ] {
            assert_eq!(without_secrets(message), shown);
        }
        assert!(matches!(without_secrets("a=mid:1"), Cow::Borrowed("a=mid:1")));
    }
}
