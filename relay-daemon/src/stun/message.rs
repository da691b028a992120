//! Reads messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use openssl::memcmp;
use smallvec::SmallVec;

use super::integrity::{Key, SIGNATURE, checksum};
use super::{BINDING, FINGERPRINT_MASK, HEADER, MAGIC_COOKIE, attribute};
use crate::security::IceRole;

/// How many attributes that are not understood are named to the sender.
const MAX_UNKNOWN: usize = 8;

/// A message of the binding method, with the attributes that ICE uses. Its fingerprint is right, its integrity not yet
/// checked.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// Request, answer or neither.
    pub class: Class,
    /// Says which answer belongs to which request.
    pub transaction: TransactionId,
    /// `USERNAME`: in a request `OURS:THEIRS`, user name fragments.
    pub username: Option<&'a [u8]>,
    /// `PRIORITY` of the candidate that the check may make known.
    pub priority: Option<u32>,
    /// Whether `USE-CANDIDATE` is there: the pair is nominated.
    pub use_candidate: bool,
    /// `ICE-CONTROLLING` or `ICE-CONTROLLED`.
    pub claim: Option<Claim>,
    /// `XOR-MAPPED-ADDRESS`: where the request came from.
    pub mapped: Option<SocketAddr>,
    /// `ERROR-CODE`, 300 to 699.
    pub error: Option<u16>,
    /// Attributes that must be understood, and are not: the first few.
    pub unknown: SmallVec<[u16; MAX_UNKNOWN]>,
    bytes: &'a [u8],
    /// Where `MESSAGE-INTEGRITY` begins, and its value.
    integrity: Option<(usize, &'a [u8; SIGNATURE])>,
}

/// What a message is (RFC 8489 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The request was carried out.
    Success,
    /// The request was not carried out.
    Error,
}

/// 96 bits that name a request.
pub type TransactionId = [u8; 12];

/// Which role an agent claims, with its tie-breaker (RFC 8445 section 7.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The sender's role.
    pub role: IceRole,
    /// Decides if both claim the same.
    pub tie_breaker: u64,
}

/// Why a datagram is not a message for ICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No STUN header, or not as long as the header says.
    #[error("not a STUN message")]
    NotStun,
    /// Not about bindings.
    #[error("a method other than binding")]
    OtherMethod,
    /// An attribute is cut off, or not as its type wants it.
    #[error("attribute {0:#06x} is malformed")]
    BadAttribute(u16),
    /// RFC 8445 section 7.1 wants one in every message.
    #[error("no fingerprint at the end")]
    NoFingerprint,
    /// The message is damaged.
    #[error("the fingerprint is wrong")]
    WrongFingerprint,
}

impl<'a> Message<'a> {
    /// Reads a datagram. Attributes behind `MESSAGE-INTEGRITY` do not count (RFC 8489 section 14.5), of two the first
    /// does.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let (header, mut rest) = bytes.split_first_chunk::<HEADER>().ok_or(ParseError::NotStun)?;
        let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *header;
        let kind = u16::from_be_bytes([t0, t1]);
        let cookie = u32::from_be_bytes([c0, c1, c2, c3]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if kind & 0xC000 != 0 || cookie != MAGIC_COOKIE || length != rest.len() || length % 4 != 0 {
            return Err(ParseError::NotStun);
        }
        if kind & !CLASS != BINDING {
            return Err(ParseError::OtherMethod);
        }
        let mut message = Message {
            class: Class::of(kind),
            transaction,
            username: None,
            priority: None,
            use_candidate: false,
            claim: None,
            mapped: None,
            error: None,
            unknown: SmallVec::new(),
            bytes,
            integrity: None,
        };
        while !rest.is_empty() {
            let start = bytes.len() - rest.len();
            let (kind, value, next) = split_attribute(rest)?;
            if kind == attribute::FINGERPRINT {
                let expected = checksum(&bytes[..start]) ^ FINGERPRINT_MASK;
                return match (next, value == expected.to_be_bytes()) {
                    ([], true) => Ok(message),
                    ([], false) => Err(ParseError::WrongFingerprint),
                    (_, _) => Err(ParseError::NoFingerprint),
                };
            }
            if message.integrity.is_none() {
                message
                    .take(kind, value, start)
                    .ok_or(ParseError::BadAttribute(kind))?;
            }
            rest = next;
        }
        Err(ParseError::NoFingerprint)
    }

