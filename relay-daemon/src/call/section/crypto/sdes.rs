//! Keys in the SDP (RFC 4568): what a party offers, what it is offered, and what comes of it.

use crate::call::command::SdesOptions;
use crate::call::section::random::Random;
use crate::sdp::{self, MediaSection};
use crate::security::{MasterKey, SessionParameters, Srtp, SrtpKeys, Suite};

use super::line::{Line, mirrored};

/// SDES with one party, in one media section.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Sdes {
    /// What the party offered last, as far as it may be answered; then the one that was, or the one that it answered with.
    theirs: Vec<Line>,
    /// Suites that its newest offer is answered with before all others.
    preferred: Vec<Suite>,
    /// What the party was offered last.
    offered: Vec<Line>,
    /// What the party was told last, offer or answer, as far as it has not chosen otherwise: it keeps its key.
    told: Vec<Line>,
    /// The suite in use.
    agreed: Option<Suite>,
    /// That of the first line of the newest offer or answer to the party, or of the one that it chose instead of DTLS. Nothing that
    /// came of DTLS, or of doing without encryption, changes it.
    first: Option<Suite>,
}

impl Sdes {
    /// The party makes an offer. Tells whether there are lines in it that we can use; if there are none, those before count
    /// on. If none of its suites may be used, its first one is taken all the same: it could not be answered otherwise.
    pub(in crate::call) fn offers(&mut self, section: &MediaSection, options: &SdesOptions) -> bool {
        self.preferred.clone_from(&options.preferred);
        let lines: Vec<Line> = section.crypto.iter().filter_map(Line::parse).collect();
        let Some(first) = lines.first() else {
            return false;
        };
        if !self.told.is_empty() {
            let is_known = |ours: &&Line| ours.tag == first.tag && ours.srtp.suite() == first.srtp.suite();
            self.first = self.told.iter().find(is_known).map(|line| line.srtp.suite());
        }
        let allowed = |line: &&Line| options.allows(line.srtp.suite());
        self.theirs = match lines.iter().any(|line| allowed(&line)) {
            true => lines.iter().filter(allowed).cloned().collect(),
            false => lines.into_iter().take(1).collect(),
        };
        true
    }

    /// Whether the party has ever sent lines that we can use.
    pub(in crate::call) fn is_offered(&self) -> bool {
        !self.theirs.is_empty()
    }

    /// What the party protects its media with: what it answered, or what of its offer was taken.
    pub(in crate::call) fn far(&self) -> Option<&Srtp> {
        self.theirs.first().map(|line| &line.srtp)
    }

    /// What is known of encryption with the party, once there is none.
    pub(in crate::call) fn forgotten(&self) -> Sdes {
        Sdes {
            first: self.first,
            ..Sdes::default()
        }
    }

    /// Keys are agreed on by DTLS: the suite that was told stays.
    pub(in crate::call) fn keep_suite(&mut self, suite: Option<Suite>) {
        self.first = suite;
    }

    /// Makes an offer to the party: first what the sender of the offer offers, if it does SDES, with the same keys, so that the
    /// media can pass unchanged; then what the party knows already, with the keys that it knows; then all other suites. Tells whether
    /// there is anything to offer.
    pub(in crate::call) fn make_offer(
        &mut self,
        sender: Option<&Sdes>,
        options: &SdesOptions,
        random: Random<'_>,
    ) -> bool {
        let copied = sender.map(|sender| sender.theirs.as_slice()).unwrap_or_default();
        let copied = copied.iter().filter(|line| options.allows(line.srtp.suite()));
        let mut lines: Vec<Line> = copied.cloned().collect();
        let mut tag = highest_tag(lines.iter().map(|line| line.tag));
        let is_new = |lines: &[Line], suite| !lines.iter().any(|line| line.srtp.suite() == suite);
        let apply = |line: &mut Line| options.parameters.apply(&mut line.srtp.parameters);
        for line in &mut lines {
            line.is_copied = true;
            line.srtp.parameters = mirrored(line.srtp.parameters);
            apply(line);
        }
        for mut known in std::mem::take(&mut self.told) {
            if is_new(&lines, known.srtp.suite()) {
                tag = known.tag.max(tag.wrapping_add(1));
                known.tag = tag;
                lines.push(known);
            }
        }
        if !options.no_new {
            let new: Vec<Suite> = Suite::ALL
                .into_iter()
                .filter(|suite| options.allows(*suite) && is_new(&lines, *suite))
                .collect();
            let mut keys = fresh_keys(random);
            for suite in new {
                tag = tag.wrapping_add(1);
                let srtp = Srtp::new(keys(suite));
                let mut line = Line {
                    tag,
                    srtp,
                    is_copied: false,
                };
                apply(&mut line);
                lines.push(line);
            }
        }
        let place = |line: &Line| options.order.iter().position(|suite| *suite == line.srtp.suite());
        lines.sort_by_key(|line| place(line).unwrap_or(usize::MAX));
        self.offered.clone_from(&lines);
        self.told = lines;
        let is_offered = |suite: &Suite| self.told.iter().any(|line| line.srtp.suite() == *suite);
        let first = self.told.first().map(|line| line.srtp.suite());
        self.first = self.first.filter(is_offered).or(first);
        !self.told.is_empty()
    }

