//! SRTP on its way through a session: each stream's keys, and how a packet gets from one party's protection to that of
//! another.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::keyring::Keyring;
use super::sink::Sink;
use super::{Flow, Session, Transmit, extension, rtcp};
use crate::clock::Time;
use crate::logging;
use crate::plan::{StreamId, UserspaceReason};
use crate::prefetch::prefetch;
use crate::security::{MediaSecurity, SrtpKeys};
use crate::srtp::{Error, Inbound, Outbound, PEER_RTCP_INDICES};

/// SRTP with one party.
#[derive(Debug, Default)]
pub(super) struct Ciphers {
    inbound: Option<Box<Inbound>>,
    outbound: Option<Box<Outbound>>,
    /// Where the party was when they were made or last confirmed.
    remote: Option<SocketAddr>,
    /// The DTLS association that they come from, or will.
    association: Option<Arc<str>>,
}

/// A datagram that was authenticated if it had to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    /// How many of its bytes count: the rest was its protection.
    pub(super) length: usize,
    /// The index that SRTP gave it.
    index: Option<u64>,
    /// Whether it is still as it came, encrypted.
    sealed: bool,
}

impl Opened {
    /// Whether it can be read.
    pub(super) fn is_plain(&self) -> bool {
        !self.sealed
    }
}

/// How packets get from the protection that they come with to that of a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Bridge {
    /// Neither side's is any of our business.
    #[default]
    Same,
    /// Both sides have the same SRTP keys.
    SharedKeys,
    /// The same, but that packets have to be encrypted anew (`recrypt`): with the same index, as they would be two packets
    /// under one key stream with another one.
    Recrypt,
    /// SRTP comes, RTP goes.
    Decrypt,
    /// Whatever comes is encrypted for the sink.
    Encrypt,
    /// There is no way.
    Blocked,
}

/// How a packet is protected before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// Not any more.
    Done,
    /// As the next one.
    Next,
    /// With this index.
    Index(u64),
}

impl Session {
    /// A DTLS association yielded the keys for a stream. To be told again after a new association.
    pub fn handle_srtp_keys(&mut self, now: Time, stream: StreamId, keys: &SrtpKeys) {
        let Some(index) = self.index_of(stream) else {
            return;
        };
        let ciphers = &mut self.streams[index].ciphers;
        log_keys(keys);
        ciphers.inbound = Some(Box::new(Inbound::new(&keys.inbound)));
        ciphers.outbound = Some(Box::new(Outbound::new(&keys.outbound)));
        self.refresh(now);
    }

    /// Writes what is to be sent in place of the datagram into a buffer with room for [`crate::srtp::MAX_TRAILER`] bytes more; with
    /// room for the label of a section besides, it may get one. The result is its length; None if nothing is to be sent after
    /// all, which is counted if it is an error.
    pub fn write(&mut self, transmit: &Transmit, datagram: &[u8], buffer: &mut [u8]) -> Option<usize> {
        let mut length = transmit.length;
        buffer.get_mut(..length)?.copy_from_slice(datagram.get(..length)?);
        if let Some(change) = transmit.change {
            change.apply(&mut buffer[..length]);
        }
        if transmit.strips_feedback {
            length = rtcp::strip_feedback(&mut buffer[..length]);
        }
        if length == 0 {
            // As in the reference, it is an error of who would have got it.
            self.streams[transmit.sink].status.count_error_in();
            return None;
        }
        if transmit.translates {
            self.translate_reports(transmit.source, transmit.sink, &mut buffer[..length]);
        }
        let sinks = self.streams[transmit.source].sinks(Flow::Rtp);
        let filter = sinks.get(transmit.place).and_then(Sink::filter);
        let label = self.streams[transmit.sink]
            .label
            .as_ref()
            .filter(|_| transmit.labels);
        let filter = filter.filter(|_| transmit.filters || transmit.labels);
        length = extension::adapt(buffer, length, filter, label);
        self.seal(transmit, buffer, length)
            .inspect_err(|error| {
                let [source, sink] =
                    [transmit.source, transmit.sink].map(|stream| &self.streams[stream].status);
                source.count_error_in();
                sink.count_error_out();
                sink.count_srtp_error(*error);
            })
            .ok()
    }

