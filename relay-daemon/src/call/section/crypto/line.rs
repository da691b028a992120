//! `a=crypto` lines with a meaning (RFC 4568).

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};

use crate::call::command::SdesOptions;
use crate::sdp::{Crypto, Text};
use crate::security::{MasterKey, Mki, SessionParameters, Srtp, Suite};

/// Writes no padding, and reads keys however they are padded.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Longest base64 text of a key that is looked at.
const MAX_KEY_TEXT: usize = 64;

/// A crypto line that we can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::call) struct Line {
    /// The number by which an answer refers to an offered line.
    pub(in crate::call) tag: u32,
    pub(in crate::call) srtp: Srtp,
    /// Whether the key is that of another party than is told it by us.
    pub(in crate::call) is_copied: bool,
}

impl Line {
    /// None if the suite is unknown, the key unfit for it, or something is asked for that we cannot do.
    pub(in crate::call) fn parse(crypto: &Crypto) -> Option<Line> {
        let suite = Suite::named(&crypto.suite)?;
        // Of several keys, separated by semicolons, the first is ours to choose.
        let (key, _) = crypto.key.split_once(';').unwrap_or((&crypto.key, ""));
        let (_, key) = key
            .split_once(':')
            .filter(|(method, _)| method.eq_ignore_ascii_case("inline"))?;
        let mut parts = key.split('|');
        let key = parts.next().filter(|text| text.len() <= MAX_KEY_TEXT)?;
        let key = MasterKey::new(suite, &BASE64.decode(key).ok()?)?;
        let mut mki = None;
        for part in parts {
            // Without a colon it is a lifetime: whoever gave it renews the key in time.
            match part.split_once(':') {
                Some((value, length)) => {
                    mki = Some(Mki {
                        value: value.parse().ok()?,
                        length: length.parse().ok().filter(|length| *length > 0)?,
                    });
                }
                None if is_lifetime(part) => {}
                None => return None,
            }
        }
        Some(Line {
            is_copied: false,
            tag: crypto.tag,
            srtp: Srtp {
                key,
                mki,
                parameters: session_parameters(&crypto.parameters),
            },
        })
    }

    /// The line as it is written.
    pub(in crate::call) fn text(&self, options: &SdesOptions) -> Crypto {
        let Srtp { key, mki, parameters } = &self.srtp;
        let mut inline = format!("inline:{}", BASE64.encode(key.key_and_salt()));
        if options.pad {
            let missing = 3 - (key.key_and_salt().len() + 2) % 3 - 1;
            inline.extend(std::iter::repeat_n('=', missing));
        }
        if options.lifetime {
            inline.push_str("|2^31");
        }
        if let Some(Mki { value, length }) = mki {
            inline.push_str(&format!("|{value}:{length}"));
        }
        Crypto {
            tag: self.tag,
            suite: Text::from_static(key.suite().name()),
            key: Text::from(inline),
            parameters: Text::from(parameter_text(parameters)),
        }
    }
}

/// `2^EXPONENT`, or a number.
fn is_lifetime(text: &str) -> bool {
    let number = text.strip_prefix("2^").unwrap_or(text);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// What we do not know is passed over, as the reference does: replay windows and forward error correction are no matter of
/// ours.
fn session_parameters(text: &str) -> SessionParameters {
    let mut parameters = SessionParameters::default();
    for word in text.split_ascii_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "UNENCRYPTED_SRTP" => parameters.unencrypted_srtp = true,
            "UNENCRYPTED_SRTCP" => parameters.unencrypted_srtcp = true,
            "UNAUTHENTICATED_SRTP" => parameters.unauthenticated_srtp = true,
            "KDR" => {
                // RFC 4568 section 6.3.1
                parameters.key_derivation_rate = value.parse().ok().filter(|rate| *rate <= 24);
            }
            _ => {}
        }
    }
    parameters
}

/// How we protect media, given how a party does: `KDR` holds for whoever declares it, and we derive keys once only.
pub(in crate::call) fn mirrored(parameters: SessionParameters) -> SessionParameters {
    SessionParameters {
        key_derivation_rate: None,
        ..parameters
    }
}

