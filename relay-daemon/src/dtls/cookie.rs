//! Whether a client is where its datagrams seem to come from (RFC 6347 section 4.2.1).
//!
//! The first ClientHello from anywhere is answered with a HelloVerifyRequest, which is shorter than the ClientHello, and
//! forgotten: whoever gets the answer says the cookie in it. Only then is there work to do, and something to be sent.

use std::net::{IpAddr, SocketAddr};

use ring::hmac;
use ring::rand::SystemRandom;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;

/// The version that a HelloVerifyRequest says, whatever is spoken later.
const DTLS_1_0: [u8; 2] = [254, 255];

/// What makes cookies, and knows them again.
pub struct Cookies {
    key: hmac::Key,
}

/// What of a ClientHello is looked at before its sender is believed in.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// The sequence number of its record.
    sequence: [u8; 6],
    random: &'a [u8; 32],
    cookie: &'a [u8],
}

impl Cookies {
    /// With a key of their own. None if the system has no randomness.
    pub fn generate() -> Option<Cookies> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        Some(Cookies { key })
    }

    /// Whether the client has got a HelloVerifyRequest there.
    pub fn are_in(&self, hello: &ClientHello<'_>, source: SocketAddr) -> bool {
        hmac::verify(&self.key, &subject(hello, source), hello.cookie).is_ok()
    }

    /// The HelloVerifyRequest, a datagram, for a client that says no cookie of ours.
    pub fn ask(&self, hello: &ClientHello<'_>, source: SocketAddr) -> Vec<u8> {
        let cookie = hmac::sign(&self.key, &subject(hello, source));
        let cookie = cookie.as_ref();
        // A MAC has less than 200 bytes.
        let length = u8::try_from(cookie.len()).unwrap_or(u8::MAX);
        let body = length + 3;
        let mut datagram = vec![HANDSHAKE];
        datagram.extend(DTLS_1_0);
        datagram.extend([0, 0]);
        datagram.extend(hello.sequence);
        datagram.extend([0, 12 + body]);
        // Type, length, number of the message; where the fragment begins, and its length.
        datagram.extend([HELLO_VERIFY_REQUEST, 0, 0, body, 0, 0, 0, 0, 0, 0, 0, body]);
        datagram.extend(DTLS_1_0);
        datagram.push(length);
        datagram.extend(cookie);
        datagram
    }
}

impl<'a> ClientHello<'a> {
    /// None if the datagram does not begin with a ClientHello, or with the first fragment of one that has the cookie in it.
    pub fn parse(datagram: &'a [u8]) -> Option<ClientHello<'a>> {
        const RECORD: usize = 13;
        const MESSAGE: usize = 12;
        let (record, rest) = datagram.split_first_chunk::<RECORD>()?;
        // Type, version, epoch 0, sequence number, length.
        let &[HANDSHAKE, 254, 255 | 253, 0, 0, ref sequence @ .., high, low] = record else {
            return None;
        };
        let record = rest.get(..u16::from_be_bytes([high, low]).into())?;
        let (message, body) = record.split_first_chunk::<MESSAGE>()?;
        // Type, length, number of the message, where the fragment begins, length of the fragment.
        let &[CLIENT_HELLO, _, _, _, _, _, 0, 0, 0, _, _, _] = message else {
            return None;
        };
        let (_version, body) = body.split_first_chunk::<2>()?;
        let (random, body) = body.split_first_chunk::<32>()?;
        let (_session, body) = split_counted(body)?;
        let (cookie, _) = split_counted(body)?;
        Some(ClientHello {
            sequence: *sequence,
            random,
            cookie,
        })
    }

    /// What tells a client's handshakes apart.
    pub fn random(&self) -> &'a [u8; 32] {
        self.random
    }
}

/// What a cookie vouches for.
fn subject(hello: &ClientHello<'_>, source: SocketAddr) -> [u8; 16 + 2 + 32] {
    let mut subject = [0; 50];
    let address = match source.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    subject[..16].copy_from_slice(&address.octets());
    subject[16..18].copy_from_slice(&source.port().to_be_bytes());
    subject[18..].copy_from_slice(hello.random);
    subject
}

/// The bytes that a length in one byte precedes, and what follows them.
fn split_counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    rest.split_at_checked(length.into())
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookies")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: &str = "192.0.2.1:4000";

    fn source() -> SocketAddr {
        SOURCE.parse().unwrap()
    }

    fn hello(random: u8, cookie: &[u8]) -> Vec<u8> {
        let mut body = vec![254, 253];
        body.extend([random; 32]);
        body.push(0);
        body.push(u8::try_from(cookie.len()).unwrap());
        body.extend(cookie);
        body.extend([0, 2, 0xc0, 0x2b, 1, 0]);
        let length = u8::try_from(body.len()).unwrap();
        let mut datagram = vec![22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 7, 0, 12 + length];
        datagram.extend([1, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, length]);
        datagram.extend(body);
        datagram
    }

    fn cookie_in(request: &[u8]) -> &[u8] {
        &request[28..]
    }

    #[test]
    fn a_cookie_is_good_for_one_client_at_one_address() {
        let cookies = Cookies::generate().unwrap();
        let first = hello(1, &[]);
        let request = cookies.ask(&ClientHello::parse(&first).unwrap(), source());
        assert!(request.len() < first.len());
        assert_eq!(request[5..11], [0, 0, 0, 0, 0, 7], "the number of the record");
        let good = |cookies: &Cookies, random, cookie: &[u8], source: &str| {
            let hello = hello(random, cookie);
            cookies.are_in(&ClientHello::parse(&hello).unwrap(), source.parse().unwrap())
        };
        let cookie = cookie_in(&request);
        assert!(good(&cookies, 1, cookie, SOURCE));
        assert!(!good(&cookies, 1, &[], SOURCE));
        assert!(!good(&cookies, 2, cookie, SOURCE), "another client");
        assert!(!good(&cookies, 1, cookie, "192.0.2.1:4001"));
        assert!(!good(&cookies, 1, cookie, "192.0.2.2:4000"));
        assert!(!good(&cookies, 1, &cookie[1..], SOURCE));
        assert!(!good(&Cookies::generate().unwrap(), 1, cookie, SOURCE));
    }

    #[test]
    fn what_is_no_first_fragment_is_no_hello() {
        let good = hello(1, &[5; 32]);
        assert_eq!(ClientHello::parse(&good).unwrap().random(), &[1; 32]);
        for (at, byte) in [(0, 23), (1, 3), (4, 1), (13, 2), (21, 1)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(ClientHello::parse(&bad).is_none(), "{byte} at {at}");
        }
        for length in 0..good.len() {
            assert!(ClientHello::parse(&good[..length]).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..120), as_hello in any::<bool>()) {
            if as_hello {
                let good = hello(1, &[]);
                let length = bytes.len().min(28);
                bytes[..length].copy_from_slice(&good[..length]);
            }
            if let Some(hello) = ClientHello::parse(&bytes) {
                let cookies = Cookies::generate().unwrap();
                prop_assert!(!cookies.are_in(&hello, source()));
                prop_assert!(cookies.ask(&hello, source()).len() <= bytes.len());
            }
        }
    }
}
