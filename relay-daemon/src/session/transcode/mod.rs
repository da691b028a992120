//! Decoding what arrives at a stream and encoding it anew, for the receivers who have other codecs.
//!
//! The packets of an SSRC are put in order first ([`sequencer`]). Each is decoded once; every receiver has an encoder of its own
//! ([`output`]). All packets for such a receiver go through here, also those that pass as they are, as all are numbered together.

mod event;
mod output;
mod reports;
mod sequencer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use relay_common::packet::RtpHeader;
use smallvec::SmallVec;

use self::event::{Events, Part};
use self::output::Output;
use self::sequencer::{Follows, Sequencer};
use super::sink::{Passage, Sink, payload_range};
use super::{Exit, Flow, Session, extension};
use crate::clock::Time;
use crate::codec::{Decoder, Kind};
use crate::plan::{Conversion, EventConversion, PayloadTypes, Position, StreamId, Transcoding, Treatment};
use crate::srtp::{Error, MAX_TRAILER};

/// Of so many SSRCs of a stream is it remembered how far they are.
const MAX_SOURCES: usize = 20;

/// Where both sides have the same key, what we encode has an SSRC of its own, which differs from the sender's by this: two packets of
/// one SSRC and index under one key would be encrypted with one key stream (RFC 3711 section 9.1).
const OTHER_SSRC: u32 = 0x5a5a_5a5a;

/// What a label may add to a packet.
const MAX_EXTENSIONS: usize = 4 + 2 + 256;

/// The bit of the first byte that announces padding.
const PADDED: u8 = 0x20;

/// Decodes for the receivers of one stream.
#[derive(Debug)]
pub(super) struct Transcoder {
    targets: SmallVec<[Target; 1]>,
    /// Payload types of telephone events.
    events: PayloadTypes,
    sources: Vec<Source>,
    samples: Samples,
    /// The packet that is written at the moment.
    packet: Vec<u8>,
}

/// What the newest packet was decoded to, and as much silence.
#[derive(Debug, Default)]
struct Samples {
    decoded: Vec<i16>,
    silence: Vec<i16>,
}

/// A receiver.
#[derive(Debug)]
struct Target {
    sink: StreamId,
    transcoding: Arc<Transcoding>,
    /// What it gets of the media.
    media: Treatment,
}

/// An SSRC.
#[derive(Debug)]
struct Source {
    ssrc: u32,
    last: Time,
    sequencer: Sequencer,
    track: Track,
}

/// What its packets go through.
#[derive(Debug, Default)]
struct Track {
    decoders: SmallVec<[Known; 1]>,
    outputs: SmallVec<[Output; 1]>,
    event: Events,
}

/// A payload type and its decoder.
#[derive(Debug)]
struct Known {
    payload_type: u8,
    kind: Kind,
    decoder: Box<dyn Decoder>,
}

/// What a receiver is sent: the packet that it came of, with another header.
#[derive(Clone, Copy, Debug)]
struct Sent<'a> {
    packet: &'a [u8],
    header: RtpHeader,
    /// None if that stays as it was.
    payload: Option<&'a [u8]>,
}

impl Session {
    /// Begins to decode, goes on with it, or ends it, as the sinks say.
    pub(super) fn plan_transcoders(&mut self) {
        for index in 0..self.streams.len() {
            let is_readable = self.is_readable(index);
            let sinks = self.streams[index].sinks(Flow::Rtp).iter();
            let targets = sinks.filter(|_| is_readable).filter_map(|sink| {
                Some(Target {
                    sink: self.streams[sink.stream].id,
                    transcoding: Arc::clone(sink.transcoding()?),
                    media: sink.media,
                })
            });
            let targets: SmallVec<[Target; 1]> = targets.collect();
            let before = self.streams[index].transcoder.take();
            let events = self.streams[index].payloads.events;
            self.streams[index].transcoder = (!targets.is_empty()).then(|| match before {
                Some(before) => Box::new(before.go_on(targets, events)),
                None => Box::new(Transcoder::new(targets, events)),
            });
        }
    }

