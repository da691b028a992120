//! Keys in the SDP (RFC 4568): what a party offers, what it is offered, and what comes of it.

use crate::call::random::Random;
use crate::sdp::{self, MediaSection};
use crate::security::{MasterKey, SessionParameters, Srtp, SrtpKeys, Suite};

use super::SdesOptions;
use super::line::Line;

/// SDES with one party, in one media section.
#[derive(Clone, Debug, Default)]
pub(super) struct Sdes {
    /// What the party offered last, as far as it may be answered.
    theirs: Vec<Line>,
    /// The highest tag in the party's newest offer.
    highest_tag: u32,
    /// Suites that its newest offer is answered with before all others.
    preferred: Vec<Suite>,
    /// What the party was offered last.
    offered: Vec<Line>,
    /// What is in use.
    agreed: Option<Agreed>,
}

/// The outcome of an offer and an answer.
#[derive(Clone, Debug)]
struct Agreed {
    tag: u32,
    keys: SrtpKeys,
}

impl Sdes {
    /// The party makes an offer. If none of its suites may be used, its first one is taken all the same: it could not be
    /// answered otherwise.
    pub(super) fn offers(&mut self, section: &MediaSection, options: &SdesOptions) {
        let lines: Vec<Line> = section.crypto.iter().filter_map(Line::parse).collect();
        let allowed = |line: &&Line| options.allows(line.srtp.suite());
        self.theirs = match lines.iter().any(|line| allowed(&line)) {
            true => lines.iter().filter(allowed).cloned().collect(),
            false => lines.into_iter().take(1).collect(),
        };
        self.highest_tag = highest_tag(section.crypto.iter().map(|line| line.tag));
        self.preferred.clone_from(&options.preferred);
    }

    /// Whether the party's newest offer can be answered with SDES.
    pub(super) fn is_offered(&self) -> bool {
        !self.theirs.is_empty()
    }

    /// The party speaks without offering SDES.
    pub(super) fn offers_none(&mut self) {
        self.theirs.clear();
        self.highest_tag = 0;
    }

    /// Makes an offer to the party: first what the sender of the offer offers, with the same keys, so that the media can
    /// pass unchanged; then what the party uses already; then all other suites. Tells whether there is anything to offer.
    pub(super) fn make_offer(&mut self, sender: &Sdes, options: &SdesOptions, random: Random<'_>) -> bool {
        let known = self.known();
        let copied = sender
            .theirs
            .iter()
            .filter(|line| options.allows(line.srtp.suite()));
        let mut lines: Vec<Line> = copied.cloned().collect();
        if let (true, Some(agreed)) = (lines.is_empty(), &self.agreed) {
            lines.push(Line {
                tag: agreed.tag,
                srtp: agreed.keys.outbound.clone(),
            });
        }
        let tags = lines.iter().map(|line| line.tag);
        let mut tag = highest_tag(tags).max(sender.highest_tag);
        if !options.no_new {
            let is_new = |suite: &Suite| !lines.iter().any(|line| line.srtp.suite() == *suite);
            let new: Vec<Suite> = Suite::ALL
                .into_iter()
                .filter(|suite| options.allows(*suite) && is_new(suite))
                .collect();
            let mut keys = fresh_keys(random);
            for suite in new {
                tag += 1;
                let known = known.iter().find(|known| known.suite() == suite).cloned();
                let srtp = known.unwrap_or_else(|| Srtp::new(keys(suite)));
                lines.push(Line { tag, srtp });
            }
        }
        for line in &mut lines {
            options.parameters.apply(&mut line.srtp.parameters);
        }
        let place = |line: &Line| options.order.iter().position(|suite| *suite == line.srtp.suite());
        lines.sort_by_key(|line| place(line).unwrap_or(usize::MAX));
        self.offered = lines;
        !self.offered.is_empty()
    }

    /// The party answers the newest offer. None if it takes none of what was offered.
    pub(super) fn answers(&mut self, section: &MediaSection) -> Option<SrtpKeys> {
        let agreed = section.crypto.iter().filter_map(Line::parse).find_map(|theirs| {
            let same_suite = |ours: &&Line| ours.srtp.suite() == theirs.srtp.suite();
            let ours = self
                .offered
                .iter()
                .filter(same_suite)
                .find(|ours| ours.tag == theirs.tag)
                .or_else(|| self.offered.iter().find(same_suite))?;
            Some(Agreed {
                tag: ours.tag,
                keys: SrtpKeys {
                    inbound: theirs.srtp,
                    outbound: ours.srtp.clone(),
                },
            })
        })?;
        let keys = agreed.keys.clone();
        self.agreed = Some(agreed);
        Some(keys)
    }