    /// The party answers the newest offer. Tells whether there are lines in the answer that we can use, and what comes of
    /// them, if the party takes something of what was offered.
    pub(in crate::call) fn answers(&mut self, section: &MediaSection) -> (bool, Option<SrtpKeys>) {
        let lines: Vec<Line> = section.crypto.iter().filter_map(Line::parse).collect();
        let Some(first) = lines.first() else {
            return (false, None);
        };
        self.told
            .retain(|ours| ours.tag == first.tag && ours.srtp.suite() == first.srtp.suite());
        self.first = self.told.first().map(|line| line.srtp.suite());
        self.theirs = vec![first.clone()];
        let keys = lines.into_iter().find_map(|theirs| {
            let same_suite = |ours: &&Line| ours.srtp.suite() == theirs.srtp.suite();
            let ours = self
                .offered
                .iter()
                .filter(same_suite)
                .find(|ours| ours.tag == theirs.tag)
                .or_else(|| self.offered.iter().find(same_suite))?;
            Some(SrtpKeys {
                inbound: theirs.srtp,
                outbound: ours.srtp.clone(),
                is_copied: ours.is_copied,
            })
        });
        self.agreed = keys.as_ref().map(|keys| keys.outbound.suite());
        (true, keys)
    }

    /// Answers the party's newest offer. `far` is what the other side protects its media with: if the party offers that
    /// suite, it is told the same key, so that the media can pass unchanged. `keep_suite` is for calls with such keys on both
    /// sides: towards one without, the reference looks anew which suite comes first. None if nothing was offered.
    pub(in crate::call) fn make_answer(
        &mut self,
        far: Option<&Srtp>,
        keep_suite: bool,
        random: Random<'_>,
    ) -> Option<SrtpKeys> {
        let keep_suite = keep_suite && far.is_some();
        let offered = |suite| self.theirs.iter().find(|line| line.srtp.suite() == suite);
        let kept = self.agreed.filter(|_| keep_suite);
        let chosen = self
            .preferred
            .iter()
            .find_map(|suite| offered(*suite))
            .or_else(|| offered(kept?))
            .or_else(|| offered(far?.suite()))
            .or(self.theirs.first())?
            .clone();
        let usable = |ours: &&Srtp| ours.suite() == chosen.srtp.suite();
        let known = self
            .told
            .iter()
            .filter(|told| keep_suite || told.tag == chosen.tag)
            .map(|told| (&told.srtp, told.is_copied))
            .find(|(told, _)| usable(told));
        let parameters = mirrored(chosen.srtp.parameters);
        let copied = far
            .filter(usable)
            .filter(|far| mirrored(far.parameters) == parameters)
            .map(|far| (far, true));
        let known = known.or(copied);
        let is_copied = known.is_some_and(|(_, is_copied)| is_copied);
        let outbound = match known {
            Some((ours, _)) => Srtp {
                parameters: mirrored(ours.parameters),
                ..ours.clone()
            },
            None => fresh(chosen.srtp.suite(), parameters, random),
        };
        let keys = SrtpKeys {
            inbound: chosen.srtp.clone(),
            outbound: outbound.clone(),
            is_copied,
        };
        self.agreed = Some(outbound.suite());
        self.first = self.agreed;
        self.told = vec![Line {
            tag: chosen.tag,
            srtp: outbound,
            is_copied,
        }];
        self.theirs = vec![chosen];
        Some(keys)
    }

    /// Whether this line of the party's counts. They all do as long as none was answered or could be used here.
    pub(in crate::call) fn has_line(&self, line: &sdp::Crypto) -> bool {
        self.theirs.is_empty() || Line::parse(line).is_some_and(|line| self.theirs.contains(&line))
    }

