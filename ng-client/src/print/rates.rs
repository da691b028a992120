//! The table of calls with packets per second, from one look to the next.

use std::collections::HashMap;
use std::time::Duration;

use ng_client::{Dictionary, Value};

use super::calls::table_of;
use super::view::{dictionaries, grouped, inner_number, number, text};

/// What the last look saw.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    last: Option<Look>,
}

#[derive(Debug)]
struct Look {
    at: Duration,
    /// Of the whole relay, calls that have ended included.
    all: Packets,
    /// By call-id.
    calls: HashMap<String, Packets>,
}

/// Received so far.
#[derive(Clone, Copy, Debug)]
struct Packets {
    kernel: i64,
    userspace: i64,
}

impl Rates {
    /// The table for the replies to `relay calls` and `statistics`. `now` is the time since the first look, which shows no
    /// rates.
    pub(crate) fn table(&mut self, now: Duration, calls: &Dictionary, statistics: &Dictionary) -> String {
        let look = Look::new(now, calls, statistics);
        let last = self.last.as_ref();
        let numbers = |call: &Dictionary| {
            let id = text(call, "call-id");
            let before = last.and_then(|last| Some((last.at, last.calls.get(&*id)?)));
            match before {
                Some((at, before)) => Packets::of(call).since(before).per_second(now - at),
                None => ["-", "-"].map(str::to_owned),
            }
        };
        let table = table_of(calls, 0, ["KERNEL/s", "USERSPACE/s"], numbers);
        let summary = last.map(|last| look.all.since(&last.all).summary(now - last.at));
        self.last = Some(look);
        table + &summary.unwrap_or_default()
    }
}

impl Look {
    fn new(at: Duration, calls: &Dictionary, statistics: &Dictionary) -> Look {
        let calls = dictionaries(calls, "calls");
        let inner = |dictionary: &Dictionary, key| dictionary.find(key).and_then(Value::dictionary).cloned();
        let totals = inner(statistics, "statistics").and_then(|all| inner(&all, "totalstatistics"));
        let total = |key| totals.as_ref().map_or(0, |totals| number(totals, key));
        Look {
            at,
            all: Packets {
                kernel: total("relayedpackets_kernel"),
                userspace: total("relayedpackets_user"),
            },
            calls: calls
                .map(|call| (text(call, "call-id").into_owned(), Packets::of(call)))
                .collect(),
        }
    }
}

impl Packets {
    /// Of a call.
    fn of(call: &Dictionary) -> Packets {
        Packets {
            kernel: inner_number(call, "packets", "kernel"),
            userspace: inner_number(call, "packets", "userspace"),
        }
    }

    fn since(self, before: &Packets) -> Packets {
        Packets {
            kernel: self.kernel.saturating_sub(before.kernel),
            userspace: self.userspace.saturating_sub(before.userspace),
        }
    }

    fn per_second(self, time: Duration) -> [String; 2] {
        [self.kernel, self.userspace].map(|packets| grouped(rate(packets, time)))
    }

    /// In one line.
    fn summary(self, time: Duration) -> String {
        let all = self.kernel.saturating_add(self.userspace);
        let packets = grouped(rate(all, time));
        if all <= 0 {
            return format!("{packets} packets/s\n");
        }
        let share = i128::from(self.kernel) * 100 / i128::from(all);
        format!("{packets} packets/s, {share} % in the kernel\n")
    }
}

/// For each second, rounded.
fn rate(packets: i64, time: Duration) -> i64 {
    let micros = i128::try_from(time.as_micros()).unwrap_or(i128::MAX).max(1);
    let rate = (i128::from(packets) * 1_000_000 + micros / 2) / micros;
    i64::try_from(rate).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use relay_common::ng::decode;
    use serde_json::json;

    use super::*;

    fn dictionary(json: &serde_json::Value) -> Dictionary {
        decode(json.to_string().as_bytes()).map_or_else(|_| Dictionary::new(), |(_, body)| body.into())
    }

    fn calls(packets: &[(&str, i64, i64)]) -> Dictionary {
        let call = |(id, kernel, userspace): &(&str, i64, i64)| {
            json!({
                "call-id": id, "age": 61, "parties": [], "codecs": ["PCMA/8000"], "path": "kernel",
                "packets": {"kernel": kernel, "userspace": userspace},
            })
        };
        let calls: Vec<_> = packets.iter().map(call).collect();
        dictionary(&json!({"total": calls.len(), "calls": calls}))
    }

    fn statistics(kernel: i64, userspace: i64) -> Dictionary {
        let totals = json!({"relayedpackets_kernel": kernel, "relayedpackets_user": userspace});
        dictionary(&json!({"statistics": {"totalstatistics": totals}}))
    }

    /// The two rates in the row of a call.
    fn row<'a>(table: &'a str, id: &str) -> Vec<&'a str> {
        let row = table.lines().find(|line| line.trim_start().starts_with(id));
        row.map_or_else(Vec::new, |row| row.split_whitespace().skip(3).take(2).collect())
    }

    #[test]
    fn rates_are_differences_over_time() {
        let mut rates = Rates::default();
        let second = Duration::from_secs;
        let first = rates.table(second(0), &calls(&[("a", 1000, 7)]), &statistics(5000, 10));
        assert_eq!(row(&first, "a"), ["-", "-"], "{first}");
        assert!(first.ends_with("\n\n1 call\n"), "{first}");

        // One call has come since; and calls that ended relayed packets as well.
        let next = calls(&[("a", 3500, 7), ("b", 5, 0)]);
        let next = rates.table(second(2), &next, &statistics(8000, 1010));
        assert_eq!(row(&next, "a"), ["1,250", "0"], "{next}");
        assert_eq!(row(&next, "b"), ["-", "-"], "{next}");
        assert!(
            next.ends_with("\n\n2 calls\n2,000 packets/s, 75 % in the kernel\n"),
            "{next}"
        );

        let none = rates.table(second(3), &calls(&[]), &statistics(8000, 1010));
        assert_eq!(none, "no calls\n0 packets/s\n");
    }

    #[test]
    fn rates_are_rounded_and_bounded() {
        assert_eq!(rate(3, Duration::from_secs(2)), 2);
        assert_eq!(rate(1, Duration::from_secs(3)), 0);
        assert_eq!(rate(i64::MAX, Duration::ZERO), i64::MAX);
    }
}
