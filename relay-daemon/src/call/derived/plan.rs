//! What a call asks of its media: the whole of it, computed anew after each change.

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::call::model::flow::{FlowKind, MediaId};
use crate::call::model::half::Half;
use crate::call::model::media::{Echo, Media, Role, Sending};
use crate::call::model::state::Call;
use crate::call::model::stream::Stream;
use crate::call::model::subscription::Way;
use crate::call::section::environment::Environment;
use crate::call::section::mux::Agreed;
use crate::call::section::ports::{PortSet, RtcpPort};
use crate::plan::{
    Host, IcePlan, LocalPort, PayloadTypes, Payloads, Plan, Renumbering, SinkPlan, StreamId, StreamKind,
    StreamPlan, Treatment,
};
use crate::sdp::Codec;
use crate::security::{IceRole, MediaSecurity};

impl Call {
    /// All that is asked of the media at present.
    pub(in crate::call) fn plan(&self, environment: &Environment) -> Plan {
        let mut streams = Vec::new();
        for (id, media) in self.sections() {
            streams.extend(self.stream_plan(id, media, Half::Rtp));
            streams.extend(self.stream_plan(id, media, Half::Rtcp));
        }
        streams.sort_by_key(|stream| stream.id);
        Plan {
            call: self.key,
            revision: self.revision,
            progress: self.progress.clone(),
            streams,
            kernel: self.kernel,
            reports: (self.parties.iter().any(|party| party.gets_reports))
                .then(|| environment.reports(self.key, self.report_ways())),
            mos: environment.settings.mos,
        }
    }

    /// The streams of RTP whose parties get RTCP, and by which streams.
    fn report_ways(&self) -> Vec<(StreamId, StreamId)> {
        let sections = self
            .sections()
            .filter(|(id, _)| self.party(id.party).gets_reports);
        let open = sections
            .map(|(_, media)| media)
            .filter(|media| media.is_rtp() && media.is_open());
        open.filter_map(|media| Some((media.rtp.id, media.rtcp_sink()?)))
            .collect()
    }

    /// None for a transport without ports.
    fn stream_plan(&self, id: MediaId, media: &Media, half: Half) -> Option<StreamPlan> {
        let ports = media.bound(half);
        let bundle = media.bundle_plan(&self.party(id.party).media, half);
        if ports.is_empty() && bundle.is_none() {
            return None;
        }
        let stream = media.stream(half);
        // The party looks for none of its own ports any more.
        let is_carried = bundle
            .as_ref()
            .is_some_and(|bundle| bundle.joined && bundle.lead != stream.id);
        let remote = media.reachable().map(|remote| match half {
            Half::Rtp => remote.rtp,
            Half::Rtcp => remote.rtcp,
        });
        let (sinks, rtcp_sinks) = self.sinks(id, media, half);
        Some(StreamPlan {
            id: stream.id,
            kind: match (media.is_rtp(), half) {
                (true, Half::Rtp) => StreamKind::Rtp,
                (true, Half::Rtcp) => StreamKind::Rtcp,
                (false, Half::Rtp | Half::Rtcp) => StreamKind::Datagrams,
            },
            ports,
            remote: remote.filter(|remote| remote.port() != 0 && !remote.ip().is_unspecified()),
            learning: media.sources.learning,
            signalled_at: stream.signalled_at,
            other_source: media.sources.others,
            asymmetric: media.sources.sending == Sending::Asymmetric,
            waits: media.sources.wait,
            pierces: media.sources.pierce,
            recrypts: media.sources.recrypt,
            is_closed: media.ports.current().is_none() && bundle.is_none(),
            even: media.even_payload_types(),
            known: media.known_payload_types(half),
            payloads: self.payloads(id, media, &sinks),
            sinks,
            rtcp_sinks,
            check_sinks: self.check_sinks(id, media, half),
            bundle,
            label: media.label().filter(|_| half == Half::Rtp && media.is_rtp()),
            ice: (half == Half::Rtp && !is_carried)
                .then(|| media.ice_plan())
                .flatten(),
            security: media.crypto.security().clone(),
            credentials: media.crypto.credentials(),
            rtp: (half == Half::Rtcp && media.is_rtp()).then_some(media.rtp.id),
            feedback: media.protocol.has_feedback(),
            clocks: self.clocks(id, media, half),
            tos: self.tos,
            status: stream.status.clone(),
        })
    }

