//! What nobody here knows anything about gets through a whole call.

use proptest::prelude::*;

use super::world::{World, answer, offer};

/// Attributes that the rules say nothing of: those of the caller, those of the callee.
type Foreign = [Vec<String>; 2];

fn foreign() -> impl Strategy<Value = Foreign> {
    let list = || prop::collection::vec("x-[a-z]{1,6}(:[ -~]{0,12}[!-~])?", 0..5);
    [list(), list()]
}

fn section() -> impl Strategy<Value = (&'static str, Foreign)> {
    let kinds = [
        "audio PORT RTP/AVP 8",
        "video PORT RTP/AVP 96",
        "image PORT udptl t38",
        "message PORT TCP/MSRP *",
        "application PORT UDP/BFCP *",
    ];
    (prop::sample::select(kinds.to_vec()), foreign())
}

/// What one side says, with ports from this one on.
fn sdp(side: usize, port: usize, session: &Foreign, sections: &[(&str, Foreign)]) -> String {
    let attributes = |foreign: &Foreign| -> String {
        let lines = foreign[side].iter();
        lines.map(|line| format!("a={line}\r\n")).collect()
    };
    let mut sdp =
        "v=0\r\no=- 1 1 IN IP4 198.51.100.31\r\ns=-\r\nc=IN IP4 198.51.100.31\r\nt=0 0\r\n".to_owned();
    sdp += &attributes(session);
    for (index, (kind, foreign)) in sections.iter().enumerate() {
        let kind = kind.replace("PORT", &(port + 2 * index).to_string());
        sdp += &format!("m={kind}\r\n{}", attributes(foreign));
    }
    sdp
}

/// Kinds of media, and the attributes that nobody knows, in their order.
fn foreign_lines(sdp: &str) -> Vec<&str> {
    let known = sdp
        .lines()
        .filter(|line| line.starts_with("m=") || line.starts_with("a=x-"));
    known
        .map(|line| match line.split_once(' ') {
            Some((kind, _)) if line.starts_with("m=") => kind,
            Some(_) | None => line,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn in_offers_and_answers(session in foreign(), sections in prop::collection::vec(section(), 1..6)) {
        let mut world = World::new();
        let (offered, answered) = (sdp(0, 4000, &session, &sections), sdp(1, 5000, &session, &sections));
        let told = world.sdp(offer("a", None, &offered));
        prop_assert_eq!(foreign_lines(&told), foreign_lines(&offered));
        let told = world.sdp(answer("a", "b", &answered));
        prop_assert_eq!(foreign_lines(&told), foreign_lines(&answered));
        // And again from the other side.
        let told = world.sdp(offer("b", Some("a"), &answered));
        prop_assert_eq!(foreign_lines(&told), foreign_lines(&answered));
    }
}
