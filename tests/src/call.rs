//! A call as its proxy sees it: offers and answers, and what the relay says of its media.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ng_client::{ClientError, Dictionary, Value, command};

use crate::daemon::{Control, wait_until};
use crate::probe::Side;

/// What one side says of its audio.
#[derive(Clone, Copy, Debug)]
pub struct Audio {
    /// Where it receives RTP.
    pub rtp: SocketAddr,
    /// Direction attribute.
    pub direction: &'static str,
    /// How it wants its RTCP.
    pub rtcp: Rtcp,
}

/// How somebody wants RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp {
    /// On the port after that of RTP.
    NextPort,
    /// On the port of RTP (RFC 5761).
    Muxed,
}

/// What the relay told somebody: where to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// RTP.
    pub rtp: SocketAddr,
    /// RTCP.
    pub rtcp: SocketAddr,
}

/// A call between two parties, named by their sides.
#[derive(Clone, Debug)]
pub struct Call {
    id: String,
    /// What every offer and answer says besides.
    options: Vec<(&'static str, Value)>,
}

/// Packets and bytes of every stream in the reply to a `query`, by the place where they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(pub BTreeMap<String, i64>);

/// What the relay says of the packets of an SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    /// Packets that came.
    pub packets: i64,
    /// Packets that did not.
    pub lost: i64,
    /// Packets that came later than a younger one.
    pub reordered: i64,
    /// Packets that came once more.
    pub duplicates: i64,
}

impl Audio {
    /// Somebody who receives there, and does all that is usual.
    pub fn at(rtp: SocketAddr) -> Audio {
        Audio {
            rtp,
            direction: "sendrecv",
            rtcp: Rtcp::NextPort,
        }
    }
}

impl fmt::Display for Audio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, port) = (self.rtp.ip(), self.rtp.port());
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        write!(
            f,
            "v=0\r\no=- 7 7 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na={}\r\n",
            self.direction
        )?;
        match self.rtcp {
            Rtcp::NextPort => Ok(()),
            Rtcp::Muxed => f.write_str("a=rtcp-mux\r\n"),
        }
    }
}

impl Told {
    /// Reads an SDP with one section. None if something is missing.
    pub fn parse(sdp: &str) -> Option<Told> {
        let after = |prefix: &str| sdp.lines().find_map(|line| line.strip_prefix(prefix));
        let address: IpAddr = after("c=IN IP")?.split_once(' ')?.1.parse().ok()?;
        let port: u16 = after("m=audio ")?.split(' ').next()?.parse().ok()?;
        let rtcp = after("a=rtcp:").and_then(|port| port.parse().ok());
        let muxed = sdp.lines().any(|line| line == "a=rtcp-mux");
        Some(Told {
            rtp: SocketAddr::new(address, port),
            rtcp: SocketAddr::new(address, if muxed { port } else { rtcp.unwrap_or(port + 1) }),
        })
    }
}

impl Call {
    /// A call that nobody knows of yet.
    pub fn new(id: &str) -> Call {
        Call {
            id: id.to_owned(),
            options: Vec::new(),
        }
    }

