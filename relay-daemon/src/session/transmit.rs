//! What is sent for a datagram, to each of its receivers in turn.

use super::secure::Seal;
use super::sink::{Content, Passage};
use super::{Exit, Flow, Relaying, Sender, Session, Transmit};
use crate::plan::Position;

impl Session {
    /// The next receiver of the datagram handled last.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let Relaying {
            source,
            flow,
            content,
            opened,
            sender,
            is_extended,
            mut next,
        } = self.relaying.take()?;
        let stream = &self.streams[source];
        let sinks = stream.sinks(flow);
        while let Some(sink) = sinks.get(next) {
            next += 1;
            if flow == Flow::Rtp && sink.transcoding().is_some() {
                // It is sent all that by the transcoder.
                continue;
            }
            let Passage::Open(change) = sink.passage(content, &stream.payloads) else {
                if let Sender::Rtp(header) = sender {
                    self.section_of(sink.stream).status.sent.note(None, header.ssrc);
                }
                continue;
            };
            let (Some(Exit { from, to }), Some(seal)) = (self.exit(sink.stream), sink.bridge.seal(&opened))
            else {
                if let Sender::Rtp(header) = sender {
                    let log = &self.section_of(sink.stream).status.sent;
                    match self.streams[sink.stream].is_waiting() {
                        true => log.note(None, header.ssrc),
                        false => log.note_turn(&header),
                    }
                }
                continue;
            };
            let is_rtcp = content == Content::Reports;
            let strips_feedback = is_rtcp && sink.strips_feedback;
            // What has the same key and index on both sides must be the same there.
            let is_fixed = sink.bridge.has_shared_keys();
            let translates =
                is_rtcp && opened.is_plain() && !is_fixed && self.translates_reports(source, sink.stream);
            let is_rtp = matches!(sender, Sender::Rtp(_)) && flow == Flow::Rtp;
            let filters = is_rtp && is_extended && sink.filter().is_some();
            let place = next - 1;
            let labels = is_rtp && self.is_labelled(sink, seal);
            let sink = sink.stream;
            self.relaying = Some(Relaying {
                source,
                flow,
                content,
                opened,
                sender,
                is_extended,
                next,
            });
            return Some(Transmit {
                from: from.id,
                to,
                length: opened.length,
                rewritten: change.is_some()
                    || strips_feedback
                    || translates
                    || filters
                    || labels
                    || seal != Seal::Done,
                change,
                strips_feedback,
                translates,
                filters,
                labels,
                seal,
                is_rtcp,
                sender,
                source,
                sink,
                place,
            });
        }
        None
    }

    /// A datagram of so many bytes was sent, or could not be. To be told before the next plan.
    pub fn handle_sent(&mut self, transmit: &Transmit, length: usize, sent: bool) {
        let [Some(source), Some(sink)] =
            [transmit.source, transmit.sink].map(|stream| self.streams.get(stream))
        else {
            return;
        };
        if sent {
            sink.status.count_out(length);
            let log = &self.section_of(transmit.sink).status.sent;
            match transmit.sender {
                Sender::Rtp(header) => log.count(None, &header, length, Position::Newest),
                Sender::Rtcp(_) | Sender::Unknown => {}
            }
        } else {
            source.status.count_error_in();
            sink.status.count_error_out();
        }
    }
}
