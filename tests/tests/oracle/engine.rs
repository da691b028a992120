//! The signalling half of the daemon in one piece, without sockets: control, calls, and a machine that hands out
//! numbers as ports.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use relay_common::ng::{self, Dictionary, Format};
use relay_common::slot::Counters;
use relay_daemon::call::{Action, Calls, Command, CommandError, Reply};
use relay_daemon::clock::Time;
use relay_daemon::config::{CallSettings, Config, DtlsSettings, PortRange};
use relay_daemon::control::{self, Control};
use relay_daemon::dtls::Credentials;
use relay_daemon::host::{AddressId, Host, OutOfPorts, PortCount};
use relay_daemon::plan::{CallKey, LocalPort, PortId};
use relay_daemon::ports::PortUsage;
use relay_daemon::report::{self, InterfaceStatistics, Ledger, RequestKind, Statistics, Traffic};
use relay_daemon::session::Session;
use relay_tests::recording;
use serde_json::Value;

/// What answers requests.
pub(crate) struct Engine {
    control: Control,
    machine: Machine,
}

struct Machine {
    calls: Calls,
    /// The media: it sends into the void, and nothing comes.
    sessions: BTreeMap<CallKey, Session>,
    host: Numbers,
    ledger: Ledger,
    now: Time,
}

/// Where all requests come from.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Engine {
    /// Starts as the daemon does with these options and this text of a configuration file.
    pub(crate) fn new(options: &[String], file: &str) -> Engine {
        let fixed = ["relay-daemon", "--listen-ng=127.0.0.1:2223"].map(str::to_owned);
        let arguments = fixed.iter().chain(options).map(OsString::from);
        let config = Config::from_text(arguments, file).expect("options of the daemon");
        let settings = CallSettings {
            epoch: Duration::from_micros(1_700_000_000_123_456),
            ..config.call
        };
        Engine {
            control: Control::new(config.templates),
            machine: Machine {
                host: Numbers {
                    addresses: settings.interfaces.addresses.clone(),
                    ports: config.ports,
                    in_use: BTreeMap::new(),
                    next_id: 0,
                    random: 1,
                },
                calls: Calls::new(settings, credentials()),
                sessions: BTreeMap::new(),
                ledger: Ledger::new(Time(0)),
                now: Time(1_000_000_000),
            },
        }
    }

    /// The reply to a message, decoded, and its format. None if there is none.
    pub(crate) fn exchange(&mut self, cookie: &str, body: &[u8]) -> Option<(Format, Value)> {
        let Engine { control, machine } = self;
        machine.now = machine.now + Duration::from_millis(1);
        let mut datagram = format!("{cookie} ").into_bytes();
        datagram.extend_from_slice(body);
        let reply = control.handle(machine.now, &datagram, machine)?;
        let space = reply.iter().position(|byte| *byte == b' ')?;
        let (format, entries) = ng::decode(&reply[space + 1..]).ok()?;
        Some((format, recording::object(&entries)))
    }
}

impl Machine {
    fn act(&mut self, action: Action) {
        let now = self.now;
        let mut session = |call: CallKey| {
            let session = self.sessions.remove(&call);
            session.unwrap_or_else(|| Session::new(call))
        };
        let mut session = match action {
            Action::Apply(plan) => {
                let mut session = session(plan.call);
                session.handle_plan(now, plan);
                session
            }
            Action::Merge { from, offset, plan } => {
                let (other, mut session) = (session(from), session(plan.call));
                session.absorb(now, other, offset, plan);
                session
            }
            Action::End(call) => return drop(session(call)),
            Action::WarnOfEncryption(_) => return,
        };
        while session.shake_hands(now) {}
        self.sessions.insert(session.call(), session);
    }
}

/// Who all engines are in DTLS.
fn credentials() -> Arc<Credentials> {
    static CREDENTIALS: OnceLock<Arc<Credentials>> = OnceLock::new();
    let generate = || Credentials::generate(&DtlsSettings::default()).expect("a certificate");
    Arc::clone(CREDENTIALS.get_or_init(|| Arc::new(generate())))
}

impl control::Engine for Machine {
    fn run(&mut self, mut command: Command) -> Result<Reply, CommandError> {
        if let Some(choice) = command.interfaces_mut() {
            // What is sent to an address of the machine itself leaves by that address.
            let interfaces = &self.calls.settings().interfaces;
            choice.resolve(|peer| Some(interfaces.with_local(peer)?.name.clone()));
        }
        let reply = self.calls.handle(self.now, command, &mut self.host);
        while let Some(action) = self.calls.poll_action() {
            self.act(action);
        }
        while let Some(call) = self.calls.poll_ended(&self.host) {
            self.ledger.call_ended(&call);
        }
        reply
    }