    /// Takes RTP that arrived for a stream, for those who have other codecs.
    pub(super) fn transcode(&mut self, now: Time, stream: usize, header: &RtpHeader, packet: &[u8]) {
        self.with_transcoder(stream, |transcoder, send| {
            transcoder.take(now, header, packet, send)
        });
    }

    /// When packets are waited for no longer.
    pub(super) fn transcoders_timeout(&self) -> Option<Time> {
        let transcoders = self
            .streams
            .iter()
            .filter_map(|stream| stream.transcoder.as_ref());
        transcoders
            .filter_map(|transcoder| transcoder.poll_timeout())
            .min()
    }

    /// Goes on without them.
    pub(super) fn handle_transcoders_timeout(&mut self, now: Time) {
        for stream in 0..self.streams.len() {
            self.with_transcoder(stream, |transcoder, send| transcoder.handle_timeout(now, send));
        }
    }

    fn with_transcoder(
        &mut self,
        stream: usize,
        work: impl FnOnce(&mut Transcoder, &mut dyn FnMut(StreamId, Sent)),
    ) {
        let Some(mut transcoder) = self.streams[stream].transcoder.take() else {
            return;
        };
        let mut packet = std::mem::take(&mut transcoder.packet);
        work(&mut transcoder, &mut |sink, sent| {
            self.send_transcoded(stream, sink, sent, &mut packet);
        });
        transcoder.packet = packet;
        self.streams[stream].transcoder = Some(transcoder);
    }

    fn send_transcoded(&mut self, source: usize, sink: StreamId, sent: Sent, packet: &mut Vec<u8>) {
        let stream = &self.streams[source];
        let mut sinks = stream.sinks(Flow::Rtp).iter();
        let Some(sink) = sinks.find(|known| self.streams[known.stream].id == sink).cloned() else {
            return;
        };
        packet.clear();
        let mut header = sent.header;
        sent.write(packet);
        if sink.bridge.has_shared_keys() {
            header.ssrc ^= OTHER_SSRC;
            packet[8..12].copy_from_slice(&header.ssrc.to_be_bytes());
        }
        if sent.payload.is_none() {
            let content = stream.content(Flow::Rtp, RtpHeader::parse(sent.packet).as_ref());
            match sink.passage(content, &stream.payloads) {
                Passage::Open(Some(change)) => change.apply(packet),
                Passage::Open(None) => {}
                Passage::Closed => return,
            }
        }
        let Some(Exit { from, to }) = self.exit(sink.stream) else {
            return;
        };
        let status = Arc::clone(&self.streams[sink.stream].status);
        let length = match self.protect(&sink, packet) {
            Ok(length) => length,
            Err(error) => {
                status.count_error_out();
                return status.count_srtp_error(error);
            }
        };
        self.outbox
            .push(from.id, to, |buffer| buffer.extend_from_slice(&packet[..length]));
        status.count_out(length);
        let log = &self.section_of(sink.stream).status.sent;
        log.count(None, &header, length, Position::Newest);
    }

    /// Labels a packet with its section and encrypts it, if it is to be so. Says how long it is then.
    fn protect(&mut self, sink: &Sink, packet: &mut Vec<u8>) -> Result<usize, Error> {
        let length = packet.len();
        packet.resize(length + MAX_EXTENSIONS + MAX_TRAILER, 0);
        let keeper = self.streams[sink.stream].keeper;
        let label = self.streams[sink.stream].label.as_ref();
        let length = extension::adapt(packet, length, sink.filter(), label);
        if !self.streams[keeper].security.is_srtp() {
            return Ok(length);
        }
        let outbound = self.streams[keeper].ciphers.outbound().ok_or(Error::NoKeys)?;
        outbound.protect_rtp(packet, length, None)
    }
}

