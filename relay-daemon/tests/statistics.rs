//! The daemon itself, a call through it, and what its statistics say of that.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use relay_common::ng::{Dictionary, Format, Frame, Value, decode, encode};

/// A daemon on an address of its own.
struct Daemon {
    process: Child,
    control: UdpSocket,
    http: SocketAddr,
    requests: u32,
}

impl Daemon {
    fn start(options: &[&str]) -> Daemon {
        static STARTED: AtomicU8 = AtomicU8::new(83);
        let [.., high, low] = std::process::id().to_be_bytes();
        let network = STARTED.fetch_add(1, Ordering::Relaxed);
        let ip = format!("127.{network}.{high}.{low}");
        let (ng, http) = (format!("{ip}:2223"), format!("{ip}:2225"));
        let mut process = Command::new(env!("CARGO_BIN_EXE_relay-daemon"))
            .args(["--config-file=none", "-f", "-E", "--num-threads=1"])
            .args(["-i", &ip, "-n", &ng, "--listen-http", &http])
            .args(["--port-min=30000", "--port-max=30099"])
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = log
            .by_ref()
            .find(|line| line.as_ref().unwrap().ends_with("ready"));
        assert!(ready.is_some(), "the daemon does not start");
        std::thread::spawn(move || log.for_each(drop));
        let control = UdpSocket::bind((ip.as_str(), 0)).unwrap();
        control.connect(&ng).unwrap();
        control.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Daemon {
            process,
            control,
            http: http.parse().unwrap(),
            requests: 0,
        }
    }

    fn ask(&mut self, command: &str, fields: &[(&str, &str)]) -> Dictionary {
        let mut request = Dictionary::new();
        request.push("command", command);
        for (key, value) in fields {
            request.push(*key, *value);
        }
        self.requests += 1;
        let cookie = self.requests.to_string();
        let body = encode(&request, Format::Bencode);
        let cookie = cookie.as_bytes();
        self.control.send(&Frame { cookie, body: &body }.join()).unwrap();
        let mut reply = vec![0; 1 << 16];
        let length = self.control.recv(&mut reply).unwrap();
        let frame = Frame::split(&reply[..length]).unwrap();
        assert_eq!(frame.cookie, cookie);
        decode(frame.body).unwrap().1.into()
    }

    fn ip(&self) -> String {
        self.http.ip().to_string()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A phone's socket, and its SDP.
fn phone(ip: &str) -> (UdpSocket, String) {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=sendrecv\r\n"
    );
    (socket, sdp)
}

fn media_port(reply: &Dictionary) -> u16 {
    let sdp = reply.find("sdp").unwrap().text().unwrap();
    let line = sdp.lines().find(|line| line.starts_with("m=audio ")).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

fn at<'a>(tree: &'a Dictionary, path: &[&str]) -> &'a Value {
    let (last, path) = path.split_last().unwrap();
    let dictionary = path
        .iter()
        .fold(tree, |tree, key| tree.find(key).unwrap().dictionary().unwrap());
    dictionary.find(last).unwrap()
}

fn integer(tree: &Dictionary, path: &[&str]) -> i64 {
    at(tree, path).integer().unwrap()
}