    /// The same, with something that every offer and answer says.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Call {
        self.options.push((key, value.into()));
        self
    }

    /// Its call-id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The caller offers for the first time. Says what the callee is told.
    pub fn offer(&self, control: &mut Control, audio: Audio) -> Told {
        let reply = self.try_offer(control, audio);
        told(&reply.unwrap_or_else(|error| panic!("offer of {}: {error}", self.id)))
    }

    /// The same; it may be refused.
    pub fn try_offer(&self, control: &mut Control, audio: Audio) -> Result<Dictionary, ClientError> {
        control.try_request(&self.offer_of(Side::Caller, audio))
    }

    /// Somebody offers again: a re-INVITE. Says what the other side is told.
    pub fn offer_again(&self, control: &mut Control, side: Side, audio: Audio) -> Told {
        let mut request = self.offer_of(side, audio);
        request.push("to-tag", side.other().as_str());
        told(&control.request(&request))
    }

    /// Somebody answers. Says what the other side is told.
    pub fn answer(&self, control: &mut Control, side: Side, audio: Audio) -> Told {
        self.answer_with(control, side, audio, &[])
    }

    /// The same, with more that only this answer says.
    pub fn answer_with(
        &self,
        control: &mut Control,
        side: Side,
        audio: Audio,
        more: &[(&'static str, Value)],
    ) -> Told {
        let (offerer, answerer) = (side.other().as_str(), side.as_str());
        let mut request = command::answer(&self.id, offerer, answerer, &audio.to_string());
        self.add_options(&mut request);
        for (key, value) in more {
            request.push(*key, value.clone());
        }
        told(&control.request(&request))
    }

    /// The caller offers, the callee answers. Says what caller and callee are told.
    pub fn set_up(&self, control: &mut Control, caller: Audio, callee: Audio) -> (Told, Told) {
        let callee_is_told = self.offer(control, caller);
        let caller_is_told = self.answer(control, Side::Callee, callee);
        (caller_is_told, callee_is_told)
    }

    /// Ends it, after so many seconds.
    pub fn delete(&self, control: &mut Control, delay: u32) {
        let mut request = command::delete(&self.id);
        request.push("delete-delay", delay);
        control.request(&request);
    }

    /// Whether the relay knows it.
    pub fn exists(&self, control: &mut Control) -> bool {
        control.calls().contains(&self.id)
    }

    /// What is counted so far.
    pub fn counters(&self, control: &mut Control) -> Counters {
        Counters::read(&control.request(&command::query(&self.id)))
    }

    /// Where the RTP that a side sends is relayed: `kernel`, or the reason why not; `pending` while the media does not
    /// yet follow the newest message.
    pub fn path(&self, control: &mut Control, side: Side) -> String {
        let call = control.request(&command::show(&self.id));
        if integer(&call, "pending") != 0 {
            return "pending".to_owned();
        }
        let stream = stream_of(&call, side);
        let text = |key| {
            stream
                .find(key)
                .and_then(Value::text)
                .map(|text| text.into_owned())
        };
        match text("path").as_deref() {
            Some("userspace") => text("reason").expect("there is a reason"),
            path => path.expect("there is a path").to_owned(),
        }
    }

    /// Whether the RTP that both sides send is relayed in the kernel.
    pub fn is_in_kernel(&self, control: &mut Control) -> bool {
        Side::ALL
            .into_iter()
            .all(|side| self.path(control, side) == "kernel")
    }

    /// Waits until the RTP that both sides send is relayed by this path.
    pub fn wait_for_path(&self, control: &mut Control, path: &str) {
        for side in Side::ALL {
            self.wait_for_path_from(control, side, path);
        }
    }

    /// Waits until the RTP that a side sends is relayed by this path.
    pub fn wait_for_path_from(&self, control: &mut Control, side: Side, path: &str) {
        let mut last = String::new();
        let what = format!("{}: the path of the {}'s media is {path}", self.id, side.as_str());
        wait_until(&what, || {
            last = self.path(control, side);
            last == path
        });
    }

    /// Packets of a side's RTP that were received through the kernel and through userspace.
    pub fn received(&self, control: &mut Control, side: Side) -> (i64, i64) {
        let stream = self.stream(control, side);
        let received = dictionary(&stream, "received");
        let packets = |path| integer(dictionary(received, path), "packets");
        (packets("kernel"), packets("userspace"))
    }

    /// What the relay says of the SSRCs that a side sends, however they came; the newest first.
    pub fn reception(&self, control: &mut Control, side: Side) -> Vec<Reception> {
        let stream = self.stream(control, side);
        let ssrcs = list(&stream, "ssrcs").iter().filter_map(Value::dictionary);
        let reception = |ssrc: &Dictionary| Reception {
            packets: integer(ssrc, "packets"),
            lost: integer(ssrc, "lost"),
            reordered: integer(ssrc, "reordered"),
            duplicates: integer(ssrc, "duplicates"),
        };
        ssrcs.map(reception).collect()
    }

    /// What `relay show` says of a side's RTP.
    pub fn stream(&self, control: &mut Control, side: Side) -> Dictionary {
        stream_of(&control.request(&command::show(&self.id)), side).clone()
    }

    fn offer_of(&self, side: Side, audio: Audio) -> Dictionary {
        let mut request = command::offer(&self.id, side.as_str(), &audio.to_string());
        let interfaces = match side {
            Side::Caller => ["inner", "outer"],
            Side::Callee => ["outer", "inner"],
        };
        request.push("direction", interfaces.map(Value::from).to_vec());
        self.add_options(&mut request);
        request
    }

    fn add_options(&self, request: &mut Dictionary) {
        for (key, value) in &self.options {
            request.push(*key, value.clone());
        }
    }
}

impl Counters {
    fn read(reply: &Dictionary) -> Counters {
        let mut counters = Counters::default();
        counters.collect("", &Value::Dictionary(reply.clone()));
        counters
    }

    /// The counter at this place.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn at(&self, place: &str) -> i64 {
        *self
            .0
            .get(place)
            .unwrap_or_else(|| panic!("no {place} in {self:#?}"))
    }

    /// Packets of RTP that a side sent.
    pub fn sent_by(&self, side: Side) -> i64 {
        self.at(&format!(
            "/tags/{}/medias/0/streams/0/stats/packets",
            side.as_str()
        ))
    }

    /// Packets of RTP that were sent to a side.
    pub fn sent_to(&self, side: Side) -> i64 {
        self.at(&format!(
            "/tags/{}/medias/0/streams/0/stats_out/packets",
            side.as_str()
        ))
    }

    /// The counters that are lower than they were, or gone.
    pub fn fallen_since(&self, earlier: &Counters) -> Vec<String> {
        let fallen = earlier
            .0
            .iter()
            .filter(|(place, count)| self.0.get(*place).unwrap_or(&0) < *count);
        fallen
            .map(|(place, count)| format!("{place}: {count}, then {:?}", self.0.get(place)))
            .collect()
    }

    /// Walks the reply: every integer that counts something.
    fn collect(&mut self, place: &str, value: &Value) {
        match value {
            Value::Integer(count) => {
                let key = place.rsplit('/').next().unwrap_or_default();
                if matches!(key, "packets" | "bytes" | "errors") {
                    self.0.insert(place.to_owned(), *count);
                }
            }
            Value::Bytes(_) => {}
            Value::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    // The newest SSRC comes first, so their places change.
                    let name = match value {
                        Value::Dictionary(fields) if place.ends_with("SSRCs") => {
                            fields.find("SSRC").and_then(Value::integer)
                        }
                        Value::Dictionary(_) | Value::Integer(_) | Value::Bytes(_) | Value::List(_) => None,
                    };
                    match name {
                        Some(ssrc) => self.collect(&format!("{place}/SSRC {ssrc}"), value),
                        None => self.collect(&format!("{place}/{index}"), value),
                    }
                }
            }
            Value::Dictionary(fields) => {
                for (key, value) in &fields.0 {
                    self.collect(&format!("{place}/{key}"), value);
                }
            }
        }
    }
}

