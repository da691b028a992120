//! HTTP and WebSocket over TLS, with the daemon's certificate checked.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use common::Daemon;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslConnector, SslMethod, SslStream};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

const PORT: u16 = 2226;

/// A certificate for `relay.example` that vouches for itself, and its key, in one file each.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(name: &str) -> Files {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("CN", "relay.example").unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(&subject).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder
            .set_not_before(&Asn1Time::days_from_now(0).unwrap())
            .unwrap();
        builder
            .set_not_after(&Asn1Time::days_from_now(1).unwrap())
            .unwrap();
        let context = builder.x509v3_context(None, None);
        let names = SubjectAlternativeName::new()
            .dns("relay.example")
            .build(&context)
            .unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let path = |kind: &str| {
            let name = format!("relay-{name}-{}.{kind}", std::process::id());
            std::env::temp_dir().join(name)
        };
        let files = Files {
            certificate: path("crt"),
            key: path("key"),
        };
        std::fs::write(&files.certificate, builder.build().to_pem().unwrap()).unwrap();
        std::fs::write(&files.key, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        files
    }

    /// A daemon that shows it.
    fn daemon(&self) -> (Daemon, SocketAddr) {
        let daemon = Daemon::start(&[
            &format!("--listen-https=IP:{PORT}"),
            &format!("--https-cert={}", self.certificate.display()),
            &format!("--https-key={}", self.key.display()),
        ]);
        let address = format!("{}:{PORT}", daemon.ip()).parse().unwrap();
        (daemon, address)
    }

    fn connect(&self, address: SocketAddr) -> SslStream<TcpStream> {
        let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
        connector.set_ca_file(&self.certificate).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        connector.build().connect("relay.example", stream).unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in [&self.certificate, &self.key] {
            // A failed test may not have got so far.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[test]
fn requests_and_web_sockets_over_tls() {
    let files = Files::new("https");
    let (_daemon, address) = files.daemon();
    let mut stream = files.connect(address);
    let body = "c1 d7:command4:pinge";
    write!(
        stream,
        "POST /ng HTTP/1.1\r\nHost: relay.example\r\nContent-Type: application/x-rtpengine-ng\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.ends_with("\r\n\r\nc1 d6:result4:ponge"), "{reply}");

    let mut request = format!("wss://relay.example:{PORT}/")
        .into_client_request()
        .unwrap();
    let protocol = "ng-plain.rtpengine.com".parse().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let (mut socket, _) = tungstenite::client(request, files.connect(address)).unwrap();
    socket.send(Message::text(r#"{"command":"ping"}"#)).unwrap();
    assert_eq!(socket.read().unwrap().to_text().unwrap(), r#"{"result":"pong"}"#);
}

#[test]
fn whoever_speaks_no_tls_gets_no_answer_and_stops_nobody() {
    let files = Files::new("https-plain");
    let (_daemon, address) = files.daemon();
    let mut plain = TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    plain.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert, perhaps, or a reset.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.windows(4).any(|part| part == b"pong"), "{answer:?}");

    let mut stream = files.connect(address);
    write!(
        stream,
        "GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.ends_with("\r\n\r\npong\n"), "{reply}");
}

#[test]
fn a_start_without_a_certificate_is_refused() {
    let refusal = |options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_relay-daemon"))
            .args(["--config-file=none", "-f", "-E", "--table=-1", "-i", "127.0.0.1"])
            .args(["--listen-https=127.0.0.1:42226"])
            .args(options)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(255));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refusal(&[]).contains("listen-https needs a certificate"));
    let error = refusal(&["--https-cert=/nonexistent/crt"]);
    assert!(
        error.contains("cannot read a certificate from /nonexistent/crt"),
        "{error}"
    );
    let files = Files::new("https-key");
    let certificate = format!("--https-cert={}", files.certificate.display());
    // There is no key in it.
    let error = refusal(&[&certificate]);
    assert!(
        error.contains("cannot read the certificate's key from"),
        "{error}"
    );
}
