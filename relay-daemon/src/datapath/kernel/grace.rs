//! Grace periods: when nobody can still be reading what was unpublished.
//!
//! The program runs in RCU read-side critical sections. `membarrier(2)` with `MEMBARRIER_CMD_GLOBAL`
//! returns only after all of them that had begun before it have ended, and takes milliseconds. So
//! barriers are counted, and run on a thread that may wait; whoever unpublishes something notes a
//! [`Stamp`] and asks later, without waiting, whether it is over.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// The barriers of one table. Any number of threads.
#[derive(Debug)]
pub(crate) struct Grace {
    started: AtomicU64,
    completed: AtomicU64,
    barrier: fn() -> io::Result<()>,
}

/// The barrier that must have ended before what was unpublished may be reused. The default is that of
/// something that never was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(pub(crate) u64);

impl Grace {
    /// With the kernel's barrier.
    pub(crate) fn new() -> Grace {
        Grace::with_barrier(membarrier)
    }

    fn with_barrier(barrier: fn() -> io::Result<()>) -> Grace {
        Grace {
            started: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            barrier,
        }
    }

    /// With a barrier that does nothing, to play by hand.
    #[cfg(test)]
    pub(crate) fn manual() -> Grace {
        Grace::with_barrier(|| Ok(()))
    }

    /// To be called after the store that unpublished something.
    pub(crate) fn stamp(&self) -> Stamp {
        // With the fence in `run`: a barrier that this load does not see started after that store.
        fence(Ordering::SeqCst);
        Stamp(self.started.load(Ordering::Relaxed) + 1)
    }

    /// Whether a barrier that started after the stamp was taken has ended.
    pub(crate) fn is_over(&self, stamp: Stamp) -> bool {
        self.completed.load(Ordering::Acquire) >= stamp.0
    }

    /// Runs a barrier: all stamps taken before the call are over when it returns. Takes milliseconds.
    pub(crate) fn run(&self) {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        fence(Ordering::SeqCst);
        if (self.barrier)().is_err() {
            // Not supported (kernels with nohz_full CPUs): program runs last microseconds.
            std::thread::sleep(FALLBACK);
        }
        self.completed.fetch_max(number, Ordering::Release);
    }
}

/// Stands in for a barrier where there is none: far longer than any program run.
const FALLBACK: Duration = Duration::from_millis(200);

fn membarrier() -> io::Result<()> {
    /// `MEMBARRIER_CMD_GLOBAL` of linux/membarrier.h.
    const GLOBAL: libc::c_int = 1;
    // SAFETY: membarrier takes three integers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    Ok(nix::errno::Errno::result(result).map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_over_after_a_later_barrier() {
        let grace = Grace::manual();
        assert!(grace.is_over(Stamp::default()));
        let first = grace.stamp();
        assert!(!grace.is_over(first));
        grace.run();
        assert!(grace.is_over(first));
        let second = grace.stamp();
        assert!(!grace.is_over(second));
        grace.run();
        assert!(grace.is_over(second));
    }

    #[test]
    fn a_barrier_that_runs_already_does_not_count() {
        let grace = Grace::manual();
        // A barrier that has started but not ended.
        grace.started.fetch_add(1, Ordering::Relaxed);
        let stamp = grace.stamp();
        grace.completed.fetch_max(1, Ordering::Release);
        assert!(!grace.is_over(stamp));
        grace.run();
        assert!(grace.is_over(stamp));
    }

    #[test]
    fn the_kernel_has_the_barrier() {
        membarrier().unwrap();
    }
}
