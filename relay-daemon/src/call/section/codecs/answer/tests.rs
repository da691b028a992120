use crate::call::section::codecs::tests::{codecs, options, selected};
use crate::sdp::MediaKind;

use super::*;

/// What the offerer is told, after an offer and an answer with these codecs and options.
fn answered(offer: &str, offer_options: &str, answer: &str, answer_options: &str) -> String {
    let (own, remote_codecs) = (codecs(offer), codecs(answer));
    let offer_options = options(offer_options);
    let offered = offer_options.offered(&own, &[], &MediaKind::Audio, Events::AtEachRate);
    let offered = match offered.selection {
        Selection::Codecs(codecs) => codecs,
        Selection::Restored | Selection::Formats | Selection::Rejected => Vec::new(),
    };
    let terms = Terms::of(&own, &offer_options, None);
    let answer = Answer {
        own: &own,
        is_for_us: false,
        offered: &offered,
        remote_codecs: &remote_codecs,
        terms: terms.as_ref(),
        preferences: &Preferences::default(),
        options: &options(answer_options),
    };
    selected(&answer.taken().told)
}

fn plain(offer: &str, answer: &str) -> String {
    answered(offer, "", answer, "")
}

#[test]
fn what_both_have_passes() {
    assert_eq!(plain("0 8 101=te/8000", "8 0"), "8 0");
    assert_eq!(
        plain("0 8 101=te/8000{0-15}", "8 101=te/8000{0-11}"),
        "8 101{0-11}"
    );
    assert_eq!(plain("0 8", "9 0 100"), "0", "the rest does not");
    assert_eq!(plain("0 8 101=te/8000", "9 101=te/8000"), "101");
    assert_eq!(
        answered("0 8 101=te/8000", "strip=PCMU", "0 101=te/8000", ""),
        "0 101"
    );
    assert_eq!(plain("8 101=te/8000 96=te/8000", "8 96=te/8000"), "8 96 101");
}

#[test]
fn an_answer_with_nothing_that_was_offered_is_taken_by_names() {
    let opus = "111=opus/48000/2 110=te/48000";
    let stereo = "111{stereo=1;useinbandfec=1}";
    assert_eq!(plain("0 8", "97=PCMA/8000 98=PCMU/8000"), "8 0");
    assert_eq!(
        plain(opus, "106=opus/48000/2 97=te/48000"),
        format!("{stereo} 110")
    );
    assert_eq!(
        plain(opus, "106=opus/48000/2 97=te/8000"),
        format!("{stereo} 110")
    );
    assert_eq!(plain("0 8 101=te/8000", "9 97=te/8000"), "0 101");
    assert_eq!(plain("0 8 101=te/8000", "9"), "0");
    assert_eq!(plain("0 8", "101=te/8000"), "0");
    assert_eq!(plain("8 101=te/8000", "97=te/48000"), "8 101");
    assert_eq!(plain("0 8", "100=foo/8000"), "100", "it cannot be anything else");
    assert_eq!(answered("0 8", "", "9", "asymmetric="), "9");
}

#[test]
fn a_number_without_a_name_is_not_what_was_offered_by_that_number() {
    assert_eq!(plain("96=opus/48000/2", "96 2"), "96 2");
    assert_eq!(plain("96=opus/48000/2", "96=opus/48000/2 2"), "96");
    assert_eq!(plain("101=te/8000", "8 101"), "8 101");
    assert_eq!(plain("101=te/8000 13", "8 13 101 0"), "13");
}

#[test]
fn events_that_nobody_offered_stand_for_the_first_codec() {
    let stereo = "96{stereo=1;useinbandfec=1}";
    assert_eq!(
        plain("9 96=opus/48000/2", "97=opus/48000/2 101=te/8000"),
        format!("{stereo} 9")
    );
    assert_eq!(answered("9 0", "", "0 96=te/8000", "strip=all"), "0 9");
    assert_eq!(
        answered("9 0 101=te/8000", "", "0 96=te/16000", "strip=all"),
        "0 9 101"
    );
    assert_eq!(answered("9 0", "", "0", "strip=all"), "0");
}

#[test]
fn what_was_never_offered_may_be_taken_back() {
    assert_eq!(
        answered("9 0 101=te/8000", "", "0 101=te/8000 8", "strip=all offer=PCMA"),
        "9"
    );
}

#[test]
fn what_an_offerer_is_answered_with_in_any_case_lasts_while_it_has_that() {
    let accepted = |offer: &str, options_: &str, before: Option<&Terms>| {
        Terms::of(&codecs(offer), &options(options_), before)
    };
    let first = accepted("0 8 9", "accept=G722", None);
    let again = accepted("0 9", "", first.as_ref()).unwrap();
    assert_eq!(again.accepted, codecs("9"));
    assert!(accepted("0 8", "", first.as_ref()).is_none());
    assert!(accepted("0 8 9", "ignore=PCMU", None).is_some());
    let ignored = accepted("0 8 9", "ignore=PCMU", None);
    assert!(accepted("0 8 9", "", ignored.as_ref()).is_none());
}

