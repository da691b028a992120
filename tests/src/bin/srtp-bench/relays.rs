//! Who relays: this daemon, rtpengine, or a loop that does nothing else.

use std::env;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ng_client::{Dictionary, Value, command};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::{Pid, gettid};
use relay_daemon::security::{MasterKey, Srtp, Suite};
use relay_tests::call::{Audio, Told};
use relay_tests::daemon::{Control, Daemon, wait_until};
use relay_tests::lab::Lab;

use crate::key;
use crate::load::{FLOWS, Scenario, ends};

/// The processor that relays have.
const PROCESSOR: usize = 1;

/// A relay that runs.
pub(crate) enum Relay {
    Ours(Daemon),
    Reference(Daemon),
    Bare(BareLoop),
}

/// A flow through a relay.
pub(crate) struct Exit {
    /// Where the caller sends to.
    pub(crate) entry: SocketAddr,
    /// Where the callee sees packets come from.
    pub(crate) from: SocketAddr,
    /// What they are protected with.
    pub(crate) key: Option<Srtp>,
}

impl Relay {
    pub(crate) fn ours(lab: &Lab, _: &Scenario) -> Relay {
        let own = env::current_exe().unwrap().with_file_name("relay-daemon");
        Relay::Ours(start(lab, own.to_str().unwrap()))
    }

    pub(crate) fn reference(lab: &Lab, _: &Scenario) -> Relay {
        Relay::Reference(start(lab, "rtpengine"))
    }

    pub(crate) fn bare(lab: &Lab, _: &Scenario) -> Relay {
        Relay::Bare(BareLoop::start(lab))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Relay::Ours(_) => "ours",
            Relay::Reference(_) => "rtpengine",
            Relay::Bare(_) => "bare loop",
        }
    }

    /// Sets up the flows.
    pub(crate) fn exits(&mut self, lab: &Lab, scenario: &Scenario) -> Vec<Exit> {
        match self {
            Relay::Ours(_) | Relay::Reference(_) => {
                let mut control = Control::connect(&lab.relay);
                (0..FLOWS)
                    .map(|number| set_up(&mut control, number, scenario))
                    .collect()
            }
            Relay::Bare(bare) => bare
                .flows
                .clone()
                .into_iter()
                .map(|[entry, from]| Exit {
                    entry,
                    from,
                    key: None,
                })
                .collect(),
        }
    }

    /// What all its threads have used so far, nanoseconds.
    pub(crate) fn processor_time(&self) -> u64 {
        let of_thread = |path: std::path::PathBuf| -> u64 {
            let line = fs::read_to_string(path.join("schedstat")).unwrap();
            line.split(' ').next().unwrap().parse().unwrap()
        };
        match self {
            Relay::Ours(daemon) | Relay::Reference(daemon) => {
                let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
                threads.map(|thread| of_thread(thread.unwrap().path())).sum()
            }
            Relay::Bare(bare) => of_thread(format!("/proc/self/task/{}", bare.thread).into()),
        }
    }
}

fn start(lab: &Lab, program: &str) -> Daemon {
    let options = ["--table=-1", "--num-threads=1"];
    Daemon::start_measured(lab, program.as_ref(), PROCESSOR, &options)
        .unwrap_or_else(|ended| panic!("{program}: {}\n{}", ended.status, ended.log))
}

/// A call.
fn set_up(control: &mut Control, number: u16, scenario: &Scenario) -> Exit {
    let call = format!("srtp-{number}");
    let [from, to] = ends();
    let caller = scenario.caller.map(|suite| key(suite, 1));
    let protocol = if scenario.callee.is_some() {
        "RTP/SAVP"
    } else {
        "RTP/AVP"
    };
    let mut offer = command::offer(&call, "caller", &sdp(from, caller.as_ref(), 1));
    offer.push("transport-protocol", protocol);
    let offered = exchange(control, offer, ["inner", "outer"]);
    let (tag, relays_key) = match scenario.callee {
        Some(suite) => offered_key(&offered, suite).unwrap(),
        None => (1, None),
    };
    let callee = scenario.callee.map(|suite| key(suite, 2));
    let answer = command::answer(&call, "caller", "callee", &sdp(to, callee.as_ref(), tag));
    let answered = exchange(control, answer, ["outer", "inner"]);
    Exit {
        entry: Told::parse(&answered).unwrap().rtp,
        from: Told::parse(&offered).unwrap().rtp,
        key: relays_key,
    }
}

