//! Many calls at the pace of real ones through a daemon, each packet with the time when it was sent.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::unistd::{Pid, SysconfVar, sysconf};
use relay_tests::call::{Audio, Call};
use relay_tests::daemon::{Control, Daemon};
use relay_tests::lab::{IpVersion, Lab};
use relay_tests::probe::Side;
use serde_json::{Value, json};

/// Flows at a time: both directions of half as many calls.
pub(crate) const FLOWS: usize = 1000;

/// Packets a second of each.
const PACE: u64 = 50;

/// How long flows have to be learned and to enter the kernel before anything is measured.
const WARM_UP: Duration = Duration::from_secs(4);

/// Waiting for packets that are still under way.
const LINGER: Duration = Duration::from_millis(200);

/// Room for what arrives while the sender waits for its turn, bytes.
const QUEUE: usize = 8 << 20;

/// RTP header and 20 ms of G.711.
const PACKET: usize = 172;

/// Who relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// This daemon, with the XDP program.
    Kernel,
    /// This daemon, without.
    Userspace,
    /// Debian's rtpengine, in userspace.
    Reference,
}

/// What a load took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    /// Nanoseconds from sending to arrival of each packet, in rising order.
    latencies: Vec<u32>,
    /// Packets sent.
    pub(crate) sent: u64,
    /// Nanoseconds of processor time that the daemon used.
    processor: u64,
}

impl System {
    /// All of them.
    pub(crate) const ALL: [System; 3] = [System::Kernel, System::Userspace, System::Reference];

    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Kernel => "kernel",
            System::Userspace => "userspace",
            System::Reference => "rtpengine",
        }
    }

    /// Starts it in the middle of a network, on the last processor.
    pub(crate) fn start(self, lab: &Lab) -> anyhow::Result<Daemon> {
        let own = env::current_exe()?.with_file_name("relay-daemon");
        let (program, table) = match self {
            System::Kernel => (own.as_os_str(), "--table=0"),
            System::Userspace => (own.as_os_str(), "--table=-1"),
            System::Reference => ("rtpengine".as_ref(), "--table=-1"),
        };
        Daemon::start_measured(lab, program, last_processor()?, &[table])
            .map_err(|ended| anyhow::anyhow!("{}: {}\n{}", self.name(), ended.status, ended.log))
    }
}

/// Measures one daemon for so long, with [`FLOWS`] flows.
pub(crate) fn measure(system: System, duration: Duration) -> anyhow::Result<Load> {
    let lab = Lab::new();
    let daemon = system.start(&lab)?;
    let mut control = Control::connect(&lab.relay);
    let mut ends = Ends::open(&lab, 4000)?;
    for number in 0..FLOWS / 2 {
        ends.call(&mut control, &format!("load-{number}"));
    }
    on_first_processor()?;
    let interval = Duration::from_secs(1) / u32::try_from(ends.streams.len() as u64 * PACE)?;
    ends.send(interval, WARM_UP)?;
    let before = processor_time(&daemon)?;
    let mut load = ends.send(interval, duration)?;
    load.processor = processor_time(&daemon)? - before;
    load.latencies.sort_unstable();
    Ok(load)
}

impl Load {
    /// Packets that did not arrive.
    pub(crate) fn lost(&self) -> u64 {
        self.sent - self.latencies.len() as u64
    }

    /// Nanoseconds of the daemon's processor time for each packet.
    pub(crate) fn processor_per_packet(&self) -> f64 {
        self.processor as f64 / self.sent as f64
    }

    /// Microseconds within which such a share of the packets arrived.
    pub(crate) fn within(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let latency = self.latencies.get(index as usize);
        f64::from(latency.copied().unwrap_or_default()) / 1000.0
    }

    /// What is to be known of it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "sent": self.sent, "lost": self.lost(), "cpu_ns_per_packet": self.processor_per_packet(),
            "latency_us": {"p50": self.within(0.5), "p99": self.within(0.99), "p999": self.within(0.999)},
        })
    }
}

/// Both ends of all calls: one socket each.
#[derive(Debug)]
pub(crate) struct Ends {
    sockets: [UdpSocket; 2],
    addresses: [SocketAddr; 2],
    streams: Vec<Stream>,
}

/// What one end sends to the relay.
#[derive(Debug)]
struct Stream {
    end: usize,
    to: SocketAddr,
    sent: u32,
}

impl Ends {
    /// Both receive at this port.
    pub(crate) fn open(lab: &Lab, port: u16) -> anyhow::Result<Ends> {
        let addresses = Side::ALL.map(|side| SocketAddr::new(IpVersion::V4.address(side), port));
        let sockets = [
            lab.bind(Side::Caller, addresses[0]),
            lab.bind(Side::Callee, addresses[1]),
        ];
        for socket in &sockets {
            socket.set_nonblocking(true)?;
            setsockopt(socket, sockopt::RcvBufForce, &QUEUE)?;
            setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
        }
        Ok(Ends {
            sockets,
            addresses,
            streams: Vec::new(),
        })
    }