    /// The party is answered otherwise.
    pub(in crate::call) fn tells_nothing(&mut self) {
        self.told.clear();
    }

    /// The suite of the first line of the newest offer or answer to the party that had any, or of the one that it chose.
    pub(in crate::call) fn told_suite(&self) -> Option<Suite> {
        self.first
    }

    /// The lines of the newest offer or answer to the party.
    pub(in crate::call) fn text(&self, options: &SdesOptions) -> Vec<sdp::Crypto> {
        self.told.iter().map(|line| line.text(options)).collect()
    }
}

fn highest_tag(tags: impl Iterator<Item = u32>) -> u32 {
    tags.max().unwrap_or(0)
}

fn fresh(suite: Suite, parameters: SessionParameters, random: Random<'_>) -> Srtp {
    let key = fresh_keys(random)(suite);
    Srtp {
        parameters,
        ..Srtp::new(key)
    }
}

/// Makes keys, at most one for each suite, for one request of random bytes.
fn fresh_keys(random: Random<'_>) -> impl FnMut(Suite) -> MasterKey {
    let mut bytes = [[0; MasterKey::MAX_LENGTH]; Suite::ALL.len()];
    random(bytes.as_flattened_mut());
    move |suite| MasterKey::cut(suite, bytes[suite as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::section::crypto::testing::{counting, section};
    use crate::security::SuiteSet;

    const KEY_A: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    const KEY_B: &str = "PS1uQCVeeCFCanVmcjkpPCxcIXVzZXJzZGF0YTEy";
    const KEY_C: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    fn crypto(lines: &[(u32, &str, &str)]) -> MediaSection {
        let lines = lines
            .iter()
            .map(|(tag, suite, key)| format!("a=crypto:{tag} {suite} inline:{key}\r\n"));
        section("RTP/SAVP", &lines.collect::<String>())
    }

    fn only(suites: &[Suite]) -> SdesOptions {
        SdesOptions {
            allowed: Some(suites.iter().copied().collect::<SuiteSet>()),
            ..SdesOptions::default()
        }
    }

    /// Tag, suite and key of each line.
    fn summary(lines: &[sdp::Crypto]) -> Vec<(u32, String, String)> {
        let parts = |line: &sdp::Crypto| {
            let key = line.key.strip_prefix("inline:").unwrap_or_default();
            (line.tag, line.suite.to_string(), key.to_owned())
        };
        lines.iter().map(parts).collect()
    }

    fn line(tag: u32, suite: &str, key: &str) -> (u32, String, String) {
        (tag, suite.to_owned(), key.to_owned())
    }

    const S80: &str = "AES_CM_128_HMAC_SHA1_80";
    const S32: &str = "AES_CM_128_HMAC_SHA1_32";

    #[test]
    fn media_can_pass_unchanged_where_both_sides_take_one_suite() {
        let (mut caller, mut callee) = (Sdes::default(), Sdes::default());
        let options = SdesOptions::default();
        caller.offers(&crypto(&[(1, S80, KEY_A), (2, S32, KEY_B)]), &options);
        assert!(callee.make_offer(Some(&caller), &options, &mut counting()));
        let offer = summary(&callee.text(&options));
        assert_eq!(offer[..2], [line(1, S80, KEY_A), line(2, S32, KEY_B)]);
        assert_eq!(offer.len(), 12);
        assert_eq!(offer.last().unwrap().0, 12);
        let far = callee.answers(&crypto(&[(2, S32, KEY_C)])).1.unwrap();
        let near = caller
            .make_answer(Some(&far.inbound), false, &mut counting())
            .unwrap();
        assert_eq!(summary(&caller.text(&options)), [line(2, S32, KEY_C)]);
        assert_eq!((near.inbound, near.outbound), (far.outbound, far.inbound));
    }

    #[test]
    fn the_first_suite_is_answered_if_the_other_side_has_none() {
        let mut caller = Sdes::default();
        caller.offers(
            &crypto(&[(4, S32, KEY_A), (5, S80, KEY_B)]),
            &SdesOptions::default(),
        );
        let keys = caller.make_answer(None, false, &mut counting()).unwrap();
        assert_eq!(keys.outbound.suite(), Suite::AesCm128HmacSha1_32);
        assert_ne!(keys.outbound.key, keys.inbound.key);
        let again = caller.make_answer(None, false, &mut counting()).unwrap();
        assert_eq!(again, keys, "a repeated answer changes nothing");
    }

    #[test]
    fn a_suite_is_kept_only_if_asked_for() {
        let options = SdesOptions::default();
        let far = Line::parse(&crypto(&[(1, S32, KEY_C)]).crypto[0]).unwrap().srtp;
        for (keep, far, suite, tag) in [
            (false, Some(&far), S32, 1),
            (true, Some(&far), S80, 2),
            (true, None, S32, 1),
        ] {
            let mut caller = Sdes::default();
            caller.offers(&crypto(&[(1, S80, KEY_A)]), &options);
            let first = caller.make_answer(None, false, &mut counting()).unwrap();
            caller.offers(&crypto(&[(1, S32, KEY_B), (2, S80, KEY_A)]), &options);
            let second = caller.make_answer(far, keep, &mut counting()).unwrap();
            let text = summary(&caller.text(&options));
            assert_eq!((text[0].0, &*text[0].1), (tag, suite));
            assert_eq!(second.outbound == first.outbound, suite == S80);
        }
    }

    #[test]
    fn suites_that_may_not_be_used_are_answered_if_there_are_no_others() {
        let mut caller = Sdes::default();
        let offer = crypto(&[(1, S80, KEY_A), (2, S32, KEY_B)]);
        caller.offers(&offer, &only(&[Suite::AesCm128HmacSha1_32]));
        let keys = caller.make_answer(None, false, &mut counting()).unwrap();
        assert_eq!(keys.outbound.suite(), Suite::AesCm128HmacSha1_32);
        let mut caller = Sdes::default();
        caller.offers(&offer, &only(&[Suite::AeadAes128Gcm]));
        let keys = caller.make_answer(None, false, &mut counting()).unwrap();
        assert_eq!(keys.outbound.suite(), Suite::AesCm128HmacSha1_80);
    }

    #[test]
    fn the_offerers_preference_counts_before_what_the_other_side_took() {
        let mut caller = Sdes::default();
        let options = SdesOptions {
            preferred: vec![Suite::AeadAes256Gcm, Suite::AesCm128HmacSha1_32],
            ..SdesOptions::default()
        };
        caller.offers(&crypto(&[(1, S80, KEY_A), (2, S32, KEY_B)]), &options);
        let far = Line::parse(&crypto(&[(1, S80, KEY_C)]).crypto[0]).unwrap().srtp;
        let keys = caller.make_answer(Some(&far), false, &mut counting()).unwrap();
        assert_eq!(keys.outbound.suite(), Suite::AesCm128HmacSha1_32);
    }

    #[test]
    fn what_is_in_use_keeps_its_key() {
        let (caller, mut callee) = (Sdes::default(), Sdes::default());
        let options = SdesOptions::default();
        let only = only(&[Suite::AesCm128HmacSha1_80]);
        let mut random = counting();
        callee.make_offer(Some(&caller), &only, &mut random);
        let first = summary(&callee.text(&options));
        callee.make_offer(Some(&caller), &only, &mut random);
        assert_eq!(summary(&callee.text(&options)), first, "a repeated offer");
        callee.answers(&crypto(&[(1, S80, KEY_C)])).1.unwrap();
        callee.make_offer(Some(&caller), &options, &mut random);
        let second = summary(&callee.text(&options));
        assert_eq!(second[0], first[0]);
        assert_eq!(second.len(), 12);
        callee.make_offer(Some(&caller), &options, &mut random);
        let third = summary(&callee.text(&options));
        assert_eq!(third, second, "it has not answered otherwise");
    }

    #[test]
    fn every_device_of_a_fork_may_take_another_suite() {
        let (caller, mut callee) = (Sdes::default(), Sdes::default());
        callee.make_offer(Some(&caller), &SdesOptions::default(), &mut counting());
        let first = callee.answers(&crypto(&[(7, S80, KEY_A)])).1.unwrap();
        let second = callee.answers(&crypto(&[(8, S32, KEY_B)])).1.unwrap();
        assert_ne!(first.outbound.key, second.outbound.key);
        assert_eq!(second.outbound.suite(), Suite::AesCm128HmacSha1_32);
        assert_eq!(callee.answers(&crypto(&[(1, "FOO", KEY_A)])), (false, None));
    }

    #[test]
    fn parameters_must_agree_for_a_key_to_be_passed_on() {
        let mut caller = Sdes::default();
        let sdp = format!("a=crypto:1 {S80} inline:{KEY_A} UNENCRYPTED_SRTCP\r\n");
        caller.offers(&section("RTP/SAVP", &sdp), &SdesOptions::default());
        let far = Line::parse(&crypto(&[(1, S80, KEY_C)]).crypto[0]).unwrap().srtp;
        let keys = caller.make_answer(Some(&far), false, &mut counting()).unwrap();
        assert_ne!(keys.outbound.key, far.key);
        assert!(keys.outbound.parameters.unencrypted_srtcp);
    }

    #[test]
    fn order_changes_no_tags() {
        let mut callee = Sdes::default();
        let options = SdesOptions {
            order: vec![Suite::AesCm128HmacSha1_32, Suite::AesCm128HmacSha1_80],
            ..only(&[
                Suite::AesCm128HmacSha1_80,
                Suite::AesCm128HmacSha1_32,
                Suite::AeadAes128Gcm,
            ])
        };
        callee.make_offer(Some(&Sdes::default()), &options, &mut counting());
        let tags: Vec<u32> = callee.text(&options).iter().map(|line| line.tag).collect();
        assert_eq!(tags, [3, 2, 1]);
    }

    /// Tags and suites of what a party is offered.
    fn tags(callee: &Sdes) -> Vec<(u32, Suite)> {
        callee
            .told
            .iter()
            .map(|line| (line.tag, line.srtp.suite()))
            .collect()
    }

    #[test]
    fn tags_of_what_may_not_be_offered_on_are_used_again() {
        let mut caller = Sdes::default();
        caller.offers(
            &crypto(&[(1, S80, KEY_A), (7, S32, KEY_B)]),
            &SdesOptions::default(),
        );
        for (suites, expected) in [
            (&[Suite::AeadAes128Gcm][..], &[(1, Suite::AeadAes128Gcm)][..]),
            (
                &[Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm],
                &[(1, Suite::AesCm128HmacSha1_80), (2, Suite::AeadAes128Gcm)],
            ),
            (&[], &[]),
        ] {
            let mut callee = Sdes::default();
            let is_any = callee.make_offer(Some(&caller), &only(suites), &mut counting());
            assert_eq!(tags(&callee), expected);
            assert_eq!(is_any, !expected.is_empty());
        }
    }

    #[test]
    fn what_was_told_keeps_its_tag_where_that_is_the_highest() {
        let (caller, mut callee) = (Sdes::default(), Sdes::default());
        let options = SdesOptions {
            order: vec![Suite::AesCm128HmacSha1_32],
            ..only(&[Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32])
        };
        callee.make_offer(Some(&caller), &options, &mut counting());
        let (c80, c32) = (Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32);
        assert_eq!(tags(&callee), [(2, c32), (1, c80)]);
        callee.make_offer(Some(&caller), &only(&[]), &mut counting());
        assert_eq!(
            tags(&callee),
            [(2, c32), (3, c80)],
            "they are no longer to be chosen"
        );
        let mut caller = Sdes::default();
        caller.offers(&crypto(&[(9, S80, KEY_A)]), &SdesOptions::default());
        callee.make_offer(Some(&caller), &only(&[c80]), &mut counting());
        assert_eq!(tags(&callee), [(9, c80), (10, c32)]);
    }

    #[test]
    fn an_answer_that_takes_nothing_makes_all_keys_new() {
        let options = SdesOptions::default();
        let (caller, mut random) = (Sdes::default(), counting());
        for (answer, kept) in [
            (&[(7, S80, KEY_A)][..], 1),
            (&[(8, S80, KEY_A)], 0),
            (&[(8, S80, KEY_A), (7, S80, KEY_A)], 0),
            (&[(7, S32, KEY_A)], 0),
            (&[], 12),
        ] {
            let mut callee = Sdes::default();
            callee.make_offer(Some(&caller), &options, &mut random);
            let first = summary(&callee.text(&options));
            callee.answers(&crypto(answer));
            callee.make_offer(Some(&caller), &options, &mut random);
            let second = summary(&callee.text(&options));
            let keys: Vec<_> = first.iter().map(|line| &line.2).collect();
            let known = second.iter().filter(|line| keys.contains(&&line.2));
            assert_eq!(known.count(), kept, "{answer:?}");
        }
    }

    #[test]
    fn tags_do_not_run_over() {
        let mut caller = Sdes::default();
        caller.offers(&crypto(&[(u32::MAX, S80, KEY_A)]), &SdesOptions::default());
        let mut callee = Sdes::default();
        callee.make_offer(Some(&caller), &SdesOptions::default(), &mut counting());
        assert_eq!(callee.text(&SdesOptions::default()).len(), 12);
    }
}
