//! The table of calls.

use comfy_table::{CellAlignment, Table, presets};
use ng_client::Dictionary;

use super::view::{dictionaries, duration, grouped, inner_number, number, passed, word, words};

/// The reply to `relay calls` as a table. `offset`: how many calls were left out before it.
pub(super) fn table(reply: &Dictionary, offset: usize) -> String {
    let packets =
        |call: &Dictionary| ["kernel", "userspace"].map(|path| grouped(inner_number(call, "packets", path)));
    table_of(reply, offset, ["KERNEL", "USERSPACE"], packets)
}

/// The same, with other numbers.
pub(super) fn table_of(
    reply: &Dictionary,
    offset: usize,
    titles: [&str; 2],
    numbers: impl Fn(&Dictionary) -> [String; 2],
) -> String {
    let calls: Vec<&Dictionary> = dictionaries(reply, "calls").collect();
    let total = number(reply, "total");
    if calls.is_empty() {
        return if total == 0 {
            "no calls\n".to_owned()
        } else {
            format!("none of {total} calls\n")
        };
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let [kernel, userspace] = titles;
    table.set_header([
        "CALL-ID",
        "AGE",
        "PARTIES",
        "CODECS",
        kernel,
        userspace,
        "RELAYED IN",
    ]);
    for column in [1, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let shown = calls.len();
    for call in calls {
        table.add_row(row(call, numbers(call)));
    }
    let count = match total {
        1 => "1 call".to_owned(),
        _ if i64::try_from(shown).is_ok_and(|shown| shown == total) => format!("{total} calls"),
        _ => format!("calls {} to {} of {total}", offset + 1, offset + shown),
    };
    format!("{}\n\n{count}\n", table.trim_fmt())
}

fn row(call: &Dictionary, [kernel, userspace]: [String; 2]) -> [String; 7] {
    [
        word(call, "call-id").unwrap_or_default(),
        duration(number(call, "age")),
        dictionaries(call, "parties")
            .map(party)
            .collect::<Vec<_>>()
            .join("\n"),
        codecs(&words(call, "codecs")),
        kernel,
        userspace,
        place(call),
    ]
}

/// An offer may hold a dozen codecs: the first ones will do.
fn codecs(names: &[String]) -> String {
    const SHOWN: usize = 2;
    let more = names.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("and {more} more"));
    let lines: Vec<String> = names.iter().take(SHOWN).cloned().chain(more).collect();
    lines.join("\n")
}

fn party(party: &Dictionary) -> String {
    let name = word(party, "label").or_else(|| word(party, "tag"));
    let parts = [name.or(Some("(no tag)".to_owned())), word(party, "address")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn place(call: &Dictionary) -> String {
    let path = word(call, "path").unwrap_or_default();
    let place = match word(call, "reason") {
        Some(reason) if path == "mixed" => format!("kernel and userspace: {reason}"),
        Some(reason) => format!("{path}: {reason}"),
        None => path,
    };
    let passed = passed(call).map(|passed| format!("passed {passed}"));
    [Some(place), passed]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("\n")
}
