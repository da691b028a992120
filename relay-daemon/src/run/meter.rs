//! What is relayed in a second.

use std::time::Duration;

use crate::call::Calls;
use crate::clock::Time;
use crate::host::Host;
use crate::plan::CallKey;
use crate::report::{Ledger, Received};

const PERIOD: Duration = Duration::from_secs(1);

/// How many calls are counted before anything else gets its turn.
const SLICE: usize = 256;

/// Counts what calls have relayed, all of them once a second.
#[derive(Debug)]
pub(super) struct Meter {
    /// When the next calls are to be counted.
    due: Time,
    /// When this round began.
    began: Time,
    /// The last call that was counted in this round.
    counted: Option<CallKey>,
}

impl Meter {
    pub(super) fn new(now: Time) -> Meter {
        Meter {
            due: now + PERIOD,
            began: now + PERIOD,
            counted: None,
        }
    }

    /// When [`Meter::handle_timeout`] is due; never while nothing can change.
    pub(super) fn poll_timeout(&self, calls: &Calls, ledger: &Ledger) -> Option<Time> {
        let is_idle = calls.session_count() == 0 && ledger.rates() == Received::default();
        (!is_idle).then_some(self.due)
    }

    /// Counts some calls. After the last of them, what was relayed since the last round becomes the current rate.
    pub(super) fn handle_timeout(
        &mut self,
        now: Time,
        calls: &mut Calls,
        host: &dyn Host,
        ledger: &mut Ledger,
    ) {
        if now < self.due {
            return;
        }
        self.counted = calls.count(self.counted, SLICE, host);
        if self.counted.is_some() {
            self.due = now;
            return;
        }
        ledger.measure(now, calls.relayed().received);
        self.began = now.max(self.began + PERIOD);
        self.due = self.began;
    }
}
