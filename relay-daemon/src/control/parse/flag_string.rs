//! `rtpp_flags`: the options of a whole message in one string, as proxies pass them through from their scripts.
//!
//! ```text
//! string = token *( SP token )
//! token  = KEY "=" value | word            a key, or an entry of `flags`
//! value  = word | list
//! list   = "[" item *( SP item ) "]"       a dictionary if its items have keys
//! item   = token | list
//! ```
//!
//! Much that is written by hand is not quite that. A key without a value is a word, a bracket ends a list only at the end of a
//! word, and a list that does not end does so with the string.

use std::borrow::Cow;

use relay_common::ng::{Entries, Item, octets};

/// How deep lists may nest; what lies deeper is not read.
const MAX_DEPTH: usize = 8;

/// The keys and flags that a flag string stands for, in its order. Keys may repeat.
pub(super) fn parse(text: &str) -> Entries<'_> {
    let mut reader = Reader { rest: text };
    let mut entries = Entries::new();
    let mut shortcuts = Shortcuts::default();
    for token in reader.tokens(0) {
        match token {
            Token::Word(word) => {
                if !shortcuts.take(word) {
                    entries.push(flag(word));
                }
            }
            Token::Pair("direction", value) => shortcuts.direct(value),
            // As the reference has it, only the first of a list is left out: for more there is `codec=[strip=[..]]`.
            Token::Pair("codec-strip", Item::List(names)) => {
                let first = names.into_iter().next();
                entries.extend(first.map(|name| (Cow::Borrowed("codec-strip"), name)));
            }
            Token::Pair(key, value) => {
                entries.push((Cow::Borrowed(key), value));
                match key {
                    // A tag that is named here is meant to count.
                    "to-tag" => entries.push(flag("to-tag")),
                    "from-tag" => entries.push(flag("directional")),
                    _ => {}
                }
            }
            // There are none out here.
            Token::List(_) => {}
        }
    }
    entries.extend(shortcuts.finish());
    entries
}

/// Words that stand for keys.
#[derive(Default)]
struct Shortcuts<'a> {
    directions: Vec<Item<'a>>,
    profile: Option<&'a str>,
    parts: ProfileParts,
}

/// Words that make up a profile together.
#[derive(Default)]
struct ProfileParts {
    any: bool,
    secure: bool,
    feedback: bool,
    dtls: bool,
}

impl<'a> Shortcuts<'a> {
    /// Takes a word that is a shortcut; tells whether it was one.
    fn take(&mut self, word: &'a str) -> bool {
        match word {
            "internal" | "external" => self.directions.push(text(word)),
            "RTP/AVP" | "RTP/AVPF" | "RTP/SAVP" | "RTP/SAVPF" | "UDP/TLS/RTP/SAVP" | "UDP/TLS/RTP/SAVPF" => {
                self.profile = Some(word);
            }
            "RTP" | "AVP" => self.parts.any = true,
            "SRTP" => self.parts.secure = true,
            "AVPF" => self.parts.feedback = true,
            "DTLS" => self.parts.dtls = true,
            _ => return false,
        }
        true
    }

    /// Takes the value of `direction`: the first is the sender's, the second the receiver's.
    fn direct(&mut self, value: Item<'a>) {
        match value {
            Item::List(names) => self.directions.extend(names),
            Item::Bytes(_) | Item::Integer(_) => self.directions.push(value),
            Item::Dictionary(_) => {}
        }
    }

    fn finish(self) -> impl Iterator<Item = (Cow<'a, str>, Item<'a>)> {
        let profile = self.profile.or(self.parts.profile());
        let directed = !self.directions.is_empty();
        let directions = Item::List(self.directions);
        let profile = profile.map(|profile| (Cow::Borrowed("transport-protocol"), text(profile)));
        let directions = directed.then_some((Cow::Borrowed("direction"), directions));
        profile.into_iter().chain(directions)
    }
}

impl ProfileParts {
    fn profile(&self) -> Option<&'static str> {
        match (self.dtls, self.secure, self.feedback) {
            (true, _, false) => Some("UDP/TLS/RTP/SAVP"),
            (true, _, true) => Some("UDP/TLS/RTP/SAVPF"),
            (false, true, false) => Some("RTP/SAVP"),
            (false, true, true) => Some("RTP/SAVPF"),
            (false, false, true) => Some("RTP/AVPF"),
            (false, false, false) => self.any.then_some("RTP/AVP"),
        }
    }
}

enum Token<'a> {
    Word(&'a str),
    Pair(&'a str, Item<'a>),
    List(Item<'a>),
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The tokens up to the bracket that ends a list, or to the end of the string.
    fn tokens(&mut self, depth: usize) -> Vec<Token<'a>> {
        let mut tokens = Vec::new();
        loop {
            self.rest = self.rest.trim_start_matches(' ');
            if self.rest.is_empty() {
                return tokens;
            }
            if depth > 0 && self.take_end() {
                return tokens;
            }
            if depth > 0 && self.take("[") {
                tokens.push(Token::List(self.list(depth)));
                continue;
            }
            let word = self.word(depth, true);
            if !self.take("=") {
                tokens.push(Token::Word(word));
            } else if self.take("[") {
                tokens.push(Token::Pair(word, self.list(depth)));
            } else {
                tokens.push(match self.word(depth, false) {
                    "" => Token::Word(word),
                    value => Token::Pair(word, text(value)),
                });
            }
        }
    }

    /// A list or dictionary whose opening bracket has been taken.
    fn list(&mut self, depth: usize) -> Item<'a> {
        if depth == MAX_DEPTH {
            self.rest = "";
            return Item::List(Vec::new());
        }
        let tokens = self.tokens(depth + 1);
        let keyed = tokens.iter().any(|token| matches!(token, Token::Pair(..)));
        if keyed {
            let pairs = tokens.into_iter().filter_map(|token| match token {
                Token::Pair(key, value) => Some((Cow::Borrowed(key), value)),
                Token::Word(_) | Token::List(_) => None,
            });
            return Item::Dictionary(pairs.collect());
        }
        let items = tokens.into_iter().map(|token| match token {
            Token::Word(word) => text(word),
            Token::List(item) | Token::Pair(_, item) => item,
        });
        Item::List(items.collect())
    }

    /// The characters up to a space, the end of the list, or, for a key, a `=`.
    fn word(&mut self, depth: usize, key: bool) -> &'a str {
        let ends = |(at, c): (usize, char)| match c {
            ' ' => true,
            ']' => depth > 0 && is_end(&self.rest[at..]),
            '=' => key,
            _ => false,
        };
        let end = self.rest.char_indices().find(|place| ends(*place));
        let (word, rest) = self.rest.split_at(end.map_or(self.rest.len(), |(at, _)| at));
        self.rest = rest;
        word
    }

    fn take_end(&mut self) -> bool {
        is_end(self.rest) && self.take("]")
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// Whether this begins with a bracket that ends a list.
fn is_end(rest: &str) -> bool {
    rest.strip_prefix(']')
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ']']))
}

fn flag(word: &str) -> (Cow<'_, str>, Item<'_>) {
    (Cow::Borrowed("flags"), Item::List(vec![text(word)]))
}

fn text(word: &str) -> Item<'_> {
    Item::Bytes(octets::bytes(word))
}
