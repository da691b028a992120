//! Names for what is free in a reply, as `tests/fixtures/oracle/README.md` section 3 has them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

/// The port range of the daemon.
const PORTS: RangeInclusive<u64> = 30000..=39999;

const TIMES: [&str; 8] = [
    "created",
    "created_us",
    "created_ts",
    "last signal",
    "last redis update",
    "last packet",
    "last kernel packet",
    "last user packet",
];

const IDENTIFIERS: [&str; 6] = ["from-tag", "to-tag", "tag", "call-id", "from-tags", "tag-aliases"];

/// The names given so far in one conversation, and what was sent in it.
#[derive(Default)]
pub struct Names {
    /// What does not fit, since it was last taken.
    pub faults: Vec<String>,
    local: BTreeSet<String>,
    first_id: u128,
    kinds: BTreeMap<String, Vec<Key>>,
    /// Placeholder and value, in the order in which they were named.
    values: Vec<(String, String)>,
    /// All text that was sent.
    text: String,
    strings: BTreeSet<String>,
    /// Sent in packets.
    ssrcs: BTreeSet<String>,
    /// Identifiers and versions of `o=` lines that were sent.
    origins: BTreeSet<String>,
    /// The call that the reply is about: generated session ids are unique within one only.
    scope: String,
    /// While an SDP is walked through.
    section: Section,
}

/// What is named, with what it depends on.
type Key = (Option<String>, String);

#[derive(Default)]
struct Section {
    /// The RTP port next to which an RTCP port is expected.
    base: Option<u64>,
    /// The address that ports are for.
    address: Option<String>,
    /// Ports of component 1 by foundation and address type.
    pairs: BTreeMap<(String, String), u64>,
    /// Whether the `o=` line was made by the daemon.
    made: bool,
}

impl Names {
    /// For a daemon with these local addresses.
    pub fn new(local: impl IntoIterator<Item = String>) -> Names {
        Names {
            local: local.into_iter().collect(),
            first_id: 0x5eed_0000,
            ..Names::default()
        }
    }

    /// The same, with call-ids that are this number and up: for a daemon that has had other conversations.
    pub fn counting_from(local: impl IntoIterator<Item = String>, first_id: u128) -> Names {
        Names {
            first_id,
            ..Names::new(local)
        }
    }

    /// The call-ids of the conversation so far, those of the daemon too.
    pub fn calls(&self) -> impl Iterator<Item = &str> {
        let calls = self.values.iter().filter(|(name, _)| name.starts_with("«CALL"));
        calls.map(|(_, value)| value.as_str())
    }

