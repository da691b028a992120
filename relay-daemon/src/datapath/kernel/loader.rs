//! Loads the program and takes its maps.

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use nix::errno::Errno;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, clock_getres};
use relay_common::slot::{
    DropReason, LOCAL_HINTS, Limits, LocalKey, LocalRange, MAX_LOCALS, MAX_ROUTES, PassReason,
};

use super::memory::{Shared, SharedAnnex, SharedArray, SharedGuard, SharedHint, SharedRoute, SharedSlot};
use super::program::PROGRAM;
use super::ticks::Ticks;
use super::{FloodLimits, KernelError, Layout, floods};
use crate::clock::Time;

/// The program in the kernel, with its maps.
pub(crate) struct Loaded {
    /// Owns the program.
    pub(crate) ebpf: Ebpf,
    pub(crate) slots: SharedArray<SharedSlot>,
    pub(crate) annexes: SharedArray<SharedAnnex>,
    pub(crate) guards: SharedArray<SharedGuard>,
    pub(crate) routes: SharedArray<SharedRoute>,
    pub(crate) counts: Counts,
    pub(crate) locals: HashMap<MapData, LocalKey, LocalRange>,
    pub(crate) hints: SharedArray<SharedHint>,
    pub(crate) ticks: Ticks,
}

/// What the program counts of all packets.
pub(crate) struct Counts {
    passes: PerCpuArray<MapData, u64>,
    drops: PerCpuArray<MapData, u64>,
}

/// The program's name.
pub(crate) const NAME: &str = "relay";

/// The name of the program that tells the tick.
const TICK: &str = "tick";

/// The kernel takes no shorter ones: an Ethernet header.
const SHORTEST_FRAME: usize = 14;

/// The section that a program lies in which takes packets of several buffers (jumbo frames).
const SECTION_WITH_FRAGS: &[u8] = b"xdp.frags\0";

/// Loads the program, with a slot for each local port.
pub(crate) fn load(layout: &Layout, floods: &FloodLimits) -> Result<Loaded, KernelError> {
    let addresses = layout.ranges().count();
    if u32::try_from(addresses).is_ok_and(|addresses| addresses > MAX_LOCALS) {
        return Err(KernelError::TooManyLocals(addresses));
    }
    if layout.slots() == 0 {
        return Err(KernelError::NoPorts);
    }
    tracing::info!(
        addresses,
        ports = layout.slots(),
        "the tables of the XDP program take {} MB of kernel memory",
        layout.kernel_memory().div_ceil(1_000_000)
    );
    let limits = limits(layout, floods);
    let mut ebpf = load_object(PROGRAM, layout, &limits)
        .or_else(|error| without_frags(layout, &limits).map_err(|_| error))?;
    let locals = HashMap::try_from(take(&mut ebpf, "LOCALS")?).map_err(KernelError::load)?;
    let hints = memory(&mut ebpf, "LOCAL_HINTS", LOCAL_HINTS)?;
    let ticks = read_ticks(&mut ebpf)?;
    let slots = memory(&mut ebpf, "SLOTS", layout.slots())?;
    let annexes = memory(&mut ebpf, "ANNEXES", layout.slots())?;
    let routes = memory(&mut ebpf, "ROUTES", MAX_ROUTES)?;
    let guards = memory(&mut ebpf, "GUARDS", layout.slots())?;
    let counts = Counts {
        passes: PerCpuArray::try_from(take(&mut ebpf, "PASSES")?).map_err(KernelError::load)?,
        drops: PerCpuArray::try_from(take(&mut ebpf, "DROPS")?).map_err(KernelError::load)?,
    };
    Ok(Loaded {
        ebpf,
        slots,
        annexes,
        guards,
        routes,
        counts,
        locals,
        hints,
        ticks,
    })
}

/// As the program has them.
fn limits(layout: &Layout, floods: &FloodLimits) -> Limits {
    let ranges = || layout.ranges().map(|(_, range)| range);
    Limits {
        ticks_per_second: ticks_per_second(),
        port_min: ranges().map(|range| range.port_min).min().unwrap_or_default(),
        port_max: ranges().map(|range| range.port_max).max().unwrap_or_default(),
        ..floods::limits(floods)
    }
}

/// All coarse clocks of the kernel tick together.
fn ticks_per_second() -> u32 {
    const USUAL: u32 = 250;
    let period = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map(nanoseconds);
    let ticks = period
        .ok()
        .and_then(|period| 1_000_000_000_u64.checked_div(period));
    ticks.and_then(|ticks| u32::try_from(ticks).ok()).unwrap_or(USUAL)
}