#[test]
fn an_answer_to_somebody_unknown_is_reduced_to_what_its_sender_has() {
    let told = |answer: &str, options_: &str| {
        let (offered, remote_codecs) = (codecs("9"), codecs(answer));
        let answer = Answer {
            own: &[],
            is_for_us: false,
            offered: &offered,
            remote_codecs: &remote_codecs,
            terms: None,
            preferences: &Preferences::default(),
            options: &options(options_),
        };
        selected(&answer.taken().told)
    };
    assert_eq!(told("9 0", ""), "9");
    assert_eq!(told("3 0", ""), "3 0");
    assert_eq!(told("9 0", "strip=G722"), "9 0");
}

#[test]
fn parameters_may_keep_ends_apart() {
    let amr = "96=AMR-WB/16000{octet-align=1} 8";
    assert_eq!(plain(amr, "96=AMR-WB/16000 8"), "8");
    assert_eq!(
        plain(amr, "96=AMR-WB/16000{octet-align=1;mode-set=2} 8"),
        "96{octet-align=1;mode-set=2} 8"
    );
    assert_eq!(plain("3 8", "3{odd=yes} 8"), "8");
    assert_eq!(plain("18{annexb=no} 8", "18 8"), "18 8");
}

#[test]
fn added_codecs_stand_for_one_of_the_offerer() {
    let told = |answer: &str| answered("0 8 101=te/8000{0-15}", "+G722", answer, "");
    assert_eq!(told("9 8"), "0 8");
    assert_eq!(told("9 101=te/8000"), "0 101{0-15}", "in its own words");
    assert_eq!(told("3 9"), "0");
    let told = |answer: &str| answered("111=opus/48000/2 0", "+telephone-event", answer, "");
    assert_eq!(
        told("111=opus/48000/2 97=te/48000 96=te/8000"),
        "111{stereo=1;useinbandfec=1}",
        "events are written into it"
    );
    let told = |answer: &str| answered("0 8 101=te/8000{0-15}", "+opus", answer, "");
    assert_eq!(told("96=opus/48000/2 97=te/48000"), "0 101{0-15}");
    assert_eq!(told("96=opus/48000/2 101=te/8000"), "0 101");
    assert_eq!(told("8 97=te/48000"), "8");
}

#[test]
fn some_codecs_are_answered_whatever_the_answer_is() {
    let list = "111=opus/48000/2{useinbandfec=1} 0 8 110=te/48000{0-11} 101=te/8000{0-15}";
    let told = |options: &str, answer: &str| answered(list, options, answer, "");
    let mono = "111{stereo=0;useinbandfec=1}";
    assert_eq!(told("accept=opus", "8"), mono);
    assert_eq!(
        told("accept=opus", "8 101=te/8000{0-12}"),
        format!("{mono} 101{{0-12}} 110{{0-11}}")
    );
    assert_eq!(
        told("accept=opus,PCMA", "8 101=te/8000"),
        format!("{mono} 110{{0-11}}")
    );
    assert_eq!(told("accept=PCMU", "8 101=te/8000"), "0 101{0-15}");
    assert_eq!(told("accept=PCMU", "101=te/8000"), "formats");
    assert_eq!(told("accept=all", "111=opus/48000/2"), "111 110{0-11}");
    assert_eq!(told("ignore=all except=PCMA", "8 101=te/8000"), "8");
    assert_eq!(told("ignore=all", "0"), "0", "something must be left");
    assert_eq!(
        told("mask=all +G722", "9 101=te/8000"),
        format!("{mono} 110{{0-11}}")
    );
}

#[test]
fn answers_are_edited_before_they_are_taken() {
    let told = |answer: &str, options: &str| answered("0 8 101=te/8000", "+G722", answer, options);
    assert_eq!(told("9 8 101=te/8000", "strip=G722"), "8 101");
    assert_eq!(told("9 8 101=te/8000", "strip=PCMU"), "0 8 101");
    assert_eq!(told("0 8 101=te/8000", "strip=PCMU,PCMA"), "formats");
    assert_eq!(told("0 8 101=te/8000", "strip=all offer=PCMA"), "8");
    assert_eq!(told("9 8 101=te/8000", "single="), "0 101");
    assert_eq!(told("101=te/8000 8 0", "single="), "101 8");
}

#[test]
fn what_only_goes_with_others_has_the_number_that_was_offered() {
    assert_eq!(plain("101=te/8000", "107=te/8000"), "101");
    assert_eq!(plain("116=red/90000", "122=red/90000 123=x/90000"), "116 123");
    assert_eq!(answered("101=te/8000", "", "107=te/8000", "asymmetric="), "107");
}

#[test]
fn what_a_party_says_of_stereo_is_turned_round() {
    for (offered, expected) in [
        ("stereo=1", "stereo=1;sprop-stereo=1;useinbandfec=1"),
        ("usedtx=1;stereo=0", "stereo=1;sprop-stereo=0;useinbandfec=1"),
        ("sprop-stereo=0", "stereo=0;useinbandfec=1"),
        ("stereo=x", "stereo=1;useinbandfec=1"),
    ] {
        let offer = format!("109=opus/48000/2{{{offered}}}");
        assert_eq!(
            plain(&offer, "115=opus/48000/2"),
            format!("109{{{expected}}}"),
            "{offered}"
        );
    }
}

#[test]
fn events_of_ignored_media_are_ignored() {
    let offer = "111=opus/48000/2 0 101=te/8000";
    assert_eq!(answered(offer, "ignore=PCMU", offer, ""), "111");
}
