//! Frames made in the kernel, sent through the relay's program (or what stands in its place) and counted where they
//! arrive.
//!
//! ```text
//! generate ─ a0 ═ a1: relay, bare or drop ─ b0 ═ b1: sink
//! ```

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use nix::net::if_::if_nametoindex;
use relay_common::bench::{FRAME, RECEIVER, RELAY, SENDER, Settings, TOS, count};
use relay_common::slot::{
    Address, Annex, Clock, ForwardRule, LocalHint, LocalKey, LocalRange, PassReason, Route, Slot, SlotState,
    local_hint, rule_flags,
};
use relay_daemon::datapath::kernel::program::{BENCH, PROGRAM};
use relay_tests::netns::{Namespace, connect};

/// Frames in one round: a fifth of a second, many of the clock's steps, and short beside what else this machine does.
const FRAMES: u32 = 500_000;

/// Frames that the generator makes before anything is delivered.
const BATCH: u32 = 64;

/// How often a round may be repeated because frames were lost.
const TRIES: usize = 5;

/// The programs, loaded, in a namespace of their own.
pub(crate) struct Pipeline {
    bench: Ebpf,
    relay: Ebpf,
    settings: Settings,
    _namespace: Namespace,
}

/// What receives the generator's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing: they are dropped.
    Drop,
    /// A program that does nothing but redirect.
    Bare,
    /// The relay's program, with all that it does for a packet.
    Relay,
}

impl Pipeline {
    /// Opens a pipeline with rules for so many flows. Moves the calling thread into its namespace.
    pub(crate) fn open(flows: u32) -> anyhow::Result<Pipeline> {
        let namespace = Namespace::new("bench");
        connect((&namespace, "a0"), (&namespace, "a1"));
        connect((&namespace, "b0"), (&namespace, "b1"));
        namespace.enter();
        let mut bench = Ebpf::load(BENCH)?;
        for name in ["generate", "bare", "drop", "sink"] {
            xdp(&mut bench, name)?.load()?;
        }
        xdp(&mut bench, "sink")?.attach("b1", XdpMode::Driver)?;
        // A veth takes redirected frames only while its peer has a program.
        xdp(&mut bench, "drop")?.attach("a0", XdpMode::Driver)?;
        let mut relay = EbpfLoader::new()
            .map_max_entries("SLOTS", flows)
            .map_max_entries("ANNEXES", flows)
            .load(PROGRAM)?;
        xdp(&mut relay, "relay")?.load()?;
        fill(&mut relay, flows)?;
        let settings = Settings {
            relay: if_nametoindex("a0")?,
            out: if_nametoindex("b0")?,
            ..Settings::default()
        };
        Ok(Pipeline {
            bench,
            relay,
            settings,
            _namespace: namespace,
        })
    }

    /// Nanoseconds that a frame takes, with so many flows taking turns.
    ///
    /// # Errors
    ///
    /// If frames get lost, again and again.
    pub(crate) fn nanoseconds(&mut self, stage: Stage, flows: u32) -> anyhow::Result<f64> {
        self.settings.flows = flows;
        self.settings.stride = stride(flows);
        let mut settings: Array<_, Settings> = map(&mut self.bench, "SETTINGS")?;
        settings.set(0, self.settings, 0)?;
        let link = self.program(stage)?.attach("a1", XdpMode::Driver)?;
        let result = (0..TRIES).find_map(|_| self.round(stage).transpose());
        self.detach(stage, link)?;
        result.with_context(|| format!("frames were lost in each of {TRIES} rounds"))?
    }

