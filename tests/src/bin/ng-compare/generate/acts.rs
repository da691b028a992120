//! From what is planned to requests.

use serde_json::{Map, Value, json};

use super::answer::{again, answer};
use super::client::Client;
use super::options::{self, Options};
use super::packets::{Ports, Traffic};
use super::requests::{self, Plain};
use super::{Role, Vocabulary, media, spelling};
use crate::random::Random;

/// What is done next; parties and calls by their number.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Offer {
        from: usize,
        to: Option<usize>,
        call: usize,
        branch: Option<usize>,
    },
    /// To the last offer that came out.
    Answer {
        from: usize,
        by: usize,
        call: usize,
        branch: Option<usize>,
    },
    Publish {
        by: usize,
        call: usize,
    },
    /// `sources` are parties of the call.
    Subscribe {
        by: usize,
        call: usize,
        sources: usize,
    },
    SubscribeAnswer {
        by: usize,
        call: usize,
    },
    CreateAnswer {
        by: usize,
        call: usize,
    },
    /// What has no SDP. `parties` is how many the call has.
    Plain {
        what: Plain,
        call: usize,
        parties: usize,
    },
    Packets(Traffic),
}

pub(crate) struct State {
    vocabulary: Vocabulary,
    clients: Vec<Client>,
    /// What became of the last offer.
    offered: Option<String>,
    /// Options that are said again in a re-offer and its answer.
    offer_options: Options,
    answer_options: Options,
    /// Whether options are said again, none, or others.
    repeats: usize,
    respelled: usize,
    /// What is known of the daemon's ports.
    pub(super) ports: Ports,
}

