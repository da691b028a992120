//! ICE in a session: which stream is on whose transport, and where a party is that was found by checks.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Session;
use crate::clock::Time;
use crate::ice::Route;
use crate::plan::IceState;
use crate::plan::{Learned, PortId, SelectedPair};

/// How a party is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// By what was signalled, and by where its packets come from.
    #[default]
    Learned,
    /// By checks, which have come to this so far.
    Checked(Option<Route>),
}

/// Which agent looks after a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// Index of the stream that has the agent.
    pub(super) section: usize,
    /// 1 for RTP, 2 for RTCP.
    pub(super) component: u8,
}

impl Session {
    /// Finds out which agent looks after which stream.
    pub(super) fn seat_agents(&mut self) {
        for index in 0..self.streams.len() {
            let rtp = self.streams[index].rtp.and_then(|rtp| self.index_of(rtp));
            let seat = Seat {
                section: rtp.unwrap_or(index),
                component: if rtp.is_some() { 2 } else { 1 },
            };
            let has_agent = self.streams[seat.section].agent.is_some();
            self.streams[index].seat = has_agent.then_some(seat);
        }
        self.update_reach();
    }

    /// A datagram that looks like STUN. Says whether there is an agent for it: else it is a datagram as any other.
    pub(super) fn handle_stun(&mut self, now: Time, stream: usize, from: Route, datagram: &[u8]) -> bool {
        let Some(seat) = self.streams[stream].seat else {
            return false;
        };
        if let Some(agent) = &mut self.streams[seat.section].agent
            && agent.handle(now, from.port, from.remote, datagram, &mut self.outbox)
        {
            self.reach_changed(now);
        }
        true
    }

    /// Has agents do what is due.
    pub(super) fn handle_ice_timeouts(&mut self, now: Time) {
        let mut changed = false;
        for agent in self.streams.iter_mut().filter_map(|stream| stream.agent.as_mut()) {
            changed |= agent.handle_timeout(now, &mut self.outbox);
        }
        if changed {
            self.reach_changed(now);
        }
    }

    /// When an agent has something to do.
    pub(super) fn ice_timeout(&self) -> Option<Time> {
        let agents = self.streams.iter().filter_map(|stream| stream.agent.as_ref());
        agents.filter_map(|agent| agent.poll_timeout()).min()
    }

    /// Whether a stream's party may send from there, as far as ICE has a say in it.
    pub(super) fn is_checked(&self, stream: usize, port: PortId, source: SocketAddr) -> bool {
        let route = Route { port, remote: source };
        match self.streams[stream].reach {
            Reach::Learned => true,
            Reach::Checked(Some(selected)) if selected == route => true,
            Reach::Checked(_) => self.has_valid_pair(stream, route),
        }
    }

    /// Whether a pair that works leads there.
    pub(super) fn has_valid_pair(&self, stream: usize, route: Route) -> bool {
        let seat = self.streams[stream].seat;
        let agent = seat.and_then(|seat| self.streams[seat.section].agent.as_ref());
        agent.is_some_and(|agent| agent.accepts(route))
    }

    /// Whether the party has sent signed requests from there.
    pub(super) fn was_requested_from(&self, stream: usize, route: Route) -> bool {
        let seat = self.streams[stream].seat;
        let agent = seat.and_then(|seat| self.streams[seat.section].agent.as_ref());
        agent.is_some_and(|agent| agent.was_requested_from(route))
    }

    /// Pairs came or went.
    fn reach_changed(&mut self, now: Time) {
        if self.update_reach() {
            self.refresh(now);
        }
        self.open_associations();
        self.handle_held();
    }

    /// Takes over what agents know. Says whether that is anything new.
    fn update_reach(&mut self) -> bool {
        let mut changed = false;
        for index in 0..self.streams.len() {
            let seat = self.streams[index].seat;
            let agent = seat.and_then(|seat| Some((seat, self.streams[seat.section].agent.as_ref()?)));
            let (state, reach) = match agent {
                None => (None, Reach::Learned),
                // Who does not answer may not do ICE at all.
                Some((_, agent)) if agent.state() == IceState::New => (Some(IceState::New), Reach::Learned),
                Some((seat, agent)) => (
                    Some(agent.state()),
                    Reach::Checked(agent.selected(seat.component)),
                ),
            };
            let selected = agent.filter(|_| state == Some(IceState::Completed));
            let selected = selected.and_then(|(seat, agent)| {
                let Route { port, remote } = agent.selected(seat.component)?;
                let ufrag = Arc::clone(agent.local_ufrag());
                Some(SelectedPair { ufrag, port, remote })
            });
            let stream = &mut self.streams[index];
            stream.status.publish_ice(state);
            stream.status.publish_selected(selected);
            if stream.reach != reach {
                stream.reach = reach;
                changed = true;
                if let Reach::Checked(route) = reach {
                    stream.status.publish_learned(route.map(|route| Learned {
                        source: route.remote,
                        settled: true,
                    }));
                }
            }
        }
        changed
    }
}
