//! What is in a reply, as far as it is there: an older or newer relay may leave fields out.

use std::borrow::Cow;

use ng_client::{Dictionary, Value, octets};

/// The text of a key, a number written out; empty if there is none.
pub(super) fn text<'a>(dictionary: &'a Dictionary, key: &str) -> Cow<'a, str> {
    dictionary.find(key).map(scalar).unwrap_or_default()
}

/// The printable text of a key, if it is there and not empty.
pub(super) fn word(dictionary: &Dictionary, key: &str) -> Option<String> {
    let word = printable(&text(dictionary, key));
    (!word.is_empty()).then_some(word)
}

/// The number of a key; zero if there is none.
pub(super) fn number(dictionary: &Dictionary, key: &str) -> i64 {
    dictionary.find(key).and_then(Value::integer).unwrap_or(0)
}

/// The dictionaries in the list of a key.
pub(super) fn dictionaries<'a>(
    dictionary: &'a Dictionary,
    key: &str,
) -> impl Iterator<Item = &'a Dictionary> {
    let values = dictionary.find(key).and_then(Value::list).unwrap_or_default();
    values.iter().filter_map(Value::dictionary)
}

/// The texts in the list of a key, printable.
pub(super) fn words(dictionary: &Dictionary, key: &str) -> Vec<String> {
    let values = dictionary.find(key).and_then(Value::list).unwrap_or_default();
    values.iter().map(|value| printable(&scalar(value))).collect()
}

/// The same, a line each.
pub(super) fn lines(dictionary: &Dictionary, key: &str) -> String {
    words(dictionary, key)
        .iter()
        .map(|word| format!("{word}\n"))
        .collect()
}

/// A number in a dictionary in a dictionary; zero if there is none.
pub(super) fn inner_number(dictionary: &Dictionary, outer: &str, key: &str) -> i64 {
    let inner = dictionary.find(outer).and_then(Value::dictionary);
    inner.map_or(0, |inner| number(inner, key))
}

/// What the kernel passed to userspace, of a call or a stream, and why the newest packet.
pub(super) fn passed(dictionary: &Dictionary) -> Option<String> {
    let reason = word(dictionary.find("passed")?.dictionary()?, "reason")?;
    let packets = grouped(inner_number(dictionary, "passed", "packets"));
    Some(format!(
        "{packets} packets to userspace, the newest for: {reason}"
    ))
}

/// The text of a string or an integer; empty for anything else.
pub(super) fn scalar(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Bytes(_) => value.text().unwrap_or_default(),
        Value::Integer(number) => Cow::Owned(number.to_string()),
        Value::List(_) | Value::Dictionary(_) => Cow::Borrowed(""),
    }
}

/// Text from the network, without what would move a terminal's cursor, and what is no text.
pub(super) fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let text = octets::bytes(text);
    String::from_utf8_lossy(&text).chars().map(escape).collect()
}

/// A number with its thousands set apart.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of seconds as `M:SS` or `H:MM:SS`.
pub(super) fn duration(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 {
        return format!("{minutes}:{seconds:02}");
    }
    format!("{hours}:{minutes:02}:{seconds:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let groups = [0, 999, 1000, 1_234_567, -1000].map(grouped);
        assert_eq!(groups, ["0", "999", "1,000", "1,234,567", "-1,000"]);
    }

    #[test]
    fn durations_have_hours_where_needed() {
        assert_eq!(
            [0, 61, 3599, 3600, 360_000].map(duration),
            ["0:00", "1:01", "59:59", "1:00:00", "100:00:00"]
        );
    }

    #[test]
    fn terminals_are_not_commanded() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
