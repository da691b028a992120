//! All calls.

mod count;
mod media;
mod operate;
mod signalling;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::call::Action;
use crate::call::command::{CallId, Command, CommandError, Delete, Limit, MediaError, Query, Reply, Tag};
use crate::call::derived::snapshot::{Moment, Scope};
use crate::call::derived::timer::{Event, Timers};
use crate::call::model::state::Call;
use crate::call::negotiation::fragment::Fragments;
use crate::call::operations::delete::{Remainder, Target};
use crate::call::section::environment::Environment;
use crate::clock::Time;
use crate::config::CallSettings;
use crate::dtls::Credentials;
use crate::host::Host;
use crate::plan::{CallKey, KernelUse};
use crate::report::{CallSnapshot, Relayed, Termination};

pub use self::operate::{CallLine, Setting};

/// The signalling engine: all calls, and what has to be done about them.
///
/// After each [`Calls::handle`] and [`Calls::handle_timeout`] the driver carries out what [`Calls::poll_action`]
/// gives, before it sends a reply, and then hears from [`Calls::poll_ended`] of the calls that are over; at
/// [`Calls::poll_timeout`] it calls [`Calls::handle_timeout`].
#[derive(Debug)]
pub struct Calls {
    environment: Environment,
    /// In the order of their creation.
    calls: BTreeMap<CallKey, Entry>,
    keys: HashMap<CallId, CallKey>,
    next_key: u64,
    timers: Timers,
    actions: VecDeque<Action>,
    ended: VecDeque<Ended>,
    relayed: Relayed,
    /// Who sends the commands.
    peer: Option<SocketAddr>,
    fragments: Fragments,
    /// What the machine has too much of.
    overload: Option<Limit>,
}

#[derive(Debug)]
struct Entry {
    call: Call,
    /// The entry in [`Calls::timers`] that counts.
    wake_at: Option<Time>,
}

/// A call that is over, until the driver wants to know.
#[derive(Debug)]
struct Ended {
    call: Call,
    at: Time,
    reason: Termination,
}

const NOT_FOUND: &str = "Call-ID not found or tags didn't match";

impl Calls {
    /// No calls yet.
    pub fn new(settings: CallSettings, credentials: Arc<Credentials>) -> Calls {
        Calls {
            environment: Environment::new(settings, credentials),
            calls: BTreeMap::new(),
            keys: HashMap::new(),
            next_key: 0,
            timers: Timers::default(),
            actions: VecDeque::new(),
            ended: VecDeque::new(),
            relayed: Relayed::default(),
            peer: None,
            fragments: Fragments::default(),
            overload: None,
        }
    }

    /// Carries out a command. One that is refused changes nothing, but an offer whose SDP is refused leaves a call
    /// without parties.
    pub fn handle(
        &mut self,
        now: Time,
        command: Command,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        match command {
            Command::Offer(signal) => self.offer(now, &signal, host),
            Command::Answer(signal) => self.answer(now, &signal, host),
            Command::Fragment(fragment) => self.fragment(now, &fragment, host),
            Command::Delete(delete) => self.delete(now, &delete, host),
            Command::Query(query) => self.query(now, &query, host),
            Command::Control(control) => self.control(&control, host),
            Command::Play(request) => {
                let key = self.key(&request.call_id, MediaError::UnknownCall)?;
                let entry = self.calls.get_mut(&key).ok_or(MediaError::UnknownCall)?;
                Ok(entry.call.play(&request)?)
            }
            Command::Publish(publish) => self.publish(now, &publish, host),
            Command::SubscribeRequest(request) => self.subscribe_request(now, &request, host),
            Command::SubscribeAnswer(answer) => self.subscribe_answer(now, &answer, host),
            Command::Unsubscribe(request) => self.unsubscribe(&request, host),
            Command::Connect(request) => self.connect(now, &request, host),
            Command::Mesh(request) => self.mesh(now, &request, host),
            Command::Inject(request) => self.inject(now, &request, host),
            Command::Create(request) => self.create(now, &request, host),
            Command::CreateAnswer(answer) => self.create_answer(now, &answer, host),
            Command::Transform(request) => self.transform(now, &request, host),
            Command::List { limit } => {
                let calls = self.calls.values().map(|entry| &entry.call);
                let ids = calls.flat_map(|call| std::iter::once(&call.id).chain(&call.other_ids));
                Ok(Reply::CallIds(ids.take(limit).cloned().collect()))
            }
            Command::Calls { offset, limit } => {
                let calls = self.calls.values().skip(offset).take(limit);
                let snapshots = calls.map(|entry| self.snapshot(now, &entry.call, Scope::All, host));
                Ok(Reply::Calls(snapshots.collect(), self.calls.len()))
            }
            Command::Show(id) => {
                let call = self.find(&id).ok_or(CommandError::UnknownCall)?;
                Ok(Reply::Show(Box::new(self.snapshot(now, call, Scope::All, host))))
            }
            Command::Kernel(id, kernel) => self.switch_kernel(&id, kernel, host),
        }
    }

