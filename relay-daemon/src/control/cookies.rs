//! The cookie cache: a request that comes again gets the reply that the first one got.
//!
//! The key is the cookie alone, not the sender and not the body. Entries live in two generations; every 30
//! seconds the older one goes, so an entry lives for 30 to 60 seconds. A generation that is full goes early.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Time;

const ROTATION: Duration = Duration::from_secs(30);
const LIMITS: Limits = Limits {
    entries: 100_000,
    bytes: 64 << 20,
};

/// What a cookie is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: it is now in work.
    New,
    /// Its request is being worked on.
    InWork,
    /// Its request got a reply of so many bytes ([`Cookies::reply`]).
    Answered(usize),
}

/// The cache.
#[derive(Debug)]
pub(super) struct Cookies {
    young: Generation,
    old: Generation,
    rotated: Time,
    limits: Limits,
}

/// How much one generation may hold.
#[derive(Clone, Copy, Debug)]
struct Limits {
    entries: usize,
    /// Of cookies and replies together.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Generation {
    entries: HashMap<Box<[u8]>, State>,
    bytes: usize,
}

#[derive(Debug)]
enum State {
    InWork,
    Answered(Vec<u8>),
}

impl Default for Cookies {
    fn default() -> Cookies {
        Cookies {
            young: Generation::default(),
            old: Generation::default(),
            rotated: Time::default(),
            limits: LIMITS,
        }
    }
}

impl Cookies {
    /// Looks a cookie up, and takes it into work if it is new.
    pub(super) fn begin(&mut self, now: Time, cookie: &[u8]) -> Known {
        self.age(now);
        match self.find(cookie) {
            Some(State::Answered(reply)) => Known::Answered(reply.len()),
            Some(State::InWork) => Known::InWork,
            None => {
                self.store(cookie, State::InWork);
                Known::New
            }
        }
    }

    /// Keeps the reply to a cookie in work.
    pub(super) fn finish(&mut self, cookie: &[u8], reply: Vec<u8>) {
        self.old.remove(cookie);
        self.store(cookie, State::Answered(reply));
    }

    /// The reply to a cookie.
    pub(super) fn reply(&self, cookie: &[u8]) -> Option<&[u8]> {
        match self.find(cookie)? {
            State::Answered(reply) => Some(reply),
            State::InWork => None,
        }
    }

    fn find(&self, cookie: &[u8]) -> Option<&State> {
        let young = self.young.entries.get(cookie);
        young.or_else(|| self.old.entries.get(cookie))
    }

    fn store(&mut self, cookie: &[u8], state: State) {
        let full = self.young.entries.len() >= self.limits.entries
            || self.young.bytes + size(cookie, &state) > self.limits.bytes;
        if full {
            self.old = std::mem::take(&mut self.young);
            // What it was there does not count any more.
            self.old.remove(cookie);
        }
        self.young.put(cookie, state);
    }

    fn age(&mut self, now: Time) {
        let since = now.since(self.rotated);
        if since < ROTATION {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        if since >= 2 * ROTATION {
            self.old = Generation::default();
        }
        self.rotated = now;
    }
}

impl Generation {
    /// In the place of what is there, if there is something.
    fn put(&mut self, cookie: &[u8], state: State) {
        self.bytes += size(cookie, &state);
        match self.entries.get_mut(cookie) {
            Some(known) => {
                self.bytes -= size(cookie, known);
                *known = state;
            }
            None => drop(self.entries.insert(cookie.into(), state)),
        }
    }

    fn remove(&mut self, cookie: &[u8]) {
        if let Some(state) = self.entries.remove(cookie) {
            self.bytes -= size(cookie, &state);
        }
    }
}

fn size(cookie: &[u8], state: &State) -> usize {
    let reply = match state {
        State::InWork => 0,
        State::Answered(reply) => reply.len(),
    };
    cookie.len() + reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000_000)
    }

    fn answered(cookies: &mut Cookies, now: Time, cookie: &[u8]) {
        assert_eq!(cookies.begin(now, cookie), Known::New);
        cookies.finish(cookie, b"reply".to_vec());
        assert_eq!(cookies.reply(cookie), Some(&b"reply"[..]));
    }

    #[test]
    fn a_repeated_cookie_gets_the_stored_reply() {
        let mut cookies = Cookies::default();
        answered(&mut cookies, at(1000), b"a");
        assert_eq!(cookies.begin(at(1000), b"a"), Known::Answered(5));
        assert_eq!(cookies.begin(at(1000), b"b"), Known::New);
    }

    #[test]
    fn a_cookie_in_work_is_neither_new_nor_answered() {
        let mut cookies = Cookies::default();
        assert_eq!(cookies.begin(at(5), b"a"), Known::New);
        assert_eq!(cookies.begin(at(5), b"a"), Known::InWork);
        assert_eq!(cookies.begin(at(36), b"a"), Known::InWork);
        cookies.finish(b"a", b"late".to_vec());
        assert_eq!(cookies.begin(at(36), b"a"), Known::Answered(4));
        assert_eq!(cookies.reply(b"a"), Some(&b"late"[..]));
    }

    #[test]
    fn an_entry_lives_for_30_to_60_seconds() {
        let mut cookies = Cookies::default();
        answered(&mut cookies, at(1000), b"first");
        answered(&mut cookies, at(1029), b"second");
        assert_eq!(cookies.begin(at(1030), b"first"), Known::Answered(5));
        assert_eq!(cookies.begin(at(1059), b"second"), Known::Answered(5));
        assert_eq!(cookies.begin(at(1060), b"first"), Known::New);
        assert_eq!(cookies.begin(at(1060), b"second"), Known::New);
    }

    #[test]
    fn a_long_silence_forgets_everything() {
        let mut cookies = Cookies::default();
        answered(&mut cookies, at(1000), b"a");
        assert_eq!(cookies.begin(at(5000), b"a"), Known::New);
    }

    #[test]
    fn memory_is_bounded_by_count_and_by_bytes() {
        for limits in [
            Limits {
                entries: 10,
                bytes: usize::MAX,
            },
            Limits {
                entries: usize::MAX,
                bytes: 10 * (b"0000".len() + b"reply".len()),
            },
        ] {
            let mut cookies = Cookies {
                limits,
                ..Cookies::default()
            };
            for number in 0..1000 {
                answered(&mut cookies, at(1), format!("{number:04}").as_bytes());
                assert!(cookies.young.entries.len() + cookies.old.entries.len() <= 20);
                assert!(cookies.young.bytes + cookies.old.bytes <= 20 * 9);
            }
            // The newest ones are still there.
            assert_eq!(cookies.begin(at(1), b"0999"), Known::Answered(5));
            assert_eq!(cookies.begin(at(1), b"0990"), Known::Answered(5));
        }
    }
}
