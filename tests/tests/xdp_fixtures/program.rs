//! The XDP program, run packet by packet without a network.

use std::error::Error;

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use relay_common::rewrite::{Arrival, Verdict};
use relay_common::slot::{
    ANY_DEVICE, Annex, Guard, LOCAL_HINTS, Limits, LocalHint, LocalKey, LocalRange, Route, Slot, local_hint,
};
use relay_daemon::datapath::kernel::program::PROGRAM;

use crate::world::{INGRESS, LIMITS, PREFIXES, SLOTS, Times, World};

const XDP_DROP: u32 = 1;
pub(crate) const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

/// A loaded program with tables of its own.
pub(crate) struct Program {
    ebpf: Ebpf,
    cpu: u32,
}

impl Program {
    /// Loads the program, or says why this machine cannot.
    pub(crate) fn load() -> Option<Self> {
        Self::load_with(&LIMITS)
    }

    pub(crate) fn load_with(limits: &Limits) -> Option<Self> {
        let loaded = EbpfLoader::new()
            .map_max_entries("SLOTS", SLOTS)
            .map_max_entries("ANNEXES", SLOTS)
            .map_max_entries("GUARDS", SLOTS)
            .map_max_entries("PREFIX_BUCKETS", PREFIXES)
            .override_global("LIMITS", limits, true)
            .load(PROGRAM);
        if let Err(EbpfError::MapError(MapError::CreateError { io_error, .. })) = &loaded
            && io_error.raw_os_error() == Some(libc::EPERM)
        {
            eprintln!("skipped: loading an XDP program needs root");
            return None;
        }
        let mut ebpf = loaded.unwrap();
        let xdp: &mut Xdp = ebpf.program_mut("relay").unwrap().try_into().unwrap();
        xdp.load().unwrap();
        let cpu = sched_getcpu().unwrap();
        let mut program = Self { ebpf, cpu: 0 };
        program.move_to(u32::try_from(cpu).unwrap()).unwrap();
        Some(program)
    }

    /// Runs the program, and this thread, on another CPU from now on.
    pub(crate) fn move_to(&mut self, cpu: u32) -> nix::Result<()> {
        let mut only = CpuSet::new();
        only.set(cpu as usize)?;
        sched_setaffinity(Pid::from_raw(0), &only)?;
        self.cpu = cpu;
        Ok(())
    }

    /// How many instructions the verifier has looked at; the kernel's limit is a million.
    pub(crate) fn verified_instructions(&self) -> u32 {
        self.xdp()
            .info()
            .unwrap()
            .verified_instruction_count()
            .expect("since kernel 5.16")
    }

    /// Runs program and model on the same tables and frame.
    ///
    /// # Errors
    ///
    /// Where the two differ.
    pub(crate) fn compare(&mut self, before: &World, frame: &[u8]) -> Result<Verdict, Box<dyn Error>> {
        self.fill(before)?;
        let (action, bytes) = self.run(frame)?;
        let found = self.world(before)?;

        // The program has clocks, the model is told the time: one of those that the program took note of.
        let Times { exact, coarse, ticks } = found.times();
        let mut verdict = Err("no time".into());
        let coarse = || coarse.iter().copied();
        let all = exact.iter().flat_map(|time| {
            let with_coarse = move |coarse| (*time, coarse);
            coarse().map(with_coarse)
        });
        for ((time, coarse), tick) in all.flat_map(|times| ticks.iter().map(move |tick| (times, *tick))) {
            let arrival = Arrival {
                time,
                coarse,
                tick,
                cpu: self.cpu,
                ifindex: INGRESS,
            };
            verdict = same(before, frame, arrival, (action, &bytes, &found));
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }

    /// Runs the program on a frame: its action, and the frame as it is then.
    pub(crate) fn run(&self, frame: &[u8]) -> Result<(u32, Vec<u8>), Box<dyn Error>> {
        let mut out = vec![0; frame.len() + 256];
        // Once: a second run would get the frame that the first one has rewritten.
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat: 1,
            ..TestRunOptions::new()
        };
        let result = self.xdp().test_run(options)?;
        out.truncate(result.data_size_out as usize);
        Ok((result.return_value, out))
    }

    /// Makes the tables of the program those of `world`, all pass counters zero.
    pub(crate) fn fill(&mut self, world: &World) -> Result<(), Box<dyn Error>> {
        let mut locals: HashMap<&mut MapData, LocalKey, LocalRange> = self.map_mut("LOCALS")?;
        let stale = locals.keys().collect::<Result<Vec<_>, _>>()?;
        for key in stale {
            locals.remove(&key)?;
        }
        for (key, range) in &world.locals {
            locals.insert(key, range, 0)?;
        }
        let mut hints: Array<&mut MapData, LocalHint> = self.map_mut("LOCAL_HINTS")?;
        for index in 0..LOCAL_HINTS {
            hints.set(index, LocalHint::default(), 0)?;
        }
        let places = world.locals.iter().filter(|(key, _)| key.ifindex != ANY_DEVICE);
        for &(key, range) in places {
            let hint = LocalHint {
                valid: 1,
                key,
                range,
                ..LocalHint::default()
            };
            hints.set(local_hint(&key), hint, 0)?;
        }
        let mut slots: Array<&mut MapData, Slot> = self.map_mut("SLOTS")?;
        for (index, slot) in (0..).zip(&world.slots) {
            slots.set(index, slot, 0)?;
        }
        let mut annexes: Array<&mut MapData, Annex> = self.map_mut("ANNEXES")?;
        for (index, annex) in (0..).zip(&world.annexes) {
            annexes.set(index, annex, 0)?;
        }
        let mut guards: Array<&mut MapData, Guard> = self.map_mut("GUARDS")?;
        for (index, guard) in (0..).zip(&world.guards) {
            guards.set(index, guard, 0)?;
        }
        let mut prefixes: Array<&mut MapData, u64> = self.map_mut("PREFIX_BUCKETS")?;
        for (index, bucket) in (0..).zip(&world.prefixes) {
            prefixes.set(index, bucket, 0)?;
        }
        fill_counts(&mut self.map_mut("DROPS")?, &world.drops)?;
        fill_counts(&mut self.map_mut("PASSES")?, &world.passes)?;
        let mut routes: Array<&mut MapData, Route> = self.map_mut("ROUTES")?;
        for (index, route) in (0..).zip(&world.routes) {
            routes.set(index, route, 0)?;
        }
        Ok(())
    }