    /// Who gets what arrives: media, and RTCP.
    pub(in crate::call) fn sinks(&self, id: MediaId, media: &Media, half: Half) -> (Sinks, RtcpSinks) {
        let (mut sinks, mut rtcp_sinks) = (Sinks::new(), RtcpSinks::new());
        if !media.is_open() || media.echo == Echo::Blackhole {
            return (sinks, rtcp_sinks);
        }
        let carries_media = media.direction.sends() && (half == Half::Rtp || !media.is_rtp());
        if media.echo == Echo::Back {
            let own = media
                .sink(half)
                .filter(|_| carries_media && media.accepts_media());
            // What is blocked is not heard by oneself either.
            let way = Way::direct(id, id, FlowKind::OfferAnswer);
            sinks.extend(own.map(|stream| self.sink_plan(id, &way, stream)));
            return (sinks, rtcp_sinks);
        }
        for way in self.ways_from(id) {
            let fits = |sink: &&Media| sink.is_open() && sink.is_rtp() == media.is_rtp();
            let Some(sink) = self.media(way.sink).filter(fits) else {
                continue;
            };
            if carries_media && sink.accepts_media() && !way.rtcp_only {
                let plan = sink.sink(half).map(|stream| SinkPlan {
                    renumbering: way.renumbering(media, sink),
                    transcoding: way.transcoding(media, sink),
                    extensions: media.extension_filter(sink),
                    ..self.sink_plan(id, &way, stream)
                });
                sinks.extend(plan.map(|plan| media.within_reach(sink, plan)));
            }
            if media.is_rtp() {
                rtcp_sinks.extend(sink.rtcp_sink());
            }
        }
        (sinks, rtcp_sinks)
    }

    /// Who gets the checks and handshakes that pass from party to party, whatever becomes of the media.
    fn check_sinks(&self, id: MediaId, media: &Media, half: Half) -> RtcpSinks {
        if !media.is_rtp() || !media.is_open() || !media.passes_through() {
            return RtcpSinks::new();
        }
        let receivers = self.receivers(id, media).filter(|sink| sink.passes_through());
        receivers.filter_map(|sink| sink.sink(half)).collect()
    }

    /// Whether both sides of some media have agreed on encryption, and what one of them sends cannot be made what the other
    /// one reads.
    pub(in crate::call) fn is_encrypted_beyond_reach(&self) -> bool {
        self.sections().any(|(id, media)| {
            let settled = |sink: &&Media| media.crypto.is_settled() && sink.crypto.is_settled();
            self.receivers(id, media)
                .filter(settled)
                .any(|sink| !media.crypto.security().reaches(sink.crypto.security()))
        })
    }

    /// Sections of other parties that are to get something of what a party sends.
    fn receivers<'a>(&'a self, id: MediaId, media: &'a Media) -> impl Iterator<Item = &'a Media> {
        let sinks = self.ways_from(id).into_iter();
        let sinks = sinks.filter_map(|way| self.media(way.sink));
        sinks.filter(|sink| media.is_open() && sink.is_open() && sink.is_rtp() == media.is_rtp())
    }