/// The SDP of the reply.
fn exchange(control: &mut Control, mut request: Dictionary, direction: [&str; 2]) -> String {
    request.push("direction", direction.map(Value::from).to_vec());
    let reply = control.request(&request);
    reply.find("sdp").and_then(Value::text).unwrap().into_owned()
}

/// The tag of a suite in an offer, and the key that its sender will use with it.
fn offered_key(sdp: &str, suite: Suite) -> Option<(u32, Option<Srtp>)> {
    let lines = sdp.lines().filter_map(|line| line.strip_prefix("a=crypto:"));
    let mut lines = lines.map(|line| line.split(' '));
    lines.find_map(|mut words| {
        let tag = words.next()?.parse().ok()?;
        (words.next()? == suite.to_string()).then_some(())?;
        let inline = words.next()?.strip_prefix("inline:")?.split('|').next()?;
        let bytes = BASE64.decode(inline.trim_end_matches('=')).ok()?;
        Some((tag, Some(Srtp::new(MasterKey::new(suite, &bytes)?))))
    })
}

fn sdp(at: SocketAddr, key: Option<&Srtp>, tag: u32) -> String {
    let sdp = Audio::at(at).to_string();
    let Some(srtp) = key else {
        return sdp;
    };
    let inline = BASE64.encode(srtp.key.key_and_salt());
    let sdp = sdp.replace("RTP/AVP", "RTP/SAVP");
    format!("{sdp}a=crypto:{tag} {} inline:{inline}\r\n", srtp.suite())
}

/// A thread that sends what it receives, with two sockets a flow as the daemons have them: what plain sockets cost at least.
pub(crate) struct BareLoop {
    thread: i32,
    /// Where packets of each flow are sent to, and come from.
    flows: Vec<[SocketAddr; 2]>,
    stop: Arc<AtomicBool>,
}

impl BareLoop {
    fn start(lab: &Lab) -> BareLoop {
        let sockets: Vec<[UdpSocket; 2]> = lab.relay.run(|| {
            let bind = |address| UdpSocket::bind((address, 0)).unwrap();
            (0..FLOWS).map(|_| ["10.9.1.1", "10.9.2.1"].map(bind)).collect()
        });
        let addresses = |pair: &[UdpSocket; 2]| [0, 1].map(|side| pair[side].local_addr().unwrap());
        let flows = sockets.iter().map(addresses).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = Arc::new(AtomicI32::new(0));
        let (stopped, id) = (Arc::clone(&stop), Arc::clone(&thread));
        thread::spawn(move || {
            let mut only = CpuSet::new();
            only.set(PROCESSOR).unwrap();
            sched_setaffinity(Pid::from_raw(0), &only).unwrap();
            id.store(gettid().as_raw(), Ordering::Release);
            relay(&sockets, &stopped);
        });
        wait_until("the loop runs", || thread.load(Ordering::Acquire) != 0);
        BareLoop {
            thread: thread.load(Ordering::Acquire),
            flows,
            stop,
        }
    }
}

impl Drop for BareLoop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn relay(sockets: &[[UdpSocket; 2]], stopped: &AtomicBool) {
    let [_, to] = ends();
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    for (index, [receiver, _]) in (0..).zip(sockets) {
        receiver.set_nonblocking(true).unwrap();
        let event = EpollEvent::new(EpollFlags::EPOLLIN, index);
        epoll.add(receiver.as_fd(), event).unwrap();
    }
    let (mut events, mut buffer) = ([EpollEvent::empty(); 256], [0; 2048]);
    while !stopped.load(Ordering::Relaxed) {
        // It may be interrupted.
        let ready = epoll.wait(&mut events, EpollTimeout::from(100u8)).unwrap_or(0);
        for event in &events[..ready] {
            let [receiver, sender] = &sockets[usize::try_from(event.data()).unwrap()];
            if let Ok((length, _)) = receiver.recv_from(&mut buffer) {
                sender.send_to(&buffer[..length], to).unwrap();
            }
        }
    }
}
