//! What of a stream's media its sinks get, and what of that the kernel can do.

use std::ops::Range;
use std::sync::Arc;

use relay_common::packet::RTP_HEADER;
use smallvec::SmallVec;

use super::secure::Bridge;
use crate::plan::{
    ExtensionFilter, PayloadTypes, Payloads, Renumbering, SinkPlan, Transcoding, Treatment, UserspaceReason,
};

/// The receivers of a stream.
pub(super) type Sinks = SmallVec<[Sink; 1]>;

/// A receiver of what arrives at a stream.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    /// Index of the stream through which it receives.
    pub(super) stream: usize,
    pub(super) media: Treatment,
    drop_events: bool,
    renumbering: Renumbering,
    transcoding: Option<Arc<Transcoding>>,
    /// Which header extensions it gets, if not all.
    pub(super) extensions: Option<ExtensionFilter>,
    /// How packets get there.
    pub(super) bridge: Bridge,
    /// Whether RTCP feedback is kept from it.
    pub(super) strips_feedback: bool,
}

/// What is changed in a copy of an RTP packet before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// The byte that the payload is made of.
    silence: Option<u8>,
    /// The payload type.
    payload_type: Option<u8>,
}

/// What a packet carries, as far as its sinks care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Media of a payload type.
    Media(u8),
    /// A telephone event of a payload type.
    Event(u8),
    /// A datagram of unknown kind.
    Unknown,
    /// RTCP.
    Reports,
    /// STUN or DTLS between the parties.
    Check,
}

/// What becomes of a packet on its way to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It is not sent.
    Closed,
    /// It is sent, perhaps changed.
    Open(Option<Change>),
}

/// What the kernel does for a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KernelShare {
    /// Index of the stream that media goes out by. With blocked media, the one that it would.
    pub(super) sink: usize,
    /// Whether media is dropped.
    pub(super) blocked: bool,
    /// What it leaves to userspace.
    pub(super) userspace: PayloadTypes,
}

impl Sink {
    /// A sink as planned, found at an index.
    pub(super) fn new(plan: SinkPlan, stream: usize) -> Sink {
        Sink {
            stream,
            media: plan.media,
            drop_events: plan.drop_events,
            renumbering: plan.renumbering,
            transcoding: plan.transcoding,
            extensions: plan.extensions,
            bridge: Bridge::default(),
            strips_feedback: false,
        }
    }

    /// Whether media could get there, if it were not blocked.
    pub(super) fn is_connected(&self) -> bool {
        self.bridge != Bridge::Blocked
    }

    /// Whether media gets there.
    pub(super) fn gets_media(&self) -> bool {
        self.media != Treatment::Drop && self.is_connected()
    }

    /// What is decoded and encoded anew for it.
    pub(super) fn transcoding(&self) -> Option<&Arc<Transcoding>> {
        self.transcoding.as_ref().filter(|_| self.is_connected())
    }

    /// Whether what arrives encrypted has to be decrypted for it.
    pub(super) fn needs_plain(&self) -> bool {
        match self.bridge {
            Bridge::Decrypt | Bridge::Encrypt | Bridge::Recrypt => true,
            Bridge::SharedKeys => {
                let is_changed = self.media == Treatment::Silence || !self.renumbering.is_empty();
                is_changed || self.transcoding.is_some()
            }
            Bridge::Same | Bridge::Blocked => false,
        }
    }

    /// Which header extensions are taken out. What has the same key on both sides must be the same there.
    pub(super) fn filter(&self) -> Option<&ExtensionFilter> {
        let is_fixed = self.bridge.has_shared_keys();
        self.extensions.as_ref().filter(|_| !is_fixed)
    }

    /// What becomes of a packet.
    pub(super) fn passage(&self, content: Content, payloads: &Payloads) -> Passage {
        let changed = |payload_type: u8, silence: Option<u8>| {
            let change = Change {
                silence,
                payload_type: self.renumbering.of(payload_type),
            };
            Passage::Open((change != Change::default()).then_some(change))
        };
        match (content, self.media) {
            (Content::Reports | Content::Check, _) => Passage::Open(None),
            (Content::Unknown, Treatment::Drop) => Passage::Closed,
            (Content::Unknown, Treatment::Pass | Treatment::Silence) => Passage::Open(None),
            (Content::Event(_), _) if self.drop_events => Passage::Closed,
            (Content::Event(payload_type), _) | (Content::Media(payload_type), Treatment::Pass) => {
                changed(payload_type, None)
            }
            (Content::Media(_), Treatment::Drop) => Passage::Closed,
            (Content::Media(payload_type), Treatment::Silence) => match payloads.silence(payload_type) {
                Some(silence) => changed(payload_type, Some(silence)),
                None => Passage::Closed,
            },
        }
    }
}

