//! Options that change lists in the SDP: codecs, header extensions, attributes, media sections.

use std::borrow::Cow;
use std::path::Path;

use relay_common::ng::{Item, octets};

use crate::call::{CodecOptions, CodecPattern, CodecSpec, Extensions, Music, MusicSource, SignalOptions};
use crate::sdp::{AttributeEdit, AttributeEdits, Place};

use super::RequestError;
use super::options::Applied;

/// `codec`: a dictionary of lists.
pub(super) fn codecs(codecs: &mut CodecOptions, item: &Item<'_>, mut notice: impl FnMut(Applied, &str)) {
    let Item::Dictionary(lists) = item else {
        return notice(Applied::No, "codec");
    };
    for (list, names) in lists {
        for name in names.strings() {
            match codec(codecs, list, &name) {
                Applied::Yes => {}
                heard @ (Applied::NotYet | Applied::No) => notice(heard, &format!("codec-{list}")),
            }
        }
    }
}

/// A codec in one of the lists of `codec`.
pub(super) fn codec(codecs: &mut CodecOptions, list: &str, name: &str) -> Applied {
    let name = &*name.replace("--", "=");
    let list = match list {
        "strip" => &mut codecs.strip,
        "mask" => &mut codecs.mask,
        "consume" => {
            codecs.mask.push(CodecPattern::from(name));
            &mut codecs.accept
        }
        "offer" => &mut codecs.offer,
        "except" => &mut codecs.except,
        "ignore" => &mut codecs.ignore,
        "accept" => &mut codecs.accept,
        "transcode" => {
            codecs.transcode.push(CodecSpec::from(name));
            // In the SDP alone.
            return Applied::NotYet;
        }
        "set" => return Applied::NotYet,
        _ => return Applied::No,
    };
    list.push(CodecPattern::from(name));
    Applied::Yes
}

/// `moh`: a dictionary that says where the music comes from. What it says of how the party on hold is told is checked, no
/// more: it is told as the sender says.
pub(super) fn music(item: &Item<'_>, mut notice: impl FnMut(Applied, &str)) -> Option<Music> {
    let Item::Dictionary(entries) = item else {
        return None;
    };
    for (key, value) in entries {
        let heard = match (&**key, value.text().as_deref()) {
            ("mode", Some("sendonly" | "sendrecv" | "reflect")) | ("connection", Some("zero")) => {
                Applied::NotYet
            }
            ("file" | "blob" | "blob64" | "db-id", _) => Applied::Yes,
            _ => Applied::No,
        };
        notice(heard, &format!("moh-{key}"));
    }
    entries.iter().find_map(|(key, value)| {
        let (source, is_there) = match &**key {
            "file" => (MusicSource::File, Path::new(&*value.text()?).is_file()),
            "blob" | "blob64" => (MusicSource::Blob, true),
            "db-id" => (MusicSource::Database, false),
            _ => return None,
        };
        Some(Music { source, is_there })
    })
}

/// `extmap`: a dictionary of lists of names.
pub(super) fn extmap(options: &mut SignalOptions, item: &Item<'_>) -> Applied {
    let Item::Dictionary(lists) = item else {
        return Applied::No;
    };
    for (list, names) in lists {
        let extensions = match &**list {
            "strip" => &mut options.stripped_extensions,
            "mask" => &mut options.masked_extensions,
            _ => return Applied::No,
        };
        for name in names.strings() {
            add_extension(extensions, &name);
        }
    }
    Applied::Yes
}

/// A header extension; `all` for all of them.
pub(super) fn add_extension(extensions: &mut Extensions, name: &str) {
    match extensions {
        _ if name == "all" => *extensions = Extensions::All,
        Extensions::All => {}
        Extensions::None => *extensions = Extensions::Named(vec![name.to_owned()]),
        Extensions::Named(names) => names.push(name.to_owned()),
    }
}