    /// What is known of payload types, if any sink does not get everything.
    fn payloads(&self, id: MediaId, media: &Media, sinks: &Sinks) -> Payloads {
        let mut payloads = Payloads::default();
        if sinks.iter().all(|sink| *sink == SinkPlan::from(sink.stream)) {
            return payloads;
        }
        let ways = self.ways_from(id);
        let others = ways.iter().filter_map(|way| self.media(way.sink));
        for media in others.chain([media]) {
            let remote_section = media.section().map(|section| section.codecs.as_slice());
            for codec in remote_section
                .unwrap_or_default()
                .iter()
                .chain(media.local_codecs.list())
            {
                payloads.learn(codec);
            }
        }
        payloads
    }
}

/// Streams that get media.
pub(in crate::call) type Sinks = SmallVec<[SinkPlan; 1]>;

/// Streams that get RTCP, or checks.
type RtcpSinks = SmallVec<[StreamId; 1]>;

impl Payloads {
    /// Takes note of what a codec means to those who block or silence.
    fn learn(&mut self, codec: &Codec) {
        if codec.is("telephone-event") {
            self.events.insert(codec.payload_type);
        }
        let known = SILENCE.iter().find(|(encoding, _)| codec.is(encoding));
        let silence = known.map(|(_, byte)| (codec.payload_type, *byte));
        if self.silence(codec.payload_type).is_none() {
            self.silence.extend(silence);
        }
    }
}

/// Codecs in which silence is one byte over and over: what an encoder makes of zeroes (ITU-T G.711, G.722).
const SILENCE: [(&str, u8); 3] = [("PCMU", 0xff), ("PCMA", 0xd5), ("G722", 0xfa)];

/// Codecs that make the same number of bytes of the same time, always.
const EVEN: [&str; 10] = [
    "PCMU", "PCMA", "G722", "G723", "G726-16", "G726-24", "G726-32", "G726-40", "G729", "G729a",
];

impl Media {
    /// One of the two transports.
    pub(in crate::call) fn stream(&self, half: Half) -> &Stream {
        match half {
            Half::Rtp => &self.rtp,
            Half::Rtcp => &self.rtcp,
        }
    }

    /// One of the two transports.
    pub(in crate::call) fn stream_mut(&mut self, half: Half) -> &mut Stream {
        match half {
            Half::Rtp => &mut self.rtp,
            Half::Rtcp => &mut self.rtcp,
        }
    }

    /// The ports of one of the two transports, the current one first.
    pub(in crate::call) fn bound(&self, half: Half) -> SmallVec<[LocalPort; 1]> {
        self.ports
            .all()
            .flat_map(PortSet::transports)
            .filter_map(|ports| match half {
                Half::Rtp => Some(ports.rtp),
                Half::Rtcp => ports.rtcp.bound(),
            })
            .collect()
    }

    /// What ICE with the party goes by, if there is any and the section has ports of its own.
    fn ice_plan(&self) -> Option<Box<IcePlan>> {
        let mut agent = self.ice.agent()?.clone();
        agent.complete |= !self.ice.peer_trickles();
        // Who was told another port for RTCP may use it until its answer says otherwise.
        let is_settled = self.remote_section.is_some() || self.mux.is_required();
        let components: &[(u8, Half)] = match self.mux.agreed {
            Agreed::Muxed if is_settled => &[(1, Half::Rtp)],
            Agreed::Muxed | Agreed::Separate => &[(1, Half::Rtp), (2, Half::Rtcp)],
        };
        let hosts: SmallVec<[Host; 2]> = components
            .iter()
            .flat_map(|(component, half)| {
                self.bound(*half).into_iter().map(|port| Host {
                    component: *component,
                    port: port.id,
                    address: port.address,
                })
            })
            .collect();
        (!hosts.is_empty()).then(|| {
            Box::new(IcePlan {
                agent,
                role: self.ice_role(),
                lite: self.ice.lite,
                peer_lite: self.ice.peer_is_lite(),
                hosts,
            })
        })
    }

    /// Who decides in ICE with the party.
    pub(in crate::call) fn ice_role(&self) -> IceRole {
        self.ice.role(self.role == Role::Answerer)
    }

