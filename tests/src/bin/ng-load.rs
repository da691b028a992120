//! Loads an ng listener with calls and prints as JSON what it took.
//!
//! `ng-load rate SERVER IN-FLIGHT SECONDS` sets up and deletes calls, so many at a time;
//! `ng-load hold SERVER CALLS` sets up so many and leaves them.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use relay_common::ng::{Dictionary, Format, Frame, Value, decode, encode};
use serde_json::json;
use socket2::SockRef;

/// How long a reply may take before the whole measurement is void: a lost datagram would bias the rate.
const TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["rate", server, in_flight, seconds] => {
            let mut load = Load::connect(server, true)?;
            load.run(in_flight.parse()?, Some(Duration::from_secs(seconds.parse()?)))?;
            load.print();
        }
        ["hold", server, calls] => {
            let mut load = Load::connect(server, false)?;
            load.run(calls.parse::<usize>()?, None)?;
            load.print();
        }
        _ => bail!("usage: ng-load rate SERVER IN-FLIGHT SECONDS | ng-load hold SERVER CALLS"),
    }
    Ok(())
}

struct Load {
    socket: UdpSocket,
    /// Whether calls are deleted and followed by new ones.
    churn: bool,
    started: Instant,
    next: u64,
    waiting: HashMap<u64, Sent>,
    /// Microseconds from request to reply.
    replies: Vec<f64>,
    calls: u64,
}

/// A request without its reply; its cookie is the key.
struct Sent {
    call: u64,
    step: Step,
    at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Offer,
    Answer,
    Delete,
}

impl Load {
    fn connect(server: &str, churn: bool) -> anyhow::Result<Load> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket
            .connect(server)
            .with_context(|| format!("cannot reach {server}"))?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        // Statistics of many deletions may come at once.
        SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
        Ok(Load {
            socket,
            churn,
            started: Instant::now(),
            next: 0,
            waiting: HashMap::new(),
            replies: Vec::new(),
            calls: 0,
        })
    }

    /// Starts so many calls at once and goes on for so long; without churn, so many calls 16 at a time.
    fn run(&mut self, calls: usize, duration: Option<Duration>) -> anyhow::Result<()> {
        let mut left = calls;
        let at_once = if self.churn { calls } else { calls.min(16) };
        for _ in 0..at_once {
            left -= 1;
            self.start()?;
        }
        let mut buffer = vec![0; 65_536];
        while !self.waiting.is_empty() {
            let length = self.socket.recv(&mut buffer).with_context(|| self.missing())?;
            let sent = self.reply(&buffer[..length])?;
            let over = duration.is_some_and(|duration| self.started.elapsed() >= duration);
            match sent.step {
                Step::Offer => self.send(sent.call, Step::Answer)?,
                Step::Answer if self.churn => self.send(sent.call, Step::Delete)?,
                Step::Answer | Step::Delete => {
                    self.calls += 1;
                    if self.churn && !over {
                        self.start()?;
                    } else if !self.churn && left > 0 {
                        left -= 1;
                        self.start()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.next += 1;
        self.send(self.next, Step::Offer)
    }

    fn send(&mut self, call: u64, step: Step) -> anyhow::Result<()> {
        self.next += 1;
        let cookie = self.next;
        let body = encode(&request(call, step, self.churn), Format::Bencode);
        let name = format!("{}_{cookie}", std::process::id());
        let frame = Frame {
            cookie: name.as_bytes(),
            body: &body,
        };
        self.waiting.insert(
            cookie,
            Sent {
                call,
                step,
                at: Instant::now(),
            },
        );
        self.socket.send(&frame.join())?;
        Ok(())
    }

    fn reply(&mut self, datagram: &[u8]) -> anyhow::Result<Sent> {
        let frame = Frame::split(datagram).context("a reply without a cookie")?;
        let cookie = std::str::from_utf8(frame.cookie)?;
        let (_, number) = cookie.split_once('_').context("a foreign cookie")?;
        let sent = self
            .waiting
            .remove(&number.parse()?)
            .context("a reply to nothing")?;
        self.replies.push(sent.at.elapsed().as_secs_f64() * 1e6);
        let (_, reply) = decode(frame.body)?;
        let result = reply.iter().find(|(key, _)| *key == "result");
        ensure!(
            result.is_some_and(|(_, value)| value.text().as_deref() == Some("ok")),
            "refused: {}",
            String::from_utf8_lossy(frame.body)
        );
        Ok(sent)
    }

    fn missing(&self) -> String {
        let count = |step| self.waiting.values().filter(|sent| sent.step == step).count();
        format!(
            "no reply within {} seconds to {} offers, {} answers, {} deletes",
            TIMEOUT.as_secs(),
            count(Step::Offer),
            count(Step::Answer),
            count(Step::Delete)
        )
    }

    fn print(&mut self) {
        self.replies.sort_by(f64::total_cmp);
        let at = |share: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
            let index = (self.replies.len() as f64 * share) as usize;
            self.replies.get(index.min(self.replies.len() - 1)).copied()
        };
        let seconds = self.started.elapsed().as_secs_f64();
        let report = json!({
            "calls": self.calls,
            "seconds": seconds,
            "calls_per_second": self.calls as f64 / seconds,
            "reply_us": {"median": at(0.5), "p99": at(0.99)},
        });
        println!("{report}");
    }
}

/// An ordinary request: what a desk phone's call looks like when it comes from a proxy. Calls that stay share
/// their ports between RTP and RTCP, so that many fit.
fn request(call: u64, step: Step, churn: bool) -> Dictionary {
    let mut request = Dictionary::new();
    let mut text = |key: &str, value: &str| request.push(key, value);
    text(
        "command",
        match step {
            Step::Offer => "offer",
            Step::Answer => "answer",
            Step::Delete => "delete",
        },
    );
    text("call-id", &format!("load-{}-{call}", std::process::id()));
    text("from-tag", "caller");
    if step != Step::Offer {
        text("to-tag", "callee");
    }
    if step == Step::Delete {
        request.push("delete-delay", 0_i64);
        return request;
    }
    text("ICE", "remove");
    request.push("replace", vec![Value::from("origin")]);
    if !churn {
        let mux = ["require", "demux"].map(Value::from);
        request.push("rtcp-mux", mux.to_vec());
    }
    request.push("sdp", sdp(step, churn));
    request
}

fn sdp(step: Step, churn: bool) -> String {
    let (user, host, port) = match step {
        Step::Offer => ("alice", "198.51.100.31", 11_798),
        Step::Answer | Step::Delete => ("bob", "198.51.100.81", 12_820),
    };
    let mux = if churn { "" } else { "a=rtcp-mux\r\n" };
    format!(
        "v=0\r\no={user} 20012 20012 IN IP4 {host}\r\ns=call\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 9 0 8 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n{mux}a=sendrecv\r\n"
    )
}