    /// `before` with the slots and pass counters as they are now.
    pub(crate) fn world(&self, before: &World) -> Result<World, Box<dyn Error>> {
        let slots: Array<&MapData, Slot> = Array::try_from(self.ebpf.map("SLOTS").ok_or("no map")?)?;
        let guards: Array<&MapData, Guard> = Array::try_from(self.ebpf.map("GUARDS").ok_or("no map")?)?;
        let prefixes: Array<&MapData, u64> =
            Array::try_from(self.ebpf.map("PREFIX_BUCKETS").ok_or("no map")?)?;
        let annexes: Array<&MapData, Annex> = Array::try_from(self.ebpf.map("ANNEXES").ok_or("no map")?)?;
        let mut world = before.clone();
        world.slots = slots.iter().collect::<Result<_, _>>()?;
        world.annexes = annexes.iter().collect::<Result<_, _>>()?;
        world.guards = guards.iter().collect::<Result<_, _>>()?;
        world.prefixes = prefixes.iter().collect::<Result<_, _>>()?;
        self.read_counts("PASSES", &mut world.passes)?;
        self.read_counts("DROPS", &mut world.drops)?;
        Ok(world)
    }

    fn read_counts(&self, name: &str, counts: &mut [u64]) -> Result<(), Box<dyn Error>> {
        let map: PerCpuArray<&MapData, u64> = PerCpuArray::try_from(self.ebpf.map(name).ok_or("no map")?)?;
        for (index, count) in (0..).zip(counts) {
            *count = map.get(&index, 0)?.iter().sum();
        }
        Ok(())
    }

    fn xdp(&self) -> &Xdp {
        self.ebpf.program("relay").unwrap().try_into().unwrap()
    }

    fn map_mut<'a, M>(&'a mut self, name: &str) -> Result<M, Box<dyn Error>>
    where
        M: TryFrom<&'a mut aya::maps::Map, Error = aya::maps::MapError>,
    {
        Ok(self.ebpf.map_mut(name).ok_or("no such map")?.try_into()?)
    }
}

fn fill_counts(map: &mut PerCpuArray<&mut MapData, u64>, counts: &[u64]) -> Result<(), Box<dyn Error>> {
    for (index, &count) in (0..).zip(counts) {
        let mut values = vec![0; aya::util::nr_cpus().map_err(|(what, error)| format!("{what}: {error}"))?];
        values[0] = count;
        map.set(index, values.try_into()?, 0)?;
    }
    Ok(())
}

/// What the model decides if it does to the frame and the tables what the program did: its action, the frame, the tables.
fn same(
    before: &World,
    frame: &[u8],
    arrival: Arrival,
    (action, bytes, found): (u32, &[u8], &World),
) -> Result<Verdict, Box<dyn Error>> {
    let mut expected = before.clone();
    let (verdict, expected_bytes) = expected.rewrite(arrival, frame);
    let expected_action = match verdict {
        Verdict::Pass(_) => XDP_PASS,
        Verdict::Drop => XDP_DROP,
        Verdict::Redirect { .. } => XDP_REDIRECT,
    };
    if action != expected_action {
        return Err(format!("the model says {verdict:?}, the program action {action}").into());
    }
    if bytes != expected_bytes {
        return Err(format!("{verdict:?}: bytes\n{expected_bytes:02x?}\nnot\n{bytes:02x?}").into());
    }
    if found.passes != expected.passes {
        return Err(format!("{verdict:?}: passes {:?} not {:?}", expected.passes, found.passes).into());
    }
    if found.drops != expected.drops {
        return Err(format!("{verdict:?}: drops {:?} not {:?}", expected.drops, found.drops).into());
    }
    if (&found.guards, &found.prefixes) != (&expected.guards, &expected.prefixes) {
        return Err(format!(
            "{verdict:?}: buckets\n{:?} {:?}\nnot\n{:?} {:?}",
            expected.guards, expected.prefixes, found.guards, found.prefixes
        )
        .into());
    }
    for (index, (expected, found)) in expected.slots.iter().zip(&found.slots).enumerate() {
        if expected != found {
            return Err(format!("{verdict:?}: slot {index}\n{expected:?}\nnot\n{found:?}").into());
        }
    }
    for (index, (expected, found)) in expected.annexes.iter().zip(&found.annexes).enumerate() {
        if expected != found {
            return Err(format!("{verdict:?}: annex {index}\n{expected:?}\nnot\n{found:?}").into());
        }
    }
    Ok(verdict)
}
