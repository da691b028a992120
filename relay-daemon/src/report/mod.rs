//! One snapshot type for everything that looks at calls: the query reply, the CLI, metrics.

use relay_common::ng::Dictionary;

/// A call at one moment.
#[derive(Clone, Debug, Default)]
pub struct CallSnapshot {}

/// The reply to `query` and `delete`, without the result.
pub fn query_reply(_call: &CallSnapshot) -> Dictionary {
    Dictionary::new()
}

/// A call in the reply to `relay calls`:
///
/// ```text
/// call-id str | created int (epoch s) | age int (s)
/// parties [ {tag str, label str?, address "ADDR:PORT"? (signalled, of the first stream)} ]
/// codecs [ str ]                       "PCMA/8000", each once
/// packets {kernel int, userspace int}  received, of all streams
/// path "kernel" | "userspace" | "mixed"    of the RTP streams that received something, else "userspace"
/// reason str?                          why (the first of) the streams in userspace are there
/// ```
pub fn call_summary(_call: &CallSnapshot) -> Dictionary {
    Dictionary::new()
}

/// The reply to `relay show`, without the result:
///
/// ```text
/// call-id str | created int | age int | kernel "on" | "off" (by hand)
/// deleted-in int (s)?                  while a delayed deletion runs
/// parties [ tag str | label str? | via-branch str?
///    medias [ index int | type str | protocol str? | codec str? | direction str?
///       streams [ kind "RTP" | "RTCP" | "datagrams"
///          local "ADDR:PORT"? | advertised "ADDR:PORT"? | signalled "ADDR:PORT"? | learned "ADDR:PORT"?
///          settled 0|1 (with learned)
///          path "kernel" | "userspace" | reason str?
///          received {kernel {packets, bytes}, userspace {packets, bytes, errors}}
///          sent {packets, bytes, errors}
///          silent int (s)?  since the last packet | ssrc int? ] ] ]
/// ```
pub fn call_details(_call: &CallSnapshot) -> Dictionary {
    Dictionary::new()
}
