//! Sections of a description: codecs, encryption, ICE, and all else that a client may say of its media.

use super::Vocabulary;
use super::client::{Client, Codec, DIRECTIONS, Sdp, Section};
use super::tables::{
    AUDIO, EVENTS, EXTENSIONS, EXTRA, FEEDBACK, SESSION_EXTRA, SUITES, VIDEO, codec, fingerprint, key,
};
use crate::random::Random;

/// How a client protects its media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    Plain,
    Feedback,
    Sdes,
    SdesFeedback,
    DtlsFeedback,
    Dtls,
    /// Both.
    Either,
    Opportunistic,
}

impl Protection {
    pub(crate) fn draw(random: &mut Random, vocabulary: &Vocabulary) -> Protection {
        if vocabulary.is_packets() {
            return Protection::Plain;
        }
        let (crypto, plain) = if vocabulary.has("crypto") {
            (10, 40)
        } else {
            (1, 60)
        };
        random.weighted(&[
            (plain, Protection::Plain),
            (8, Protection::Feedback),
            (crypto, Protection::Sdes),
            (crypto / 4, Protection::SdesFeedback),
            (crypto, Protection::DtlsFeedback),
            (crypto / 3, Protection::Dtls),
            (crypto / 3, Protection::Either),
            (crypto / 3, Protection::Opportunistic),
        ])
    }

    fn protocol(self) -> &'static str {
        match self {
            Protection::Plain | Protection::Opportunistic => "RTP/AVP",
            Protection::Feedback => "RTP/AVPF",
            Protection::Sdes => "RTP/SAVP",
            Protection::SdesFeedback => "RTP/SAVPF",
            Protection::DtlsFeedback | Protection::Either => "UDP/TLS/RTP/SAVPF",
            Protection::Dtls => "UDP/TLS/RTP/SAVP",
        }
    }
}

/// What the sections of one description have in common.
pub(crate) struct Style {
    protection: Protection,
    pub(crate) ice: bool,
    pub(crate) mux: bool,
    pub(crate) mid: bool,
    pub(crate) bundle: bool,
    pub(crate) extensions: bool,
}

impl Style {
    pub(crate) fn draw(random: &mut Random, vocabulary: &Vocabulary) -> Style {
        let protection = Protection::draw(random, vocabulary);
        let is_browser = protection == Protection::DtlsFeedback && random.percent(60);
        if vocabulary.is_packets() {
            return Style {
                protection,
                ice: false,
                mux: random.percent(15),
                mid: false,
                bundle: false,
                extensions: false,
            };
        }
        let mut chance = |area: &str, percent: usize| {
            random.percent(if vocabulary.has(area) {
                percent
            } else {
                percent / 6
            })
        };
        let ice = chance("ice", 18);
        let mux = chance("rtcp", 20);
        let mid = chance("mid", 25);
        let bundle = chance("mid", 12);
        let extensions = chance("mid", 12);
        Style {
            protection,
            ice: ice || is_browser,
            mux: mux || is_browser,
            mid: mid || bundle || is_browser,
            bundle,
            extensions,
        }
    }
}