    /// Whether RTP for a sink gets the label of its section: what we encrypt, or what is not encrypted.
    pub(super) fn is_labelled(&self, sink: &Sink, seal: Seal) -> bool {
        let of = &self.streams[sink.stream];
        let is_plain = || {
            let keeper = &self.streams[of.keeper];
            !sink.bridge.has_shared_keys() && keeper.security == MediaSecurity::Plain
        };
        of.label.is_some() && (seal == Seal::Next || is_plain())
    }

    fn seal(&mut self, transmit: &Transmit, buffer: &mut [u8], length: usize) -> Result<usize, Error> {
        let index = match transmit.seal {
            Seal::Done => return Ok(length),
            Seal::Next => None,
            Seal::Index(index) => Some(index),
        };
        let keeper = self.streams[transmit.sink].keeper;
        let outbound = self.streams[keeper].ciphers.outbound.as_mut();
        let outbound = outbound.ok_or(Error::NoKeys)?;
        if transmit.is_rtcp {
            outbound.protect_rtcp(buffer, length, index)
        } else {
            outbound.protect_rtp(buffer, length, index)
        }
    }

    /// Authenticates what arrived at a stream's port, and decrypts it if somebody is to get it otherwise than it came.
    pub(super) fn open(&mut self, arrived: usize, flow: Flow, datagram: &mut [u8]) -> Result<Opened, Error> {
        let stream = &self.streams[arrived];
        let (decrypts, keeper) = (stream.decrypts(flow), stream.keeper);
        let keeper = &mut self.streams[keeper];
        if matches!(flow, Flow::Datagram | Flow::Check) || !keeper.security.is_srtp() {
            return Ok(Opened {
                length: datagram.len(),
                index: None,
                sealed: false,
            });
        }
        let inbound = keeper.ciphers.inbound.as_mut().ok_or(Error::NoKeys)?;
        let length = datagram.len();
        let opened = match (flow, decrypts) {
            (Flow::Rtp | Flow::Check | Flow::Datagram, true) => inbound.unprotect_rtp(datagram),
            (Flow::Rtp | Flow::Check | Flow::Datagram, false) => inbound.authenticate_rtp(datagram),
            (Flow::Rtcp | Flow::SharedRtcp, true) => inbound.unprotect_rtcp(datagram),
            (Flow::Rtcp | Flow::SharedRtcp, false) => inbound.authenticate_rtcp(datagram),
        }?;
        Ok(Opened {
            length: if decrypts { opened.length } else { length },
            index: Some(opened.index),
            sealed: !decrypts,
        })
    }

    /// Whether something under the key of the party that a stream has ciphers of was authentic, if there is a key: before that, the
    /// kernel would relay it without anybody knowing where its indices are.
    pub(super) fn has_opened(&self, keeper: usize) -> bool {
        let keeper = &self.streams[keeper];
        let inbound = || keeper.ciphers.inbound.as_deref();
        !keeper.security.is_srtp() || inbound().is_some_and(Inbound::has_opened)
    }

