//! The text that Prometheus reads (format 0.0.4).
//!
//! Written by hand: metrics have the reference's names, and the library for this would change them (it adds `_total` to
//! every counter, and cannot have a gauge and a counter that differ in that alone).

use std::fmt::{Display, Write};

/// A page of metrics.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// A metric, whose samples follow.
pub(super) struct Family<'a> {
    page: &'a mut String,
    name: String,
}

impl Page {
    /// A metric that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    /// A metric that only grows.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, "counter")
    }

    /// All of it.
    pub(super) fn text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) -> Family<'_> {
        let page = &mut self.0;
        // Writing to a String does not fail.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family {
            page,
            name: name.to_owned(),
        }
    }
}

impl Family<'_> {
    /// The only sample.
    pub(super) fn value(&mut self, value: impl Display) {
        self.sample(&[], value);
    }

    /// Samples that differ in one label.
    pub(super) fn labelled<'l, V: Display>(
        &mut self,
        label: &str,
        samples: impl IntoIterator<Item = (&'l str, V)>,
    ) {
        for (text, value) in samples {
            self.sample(&[(label, &text)], value);
        }
    }

    /// One of several samples.
    pub(super) fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.page.push_str(&self.name);
        for (index, (name, text)) in labels.iter().enumerate() {
            self.page.push(if index == 0 { '{' } else { ',' });
            let text = text.to_string();
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.page, "{name}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.page.push('}');
        }
        let _ = writeln!(self.page, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let mut page = Page::default();
        page.gauge("a", "What it is").value(1.5);
        let mut family = page.counter("b_total", "More");
        family.sample(&[("x", &"1\"\\\n"), ("y", &2)], 3);
        family.labelled("z", [("u", 4), ("v", 5)]);
        assert_eq!(
            page.text(),
            "# HELP a What it is\n# TYPE a gauge\na 1.5\n\
             # HELP b_total More\n# TYPE b_total counter\n\
             b_total{x=\"1\\\"\\\\\\n\",y=\"2\"} 3\nb_total{z=\"u\"} 4\nb_total{z=\"v\"} 5\n"
        );
    }
}
