//! Has the system schedule a thread as the operator wants it.

use std::io;

use crate::config::{Scheduling, SchedulingPolicy};

impl Scheduling {
    /// Applies it to the thread that calls. Where the system refuses, the log says so, and the thread runs as it did.
    pub(crate) fn apply(self) {
        if self == Scheduling::default() {
            return;
        }
        if let Err(error) = self.set() {
            tracing::warn!(%error, wanted = ?self, "cannot schedule a thread");
        }
    }

    fn set(self) -> io::Result<()> {
        let (policy, is_real_time) = match self.policy {
            Some(SchedulingPolicy::Fifo) => (Some(libc::SCHED_FIFO), true),
            Some(SchedulingPolicy::RoundRobin) => (Some(libc::SCHED_RR), true),
            Some(SchedulingPolicy::Other) => (Some(libc::SCHED_OTHER), false),
            Some(SchedulingPolicy::Batch) => (Some(libc::SCHED_BATCH), false),
            Some(SchedulingPolicy::Idle) => (Some(libc::SCHED_IDLE), false),
            None => (None, false),
        };
        if let Some(policy) = policy {
            let parameter = libc::sched_param {
                sched_priority: if is_real_time { self.priority } else { 0 },
            };
            // SAFETY: 0 is the calling thread, and the parameter lives as long as the call.
            check(unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) })?;
        }
        if !is_real_time && self.priority != 0 {
            // SAFETY: it takes numbers. 0 is the calling thread.
            check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, self.priority) })?;
        }
        Ok(())
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_scheduled_as_wanted() {
        let policy = |scheduling: Scheduling| {
            let thread = std::thread::spawn(move || {
                scheduling.set().unwrap();
                // SAFETY: they take numbers. 0 is the calling thread.
                unsafe {
                    (
                        libc::sched_getscheduler(0),
                        libc::getpriority(libc::PRIO_PROCESS, 0),
                    )
                }
            });
            thread.join().unwrap()
        };
        let batch = Scheduling {
            policy: Some(SchedulingPolicy::Batch),
            priority: 5,
        };
        assert_eq!(policy(batch), (libc::SCHED_BATCH, 5));
        let nice = Scheduling {
            policy: None,
            priority: 3,
        };
        assert_eq!(policy(nice), (libc::SCHED_OTHER, 3));
    }
}