    /// Decides which stream keeps the ciphers of which: that at whose ports packets arrive; and for RTCP under keys from the
    /// SDP that of the RTP, so that no index is used twice.
    pub(super) fn share_ciphers(&mut self) {
        for stream in 0..self.streams.len() {
            let keeper = self.keeper(stream);
            self.streams[stream].keeper = keeper;
        }
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let remote = stream.remote();
            match stream.keeper == index {
                true => stream.ciphers.follow(&stream.security, remote, &mut self.keyring),
                false => stream.ciphers.put_away(&mut self.keyring),
            }
        }
    }

    fn keeper(&self, stream: usize) -> usize {
        let shared = &self.streams[stream];
        let lead = shared
            .lead()
            .filter(|_| shared.joined() || shared.ports.is_empty());
        let carrier = lead.unwrap_or(stream);
        let of = &self.streams[carrier];
        match of.security {
            MediaSecurity::Sdes(_) => of.rtp.and_then(|rtp| self.index_of(rtp)).unwrap_or(carrier),
            MediaSecurity::Plain
            | MediaSecurity::Opaque
            | MediaSecurity::Offered { .. }
            | MediaSecurity::Dtls(_) => carrier,
        }
    }

    /// How packets of a stream get to a sink.
    pub(super) fn bridge(&self, source: usize, sink: usize) -> Bridge {
        let security = |stream: usize| &self.streams[self.streams[stream].keeper].security;
        let (from, to) = (security(source), security(sink));
        let recrypts = [source, sink]
            .into_iter()
            .any(|stream| self.streams[stream].recrypts);
        let anew = recrypts && from.is_readable() && to.is_readable();
        match from.is_srtp() {
            _ if !from.reaches(to) => Bridge::Blocked,
            true if from.passes_to(to) && !anew => Bridge::SharedKeys,
            true if from.passes_to(to) => Bridge::Recrypt,
            _ if to.is_srtp() => Bridge::Encrypt,
            true => Bridge::Decrypt,
            false => Bridge::Same,
        }
    }

    /// Finds out what has to be decrypted.
    pub(super) fn plan_decryption(&mut self) {
        for arrived in 0..self.streams.len() {
            let decrypts = |flow| {
                let stream = &self.streams[arrived];
                let members = stream.demultiplexer.iter().flat_map(|bundle| bundle.streams());
                let sinks = members
                    .chain([arrived])
                    .flat_map(|member| self.streams[member].sinks(flow));
                sinks.into_iter().any(Sink::needs_plain)
            };
            // Whose a shared report is stands in it.
            let is_bundle = self.streams[arrived].demultiplexer.is_some();
            let reads = is_bundle || self.reporter.is_some();
            let (rtp, rtcp) = (decrypts(Flow::Rtp), reads || decrypts(Flow::Rtcp));
            self.streams[arrived].set_decryption(rtp, rtcp);
        }
    }
}

impl Ciphers {
    pub(super) fn inbound(&mut self) -> Option<&mut Inbound> {
        self.inbound.as_deref_mut()
    }

    pub(super) fn outbound(&mut self) -> Option<&mut Outbound> {
        self.outbound.as_deref_mut()
    }

    /// How many bytes of each RTP packet that arrives are its protection.
    pub(super) fn rtp_trailer(&self) -> Option<usize> {
        self.inbound.as_deref().map(Inbound::rtp_trailer)
    }

    pub(super) fn fetch_inbound(&self) {
        self.inbound.as_deref().inspect(|inbound| prefetch(*inbound));
    }

    pub(super) fn fetch_outbound(&self) {
        self.outbound.as_deref().inspect(|outbound| prefetch(*outbound));
    }

    /// Takes the keys that signalling says, if it does. What has not changed goes on; with a new key rollover counters do, as
    /// long as the party is where it was.
    fn follow(&mut self, security: &MediaSecurity, remote: Option<SocketAddr>, keyring: &mut Keyring) {
        let moved = self.remote != remote;
        match security {
            MediaSecurity::Sdes(keys) => {
                if self.association.take().is_some() {
                    (self.inbound, self.outbound) = (None, None);
                }
                self.take(keys, moved, keyring);
            }
            // The keys of an association serve until the next one has some.
            MediaSecurity::Dtls(peer) => {
                if self.association.is_none() {
                    self.put_away(keyring);
                }
                self.association = Some(Arc::clone(&peer.association));
            }
            MediaSecurity::Plain | MediaSecurity::Opaque | MediaSecurity::Offered { .. } => {
                self.put_away(keyring);
            }
        }
        self.remote = remote;
    }

