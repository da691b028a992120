//! Lists and dictionaries in requests about media.

use std::net::{IpAddr, SocketAddr};

use relay_common::ng::{Entries, Item};

use crate::call::{MeshLink, Tag};

use super::options;

/// How many sections `create` and `transform` take, and how many names a list.
const MOST_MEDIA: usize = 64;

/// An entry of `media` or `medias`.
#[derive(Debug)]
pub(super) struct MediaEntry {
    pub(super) id: String,
    /// None where nothing is said of it.
    pub(super) kind: Option<String>,
    pub(super) codecs: Vec<String>,
    pub(super) destination: Option<SocketAddr>,
}

/// A telephone event: 0 to 15, or a character of a keypad.
pub(super) fn event_code(item: &Item<'_>) -> Option<u8> {
    if let Some(code) = item.integer() {
        return u8::try_from(code).ok().filter(|code| *code < 16);
    }
    let text = item.text()?;
    let mut characters = text.chars();
    let (Some(character), None) = (characters.next(), characters.next()) else {
        return None;
    };
    let code = "0123456789*#ABCD".find(character)?;
    u8::try_from(code).ok()
}

/// The strings of a list, of a bounded number.
pub(super) fn names<'i>(item: &'i Item<'_>) -> impl Iterator<Item = String> + use<'i> {
    let names: Vec<String> = item.strings().into_iter().map(|name| name.into_owned()).collect();
    names.into_iter().filter(|name| !name.is_empty())
}

/// `[{from, to: [...]}]`
pub(super) fn mesh_links(item: &Item<'_>) -> Vec<MeshLink> {
    let Item::List(entries) = item else {
        return Vec::new();
    };
    let none = Vec::new();
    let link = |entry: &Item<'_>| {
        // What is no dictionary says nothing.
        let fields = match entry {
            Item::Dictionary(fields) => fields,
            Item::Integer(_) | Item::Bytes(_) | Item::List(_) => &none,
        };
        let to = field(fields, "to").map(|to| names(to).map(|tag| Tag::from(&*tag)).collect());
        MeshLink {
            from: Tag::from(&*field(fields, "from").and_then(Item::text).unwrap_or_default()),
            to: to.unwrap_or_default(),
        }
    };
    entries.iter().map(link).collect()
}

/// A list of kinds, or of `{id, type, codec: [...], destination: {address, port}}`.
pub(super) fn media_entries(item: &Item<'_>) -> Vec<MediaEntry> {
    let of_kind = |kind: String| MediaEntry {
        id: String::new(),
        kind: Some(kind),
        codecs: Vec::new(),
        destination: None,
    };
    let entry = |item: &Item<'_>| match item {
        Item::Dictionary(fields) => {
            let text = |name| Some(field(fields, name)?.text()?.into_owned());
            Some(MediaEntry {
                id: text("id").unwrap_or_default(),
                kind: text("type").filter(|kind| is_kind(kind)),
                codecs: field(fields, "codec")
                    .or(field(fields, "codecs"))
                    .map(|list| names(list).collect())
                    .unwrap_or_default(),
                destination: field(fields, "destination").and_then(destination),
            })
        }
        Item::Bytes(_) => item
            .text()
            .map(|kind| kind.into_owned())
            .filter(|kind| is_kind(kind))
            .map(of_kind),
        Item::Integer(_) | Item::List(_) => None,
    };
    match item {
        Item::List(items) => items.iter().filter_map(entry).take(MOST_MEDIA).collect(),
        Item::Bytes(_) | Item::Integer(_) | Item::Dictionary(_) => names(item)
            .filter(|kind| is_kind(kind))
            .map(of_kind)
            .take(MOST_MEDIA)
            .collect(),
    }
}

/// Whether a word may stand in `m=`.
fn is_kind(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn destination(item: &Item<'_>) -> Option<SocketAddr> {
    let Item::Dictionary(fields) = item else {
        return None;
    };
    let address: IpAddr = options::address(field(fields, "address")?)?;
    let port = u16::try_from(field(fields, "port")?.integer()?).ok()?;
    Some(SocketAddr::new(address, port)).filter(|address| port != 0 && !address.ip().is_unspecified())
}

fn field<'i, 'a>(fields: &'i Entries<'a>, name: &str) -> Option<&'i Item<'a>> {
    fields.iter().find(|(key, _)| key == name).map(|(_, item)| item)
}