    /// Whether it is signed at all.
    pub fn is_signed(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether it is signed with the key.
    pub fn is_signed_with(&self, key: &Key) -> bool {
        let Some((start, signature)) = self.integrity else {
            return false;
        };
        // The length in the signed header ends with the signature.
        let Ok(length) = u16::try_from(start + 4 + SIGNATURE - HEADER) else {
            return false;
        };
        let signed = [&self.bytes[..2], &length.to_be_bytes(), &self.bytes[4..start]];
        memcmp::eq(&key.sign(&signed), signature)
    }

    /// Takes note of an attribute. None if it is malformed.
    fn take(&mut self, kind: u16, value: &'a [u8], start: usize) -> Option<()> {
        match kind {
            attribute::USERNAME => {
                self.username.get_or_insert(value);
            }
            attribute::PRIORITY => {
                self.priority
                    .get_or_insert(u32::from_be_bytes(value.try_into().ok()?));
            }
            attribute::USE_CANDIDATE => self.use_candidate = true,
            attribute::ICE_CONTROLLING => self.claim(IceRole::Controlling, value)?,
            attribute::ICE_CONTROLLED => self.claim(IceRole::Controlled, value)?,
            attribute::XOR_MAPPED_ADDRESS => {
                let mapped = mapped_address(value, &self.transaction)?;
                self.mapped.get_or_insert(mapped);
            }
            attribute::ERROR_CODE => {
                let &[_, _, class, number, ..] = value else {
                    return None;
                };
                let code = u16::from(class & 7) * 100 + u16::from(number);
                self.error.get_or_insert(code);
            }
            attribute::MESSAGE_INTEGRITY => self.integrity = Some((start, value.try_into().ok()?)),
            attribute::MAPPED_ADDRESS
            | attribute::UNKNOWN_ATTRIBUTES
            | attribute::REALM
            | attribute::NONCE
            | attribute::MESSAGE_INTEGRITY_SHA256
            | attribute::PASSWORD_ALGORITHM
            | attribute::USERHASH => {}
            unknown if unknown < OPTIONAL && self.unknown.len() < MAX_UNKNOWN => self.unknown.push(unknown),
            _ => {}
        }
        Some(())
    }

    fn claim(&mut self, role: IceRole, value: &[u8]) -> Option<()> {
        let tie_breaker = u64::from_be_bytes(value.try_into().ok()?);
        self.claim.get_or_insert(Claim { role, tie_breaker });
        Some(())
    }
}

/// The bits of a type that hold the class.
const CLASS: u16 = 0x0110;

/// Attributes from here on need not be understood.
const OPTIONAL: u16 = 0x8000;

impl Class {
    fn of(kind: u16) -> Class {
        match (kind & 0x0100 != 0, kind & 0x0010 != 0) {
            (false, false) => Class::Request,
            (false, true) => Class::Indication,
            (true, false) => Class::Success,
            (true, true) => Class::Error,
        }
    }

    /// The type of a binding message of this class.
    pub(super) fn binding(self) -> u16 {
        BINDING
            | match self {
                Class::Request => 0,
                Class::Indication => 0x0010,
                Class::Success => 0x0100,
                Class::Error => 0x0110,
            }
    }
}

/// Type, value and what follows.
fn split_attribute(bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), ParseError> {
    let (&[t0, t1, l0, l1], rest) = bytes.split_first_chunk().ok_or(ParseError::NotStun)?;
    let kind = u16::from_be_bytes([t0, t1]);
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let cut_off = ParseError::BadAttribute(kind);
    let (padded, next) = rest.split_at_checked(length.next_multiple_of(4)).ok_or(cut_off)?;
    Ok((kind, &padded[..length], next))
}

/// RFC 8489 section 14.2.
fn mapped_address(value: &[u8], transaction: &TransactionId) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk()?;
    let [m0, m1, ..] = MAGIC_COOKIE.to_be_bytes();
    let port = u16::from_be_bytes([p0 ^ m0, p1 ^ m1]);
    let ip: IpAddr = match family {
        1 => Ipv4Addr::from(u32::from_be_bytes(address.try_into().ok()?) ^ MAGIC_COOKIE).into(),
        2 => Ipv6Addr::from(u128::from_be_bytes(address.try_into().ok()?) ^ v6_mask(transaction)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// What an IPv6 address is combined with.
pub(super) fn v6_mask(transaction: &TransactionId) -> u128 {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(transaction);
    u128::from_be_bytes(mask)
}