    /// Puts actual values in the place of the placeholders of a request.
    pub fn fill(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill_text(text)),
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(key, value)| (self.fill_text(key), self.fill(value)));
                Value::Object(fields.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// The same for a text.
    pub fn fill_text(&mut self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, (name, after))) = rest
            .split_once('«')
            .and_then(|(before, rest)| Some((before, rest.split_once('»')?)))
        {
            filled += before;
            filled += &self.actual(&format!("«{name}»"));
            rest = after;
        }
        filled + rest
    }

    fn actual(&mut self, placeholder: &str) -> String {
        if let Some((_, value)) = self.values.iter().find(|(name, _)| name == placeholder) {
            return value.clone();
        }
        if let Some(port) = self.neighbour(placeholder) {
            return port;
        }
        if !placeholder.starts_with("«CALL") || placeholder.starts_with("«CALLID") {
            self.faults.push(format!("nothing known for {placeholder}"));
        }
        let value = format!("{:032x}", self.first_id + self.values.len() as u128);
        self.values.push((placeholder.to_owned(), value.clone()));
        value
    }

    /// The port next to a known one: `«PORT1+1»`.
    fn neighbour(&self, placeholder: &str) -> Option<String> {
        let (name, offset) = placeholder.trim_end_matches('»').split_once('+')?;
        let (_, port) = self
            .values
            .iter()
            .find(|(known, _)| *known == format!("{name}»"))?;
        Some((port.parse::<u64>().ok()? + offset.parse::<u64>().ok()?).to_string())
    }

    /// Remembers an SSRC that was sent in packets.
    pub fn sent_ssrc(&mut self, ssrc: u32) {
        self.ssrcs.insert(ssrc.to_string());
    }

    /// Where a packet came from.
    pub fn place(&mut self, address: &str, port: u64) -> String {
        if !self.local.contains(address) || !is_ours(port) {
            return format!("{address}:{port}");
        }
        let neighbour = port
            .checked_sub(1)
            .filter(|before| self.has_port(*before) && !self.has_port(port));
        format!("{address}:{}", self.port(port, neighbour, Some(address)))
    }

    /// Remembers what was sent: such values are literal in replies.
    pub fn sent(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.sent_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.sent(item)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.sent_text(key);
                    self.sent(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The same for a text.
    pub fn sent_text(&mut self, text: &str) {
        self.text += "\n";
        self.text += text;
        self.strings.insert(text.to_owned());
        for origin in text.split("o=").skip(1) {
            let fields: Vec<&str> = origin.split(' ').take(3).collect();
            if let [_, id, version] = fields[..] {
                self.origins.extend([id.to_owned(), version.to_owned()]);
            }
        }
    }

    /// The reply with names in the place of all that is free.
    pub fn reply(&mut self, scope: &str, reply: &Value) -> Value {
        self.scope = scope.to_owned();
        self.walk(reply, &mut Vec::new())
    }

    fn walk(&mut self, value: &Value, path: &mut Vec<String>) -> Value {
        let key = path.last().cloned().unwrap_or_default();
        if let Some(free) = path
            .first()
            .filter(|first| *first == "statistics")
            .and_then(|_| free(value, &key, path))
        {
            return json!(free);
        }
        match value {
            Value::Object(fields) => self.walk_object(fields, &key, path),
            Value::Array(items) if path.len() == 1 && key == "calls" => {
                let mut known: Vec<Value> = items.iter().filter_map(|item| self.known(item)).collect();
                known.sort_by_key(ToString::to_string);
                Value::Array(known)
            }
            Value::Array(items) if path.len() == 1 && key == "recordings" => {
                let paths = items
                    .iter()
                    .map(|path| self.name("PATH", (None, path.to_string())));
                paths.map(Value::String).collect()
            }
            Value::Array(items) if key == "streams" => self.streams(items, path),
            Value::Array(items) => items.iter().map(|item| self.walk(item, path)).collect(),
            Value::String(text) if path.len() == 1 && key == "sdp" => Value::String(self.sdp(text)),
            Value::Number(number) if TIMES.contains(&key.as_str()) => match number.as_u64() {
                Some(0) => value.clone(),
                _ => json!("«TIME»"),
            },
            Value::String(text) if IDENTIFIERS.contains(&key.as_str()) => {
                let kind = if key == "call-id" { "CALLID" } else { "TAG" };
                Value::String(self.identifier(text, kind))
            }
            Value::Number(number) if key == "port" && number.as_u64().is_some_and(is_ours) => {
                let port = number.as_u64().unwrap_or_default();
                Value::String(self.port(port, None, None))
            }
            Value::String(text) => Value::String(self.with_call_ids(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn walk_object(&mut self, fields: &Map<String, Value>, key: &str, path: &mut Vec<String>) -> Value {
        let mut named = Map::new();
        for (name, value) in fields {
            let new_name = match key {
                "tags" => self.identifier(name, "TAG"),
                "SSRC" if self.ssrcs.contains(name) => name.clone(),
                "SSRC" => self.name("SSRC", (None, name.clone())),
                _ => name.clone(),
            };
            path.push(name.clone());
            named.insert(new_name, self.walk(value, path));
            path.pop();
        }
        Value::Object(named)
    }

    fn streams(&mut self, items: &[Value], path: &mut Vec<String>) -> Value {
        let mut base = None;
        let mut named = Vec::new();
        for (index, stream) in items.iter().enumerate() {
            let port = stream["local port"].as_u64();
            let address = stream["local address"].as_str();
            let name = port.map(|port| self.port(port, base, address));
            if index == 0 {
                base = port;
            }
            let mut stream = self.walk(stream, path);
            if let Some(name) = name {
                // A port that is not ours is a number in the text form too.
                stream["local port"] = Value::String(name);
            }
            named.push(stream);
        }
        Value::Array(named)
    }

    fn known(&self, value: &Value) -> Option<Value> {
        let named = self
            .values
            .iter()
            .find(|(_, known)| Some(known.as_str()) == value.as_str());
        named.map(|(name, _)| json!(name))
    }

    fn identifier(&mut self, text: &str, kind: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        if let Some((name, _)) = self.values.iter().find(|(_, value)| value == text) {
            return name.clone();
        }
        if self.strings.contains(text) || text.starts_with("<untagged") {
            return text.to_owned();
        }
        if text.len() != 64 || !text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
            self.faults
                .push(format!("generated identifier {text:?} is not 64 hex digits"));
        }
        self.name(kind, (None, text.to_owned()))
    }

    fn with_call_ids(&self, text: &str) -> String {
        let calls = self.values.iter().filter(|(name, _)| name.starts_with("«CALL"));
        calls.fold(text.to_owned(), |text, (name, value)| text.replace(value, name))
    }

    fn name(&mut self, kind: &str, key: Key) -> String {
        let known = self.kinds.entry(kind.to_owned()).or_default();
        if let Some(index) = known.iter().position(|known| *known == key) {
            return format!("«{kind}{}»", index + 1);
        }
        known.push(key.clone());
        let name = format!("«{kind}{}»", known.len());
        self.values.push((name.clone(), key.1));
        name
    }

    fn port(&mut self, port: u64, base: Option<u64>, address: Option<&str>) -> String {
        if !is_ours(port) {
            return port.to_string();
        }
        if let Some(base) = base.filter(|base| is_ours(*base) && port == base + 1) {
            if base % 2 == 1 {
                self.faults.push(format!("RTP port {base} of a pair is odd"));
            }
            let name = self.port(base, None, address);
            return format!("{}+1»", name.trim_end_matches('»'));
        }
        // The same number on two local addresses is two ports; other addresses do not count.
        let address = address
            .filter(|address| self.local.contains(*address))
            .map(str::to_owned);
        let number = port.to_string();
        let known = self.kinds.get("PORT").map(Vec::as_slice).unwrap_or_default();
        let key = match address {
            None => known
                .iter()
                .find(|key| key.1 == number)
                .cloned()
                .unwrap_or((None, number)),
            Some(_) => {
                let (here, anywhere) = ((address, number.clone()), (None, number));
                let take_here = known.contains(&here) || !known.contains(&anywhere);
                if take_here { here } else { anywhere }
            }
        };
        self.name("PORT", key)
    }

    fn has_port(&self, port: u64) -> bool {
        let number = port.to_string();
        self.kinds
            .get("PORT")
            .is_some_and(|known| known.iter().any(|key| key.1 == number))
    }
}

fn is_ours(port: u64) -> bool {
    PORTS.contains(&port)
}

/// SDP lines.
impl Names {
    fn sdp(&mut self, sdp: &str) -> String {
        self.section = Section::default();
        let lines: Vec<&str> = sdp.split("\r\n").collect();
        let session = connection(&lines);
        let mut named = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            if line.starts_with("m=") {
                self.section.address = connection(&lines[index + 1..]).or(session.clone());
            }
            named.push(self.line(line));
        }
        named.join("\r\n")
    }

    fn line(&mut self, line: &str) -> String {
        let (name, value) = line.split_at(line.find(['=', ':']).map_or(line.len(), |end| end + 1));
        let named = match name {
            "o=" => self.origin(value),
            "m=" => self.media(value),
            "s=" if self.section.made && !self.text.contains(line) => Some("s=«SOFTWARE»".to_owned()),
            "a=" => None,
            _ => None,
        };
        if let Some(named) = named {
            return named;
        }
        let Some((name, value)) = line
            .strip_prefix("a=")
            .and_then(|attribute| attribute.split_once(':'))
        else {
            return line.to_owned();
        };
        let named = match name {
            "rtcp" => self.rtcp(value),
            "ice-ufrag" => Some(self.secret("UFRAG", 4, value)),
            "ice-pwd" => Some(self.secret("PWD", 22, value)),
            "candidate" => self.candidate(value),
            "crypto" => self.crypto(value),
            "fingerprint" => self.fingerprint(value),
            "tls-id" if !self.text.contains(value) => Some(self.name("TLSID", (None, value.to_owned()))),
            "rtpengine" => self.loop_id(value),
            "ssrc" => {
                let (ssrc, rest) = value.split_at(value.find(' ').unwrap_or(value.len()));
                let ours = !self.text.contains(ssrc);
                ours.then(|| self.name("SSRC", (None, ssrc.to_owned())) + rest)
            }
            _ => None,
        };
        match named {
            Some(value) => format!("a={name}:{value}"),
            None => line.to_owned(),
        }
    }

    fn origin(&mut self, value: &str) -> Option<String> {
        let fields: Vec<&str> = value.splitn(4, ' ').collect();
        let [user, id, version, rest] = fields[..] else {
            return None;
        };
        self.section.made = !self.origins.contains(id);
        if !self.section.made {
            return None;
        }
        let scope = Some(self.scope.clone());
        let id = self.name("SESSID", (scope.clone(), id.to_owned()));
        if self.origins.contains(version) {
            return Some(format!("o={user} {id} {version} {rest}"));
        }
        let key = (scope.clone(), version.to_owned());
        let former = (scope, version.parse::<u128>().ok()?.wrapping_sub(1).to_string());
        let known = self.kinds.get("SESSVER").map(Vec::as_slice).unwrap_or_default();
        let version = match known.iter().position(|known| *known == former) {
            Some(index) if !known.contains(&key) => format!("«SESSVER{}+1»", index + 1),
            _ => self.name("SESSVER", key),
        };
        Some(format!("o={user} {id} {version} {rest}"))
    }

    fn media(&mut self, value: &str) -> Option<String> {
        let (kind, rest) = value.split_once(' ')?;
        let (port, rest) = rest.split_once(' ')?;
        let port: u64 = port.parse().ok()?;
        self.section.base = Some(port).filter(|port| is_ours(*port));
        self.section.pairs.clear();
        let address = self.section.address.clone();
        Some(format!(
            "m={kind} {} {rest}",
            self.port(port, None, address.as_deref())
        ))
    }

    fn rtcp(&mut self, value: &str) -> Option<String> {
        let (port, rest) = value.split_at(value.find(' ').unwrap_or(value.len()));
        let port: u64 = port.parse().ok()?;
        let neighbour = port
            .checked_sub(1)
            .filter(|before| !self.has_port(port) && self.has_port(*before));
        let address = self.section.address.clone();
        Some(self.port(port, self.section.base.or(neighbour), address.as_deref()) + rest)
    }

    fn secret(&mut self, kind: &str, least: usize, value: &str) -> String {
        if self.text.contains(value) {
            return value.to_owned();
        }
        let is_fine = value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/');
        if !is_fine || !(least..=256).contains(&value.len()) {
            self.faults.push(format!("bad {kind} {value}"));
        }
        self.name(kind, (None, value.to_owned()))
    }

    fn candidate(&mut self, value: &str) -> Option<String> {
        let fields: Vec<&str> = value.splitn(7, ' ').collect();
        let [foundation, component, transport, priority, address, port, rest] = fields[..] else {
            return None;
        };
        let port: u64 = port.parse().ok()?;
        let key = (foundation.to_owned(), rest.split(' ').nth(1)?.to_owned());
        // Component 2 is next to component 1 of the same foundation.
        let base = self.section.pairs.get(&key).copied().filter(|_| component == "2");
        if component == "1" {
            self.section.pairs.insert(key, port);
            self.section.base = self.section.base.or(Some(port).filter(|port| is_ours(*port)));
        }
        let foundation = match self.text.contains(&format!("a=candidate:{foundation} ")) {
            true => foundation.to_owned(),
            false => self.name("FOUNDATION", (None, foundation.to_owned())),
        };
        let port = self.port(port, base, Some(address));
        let rest = match rest.split_once(" raddr ").and_then(|(kind, related)| {
            let (address, port) = related.split_once(" rport ")?;
            Some((kind, address, port.parse().ok()?))
        }) {
            Some((kind, address, port)) => {
                let port = self.port(port, base, Some(address));
                format!("{kind} raddr {address} rport {port}")
            }
            None => rest.to_owned(),
        };
        Some(format!(
            "{foundation} {component} {transport} {priority} {address} {port} {rest}"
        ))
    }

    fn crypto(&mut self, value: &str) -> Option<String> {
        let (head, rest) = value.split_once("inline:")?;
        let end = rest.find(['|', '=', ' ']).unwrap_or(rest.len());
        let (key, rest) = rest.split_at(end);
        if self.text.contains(key) {
            return None;
        }
        Some(format!(
            "{head}inline:{}{rest}",
            self.name("KEY", (None, key.to_owned()))
        ))
    }

    fn fingerprint(&mut self, value: &str) -> Option<String> {
        let (hash, digest) = value.split_once(' ')?;
        if self.text.contains(digest) {
            return None;
        }
        let name = self.name(&format!("FINGERPRINT{hash}"), (None, digest.to_owned()));
        let number = name.trim_start_matches(&format!("«FINGERPRINT{hash}")).to_owned();
        Some(format!(
            "{hash} «FINGERPRINT{}",
            if number == "1»" { "»" } else { &number }
        ))
    }

    fn loop_id(&mut self, value: &str) -> Option<String> {
        let known = self
            .values
            .iter()
            .any(|(name, known)| name == "«LOOP»" && known == value);
        if self.text.contains(value) && !known {
            return None;
        }
        self.values.push(("«LOOP»".to_owned(), value.to_owned()));
        Some("«LOOP»".to_owned())
    }
}

/// The address of the `c=` line before the next `m=`.
fn connection(lines: &[&str]) -> Option<String> {
    let section = lines.iter().take_while(|line| !line.starts_with("m="));
    let line = section.into_iter().find(|line| line.starts_with("c=IN "))?;
    line.split(' ').next_back().map(str::to_owned)
}

/// What stands in the place of a value of the statistics: numbers, internals and the client's address are free.
fn free(value: &Value, key: &str, path: &[String]) -> Option<&'static str> {
    let is_internal = key == "poller_threads" || path.iter().any(|name| name == "bufferpools");
    match value {
        Value::Array(_) if is_internal => Some("«LIST»"),
        Value::String(_) if key == "proxy" => Some("«HOST»"),
        Value::String(text) => text.parse::<f64>().is_ok().then_some("«NUM»"),
        Value::Number(_) => Some("«NUM»"),
        Value::Array(_) | Value::Object(_) | Value::Null | Value::Bool(_) => None,
    }
}
