//! What the media tells signalling of one stream.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{IceState, Path, Quality, Sample, SelectedPair, SsrcLog, UserspaceReason};
use crate::clock::Time;
use crate::dtls::DtlsState;
use crate::srtp;

/// What is known of the source of a stream's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Address and port that packets came from.
    pub source: SocketAddr,
    /// Whether the learning window is over and the source final.
    pub settled: bool,
}

/// Counters and learned state of one stream. Written by the call's worker alone, read by anyone.
/// The kernel's share of the packets is not in here: it is read from the slots of the stream's ports.
#[derive(Debug, Default)]
pub struct StreamStatus {
    /// Packets received in userspace.
    pub packets_in: AtomicU64,
    /// UDP payload bytes received in userspace.
    pub bytes_in: AtomicU64,
    /// Received datagrams that could not be relayed: not RTP, foreign source, send failure.
    pub errors_in: AtomicU64,
    /// Packets sent to the party by userspace.
    pub packets_out: AtomicU64,
    /// UDP payload bytes sent to the party by userspace.
    pub bytes_out: AtomicU64,
    /// Packets that could not be sent to the party.
    pub errors_out: AtomicU64,
    /// Arrival of the newest packet seen by userspace, as [`Time`]; 0 for none.
    pub last_packet: AtomicU64,
    /// SSRC of the newest RTP packet seen by userspace, plus one in the upper half once there is one.
    ssrc: AtomicU64,
    /// Of RTP: SSRCs of the media section's RTP and RTCP that came from the party.
    pub heard: SsrcLog,
    /// The same of what went to it.
    pub sent: SsrcLog,
    /// The payload type that came most often, plus one; 0 for none.
    usual_payload_type: AtomicU8,
    /// Whether the source is to be heard anew, by order of whoever signals.
    doubted: AtomicBool,
    /// Whether a packet asked for the kernel since the party or a receiver was last found elsewhere.
    attempted: AtomicBool,
    /// Packets dropped as SRTP could not be read or made of them, by [`srtp::Error`].
    srtp_errors: [AtomicU64; srtp::Error::ALL.len()],
    /// [`Path`], encoded.
    path: AtomicU8,
    /// [`IceState`] and [`DtlsState`], plus one; 0 for none.
    ice: AtomicU8,
    dtls: AtomicU8,
    // Locked by the worker only when the source changes, never per packet.
    learned: Mutex<Option<Learned>>,
    // At most once a second and receiver.
    qualities: Mutex<Vec<Quality>>,
    // The same when ICE has come to something.
    selected: Mutex<Option<SelectedPair>>,
}

const PATH_KERNEL: u8 = u8::MAX;