impl Sent<'_> {
    /// Appends the packet.
    fn write(&self, packet: &mut Vec<u8>) {
        let begin = packet.len();
        match self.payload {
            Some(payload) => {
                let header = payload_range(self.packet).start;
                packet.extend_from_slice(&self.packet[..header]);
                packet.extend_from_slice(payload);
                // There is no padding any more.
                packet[begin] &= !PADDED;
            }
            None => packet.extend_from_slice(self.packet),
        }
        let header = &self.header;
        packet[begin + 1] = u8::from(header.marker) << 7 | header.payload_type;
        packet[begin + 2..][..2].copy_from_slice(&header.sequence.to_be_bytes());
        packet[begin + 4..][..4].copy_from_slice(&header.timestamp.to_be_bytes());
    }
}

impl Transcoder {
    fn new(targets: SmallVec<[Target; 1]>, events: PayloadTypes) -> Transcoder {
        Transcoder {
            targets,
            events,
            sources: Vec::new(),
            samples: Samples::default(),
            packet: Vec::new(),
        }
    }

    /// The same for other receivers. Those who were there before go on.
    fn go_on(mut self, targets: SmallVec<[Target; 1]>, events: PayloadTypes) -> Transcoder {
        for source in &mut self.sources {
            let outputs = &mut source.track.outputs;
            outputs.retain(|output| targets.iter().any(|target| target.sink == output.sink));
        }
        Transcoder {
            targets,
            events,
            ..self
        }
    }

    /// What a receiver was sent of an SSRC.
    fn output(&self, ssrc: u32, sink: StreamId) -> Option<&Output> {
        let source = self.sources.iter().find(|source| source.ssrc == ssrc)?;
        source.track.outputs.iter().find(|output| output.sink == sink)
    }

    fn take(
        &mut self,
        now: Time,
        header: &RtpHeader,
        packet: &[u8],
        mut send: &mut dyn FnMut(StreamId, Sent),
    ) {
        let Transcoder {
            targets,
            events,
            sources,
            samples,
            ..
        } = self;
        let Source {
            last,
            sequencer,
            track,
            ..
        } = source(sources, header.ssrc);
        *last = now;
        sequencer.take(now, header.sequence, packet, |packet, follows| {
            track.go_on(targets, (packet, follows), *events, samples, &mut send);
        });
    }

    /// When packets are waited for no longer.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.sources
            .iter()
            .filter_map(|source| source.sequencer.poll_timeout())
            .min()
    }

    fn handle_timeout(&mut self, now: Time, mut send: &mut dyn FnMut(StreamId, Sent)) {
        let Transcoder {
            targets,
            events,
            sources,
            samples,
            ..
        } = self;
        for Source { sequencer, track, .. } in sources {
            sequencer.handle_timeout(now, |packet, follows| {
                track.go_on(targets, (packet, follows), *events, samples, &mut send);
            });
        }
    }
}

/// What is known of an SSRC, in place of the one that was silent longest if there are too many.
fn source(sources: &mut Vec<Source>, ssrc: u32) -> &mut Source {
    let found = sources.iter().position(|source| source.ssrc == ssrc);
    let index = found.unwrap_or_else(|| {
        if sources.len() >= MAX_SOURCES {
            let oldest = sources.iter().enumerate().min_by_key(|(_, source)| source.last);
            let oldest = oldest.map_or(0, |(index, _)| index);
            sources.swap_remove(oldest);
        }
        sources.push(Source {
            ssrc,
            last: Time::default(),
            sequencer: Sequencer::default(),
            track: Track::default(),
        });
        sources.len() - 1
    });
    &mut sources[index]
}

