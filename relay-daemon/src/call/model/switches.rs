//! What is blocked and silenced.

use crate::call::command::Controlled;
use crate::plan::Treatment;

use super::flow::FlowId;

/// What is switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) struct Controls {
    /// `block media`
    pub(in crate::call) blocked: bool,
    /// `silence media`
    pub(in crate::call) silenced: bool,
    /// `block DTMF`
    pub(in crate::call) events_blocked: bool,
    /// `start forwarding`: to the recording daemon.
    pub(in crate::call) forwarding: bool,
}

/// What is switched on for one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct FlowControls {
    pub(in crate::call) flow: FlowId,
    pub(in crate::call) controls: Controls,
}

impl Controls {
    pub(in crate::call) fn switch(&mut self, what: Controlled, on: bool) {
        *match what {
            Controlled::Media => &mut self.blocked,
            Controlled::Silence => &mut self.silenced,
            Controlled::Events => &mut self.events_blocked,
            Controlled::Forwarding => &mut self.forwarding,
        } = on;
    }

    /// What is on, in words.
    pub(in crate::call) fn names(self) -> Vec<&'static str> {
        [
            (self.blocked, "media blocked"),
            (self.silenced, "media silenced"),
            (self.events_blocked, "DTMF blocked"),
            (self.forwarding, "forwarding"),
        ]
        .into_iter()
        .filter_map(|(on, name)| on.then_some(name))
        .collect()
    }

    pub(in crate::call) fn treatment(self) -> Treatment {
        match self {
            Controls { blocked: true, .. } => Treatment::Drop,
            Controls { silenced: true, .. } => Treatment::Silence,
            Controls { .. } => Treatment::Pass,
        }
    }
}