/// A first description of a client.
pub(crate) fn description(random: &mut Random, vocabulary: &Vocabulary, client: &Client) -> Sdp {
    let style = Style::draw(random, vocabulary);
    let is_ipv6 = random.percent(if vocabulary.has("ipv6") { 15 } else { 2 });
    let mut sdp = Sdp {
        user: client.user(),
        id: client.session_id(),
        version: 1,
        address: client.host(is_ipv6),
        name: random
            .weighted(&[(40, "talk"), (3, "-"), (1, " "), (1, "a call: x=y")])
            .to_owned(),
        head: Vec::new(),
        one_connection: random.percent(85),
        attributes: Vec::new(),
        media: Vec::new(),
        line_end: random.weighted(&[(60, "\r\n"), (1, "\n")]),
    };
    if vocabulary.has("sdp") && random.percent(12) {
        let lines = [
            "i=info",
            "u=http://example.org/",
            "e=a@example.org",
            "p=+1 555",
            "b=AS:100",
            "b=CT:90",
            "b=TIAS:64000",
        ];
        let mut chosen = random.some(&lines, 3);
        chosen.sort_by_key(|line| lines.iter().position(|other| other == line));
        sdp.head = chosen.into_iter().map(str::to_owned).collect();
    }
    for _ in 0..random.count(if vocabulary.has("sdp") { 15 } else { 3 }, 2) {
        sdp.attributes.push(random.pick(&SESSION_EXTRA).to_owned());
    }
    let sections = random.weighted(&[(60, 1), (28, 2), (8, 3), (2, 4), (1, 6)]);
    for index in 0..sections {
        let kind = match index {
            0 => random.weighted(&[(90, "audio"), (7, "video"), (2, "image"), (1, "application")]),
            _ => random.weighted(&[
                (25, "audio"),
                (60, "video"),
                (5, "image"),
                (5, "application"),
                (3, "text"),
                (3, "message"),
            ]),
        };
        sdp.media
            .push(section(random, vocabulary, client, &style, kind, index));
    }
    if style.bundle {
        bundle(&mut sdp, random);
    }
    if style.ice && random.percent(5) {
        sdp.attributes.push("ice-lite".to_owned());
    }
    sdp
}

/// Puts all sections that have a mid into one group, maybe on one port.
pub(crate) fn bundle(sdp: &mut Sdp, random: &mut Random) {
    sdp.attributes.retain(|line| !line.starts_with("group:BUNDLE"));
    let one_port = random.percent(50);
    let mids = |section: &Section| {
        section
            .attributes
            .iter()
            .find_map(|line| line.strip_prefix("mid:").map(str::to_owned))
    };
    let members: Vec<String> = sdp
        .media
        .iter()
        .filter(|section| section.port != 0)
        .filter_map(mids)
        .collect();
    if members.is_empty() {
        return;
    }
    if let Some(port) = sdp
        .media
        .iter()
        .map(|section| section.port)
        .find(|port| *port != 0)
        .filter(|_| one_port)
    {
        for section in sdp
            .media
            .iter_mut()
            .filter(|section| section.port != 0 && section.is_rtp())
        {
            section.port = port;
        }
    }
    sdp.attributes.push(format!("group:BUNDLE {}", members.join(" ")));
}

/// A new section.
pub(crate) fn section(
    random: &mut Random,
    vocabulary: &Vocabulary,
    client: &Client,
    style: &Style,
    kind: &str,
    index: usize,
) -> Section {
    let port = client.port() + 10 * u16::try_from(index).unwrap_or_default();
    let mut section = Section {
        kind: kind.to_owned(),
        port,
        protocol: style.protection.protocol().to_owned(),
        codecs: Vec::new(),
        formats: String::new(),
        address: None,
        bandwidth: Vec::new(),
        attributes: Vec::new(),
        direction: random.weighted(&[
            (80, Some("sendrecv")),
            (10, None),
            (3, Some(DIRECTIONS[1])),
            (3, Some(DIRECTIONS[2])),
            (2, Some(DIRECTIONS[3])),
        ]),
        codecs_last: random.percent(7),
    };
    if style.mid {
        let mid = match random.below(4) {
            0 => kind[..1].to_owned() + &index.to_string(),
            _ => index.to_string(),
        };
        section.attributes.push(format!("mid:{mid}"));
    }
    match kind {
        "audio" | "video" => section.codecs = codecs(random, vocabulary, kind),
        "text" => {
            section.codecs = vec![codec("98", "t140/1000", ""), codec("99", "red/1000", "98/98/98")];
        }
        "image" => {
            section.protocol = "udptl".to_owned();
            section.formats = "t38".to_owned();
            for attribute in [
                "T38FaxVersion:0",
                "T38MaxBitRate:14400",
                "T38FaxUdpEC:t38UDPRedundancy",
            ] {
                section.attributes.push(attribute.to_owned());
            }
            section.direction = None;
            return section;
        }
        "message" => {
            section.protocol = "TCP/MSRP".to_owned();
            section.formats = "*".to_owned();
            section.attributes.push("accept-types:text/plain".to_owned());
            section
                .attributes
                .push(format!("path:msrp://{}:{port}/x;tcp", client.host(false)));
            section.direction = None;
            return section;
        }
        _ => {
            section.protocol = "UDP/DTLS/SCTP".to_owned();
            section.formats = "webrtc-datachannel".to_owned();
            section.attributes.push("sctp-port:5000".to_owned());
            section.direction = None;
        }
    }
    if style.mux && section.is_rtp() {
        section.attributes.push("rtcp-mux".to_owned());
    }
    if style.extensions && section.is_rtp() {
        let mut uris = random.some(&EXTENSIONS, 3);
        for (id, uri) in uris.drain(..).enumerate() {
            let id = if random.percent(10) { 14 - id } else { id + 1 };
            section.attributes.push(format!("extmap:{id} {uri}"));
        }
        if random.percent(30) {
            section.attributes.push("extmap-allow-mixed".to_owned());
        }
    }
    protect(random, client, style.protection, index, &mut section);
    if style.ice {
        add_ice(random, client, port, &mut section, style.mux);
    }
    extras(random, vocabulary, &mut section);
    section
}