impl Track {
    /// The next packet, for all receivers.
    fn go_on(
        &mut self,
        targets: &[Target],
        (packet, follows): (&[u8], Follows),
        events: PayloadTypes,
        samples: &mut Samples,
        send: &mut impl FnMut(StreamId, Sent),
    ) {
        let Some(header) = RtpHeader::parse(packet) else {
            return;
        };
        let payload = &packet[payload_range(packet)];
        if let Some(part) = self.event.follow(&header, payload, events) {
            return self.send_event(targets, packet, &header, part, send);
        }
        let mut decoded = None;
        for target in targets {
            let conversion = target.conversion(header.payload_type);
            // Blocked media is as good as lost.
            if conversion.is_some() && target.media == Treatment::Drop {
                continue;
            }
            let output = self.output(target.sink);
            if follows == Follows::Reset {
                output.reset(header.sequence);
            }
            let Some(conversion) = conversion else {
                let header = output.pass(&header);
                output.count(header.timestamp, packet.len());
                send(
                    target.sink,
                    Sent {
                        packet,
                        header,
                        payload: None,
                    },
                );
                continue;
            };
            if self.event.covers(&header) {
                self.output(target.sink).leave_out();
                continue;
            }
            let format = *decoded.get_or_insert_with(|| {
                samples.decoded.clear();
                let decoder = self.decoder(header.payload_type, conversion)?;
                decoder.decode(payload, &mut samples.decoded).ok()?;
                Some(decoder.format()).filter(|_| !samples.decoded.is_empty())
            });
            let output = self.output(target.sink);
            let Some(format) = format else {
                output.leave_out();
                continue;
            };
            let samples = match target.media {
                Treatment::Silence => samples.silence(conversion.from.kind.silence()),
                Treatment::Pass | Treatment::Drop => &samples.decoded,
            };
            output.take(&header, conversion, (format, samples), |header, payload| {
                let payload = Some(payload);
                send(
                    target.sink,
                    Sent {
                        packet,
                        header,
                        payload,
                    },
                );
            });
        }
    }

    /// A part of a telephone event, for all receivers. It is theirs even where they do not have events.
    fn send_event(
        &mut self,
        targets: &[Target],
        packet: &[u8],
        header: &RtpHeader,
        part: Part,
        send: &mut impl FnMut(StreamId, Sent),
    ) {
        for target in targets {
            let conversion = target.event(header.payload_type);
            let output = self.output(target.sink);
            let sent = output.event(header, &part, conversion);
            output.count(sent.header.timestamp, packet.len());
            let (header, payload) = (sent.header, sent.payload.as_ref().map(|payload| &payload[..]));
            send(
                target.sink,
                Sent {
                    packet,
                    header,
                    payload,
                },
            );
        }
    }

    /// The decoder of a payload type. Others than the first receiver get its format, too.
    fn decoder(&mut self, payload_type: u8, conversion: &Conversion) -> Option<&mut dyn Decoder> {
        let kind = conversion.from.kind;
        let is_it = |known: &Known| (known.payload_type, known.kind) == (payload_type, kind);
        let found = self.decoders.iter().position(is_it);
        let index = match found {
            Some(index) => index,
            None => {
                self.decoders.retain(|known| known.payload_type != payload_type);
                let decoder = kind.decoder(conversion.to.kind.format())?;
                self.decoders.push(Known {
                    payload_type,
                    kind,
                    decoder,
                });
                self.decoders.len() - 1
            }
        };
        Some(&mut *self.decoders[index].decoder)
    }

    fn output(&mut self, sink: StreamId) -> &mut Output {
        let found = self.outputs.iter().position(|output| output.sink == sink);
        let index = found.unwrap_or_else(|| {
            self.outputs.push(Output::new(sink));
            self.outputs.len() - 1
        });
        &mut self.outputs[index]
    }
}

impl Samples {
    fn silence(&mut self, level: i16) -> &[i16] {
        self.silence.clear();
        self.silence.resize(self.decoded.len(), level);
        &self.silence
    }
}

impl Target {
    fn conversion(&self, payload_type: u8) -> Option<&Conversion> {
        let mut conversions = self.transcoding.audio.iter();
        conversions.find(|conversion| conversion.from.payload_type == payload_type)
    }

    fn event(&self, payload_type: u8) -> Option<&EventConversion> {
        let mut conversions = self.transcoding.events.iter();
        conversions.find(|conversion| conversion.from.0 == payload_type)
    }
}