fn load_object(object: &[u8], layout: &Layout, limits: &Limits) -> Result<Ebpf, KernelError> {
    let mut ebpf = EbpfLoader::new()
        .map_max_entries("SLOTS", layout.slots())
        .map_max_entries("ANNEXES", layout.slots())
        .map_max_entries("GUARDS", layout.slots())
        .override_global("LIMITS", limits, true)
        .load(object)
        .map_err(KernelError::load)?;
    // Before its maps are taken: it needs their descriptors, and from then on holds them itself.
    xdp(&mut ebpf)?.load().map_err(KernelError::load)?;
    Ok(ebpf)
}

/// For kernels before 5.18, which know no packets of several buffers. Drivers do not take the program then where the
/// MTU is larger than a page.
fn without_frags(layout: &Layout, limits: &Limits) -> Result<Ebpf, KernelError> {
    let ebpf = load_object(&plain(PROGRAM), layout, limits)?;
    tracing::info!("this kernel (before 5.18?) takes the XDP program only without support for jumbo frames");
    Ok(ebpf)
}

/// The object with the program in a section of another name, which is all that makes the difference.
fn plain(object: &[u8]) -> Vec<u8> {
    let mut object = object.to_vec();
    let length = SECTION_WITH_FRAGS.len();
    let places = 0..object.len().saturating_sub(length);
    for at in places {
        let name = &mut object[at..at + length];
        if name == SECTION_WITH_FRAGS {
            // "xdp" and the end of the name.
            name[3] = 0;
        }
    }
    object
}

/// Asks the kernel what it calls the present tick. All its coarse clocks tick together.
fn read_ticks(ebpf: &mut Ebpf) -> Result<Ticks, KernelError> {
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC_COARSE;
    let program: &mut Xdp = ebpf
        .program_mut(TICK)
        .ok_or(KernelError::Incomplete(TICK))?
        .try_into()
        .map_err(KernelError::load)?;
    program.load().map_err(KernelError::load)?;
    let failed = |error: Errno| KernelError::Clock(error.into());
    let coarse = || CLOCK.now().map(nanoseconds).map_err(failed);
    let period = clock_getres(CLOCK).map(nanoseconds).map_err(failed)?;
    let frame = [0; SHORTEST_FRAME];
    let mut since = coarse()?;
    loop {
        let options = TestRunOptions {
            data_in: Some(&frame),
            repeat: 1,
            ..TestRunOptions::new()
        };
        let known = program.test_run(options).map_err(KernelError::load)?.return_value;
        // It has not changed while the program ran.
        let now = coarse()?;
        if now == since {
            program.unload().map_err(KernelError::load)?;
            return Ok(Ticks {
                since: Time(since),
                known,
                period: period.max(1),
            });
        }
        since = now;
    }
}

fn nanoseconds(time: TimeSpec) -> u64 {
    u64::try_from(time.num_nanoseconds()).unwrap_or_default()
}

/// The program.
pub(crate) fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, KernelError> {
    let program = ebpf.program_mut(NAME).ok_or(KernelError::Incomplete(NAME))?;
    program.try_into().map_err(KernelError::load)
}

impl Counts {
    /// Packets passed to userspace, by reason.
    pub(crate) fn passes(&self) -> Result<[u64; PassReason::COUNT as usize], MapError> {
        sums(&self.passes)
    }

    /// Packets dropped, by reason.
    pub(crate) fn drops(&self) -> Result<[u64; DropReason::COUNT as usize], MapError> {
        sums(&self.drops)
    }
}

/// Counts over all CPUs.
fn sums<const N: usize>(counts: &PerCpuArray<MapData, u64>) -> Result<[u64; N], MapError> {
    let mut sums = [0; N];
    for (reason, sum) in (0..).zip(&mut sums) {
        *sum = counts.get(&reason, 0)?.iter().sum();
    }
    Ok(sums)
}

fn memory<T: Shared>(
    ebpf: &mut Ebpf,
    name: &'static str,
    length: u32,
) -> Result<SharedArray<T>, KernelError> {
    let Map::Array(data) = take(ebpf, name)? else {
        return Err(KernelError::Incomplete(name));
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    SharedArray::map(data.fd(), length).map_err(|error| KernelError::Memory { map: name, error })
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, KernelError> {
    ebpf.take_map(name).ok_or(KernelError::Incomplete(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::kernel::LocalPorts;

    /// Kernels that take no packets of several buffers are not at hand; but this one takes both kinds.
    #[test]
    fn a_plain_program_can_be_loaded_as_well() {
        let local = LocalPorts {
            address: [127, 0, 0, 1].into(),
            port_min: 30000,
            port_max: 30001,
        };
        let layout = Layout::new(&[local]);
        assert_ne!(plain(PROGRAM), PROGRAM);
        for object in [PROGRAM, &plain(PROGRAM)] {
            match load_object(object, &layout, &limits(&layout, &FloodLimits::default())) {
                Ok(mut ebpf) => assert!(xdp(&mut ebpf).is_ok()),
                Err(KernelError::NotPermitted) => eprintln!("skipped: loading an XDP program needs root"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
