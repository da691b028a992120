//! Whatever two parties say to each other: for the fuzz target.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use relay_common::ng::octets;
use relay_common::slot::Counters;

use crate::call::CodecPattern;
use crate::call::calls::Calls;
use crate::call::command::{CodecSpec, Command, Fragment, IceMode, Reply, Signal, SignalOptions};
use crate::clock::Time;
use crate::config::{CallSettings, Interface, InterfaceAddress, Interfaces, MusicSettings};
use crate::host::{AddressId, Host, OutOfPorts, PortCount};
use crate::plan::{Learning, LocalPort, MosModel, PortId};
use crate::report::SsrcReporting;
use crate::sdp::Description;

const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Two bytes of options for each message, then messages separated by zero bytes: an offer, an answer, an offer from the
/// other side, an answer to that, and so on. An SDP that comes out can be parsed.
///
/// # Panics
///
/// If something does not hold.
pub fn talk(data: &[u8]) {
    let addresses = ADDRESSES.iter().zip(0..);
    let interface = Interface {
        name: "default".to_owned(),
        addresses: addresses
            .map(|(address, index)| InterfaceAddress {
                local: AddressId(index),
                advertised: *address,
            })
            .collect(),
    };
    let settings = CallSettings {
        interfaces: Interfaces {
            addresses: ADDRESSES.to_vec(),
            interfaces: vec![interface],
            ..Interfaces::default()
        },
        ..settings()
    };
    let mut calls = Calls::new(settings, crate::dtls::fuzz::credentials());
    let mut host = Numbers { next: 0 };
    for (index, message) in data.split(|byte| *byte == 0).take(8).enumerate() {
        let (options, sdp) = message.split_at(message.len().min(2));
        let sdp = octets::text(sdp).into_owned();
        let command = command(index, options, sdp);
        let reply = calls.handle(Time(1), command, &mut host);
        if let Ok(Reply::Sdp(sdp)) = reply {
            assert!(Description::parse(&sdp).is_ok(), "our own {sdp}");
        }
        while calls.poll_action().is_some() {}
    }
}

/// Who speaks: `a` offers twice, `b` answers, then the other way round.
fn command(index: usize, options: &[u8], sdp: String) -> Command {
    let (from, to) = if index % 4 < 2 { ("a", "b") } else { ("b", "a") };
    let flags = u16::from_le_bytes([0, 1].map(|index| options.get(index).copied().unwrap_or(0)));
    if flags & 1 << 15 != 0 {
        return Command::Fragment(Fragment {
            call_id: "call".into(),
            from_tag: from.into(),
            sdp,
        });
    }
    let signal = Box::new(Signal {
        call_id: "call".into(),
        from_tag: from.into(),
        to_tag: (index > 0).then(|| to.into()),
        via_branch: None,
        sdp,
        options: signal_options(flags),
    });
    match index % 2 {
        0 => Command::Offer(signal),
        _ => Command::Answer(signal),
    }
}

fn signal_options(flags: u16) -> SignalOptions {
    let flag = |bit: u32| flags & 1 << bit != 0;
    let pick = |shift: u32, count: usize| usize::from(flags >> shift & 0b11) % count;
    let mut options = SignalOptions::default();
    options.ice.mode = [
        IceMode::Default,
        IceMode::Force,
        IceMode::Optional,
        IceMode::ForceRelay,
    ][pick(0, 4)];
    let profiles = [None, Some("rtp/avp"), Some("rtp/savp"), Some("udp/tls/rtp/savpf")];
    options.transport_protocol = profiles[pick(2, 4)].map(str::to_owned);
    options.osrtp.offer = pick(4, 3) == 1;
    options.osrtp.offer_legacy = flag(6);
    options.osrtp.accept_legacy = flag(7);
    options.sdes.off = flag(8);
    options.dtls.off = flag(9);
    options.rtcp_mux.require = flag(10);
    options.rtcp_mux.demux = flag(11);
    options.reset = flag(12);
    if flag(13) {
        options.codecs.transcode = ["opus", "telephone-event", "G722"].map(CodecSpec::from).to_vec();
        options.codecs.mask = vec![CodecPattern::from("PCMU")];
    }
    options.fax.decode = flag(14);
    options.fax.force = flag(14);
    options
}

fn settings() -> CallSettings {
    let long = Duration::from_secs(3600);
    CallSettings {
        interfaces: Interfaces::default(),
        timeout: long,
        silent_timeout: long,
        offer_timeout: long,
        final_timeout: None,
        delete_delay: Duration::ZERO,
        tos: 0,
        learning: Learning::default(),
        mos: MosModel::default(),
        ssrc_reporting: SsrcReporting::default(),
        rtcp_interval: Duration::from_secs(5),
        music: MusicSettings::default(),
        sip_source: false,
        max_sessions: None,
        reject_invalid_sdp: false,
        preferences: Default::default(),
        saves_ports: false,
        dtls_passive: false,
        epoch: Duration::ZERO,
    }
}

/// Ports that are nothing but numbers.
struct Numbers {
    next: u16,
}

impl Host for Numbers {
    fn reserve(&mut self, address: AddressId, count: PortCount) -> Result<Vec<LocalPort>, OutOfPorts> {
        let count = match count {
            PortCount::One => 1,
            PortCount::Pair => 2,
        };
        let first = 30000 + self.next;
        self.next += 2;
        if self.next > 1000 {
            return Err(OutOfPorts);
        }
        let ip = ADDRESSES[usize::from(address.0)];
        let port = |number: u16| LocalPort {
            id: PortId(number.into()),
            address: SocketAddr::new(ip, number),
        };
        Ok((first..first + count).map(port).collect())
    }

    fn release(&mut self, _port: PortId) {}

    fn kernel_counters(&self, _port: PortId) -> Counters {
        Counters::default()
    }

    fn random(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
                       m=audio 4000 RTP/SAVP 0\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";

    #[test]
    fn a_call_is_carried_through() {
        for options in [[1, 1], [9, 2], [0x26, 1], [0x22, 4]] {
            let message = [&options[..], SDP.as_bytes()].concat();
            talk(&[&message[..]; 4].join(&0));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(data in prop::collection::vec(any::<u8>(), 0..400)) {
            talk(&data);
        }
    }
}