    /// Whether the media of a call does what was signalled last. A call that is not there has none.
    pub fn is_carried_out(&self, id: &CallId) -> bool {
        self.find(id).is_none_or(Call::is_carried_out)
    }

    /// Has calls that begin from now on show another certificate. Those that there are keep theirs.
    pub fn renew_credentials(&mut self, credentials: Arc<Credentials>) {
        self.environment.credentials = credentials;
    }

    /// What the driver must do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Calls::handle_timeout`] wants to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// A call that has ended, in its final state. Its ports must not have been given back yet.
    pub fn poll_ended(&mut self, host: &dyn Host) -> Option<CallSnapshot> {
        let Ended { call, at, reason } = self.ended.pop_front()?;
        Some(CallSnapshot {
            ended: Some(reason),
            ..self.snapshot(at, &call, Scope::All, host)
        })
    }

    /// Ends calls whose time has come, and carries out delayed deletions.
    pub fn handle_timeout(&mut self, now: Time, host: &mut dyn Host) {
        while let Some((at, key)) = self.timers.take_due(now) {
            let Some(entry) = self.calls.get_mut(&key).filter(|entry| entry.wake_at == Some(at)) else {
                continue;
            };
            entry.wake_at = None;
            self.look_at(now, key, host);
        }
    }

    /// Ends all calls by force.
    pub fn end_all(&mut self, now: Time, host: &mut dyn Host) {
        let keys: Vec<CallKey> = self.calls.keys().copied().collect();
        for key in keys {
            self.end(now, key, Termination::Forced, host);
        }
    }

    /// What the engine goes by.
    pub fn settings(&self) -> &CallSettings {
        &self.environment.settings
    }

    /// Number of calls.
    pub fn session_count(&self) -> usize {
        self.calls.len()
    }

    fn delete(&mut self, now: Time, delete: &Delete, host: &mut dyn Host) -> Result<Reply, CommandError> {
        let found = self.keys.get(&delete.call_id).and_then(|key| {
            let call = &self.calls.get(key)?.call;
            Some((*key, call.find_target(delete)?))
        });
        let Some((key, target)) = found else {
            return match delete.fatal {
                true => Err(CommandError::NotFound),
                false => Ok(Reply::Warning(NOT_FOUND)),
            };
        };
        let delay = delete.delay.unwrap_or(self.environment.settings.delete_delay);
        let statistics = match delay {
            Duration::ZERO => self.delete_now(now, key, target, delete, host),
            _ => self.delete_later(now, key, target, now + delay, delete, host),
        };
        match statistics {
            Some(statistics) if !delete.fast => Ok(Reply::Statistics(Box::new(statistics))),
            Some(_) | None => Ok(Reply::Done),
        }
    }

    /// The ports of a single party are closed before the statistics are taken, those of a whole call after.
    fn delete_now(
        &mut self,
        now: Time,
        key: CallKey,
        target: Target,
        delete: &Delete,
        host: &mut dyn Host,
    ) -> Option<CallSnapshot> {
        let call = &mut self.calls.get_mut(&key)?.call;
        // Before it gives up ports: later nobody could tell through which address its last packets came.
        call.count(&mut self.relayed, host);
        let mut call = call.clone();
        call.settle(host);
        let remainder = call.delete(target, host);
        let statistics = self.snapshot(now, &call, scope_of_delete(&call, remainder, delete), host);
        self.after_deletion(now, call, remainder, host);
        Some(statistics)
    }

    fn delete_later(
        &mut self,
        now: Time,
        key: CallKey,
        target: Target,
        at: Time,
        delete: &Delete,
        host: &mut dyn Host,
    ) -> Option<CallSnapshot> {
        let entry = self.calls.get_mut(&key)?;
        let remainder = entry.call.delete_later(target, at);
        let call = &self.calls.get(&key)?.call;
        let statistics = self.snapshot(now, call, scope_of_delete(call, remainder, delete), host);
        self.schedule(key, host);
        Some(statistics)
    }

    fn query(&mut self, now: Time, query: &Query, host: &mut dyn Host) -> Result<Reply, CommandError> {
        let call = self.find(&query.call_id).ok_or(CommandError::UnknownCall)?;
        let scope = match query.to_tag.as_ref().or(query.from_tag.as_ref()) {
            None => Scope::All,
            Some(tag) => around(call, tag).unwrap_or(Scope::Nobody),
        };
        Ok(Reply::Statistics(Box::new(self.snapshot(now, call, scope, host))))
    }

