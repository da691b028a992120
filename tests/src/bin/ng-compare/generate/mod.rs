//! Conversations at random, a pure function of the seed and of the replies: an answer depends on what became of its offer.

mod acts;
mod answer;
mod client;
mod content;
mod flows;
mod media;
mod options;
mod packets;
mod requests;
mod settings;
mod spelling;
mod tables;

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::play::{Setting, Source};
use crate::random::Random;
use acts::{Act, State};

/// What conversations are about; each is a part of the vocabulary that can be chosen alone.
pub(crate) const AREAS: [&str; 29] = [
    "packets",
    "call",
    "fork",
    "subscribe",
    "publish",
    "connect",
    "mesh",
    "create",
    "transform",
    "control",
    "delete",
    "ice",
    "rtcp",
    "replace",
    "crypto",
    "mid",
    "codec",
    "ptime",
    "attr",
    "interfaces",
    "ipv6",
    "flags",
    "latching",
    "keys",
    "sdp",
    "strings",
    "wrong",
    "templates",
    "json",
];

/// How many neighbouring seeds share a setting of the daemons, as starting them takes longer than talking to them.
pub(crate) const BLOCK: u64 = 100;

/// What may be said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    /// All if empty.
    pub(crate) areas: Vec<String>,
    /// Nothing that needs transcoding.
    pub(crate) no_codecs: bool,
}

/// What a message is, as to its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Offer,
    Answer,
    Subscribe,
}

/// The conversation of a seed.
pub(crate) struct Generator {
    random: Random,
    state: State,
    plan: VecDeque<Act>,
    is_json: bool,
}

impl Vocabulary {
    /// Whether packets are sent: then SDP is plain, as nobody encrypts them.
    pub(crate) fn is_packets(&self) -> bool {
        self.areas.iter().any(|area| area == "packets")
    }

    pub(crate) fn has(&self, area: &str) -> bool {
        self.areas.is_empty() || self.areas.iter().any(|other| other == area)
    }

    /// Of these, those that were chosen; all if none was.
    fn chosen(&self, all: &[(usize, &'static str)]) -> Vec<(usize, &'static str)> {
        let chosen: Vec<_> = all.iter().filter(|(_, area)| self.has(area)).copied().collect();
        if chosen.is_empty() { all.to_vec() } else { chosen }
    }

    fn flows(&self) -> Vec<(usize, &'static str)> {
        let all = [
            (60, "call"),
            (8, "fork"),
            (10, "subscribe"),
            (4, "publish"),
            (4, "connect"),
            (2, "mesh"),
            (4, "create"),
            (1, "transform"),
            (5, "control"),
            (4, "delete"),
            (2, "wrong"),
        ];
        if self.is_packets() {
            return vec![(1, "packets")];
        }
        let names_flow = self
            .areas
            .iter()
            .any(|area| all.iter().any(|(_, flow)| flow == area));
        if names_flow {
            self.chosen(&all)
        } else if self.areas.is_empty() {
            all.to_vec()
        } else {
            vec![(1, "call")]
        }
    }

    fn option_areas(&self) -> Vec<(usize, &'static str)> {
        let mut all = vec![
            (12, "ice"),
            (8, "rtcp"),
            (8, "replace"),
            (16, "crypto"),
            (12, "mid"),
            (12, "codec"),
            (4, "ptime"),
            (8, "attr"),
            (4, "interfaces"),
            (4, "ipv6"),
            (6, "flags"),
            (4, "latching"),
            (5, "keys"),
        ];
        if self.is_packets() {
            return vec![
                (12, "latching"),
                (3, "rtcp"),
                (1, "replace"),
                (2, "learning"),
                (1, "mid"),
            ];
        }
        all.retain(|(_, area)| !(self.no_codecs && *area == "ptime"));
        self.chosen(&all)
    }

    /// The daemons of a seed.
    pub(crate) fn setting(&self, seed: u64) -> Setting {
        settings::draw(&mut Random::new(seed / BLOCK * BLOCK + 0x5e77), self)
    }
}

impl Generator {
    pub(crate) fn new(seed: u64, vocabulary: &Vocabulary) -> Generator {
        let mut random = Random::new(seed);
        let mut state = State::new(vocabulary.clone(), &mut random);
        let flow = random.weighted(&vocabulary.flows());
        let plan = flows::plan(&mut random, &mut state, flow).into();
        let is_json = random.percent(if vocabulary.areas.iter().any(|area| area == "json") {
            100
        } else {
            10
        });
        Generator {
            random,
            state,
            plan,
            is_json,
        }
    }
}

impl Source for Generator {
    fn next(&mut self, last: &Value) -> Option<Value> {
        self.state.heard(last);
        let act = self.plan.pop_front()?;
        let mut step = self.state.step(&mut self.random, act);
        if self.is_json && !step["request"].is_null() {
            step["encoding"] = json!("json");
        }
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of a conversation with a daemon that passes on each SDP as it came.
    fn steps(seed: u64, vocabulary: &Vocabulary) -> Vec<Value> {
        let mut generator = Generator::new(seed, vocabulary);
        let mut steps = Vec::new();
        let mut last = Value::Null;
        while let Some(step) = generator.next(&last) {
            last = json!({"result": "ok", "sdp": step["request"]["sdp"]});
            steps.push(step);
        }
        steps
    }

    #[test]
    fn a_seed_is_a_conversation() {
        let vocabulary = Vocabulary::default();
        for seed in 0..300 {
            let once = steps(seed, &vocabulary);
            assert!((1..40).contains(&once.len()), "{seed}: {} steps", once.len());
            assert_eq!(once, steps(seed, &vocabulary), "{seed}");
        }
        assert_ne!(steps(1, &vocabulary), steps(2, &vocabulary));
        assert_eq!(vocabulary.setting(100), vocabulary.setting(199));
    }

    #[test]
    fn all_commands_are_said() {
        let vocabulary = Vocabulary::default();
        let all = (0..3000).flat_map(|seed| steps(seed, &vocabulary));
        let commands: std::collections::BTreeSet<String> = all
            .filter_map(|step| step["request"]["command"].as_str().map(str::to_owned))
            .collect();
        for command in [
            "offer",
            "answer",
            "delete",
            "query",
            "list",
            "publish",
            "subscribe request",
            "subscribe answer",
            "unsubscribe",
            "connect",
            "mesh",
            "create",
            "create answer",
            "transform",
            "block media",
            "unblock media",
            "silence media",
            "unsilence media",
            "start forwarding",
            "stop forwarding",
            "block DTMF",
        ] {
            assert!(commands.contains(command), "{command}");
        }
    }

    #[test]
    fn without_codecs_nothing_is_transcoded() {
        let vocabulary = Vocabulary {
            no_codecs: true,
            ..Vocabulary::default()
        };
        for seed in 0..2000 {
            let text = Value::from(steps(seed, &vocabulary)).to_string();
            for word in [
                "transcode",
                "mask\":[\"PC",
                "\"consume",
                "\"accept\":[\"PC",
                "T.38\":",
                "ptime-reverse",
                "inject-DTMF",
            ] {
                assert!(!text.contains(word), "{seed}: {word} in {text}");
            }
        }
    }

    #[test]
    fn areas_restrict() {
        let vocabulary = Vocabulary {
            areas: vec!["replace".to_owned()],
            no_codecs: false,
        };
        for seed in 0..200 {
            for step in steps(seed, &vocabulary) {
                let request = step["request"].as_object().unwrap();
                assert!(
                    !request.contains_key("ICE") && !request.contains_key("codec"),
                    "{request:?}"
                );
            }
        }
    }
}