fn extras(random: &mut Random, vocabulary: &Vocabulary, section: &mut Section) {
    let (many, few) = if vocabulary.has("sdp") { (30, 6) } else { (8, 1) };
    for _ in 0..random.count(many, 4) {
        let extra = random.pick(&EXTRA);
        let port = section.port + 1 + u16::from(random.percent(15)) * 2;
        section.attributes.push(extra.replace("PORT", &port.to_string()));
    }
    if random.percent(few) {
        let lines = ["b=AS:64", "b=TIAS:64000", "b=RR:0", "b=RS:600", "b=X-YZ:5"];
        section.bandwidth = random.some(&lines, 2).into_iter().map(str::to_owned).collect();
        section.bandwidth.sort();
    }
    if random.percent(few / 2) {
        random.shuffle(&mut section.attributes);
    }
}

fn codecs(random: &mut Random, vocabulary: &Vocabulary, kind: &str) -> Vec<Codec> {
    let table: &[(&str, &str, &str)] = match kind {
        // Mostly what phones have, for the more options are involved the less matters what they are about.
        "audio" if random.percent(if vocabulary.has("codec") { 55 } else { 80 }) => &AUDIO[..3],
        "audio" => &AUDIO,
        _ if random.percent(60) => &VIDEO[..3],
        _ => &VIDEO,
    };
    let mut chosen = random.some(table, 5);
    if kind == "audio" && random.percent(60) {
        chosen.push(random.weighted(&[
            (12, EVENTS[0]),
            (2, EVENTS[1]),
            (1, EVENTS[2]),
            (1, EVENTS[3]),
            (2, EVENTS[4]),
            (1, EVENTS[5]),
        ]));
        if random.percent(10) {
            chosen.push(EVENTS[4]);
        }
    }
    let mut codecs: Vec<Codec> = Vec::new();
    for (pt, map, fmtp) in chosen {
        if codecs.iter().all(|other| other.pt != pt) {
            codecs.push(codec(pt, map, fmtp));
        }
    }
    for codec in &mut codecs {
        let number = codec.pt.parse::<u8>().unwrap_or_default();
        if number < 35 && random.percent(15) || random.below(500) == 0 {
            codec.map.clear();
        }
        let often = if kind == "video" { 40 } else { 3 };
        if random.percent(often) {
            codec.feedback = random.some(&FEEDBACK, 3).into_iter().map(str::to_owned).collect();
        }
    }
    codecs
}

