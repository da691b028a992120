//! rtcp-mux (RFC 5761): who multiplexes RTCP with RTP, decided when the offer is processed.

use crate::call::command::RtcpMuxOptions;
use crate::host::PortCount;

/// rtcp-mux with one party, for one media section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) struct Mux {
    /// Where RTCP for the party goes at present. Who offers mux, or is offered it, muxes until an answer says otherwise.
    pub(in crate::call) agreed: Agreed,
    /// What the newest offer that concerns the party says.
    pending: Pending,
    /// Whether the newest message says that it is to be so: an offer, or the answer to it.
    spoken_of: bool,
    /// What the party's answer means for whoever it answers to.
    answer: Meaning,
    /// Whether what was offered to the party is done, whatever it says.
    at_once: bool,
    /// Whether the party, which offers to multiplex, gets one port from the start.
    single: bool,
}

/// Where RTCP for a party goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Agreed {
    /// To a port of its own.
    #[default]
    Separate,
    /// To the RTP port.
    Muxed,
}

/// What an offer says of mux with the party.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pending {
    /// Nothing.
    #[default]
    Nothing,
    /// The party offered it, and gets it whatever the other party does.
    Granted,
    /// It was offered to the party, with a port to fall back to.
    Offered,
    /// It was offered to the party, without a port to fall back to.
    Required,
}

/// What an answer means for the party that offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Meaning {
    /// It muxes if the answer does: it offered that, or nothing at all.
    #[default]
    Decides,
    /// Nothing.
    Nothing,
}

impl Mux {
    /// The party makes an offer. Gives back what the answer to it will mean.
    pub(in crate::call) fn offers(&mut self, muxed: bool, options: RtcpMuxOptions) -> Meaning {
        let demuxed = options.demux && !options.offer && !options.require;
        let granted = muxed && (options.accept || (demuxed && !options.reject));
        let muxes = granted || (muxed && !options.reject);
        self.pending = match granted {
            true => Pending::Granted,
            false => Pending::Nothing,
        };
        self.single = muxed && options.demux && !options.reject;
        self.spoken_of = muxed && !options.reject;
        self.agreed = Agreed::when(muxes);
        match muxes && !granted {
            true => Meaning::Decides,
            false => Meaning::Nothing,
        }
    }

    /// An offer is made to the party. `elsewhere` tells whether it muxes in any of its sections: then it needs no port to
    /// fall back to. `answer` is what its answer will mean.
    pub(in crate::call) fn is_offered(
        &mut self,
        muxed: bool,
        options: RtcpMuxOptions,
        elsewhere: bool,
        answer: Meaning,
    ) {
        let passed_on = muxed && !options.demux;
        self.pending = match self.agreed {
            _ if options.demux && !options.offer && !options.require => Pending::Nothing,
            // Who muxes already goes on doing so.
            Agreed::Muxed => Pending::Required,
            Agreed::Separate if options.require => Pending::Required,
            Agreed::Separate if options.offer || passed_on => match elsewhere {
                true => Pending::Required,
                false => Pending::Offered,
            },
            Agreed::Separate => Pending::Nothing,
        };
        self.spoken_of = self.in_offer();
        self.at_once = false;
        self.single = false;
        if self.in_offer() {
            self.agreed = Agreed::Muxed;
        }
        self.answer = answer;
    }

    /// An offer to the party says nothing of the section: it is told what holds. `elsewhere` tells whether the party multiplexes in
    /// another section.
    pub(in crate::call) fn is_passed_over(&mut self, elsewhere: bool) {
        self.pending = match self.agreed {
            Agreed::Muxed if elsewhere => Pending::Required,
            Agreed::Muxed => Pending::Offered,
            Agreed::Separate => Pending::Nothing,
        };
    }

    /// The party answers. What it says counts, whether it was offered or not. What was offered stays: another device may
    /// answer as well. Gives back what the answer means for whom it answers to.
    pub(in crate::call) fn answers(&mut self, muxed: bool) -> Meaning {
        self.agreed = Agreed::when(muxed);
        self.at_once = false;
        self.spoken_of = muxed;
        self.answer
    }

    /// The party rejects the section: nobody has refused what was offered.
    pub(in crate::call) fn is_rejected(&mut self) {
        if self.in_offer() {
            self.agreed = Agreed::Muxed;
        }
    }

    /// The party is answered, and perhaps will be again.
    pub(in crate::call) fn is_answered(&mut self, muxed: bool, answer: Meaning) {
        match answer {
            Meaning::Decides => self.agreed = Agreed::when(muxed),
            Meaning::Nothing => {}
        }
        self.spoken_of = self.agreed == Agreed::Muxed;
    }