impl Change {
    /// Makes the change. A packet that is no RTP stays as it is.
    pub(super) fn apply(&self, packet: &mut [u8]) {
        if packet.len() < RTP_HEADER {
            return;
        }
        if let Some(payload_type) = self.payload_type {
            packet[1] = packet[1] & 0x80 | payload_type & 0x7f;
        }
        if let Some(silence) = self.silence {
            let payload = payload_range(packet);
            packet[payload].fill(silence);
        }
    }
}

/// What the kernel can do for media with these sinks, given which payload types are telephone events; or why nothing.
pub(super) fn kernel_share(sinks: &[Sink], events: PayloadTypes) -> Result<KernelShare, UserspaceReason> {
    let mut receivers = sinks.iter().filter(|sink| sink.media != Treatment::Drop);
    let receiver = receivers.next();
    if receivers.next().is_some() {
        return Err(UserspaceReason::SeveralReceivers);
    }
    let is_changed = |sink: &Sink| {
        let removes = sink.filter().is_some_and(|filter| filter.removes);
        removes || sink.media == Treatment::Silence || !sink.renumbering.is_empty()
    };
    if receiver.is_some_and(|sink| sink.transcoding().is_some()) {
        return Err(UserspaceReason::Transcoded);
    }
    if receiver.is_some_and(is_changed) {
        return Err(UserspaceReason::Changed);
    }
    if let Some(receiver) = receiver {
        receiver.bridge.check_unchanged()?;
    }
    let sink = receiver.or(sinks.first()).ok_or(UserspaceReason::NotForwarded)?;
    let events_go_their_own_way = sinks
        .iter()
        .any(|sink| sink.drop_events != (sink.media == Treatment::Drop));
    Ok(KernelShare {
        sink: sink.stream,
        blocked: receiver.is_none(),
        userspace: match events_go_their_own_way {
            true => events,
            false => PayloadTypes::default(),
        },
    })
}

/// Length of the header of an RTP packet, with contributors and extension (RFC 3550 section 5.1). None if the packet ends before.
pub(super) fn header_length(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let contributors = 4 * usize::from(first & 0x0f);
    let mut length = RTP_HEADER + contributors;
    if first & 0x10 != 0 {
        let &[_, _, high, low] = packet.get(length..)?.first_chunk()?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    }
    (length <= packet.len()).then_some(length)
}

