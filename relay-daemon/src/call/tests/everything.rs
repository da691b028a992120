//! Every command, with packets and time in between: signalling and media together.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use crate::call::command::{
    Branch, CallId, Command, CommandError, Delete, Fragment, MusicSource, PartyChoice, Play, Playback, Query,
    Reply, SourceChoice, Tag,
};
use crate::host::Host;
use crate::plan::{CallKey, KernelUse, LocalPort, PortId};
use crate::session::Event;
use crate::srtp::MAX_TRAILER;

use super::world::{World, is_refused};
use super::{media_properties, properties};

#[derive(Clone, Debug)]
enum Step {
    Command(Command),
    /// A datagram at one of all ports, counted from the first and round again.
    Packet {
        port: usize,
        source: SocketAddr,
        bytes: Vec<u8>,
    },
    Pass(u64),
    /// So many ports may be in use.
    Limit(usize),
}

const CALL_IDS: [&str; 3] = ["one", "two", "three"];

fn call_id() -> impl Strategy<Value = CallId> {
    prop::sample::select(CALL_IDS.to_vec()).prop_map(CallId::from)
}

fn tag() -> impl Strategy<Value = Tag> {
    prop::sample::select(vec!["a", "b", "c", "s"]).prop_map(Tag::from)
}

fn branch() -> impl Strategy<Value = Option<Branch>> {
    prop::option::weighted(0.3, prop::sample::select(vec!["1", "2"]).prop_map(Branch::from))
}

/// Offers and answers with all their options, in several calls.
fn dialogue() -> impl Strategy<Value = Command> {
    (call_id(), properties::message()).prop_map(|(call_id, mut command)| {
        if let Command::Offer(signal) | Command::Answer(signal) = &mut command {
            signal.call_id = call_id;
        }
        command
    })
}

fn delete() -> impl Strategy<Value = Command> {
    let tags = (prop::option::of(tag()), prop::option::of(tag()), branch());
    (call_id(), tags, prop::option::of(0..40u64), any::<[bool; 2]>()).prop_map(
        |(call_id, (from_tag, to_tag, via_branch), delay, [fatal, fast])| {
            Command::Delete(Delete {
                call_id,
                from_tag,
                to_tag,
                via_branch,
                delay: delay.map(Duration::from_secs),
                fatal,
                fast,
            })
        },
    )
}

fn other_commands() -> impl Strategy<Value = Command> {
    let query = (call_id(), prop::option::of(tag()), prop::option::of(tag())).prop_map(
        |(call_id, from_tag, to_tag)| {
            Command::Query(Query {
                call_id,
                from_tag,
                to_tag,
            })
        },
    );
    let credentials = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";
    let candidate = "m=audio 9 RTP/AVP 0\r\na=candidate:1 1 UDP 2130706431 198.51.100.31 4000 typ host\r\n";
    let lines = prop::sample::select(vec![
        format!("{credentials}{candidate}"),
        candidate.to_owned(),
        "nonsense".to_owned(),
    ]);
    let fragment = (call_id(), tag(), lines).prop_map(|(call_id, from_tag, sdp)| {
        Command::Fragment(Fragment {
            call_id,
            from_tag,
            sdp,
        })
    });
    let what = prop::sample::select(vec![
        Playback::Media {
            source: Some(MusicSource::File),
        },
        Playback::Stop,
        Playback::Dtmf { code: Some(5) },
        Playback::Dtmf { code: None },
    ]);
    let play = (call_id(), tag(), what).prop_map(|(call_id, tag, what)| {
        Command::Play(Play {
            call_id,
            parties: SourceChoice::One(PartyChoice::Tag(tag)),
            what,
        })
    });
    let kernel = (call_id(), any::<bool>()).prop_map(|(call_id, on)| {
        let kernel_use = match on {
            true => KernelUse::Allowed,
            false => KernelUse::SwitchedOff,
        };
        Command::Kernel(call_id, kernel_use)
    });
    prop_oneof![
        query,
        fragment,
        play,
        kernel,
        call_id().prop_map(Command::Show),
        (0..4usize).prop_map(|limit| Command::List { limit }),
    ]
}

