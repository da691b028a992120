//! When calls end by themselves, and when delayed deletions are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::call::model::half::Half;
use crate::call::model::media::Media;
use crate::call::model::state::{Call, Party, Presence};
use crate::call::model::stream::last_kernel_packet;
use crate::clock::Time;
use crate::config::CallSettings;
use crate::host::Host;
use crate::plan::CallKey;
use crate::report::Termination;

/// When a call is looked at that nothing will happen to: after a hundred years or so.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The times at which calls have to be looked at.
///
/// A call stands here once with the earliest time at which something might be due. Only then it is looked at, and put
/// back if its media has flowed meanwhile: no walk over all calls.
#[derive(Debug, Default)]
pub(in crate::call) struct Timers {
    heap: BinaryHeap<Reverse<(Time, CallKey)>>,
}

impl Timers {
    /// Has a call looked at at that time.
    pub(in crate::call) fn set(&mut self, call: CallKey, at: Time) {
        self.heap.push(Reverse((at, call)));
    }

    /// The earliest time.
    pub(in crate::call) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out a call that is due.
    pub(in crate::call) fn take_due(&mut self, now: Time) -> Option<(Time, CallKey)> {
        let Reverse((at, _)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

/// What will happen to a call next if nothing else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct Deadline {
    pub(in crate::call) at: Time,
    pub(in crate::call) event: Event,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Event {
    /// A deletion that was delayed.
    Deletion,
    /// The call ends.
    End(Termination),
}

/// Which timeout a media section is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Watch {
    /// Media is expected from the party.
    Media,
    /// Nobody has answered yet.
    Answer,
    /// The party does not send.
    Silence,
}

impl Call {
    /// What happens next, as far as is known now.
    pub(in crate::call) fn deadline(&self, settings: &CallSettings, host: &dyn Host) -> Deadline {
        if self.foreign {
            return Deadline {
                at: self.next_deletion().unwrap_or(self.created + NEVER),
                event: Event::Deletion,
            };
        }
        let idle = self.idle_deadline(settings, host);
        let last = settings.final_timeout.map(|timeout| Deadline {
            at: self.created + timeout,
            event: Event::End(Termination::FinalTimeout),
        });
        let deletion = self.next_deletion().map(|at| Deadline {
            at,
            event: Event::Deletion,
        });
        [deletion, last, Some(idle)]
            .into_iter()
            .flatten()
            .min_by_key(|deadline| deadline.at)
            .unwrap_or(idle)
    }

    pub(in crate::call) fn next_deletion(&self) -> Option<Time> {
        let of_parties = self.parties.iter().filter_map(|party| match party.presence {
            Presence::Leaving(at) => Some(at),
            Presence::Here | Presence::Gone => None,
        });
        of_parties.chain(self.deletion).min()
    }

    /// The call lives as long as one section has its time. Sections that nobody uses any more count only if no other
    /// is left.
    fn idle_deadline(&self, settings: &CallSettings, host: &dyn Host) -> Deadline {
        let is_associated = self.is_associated();
        let watched = self
            .sections()
            .filter(|(id, media)| media.is_open() && (!is_associated || self.has_flows(id.party)))
            .map(|(id, media)| self.watch(self.party(id.party), media, settings, host));
        let Some(at) = watched.clone().map(|(_, at)| at).max() else {
            return Deadline {
                at: self.last_signal.unwrap_or(self.created) + settings.timeout,
                event: Event::End(Termination::Timeout),
            };
        };
        let strictest = watched.map(|(watch, _)| watch).min().unwrap_or(Watch::Media);
        Deadline {
            at,
            event: Event::End(match strictest {
                Watch::Media => Termination::Timeout,
                Watch::Answer => Termination::OfferTimeout,
                Watch::Silence => Termination::SilentTimeout,
            }),
        }
    }

    /// Which timeout a section is under, and when it has run out.
    fn watch(&self, party: &Party, media: &Media, settings: &CallSettings, host: &dyn Host) -> (Watch, Time) {
        let answered = |party: &Party| party.remote_description.is_some();
        // Who talks to the relay alone needs no answer of anybody else's.
        let of_peers = party.peers.is_empty() || party.peers.iter().any(|peer| answered(self.party(*peer)));
        let is_answered = answered(party) && of_peers;
        let watch = match is_answered {
            _ if !media.direction.sends() => Watch::Silence,
            false => Watch::Answer,
            true => Watch::Media,
        };
        let timeout: Duration = match watch {
            Watch::Media => settings.timeout,
            Watch::Answer => settings.offer_timeout,
            Watch::Silence => settings.silent_timeout,
        };
        (watch, media.last_activity(host) + timeout)
    }
}

impl Media {
    /// When a packet came from the party, or a message about the section, whichever was later.
    fn last_activity(&self, host: &dyn Host) -> Time {
        [Half::Rtp, Half::Rtcp]
            .into_iter()
            .flat_map(|half| {
                let ports = self.bound(half).into_iter().map(|port| port.id);
                let stream = self.stream(half);
                [
                    Some(stream.signalled_at),
                    stream.last_user_packet(),
                    last_kernel_packet(ports, host),
                ]
            })
            .flatten()
            .max()
            .unwrap_or_default()
    }
}