/// Where what follows the header of an RTP packet is, without padding (RFC 3550 section 5.1). Empty if the packet ends before.
pub(super) fn payload_range(packet: &[u8]) -> Range<usize> {
    let (Some(first), Some(start)) = (packet.first(), header_length(packet)) else {
        return 0..0;
    };
    let padding = match packet.last() {
        Some(padding) if first & 0x20 != 0 => usize::from(*padding),
        Some(_) | None => 0,
    };
    let end = packet.len().saturating_sub(padding);
    if start > end {
        return 0..0;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::StreamId;

    const EVENT: u8 = 101;

    fn sink(stream: u32, media: Treatment, drop_events: bool) -> Sink {
        let plan = SinkPlan {
            media,
            drop_events,
            ..StreamId(stream).into()
        };
        Sink::new(plan, stream as usize)
    }

    fn events() -> PayloadTypes {
        let mut events = PayloadTypes::default();
        events.insert(EVENT);
        events
    }

    fn share(sinks: &[Sink]) -> Result<(usize, bool, bool), UserspaceReason> {
        let share = kernel_share(sinks, events())?;
        Ok((share.sink, share.blocked, share.userspace.contains(EVENT)))
    }

    #[test]
    fn what_the_kernel_can_do() {
        use Treatment::{Drop, Pass, Silence};
        assert_eq!(share(&[]), Err(UserspaceReason::NotForwarded));
        assert_eq!(share(&[sink(1, Pass, false)]), Ok((1, false, false)));
        assert_eq!(share(&[sink(1, Pass, true)]), Ok((1, false, true)));
        assert_eq!(share(&[sink(1, Drop, true)]), Ok((1, true, false)));
        assert_eq!(share(&[sink(1, Drop, false)]), Ok((1, true, true)));
        assert_eq!(share(&[sink(1, Silence, false)]), Err(UserspaceReason::Changed));
        assert_eq!(
            share(&[sink(1, Pass, false), sink(2, Pass, false)]),
            Err(UserspaceReason::SeveralReceivers)
        );
        // Who gets nothing does not count.
        let one_of_two = [sink(1, Drop, true), sink(2, Pass, false)];
        assert_eq!(share(&one_of_two), Ok((2, false, false)));
        let events_for_both = [sink(1, Drop, false), sink(2, Pass, false)];
        assert_eq!(share(&events_for_both), Ok((2, false, true)));
    }

    #[test]
    fn payload_types_are_renumbered_in_userspace() {
        let mut renumbering = Renumbering::default();
        renumbering.insert(111, 106);
        let sink = Sink::new(
            SinkPlan {
                renumbering,
                ..StreamId(1).into()
            },
            1,
        );
        assert_eq!(share(std::slice::from_ref(&sink)), Err(UserspaceReason::Changed));
        let passage = |content| sink.passage(content, &Payloads::default());
        let renumbered = Change {
            payload_type: Some(106),
            ..Change::default()
        };
        assert_eq!(passage(Content::Media(111)), Passage::Open(Some(renumbered)));
        assert_eq!(passage(Content::Event(111)), Passage::Open(Some(renumbered)));
        assert_eq!(passage(Content::Media(8)), Passage::Open(None));
    }

    #[test]
    fn silence_covers_the_payload_and_nothing_else() {
        let change = Change {
            silence: Some(0xd5),
            payload_type: Some(97),
        };
        // Two contributors, an extension of one word, five bytes of payload, three of padding.
        let mut packet: Vec<u8> = (0..12 + 8 + 8 + 5 + 3).collect();
        packet[0] = 0xb2;
        packet[1] = 0x80 | 96;
        packet[22..24].copy_from_slice(&[0, 1]);
        let last = packet.len() - 1;
        packet[last] = 3;
        let mut expected = packet.clone();
        expected[1] = 0x80 | 97;
        expected[28..33].fill(0xd5);
        change.apply(&mut packet);
        assert_eq!(packet, expected);
    }

    #[test]
    fn silence_needs_a_codec_that_it_is_known_of() {
        let payloads = Payloads {
            events: events(),
            silence: SmallVec::from_slice(&[(8, 0xd5)]),
        };
        let passage = |sink: &Sink, content| sink.passage(content, &payloads);
        let silent = sink(1, Treatment::Silence, false);
        let Passage::Open(Some(change)) = passage(&silent, Content::Media(8)) else {
            panic!("silence is known");
        };
        assert_eq!(change.silence, Some(0xd5));
        assert_eq!(passage(&silent, Content::Media(111)), Passage::Closed);
        assert_eq!(passage(&silent, Content::Event(EVENT)), Passage::Open(None));
        assert_eq!(passage(&silent, Content::Unknown), Passage::Open(None));
        let blocked = sink(1, Treatment::Drop, false);
        assert_eq!(passage(&blocked, Content::Event(EVENT)), Passage::Open(None));
        assert_eq!(passage(&blocked, Content::Reports), Passage::Open(None));
        assert_eq!(passage(&blocked, Content::Unknown), Passage::Closed);
    }

    proptest! {
        #[test]
        fn any_bytes_are_changed_without_harm(
            mut packet in prop::collection::vec(any::<u8>(), 0..80),
            silence in prop::option::of(any::<u8>()),
            payload_type in prop::option::of(0..128u8),
        ) {
            let before = packet.clone();
            let change = Change { silence, payload_type };
            change.apply(&mut packet);
            prop_assert_eq!(packet.len(), before.len());
            let kept = packet.iter().zip(&before).enumerate().take(12);
            prop_assert!(kept.filter(|(index, _)| *index != 1).all(|(_, (now, then))| now == then));
        }
    }
}