#[test]
fn a_call_is_in_the_statistics_while_it_lasts_and_afterwards() {
    let mut daemon = Daemon::start(&["--max-sessions=1"]);
    let ip = daemon.ip();
    let ((alice, offer), (bob, answer)) = (phone(&ip), phone(&ip));
    let tags = [("call-id", "c"), ("from-tag", "a"), ("to-tag", "b")];
    let reply = daemon.ask("offer", &[&tags[..2], &[("sdp", &offer)]].concat());
    let for_bob = media_port(&reply);
    let reply = daemon.ask("answer", &[&tags[..], &[("sdp", &answer)]].concat());
    let for_alice = media_port(&reply);
    let mut packet = *b"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01payload";
    for number in 0..10 {
        packet[3] = number;
        alice.send_to(&packet, (ip.as_str(), for_alice)).unwrap();
        let mut received = [0; 100];
        let (length, from) = bob.recv_from(&mut received).unwrap();
        assert_eq!((&received[..length], from.port()), (&packet[..], for_bob));
    }
    daemon.ask("offer", &[("call-id", "d"), ("from-tag", "a"), ("sdp", &offer)]);

    let tree = daemon.ask("statistics", &[]);
    let current = |key| integer(&tree, &["statistics", "currentstatistics", key]);
    assert_eq!((current("sessionstotal"), current("media_userspace")), (1, 1));
    let totals = ["statistics", "totalstatistics"];
    let total = |tree: &Dictionary, key| integer(tree, &[&totals[..], &[key]].concat());
    assert_eq!(
        [
            total(&tree, "relayedpackets_user"),
            total(&tree, "relayedbytes"),
            total(&tree, "managedsessions"),
            total(&tree, "rejectedsessions")
        ],
        [10, 10 * 19, 0, 1]
    );
    let control = ["statistics", "controlstatistics"];
    let count = |key| integer(&tree, &[&control[..], &[key]].concat());
    assert_eq!((count("totaloffercount"), count("totalanswercount")), (2, 1));
    let proxies = at(&tree, &[&control[..], &["proxies"]].concat()).list().unwrap();
    let proxy = proxies[0].dictionary().unwrap();
    assert_eq!(proxy.find("proxy").unwrap().text().unwrap(), ip);
    assert_eq!(integer(proxy, &["errorcount"]), 1);
    let interfaces = at(&tree, &["statistics", "interfaces"]).list().unwrap();
    let interface = interfaces[0].dictionary().unwrap();
    let ports = |key| integer(interface, &["ports", key]);
    assert_eq!(
        [ports("min"), ports("max"), ports("used"), ports("free")],
        [30000, 30099, 4, 96]
    );
    assert_eq!(integer(interface, &["ingress", "packets"]), 10);
    // A packet counts as sent when the system has taken it: its receiver may be faster than that.
    let sent = |daemon: &mut Daemon| {
        let tree = daemon.ask("statistics", &[]);
        let interfaces = at(&tree, &["statistics", "interfaces"]).list().unwrap();
        integer(interfaces[0].dictionary().unwrap(), &["egress", "packets"])
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while sent(&mut daemon) < 10 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(sent(&mut daemon), 10);

    let page = ureq::get(format!("http://{}/metrics", daemon.http))
        .call()
        .unwrap();
    let page = page.into_body().read_to_string().unwrap();
    for line in [
        "rtpengine_packets_total{type=\"userspace\"} 10",
        "rtpengine_sessions{type=\"own\"} 1",
        "relay_flows_userspace{reason=\"no packet yet\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }

    daemon.ask(
        "delete",
        &[("call-id", "c"), ("from-tag", "a"), ("delete-delay", "0")],
    );
    let tree = daemon.ask("statistics", &[]);
    assert_eq!(
        integer(&tree, &["statistics", "currentstatistics", "sessionstotal"]),
        0
    );
    assert_eq!(
        [
            total(&tree, "managedsessions"),
            total(&tree, "regularterminatedsessions"),
            total(&tree, "onewaystreams"),
            total(&tree, "relayedpackets")
        ],
        [1, 1, 1, 10]
    );
}

/// Rates come from samples of a second: they are there in the end, and gone again.
#[test]
fn rates_are_measured() {
    let mut daemon = Daemon::start(&[]);
    let ip = daemon.ip();
    let ((alice, offer), (bob, answer)) = (phone(&ip), phone(&ip));
    daemon.ask("offer", &[("call-id", "c"), ("from-tag", "a"), ("sdp", &offer)]);
    let tags = [("call-id", "c"), ("from-tag", "a"), ("to-tag", "b")];
    let reply = daemon.ask("answer", &[&tags[..], &[("sdp", &answer)]].concat());
    let port = media_port(&reply);
    let rate = |daemon: &mut Daemon| {
        let tree = daemon.ask("statistics", &[]);
        integer(&tree, &["statistics", "currentstatistics", "packetrate_user"])
    };
    let packet = *b"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01payload";
    loop {
        alice.send_to(&packet, (ip.as_str(), port)).unwrap();
        bob.recv(&mut [0; 100]).unwrap();
        if rate(&mut daemon) > 0 {
            break;
        }
    }
    while rate(&mut daemon) > 0 {
        std::thread::yield_now();
    }
}