fn packet() -> impl Strategy<Value = Step> {
    let source = prop::sample::select(vec![
        "198.51.100.31:4000",
        "198.51.100.32:5000",
        "198.51.100.31:4001",
        "192.0.2.7:9999",
        "[2001:db8::7]:4000",
    ]);
    let header = |first: u8, second: u8| vec![first, second, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
    let bytes = prop_oneof![
        4 => Just([header(0x80, 8), vec![0xd5; 160]].concat()),
        1 => Just([header(0x80, 101), vec![5, 10, 0, 160]].concat()),
        2 => Just(vec![0x80, 200, 0, 6, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 160, 0, 0, 0, 1, 0, 0, 0, 160]),
        1 => Just(vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        2 => prop::collection::vec(any::<u8>(), 0..60),
    ];
    (any::<usize>(), source, bytes).prop_map(|(port, source, bytes)| Step::Packet {
        port,
        source: source.parse().unwrap(),
        bytes,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => dialogue().prop_map(Step::Command),
        9 => media_properties::command().prop_map(Step::Command),
        3 => delete().prop_map(Step::Command),
        2 => other_commands().prop_map(Step::Command),
        8 => packet(),
        2 => (0..100u64).prop_map(Step::Pass),
        1 => prop_oneof![0..40usize, Just(usize::MAX)].prop_map(Step::Limit),
    ]
}

impl World {
    /// All that can be known of the calls: what a query says of those with parties, and the plans. A refused first offer
    /// may leave a call without any.
    fn state(&mut self) -> String {
        let calls = CALL_IDS.map(|call_id| {
            let query = Query {
                call_id: call_id.into(),
                from_tag: None,
                to_tag: None,
            };
            match self.handle(Command::Query(query)) {
                Ok(Reply::Statistics(call)) if !call.parties.is_empty() => Some(call),
                _ => None,
            }
        });
        let plans: Vec<(CallKey, u32)> = self
            .plans
            .iter()
            .map(|(key, plan)| (*key, plan.revision))
            .collect();
        format!("{calls:?} {plans:?}")
    }

    /// All ports, of all calls.
    fn ports(&self) -> Vec<(CallKey, LocalPort)> {
        let of_plan = |(key, plan): (&CallKey, &crate::plan::Plan)| {
            let ports = plan.streams.iter().flat_map(|stream| &stream.ports);
            ports.map(|port| (*key, *port)).collect::<Vec<_>>()
        };
        self.plans.iter().flat_map(of_plan).collect()
    }

    /// A datagram arrives. What is sent for it leaves from a port of the same call, for an address that there is.
    fn receive(&mut self, port: usize, source: SocketAddr, bytes: &[u8]) {
        let ports = self.ports();
        let Some((call, port)) = ports.get(port % ports.len().max(1)).copied() else {
            return;
        };
        let own: BTreeSet<PortId> = ports
            .iter()
            .filter(|(key, _)| *key == call)
            .map(|(_, port)| port.id)
            .collect();
        let sessions = self.sessions.as_mut().expect("media plays");
        let session = sessions.get_mut(&call).expect("a session for each plan");
        let mut datagram = bytes.to_vec();
        let mut buffer = vec![0; bytes.len() + MAX_TRAILER];
        session.handle_datagram(self.now, port.id, source, &mut datagram);
        while let Some(transmit) = session.poll_transmit() {
            assert!(
                own.contains(&transmit.from),
                "{transmit:?} leaves from a port of another call"
            );
            assert!(!transmit.to.ip().is_unspecified(), "{transmit:?} leads nowhere");
            let length = match transmit.rewritten {
                true => session.write(&transmit, &datagram, &mut buffer),
                false => Some(transmit.length),
            };
            if let Some(length) = length {
                session.handle_sent(&transmit, length, true);
            }
        }
        while session.poll_event().is_some() {}
    }

    /// What was due in the sessions by now happens, and what is sent leaves from ports of the call.
    fn let_sessions_catch_up(&mut self) {
        let ports = self.ports();
        let sessions = self.sessions.as_mut().expect("media plays");
        for (call, session) in sessions {
            session.handle_timeout(self.now);
            assert!(session.poll_timeout().is_none_or(|due| due > self.now));
            while let Some(event) = session.poll_event() {
                if let Event::Report(now) = event {
                    session.report(now, |port| self.host.kernel_counters(port));
                }
            }
            while let Some(datagram) = session.poll_datagram() {
                let from = ports.iter().find(|(_, port)| port.id == datagram.from);
                assert_eq!(from.map(|(call, _)| call), Some(call), "{datagram:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn goes(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::with_media();
        for step in steps {
            match step {
                // World::handle checks that the ports that are reserved are those that stand in plans.
                Step::Command(command) => {
                    let before = world.state();
                    let outcome = world.handle(command.clone());
                    // Whom it is about is known afterwards, and what was said before it came to nothing.
                    let names_somebody = matches!(
                        command,
                        Command::Publish(_)
                            | Command::Transform(_)
                            | Command::SubscribeRequest(_)
                            | Command::SubscribeAnswer(_)
                    );
                    if is_refused(&outcome) && !names_somebody {
                        let after = world.state();
                        prop_assert_eq!(before, after, "{:?} was refused ({:?}), and changed something", command, outcome);
                    }
                }
                Step::Packet { port, source, bytes } => world.receive(port, source, &bytes),
                Step::Pass(seconds) => {
                    world.pass(seconds);
                    world.let_sessions_catch_up();
                }
                Step::Limit(limit) => world.host.limit = limit,
            }
            world.plans.values().for_each(media_properties::check);
            let sessions = world.sessions.iter().flat_map(|sessions| sessions.keys());
            prop_assert!(sessions.eq(world.plans.keys()));
        }
        for call_id in CALL_IDS {
            let whole = Command::Delete(Delete {
                call_id: call_id.into(),
                from_tag: None,
                to_tag: None,
                via_branch: None,
                delay: Some(Duration::ZERO),
                fatal: true,
                fast: true,
            });
            prop_assert!(matches!(world.handle(whole), Ok(Reply::Done) | Err(CommandError::NotFound)));
        }
        prop_assert_eq!(world.calls.session_count(), 0);
        prop_assert_eq!(world.host.in_use(), 0, "all ports come back with the last call");
    }
}
