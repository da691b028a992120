//! What is said of a section and its streams in single words.

use crate::call::model::half::Half;
use crate::call::model::media::{Echo, Media, Passing, Role, Sending};
use crate::dtls::DtlsState;
use crate::plan::{Path, SourcePolicy, UserspaceReason};
use crate::report::{MediaFlag, StreamFlag};
use crate::security::{DtlsRole, IceRole};

impl Media {
    pub(super) fn flags(&self) -> Vec<MediaFlag> {
        if self.bare && self.remote_section.is_none() {
            return Vec::new();
        }
        let roles = self.crypto.dtls_roles();
        let controlling = self.ice.role(self.role == Role::Answerer);
        [
            (
                MediaFlag::Initialized,
                (self.remote_section.is_some() && !self.unheeded) || self.is_called,
            ),
            (
                MediaFlag::Asymmetric,
                self.sources.sending == Sending::Asymmetric && self.passing == Passing::No,
            ),
            (MediaFlag::Send, self.direction.receives()),
            (MediaFlag::Receive, self.direction.sends()),
            (MediaFlag::RtcpMux, self.mux.is_spoken_of()),
            (MediaFlag::DtlsSrtp, self.crypto.uses_dtls()),
            (MediaFlag::DtlsActive, roles.contains(&DtlsRole::Active)),
            (MediaFlag::DtlsPassive, roles.contains(&DtlsRole::Passive)),
            (MediaFlag::Sdes, self.crypto.uses_sdes()),
            (MediaFlag::Passthrough, self.ice.passes_through()),
            (
                MediaFlag::Ice,
                self.ice.is_on() || self.ice.is_answered_unasked() || self.ice.is_assumed(),
            ),
            (MediaFlag::TrickleIce, self.ice.peer_trickles()),
            (
                MediaFlag::IceControlling,
                controlling == IceRole::Controlling
                    && !self.ice.is_told_whether_to_pass()
                    && !self.ice.passed_from_the_offer(),
            ),
            (MediaFlag::IceLitePeer, self.ice.peer_is_lite()),
            (MediaFlag::IceLiteSelf, self.ice.lite),
            (MediaFlag::Unidirectional, self.unidirectional),
            (MediaFlag::PtimeOverride, self.is_repacked),
            (MediaFlag::RtcpFeedback, self.takes_feedback),
            (MediaFlag::Echo, self.echo == Echo::Back),
            (MediaFlag::Blackhole, self.echo == Echo::Blackhole),
            (MediaFlag::Transcoding, self.transcodes),
        ]
        .into_iter()
        .filter_map(|(flag, holds)| holds.then_some(flag))
        .collect()
    }

    pub(super) fn stream_flags(&self, half: Half) -> Vec<StreamFlag> {
        if self.is_unused {
            return Vec::new();
        }
        let stream = self.stream(half);
        let muxed = self.mux.is_spoken_of();
        let is_known = !stream.status.is_doubted() || stream.status.path() == Path::Kernel;
        let settled = is_known && stream.status.learned().is_some_and(|learned| learned.settled);
        // Before the source is settled nobody has asked the kernel.
        let unsupported = settled && stream.status.was_attempted() && is_unsupported(stream.status.path());
        [
            (StreamFlag::Rtp, half == Half::Rtp),
            (StreamFlag::Rtcp, half == Half::Rtcp || muxed),
            (StreamFlag::FallbackRtcp, half == Half::Rtcp && muxed),
            (
                StreamFlag::Filled,
                self.endpoints.stated.is_some() && self.passing == Passing::No,
            ),
            (StreamFlag::Confirmed, settled),
            (
                StreamFlag::Kernelized,
                unsupported || stream.status.path() == Path::Kernel,
            ),
            (StreamFlag::NoKernelSupport, unsupported),
            (
                StreamFlag::DtlsVerified,
                stream.status.dtls() == Some(DtlsState::Established),
            ),
            (
                StreamFlag::StrictSource,
                self.sources.others == SourcePolicy::Drop || self.sources.strict_handover,
            ),
            (
                StreamFlag::MediaHandover,
                self.sources.others == SourcePolicy::Follow || self.sources.strict_handover,
            ),
        ]
        .into_iter()
        .filter_map(|(flag, holds)| holds.then_some(flag))
        .collect()
    }
}

/// Whether it is known that the kernel does not have the stream, and will not as things are.
fn is_unsupported(path: Path) -> bool {
    match path {
        Path::Kernel => false,
        Path::Userspace(reason) => !matches!(
            reason,
            UserspaceReason::NoPacketYet | UserspaceReason::SwitchedOff | UserspaceReason::ResolvingRoute
        ),
    }
}