    fn take(&mut self, keys: &SrtpKeys, moved: bool, keyring: &mut Keyring) {
        let SrtpKeys {
            inbound,
            outbound,
            is_copied,
        } = keys;
        if self
            .inbound
            .as_deref()
            .is_none_or(|known| known.srtp() != inbound)
        {
            log_keys(keys);
            if let Some(before) = &self.inbound {
                keyring.put_inbound(before);
            }
            match (keyring.inbound(inbound), &mut self.inbound) {
                (Some(known), _) => self.inbound = Some(Box::new(known)),
                (None, Some(before)) if !moved => before.rekey(inbound),
                (None, _) => self.inbound = Some(Box::new(Inbound::new(inbound))),
            }
        }
        if self
            .outbound
            .as_deref()
            .is_none_or(|known| known.srtp() != outbound)
        {
            if let Some(before) = &self.outbound {
                keyring.put_outbound(before);
            }
            let goes_on = self.outbound.as_deref().filter(|_| !moved);
            match (keyring.outbound(outbound, goes_on), &mut self.outbound) {
                (Some(known), _) => self.outbound = Some(Box::new(known)),
                (None, Some(before)) if !moved => before.rekey(outbound),
                (None, _) => self.outbound = Some(Box::new(Outbound::new(outbound))),
            }
        }
        if let Some(outbound) = self.outbound.as_mut().filter(|_| *is_copied) {
            // Its owner has used, or may use, those below.
            outbound.skip_rtcp(PEER_RTCP_INDICES);
        }
    }

    /// Its keys are not in use any more. Those of a DTLS association do not come back.
    pub(super) fn put_away(&mut self, keyring: &mut Keyring) {
        let ciphers = std::mem::take(self);
        if ciphers.association.is_some() {
            return;
        }
        if let Some(inbound) = &ciphers.inbound {
            keyring.put_inbound(inbound);
        }
        if let Some(outbound) = &ciphers.outbound {
            keyring.put_outbound(outbound);
        }
    }
}

/// Shows the keys of a stream to who has asked for that (`log-srtp-keys`): key and salt, base64, as in SDP.
fn log_keys(keys: &SrtpKeys) {
    for (way, srtp) in [
        ("from the party", &keys.inbound),
        ("to the party", &keys.outbound),
    ] {
        let key = &srtp.key;
        tracing::error!(
            target: logging::KEYS,
            way,
            suite = key.suite().name(),
            key = STANDARD.encode(key.key_and_salt()),
            "keys of SRTP"
        );
    }
}

impl Bridge {
    /// Whether a packet is the same one on both sides.
    pub(super) fn has_shared_keys(self) -> bool {
        matches!(self, Bridge::SharedKeys | Bridge::Recrypt)
    }

    /// What a packet needs before it is sent. None if it cannot be.
    pub(super) fn seal(self, opened: &Opened) -> Option<Seal> {
        match (self, opened.sealed) {
            (Bridge::Same, _) | (Bridge::SharedKeys, true) | (Bridge::Decrypt, false) => Some(Seal::Done),
            // The same index makes the same packet of it again.
            (Bridge::SharedKeys | Bridge::Recrypt, false) => opened.index.map(Seal::Index),
            (Bridge::Encrypt, false) => Some(Seal::Next),
            (Bridge::Decrypt | Bridge::Encrypt | Bridge::Recrypt, true) | (Bridge::Blocked, _) => None,
        }
    }

    /// Whether the kernel can relay the packets: it leaves them as they are.
    pub(super) fn check_unchanged(self) -> Result<(), UserspaceReason> {
        match self {
            Bridge::Same | Bridge::SharedKeys => Ok(()),
            Bridge::Decrypt | Bridge::Encrypt | Bridge::Recrypt | Bridge::Blocked => {
                Err(UserspaceReason::Encryption)
            }
        }
    }
}