/// `sdp-attr`: `{ SECTION: { "add": [..], "remove": [..], "substitute": [[from, to], ..] }, .. }`
pub(super) fn attributes(edits: &mut AttributeEdits, item: &Item<'_>) -> Result<(), RequestError> {
    let Item::Dictionary(sections) = item else {
        return Err(RequestError::WrongType);
    };
    for (section, changes) in sections {
        let Item::Dictionary(changes) = changes else {
            return Err(RequestError::WrongContent);
        };
        let place = Place::named(section).ok_or(RequestError::UnknownSection)?;
        for (change, items) in changes {
            let edit: fn(&Item<'_>) -> Option<AttributeEdit> = match &**change {
                "add" => |item| addition(&item.text()?),
                "remove" => |item| Some(AttributeEdit::Remove(unescaped(&item.text()?))),
                "substitute" => substitution,
                _ => return Err(RequestError::UnknownChange),
            };
            let found = elements(items).filter_map(|item| edit(&item));
            edits.0.extend(found.map(|edit| (place, edit)));
        }
    }
    Ok(())
}

/// The elements of a list, but for integers; a string is the list of its parts between commas.
fn elements<'i>(items: &'i Item<'_>) -> impl Iterator<Item = Cow<'i, Item<'i>>> {
    let list = items.list().unwrap_or_default().iter().map(Cow::Borrowed);
    let parts = match items {
        Item::Bytes(_) => items.strings(),
        Item::Integer(_) | Item::List(_) | Item::Dictionary(_) => Vec::new(),
    };
    let parts = parts.into_iter().map(|part| Cow::Owned(bytes(&part)));
    list.chain(parts)
        .filter(|item| !matches!(&**item, Item::Integer(_)))
}

fn bytes(text: &str) -> Item<'static> {
    Item::Bytes(Cow::Owned(octets::bytes(text).into_owned()))
}

/// `[from, to]`, or `from>to`.
fn substitution(pair: &Item<'_>) -> Option<AttributeEdit> {
    if let Item::List(_) = pair {
        return match &pair.strings()[..] {
            [from, to, ..] => replacement(from, to),
            _ => None,
        };
    }
    let text = pair.text()?;
    let (from, to) = text.split_once('>')?;
    replacement(from, to)
}

/// A line without a name would be none.
fn addition(line: &str) -> Option<AttributeEdit> {
    let line = unescaped(line);
    let line = line.strip_prefix("a=").unwrap_or(&line);
    (!line.is_empty()).then(|| AttributeEdit::Add(line.to_owned()))
}

fn replacement(from: &str, to: &str) -> Option<AttributeEdit> {
    let [from, to] = [from, to].map(unescaped);
    (!from.is_empty() && !to.is_empty()).then_some(AttributeEdit::Substitute(from, to))
}

/// One line, in which `--` stands for `=` and `..` for a space.
fn unescaped(text: &str) -> String {
    one_line(text).replace("--", "=").replace("..", " ")
}

/// What follows `sdp-attr-` in a flag: `add-SECTION-LINE`, `remove-SECTION-LINE` or `substitute-SECTION-FROM>TO`, with `--`
/// for `=` and `..` for a space.
pub(super) fn attribute(edits: &mut AttributeEdits, flag: &str) -> Applied {
    let edit = || {
        let (change, rest) = flag.split_once('-')?;
        let (section, line) = rest.split_once('-')?;
        let place = Place::named(section)?;
        let edit = match change {
            "add" => addition(line)?,
            "remove" => AttributeEdit::Remove(unescaped(line)),
            "substitute" => {
                let (from, to) = line.split_once('>')?;
                replacement(from, to)?
            }
            _ => return None,
        };
        Some((place, edit))
    };
    match edit() {
        Some(edit) => {
            edits.0.push(edit);
            Applied::Yes
        }
        None => Applied::No,
    }
}

/// The text up to the first line end: an attribute must not bring other lines with it.
fn one_line(text: &str) -> String {
    text.split(['\r', '\n']).next().unwrap_or_default().to_owned()
}

/// `sdp-media-remove`: a list of kinds of media.
pub(super) fn removed_media(item: &Item<'_>) -> Result<Vec<&'static str>, RequestError> {
    let Item::List(kinds) = item else {
        return Err(RequestError::WrongType);
    };
    let names = kinds.iter().filter(|kind| matches!(kind, Item::Bytes(_)));
    let kinds = names.map(|kind| Place::kind(&kind.text()?));
    kinds
        .collect::<Option<Vec<&str>>>()
        .ok_or(RequestError::UnknownSection)
}