/// A receiver report without blocks (RFC 3550 section 6.4.2): the shortest RTCP packet.
pub fn receiver_report(ssrc: u32) -> Vec<u8> {
    [[0x80, 201, 0, 1], ssrc.to_be_bytes()].concat()
}

fn told(reply: &Dictionary) -> Told {
    let sdp = reply.find("sdp").and_then(Value::text).expect("there is an SDP");
    Told::parse(&sdp).unwrap_or_else(|| panic!("not the SDP of one audio section: {sdp}"))
}

/// A side's RTP in what `relay show` says.
fn stream_of(call: &Dictionary, side: Side) -> &Dictionary {
    let is_side = |party: &&Dictionary| {
        let tag = party.find("tag").and_then(Value::text);
        tag.as_deref() == Some(side.as_str())
    };
    let mut parties = list(call, "parties").iter().filter_map(Value::dictionary);
    let party = parties.find(is_side).expect("the party exists");
    let media = list(party, "medias")[0].dictionary().expect("a section");
    list(media, "streams")[0].dictionary().expect("a stream")
}

fn dictionary<'a>(fields: &'a Dictionary, key: &str) -> &'a Dictionary {
    fields
        .find(key)
        .and_then(Value::dictionary)
        .unwrap_or_else(|| panic!("no {key} in {fields:?}"))
}

fn list<'a>(fields: &'a Dictionary, key: &str) -> &'a [Value] {
    fields
        .find(key)
        .and_then(Value::list)
        .unwrap_or_else(|| panic!("no {key} in {fields:?}"))
}

fn integer(fields: &Dictionary, key: &str) -> i64 {
    fields
        .find(key)
        .and_then(Value::integer)
        .unwrap_or_else(|| panic!("no {key} in {fields:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sdp_is_read_as_it_is_written() {
        let mut audio = Audio::at("10.9.1.2:4000".parse().unwrap());
        let told = |rtcp: &str| Told {
            rtp: audio.rtp,
            rtcp: rtcp.parse().unwrap(),
        };
        let (separate, muxed) = (told("10.9.1.2:4001"), told("10.9.1.2:4000"));
        assert_eq!(Told::parse(&audio.to_string()), Some(separate));
        audio.rtcp = Rtcp::Muxed;
        assert_eq!(Told::parse(&audio.to_string()), Some(muxed));
        audio.rtp = "[2001:db8::1]:4000".parse().unwrap();
        assert_eq!(Told::parse(&audio.to_string()).unwrap().rtp, audio.rtp);
        assert_eq!(Told::parse("v=0\r\n"), None);
    }

    #[test]
    fn a_counter_that_falls_or_goes_away_is_noticed() {
        let counters = |packets: i64, bytes: Option<i64>| {
            let mut fields = Dictionary::new();
            fields.push("packets", packets);
            if let Some(bytes) = bytes {
                fields.push("bytes", bytes);
            }
            let mut reply = Dictionary::new();
            reply.push("a", vec![Value::Dictionary(fields)]);
            Counters::read(&reply)
        };
        let first = counters(1, Some(1));
        assert_eq!(first.at("/a/0/packets"), 1);
        assert_eq!(counters(2, Some(1)).fallen_since(&first), [""; 0]);
        assert_eq!(counters(0, Some(1)).fallen_since(&first).len(), 1);
        assert_eq!(counters(1, None).fallen_since(&first).len(), 1);
    }
}