    /// Sets up one more call.
    pub(crate) fn call(&mut self, control: &mut Control, id: &str) -> Call {
        let call = Call::new(id);
        let [caller, callee] = self.addresses.map(Audio::at);
        let (caller_is_told, callee_is_told) = call.set_up(control, caller, callee);
        let told = [caller_is_told.rtp, callee_is_told.rtp];
        self.streams.extend(
            told.into_iter()
                .enumerate()
                .map(|(end, to)| Stream { end, to, sent: 0 }),
        );
        call
    }

    /// Only one end sends from now on.
    pub(crate) fn only(&mut self, side: Side) {
        self.streams.retain(|stream| stream.end == side as usize);
    }

    /// Sends a packet of each stream in turn, at this interval. The sender never sleeps: it takes what arrives.
    pub(crate) fn send(&mut self, interval: Duration, duration: Duration) -> anyhow::Result<Load> {
        let mut load = Load::default();
        let (start, mut due) = (Instant::now(), Duration::ZERO);
        while due < duration {
            for index in 0..self.streams.len() {
                self.receive(&mut load)?;
                while start.elapsed() < due {
                    self.receive(&mut load)?;
                }
                self.send_one(index, &mut load)?;
                due += interval;
            }
        }
        let end = Instant::now();
        while end.elapsed() < LINGER {
            self.receive(&mut load)?;
        }
        Ok(load)
    }

    fn send_one(&mut self, index: usize, load: &mut Load) -> anyhow::Result<()> {
        let stream = &mut self.streams[index];
        let mut packet = [0; PACKET];
        packet[..2].copy_from_slice(&[0x80, 8]);
        packet[2..4].copy_from_slice(&stream.sent.to_be_bytes()[2..]);
        packet[4..8].copy_from_slice(&stream.sent.wrapping_mul(160).to_be_bytes());
        packet[8..12].copy_from_slice(&u32::try_from(index)?.to_be_bytes());
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
        packet[12..20].copy_from_slice(&now.to_be_bytes());
        stream.sent += 1;
        self.sockets[stream.end].send_to(&packet, stream.to)?;
        load.sent += 1;
        Ok(())
    }

    /// Takes what has arrived. The time of arrival is the kernel's, so it does not matter when that is.
    fn receive(&self, load: &mut Load) -> anyhow::Result<()> {
        for socket in &self.sockets {
            let mut packet = [0; PACKET];
            let mut control = nix::cmsg_space!(TimeSpec);
            loop {
                let mut buffers = [IoSliceMut::new(&mut packet)];
                let flags = MsgFlags::MSG_DONTWAIT;
                let arrived = match recvmsg::<SockaddrStorage>(
                    socket.as_raw_fd(),
                    &mut buffers,
                    Some(&mut control),
                    flags,
                ) {
                    Ok(message) => message.cmsgs()?.find_map(time_of_arrival),
                    Err(Errno::EAGAIN) => break,
                    Err(error) => return Err(error.into()),
                };
                let arrived = arrived.context("the kernel tells no time of arrival")?;
                let sent = packet[12..].first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
                let latency = u64::try_from(arrived.as_nanos())?.saturating_sub(sent.unwrap_or_default());
                load.latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
            }
        }
        Ok(())
    }
}

fn time_of_arrival(part: ControlMessageOwned) -> Option<Duration> {
    if let ControlMessageOwned::ScmTimestampns(time) = part {
        Some(Duration::from(time))
    } else {
        None
    }
}

/// Processor time of all threads of a daemon, nanoseconds.
fn processor_time(daemon: &Daemon) -> anyhow::Result<u64> {
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid()))?;
    let mut sum = 0;
    for thread in threads {
        let line = fs::read_to_string(thread?.path().join("schedstat"))?;
        let time: u64 = line.split(' ').next().context("schedstat is empty")?.parse()?;
        sum += time;
    }
    Ok(sum)
}

fn last_processor() -> anyhow::Result<usize> {
    // Of the machine: this thread keeps to the first one.
    match sysconf(SysconfVar::_NPROCESSORS_ONLN)? {
        Some(count @ 2..) => Ok(usize::try_from(count)? - 1),
        _ => bail!("two processors are needed: one for the daemon, one for the load"),
    }
}

/// Keeps the calling thread off the daemon's processor.
pub(crate) fn on_first_processor() -> anyhow::Result<()> {
    let mut only = CpuSet::new();
    only.set(0)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &only)?)
}
