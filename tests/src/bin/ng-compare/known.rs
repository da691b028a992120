//! Differences that are known, and why they are.
//!
//! `tests/fixtures/compare/known.txt` has one a line, `COMMAND: KIND | REFERENCE | OURS | REQUESTS`, where `*` stands for any
//! text; what is left out is any text, too. `REQUESTS` is all that was requested and sent so far, as JSON. The lines of a comment (`#`)
//! before it say why.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use crate::difference::Finding;

#[derive(Debug, Default)]
pub(crate) struct Known {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    reason: String,
    kind: String,
    reference: String,
    ours: String,
    requests: String,
}

/// How often each was met, by its place in the list.
pub(crate) type Met = BTreeMap<usize, u64>;

impl Known {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Known> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Known::parse(&text)
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Known> {
        let mut patterns = Vec::new();
        let mut reason = String::new();
        let mut in_comment = false;
        for line in text.lines().map(str::trim) {
            if let Some(comment) = line.strip_prefix('#') {
                if !in_comment {
                    reason.clear();
                }
                in_comment = true;
                reason = format!("{reason} {}", comment.trim()).trim().to_owned();
                continue;
            }
            in_comment = false;
            if line.is_empty() {
                continue;
            }
            anyhow::ensure!(!reason.is_empty(), "without a reason: {line}");
            let mut parts = line.split(" | ").map(|part| part.trim().to_owned());
            let mut next = || parts.next().unwrap_or_else(|| "*".to_owned());
            patterns.push(Pattern {
                text: line.to_owned(),
                reason: reason.clone(),
                kind: next(),
                reference: next(),
                ours: next(),
                requests: next(),
            });
        }
        Ok(Known { patterns })
    }

    /// The place in the list of what matches a difference in the reply to the last of some steps.
    pub(crate) fn position(&self, command: &str, finding: &Finding, steps: &[Value]) -> Option<usize> {
        let kind = format!("{command}: {}", finding.kind);
        let requests = || {
            steps
                .iter()
                .flat_map(|step| [&step["request"], &step["send"]])
                .filter(|part| !part.is_null())
                .map(Value::to_string)
                .collect::<String>()
        };
        let fits = |pattern: &str, line: &Option<String>| glob(pattern, line.as_deref().unwrap_or_default());
        self.patterns.iter().position(|pattern| {
            glob(&pattern.kind, &kind)
                && fits(&pattern.reference, &finding.reference)
                && fits(&pattern.ours, &finding.ours)
                && (pattern.requests == "*" || glob(&pattern.requests, &requests()))
        })
    }

    /// A line of the list, and why it is there.
    pub(crate) fn line(&self, position: usize) -> (&str, &str) {
        let pattern = &self.patterns[position];
        (&pattern.text, &pattern.reason)
    }
}

/// Whether a text fits a pattern in which `*` is any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().any(|at| glob(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns() {
        let list = "# the reference crashes\n# nearly\noffer: a=mid * | a=mid:0 | *\n\n# free\n*: a=crypto tag differs\n*: direction differs | * | * | *ICE*remove*\n";
        let known = Known::parse(list).unwrap();
        let finding = |kind: &str, reference: &str| Finding {
            kind: kind.to_owned(),
            reference: Some(reference.to_owned()),
            ours: None,
        };
        let steps = [json!({"request": {"ICE": "remove"}})];
        assert_eq!(
            known.position("offer", &finding("a=mid missing", "a=mid:0"), &[]),
            Some(0)
        );
        assert_eq!(
            known.position("offer", &finding("a=mid missing", "a=mid:1"), &[]),
            None
        );
        assert_eq!(
            known.position("answer", &finding("a=mid missing", "a=mid:0"), &[]),
            None
        );
        assert_eq!(
            known.position("answer", &finding("a=crypto tag differs", "x"), &[]),
            Some(1)
        );
        let direction = finding("direction differs", "x");
        assert_eq!(known.position("answer", &direction, &steps), Some(2));
        assert_eq!(known.position("answer", &direction, &[]), None);
        assert_eq!(known.line(0).1, "the reference crashes nearly");
        assert!(Known::parse("offer: a=mid *").is_err());
    }
}
