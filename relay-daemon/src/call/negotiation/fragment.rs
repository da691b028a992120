//! Candidates that trickle in after the SDP (RFC 8840).

use std::collections::VecDeque;
use std::time::Duration;

use crate::call::command::{CallId, Fragment, Tag};
use crate::call::model::media::Media;
use crate::call::model::state::Party;
use crate::clock::Time;
use crate::sdp::{Description, SdpError};

/// How long a fragment waits for the offer that it belongs to.
const PATIENCE: Duration = Duration::from_secs(3);

/// Fragments that wait at most; the oldest give way.
const MAX_WAITING: usize = 1000;

/// What stands above a fragment that starts with attributes, to make it an SDP.
const HEADING: &str = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n";

/// Fragments that came before the offers that they belong to.
#[derive(Debug, Default)]
pub(in crate::call) struct Fragments(VecDeque<Waiting>);

#[derive(Debug)]
struct Waiting {
    since: Time,
    call_id: CallId,
    sender: Tag,
    description: Description,
}

impl Fragments {
    /// Keeps a fragment until its offer comes, or until it is too old.
    pub(in crate::call) fn keep(&mut self, now: Time, fragment: &Fragment, description: Description) {
        self.forget_old(now);
        if self.0.len() == MAX_WAITING {
            self.0.pop_front();
        }
        self.0.push_back(Waiting {
            since: now,
            call_id: fragment.call_id.clone(),
            sender: fragment.from_tag.clone(),
            description,
        });
    }

    /// Takes out what a party sent before its offer or answer, in the order in which it came.
    pub(in crate::call) fn take(&mut self, now: Time, call_id: &CallId, sender: &Tag) -> Vec<Description> {
        self.forget_old(now);
        let mut taken = Vec::new();
        for fragment in std::mem::take(&mut self.0) {
            match fragment.call_id == *call_id && fragment.sender == *sender {
                true => taken.push(fragment.description),
                false => self.0.push_back(fragment),
            }
        }
        taken
    }

    fn forget_old(&mut self, now: Time) {
        let is_old = |fragment: &Waiting| now.since(fragment.since) > PATIENCE;
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
    }
}

/// Parses a fragment: an SDP, or the part of one that starts with attributes or media.
pub(in crate::call) fn parse(text: &str) -> Result<Description, SdpError> {
    match text.starts_with("v=") {
        true => Description::parse(text),
        false => Description::parse(&format!("{HEADING}{text}")),
    }
}

impl Party {
    /// Takes in the candidates of a fragment: sections are told by their `a=mid`, else by their place.
    pub(in crate::call) fn add_fragment(&mut self, fragment: &Description) {
        for (position, section) in fragment.media.iter().enumerate() {
            let has_mid = |media: &Media| {
                let mid = media.section().and_then(|section| section.mid.as_ref());
                mid.is_some() && mid == section.mid.as_ref()
            };
            let by_mid = self.media.iter().position(has_mid);
            let index = by_mid.unwrap_or_else(|| self.media_index(position));
            if let Some(media) = self.media.get_mut(index) {
                media.ice.add_fragment(section);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAGMENT: &str = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
                            a=candidate:1 1 UDP 2130706431 198.51.100.31 11798 typ host\r\na=end-of-candidates\r\n";

    fn fragment(call: &str, from: &str) -> Fragment {
        Fragment {
            call_id: call.into(),
            from_tag: from.into(),
            sdp: FRAGMENT.to_owned(),
        }
    }

    #[test]
    fn a_fragment_is_an_sdp_without_its_beginning() {
        let section = &parse(FRAGMENT).unwrap().media[0];
        assert_eq!(section.ice.ufrag.as_deref(), Some("8hhY"));
        assert_eq!(section.ice.candidates.len(), 1);
        assert!(section.ice.end_of_candidates);
        assert!(parse(&format!("{HEADING}{FRAGMENT}")).is_ok());
        assert!(parse("no fragment").is_err());
    }

    #[test]
    fn fragments_wait_for_their_sender() {
        let (mut fragments, now) = (Fragments::default(), Time(0));
        for (call, from) in [("1", "a"), ("1", "b"), ("2", "a"), ("1", "a")] {
            fragments.keep(now, &fragment(call, from), parse(FRAGMENT).unwrap());
        }
        assert_eq!(fragments.take(now, &"1".into(), &"a".into()).len(), 2);
        assert_eq!(fragments.take(now, &"1".into(), &"a".into()).len(), 0);
        assert_eq!(fragments.take(now, &"2".into(), &"a".into()).len(), 1);
        let later = now + PATIENCE + Duration::from_millis(1);
        assert_eq!(fragments.take(later, &"1".into(), &"b".into()).len(), 0);
    }

    #[test]
    fn no_more_than_so_many_wait() {
        let mut fragments = Fragments::default();
        for number in 0..2 * MAX_WAITING {
            let fragment = fragment(&number.to_string(), "a");
            fragments.keep(Time(0), &fragment, Description::default());
        }
        assert_eq!(fragments.0.len(), MAX_WAITING);
        assert_eq!(fragments.take(Time(0), &"0".into(), &"a".into()).len(), 0);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "(v=0\r\n)?([a-z]=[ -~]{0,40}\r\n){0,8}") {
            let _ = parse(&text);
        }
    }
}
