//! The SSRCs of one direction.

use super::position::Position;
use crate::security::Srtp;

/// How many SSRCs are known at once.
pub const MAX_SOURCES: usize = 20;

/// All that one direction of SRTP is, for another process to go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The keys.
    pub srtp: Srtp,
    /// What is known of each SSRC, that which was used last at the end.
    pub sources: Vec<SourceState>,
    /// The index of the next SRTCP packet sent; for what is received it says nothing.
    pub rtcp_index: u32,
}

/// What is known of an SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// The SSRC.
    pub ssrc: u32,
    /// RTP: none before its first packet.
    pub rtp: Option<Position>,
    /// RTCP received: none before its first packet.
    pub rtcp: Option<Position>,
    /// Where RTP is said to be by now, or was under an earlier key: not known from a packet, so nothing is too old for it.
    pub hint: Option<u64>,
}

/// What is known of the SSRCs of one direction.
#[derive(Debug)]
pub(super) struct Sources {
    known: Vec<Source>,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Source {
    state: SourceState,
    used: u64,
}

impl Sources {
    pub(super) fn new() -> Sources {
        Sources {
            known: Vec::with_capacity(MAX_SOURCES),
            clock: 0,
        }
    }

    pub(super) fn restore(states: impl IntoIterator<Item = SourceState>) -> Sources {
        let mut sources = Sources::new();
        for state in states {
            *sources.of(state.ssrc) = state;
        }
        sources
    }

    pub(super) fn states(&self) -> Vec<SourceState> {
        let mut known: Vec<&Source> = self.known.iter().collect();
        known.sort_by_key(|source| source.used);
        known.into_iter().map(|source| source.state).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// What is known of an SSRC. It does not count as used.
    pub(super) fn peek(&self, ssrc: u32) -> SourceState {
        let known = self.known.iter().find(|source| source.state.ssrc == ssrc);
        known.map_or(SourceState::new(ssrc), |source| source.state)
    }

    /// The place of an SSRC, new if need be: to be asked for only with a packet that is authentic or our own.
    pub(super) fn of(&mut self, ssrc: u32) -> &mut SourceState {
        self.clock += 1;
        let place = match self.known.iter().position(|source| source.state.ssrc == ssrc) {
            Some(place) => place,
            None => self.make_room(ssrc),
        };
        let source = &mut self.known[place];
        source.used = self.clock;
        &mut source.state
    }

    /// What was learned under an old key is only a hint under a new one.
    pub(super) fn forget_windows(&mut self) {
        for Source { state, .. } in &mut self.known {
            state.hint = state.rtp.map(|position| position.highest).or(state.hint);
            (state.rtp, state.rtcp) = (None, None);
        }
    }

    fn make_room(&mut self, ssrc: u32) -> usize {
        let fresh = Source {
            state: SourceState::new(ssrc),
            used: 0,
        };
        let places = self.known.iter().enumerate();
        let oldest = places
            .min_by_key(|(_, source)| source.used)
            .map(|(place, _)| place);
        match oldest.filter(|_| self.known.len() == MAX_SOURCES) {
            Some(oldest) => {
                self.known[oldest] = fresh;
                oldest
            }
            None => {
                self.known.push(fresh);
                self.known.len() - 1
            }
        }
    }
}

impl SourceState {
    fn new(ssrc: u32) -> SourceState {
        SourceState {
            ssrc,
            rtp: None,
            rtcp: None,
            hint: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_used_longest_ago_makes_room() {
        let mut sources = Sources::new();
        for ssrc in 0..20 {
            sources.of(ssrc).rtp = Some(Position::at(u64::from(ssrc)));
        }
        sources.of(0);
        sources.of(100);
        assert_eq!(sources.len(), MAX_SOURCES);
        assert_eq!(sources.peek(0).rtp, Some(Position::at(0)));
        assert_eq!(sources.peek(1).rtp, None, "1 was dropped");
        assert_eq!(sources.peek(2).rtp, Some(Position::at(2)));
        assert_eq!(sources.states().last().unwrap().ssrc, 100);
    }
}
