//! What one receiver is sent of one SSRC that is decoded for it: samples are gathered into packets of its own packet time, numbered
//! and timed like the sender's as far as that goes (RFC 3550 section 5.1).

use relay_common::packet::{RTP_HEADER, RtpHeader};

use super::event::Part;
use crate::codec::{Encoder, Format, Kind, Resampler};
use crate::plan::{Conversion, EventConversion, StreamId};

/// The receiver's view of an SSRC.
#[derive(Debug)]
pub(super) struct Output {
    /// Through which stream it receives.
    pub(super) sink: StreamId,
    /// What its sequence numbers have more than the sender's.
    shift: u16,
    last_sequence: Option<u16>,
    /// Of the next audio.
    timestamp: Option<u32>,
    /// Of the newest telephone event.
    event: u32,
    account: Account,
    encoding: Option<Encoding>,
    /// Samples that do not fill a packet yet.
    pending: Vec<i16>,
    /// The payload that is sent at the moment.
    payload: Vec<u8>,
}

/// A packet of an event for a receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventPacket {
    pub(super) header: RtpHeader,
    /// None if that stays as it was.
    pub(super) payload: Option<[u8; 4]>,
}

/// What was sent, as a sender report tells it (RFC 3550 section 6.4.1), but that octets count with their headers as in the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Of the newest packet.
    pub(super) timestamp: u32,
    pub(super) packets: u32,
    pub(super) octets: u32,
}

/// What samples go through.
#[derive(Debug)]
struct Encoding {
    kind: Kind,
    encoder: Box<dyn Encoder>,
    /// What is decoded.
    source: Format,
    /// None where both rates are the same.
    resampler: Option<Resampler>,
    mixed: Vec<i16>,
}

