//! One association: its handshake, and the keys that come of it.

use std::io;
use std::ops::Range;

use openssl::error::ErrorStack;
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{ErrorCode, Ssl, SslRef, SslStream};
use smallvec::SmallVec;

use super::timer::{self, Expired};
use super::{Context, digest, listen};
use crate::clock::Time;
use crate::security::{DtlsRole, Fingerprint, MasterKey, Srtp, SrtpKeys, Suite};

/// The label by which keys are derived (RFC 5764 section 4.2).
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";

/// A DTLS association with a party.
#[derive(Debug)]
pub struct Association {
    stream: SslStream<Pipe>,
    /// That of the party's certificate; none before its SDP.
    fingerprint: Option<Fingerprint>,
    role: DtlsRole,
    state: DtlsState,
    keys: Option<SrtpKeys>,
    /// When the last flight is sent again.
    deadline: Option<Time>,
    /// How often it was.
    tries: u32,
}

/// How far an association is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DtlsState {
    /// Nothing was sent yet.
    #[default]
    New = 0,
    /// The handshake is going on.
    Handshake = 1,
    /// The handshake is done; whether with the right party, its SDP will tell.
    Unverified = 2,
    /// There are keys.
    Established = 3,
    /// The party has ended it.
    Closed = 4,
    /// The party's certificate is not the one that its SDP names.
    WrongFingerprint = 5,
    /// The two sides have no SRTP profile in common.
    NoProfile = 6,
    /// The handshake went wrong.
    Failed = 7,
    /// The party does not answer.
    NoAnswer = 8,
}

