//! DTLS with the daemon on loopback: which certificate it shows, and which versions it speaks.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use common::{Daemon, media_port, phone};
use relay_common::ng::{Dictionary, Value};
use relay_daemon::clock::Time;
use relay_daemon::config::{CertificateSettings, DtlsSettings};
use relay_daemon::dtls::{Association, Context, DtlsState, Identity};
use relay_daemon::security::{DtlsRole, Fingerprint, HashFunction};

/// Between two looks at what cannot be awaited.
const GLANCE: Duration = Duration::from_millis(30);

/// A phone with plain RTP calls one with DTLS, which opens the association.
struct Callee {
    socket: UdpSocket,
    identity: Identity,
    /// The one that its SDP names.
    named: Identity,
    call: String,
    /// What the callee is told.
    offer: Dictionary,
}

impl Callee {
    fn called(daemon: &mut Daemon, call: &str) -> Callee {
        let (_, sdp) = phone(&daemon.ip());
        let fields = [
            ("call-id", call),
            ("from-tag", "a"),
            ("sdp", &sdp),
            ("transport-protocol", "UDP/TLS/RTP/SAVP"),
        ];
        let identity = Identity::generate(CertificateSettings::default()).unwrap();
        Callee {
            socket: UdpSocket::bind((daemon.ip(), 0)).unwrap(),
            named: identity.clone(),
            identity,
            call: call.to_owned(),
            offer: daemon.ask("offer", &fields),
        }
    }

    /// The certificate that the offer names.
    fn fingerprint(&self) -> Fingerprint {
        let sdp = self
            .offer
            .find("sdp")
            .unwrap_or_else(|| panic!("{:?}", self.offer))
            .text()
            .unwrap();
        let digest = sdp
            .lines()
            .find_map(|line| line.strip_prefix("a=fingerprint:sha-256 "));
        Fingerprint::parse(HashFunction::Sha256, digest.unwrap()).unwrap()
    }

    /// Answers, and shakes hands until that is over.
    fn shake_hands(&self, daemon: &mut Daemon) -> DtlsState {
        let (ip, port) = (daemon.ip(), self.socket.local_addr().unwrap().port());
        let digest = self.named.fingerprints().by(HashFunction::Sha256);
        let sdp = format!(
            "v=0\r\no=- 2 2 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} UDP/TLS/RTP/SAVP 0\r\n\
             a=setup:active\r\na=fingerprint:sha-256 {digest}\r\n"
        );
        let fields = [
            ("call-id", self.call.as_str()),
            ("from-tag", "a"),
            ("to-tag", "b"),
            ("sdp", &sdp),
        ];
        daemon.ask("answer", &fields);
        self.socket
            .connect((ip.as_str(), media_port(&self.offer)))
            .unwrap();
        let context = Context::new(&self.identity, &DtlsSettings::default()).unwrap();
        let expected = Some(self.fingerprint());
        let mut association = Association::new(&context, DtlsRole::Active, expected).unwrap();
        let send = |datagram: &[u8]| drop(self.socket.send(datagram));
        association.open(Time::read(), send);
        let mut buffer = [0; 2000];
        while let Some(due) = association.poll_timeout() {
            let wait = due.since(Time::read()).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(wait)).unwrap();
            match self.socket.recv(&mut buffer) {
                Ok(length) => association.handle(Time::read(), &buffer[..length], send),
                Err(_) => association.handle_timeout(Time::read(), send),
            }
        }
        association.state()
    }
}

/// Calls until a call shows another certificate than that.
fn call_until_renewed(daemon: &mut Daemon, old: &Fingerprint) -> Callee {
    for number in 0.. {
        let call = format!("poll-{number}");
        let callee = Callee::called(daemon, &call);
        if callee.fingerprint() != *old {
            return callee;
        }
        let fields = [("call-id", call.as_str()), ("delete-delay", "0")];
        daemon.ask("delete", &fields);
        std::thread::sleep(GLANCE);
    }
    unreachable!("the numbers do not end");
}

#[test]
fn new_calls_get_a_new_certificate_and_old_ones_keep_theirs() {
    let mut daemon = Daemon::start(&["--dtls-cert-lifetime=2"]);
    let first = Callee::called(&mut daemon, "first");
    let second = call_until_renewed(&mut daemon, &first.fingerprint());
    for callee in [&first, &second] {
        assert_eq!(callee.shake_hands(&mut daemon), DtlsState::Established);
    }
    let third = call_until_renewed(&mut daemon, &second.fingerprint());
    assert_ne!(third.fingerprint(), first.fingerprint());
    assert_eq!(third.shake_hands(&mut daemon), DtlsState::Established);
}

#[test]
fn ciphers_that_there_are_not_end_the_start() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_relay-daemon"))
        .args(["-f", "-E", "--config-file=none", "--table=-1"])
        .args(["-i", "127.0.0.1", "-n", "127.82.0.1:2223"])
        .arg("--dtls-ciphers=NONSENSE")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("dtls-ciphers"), "{said}");
}

#[test]
fn who_has_the_wrong_certificate_is_told_of_and_gets_no_media() {
    let mut daemon = Daemon::start(&[]);
    let mut callee = Callee::called(&mut daemon, "call");
    callee.named = Identity::generate(CertificateSettings::default()).unwrap();
    callee.shake_hands(&mut daemon);
    let state = |daemon: &mut Daemon| {
        let call = daemon.ask("relay show", &[("call-id", "call")]);
        let parties = call.find("parties").unwrap().list().unwrap().to_vec();
        let inner = |value: &Value, key: &str| {
            let values = value.dictionary().unwrap().find(key).unwrap();
            values.list().unwrap().to_vec()
        };
        let media = parties.iter().flat_map(|party| inner(party, "medias"));
        let streams: Vec<Value> = media.flat_map(|media| inner(&media, "streams")).collect();
        let mut states = streams.iter().filter_map(|stream| {
            let state = stream.dictionary().unwrap().find("DTLS")?.text()?;
            Some(state.into_owned())
        });
        states.find(|state| state.contains("failed"))
    };
    loop {
        match state(&mut daemon) {
            Some(state) => {
                return assert_eq!(state, "failed: the certificate is not the one that the SDP names");
            }
            None => std::thread::sleep(GLANCE),
        }
    }
}
