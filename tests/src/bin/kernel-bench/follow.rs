//! One call at a time: how soon the kernel has it, how much of it, and how soon a changed network is followed.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use relay_tests::daemon::Control;
use relay_tests::lab::Lab;
use relay_tests::netns::{Offload, connect};
use relay_tests::probe::Side;
use serde_json::{Value, json};

use crate::load::{Ends, Load, System};

/// Between two packets of a call of the usual kind.
const TWENTY_MILLISECONDS: Duration = Duration::from_millis(20);

/// Between two packets where time is told by counting them.
const MILLISECOND: Duration = Duration::from_millis(1);

/// Calls whose way into the kernel is timed.
const CALLS: u16 = 20;

/// How long a change of the network may take to be followed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug)]
pub(crate) struct Followed {
    /// Share of a call's packets that the kernel relayed.
    share: f64,
    /// Milliseconds from a stream's first packet to the first that the kernel relayed, of each call, in rising order.
    offload: Vec<u64>,
    /// Milliseconds without packets when the receiver's Ethernet address changed.
    mac: u64,
    /// Milliseconds without packets when the route to the receiver changed, and until they took the new one.
    route: (u64, u128),
}

impl Followed {
    /// Measures, with a call of so many seconds.
    pub(crate) fn measure(duration: Duration) -> anyhow::Result<Followed> {
        Ok(Followed {
            share: share(duration)?,
            offload: offload()?,
            mac: mac()?,
            route: route()?,
        })
    }

    /// What is to be known of it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "kernel_share": self.share,
            "ms_to_offload": {"median": self.offload[self.offload.len() / 2], "worst": self.offload.last()},
            "mac_change": {"lost_ms": self.mac},
            "route_change": {"lost_ms": self.route.0, "until_new_route_ms": self.route.1},
        })
    }
}

/// Both directions of one call, as real ends send.
fn share(duration: Duration) -> anyhow::Result<f64> {
    let (lab, mut control, _daemon) = start()?;
    let mut ends = Ends::open(&lab, 4000)?;
    let call = ends.call(&mut control, "share");
    let load = ends.send(TWENTY_MILLISECONDS / 2, duration)?;
    none_lost(&load)?;
    let counted = Side::ALL.map(|side| call.received(&mut control, side));
    let (kernel, userspace) = (counted[0].0 + counted[1].0, counted[0].1 + counted[1].1);
    ensure!(
        u64::try_from(kernel + userspace)? == load.sent,
        "not all packets are counted"
    );
    Ok(kernel as f64 / (kernel + userspace) as f64)
}

/// A packet each millisecond: those that userspace relays count the milliseconds.
fn offload() -> anyhow::Result<Vec<u64>> {
    let (lab, mut control, _daemon) = start()?;
    let mut times = Vec::new();
    for number in 0..CALLS {
        let mut ends = Ends::open(&lab, 4000 + 2 * number)?;
        let call = ends.call(&mut control, &format!("offload-{number}"));
        ends.only(Side::Caller);
        none_lost(&ends.send(MILLISECOND, Duration::from_millis(300))?)?;
        let (kernel, userspace) = call.received(&mut control, Side::Caller);
        ensure!(kernel > 0, "the kernel never had the flow");
        times.push(u64::try_from(userspace)?);
    }
    times.sort_unstable();
    Ok(times)
}

/// The receiver's device gets another address, and says so as a machine does that takes over.
fn mac() -> anyhow::Result<u64> {
    let (lab, mut control, _daemon) = start()?;
    let mut ends = Ends::open(&lab, 4000)?;
    let call = ends.call(&mut control, "mac");
    ends.only(Side::Caller);
    none_lost(&ends.send(MILLISECOND, Duration::from_secs(1))?)?;
    lab.callee.sysctl("ipv4/conf/d0/arp_notify", "1");
    let before = call.received(&mut control, Side::Caller);
    lab.callee.ip("link set d0 address 02:00:00:00:be:ef");
    let load = ends.send(MILLISECOND, Duration::from_secs(3))?;
    ensure!(
        call.received(&mut control, Side::Caller).0 > before.0,
        "the flow left the kernel for good"
    );
    Ok(load.lost())
}

/// A second way to the receiver takes the place of the first.
fn route() -> anyhow::Result<(u64, u128)> {
    let (lab, mut control, _daemon) = start()?;
    connect((&lab.relay, "r2"), (&lab.callee, "d1"));
    lab.relay.ip("addr add 10.9.3.1/24 dev r2");
    lab.callee.ip("addr add 10.9.3.2/24 dev d1");
    for (namespace, device) in [(&lab.relay, "r2"), (&lab.callee, "d1")] {
        namespace.set_offload(device, Offload::TransmitChecksum, false);
    }
    lab.callee.set_offload("d1", Offload::GenericReceive, true);
    let mut ends = Ends::open(&lab, 4000)?;
    ends.call(&mut control, "route");
    ends.only(Side::Caller);
    none_lost(&ends.send(MILLISECOND, Duration::from_secs(1))?)?;
    let capture = lab.callee.run(|| relay_tests::capture::Capture::open("d1"));
    thread::scope(|scope| {
        let sender = scope.spawn(|| ends.send(MILLISECOND, Duration::from_secs(3)));
        let start = Instant::now();
        lab.relay.ip("route add 10.9.2.2/32 via 10.9.3.2 dev r2");
        let first = capture.next(PATIENCE).map(|_| start.elapsed());
        let load = sender
            .join()
            .map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        let time = first.context("nothing took the new route")?;
        Ok((load.lost(), time.as_millis()))
    })
}

fn start() -> anyhow::Result<(Lab, Control, relay_tests::daemon::Daemon)> {
    let lab = Lab::new();
    let daemon = System::Kernel.start(&lab)?;
    let control = Control::connect(&lab.relay);
    Ok((lab, control, daemon))
}

fn none_lost(load: &Load) -> anyhow::Result<()> {
    ensure!(load.lost() == 0, "{} of {} packets lost", load.lost(), load.sent);
    Ok(())
}