impl Association {
    /// An association in which nothing happens before the first call of another function.
    pub fn new(
        context: &Context,
        role: DtlsRole,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Association, ErrorStack> {
        Association::of(Ssl::new(context.of(role))?, context.mtu, role, fingerprint)
    }

    /// An association with a client that said a cookie ([`super::Cookies`]) in its ClientHello.
    pub fn accept(
        context: &Context,
        fingerprint: Option<Fingerprint>,
        now: Time,
        hello: &[u8],
        send: impl FnMut(&[u8]),
    ) -> Result<Association, ErrorStack> {
        let mut association = Association::new(context, DtlsRole::Passive, fingerprint)?;
        association.stream.get_mut().offer(hello);
        if listen::take_hello(association.stream.ssl()) {
            association.drive(now, send);
        } else {
            association.end(DtlsState::Failed);
        }
        association.stream.get_mut().incoming.clear();
        Ok(association)
    }

    pub(super) fn of(
        mut ssl: Ssl,
        mtu: u32,
        role: DtlsRole,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Association, ErrorStack> {
        ssl.set_mtu(mtu)?;
        match role {
            DtlsRole::Active => ssl.set_connect_state(),
            DtlsRole::Passive => ssl.set_accept_state(),
        }
        timer::install(&mut ssl);
        Ok(Association {
            stream: SslStream::new(ssl, Pipe::default())?,
            fingerprint,
            role,
            state: DtlsState::New,
            keys: None,
            deadline: None,
            tries: 0,
        })
    }

    /// Opens the association, if that is our part and it was not done yet.
    pub fn open(&mut self, now: Time, send: impl FnMut(&[u8])) {
        if self.role == DtlsRole::Active && self.state == DtlsState::New {
            self.drive(now, send);
        }
    }

    /// A datagram that looks like DTLS came from the party. What is none is ignored.
    pub fn handle(&mut self, now: Time, datagram: &[u8], send: impl FnMut(&[u8])) {
        if self.state.is_over() || !begins_with_record(datagram) {
            return;
        }
        self.stream.get_mut().offer(datagram);
        self.drive(now, send);
        self.stream.get_mut().incoming.clear();
    }

    /// When [`Association::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time, send: impl FnMut(&[u8])) {
        if self.deadline.is_none_or(|due| due > now) {
            return;
        }
        match timer::expire(self.stream.ssl()) {
            Expired::Yes => {
                self.tries += 1;
                self.deadline = Some(now + timer::wait(self.tries));
            }
            Expired::NotYet => {
                self.deadline = timer::is_running(self.stream.ssl()).then(|| now + timer::wait(0))
            }
            Expired::TooOften => self.end(DtlsState::NoAnswer),
        }
        self.stream.get_mut().flush_to(send);
    }

    /// The party's SDP has come, or a new one.
    pub fn verify(&mut self, fingerprint: &Fingerprint) {
        self.fingerprint = Some(fingerprint.clone());
        if self.state == DtlsState::Unverified {
            self.state = self.judge();
        }
    }

    /// Ends it, and tells the party.
    pub fn close(&mut self, send: impl FnMut(&[u8])) {
        if self.state.is_over() {
            return;
        }
        // It fails where the handshake is not done: then there is nothing to end.
        let _ = self.stream.shutdown();
        self.stream.get_mut().flush_to(send);
        self.end(DtlsState::Closed);
    }

    /// Our part.
    pub fn role(&self) -> DtlsRole {
        self.role
    }

    /// How far it is.
    pub fn state(&self) -> DtlsState {
        self.state
    }

    /// The keys, once the party is known to be the right one.
    pub fn keys(&self) -> Option<&SrtpKeys> {
        self.keys
            .as_ref()
            .filter(|_| self.state == DtlsState::Established)
    }

    /// Lets OpenSSL do what it can with what has come.
    fn drive(&mut self, now: Time, send: impl FnMut(&[u8])) {
        match self.state {
            DtlsState::New | DtlsState::Handshake => self.shake_hands(),
            // A party that missed our last flight says so; there is nothing else to read.
            DtlsState::Unverified | DtlsState::Established => self.read_on(),
            DtlsState::Closed
            | DtlsState::WrongFingerprint
            | DtlsState::NoProfile
            | DtlsState::Failed
            | DtlsState::NoAnswer => {}
        }
        let sent = self.stream.get_mut().flush_to(send);
        let waits = !self.state.is_over() && timer::is_running(self.stream.ssl());
        if !waits {
            self.deadline = None;
        } else if sent || self.deadline.is_none() {
            self.tries = 0;
            self.deadline = Some(now + timer::wait(0));
        }
    }

    fn shake_hands(&mut self) {
        self.state = DtlsState::Handshake;
        match self.stream.do_handshake() {
            Ok(()) => {
                self.keys = export(self.stream.ssl(), self.role);
                self.state = self.judge();
            }
            Err(error) if error.code() == ErrorCode::WANT_READ => {}
            Err(_) => self.end(DtlsState::Failed),
        }
    }

    fn read_on(&mut self) {
        let mut data = [0; 64];
        loop {
            match self.stream.ssl_read(&mut data) {
                Ok(_) => {}
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => return self.end(DtlsState::Closed),
                Err(_) => return,
            }
        }
    }

    fn end(&mut self, state: DtlsState) {
        self.state = state;
        self.deadline = None;
    }

    /// The handshake is done: what comes of it.
    fn judge(&mut self) -> DtlsState {
        let Some(expected) = &self.fingerprint else {
            return DtlsState::Unverified;
        };
        let certificate = self.stream.ssl().peer_certificate();
        let actual = certificate.and_then(|certificate| certificate.to_der().ok());
        let actual = actual.and_then(|der| digest(expected.hash(), &der).ok());
        if actual.as_deref() != Some(expected.digest()) {
            self.keys = None;
            return DtlsState::WrongFingerprint;
        }
        match self.keys {
            Some(_) => DtlsState::Established,
            None => DtlsState::NoProfile,
        }
    }
}

impl DtlsState {
    /// All states, in the order of their numbers.
    pub const ALL: [DtlsState; 9] = [
        DtlsState::New,
        DtlsState::Handshake,
        DtlsState::Unverified,
        DtlsState::Established,
        DtlsState::Closed,
        DtlsState::WrongFingerprint,
        DtlsState::NoProfile,
        DtlsState::Failed,
        DtlsState::NoAnswer,
    ];

    /// The state in words.
    pub fn as_str(self) -> &'static str {
        match self {
            DtlsState::New => "waiting",
            DtlsState::Handshake => "shaking hands",
            DtlsState::Unverified => "waiting for the fingerprint",
            DtlsState::Established => "established",
            DtlsState::Closed => "closed by the party",
            DtlsState::WrongFingerprint => "failed: the certificate is not the one that the SDP names",
            DtlsState::NoProfile => "failed: no SRTP profile in common",
            DtlsState::Failed => "failed: the handshake went wrong",
            DtlsState::NoAnswer => "failed: the party does not answer",
        }
    }