impl StreamStatus {
    /// The learned source, if any.
    pub fn learned(&self) -> Option<Learned> {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the learned source.
    pub fn publish_learned(&self, learned: Option<Learned>) {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = learned;
    }

    /// What receivers of the party reported, one entry for each SSRC.
    pub fn qualities(&self) -> Vec<Quality> {
        self.qualities
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A receiver has reported.
    pub fn add_sample(&self, ssrc: u32, sample: Sample) {
        let mut qualities = self.qualities.lock().unwrap_or_else(PoisonError::into_inner);
        super::quality::add_sample(&mut qualities, ssrc, sample);
    }

    /// SSRC of the newest RTP packet seen by userspace.
    pub fn ssrc(&self) -> Option<u32> {
        let stored = self.ssrc.load(Ordering::Relaxed);
        u32::try_from(stored & 0xffff_ffff)
            .ok()
            .filter(|_| stored >> 32 != 0)
    }

    /// Publishes the SSRC of the newest RTP packet.
    pub fn publish_ssrc(&self, ssrc: u32) {
        self.ssrc.store(u64::from(ssrc) | 1 << 32, Ordering::Relaxed);
    }

    /// Whether anything was received that was let in.
    pub fn has_received(&self) -> bool {
        self.last_packet.load(Ordering::Relaxed) != 0
    }

    /// When the newest packet came that was let in.
    pub fn last_arrival(&self) -> Option<Time> {
        let time = self.last_packet.load(Ordering::Relaxed);
        (time != 0).then_some(Time(time))
    }

    /// The source is to be heard again, before it is said to be settled. By whoever signals.
    pub fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether the source has not been heard since it was doubted.
    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// Whether the source was doubted, which it is no more.
    pub fn take_doubt(&self) -> bool {
        self.is_doubted() && self.doubted.swap(false, Ordering::Relaxed)
    }

    /// Whether a packet asked for the kernel, with everybody where they are now.
    pub fn was_attempted(&self) -> bool {
        self.attempted.load(Ordering::Relaxed)
    }

    /// A packet asked for the kernel.
    pub fn note_attempt(&self) {
        if !self.was_attempted() {
            self.attempted.store(true, Ordering::Relaxed);
        }
    }

    /// The party or a receiver was found elsewhere.
    pub fn forget_attempt(&self) {
        self.attempted.store(false, Ordering::Relaxed);
    }

    /// Whether userspace received anything.
    pub fn has_packets(&self) -> bool {
        self.packets_in.load(Ordering::Relaxed) != 0
    }

    /// Counts a received datagram of so many bytes.
    pub fn count_in(&self, bytes: usize) {
        add(&self.packets_in, 1);
        add(&self.bytes_in, bytes as u64);
    }

    /// Counts a received datagram as not relayed.
    pub fn count_error_in(&self) {
        add(&self.errors_in, 1);
    }

    /// Counts a packet as dropped for want of what SRTP demands.
    pub fn count_srtp_error(&self, error: srtp::Error) {
        add(&self.srtp_errors[error as usize], 1);
    }

    /// Packets dropped for one reason.
    pub fn srtp_errors(&self, error: srtp::Error) -> u64 {
        self.srtp_errors[error as usize].load(Ordering::Relaxed)
    }

    /// How many packets SRTP refused, by reason: those that there are.
    pub fn refused_by_srtp(&self) -> Vec<(srtp::Error, u64)> {
        let counts = srtp::Error::ALL.map(|error| (error, self.srtp_errors(error)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Counts a sent datagram of so many bytes.
    pub fn count_out(&self, bytes: usize) {
        add(&self.packets_out, 1);
        add(&self.bytes_out, bytes as u64);
    }

    /// Counts a datagram that could not be sent.
    pub fn count_error_out(&self) {
        add(&self.errors_out, 1);
    }

    /// A packet of an acceptable source arrived.
    pub fn note_arrival(&self, now: Time) {
        self.last_packet.store(now.0, Ordering::Relaxed);
    }

    /// The payload type that came most often to userspace, of those that are known.
    pub fn usual_payload_type(&self) -> Option<u8> {
        self.usual_payload_type.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Publishes the payload type that came most often.
    pub fn publish_usual_payload_type(&self, payload_type: u8) {
        self.usual_payload_type.store(payload_type + 1, Ordering::Relaxed);
    }

    /// How far ICE with the party is; none without ICE.
    pub fn ice(&self) -> Option<IceState> {
        let code = self.ice.load(Ordering::Relaxed).checked_sub(1)?;
        IceState::ALL.get(usize::from(code)).copied()
    }

    /// What ICE has decided on; none before it is completed.
    pub fn selected(&self) -> Option<SelectedPair> {
        let selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        selected.clone()
    }

    /// Publishes what ICE has decided on.
    pub fn publish_selected(&self, selected: Option<SelectedPair>) {
        *self.selected.lock().unwrap_or_else(PoisonError::into_inner) = selected;
    }

    /// Publishes how far ICE with the party is.
    pub fn publish_ice(&self, state: Option<IceState>) {
        let code = state.map_or(0, |state| state as u8 + 1);
        self.ice.store(code, Ordering::Relaxed);
    }

    /// How far DTLS with the party is; none without DTLS.
    pub fn dtls(&self) -> Option<DtlsState> {
        let code = self.dtls.load(Ordering::Relaxed).checked_sub(1)?;
        DtlsState::ALL.get(usize::from(code)).copied()
    }

    /// Publishes how far DTLS with the party is.
    pub fn publish_dtls(&self, state: Option<DtlsState>) {
        let code = state.map_or(0, |state| state as u8 + 1);
        self.dtls.store(code, Ordering::Relaxed);
    }

    /// Where the stream's received media is relayed.
    pub fn path(&self) -> Path {
        match self.path.load(Ordering::Relaxed) {
            PATH_KERNEL => Path::Kernel,
            code => Path::Userspace(UserspaceReason::from_code(code)),
        }
    }

    /// Publishes where the stream's received media is relayed.
    pub fn publish_path(&self, path: Path) {
        let code = match path {
            Path::Kernel => PATH_KERNEL,
            Path::Userspace(reason) => reason as u8,
        };
        self.path.store(code, Ordering::Relaxed);
    }
}

/// Adds to a counter that only one thread writes: cheaper than an atomic addition.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(amount),
        Ordering::Relaxed,
    );
}
