//! Answers to what the daemon made of an offer.

use super::Vocabulary;
use super::client::{Client, Codec, DIRECTIONS, Sdp, Section};
use super::media::{self, add_ice, bundle};
use super::tables::{SUITES, codec, fingerprint, key};
use crate::random::Random;

/// A section of an offer, as far as an answerer looks at it.
struct Offered<'a> {
    kind: &'a str,
    is_rejected: bool,
    protocol: &'a str,
    formats: Vec<&'a str>,
    attributes: Vec<&'a str>,
}

impl<'a> Offered<'a> {
    fn value(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }

    fn has(&self, name: &str) -> bool {
        self.attributes
            .iter()
            .any(|line| line.split(':').next() == Some(name))
    }

    fn of_format(&self, name: &str, pt: &str) -> String {
        let values = self
            .attributes
            .iter()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = values
            .filter_map(|value| value.split_once(' '))
            .find(|(format, _)| *format == pt);
        value.map(|(_, value)| value.to_owned()).unwrap_or_default()
    }
}

fn sections(sdp: &str) -> (Vec<&str>, Vec<Offered<'_>>) {
    let mut session = Vec::new();
    let mut all: Vec<Offered<'_>> = Vec::new();
    for line in sdp.split("\r\n") {
        if let Some(media) = line.strip_prefix("m=") {
            let words: Vec<&str> = media.split(' ').collect();
            let word = |index: usize| words.get(index).copied().unwrap_or_default();
            all.push(Offered {
                kind: word(0),
                is_rejected: word(1) == "0",
                protocol: word(2),
                formats: words.get(3..).unwrap_or_default().to_vec(),
                attributes: Vec::new(),
            });
        } else if let Some(attribute) = line.strip_prefix("a=") {
            match all.last_mut() {
                Some(section) => section.attributes.push(attribute),
                None => session.push(attribute),
            }
        }
    }
    (session, all)
}

/// What a client answers, mostly as one should.
pub(crate) fn answer(random: &mut Random, vocabulary: &Vocabulary, client: &mut Client, offer: &str) -> Sdp {
    let (session, offered) = sections(offer);
    let last = client.sdp.take();
    let is_ipv6 = match &last {
        Some(last) => last.address.contains(':'),
        None => offer.contains("IN IP6") && random.percent(97),
    };
    let is_careless = random.percent(if vocabulary.has("wrong") { 20 } else { 4 });
    let mut sdp = Sdp {
        user: client.user(),
        id: client.session_id(),
        version: last.as_ref().map_or(1, |last| last.version + 1),
        address: client.host(is_ipv6),
        name: random.weighted(&[(40, "talk"), (3, "-")]).to_owned(),
        head: Vec::new(),
        one_connection: random.percent(85),
        attributes: Vec::new(),
        media: Vec::new(),
        line_end: "\r\n",
    };
    let with_ice = random.percent(75);
    let with_mux = random.percent(65);
    for (index, offered) in offered.iter().enumerate() {
        let former = last.as_ref().and_then(|last| last.media.get(index));
        let choice = Choice {
            with_ice,
            with_mux,
            is_careless,
            index,
        };
        sdp.media
            .push(section(random, vocabulary, client, offered, former, &choice));
    }
    if is_careless && random.percent(20) && sdp.media.len() > 1 {
        sdp.media.pop();
    }
    if is_careless && random.percent(15) {
        sdp.media.extend(sdp.media.last().cloned());
    }
    if session.iter().any(|line| line.starts_with("group:BUNDLE")) && random.percent(65) {
        bundle(&mut sdp, random);
    }
    if vocabulary.has("sdp") && random.percent(6) {
        sdp.attributes.push("x-answer".to_owned());
    }
    client.sdp = Some(sdp.clone());
    sdp
}

struct Choice {
    with_ice: bool,
    with_mux: bool,
    is_careless: bool,
    index: usize,
}