    /// The party's candidates that ICE has decided on, by component, if it is completed and ours are the first ones. In a
    /// bundle the candidates are those of several sections, and nothing is said.
    pub(in crate::call) fn selected_pairs(&self, ports: &PortSet) -> Option<Vec<(u8, SocketAddr)>> {
        let ufrag = &self.ice.agent()?.local.ufrag;
        let remote = |stream: &Stream, port: LocalPort| {
            let selected = stream.status.selected()?;
            (selected.ufrag == *ufrag && selected.port == port.id).then_some(selected.remote)
        };
        if self.bundle.is_grouped() {
            return None;
        }
        let mut pairs = vec![(1, remote(&self.rtp, ports.rtp)?)];
        if let RtcpPort::Own(port) = ports.rtcp {
            pairs.push((2, remote(&self.rtcp, port)?));
        }
        Some(pairs)
    }

    /// Payload types whose packets are all of one size, if those that are shorter are to be dropped.
    fn even_payload_types(&self) -> PayloadTypes {
        let mut even = PayloadTypes::default();
        if self.sources.block_short {
            let remote_section = self.section().map(|section| section.codecs.as_slice());
            let codecs = remote_section
                .unwrap_or_default()
                .iter()
                .chain(self.local_codecs.list());
            for codec in codecs.filter(|codec| EVEN.iter().any(|encoding| codec.is(encoding))) {
                even.insert(codec.payload_type);
            }
        }
        even
    }

    /// Payload types that are no surprise.
    fn known_payload_types(&self, half: Half) -> PayloadTypes {
        let mut known = PayloadTypes::default();
        let remote_section = self.section().map(|section| section.codecs.as_slice());
        let codecs = match self.ever.is_empty() {
            true => remote_section.unwrap_or_default(),
            false => &self.ever,
        };
        if half == Half::Rtp && self.is_rtp() {
            codecs.iter().for_each(|codec| known.insert(codec.payload_type));
        }
        known
    }

    /// Whether what the party sends can go to another one as it is.
    fn passes_to(&self, other: &Media) -> bool {
        self.crypto.security().passes_to(other.crypto.security())
    }

    /// Whether what the party sends can be changed.
    fn is_readable(&self) -> bool {
        self.crypto.security().is_readable()
    }

    /// What can be done with what the party sends: what we cannot read cannot be silenced, only dropped. The same for media
    /// with the same keys on both sides: whoever sees silence and what it covers, encrypted with one key stream, sees both.
    fn within_reach(&self, sink: &Media, plan: SinkPlan) -> SinkPlan {
        let is_plain = *self.crypto.security() == MediaSecurity::Plain;
        let shares_keys = !is_plain && self.passes_to(sink);
        let plan = match self.is_readable() {
            true => plan,
            false => SinkPlan {
                renumbering: Renumbering::default(),
                transcoding: None,
                extensions: None,
                ..plan
            },
        };
        match plan.media {
            Treatment::Silence if shares_keys || !self.is_readable() => SinkPlan {
                media: Treatment::Drop,
                ..plan
            },
            Treatment::Pass | Treatment::Silence | Treatment::Drop => plan,
        }
    }

    /// Whether the section carries RTP.
    pub(in crate::call) fn is_rtp(&self) -> bool {
        self.protocol.is_rtp()
    }

    fn sink(&self, half: Half) -> Option<StreamId> {
        let is_bound = self.ports.current().is_some_and(|set| match half {
            Half::Rtp => true,
            Half::Rtcp => set.rtcp.bound().is_some(),
        });
        is_bound.then_some(self.stream(half).id)
    }

    /// The stream through which the party gets RTCP.
    fn rtcp_sink(&self) -> Option<StreamId> {
        match self.mux.agreed {
            Agreed::Muxed => self.sink(Half::Rtp),
            Agreed::Separate => self.sink(Half::Rtcp),
        }
    }
}
