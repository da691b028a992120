//! Writes messages.

use std::net::SocketAddr;

use super::integrity::{Key, SIGNATURE, checksum};
use super::message::v6_mask;
use super::{Claim, Class, FINGERPRINT_MASK, HEADER, MAGIC_COOKIE, TransactionId, attribute};
use crate::identity::software;
use crate::security::IceRole;

/// Appends a binding message to a buffer. It is complete once [`Writer::finish`] was called.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
    /// Where the message begins.
    start: usize,
    transaction: TransactionId,
}

impl<'a> Writer<'a> {
    /// Begins a message.
    pub fn new(buffer: &'a mut Vec<u8>, class: Class, transaction: TransactionId) -> Writer<'a> {
        let start = buffer.len();
        buffer.extend(class.binding().to_be_bytes());
        buffer.extend([0, 0]);
        buffer.extend(MAGIC_COOKIE.to_be_bytes());
        buffer.extend(transaction);
        Writer {
            buffer,
            start,
            transaction,
        }
    }

    /// `USERNAME`, in pieces.
    pub fn username(&mut self, pieces: [&str; 3]) {
        let length = pieces.map(str::len).iter().sum();
        self.begin(attribute::USERNAME, length);
        for piece in pieces {
            self.buffer.extend(piece.as_bytes());
        }
        self.pad();
    }

    /// `SOFTWARE`: ours
    pub fn software(&mut self) {
        self.attribute(attribute::SOFTWARE, software().as_bytes());
    }

    /// `PRIORITY`
    pub fn priority(&mut self, priority: u32) {
        self.attribute(attribute::PRIORITY, &priority.to_be_bytes());
    }

    /// `ICE-CONTROLLING` or `ICE-CONTROLLED`
    pub fn claim(&mut self, claim: Claim) {
        let kind = match claim.role {
            IceRole::Controlling => attribute::ICE_CONTROLLING,
            IceRole::Controlled => attribute::ICE_CONTROLLED,
        };
        self.attribute(kind, &claim.tie_breaker.to_be_bytes());
    }

    /// `USE-CANDIDATE`
    pub fn use_candidate(&mut self) {
        self.attribute(attribute::USE_CANDIDATE, &[]);
    }

    /// `XOR-MAPPED-ADDRESS`
    pub fn mapped(&mut self, address: SocketAddr) {
        let [m0, m1, ..] = MAGIC_COOKIE.to_be_bytes();
        let [p0, p1] = address.port().to_be_bytes();
        let mut value = [0; 20];
        let length = match address {
            SocketAddr::V4(address) => {
                let bits = u32::from(*address.ip()) ^ MAGIC_COOKIE;
                value[4..8].copy_from_slice(&bits.to_be_bytes());
                value[1] = 1;
                8
            }
            SocketAddr::V6(address) => {
                let bits = u128::from(*address.ip()) ^ v6_mask(&self.transaction);
                value[4..].copy_from_slice(&bits.to_be_bytes());
                value[1] = 2;
                20
            }
        };
        value[2..4].copy_from_slice(&[p0 ^ m0, p1 ^ m1]);
        self.attribute(attribute::XOR_MAPPED_ADDRESS, &value[..length]);
    }

    /// `ERROR-CODE`, 300 to 699, without words.
    pub fn error(&mut self, code: u16) {
        let [class, number] = [code / 100, code % 100].map(|part| part.to_be_bytes()[1]);
        self.attribute(attribute::ERROR_CODE, &[0, 0, class, number]);
    }

    /// `UNKNOWN-ATTRIBUTES`
    pub fn unknown(&mut self, kinds: &[u16]) {
        self.begin(attribute::UNKNOWN_ATTRIBUTES, 2 * kinds.len());
        for kind in kinds {
            self.buffer.extend(kind.to_be_bytes());
        }
        self.pad();
    }

    /// Signs the message, if there is a key, and adds the fingerprint.
    pub fn finish(mut self, key: Option<&Key>) {
        if let Some(key) = key {
            self.set_length(4 + SIGNATURE);
            let signature = key.sign(&[&self.buffer[self.start..]]);
            self.attribute(attribute::MESSAGE_INTEGRITY, &signature);
        }
        self.set_length(8);
        let checksum = checksum(&self.buffer[self.start..]) ^ FINGERPRINT_MASK;
        self.attribute(attribute::FINGERPRINT, &checksum.to_be_bytes());
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.begin(kind, value.len());
        self.buffer.extend(value);
        self.pad();
    }

    fn begin(&mut self, kind: u16, length: usize) {
        self.buffer.extend(kind.to_be_bytes());
        self.buffer.extend(length_field(length));
    }

    fn pad(&mut self) {
        let length = self.buffer.len() - self.start;
        self.buffer.resize(self.start + length.next_multiple_of(4), 0);
    }

    /// Writes the length as it is once so many bytes have followed.
    fn set_length(&mut self, more: usize) {
        let length = self.buffer.len() - self.start - HEADER + more;
        self.buffer[self.start + 2..self.start + 4].copy_from_slice(&length_field(length));
    }
}

/// Messages are much shorter than what fits: user names are bounded by whoever names users.
fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}