fn protect(
    random: &mut Random,
    client: &Client,
    protection: Protection,
    index: usize,
    section: &mut Section,
) {
    let with_keys = !matches!(
        protection,
        Protection::Plain | Protection::Feedback | Protection::Dtls | Protection::DtlsFeedback
    );
    let with_fingerprint = matches!(
        protection,
        Protection::Dtls | Protection::DtlsFeedback | Protection::Either
    ) || section.kind == "application";
    if with_keys && section.is_rtp() {
        let simple = random.percent(70);
        let suites = if simple { &SUITES[..2] } else { &SUITES[..] };
        let mut tag = if random.percent(90) {
            1
        } else {
            random.below(9) + 1
        };
        for (suite, length) in random.some(suites, 4) {
            let mut line = format!(
                "crypto:{tag} {suite} inline:{}",
                key(length, tag + 10 * client.number + 3 * index)
            );
            if random.percent(15) {
                line = line.trim_end_matches('=').to_owned();
            }
            line.push_str(random.weighted(&[
                (80, ""),
                (5, "|2^31"),
                (3, "|2^31|1:1"),
                (3, "|1:4"),
                (3, " UNENCRYPTED_SRTCP"),
                (2, " UNENCRYPTED_SRTP UNAUTHENTICATED_SRTP"),
                (1, " KDR=1"),
            ]));
            section.attributes.push(line);
            tag += 1 + random.below(10) / 9;
        }
    }
    if with_fingerprint {
        let setup = random.weighted(&[(80, "actpass"), (8, "active"), (8, "passive"), (2, "holdconn")]);
        section.attributes.push(format!("setup:{setup}"));
        let hash = random.weighted(&[(85, "sha-256"), (8, "sha-1"), (3, "sha-384"), (4, "sha-512")]);
        section.attributes.push(fingerprint(hash, client.number));
        if random.percent(10) {
            section
                .attributes
                .push(format!("tls-id:{:032x}", 0xabc_0000 + client.number));
        }
    }
}

/// Credentials and candidates.
pub(crate) fn add_ice(random: &mut Random, client: &Client, port: u16, section: &mut Section, mux: bool) {
    let letter = char::from(b'a' + u8::try_from(client.number).unwrap_or_default());
    section.attributes.push(format!("ice-ufrag:Qx7{letter}"));
    section
        .attributes
        .push(format!("ice-pwd:Lq2Hn5Vt8Zr1Kc4Md7Pg0S{letter}"));
    if random.percent(25) {
        let options = random.weighted(&[
            (8, "trickle"),
            (1, "ice2"),
            (1, "trickle ice2"),
            (1, "renomination"),
        ]);
        section.attributes.push(format!("ice-options:{options}"));
    }
    if random.percent(8) {
        return;
    }
    let host = client.host(false);
    let components = if mux && random.percent(60) { 1..=1 } else { 1..=2 };
    for component in components {
        let priority = 2_130_706_432 - component;
        let port = u32::from(port) + component - 1;
        let transport = random.weighted(&[(30, "UDP"), (6, "udp"), (1, "TCP")]);
        section.attributes.push(format!(
            "candidate:11 {component} {transport} {priority} {host} {port} typ host"
        ));
        if random.percent(10) {
            let six = client.host(true);
            let priority = priority - 256;
            section.attributes.push(format!(
                "candidate:12 {component} UDP {priority} {six} {port} typ host"
            ));
        }
        if random.percent(12) {
            let priority = 1_694_498_816 - component;
            section.attributes.push(format!(
                "candidate:13 {component} UDP {priority} 198.51.96.7 {port} typ srflx raddr {host} rport {port}"
            ));
        }
        if random.percent(3) {
            section.attributes.push(format!(
                "candidate:14 {component} UDP 41885695 198.51.96.8 {port} typ relay raddr {host} rport {port} generation 0"
            ));
        }
    }
    if random.percent(8) {
        section.attributes.push("end-of-candidates".to_owned());
    }
}