    /// Answers the party's newest offer. `far` is what the other side protects its media with: if the party offers that
    /// suite, it is told the same key, so that the media can pass unchanged. `keep_suite` is for calls with such keys on both
    /// sides: towards one without, the reference looks anew which suite comes first. None if nothing was offered.
    pub(super) fn make_answer(
        &mut self,
        far: Option<&Srtp>,
        keep_suite: bool,
        random: Random<'_>,
    ) -> Option<SrtpKeys> {
        let keep_suite = keep_suite && far.is_some();
        let offered = |suite| self.theirs.iter().find(|line| line.srtp.suite() == suite);
        let kept = self.agreed.as_ref().filter(|_| keep_suite);
        let chosen = self
            .preferred
            .iter()
            .find_map(|suite| offered(*suite))
            .or_else(|| offered(kept?.keys.outbound.suite()))
            .or_else(|| offered(far?.suite()))
            .or(self.theirs.first())?;
        let usable = |ours: &&Srtp| ours.suite() == chosen.srtp.suite();
        let known = self
            .agreed
            .as_ref()
            .filter(|agreed| keep_suite || agreed.tag == chosen.tag)
            .map(|agreed| &agreed.keys.outbound)
            .filter(usable);
        let parameters = chosen.srtp.parameters;
        let copied = far.filter(usable).filter(|far| far.parameters == parameters);
        let outbound = match known.or(copied) {
            Some(ours) => ours.clone(),
            None => fresh(chosen.srtp.suite(), parameters, random),
        };
        let keys = SrtpKeys {
            inbound: chosen.srtp.clone(),
            outbound,
        };
        self.agreed = Some(Agreed {
            tag: chosen.tag,
            keys: keys.clone(),
        });
        Some(keys)
    }

    /// The lines of the newest offer to the party.
    pub(super) fn offer_text(&self, options: &SdesOptions) -> Vec<sdp::Crypto> {
        self.offered.iter().map(|line| line.text(options)).collect()
    }

    /// The line of the newest answer to the party.
    pub(super) fn answer_text(&self, options: &SdesOptions) -> Vec<sdp::Crypto> {
        let line = self.agreed.as_ref().map(|agreed| Line {
            tag: agreed.tag,
            srtp: agreed.keys.outbound.clone(),
        });
        line.iter().map(|line| line.text(options)).collect()
    }

    /// What the party was told earlier and need not be told otherwise: what is in use, or what it has not answered yet.
    fn known(&self) -> Vec<Srtp> {
        match &self.agreed {
            Some(agreed) => vec![agreed.keys.outbound.clone()],
            None => self.offered.iter().map(|line| line.srtp.clone()).collect(),
        }
    }
}

fn highest_tag(tags: impl Iterator<Item = u32>) -> u32 {
    // An absurdly high one must not make ours run over.
    tags.max().unwrap_or(0).min(u32::MAX / 2)
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
    use crate::call::crypto::testing::{counting, section};
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
            allowed: suites.iter().copied().collect::<SuiteSet>(),
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
        assert!(callee.make_offer(&caller, &options, &mut counting()));
        let offer = summary(&callee.offer_text(&options));
        assert_eq!(offer[..2], [line(1, S80, KEY_A), line(2, S32, KEY_B)]);
        assert_eq!(offer.len(), 12);
        assert_eq!(offer.last().unwrap().0, 12);
        let far = callee.answers(&crypto(&[(2, S32, KEY_C)])).unwrap();
        let near = caller
            .make_answer(Some(&far.inbound), false, &mut counting())
            .unwrap();
        assert_eq!(summary(&caller.answer_text(&options)), [line(2, S32, KEY_C)]);
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
            let text = summary(&caller.answer_text(&options));
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
        callee.make_offer(&caller, &only, &mut random);
        let first = summary(&callee.offer_text(&options));
        callee.make_offer(&caller, &only, &mut random);
        assert_eq!(summary(&callee.offer_text(&options)), first, "a repeated offer");
        callee.answers(&crypto(&[(1, S80, KEY_C)])).unwrap();
        callee.make_offer(&caller, &options, &mut random);
        let second = summary(&callee.offer_text(&options));
        assert_eq!(second[0], first[0]);
        assert_eq!(second.len(), 12);
        callee.make_offer(&caller, &options, &mut random);
        let third = summary(&callee.offer_text(&options));
        assert_eq!(third[0], first[0]);
        assert_ne!(third[1], second[1]);
    }

    #[test]
    fn every_device_of_a_fork_may_take_another_suite() {
        let (caller, mut callee) = (Sdes::default(), Sdes::default());
        callee.make_offer(&caller, &SdesOptions::default(), &mut counting());
        let first = callee.answers(&crypto(&[(7, S80, KEY_A)])).unwrap();
        let second = callee.answers(&crypto(&[(8, S32, KEY_B)])).unwrap();
        assert_ne!(first.outbound.key, second.outbound.key);
        assert_eq!(second.outbound.suite(), Suite::AesCm128HmacSha1_32);
        assert!(callee.answers(&crypto(&[(1, "FOO", KEY_A)])).is_none());
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
        callee.make_offer(&Sdes::default(), &options, &mut counting());
        let tags: Vec<u32> = callee.offer_text(&options).iter().map(|line| line.tag).collect();
        assert_eq!(tags, [3, 2, 1]);
    }

    #[test]
    fn tags_do_not_run_over() {
        let mut caller = Sdes::default();
        caller.offers(&crypto(&[(u32::MAX, S80, KEY_A)]), &SdesOptions::default());
        let mut callee = Sdes::default();
        callee.make_offer(&caller, &SdesOptions::default(), &mut counting());
        assert_eq!(callee.offer_text(&SdesOptions::default()).len(), 12);
    }
}
