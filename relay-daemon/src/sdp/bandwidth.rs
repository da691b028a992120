//! `b=` (RFC 8866 section 5.8, RFC 3556, RFC 3890).

use std::fmt;

/// The bandwidth types that pass, in the order in which they are written. Others are lost.
const TYPES: [&str; 5] = ["AS", "RR", "RS", "CT", "TIAS"];

/// The bandwidth lines of the session or of a media section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth([Option<u64>; TYPES.len()]);

impl Bandwidth {
    /// The value of a type, such as `AS`.
    pub fn value(&self, kind: &str) -> Option<u64> {
        let index = TYPES.iter().position(|name| *name == kind)?;
        self.0[index]
    }

    /// Takes in what follows `b=`. The last line of each type counts; a value below zero is none.
    pub(super) fn add(&mut self, value: &str) {
        let Some((kind, value)) = value.trim_end().split_once(':') else {
            return;
        };
        if let Some(index) = TYPES.iter().position(|name| *name == kind)
            && !value.is_empty()
        {
            self.0[index] = leading_number(value.trim_start());
        }
    }
}

/// The number that a text starts with: 0 if there is none, the highest possible if it is too large. None below zero.
fn leading_number(text: &str) -> Option<u64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|character: char| !character.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    let highest = i64::MAX.unsigned_abs();
    let number = match digits.is_empty() {
        true => 0,
        false => digits.parse().map_or(highest, |number: u64| number.min(highest)),
    };
    (!is_negative || number == 0).then_some(number)
}

impl fmt::Display for Bandwidth {
    /// Whole lines, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in TYPES.iter().zip(&self.0) {
            if let Some(value) = value {
                write!(f, "b={name}:{value}\r\n")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_come_out_in_order() {
        let mut bandwidth = Bandwidth::default();
        for line in ["TIAS:500000", "RS:0", "X-YZ:12", "AS:80", "RR:0", "AS:81", "junk"] {
            bandwidth.add(line);
        }
        assert_eq!(
            bandwidth.to_string(),
            "b=AS:81\r\nb=RR:0\r\nb=RS:0\r\nb=TIAS:500000\r\n"
        );
        assert_eq!(bandwidth.value("RS"), Some(0));
        assert_eq!(bandwidth.value("CT"), None);
    }

    #[test]
    fn values_are_numbers() {
        for (value, number) in [
            ("12x", Some(12)),
            (" 8", Some(8)),
            ("+3", Some(3)),
            ("x", Some(0)),
            ("-5", None),
            ("", None),
            ("99999999999999999999", Some(9_223_372_036_854_775_807)),
        ] {
            let mut bandwidth = Bandwidth::default();
            bandwidth.add(&format!("AS:{value}"));
            assert_eq!(bandwidth.value("AS"), number, "{value}");
        }
    }
}