    fn is_debugged(&self, _: &str) -> bool {
        false
    }

    fn statistics(&mut self) -> Dictionary {
        let interfaces = &self.calls.settings().interfaces;
        let addresses = interfaces.real().flat_map(|(_, interface)| {
            let addresses = interface.addresses.iter();
            addresses.map(|address| (&interface.name, address.local))
        });
        let interfaces = addresses.map(|(name, address)| InterfaceStatistics {
            name: name.clone(),
            ports: self.host.usage(address),
            traffic: Traffic::default(),
        });
        let proxies = self.ledger.proxies();
        report::statistics_reply(&Statistics {
            census: self.calls.census(),
            ended: self.ledger.ended(),
            requests: self.ledger.requests().clone(),
            proxies: proxies.map(|(peer, requests)| (peer, requests.clone())).collect(),
            interfaces: interfaces.collect(),
            ..Statistics::default()
        })
    }

    fn cli(&mut self, _: &str) -> String {
        String::new()
    }

    fn arrived(&mut self) {
        self.ledger.request_arrived(PEER);
    }

    fn answered(&mut self, kind: Option<RequestKind>, failed: bool) {
        self.ledger.request_answered(PEER, kind, failed, Duration::ZERO);
    }
}

/// Ports that are nothing but numbers, in no order.
struct Numbers {
    addresses: Vec<IpAddr>,
    /// Of each address.
    ports: Vec<PortRange>,
    in_use: BTreeMap<PortId, (AddressId, u16)>,
    next_id: u32,
    random: u64,
}

impl Numbers {
    /// Below `end`.
    fn next_random(&mut self, end: u16) -> u16 {
        // Knuth's MMIX constants.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let number = (self.random >> 33) % u64::from(end);
        u16::try_from(number).unwrap_or_default()
    }

    fn is_free(&self, address: AddressId, port: u16) -> bool {
        let PortRange { ports, excluded } = &self.ports[usize::from(address.0)];
        ports.contains(&port)
            && !excluded.iter().any(|range| range.contains(&port))
            && !self.in_use.values().any(|used| *used == (address, port))
    }

    /// The first of so many free ports that follow each other, from a random one on. A pair begins with an even one.
    fn find(&mut self, address: AddressId, length: u16) -> Option<u16> {
        let ports = self.ports.get(usize::from(address.0))?.ports.clone();
        let (low, count) = (*ports.start(), ports.end() - ports.start() + 1);
        let start = self.next_random(count);
        (0..count)
            .map(|offset| low + (start + offset) % count)
            .filter(|first| length == 1 || first.is_multiple_of(2))
            .find(|first| (*first..first + length).all(|port| self.is_free(address, port)))
    }

    fn usage(&self, address: AddressId) -> PortUsage {
        let index = usize::from(address.0);
        let PortRange { ports, excluded } = &self.ports[index];
        let is_left = |port: &u16| !excluded.iter().any(|range| range.contains(port));
        PortUsage {
            address: self.addresses[index],
            min: *ports.start(),
            max: *ports.end(),
            used: self.in_use.values().filter(|used| used.0 == address).count(),
            total: ports.clone().filter(is_left).count(),
        }
    }
}

impl Host for Numbers {
    fn reserve(&mut self, address: AddressId, count: PortCount) -> Result<Vec<LocalPort>, OutOfPorts> {
        let length = match count {
            PortCount::One => 1,
            PortCount::Pair => 2,
        };
        let first = self.find(address, length).ok_or(OutOfPorts)?;
        let ip = self.addresses[usize::from(address.0)];
        let ports = (first..first + length).map(|number| {
            let id = PortId(self.next_id);
            self.next_id += 1;
            self.in_use.insert(id, (address, number));
            LocalPort {
                id,
                address: SocketAddr::new(ip, number),
            }
        });
        Ok(ports.collect())
    }

    fn release(&mut self, port: PortId) {
        let known = self.in_use.remove(&port);
        assert!(known.is_some(), "{port:?} was not reserved");
    }

    fn has_ports(&self, address: AddressId) -> bool {
        let PortRange { ports, .. } = &self.ports[usize::from(address.0)];
        let is_pair = |first: &u16| (*first..first + 2).all(|port| self.is_free(address, port));
        (ports.start().next_multiple_of(2)..*ports.end())
            .step_by(2)
            .any(|first| is_pair(&first))
    }

    fn kernel_counters(&self, _port: PortId) -> Counters {
        Counters::default()
    }

    fn random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = u8::try_from(self.next_random(0x100)).unwrap_or_default();
        }
    }
}