impl Output {
    pub(super) fn new(sink: StreamId) -> Output {
        Output {
            sink,
            shift: 0,
            last_sequence: None,
            timestamp: None,
            event: 0,
            account: Account::default(),
            encoding: None,
            pending: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// What was sent. None if nothing was.
    pub(super) fn account(&self) -> Option<Account> {
        Some(self.account).filter(|account| account.packets > 0)
    }

    /// What the receiver's sequence numbers have more than the sender's.
    pub(super) fn shift(&self) -> i16 {
        self.shift.cast_signed()
    }

    /// A packet was sent.
    pub(super) fn count(&mut self, timestamp: u32, octets: usize) {
        self.account = self.account.and(timestamp, octets);
    }

    /// The sender counts anew from this number: the receiver's numbers go on.
    pub(super) fn reset(&mut self, sequence: u16) {
        if let Some(last) = self.last_sequence {
            self.shift = last.wrapping_add(1).wrapping_sub(sequence);
        }
    }

    /// The header of a packet that passes as it is, but for its number.
    pub(super) fn pass(&mut self, header: &RtpHeader) -> RtpHeader {
        let sequence = header.sequence.wrapping_add(self.shift);
        self.last_sequence = Some(sequence);
        RtpHeader { sequence, ..*header }
    }

    /// A packet of a telephone event. If the receiver has events, it gets its own, and audio goes on behind it.
    pub(super) fn event(
        &mut self,
        header: &RtpHeader,
        part: &Part,
        conversion: Option<&EventConversion>,
    ) -> EventPacket {
        let header = self.pass(header);
        let Some(EventConversion { from, to }) = conversion else {
            return EventPacket {
                header,
                payload: None,
            };
        };
        let scaled = |units: u16| u64::from(units) * u64::from(to.1) / u64::from(from.1.max(1));
        if part.begins {
            self.event = self.timestamp.unwrap_or(header.timestamp);
        }
        if part.ends {
            let after = self
                .event
                .wrapping_add(u32::try_from(scaled(part.duration)).unwrap_or(0));
            self.timestamp = Some(after);
        }
        let [high, low] = u16::try_from(scaled(part.duration))
            .unwrap_or(u16::MAX)
            .to_be_bytes();
        let [event, flags] = part.head;
        EventPacket {
            header: RtpHeader {
                payload_type: to.0,
                timestamp: self.event,
                ..header
            },
            payload: Some([event, flags, high, low]),
        }
    }

    /// A packet is left out: the next one gets its number.
    pub(super) fn leave_out(&mut self) {
        self.shift = self.shift.wrapping_sub(1);
    }

    /// What a packet was decoded to, and its header. Gives the header and the payload of each packet that is full.
    pub(super) fn take(
        &mut self,
        header: &RtpHeader,
        conversion: &Conversion,
        (format, samples): (Format, &[i16]),
        mut send: impl FnMut(RtpHeader, &[u8]),
    ) {
        let encoding = match self.encoding.take() {
            Some(encoding) if encoding.kind == conversion.to.kind && encoding.source == format => {
                Some(encoding)
            }
            before => {
                if before.is_none_or(|before| before.kind != conversion.to.kind) {
                    self.pending.clear();
                }
                Encoding::new(conversion.to.kind, format)
            }
        };
        let Some(mut encoding) = encoding else {
            // Rates that do not come together.
            return self.leave_out();
        };
        encoding.convert(samples, &mut self.pending);
        let target = encoding.encoder.format();
        let size = encoding.encoder.packet(conversion.packet_time);
        let duration =
            size / usize::from(target.channels) * conversion.to.clock_rate as usize / target.rate as usize;
        let timestamp = self.timestamp.get_or_insert(header.timestamp);
        let mut sequence = header.sequence.wrapping_add(self.shift);
        let mut sent = 0_u16;
        for samples in self.pending.chunks_exact(size) {
            self.payload.clear();
            encoding.encoder.encode(samples, &mut self.payload);
            let header = RtpHeader {
                marker: false,
                payload_type: conversion.to.payload_type,
                sequence,
                timestamp: *timestamp,
                ssrc: header.ssrc,
            };
            send(header, &self.payload);
            self.account = self
                .account
                .and(header.timestamp, RTP_HEADER + self.payload.len());
            self.last_sequence = Some(sequence);
            sequence = sequence.wrapping_add(1);
            *timestamp = timestamp.wrapping_add(u32::try_from(duration).unwrap_or(0));
            sent += 1;
        }
        self.pending.drain(..usize::from(sent) * size);
        self.shift = self.shift.wrapping_add(sent).wrapping_sub(1);
        self.encoding = Some(encoding);
    }
}

impl Account {
    /// With another packet.
    fn and(self, timestamp: u32, octets: usize) -> Account {
        Account {
            timestamp,
            packets: self.packets.wrapping_add(1),
            octets: self.octets.wrapping_add(u32::try_from(octets).unwrap_or(0)),
        }
    }
}

impl Encoding {
    fn new(kind: Kind, source: Format) -> Option<Encoding> {
        let encoder = kind.encoder(source)?;
        let target = encoder.format();
        let resampler = match source.rate == target.rate {
            true => None,
            false => Some(Resampler::new(source.rate, target.rate, target.channels.into())?),
        };
        Some(Encoding {
            kind,
            encoder,
            source,
            resampler,
            mixed: Vec::new(),
        })
    }

    /// Appends samples as the encoder takes them.
    fn convert(&mut self, samples: &[i16], output: &mut Vec<i16>) {
        let target = self.encoder.format();
        self.mixed.clear();
        match (self.source.channels, target.channels) {
            (1, 2) => self.mixed.extend(samples.iter().flat_map(|value| [*value; 2])),
            (2, 1) => {
                let pairs = samples.as_chunks::<2>().0.iter();
                self.mixed
                    .extend(pairs.map(|[left, right]| left.midpoint(*right)));
            }
            _ => self.mixed.extend_from_slice(samples),
        }
        match &mut self.resampler {
            Some(resampler) => resampler.run(&self.mixed, output),
            None => output.extend_from_slice(&self.mixed),
        }
    }
}