    /// There is but one port, and nobody is asked (`transform`).
    pub(in crate::call) fn is_given(&mut self) {
        self.agreed = Agreed::Muxed;
        self.spoken_of = true;
    }

    /// Whether the newest message says that RTCP comes to the RTP port.
    pub(in crate::call) fn is_spoken_of(self) -> bool {
        self.spoken_of
    }

    /// How many ports the party is told in an offer to it, or will be told in an answer if that is known already.
    pub(in crate::call) fn port_count(self) -> PortCount {
        match self.pending {
            _ if self.single => PortCount::One,
            Pending::Required | Pending::Granted => PortCount::One,
            Pending::Nothing | Pending::Offered => PortCount::Pair,
        }
    }

    /// Whether an offer to the party leaves it no other port for RTCP.
    pub(in crate::call) fn is_required(self) -> bool {
        self.pending == Pending::Required
    }

    /// Whether the party is offered it, with a port to fall back to, and it is done meanwhile.
    pub(in crate::call) fn is_done_at_once(self) -> bool {
        self.pending == Pending::Offered && self.at_once
    }

    /// What is offered to the party is done, whatever it says.
    pub(in crate::call) fn do_at_once(&mut self) {
        self.agreed = Agreed::Muxed;
        self.at_once = true;
    }

    /// Whether `a=rtcp-mux` stands in an offer to the party.
    pub(in crate::call) fn in_offer(self) -> bool {
        matches!(self.pending, Pending::Offered | Pending::Required)
    }
}

impl Agreed {
    fn when(muxed: bool) -> Agreed {
        match muxed {
            true => Agreed::Muxed,
            false => Agreed::Separate,
        }
    }

