//! Requests of the ng protocol, counted by command.

use std::time::Duration;

/// A command of the ng protocol that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKind(usize);

/// What one control peer asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    tallies: [Tally; KINDS.len()],
    /// Requests that were refused, whatever they were.
    pub errors: u64,
}

/// Requests of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// How long all of them took together.
    pub duration: Duration,
}

/// Commands, and their names in statistics: in keys, and above columns.
const KINDS: [(&str, &str, &str); 33] = [
    ("ping", "ping", "Ping"),
    ("offer", "offer", "Offer"),
    ("answer", "answer", "Answer"),
    ("delete", "delete", "Delete"),
    ("query", "query", "Query"),
    ("list", "list", "List"),
    ("start recording", "startrec", "StartRec"),
    ("stop recording", "stoprec", "StopRec"),
    ("pause recording", "pauserec", "PauseRec"),
    ("start forwarding", "startfwd", "StartFwd"),
    ("stop forwarding", "stopfwd", "StopFwd"),
    ("block DTMF", "blkdtmf", "BlkDTMF"),
    ("unblock DTMF", "unblkdtmf", "UnblkDTMF"),
    ("block media", "blkmedia", "BlkMedia"),
    ("unblock media", "unblkmedia", "UnblkMedia"),
    ("play media", "playmedia", "PlayMedia"),
    ("stop media", "stopmedia", "StopMedia"),
    ("play DTMF", "playdtmf", "PlayDTMF"),
    ("statistics", "stats", "Stats"),
    ("silence media", "slnmedia", "SlnMedia"),
    ("unsilence media", "unslnmedia", "UnslnMedia"),
    ("publish", "pub", "Pub"),
    ("subscribe request", "subreq", "SubReq"),
    ("subscribe answer", "subans", "SubAns"),
    ("unsubscribe", "unsub", "Unsub"),
    ("inject start", "injstart", "InjStart"),
    ("inject stop", "injstop", "InjStop"),
    ("connect", "conn", "Conn"),
    ("cli", "cli", "CLI"),
    ("transform", "trnsfm", "Trnsfm"),
    ("create", "create", "Create"),
    ("create answer", "crtansw", "CrtAnsw"),
    ("mesh", "mesh", "Mesh"),
];

impl RequestKind {
    /// The kind of a command; none for one that is not counted.
    pub fn of(command: &str) -> Option<RequestKind> {
        let command = if command == "CLI" { "cli" } else { command };
        KINDS
            .iter()
            .position(|(name, _, _)| *name == command)
            .map(RequestKind)
    }

    /// All kinds, in the order of the statistics.
    pub fn all() -> impl Iterator<Item = RequestKind> {
        (0..KINDS.len()).map(RequestKind)
    }

    /// The command.
    pub fn name(self) -> &'static str {
        KINDS[self.0].0
    }

    /// Its name in the keys of the statistics.
    pub fn short(self) -> &'static str {
        KINDS[self.0].1
    }

    /// Its name above a column.
    pub fn title(self) -> &'static str {
        KINDS[self.0].2
    }
}

impl Default for Requests {
    fn default() -> Requests {
        Requests {
            tallies: [Tally::default(); KINDS.len()],
            errors: 0,
        }
    }
}

impl Requests {
    /// Counts a request.
    pub fn add(&mut self, kind: Option<RequestKind>, failed: bool, took: Duration) {
        if let Some(kind) = kind {
            let tally = &mut self.tallies[kind.0];
            tally.count += 1;
            tally.duration += took;
        }
        self.errors += u64::from(failed);
    }

    /// Requests of a kind.
    pub fn of(&self, kind: RequestKind) -> Tally {
        self.tallies[kind.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_command() {
        let mut requests = Requests::default();
        let offer = RequestKind::of("offer");
        requests.add(offer, false, Duration::from_millis(2));
        requests.add(offer, true, Duration::from_millis(3));
        requests.add(RequestKind::of("relay calls"), true, Duration::from_millis(5));
        let tally = requests.of(offer.unwrap());
        assert_eq!((tally.count, tally.duration), (2, Duration::from_millis(5)));
        assert_eq!(requests.errors, 2);
        assert_eq!(RequestKind::of("CLI"), RequestKind::of("cli"));
        let counts = RequestKind::all().map(|kind| requests.of(kind).count);
        assert_eq!(counts.sum::<u64>(), 2);
    }
}
