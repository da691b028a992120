//! The daemon as a process, and a phone to call through it.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use relay_common::ng::{Dictionary, Format, Frame, Value, decode, encode};

/// A daemon on an address of its own.
pub struct Daemon {
    pub process: Child,
    control: UdpSocket,
    pub http: SocketAddr,
    pub cli: SocketAddr,
    requests: u32,
    log: Receiver<String>,
}

impl Daemon {
    /// With one interface and a hundred ports. In options, too, `IP` stands for the daemon's address.
    pub fn start(options: &[&str]) -> Daemon {
        Daemon::run(|ip, daemon| {
            daemon.args(["--config-file=none", "-i", ip]);
            daemon.args(["--port-min=30000", "--port-max=30099"]);
            daemon.args(options.iter().map(|option| option.replace("IP", ip)));
        })
    }

    /// With a configuration file, in which `IP` stands for the daemon's address.
    pub fn configured(text: &str) -> Daemon {
        let mut file = None;
        let daemon = Daemon::run(|ip, daemon| {
            let path = std::env::temp_dir().join(format!("relay-{ip}.conf"));
            std::fs::write(&path, text.replace("IP", ip)).unwrap();
            daemon.arg("--config-file").arg(&path);
            file = Some(path);
        });
        std::fs::remove_file(file.unwrap()).unwrap();
        daemon
    }

    fn run(configure: impl FnOnce(&str, &mut Command)) -> Daemon {
        static STARTED: AtomicU8 = AtomicU8::new(83);
        let [.., high, low] = std::process::id().to_be_bytes();
        let network = STARTED.fetch_add(1, Ordering::Relaxed);
        let ip = format!("127.{network}.{high}.{low}");
        let [ng, http, cli] = [2223, 2225, 9900].map(|port| format!("{ip}:{port}"));
        let mut process = Command::new(env!("CARGO_BIN_EXE_relay-daemon"));
        process
            .args(["-f", "-E", "--num-threads=1", "--table=-1"])
            .args(["-n", &ng, "--listen-http", &http, "-c", &cli])
            .stderr(Stdio::piped());
        configure(&ip, &mut process);
        let mut process = process.spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut log = log.map(Result::unwrap);
        let said: Vec<String> = log.by_ref().take_while(|line| !line.ends_with("ready")).collect();
        // A daemon that goes on has more to say, in the end.
        assert!(
            process.try_wait().unwrap().is_none(),
            "the daemon does not start: {said:#?}"
        );
        let (lines, told) = channel();
        std::thread::spawn(move || log.for_each(|line| lines.send(line).unwrap_or_default()));
        let control = UdpSocket::bind((ip.as_str(), 0)).unwrap();
        control.connect(&ng).unwrap();
        control.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Daemon {
            process,
            control,
            http: http.parse().unwrap(),
            cli: cli.parse().unwrap(),
            requests: 0,
            log: told,
        }
    }

    /// The next line of the log that contains a text.
    pub fn logged(&self, text: &str) -> String {
        loop {
            let line = self
                .log
                .recv_timeout(Duration::from_secs(10))
                .expect("it is logged");
            if line.contains(text) {
                return line;
            }
        }
    }

    pub fn ask(&mut self, command: &str, fields: &[(&str, &str)]) -> Dictionary {
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

    /// The answer of the CLI to a line.
    pub fn cli(&self, line: &str) -> String {
        let mut connection = TcpStream::connect(self.cli).unwrap();
        connection
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        writeln!(connection, "{line}").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    pub fn ip(&self) -> String {
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
pub fn phone(ip: &str) -> (UdpSocket, String) {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=sendrecv\r\n"
    );
    (socket, sdp)
}

pub fn media_port(reply: &Dictionary) -> u16 {
    let sdp = reply.find("sdp").unwrap().text().unwrap();
    let line = sdp.lines().find(|line| line.starts_with("m=audio ")).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

pub fn at<'a>(tree: &'a Dictionary, path: &[&str]) -> &'a Value {
    let (last, path) = path.split_last().unwrap();
    let dictionary = path
        .iter()
        .fold(tree, |tree, key| tree.find(key).unwrap().dictionary().unwrap());
    dictionary.find(last).unwrap()
}

pub fn integer(tree: &Dictionary, path: &[&str]) -> i64 {
    at(tree, path).integer().unwrap()
}
