//! The SSRCs of one direction.

use std::collections::HashMap;

use super::Error;
use super::position::Position;
use crate::security::Srtp;

/// How many SSRCs may be used with one master key. What is known of them lives as long as the key: an SSRC that was forgotten
/// would start at rollover counter 0 again, which repeats key stream on the way out and lets replays in on the way in.
pub const MAX_SOURCES: usize = 1024;

/// How many of them are searched one by one; those that were used longest ago are in a map.
const RECENT: usize = 20;

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

impl State {
    /// Takes in what else was done with the same master key: what either has used is used.
    pub fn merge(&mut self, other: &State) {
        self.rtcp_index = self.rtcp_index.max(other.rtcp_index);
        for source in &other.sources {
            match self.sources.iter_mut().find(|known| known.ssrc == source.ssrc) {
                Some(known) => {
                    if source.highest() > known.highest() {
                        (known.offset, known.restart) = (source.offset, source.restart);
                    }
                    known.rtp = merged(known.rtp, source.rtp);
                    known.rtcp = merged(known.rtcp, source.rtcp);
                    let further = source
                        .hint
                        .filter(|hint| Some(hint.index) > known.hint.map(|hint| hint.index));
                    known.hint = further.or(known.hint);
                }
                None => self.sources.push(*source),
            }
        }
    }

    /// Goes on after another master key, where that is further, for each SSRC and for SRTCP. What was used with that one is
    /// not used with this one.
    pub fn succeed(&mut self, other: &State) {
        self.rtcp_index = self.rtcp_index.max(other.rtcp_index);
        for source in &other.sources {
            let follower = source.under_new_key();
            match self.sources.iter_mut().find(|known| known.ssrc == source.ssrc) {
                Some(known) if source.highest() > known.highest() => {
                    *known = SourceState {
                        rtp: known.rtp,
                        rtcp: known.rtcp,
                        ..follower
                    };
                }
                Some(_) => {}
                None => self.sources.push(follower),
            }
        }
    }
}

fn merged(one: Option<Position>, other: Option<Position>) -> Option<Position> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.merge(other)),
        (one, other) => one.or(other),
    }
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
    /// Where RTP is, if that is not known from a packet under this key.
    pub hint: Option<Hint>,
    /// Authentic packets that the hint was against, since it was given.
    pub behind_hint: u8,
    /// RTP sent: what is added to sequence numbers, since their source began anew.
    pub offset: u16,
    /// RTP sent: the sequence number that would be next if the source had begun anew.
    pub restart: Option<u16>,
}

/// Where RTP of an SSRC is, as far as one is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Rollover counter and sequence number of the newest packet.
    pub index: u64,
    /// Which indices were used elsewhere with this key, as in [`Position::window`]: those older than it all count as used.
    /// None if packets up to there had another key.
    pub elsewhere: Option<u128>,
}

/// What is known of the SSRCs of one direction.
#[derive(Debug)]
pub(super) struct Sources {
    recent: Vec<Source>,
    older: HashMap<u32, SourceState>,
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
            recent: Vec::with_capacity(RECENT),
            older: HashMap::new(),
            clock: 0,
        }
    }

    /// More than [`MAX_SOURCES`] cannot be restored.
    pub(super) fn restore(states: impl IntoIterator<Item = SourceState>) -> Sources {
        let mut sources = Sources::new();
        for state in states {
            if let Ok(source) = sources.of(state.ssrc) {
                *source = state;
            }
        }
        sources
    }

    pub(super) fn states(&self) -> Vec<SourceState> {
        let mut recent: Vec<&Source> = self.recent.iter().collect();
        recent.sort_by_key(|source| source.used);
        let recent = recent.into_iter().map(|source| source.state);
        self.older.values().copied().chain(recent).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }

    /// Whether RTP of any has come under the key.
    pub(super) fn have_rtp(&self) -> bool {
        let recent = self.recent.iter().map(|source| &source.state);
        let mut all = recent.chain(self.older.values());
        all.any(|source| source.rtp.is_some())
    }

    /// What is known of an SSRC. It does not count as used.
    pub(super) fn peek(&self, ssrc: u32) -> SourceState {
        let recent = self.recent.iter().find(|source| source.state.ssrc == ssrc);
        let known = recent.map(|source| source.state);
        known
            .or_else(|| self.older.get(&ssrc).copied())
            .unwrap_or(SourceState::new(ssrc))
    }

    /// The place of an SSRC, new if need be: to be asked for only with a packet that is authentic or our own.
    pub(super) fn of(&mut self, ssrc: u32) -> Result<&mut SourceState, Error> {
        self.clock += 1;
        let place = match self.recent.iter().position(|source| source.state.ssrc == ssrc) {
            Some(place) => place,
            None => self.make_recent(ssrc)?,
        };
        let source = &mut self.recent[place];
        source.used = self.clock;
        Ok(&mut source.state)
    }

    /// What was learned under an old key is only a hint under a new one.
    pub(super) fn forget_windows(&mut self) {
        let recent = self.recent.iter_mut().map(|source| &mut source.state);
        for state in recent.chain(self.older.values_mut()) {
            *state = state.under_new_key();
        }
    }

    fn make_recent(&mut self, ssrc: u32) -> Result<usize, Error> {
        let state = match self.older.remove(&ssrc) {
            Some(state) => state,
            None if self.len() >= MAX_SOURCES => return Err(Error::Exhausted),
            None => SourceState::new(ssrc),
        };
        let source = Source { state, used: 0 };
        if self.recent.len() < RECENT {
            self.recent.push(source);
            return Ok(self.recent.len() - 1);
        }
        let places = self.recent.iter().enumerate();
        let oldest = places.min_by_key(|(_, source)| source.used);
        let place = oldest.map_or(0, |(place, _)| place);
        let before = std::mem::replace(&mut self.recent[place], source);
        self.older.insert(before.state.ssrc, before.state);
        Ok(place)
    }
}

impl SourceState {
    fn new(ssrc: u32) -> SourceState {
        SourceState {
            ssrc,
            rtp: None,
            rtcp: None,
            hint: None,
            behind_hint: 0,
            offset: 0,
            restart: None,
        }
    }

    /// The index of RTP that the next ones are near to.
    pub(super) fn highest(&self) -> Option<u64> {
        let hint = self.hint.map(|hint| hint.index);
        hint.max(self.rtp.map(|position| position.highest))
    }

    /// What is known of it under another key: where it is.
    fn under_new_key(self) -> SourceState {
        SourceState {
            hint: self.highest().map(|index| Hint {
                index,
                elsewhere: None,
            }),
            behind_hint: 0,
            rtp: None,
            rtcp: None,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forgotten() {
        let mut sources = Sources::new();
        let count = u32::try_from(MAX_SOURCES).unwrap();
        for ssrc in 0..count {
            sources.of(ssrc).unwrap().rtp = Some(Position::at(u64::from(ssrc)));
        }
        assert_eq!((sources.recent.len(), sources.len()), (RECENT, MAX_SOURCES));
        assert_eq!(sources.of(count).err(), Some(Error::Exhausted));
        for ssrc in [0, 500, count - 1] {
            let there = Some(Position::at(u64::from(ssrc)));
            assert_eq!(sources.peek(ssrc).rtp, there);
            assert_eq!(sources.of(ssrc).unwrap().rtp, there);
        }
        assert_eq!((sources.recent.len(), sources.len()), (RECENT, MAX_SOURCES));
        assert_eq!(sources.states().last().unwrap().ssrc, count - 1);
        assert_eq!(Sources::restore(sources.states()).len(), MAX_SOURCES);
    }
}
