//! What an operator asks for, rather than a proxy.

use std::net::SocketAddr;
use std::time::Duration;

use crate::call::command::{CallId, Limit};
use crate::clock::Time;
use crate::host::Host;
use crate::plan::CallKey;
use crate::report::Termination;

use super::Calls;

/// A setting that may change while the daemon runs. It counts for calls that exist already, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `timeout`.
    Timeout(Duration),
    /// `silent-timeout`.
    SilentTimeout(Duration),
    /// `offer-timeout`.
    OfferTimeout(Duration),
    /// `final-timeout`.
    FinalTimeout(Option<Duration>),
    /// `delete-delay`.
    DeleteDelay(Duration),
    /// `max-sessions`.
    MaxSessions(Option<usize>),
}

/// A call in a list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLine<'a> {
    /// Its call-id.
    pub id: &'a CallId,
    /// When it began, since the Unix epoch.
    pub created: Duration,
    /// The control peer that began it.
    pub created_by: Option<SocketAddr>,
    /// Whether it is to be deleted.
    pub is_leaving: bool,
    /// Whether another relay looks after it.
    pub is_foreign: bool,
}

impl Calls {
    /// Who the commands that follow come from: noted with the calls that they begin.
    pub fn attribute_to(&mut self, peer: SocketAddr) {
        self.peer = Some(peer);
    }

    /// Begins no calls while the machine has too much of something.
    pub fn set_overload(&mut self, overload: Option<Limit>) {
        self.overload = overload;
    }

    /// Changes a setting.
    pub fn configure(&mut self, setting: Setting, host: &dyn Host) {
        let settings = &mut self.environment.settings;
        match setting {
            Setting::Timeout(timeout) => settings.timeout = timeout,
            Setting::SilentTimeout(timeout) => settings.silent_timeout = timeout,
            Setting::OfferTimeout(timeout) => settings.offer_timeout = timeout,
            Setting::FinalTimeout(timeout) => settings.final_timeout = timeout,
            Setting::DeleteDelay(delay) => settings.delete_delay = delay,
            Setting::MaxSessions(most) => settings.max_sessions = most,
        }
        // A deadline may be nearer now.
        let keys: Vec<CallKey> = self.calls.keys().copied().collect();
        for key in keys {
            self.schedule(key, host);
        }
    }

    /// Ends all calls by force that another relay looks after, or that none does.
    pub fn end_all_of(&mut self, now: Time, foreign: bool, host: &mut dyn Host) {
        let calls = self.calls.iter();
        let wanted = calls.filter(|(_, entry)| entry.call.foreign == foreign);
        let keys: Vec<CallKey> = wanted.map(|(key, _)| *key).collect();
        for key in keys {
            self.end(now, key, Termination::Forced, host);
        }
    }

    /// Says of all calls that there are whether another relay looks after them. Timeouts end those that none does.
    pub fn set_foreign(&mut self, foreign: bool, host: &dyn Host) {
        let keys: Vec<CallKey> = self.calls.keys().copied().collect();
        for key in keys {
            if let Some(entry) = self.calls.get_mut(&key) {
                entry.call.foreign = foreign;
            }
            self.schedule(key, host);
        }
    }

    /// Ends a call by force; tells whether there was one.
    pub fn terminate(&mut self, now: Time, id: &CallId, host: &mut dyn Host) -> bool {
        let key = self.keys.get(id).copied();
        if let Some(key) = key {
            self.end(now, key, Termination::Forced, host);
        }
        key.is_some()
    }

    /// Switches whether what is said about a call is logged in full; tells whether there is one.
    pub fn set_debug(&mut self, id: &CallId, on: bool) -> bool {
        let entry = self.keys.get(id).and_then(|key| self.calls.get_mut(key));
        entry.map(|entry| entry.call.debugged = on).is_some()
    }

    /// Whether what is said about a call is to be logged in full.
    pub fn is_debugged(&self, id: &str) -> bool {
        let entry = self.keys.get(id).and_then(|key| self.calls.get(key));
        entry.is_some_and(|entry| entry.call.debugged)
    }

    /// All calls, in the order of their creation.
    pub fn lines(&self) -> impl Iterator<Item = CallLine<'_>> {
        self.calls.values().map(|entry| CallLine {
            id: &entry.call.id,
            created: self.environment.settings.epoch + Duration::from_nanos(entry.call.created.0),
            created_by: entry.call.created_by,
            is_leaving: entry.call.next_deletion().is_some(),
            is_foreign: entry.call.foreign,
        })
    }
}
