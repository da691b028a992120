//! `b=` (RFC 8866 section 5.8, RFC 3556, RFC 3890).

use std::fmt;

use super::{Source, Text};

/// The bandwidth types that pass, in the order in which they are written. Others are lost.
const TYPES: [&str; 5] = ["AS", "RR", "RS", "CT", "TIAS"];

/// The bandwidth lines of the session or of a media section. Values are kept as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth([Option<Text>; TYPES.len()]);

impl Bandwidth {
    /// The value of a type, such as `AS`.
    pub fn value(&self, kind: &str) -> Option<&Text> {
        let index = TYPES.iter().position(|name| *name == kind)?;
        self.0[index].as_ref()
    }

    /// Takes in what follows `b=`. The last line of each type counts.
    pub(super) fn add(&mut self, value: &str, source: &Source) {
        let Some((kind, value)) = value.trim_end().split_once(':') else {
            return;
        };
        if let Some(index) = TYPES.iter().position(|name| *name == kind) {
            self.0[index] = Some(source.text(value));
        }
    }
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
            bandwidth.add(line, &Source::default());
        }
        assert_eq!(
            bandwidth.to_string(),
            "b=AS:81\r\nb=RR:0\r\nb=RS:0\r\nb=TIAS:500000\r\n"
        );
        assert_eq!(bandwidth.value("RS"), Some(&Text::from("0")));
        assert_eq!(bandwidth.value("CT"), None);
    }
}