    /// None if frames were lost.
    fn round(&mut self, stage: Stage) -> anyhow::Result<Option<f64>> {
        let kind = match stage {
            Stage::Drop => count::DROPPED,
            Stage::Bare => count::UNCHANGED,
            Stage::Relay => count::RELAYED,
        };
        let (before, doubtful) = (self.count(kind)?, self.doubtful()?);
        let frame = [0; FRAME];
        let options = TestRunOptions {
            data_in: Some(&frame),
            repeat: FRAMES,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        let start = Instant::now();
        xdp(&mut self.bench, "generate")?.test_run(options)?;
        let time = start.elapsed();
        let arrived = self.count(kind)? - before + self.doubtful()? - doubtful;
        ensure!(arrived > 0, "nothing arrived from {stage:?}");
        let nanoseconds = time.as_secs_f64() * 1e9 / f64::from(FRAMES);
        Ok((arrived == u64::from(FRAMES)).then_some(nanoseconds))
    }

    fn program(&mut self, stage: Stage) -> anyhow::Result<&mut Xdp> {
        match stage {
            Stage::Drop => xdp(&mut self.bench, "drop"),
            Stage::Bare => xdp(&mut self.bench, "bare"),
            Stage::Relay => xdp(&mut self.relay, "relay"),
        }
    }

    fn detach(&mut self, stage: Stage, link: XdpLinkId) -> anyhow::Result<()> {
        Ok(self.program(stage)?.detach(link)?)
    }

    /// Frames whose valid checksum looks like a partial one, as that of one in 65,536 does: the relay passed them.
    fn doubtful(&self) -> anyhow::Result<u64> {
        let passes = self.relay.map("PASSES").context("PASSES")?;
        let passes: PerCpuArray<_, u64> = PerCpuArray::try_from(passes)?;
        let reason = PassReason::PartialChecksum as u32;
        Ok(passes.get(&reason, 0)?.iter().sum())
    }

    fn count(&self, kind: u32) -> anyhow::Result<u64> {
        let counts = self.bench.map("COUNTS").context("COUNTS")?;
        let counts: PerCpuArray<_, u64> = PerCpuArray::try_from(counts)?;
        Ok(counts.get(&kind, 0)?.iter().sum())
    }
}

/// A step about the golden ratio of so many flows, with no divisor in common.
fn stride(flows: u32) -> u32 {
    let mut stride = (u64::from(flows) * 618 / 1000).max(1);
    while divisor(stride, u64::from(flows)) != 1 {
        stride += 1;
    }
    u32::try_from(stride).unwrap_or(1)
}

fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Xdp> {
    let program = ebpf
        .program_mut(name)
        .with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}

fn map<'a, M>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<M>
where
    M: TryFrom<&'a mut Map>,
    M::Error: std::error::Error + Send + Sync + 'static,
{
    let map = ebpf.map_mut(name).with_context(|| format!("no map {name}"))?;
    Ok(M::try_from(map)?)
}

/// Rules for all flows: the source is checked, addresses and ports are replaced, everything is counted.
fn fill(relay: &mut Ebpf, flows: u32) -> anyhow::Result<()> {
    let Some(port_max) = u16::try_from(flows - 1)
        .ok()
        .and_then(|last| RELAY.1.checked_add(last))
    else {
        bail!("{flows} flows are more than one address has ports");
    };
    let key = LocalKey {
        address: address(RELAY.0),
        ifindex: if_nametoindex("a1")?,
        vlans: [0; 2],
    };
    let range = LocalRange {
        base: 0,
        port_min: RELAY.1,
        port_max,
        // As `header` writes it.
        mac: [2, 0, 0, 0, 0, 1],
        reserved: 0,
    };
    let mut locals: HashMap<&mut MapData, LocalKey, LocalRange> = map(relay, "LOCALS")?;
    locals.insert(key, range, 0)?;
    let mut hints: Array<&mut MapData, LocalHint> = map(relay, "LOCAL_HINTS")?;
    let hint = LocalHint {
        valid: 1,
        key,
        range,
        ..LocalHint::default()
    };
    hints.set(local_hint(&key), hint, 0)?;
    let route = Route {
        valid: 1,
        ifindex: if_nametoindex("b0")?,
        mtu: 1500,
        hop_limit: 64,
        reserved: 0,
        destination_mac: [2, 0, 0, 0, 0, 3],
        source_mac: [2, 0, 0, 0, 0, 4],
        vlans: [0; 2],
    };
    map::<Array<&mut MapData, Route>>(relay, "ROUTES")?.set(0, route, 0)?;
    for flow in 0..flows {
        let rule = ForwardRule {
            source: address(SENDER.0),
            source_port: SENDER.1,
            new_source: address(RELAY.0),
            new_source_port: RELAY.1,
            new_destination: address(RECEIVER.0),
            new_destination_port: RECEIVER.1,
            flags: rule_flags::RTP,
            tos: TOS,
            ..ForwardRule::default()
        };
        let mut slot = Slot {
            state: SlotState::Offloaded as u16,
            ..Slot::default()
        };
        let mut annex = Annex {
            clock: Clock::new(8, 8000),
            ..Annex::default()
        };
        slot.set_active_rule(&mut annex, &rule);
        map::<Array<&mut MapData, Slot>>(relay, "SLOTS")?.set(flow, slot, 0)?;
        map::<Array<&mut MapData, Annex>>(relay, "ANNEXES")?.set(flow, annex, 0)?;
    }
    Ok(())
}

/// IPv4-mapped, as the tables hold it.
fn address(address: [u8; 4]) -> Address {
    [0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes(address)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_meets_every_flow() {
        for flows in [1, 2, 100, 1000, 10_000, 30_000] {
            assert_eq!(divisor(stride(flows).into(), flows.into()), 1, "{flows}");
        }
    }
}