    /// Whether nothing can become of it any more.
    pub fn is_over(self) -> bool {
        match self {
            DtlsState::New | DtlsState::Handshake | DtlsState::Unverified | DtlsState::Established => false,
            DtlsState::Closed
            | DtlsState::WrongFingerprint
            | DtlsState::NoProfile
            | DtlsState::Failed
            | DtlsState::NoAnswer => true,
        }
    }
}

/// Both ends of the datagrams between OpenSSL and us.
#[derive(Debug, Default)]
struct Pipe {
    /// What has come and OpenSSL did not read yet; nothing if empty.
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// The datagrams in `outgoing`.
    datagrams: SmallVec<[Range<usize>; 8]>,
}

impl Pipe {
    fn offer(&mut self, datagram: &[u8]) {
        self.incoming.clear();
        self.incoming.extend_from_slice(datagram);
    }

    /// Says whether there was anything.
    fn flush_to(&mut self, mut send: impl FnMut(&[u8])) -> bool {
        let any = !self.datagrams.is_empty();
        for datagram in self.datagrams.drain(..) {
            send(&self.outgoing[datagram]);
        }
        self.outgoing.clear();
        any
    }
}

impl io::Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = self.incoming.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.incoming[..length]);
        self.incoming.clear();
        Ok(length)
    }
}

impl io::Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        let start = self.outgoing.len();
        self.outgoing.extend_from_slice(datagram);
        self.datagrams.push(start..self.outgoing.len());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The keys of a handshake that is done (RFC 5764 section 4.2). None without a common profile.
fn export(ssl: &SslRef, role: DtlsRole) -> Option<SrtpKeys> {
    let suite = match ssl.selected_srtp_profile()?.id() {
        SrtpProfileId::SRTP_AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
        SrtpProfileId::SRTP_AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
        SrtpProfileId::SRTP_AES128_CM_SHA1_80 => Suite::AesCm128HmacSha1_80,
        SrtpProfileId::SRTP_AES128_CM_SHA1_32 => Suite::AesCm128HmacSha1_32,
        _ => return None,
    };
    let (key, salt) = (suite.key_length(), suite.salt_length());
    let mut material = [0; 2 * MasterKey::MAX_LENGTH];
    let material = &mut material[..2 * (key + salt)];
    ssl.export_keying_material(material, EXPORTER, None).ok()?;
    let (keys, salts) = material.split_at(2 * key);
    let of = |sender: usize| {
        let mut bytes: SmallVec<[u8; MasterKey::MAX_LENGTH]> = SmallVec::new();
        bytes.extend_from_slice(&keys[sender * key..][..key]);
        bytes.extend_from_slice(&salts[sender * salt..][..salt]);
        MasterKey::new(suite, &bytes).map(Srtp::new)
    };
    let (client, server) = (of(0)?, of(1)?);
    Some(match role {
        DtlsRole::Active => SrtpKeys {
            inbound: server,
            outbound: client,
            is_copied: false,
        },
        DtlsRole::Passive => SrtpKeys {
            inbound: client,
            outbound: server,
            is_copied: false,
        },
    })
}

/// Whether a datagram begins with the first message of a handshake (RFC 6347 section 4.2.2).
pub fn is_client_hello(datagram: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    // Type, version, epoch, sequence number, length; then the type of the message.
    matches!(
        datagram,
        [HANDSHAKE, _, _, 0, 0, _, _, _, _, _, _, _, _, CLIENT_HELLO, ..]
    )
}

/// Whether a datagram begins with a record of DTLS 1.0 or 1.2 that it holds as a whole (RFC 6347 section 4.1). For
/// OpenSSL some of what is none would be the end of the handshake.
fn begins_with_record(datagram: &[u8]) -> bool {
    const HEADER: usize = 13;
    const TYPES: std::ops::RangeInclusive<u8> = 20..=23;
    let Some((&[kind, 254, 255 | 253, .., high, low], rest)) = datagram.split_first_chunk::<HEADER>() else {
        return false;
    };
    TYPES.contains(&kind) && usize::from(u16::from_be_bytes([high, low])) <= rest.len()
}
