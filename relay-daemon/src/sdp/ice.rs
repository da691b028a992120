//! ICE (RFC 8839): `a=ice-ufrag`, `a=ice-pwd`, `a=ice-options`, `a=candidate`, `a=remote-candidates`,
//! `a=end-of-candidates` (RFC 8840).

use std::fmt;

use super::{Source, Text};

/// What a media section says about ICE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ice {
    /// `a=ice-ufrag`.
    pub ufrag: Option<Text>,
    /// `a=ice-pwd`.
    pub pwd: Option<Text>,
    /// `a=ice-options`: words separated by spaces.
    pub options: Option<Text>,
    /// `a=candidate` lines that can be read, in order.
    pub candidates: Vec<Candidate>,
    /// `a=remote-candidates`.
    pub remote_candidates: Option<Text>,
    /// `a=end-of-candidates`.
    pub end_of_candidates: bool,
}

impl Ice {
    /// Fills in credentials and options that are not said.
    pub(super) fn default_to(&mut self, session: &Ice) {
        for (field, default) in [
            (&mut self.ufrag, &session.ufrag),
            (&mut self.pwd, &session.pwd),
            (&mut self.options, &session.options),
        ] {
            if field.is_none() {
                field.clone_from(default);
            }
        }
    }
}

impl fmt::Display for Ice {
    /// The attribute lines, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ufrag) = &self.ufrag {
            write!(f, "a=ice-ufrag:{ufrag}\r\n")?;
        }
        if let Some(pwd) = &self.pwd {
            write!(f, "a=ice-pwd:{pwd}\r\n")?;
        }
        if let Some(options) = &self.options {
            write!(f, "a=ice-options:{options}\r\n")?;
        }
        for candidate in &self.candidates {
            write!(f, "a=candidate:{candidate}\r\n")?;
        }
        if let Some(remote) = &self.remote_candidates {
            write!(f, "a=remote-candidates:{remote}\r\n")?;
        }
        if self.end_of_candidates {
            f.write_str("a=end-of-candidates\r\n")?;
        }
        Ok(())
    }
}

/// `a=candidate:<foundation> <component> <transport> <priority> <address> <port> typ <type> ...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Foundation.
    pub foundation: Text,
    /// Component: 1 for RTP, 2 for RTCP.
    pub component: u16,
    /// Transport, `UDP` in any case, or another one.
    pub transport: Text,
    /// Priority.
    pub priority: u32,
    /// Address; a name for a candidate that hides it (mDNS).
    pub address: Text,
    /// Port.
    pub port: u16,
    /// `host`, `srflx`, `prflx`, `relay`, or another one.
    pub kind: Text,
    /// Whatever follows: related address and port, extensions.
    pub rest: Text,
}

impl Candidate {
    /// Parses what follows `a=candidate:`. `None` if it is broken.
    pub(super) fn parse(value: &str, source: &Source) -> Option<Candidate> {
        let mut rest = value.trim();
        let mut field = || {
            let (field, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = tail.trim_start();
            (!field.is_empty()).then_some(field)
        };
        let foundation = source.text(field()?);
        let component = field()?.parse().ok()?;
        let transport = source.text(field()?);
        let priority = field()?.parse().ok()?;
        let address = source.text(field()?);
        let port = field()?.parse().ok()?;
        if field()? != "typ" {
            return None;
        }
        let kind = source.text(field()?);
        let rest = source.text(rest);
        Some(Candidate {
            foundation,
            component,
            transport,
            priority,
            address,
            port,
            kind,
            rest,
        })
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Candidate {
            foundation,
            component,
            transport,
            priority,
            address,
            port,
            kind,
            rest,
        } = self;
        write!(
            f,
            "{foundation} {component} {transport} {priority} {address} {port} typ {kind}"
        )?;
        if !rest.is_empty() {
            write!(f, " {rest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<Candidate> {
        Candidate::parse(value, &Source::default())
    }

    #[test]
    fn candidates_round_trip() {
        for value in [
            "1 1 UDP 2130706431 198.51.100.31 11798 typ host",
            "2 1 TCP 1509957375 198.51.100.31 9 typ host tcptype active",
            "3 1 udp 2122194687 5b7e9d0c-77aa.local 50001 typ host",
            "5 2 UDP 1694498815 198.51.104.31 50003 typ srflx raddr 198.51.100.31 rport 11798",
        ] {
            assert_eq!(parse(value).unwrap().to_string(), value);
        }
    }

    #[test]
    fn broken_ones() {
        for value in [
            "",
            "broken",
            "1 1 UDP x 198.51.100.31 11798 typ host",
            "1 1 UDP 5 198.51.100.31 9 host",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn lines_come_in_order() {
        let ice = Ice {
            ufrag: Some(Text::from_static("u")),
            pwd: Some(Text::from_static("p")),
            options: Some(Text::from_static("trickle")),
            candidates: vec![parse("1 1 UDP 1 198.51.100.31 9 typ host").unwrap()],
            remote_candidates: Some(Text::from_static("1 198.51.100.1 4000")),
            end_of_candidates: true,
        };
        assert_eq!(
            ice.to_string(),
            "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=ice-options:trickle\r\na=candidate:1 1 UDP 1 198.51.100.31 9 typ host\r\n\
             a=remote-candidates:1 198.51.100.1 4000\r\na=end-of-candidates\r\n"
        );
    }
}