    fn switch_kernel(
        &mut self,
        id: &CallId,
        kernel: KernelUse,
        host: &mut dyn Host,
    ) -> Result<Reply, CommandError> {
        let mut call = self.find(id).ok_or(CommandError::UnknownCall)?.clone();
        call.kernel = kernel;
        self.replace(call, host);
        Ok(Reply::Done)
    }

    /// Does what is due for a call.
    fn look_at(&mut self, now: Time, key: CallKey, host: &mut dyn Host) {
        let Some(Entry { call, .. }) = self.calls.get_mut(&key) else {
            return;
        };
        let deadline = call.deadline(&self.environment.settings, host);
        match deadline.event {
            _ if deadline.at > now => self.schedule(key, host),
            Event::End(reason) => self.end(now, key, reason, host),
            Event::Deletion => {
                call.count(&mut self.relayed, host);
                let mut call = call.clone();
                call.settle(host);
                let remainder = call.delete_due(now, host);
                self.after_deletion(now, call, remainder, host)
            }
        }
    }

    fn after_deletion(&mut self, now: Time, call: Call, remainder: Remainder, host: &mut dyn Host) {
        match remainder {
            Remainder::Nothing => self.end(now, call.key, Termination::Regular, host),
            Remainder::Some => self.replace(call, host),
        }
    }

    fn add(&mut self, now: Time, id: &CallId, host: &mut dyn Host) -> CallKey {
        let key = CallKey(self.next_key);
        self.next_key += 1;
        let (tos, credentials) = (
            self.environment.settings.tos,
            Arc::clone(&self.environment.credentials),
        );
        let mut call = Call::new(key, id.clone(), tos, credentials, now);
        call.created_by = self.peer;
        self.keys.insert(id.clone(), key);
        self.calls.insert(key, Entry { call, wake_at: None });
        self.schedule(key, host);
        key
    }

    /// A changed call takes the place of the former one, and its media is told.
    fn replace(&mut self, mut call: Call, host: &mut dyn Host) {
        let key = call.key;
        call.forget_dead_flows();
        call.revision += 1;
        if !call.warned_of_encryption && call.is_encrypted_beyond_reach() {
            call.warned_of_encryption = true;
            self.actions.push_back(Action::WarnOfEncryption(call.id.clone()));
        }
        self.actions
            .push_back(Action::Apply(call.plan(&self.environment)));
        if let Some(entry) = self.calls.get_mut(&key) {
            entry.call = call;
        }
        self.schedule(key, host);
    }

    /// Has a call looked at when something may be due. A time that moved away is found out when the old one comes.
    fn schedule(&mut self, key: CallKey, host: &dyn Host) {
        let Some(entry) = self.calls.get_mut(&key) else {
            return;
        };
        let at = entry.call.deadline(&self.environment.settings, host).at;
        if entry.wake_at.is_none_or(|known| at < known) {
            entry.wake_at = Some(at);
            self.timers.set(key, at);
        }
    }

    fn end(&mut self, now: Time, key: CallKey, reason: Termination, host: &mut dyn Host) {
        let Some(mut call) = self.forget(key) else {
            return;
        };
        if call.revision > 0 {
            self.actions.push_back(Action::End(key));
        }
        call.count(&mut self.relayed, host);
        self.ended.push_back(Ended {
            call,
            at: now,
            reason,
        });
    }

    fn forget(&mut self, key: CallKey) -> Option<Call> {
        let call = self.calls.remove(&key)?.call;
        for id in std::iter::once(&call.id).chain(&call.other_ids) {
            self.keys.remove(id);
        }
        Some(call)
    }

    fn find(&self, id: &CallId) -> Option<&Call> {
        let key = self.keys.get(id)?;
        Some(&self.calls.get(key)?.call)
    }

    fn snapshot(&self, now: Time, call: &Call, scope: Scope, host: &dyn Host) -> CallSnapshot {
        let epoch = self.environment.settings.epoch;
        CallSnapshot {
            ssrc_reporting: self.environment.settings.ssrc_reporting,
            ..call.snapshot(Moment { now, epoch, host }, scope)
        }
    }
}

/// Of a call that goes on, the party that the message names is shown, unless it is no more.
fn scope_of_delete(call: &Call, remainder: Remainder, delete: &Delete) -> Scope {
    let by_tag = || around(call, delete.to_tag.as_ref().or(delete.from_tag.as_ref())?);
    match remainder {
        Remainder::Nothing => Scope::All,
        Remainder::Some => by_tag().unwrap_or(Scope::Nobody),
    }
}

fn around(call: &Call, tag: &Tag) -> Option<Scope> {
    call.tagged(tag).map(Scope::Around)
}