    /// How many ports this takes.
    pub(in crate::call) fn port_count(self) -> PortCount {
        match self {
            Agreed::Muxed => PortCount::One,
            Agreed::Separate => PortCount::Pair,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(names: &str) -> RtcpMuxOptions {
        RtcpMuxOptions {
            offer: names.contains("offer"),
            require: names.contains("require"),
            demux: names.contains("demux"),
            accept: names.contains("accept"),
            reject: names.contains("reject"),
        }
    }

    /// What the receiver of an offer is told, and then its sender: `-` nothing, `+` mux with a second port, `1` mux on
    /// one port.
    fn told(names: &str, in_offer: bool, in_answer: bool) -> String {
        let (mut caller, mut callee) = (Mux::default(), Mux::default());
        let answer = caller.offers(in_offer, options(names));
        callee.is_offered(in_offer, options(names), false, answer);
        let offer = match (callee.in_offer(), callee.port_count()) {
            (false, _) => '-',
            (true, PortCount::Pair) => '+',
            (true, PortCount::One) => '1',
        };
        let meaning = callee.answers(in_answer);
        caller.is_answered(in_answer, meaning);
        let answer = match caller.agreed {
            Agreed::Separate => '-',
            Agreed::Muxed => '1',
        };
        [offer, answer].iter().collect()
    }

    #[test]
    fn truth_table() {
        let rows = [
            // options, mux in the offer, told without and with mux in the answer
            ("", false, "--", "--"),
            ("", true, "+-", "+1"),
            ("offer", false, "+-", "+-"),
            ("offer", true, "+-", "+1"),
            ("require", false, "1-", "1-"),
            ("require", true, "1-", "11"),
            ("demux", false, "--", "--"),
            ("demux", true, "-1", "-1"),
            ("accept", false, "--", "--"),
            ("accept", true, "+1", "+1"),
            ("accept require", true, "11", "11"),
            ("accept offer", false, "+-", "+-"),
            ("accept offer", true, "+1", "+1"),
            ("demux require", true, "1-", "11"),
            ("demux offer", false, "+-", "+-"),
            ("demux offer", true, "+-", "+1"),
            ("reject", true, "+-", "+-"),
            ("accept reject", true, "+1", "+1"),
            ("demux reject", true, "--", "--"),
            ("offer reject", true, "+-", "+-"),
        ];
        for (options, in_offer, without, with) in rows {
            assert_eq!(
                told(options, in_offer, false),
                without,
                "{options:?} offer {in_offer} answer without"
            );
            assert_eq!(
                told(options, in_offer, true),
                with,
                "{options:?} offer {in_offer} answer with"
            );
        }
    }

    #[test]
    fn who_muxes_is_offered_nothing_else_later() {
        let mut party = Mux {
            agreed: Agreed::Muxed,
            ..Mux::default()
        };
        party.is_offered(false, RtcpMuxOptions::default(), false, Meaning::Decides);
        assert_eq!((party.in_offer(), party.port_count()), (true, PortCount::One));
        assert_eq!(party.agreed, Agreed::Muxed, "until the answer says otherwise");
        party.answers(false);
        assert_eq!(party.agreed, Agreed::Separate);
    }

    #[test]
    fn a_repeated_answer_changes_nothing() {
        let (mut caller, mut callee) = (Mux::default(), Mux::default());
        let answer = caller.offers(true, RtcpMuxOptions::default());
        callee.is_offered(true, RtcpMuxOptions::default(), false, answer);
        for _ in 0..2 {
            let meaning = callee.answers(true);
            caller.is_answered(true, meaning);
            assert_eq!((caller.agreed, callee.agreed), (Agreed::Muxed, Agreed::Muxed));
        }
    }

    #[test]
    fn who_muxes_without_having_been_offered_it_is_taken_at_its_word() {
        let mut party = Mux::default();
        party.is_offered(false, RtcpMuxOptions::default(), false, Meaning::Decides);
        party.answers(true);
        party.is_offered(false, RtcpMuxOptions::default(), false, Meaning::Decides);
        assert_eq!((party.in_offer(), party.port_count()), (true, PortCount::One));
    }

    #[test]
    fn an_offer_of_mux_stands_if_the_section_is_rejected() {
        for (rejected, expected) in [(true, true), (false, false)] {
            let mut party = Mux::default();
            party.is_offered(true, RtcpMuxOptions::default(), false, Meaning::Decides);
            match rejected {
                true => party.is_rejected(),
                false => drop(party.answers(false)),
            }
            party.is_offered(false, RtcpMuxOptions::default(), false, Meaning::Decides);
            assert_eq!(party.is_required(), expected);
        }
    }

    #[test]
    fn who_muxes_elsewhere_needs_no_second_port() {
        for (muxed, names, expected) in [(true, "", true), (false, "offer", true), (false, "", false)] {
            let mut party = Mux::default();
            party.is_offered(muxed, options(names), true, Meaning::Decides);
            assert_eq!(party.is_required(), expected, "{muxed} {names:?}");
            assert_eq!(party.in_offer(), expected, "{muxed} {names:?}");
        }
    }

    #[test]
    fn who_offered_mux_or_was_offered_it_is_offered_nothing_else_before_the_answer() {
        let (mut caller, mut callee) = (Mux::default(), Mux::default());
        let none = RtcpMuxOptions::default();
        let answer = caller.offers(true, none);
        callee.is_offered(true, none, false, answer);
        assert!(!callee.is_required());
        callee.is_offered(false, none, false, answer);
        assert!(callee.is_required());
        caller.is_offered(false, none, false, Meaning::Nothing);
        assert!(caller.is_required());
    }

    #[test]
    fn who_is_passed_over_by_an_offer_is_told_what_holds() {
        for (agreed, elsewhere, in_offer, required) in [
            (Agreed::Muxed, true, true, true),
            (Agreed::Muxed, false, true, false),
            (Agreed::Separate, true, false, false),
        ] {
            let mut party = Mux {
                agreed,
                pending: Pending::Granted,
                ..Mux::default()
            };
            party.is_passed_over(elsewhere);
            assert_eq!((party.in_offer(), party.is_required()), (in_offer, required));
        }
    }

    #[test]
    fn an_answer_counts_by_the_offer_of_its_branch() {
        for (offered, muxed, before, expected) in [
            (true, true, Agreed::Separate, Agreed::Muxed),
            (true, false, Agreed::Muxed, Agreed::Separate),
            (false, true, Agreed::Separate, Agreed::Separate),
            (false, false, Agreed::Muxed, Agreed::Muxed),
        ] {
            let (mut caller, mut branch) = (Mux::default(), Mux::default());
            let answer = caller.offers(offered, RtcpMuxOptions::default());
            branch.is_offered(offered, RtcpMuxOptions::default(), false, answer);
            caller.agreed = before;
            let meaning = branch.answers(muxed);
            caller.is_answered(muxed, meaning);
            assert_eq!(caller.agreed, expected, "{offered} {muxed}");
        }
    }

    #[test]
    fn who_muxes_is_not_offered_it_against_the_options() {
        let mut party = Mux {
            agreed: Agreed::Muxed,
            ..Mux::default()
        };
        party.is_offered(true, options("demux"), true, Meaning::Decides);
        assert_eq!((party.in_offer(), party.port_count()), (false, PortCount::Pair));
    }
}