impl State {
    pub(crate) fn new(vocabulary: Vocabulary, random: &mut Random) -> State {
        let mut clients: Vec<Client> = (0..6).map(Client::new).collect();
        if random.percent(if vocabulary.has("strings") { 8 } else { 1 }) {
            let odd = [
                "a tag;x=y",
                "4711",
                "UPPER",
                "tag\"quoted",
                "täg",
                "-",
                "a/b%20c",
                "x=[y]",
                "a,b",
            ];
            for client in &mut clients {
                client.tag = format!("{}{}", random.pick(&odd), client.number);
            }
        }
        let strings = if vocabulary.areas.iter().any(|area| area == "strings") {
            100
        } else {
            14
        };
        State {
            vocabulary,
            clients,
            offered: None,
            offer_options: Options::new(),
            answer_options: Options::new(),
            repeats: random.weighted(&[(60, 0), (25, 1), (15, 2)]),
            respelled: strings,
            ports: Ports::default(),
        }
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Takes a reply in.
    pub(crate) fn heard(&mut self, reply: &Value) {
        if let Some(sdp) = reply["sdp"].as_str() {
            self.ports.heard(sdp);
            self.offered = Some(sdp.to_owned());
        }
    }

    /// The next step.
    pub(crate) fn step(&mut self, random: &mut Random, act: Act) -> Value {
        if let Act::Packets(traffic) = act {
            return self.ports.step(random, traffic, &self.clients);
        }
        self.ports.expect(&act);
        json!({"request": self.request(random, act)})
    }

    fn request(&mut self, random: &mut Random, act: Act) -> Value {
        let mut request = Map::new();
        let options = match act {
            Act::Offer {
                from,
                to,
                call,
                branch,
            } => {
                let client = &mut self.clients[from];
                let sdp = again(random, &self.vocabulary, client);
                named(&mut request, "offer", call);
                request.insert("from-tag".to_owned(), json!(client.tag));
                if let Some(to) = to {
                    request.insert("to-tag".to_owned(), json!(self.clients[to].tag));
                }
                with_branch(&mut request, branch);
                request.insert("sdp".to_owned(), json!(sdp.text()));
                let is_first = to.is_none() || self.offer_options.is_empty();
                if is_first || self.repeats == 2 {
                    self.offer_options = options::draw(random, &self.vocabulary, Role::Offer);
                }
                let options = if is_first || self.repeats != 1 {
                    self.offer_options.clone()
                } else {
                    Options::new()
                };
                spelling::respell(random, options, self.respelled)
            }
            Act::Answer {
                from,
                by,
                call,
                branch,
            } => {
                let offer = self.offered.clone().unwrap_or_default();
                let sdp = answer(random, &self.vocabulary, &mut self.clients[by], &offer);
                named(&mut request, "answer", call);
                request.insert("from-tag".to_owned(), json!(self.clients[from].tag));
                request.insert("to-tag".to_owned(), json!(self.clients[by].tag));
                with_branch(&mut request, branch);
                request.insert("sdp".to_owned(), json!(sdp.text()));
                if self.answer_options.is_empty() || self.repeats == 2 {
                    self.answer_options = options::draw(random, &self.vocabulary, Role::Answer);
                }
                spelling::respell(random, self.answer_options.clone(), self.respelled)
            }
            Act::Publish { by, call } => {
                let sdp = media::description(random, &self.vocabulary, &self.clients[by]);
                named(&mut request, "publish", call);
                request.insert("from-tag".to_owned(), json!(self.clients[by].tag));
                request.insert("sdp".to_owned(), json!(sdp.text()));
                self.clients[by].sdp = Some(sdp);
                let options = options::draw(random, &self.vocabulary, Role::Answer);
                spelling::respell(random, options, self.respelled)
            }
            Act::Subscribe { by, call, sources } => {
                named(&mut request, "subscribe request", call);
                if random.percent(96) {
                    request.insert("to-tag".to_owned(), json!(self.clients[by].tag));
                }
                let tags: Vec<&str> = self.clients[..sources]
                    .iter()
                    .map(|client| client.tag.as_str())
                    .collect();
                requests::sources(random, &mut request, &tags);
                let mut options = options::draw(random, &self.vocabulary, Role::Subscribe);
                if random.percent(20) {
                    options::flag(
                        &mut options,
                        random.pick(&["SIPREC", "inactive", "bidirectional", "mix", "egress"]),
                    );
                }
                options
            }
            Act::SubscribeAnswer { by, call } | Act::CreateAnswer { by, call } => {
                let is_create = matches!(act, Act::CreateAnswer { .. });
                let offer = self.offered.clone().unwrap_or_default();
                let sdp = answer(random, &self.vocabulary, &mut self.clients[by], &offer);
                named(
                    &mut request,
                    if is_create {
                        "create answer"
                    } else {
                        "subscribe answer"
                    },
                    call,
                );
                let key = if is_create { "from-tag" } else { "to-tag" };
                request.insert(key.to_owned(), json!(self.clients[by].tag));
                request.insert("sdp".to_owned(), json!(sdp.text()));
                if random.percent(75) {
                    Options::new()
                } else {
                    options::draw(random, &self.vocabulary, Role::Answer)
                }
            }
            Act::Packets(_) => Options::new(),
            Act::Plain { what, call, parties } => {
                let tags: Vec<&str> = self.clients.iter().map(|client| client.tag.as_str()).collect();
                return requests::plain(random, &self.vocabulary, what, call, (&tags, parties));
            }
        };
        for (key, value) in options {
            match (request.get_mut(&key), value) {
                (Some(Value::Array(there)), Value::Array(more)) => there.extend(more),
                (_, value) => drop(request.insert(key, value)),
            }
        }
        Value::Object(request)
    }
}

pub(crate) fn named(request: &mut Map<String, Value>, command: &str, call: usize) {
    request.insert("command".to_owned(), json!(command));
    request.insert("call-id".to_owned(), json!(format!("«CALL{}»", call + 1)));
}

fn with_branch(request: &mut Map<String, Value>, branch: Option<usize>) {
    if let Some(branch) = branch {
        request.insert("via-branch".to_owned(), json!(format!("z9hG4bK-{branch}")));
    }
}