fn section(
    random: &mut Random,
    vocabulary: &Vocabulary,
    client: &Client,
    offered: &Offered<'_>,
    former: Option<&Section>,
    choice: &Choice,
) -> Section {
    let index = u16::try_from(choice.index).unwrap_or_default();
    let port = former.map(|section| section.port).filter(|port| *port != 0);
    let mut section = Section {
        kind: offered.kind.to_owned(),
        port: port.unwrap_or(client.port() + 10 * index),
        protocol: offered.protocol.to_owned(),
        codecs: Vec::new(),
        formats: offered.formats.join(" "),
        address: None,
        bandwidth: Vec::new(),
        attributes: Vec::new(),
        direction: Some(direction(random, offered, choice.is_careless)),
        codecs_last: random.percent(5),
    };
    if let Some(mid) = offered.value("mid").filter(|_| random.percent(88)) {
        let mid = if choice.is_careless && random.percent(15) {
            "zz"
        } else {
            mid
        };
        section.attributes.push(format!("mid:{mid}"));
    }
    if section.is_rtp() {
        section.codecs = codecs(random, vocabulary, offered, choice.is_careless);
    } else {
        section.direction = None;
        let own = ["T38", "sctp-port", "accept-types"];
        let kept = offered
            .attributes
            .iter()
            .filter(|line| own.iter().any(|own| line.starts_with(own)));
        section.attributes.extend(kept.map(|line| (*line).to_owned()));
    }
    if offered.is_rejected || random.percent(if choice.index > 0 { 12 } else { 3 }) {
        section.reject(random);
        return section;
    }
    if choice.is_careless && random.percent(20) {
        section.protocol = random
            .pick(&["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "UDP/TLS/RTP/SAVPF"])
            .to_owned();
    }
    let muxes = offered.has("rtcp-mux") && choice.with_mux || choice.is_careless && random.percent(10);
    if muxes && section.is_rtp() {
        section.attributes.push("rtcp-mux".to_owned());
    }
    protect(random, client, offered, choice, &mut section);
    if offered.has("ice-ufrag") && choice.with_ice || choice.is_careless && random.percent(10) {
        let port = section.port;
        add_ice(random, client, port, &mut section, muxes);
    }
    let extensions = offered
        .attributes
        .iter()
        .filter(|line| line.starts_with("extmap"));
    for extension in extensions {
        if random.percent(65) {
            section.attributes.push((*extension).to_owned());
        }
    }
    if random.percent(20) {
        let extra = random.pick(&[
            "ptime:20",
            "ptime:30",
            "maxptime:60",
            "x-own:answer",
            "rtcp-rsize",
            "label:3",
        ]);
        section.attributes.push(extra.to_owned());
    }
    section
}

fn direction(random: &mut Random, offered: &Offered<'_>, is_careless: bool) -> &'static str {
    let stated = DIRECTIONS.into_iter().find(|direction| offered.has(direction));
    match stated {
        _ if is_careless => random.pick(&DIRECTIONS),
        Some("sendonly") => random.weighted(&[(80, "recvonly"), (15, "inactive"), (5, "sendrecv")]),
        Some("recvonly") => random.weighted(&[(80, "sendonly"), (15, "inactive"), (5, "sendrecv")]),
        Some("inactive") => "inactive",
        _ => random.weighted(&[
            (88, "sendrecv"),
            (4, "sendonly"),
            (4, "recvonly"),
            (4, "inactive"),
        ]),
    }
}

/// Some of those offered.
fn codecs(
    random: &mut Random,
    vocabulary: &Vocabulary,
    offered: &Offered<'_>,
    is_careless: bool,
) -> Vec<Codec> {
    let mut all: Vec<Codec> = offered
        .formats
        .iter()
        .map(|pt| {
            codec(
                pt,
                &offered.of_format("rtpmap", pt),
                &offered.of_format("fmtp", pt),
            )
        })
        .collect();
    for codec in &mut all {
        let feedback = offered
            .attributes
            .iter()
            .filter_map(|line| line.strip_prefix("rtcp-fb:")?.split_once(' '));
        let feedback = feedback
            .filter(|(pt, _)| *pt == codec.pt)
            .map(|(_, value)| value.to_owned());
        codec.feedback = feedback.filter(|_| random.percent(70)).collect();
    }
    let is_event = |codec: &Codec| codec.map.starts_with("telephone-event");
    match random.below(10) {
        0..3 => {}
        3..7 => {
            let least = all.iter().position(|codec| !is_event(codec)).unwrap_or_default();
            let kept = all.first().map(|_| least.max(random.below(all.len())));
            let mut position = 0;
            all.retain(|codec| {
                position += 1;
                Some(position - 1) == kept || is_event(codec) && random.percent(85) || random.percent(35)
            });
        }
        7 | 8 => random.shuffle(&mut all),
        _ => all.truncate(1),
    }
    let stray = if vocabulary.has("codec") { 6 } else { 1 };
    if random.percent(stray) || is_careless && random.percent(25) {
        match random.below(4) {
            0 => all.insert(0, codec("8", "PCMA/8000", "")),
            1 => all.push(codec("112", "opus/48000/2", "")),
            2 => all = vec![codec("118", "X-OTHER/8000", "")],
            _ => {
                for codec in &mut all {
                    if let Ok(pt @ 96..) = codec.pt.parse::<u8>() {
                        codec.pt = (if pt > 120 { pt - 20 } else { pt + 6 }).to_string();
                    }
                }
            }
        }
    }
    if random.percent(8) {
        for codec in all
            .iter_mut()
            .filter(|codec| codec.pt.len() < 3 && codec.pt.parse::<u8>().is_ok_and(|pt| pt < 35))
        {
            codec.map.clear();
        }
    }
    all
}

fn protect(
    random: &mut Random,
    client: &Client,
    offered: &Offered<'_>,
    choice: &Choice,
    section: &mut Section,
) {
    let keys: Vec<&str> = offered
        .attributes
        .iter()
        .filter_map(|line| line.strip_prefix("crypto:"))
        .collect();
    let has_dtls = offered.has("fingerprint");
    let is_opportunistic = !offered.protocol.contains("SAVP");
    let by_keys = !keys.is_empty() && (!has_dtls || random.percent(35));
    if by_keys && !(is_opportunistic && random.percent(40)) {
        let line = if random.percent(60) {
            keys[0]
        } else {
            random.pick(&keys)
        };
        let mut words = line.split(' ');
        let (tag, suite) = (words.next().unwrap_or("1"), words.next().unwrap_or_default());
        let length = SUITES
            .iter()
            .find(|(name, _)| *name == suite)
            .map_or(30, |(_, length)| *length);
        let rest: Vec<&str> = words.skip(1).collect();
        let key = key(length, 70 + client.number + choice.index);
        let mut crypto = format!("crypto:{tag} {suite} inline:{key}");
        if !rest.is_empty() && random.percent(60) {
            crypto = format!("{crypto} {}", rest.join(" "));
        }
        section.attributes.push(crypto);
    }
    if has_dtls && (!by_keys || random.percent(20)) {
        let setup = match offered.value("setup") {
            Some("active") => "passive",
            Some("passive") => "active",
            _ => random.weighted(&[(75, "active"), (22, "passive"), (3, "actpass")]),
        };
        section.attributes.push(format!("setup:{setup}"));
        section.attributes.push(fingerprint(
            random.weighted(&[(90, "sha-256"), (10, "sha-1")]),
            client.number,
        ));
        if offered.has("tls-id") && random.percent(20) {
            section
                .attributes
                .push(format!("tls-id:{:032x}", 0xdef_0000 + client.number));
        }
    }
}

/// What a client says when it offers again: its last description with something changed.
pub(crate) fn again(random: &mut Random, vocabulary: &Vocabulary, client: &mut Client) -> Sdp {
    let Some(mut sdp) = client.sdp.take() else {
        let sdp = media::description(random, vocabulary, client);
        client.sdp = Some(sdp.clone());
        return sdp;
    };
    if random.percent(93) {
        sdp.version += 1;
    }
    for _ in 0..random.weighted(&[(25, 0), (55, 1), (20, 2)]) {
        change(random, vocabulary, client, &mut sdp);
    }
    client.sdp = Some(sdp.clone());
    sdp
}

fn change(random: &mut Random, vocabulary: &Vocabulary, client: &Client, sdp: &mut Sdp) {
    let position = random.below(sdp.media.len());
    let style = media::Style::draw(random, vocabulary);
    let count = sdp.media.len();
    match random.weighted(&[
        (20, "hold"),
        (8, "resume"),
        (5, "zero"),
        (14, "port"),
        (4, "address"),
        (12, "add"),
        (4, "remove"),
        (6, "reject"),
        (8, "codecs"),
        (3, "new codecs"),
        (3, "ice"),
        (3, "restart"),
        (3, "mids"),
        (2, "reorder"),
        (2, "protect"),
        (2, "anew"),
        (3, "attribute"),
    ]) {
        "hold" => {
            let direction = random.weighted(&[(5, "sendonly"), (3, "inactive"), (2, "recvonly")]);
            for section in &mut sdp.media {
                section.direction = section.direction.map(|_| direction);
            }
        }
        "resume" => {
            for section in &mut sdp.media {
                section.direction = section.direction.map(|_| "sendrecv");
            }
            sdp.address = client.host(sdp.address.contains(':'));
        }
        "zero" => {
            sdp.address = if sdp.address.contains(':') {
                "::"
            } else {
                "0.0.0.0"
            }
            .to_owned()
        }
        "address" => {
            sdp.address = match sdp.address.contains(':') {
                true => format!("2001:db8:4321:10{}::99", client.number),
                false => format!("198.51.{}.99", 97 + client.number),
            };
        }
        "add" => {
            let kind = random.weighted(&[(60, "video"), (30, "audio"), (5, "image"), (5, "application")]);
            sdp.media
                .push(media::section(random, vocabulary, client, &style, kind, count));
        }
        "remove" if count > 1 => drop(sdp.media.remove(position)),
        "reorder" if count > 1 => sdp.media.swap(0, position),
        "anew" => {
            *sdp = Sdp {
                version: sdp.version,
                ..media::description(random, vocabulary, client)
            }
        }
        what => {
            if let Some(section) = sdp.media.get_mut(position) {
                change_section(random, vocabulary, client, section, (what, position));
            }
        }
    }
}

fn change_section(
    random: &mut Random,
    vocabulary: &Vocabulary,
    client: &Client,
    section: &mut Section,
    (what, position): (&str, usize),
) {
    match what {
        "port" if section.port != 0 => section.port += 40,
        "reject" => section.reject(random),
        "codecs" if random.percent(50) => random.shuffle(&mut section.codecs),
        "codecs" if section.codecs.len() > 1 => {
            drop(section.codecs.remove(random.below(section.codecs.len())))
        }
        "new codecs" if section.is_rtp() => {
            let style = media::Style::draw(random, vocabulary);
            let kind = section.kind.clone();
            section.codecs = media::section(random, vocabulary, client, &style, &kind, position).codecs;
        }
        "ice" if section.has("ice-ufrag") => {
            for name in [
                "ice-ufrag",
                "ice-pwd",
                "ice-options",
                "candidate",
                "end-of-candidates",
            ] {
                section.remove(name);
            }
        }
        "ice" => add_ice(random, client, section.port, section, false),
        "restart" => {
            for line in &mut section.attributes {
                if line.starts_with("ice-ufrag:") || line.starts_with("ice-pwd:") {
                    line.push('2');
                }
            }
        }
        "mids" => {
            section.remove("mid");
            if random.percent(60) {
                section.attributes.insert(0, format!("mid:m{position}"));
            }
        }
        "protect" => {
            let style = media::Style::draw(random, vocabulary);
            let kind = section.kind.clone();
            let other = media::section(random, vocabulary, client, &style, &kind, position);
            section.protocol = other.protocol;
            section.attributes = other.attributes;
        }
        "attribute" => section.attributes.push(format!("x-again:{position}")),
        _ => {}
    }
}