fn parameter_text(parameters: &SessionParameters) -> String {
    let words = [
        parameters.unencrypted_srtp.then_some("UNENCRYPTED_SRTP"),
        parameters.unencrypted_srtcp.then_some("UNENCRYPTED_SRTCP"),
        parameters.unauthenticated_srtp.then_some("UNAUTHENTICATED_SRTP"),
    ];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sdp::Description;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    /// The lines of an SDP as it comes in.
    fn crypto(line: &str) -> Vec<Crypto> {
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
             m=audio 4000 RTP/SAVP 0\r\na=crypto:{line}\r\n"
        );
        Description::parse(&sdp)
            .map(|description| description.media[0].crypto.clone())
            .unwrap_or_default()
    }

    fn parse(line: &str) -> Option<Line> {
        Line::parse(crypto(line).first()?)
    }

    fn written(line: &str, options: &SdesOptions) -> String {
        parse(line).unwrap().text(options).to_string()
    }

    #[test]
    fn lines_come_out_as_they_came() {
        for line in [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("2 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|66:2"),
            format!("9 F8_128_HMAC_SHA1_80 inline:{KEY}|1:4 UNENCRYPTED_SRTP UNENCRYPTED_SRTCP"),
        ] {
            assert_eq!(written(&line, &SdesOptions::default()), line);
        }
    }

    #[test]
    fn how_often_a_party_derives_keys_is_heard_and_not_repeated() {
        let plain = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
        for (rate, heard) in [("3", Some(3)), ("25", None), ("x", None)] {
            let line = format!("{plain} KDR={rate}");
            let parameters = parse(&line).unwrap().srtp.parameters;
            assert_eq!(parameters.key_derivation_rate, heard, "{rate}");
            assert_eq!(mirrored(parameters), SessionParameters::default());
            assert_eq!(written(&line, &SdesOptions::default()), plain);
        }
    }

    #[test]
    fn lifetime_and_padding_are_ours() {
        let line = "1 AEAD_AES_128_GCM inline:NFl+o8jtEjdcgabL8BU6X4SpzvMYPWKHrNH2Gw==|2^20|1:4 WSH=128";
        let mut options = SdesOptions::default();
        let bare = "1 AEAD_AES_128_GCM inline:NFl+o8jtEjdcgabL8BU6X4SpzvMYPWKHrNH2Gw";
        assert_eq!(written(line, &options), format!("{bare}|1:4"));
        options.pad = true;
        options.lifetime = true;
        assert_eq!(written(line, &options), format!("{bare}==|2^31|1:4"));
    }

    #[test]
    fn padding_is_as_long_as_it_must_be() {
        let options = SdesOptions {
            pad: true,
            ..SdesOptions::default()
        };
        for suite in Suite::ALL {
            let line = Line {
                is_copied: false,
                tag: 1,
                srtp: Srtp::new(MasterKey::cut(suite, [1; MasterKey::MAX_LENGTH])),
            };
            let text = line.text(&options).to_string();
            let (_, inline) = text.split_once("inline:").unwrap();
            assert_eq!(inline.len() % 4, 0, "{text}");
            assert_eq!(parse(&text), Some(line));
        }
    }

    #[test]
    fn what_we_cannot_do_is_no_line() {
        for line in [
            format!("1 FOO_BAR inline:{KEY}"),
            format!("1 AEAD_AES_128_GCM inline:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:!".to_owned(),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:0"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|x:1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|soon"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|"),
        ] {
            assert_eq!(parse(&line), None, "{line}");
        }
        for line in [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} -MAYBE=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 INLINE:{KEY} FEC_ORDER=FEC_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1048576"),
        ] {
            assert!(parse(&line).is_some(), "{line}");
        }
        let two = parse(&format!(
            "1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:1;inline:{KEY}|2:1"
        ));
        assert_eq!(two.and_then(|two| two.srtp.mki).map(|mki| mki.value), Some(1));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(line in "[0-9]{1,3} (AES_CM_128_HMAC_SHA1_80|AEAD_AES_256_GCM) inline:[A-Za-z0-9+/=|:;^]{0,90}( [A-Z_=0-9-]{0,20})?") {
            for crypto in crypto(&line) {
                let again = Line::parse(&crypto).map(|mut line| {
                    line.srtp.parameters = mirrored(line.srtp.parameters);
                    Line::parse(&line.text(&SdesOptions::default())) == Some(line)
                });
                prop_assert_ne!(again, Some(false));
            }
        }
    }
}
