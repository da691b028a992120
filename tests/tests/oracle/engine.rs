//! The signalling half of the daemon in one piece, without sockets: control, calls, and a machine that hands out
//! numbers as ports.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use relay_common::ng::{self, Dictionary, Format, Item};
use relay_common::slot::Counters;
use relay_daemon::call::Calls;
use relay_daemon::clock::Time;
use relay_daemon::config::{CallSettings, Interface, InterfaceAddress, Interfaces};
use relay_daemon::control::Control;
use relay_daemon::host::{AddressId, Host, OutOfPorts, PortCount};
use relay_daemon::plan::{Learning, LocalPort, PortId};
use serde_json::{Map, Value};

/// What answers requests.
pub(crate) struct Engine {
    control: Control,
    calls: Calls,
    host: Numbers,
    now: Time,
}

impl Engine {
    /// Starts with the options of the daemon that matter to signalling; others are left out.
    pub(crate) fn new(options: &[String]) -> Engine {
        let mut ports = 30000..=39999;
        let mut settings = CallSettings {
            interfaces: Interfaces::default(),
            timeout: Duration::from_secs(60),
            silent_timeout: Duration::from_secs(3600),
            offer_timeout: Duration::from_secs(3600),
            final_timeout: None,
            delete_delay: Duration::from_secs(30),
            tos: 0,
            learning: Learning::default(),
            sip_source: false,
            max_sessions: None,
            reject_invalid_sdp: false,
            epoch: Duration::from_micros(1_700_000_000_123_456),
        };
        for option in options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "--interface" => add_interface(&mut settings.interfaces, value),
                "--port-min" => ports = value.parse().unwrap()..=*ports.end(),
                "--port-max" => ports = *ports.start()..=value.parse().unwrap(),
                "--sip-source" => settings.sip_source = true,
                "--max-sessions" => settings.max_sessions = Some(value.parse().unwrap()),
                "--reject-invalid-sdp" => settings.reject_invalid_sdp = true,
                _ => {}
            }
        }
        Engine {
            control: Control::default(),
            host: Numbers {
                addresses: settings.interfaces.addresses.clone(),
                ports,
                in_use: BTreeSet::new(),
                random: 1,
            },
            calls: Calls::new(settings),
            now: Time(1_000_000_000),
        }
    }

    /// The reply to a message, decoded, and its format. None if there is none.
    pub(crate) fn exchange(&mut self, cookie: &str, body: &[u8]) -> Option<(Format, Value)> {
        self.now = self.now + Duration::from_millis(1);
        let mut datagram = format!("{cookie} ").into_bytes();
        datagram.extend_from_slice(body);
        let Engine {
            control,
            calls,
            host,
            now,
        } = self;
        let reply = control.handle(*now, &datagram, &mut |command| calls.handle(*now, command, host))?;
        while calls.poll_action().is_some() {}
        let space = reply.iter().position(|byte| *byte == b' ')?;
        let (format, entries) = ng::decode(&reply[space + 1..]).ok()?;
        Some((format, object(&entries)))
    }
}

/// Encodes a request.
pub(crate) fn encode(request: &Value, format: Format) -> Vec<u8> {
    match to_ng(request) {
        ng::Value::Dictionary(dictionary) => ng::encode(&dictionary, format),
        _ => panic!("a request is a dictionary"),
    }
}

fn to_ng(value: &Value) -> ng::Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), to_ng(value)));
            ng::Value::Dictionary(Dictionary(fields.collect()))
        }
        Value::Array(items) => ng::Value::List(items.iter().map(to_ng).collect()),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => number.as_i64().unwrap_or_default().into(),
        Value::Bool(value) => i64::from(*value).into(),
        Value::Null => "".into(),
    }
}

fn object(entries: &ng::Entries<'_>) -> Value {
    let fields = entries.iter().map(|(key, item)| (key.to_string(), from_ng(item)));
    Value::Object(fields.collect::<Map<String, Value>>())
}

fn from_ng(item: &Item<'_>) -> Value {
    match item {
        Item::Integer(number) => Value::from(*number),
        Item::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes).into_owned()),
        Item::List(items) => items.iter().map(from_ng).collect(),
        Item::Dictionary(entries) => object(entries),
    }
}

/// `NAME/ADDR!ADVERTISED`, each part but the address optional. Several of a name make one interface.
fn add_interface(interfaces: &mut Interfaces, value: &str) {
    let (name, address) = value.split_once('/').unwrap_or(("default", value));
    let (local, advertised) = address.split_once('!').unwrap_or((address, address));
    let index = u16::try_from(interfaces.addresses.len()).unwrap();
    interfaces.addresses.push(local.parse().unwrap());
    let address = InterfaceAddress {
        local: AddressId(index),
        advertised: advertised.parse().unwrap(),
    };
    match interfaces
        .interfaces
        .iter_mut()
        .find(|interface| interface.name == name)
    {
        Some(interface) => interface.addresses.push(address),
        None => interfaces.interfaces.push(Interface {
            name: name.to_owned(),
            addresses: vec![address],
        }),
    }
}

/// Ports that are nothing but numbers, in no order.
struct Numbers {
    addresses: Vec<IpAddr>,
    ports: std::ops::RangeInclusive<u16>,
    in_use: BTreeSet<(AddressId, u16)>,
    random: u64,
}

impl Numbers {
    fn next_random(&mut self) -> u64 {
        // Knuth's MMIX constants.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }
}

impl Host for Numbers {
    fn reserve(&mut self, address: AddressId, count: PortCount) -> Result<Vec<LocalPort>, OutOfPorts> {
        let length = match count {
            PortCount::One => 1,
            PortCount::Pair => 2,
        };
        let count = self.ports.end() - self.ports.start() + 1;
        let start = u16::try_from(self.next_random() % u64::from(count)).unwrap();
        let first = (0..count)
            .map(|offset| self.ports.start() + (start + offset) % count)
            .filter(|first| length == 1 || first % 2 == 0)
            .find(|first| {
                let mut wanted = *first..first.saturating_add(length);
                wanted.all(|port| self.ports.contains(&port) && !self.in_use.contains(&(address, port)))
            })
            .ok_or(OutOfPorts)?;
        let ip = self.addresses[usize::from(address.0)];
        let ports = (first..=first + (length - 1)).map(|port| {
            self.in_use.insert((address, port));
            LocalPort {
                id: PortId(u32::from(address.0) << 16 | u32::from(port)),
                address: SocketAddr::new(ip, port),
            }
        });
        Ok(ports.collect())
    }

    fn release(&mut self, port: PortId) {
        let address = AddressId(u16::try_from(port.0 >> 16).unwrap());
        let number = u16::try_from(port.0 & 0xffff).unwrap();
        assert!(
            self.in_use.remove(&(address, number)),
            "{port:?} was not reserved"
        );
    }

    fn kernel_counters(&self, _port: PortId) -> Counters {
        Counters::default()
    }

    fn random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = u8::try_from(self.next_random() & 0xff).unwrap();
        }
    }
}
