//! Bodies of ng messages: what is decoded, what is refused, and that nothing is lost on the way there and back.
#![cfg(feature = "ng")]

use std::borrow::Cow;

use bendy::decoding::{Decoder, FromBencode};
use bendy::encoding::Encoder;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use relay_common::ng::bencode::{self, BencodeError};
use relay_common::ng::{
    BodyError, Dictionary, Format, Frame, Item, MAX_DEPTH, MAX_ITEMS, Request, Value, decode, encode, octets,
};

fn dictionary(body: &[u8]) -> Result<Dictionary, BencodeError> {
    bencode::decode(body).map(|(entries, _)| entries.into())
}

fn pairs(entries: &[(&str, Value)]) -> Dictionary {
    let owned = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()));
    Dictionary(owned.collect())
}

#[test]
fn keys_may_be_unsorted() {
    let decoded = dictionary(b"d3:sdp3:v=07:command5:offere").unwrap();
    assert_eq!(
        decoded,
        pairs(&[("sdp", "v=0".into()), ("command", "offer".into())])
    );
}

#[test]
fn of_duplicate_keys_the_last_one_counts() {
    let decoded = dictionary(b"d1:ai1e1:bi2e1:ai3ee").unwrap();
    assert_eq!(decoded, pairs(&[("b", 2i64.into()), ("a", 3i64.into())]));
    let (_, entries) = decode(br#"{"a":1,"b":2,"a":3}"#).unwrap();
    let found = entries.iter().filter(|(key, _)| key == "a").map(|(_, item)| item);
    assert_eq!(found.collect::<Vec<_>>(), [&Item::Integer(3)]);
}

#[test]
fn strings_are_binary() {
    let (entries, _) = bencode::decode(b"d1:x4:\x00\xff:ee").unwrap();
    assert_eq!(entries[0].1, Item::Bytes(Cow::Borrowed(b"\x00\xff:e")));
}

#[test]
fn the_final_end_may_be_missing_but_no_other() {
    assert_eq!(dictionary(b"d7:command4:ping"), dictionary(b"d7:command4:pinge"));
    assert_eq!(dictionary(b"d"), Ok(Dictionary::new()));
    let list = Value::List(vec!["b".into()]);
    assert_eq!(dictionary(b"d1:al1:be"), Ok(pairs(&[("a", list)])));
    assert_eq!(dictionary(b"d1:al1:b"), Err(BencodeError::Truncated));
    assert_eq!(dictionary(b"d1:ad1:b1:c"), Err(BencodeError::Truncated));
    assert_eq!(dictionary(b"d3:foo"), Err(BencodeError::Truncated));
    assert_eq!(dictionary(b"d3:fo"), Err(BencodeError::Truncated));
    assert_eq!(dictionary(b"d1:ai5"), Err(BencodeError::Truncated));
}

#[test]
fn the_length_of_the_dictionary_is_told() {
    let (_, length) = bencode::decode(b"d1:ai1ee trailing").unwrap();
    assert_eq!(length, b"d1:ai1ee".len());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let error = |body: &[u8]| dictionary(body).unwrap_err();
    assert_eq!(error(b"li1ee"), BencodeError::NotADictionary);
    assert_eq!(error(b"di1ei2ee"), BencodeError::BadKey(1));
    assert_eq!(error(b"d1:axe"), BencodeError::NoValue(4));
    assert_eq!(error(b"d1:aee"), BencodeError::NoValue(4));
    assert_eq!(error(b"d1:aixee"), BencodeError::BadNumber(5));
    assert_eq!(error(b"d1:aiee"), BencodeError::BadNumber(5));
    assert_eq!(error(b"d1:ai9223372036854775808ee"), BencodeError::BadNumber(5));
    assert_eq!(error(b"d99999999999999999999999:ae"), BencodeError::BadNumber(1));
    assert_eq!(error(b"d9223372036854775807:ae"), BencodeError::Truncated);
}

#[test]
fn the_extremes_of_integers_are_decoded() {
    let body = b"d1:ai-9223372036854775808e1:bi9223372036854775807e1:ci-0e1:di007ee";
    let expected = [("a", i64::MIN), ("b", i64::MAX), ("c", 0), ("d", 7)];
    let expected = pairs(&expected.map(|(key, number)| (key, number.into())));
    assert_eq!(dictionary(body), Ok(expected));
}

#[test]
fn depth_is_bounded() {
    let nested = |levels: usize| [b"d1:a".as_slice(), &vec![b'l'; levels], &vec![b'e'; levels + 1]].concat();
    assert!(dictionary(&nested(MAX_DEPTH - 1)).is_ok());
    assert_eq!(dictionary(&nested(MAX_DEPTH)), Err(BencodeError::TooDeep));
    assert_eq!(dictionary(&b"d1:a".repeat(100_000)), Err(BencodeError::TooDeep));

    let json = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(decode(json(MAX_DEPTH - 1).as_bytes()).is_ok());
    assert!(decode(json(MAX_DEPTH).as_bytes()).is_err());
    assert!(decode(json(100_000).as_bytes()).is_err());
}

#[test]
fn the_number_of_values_is_bounded() {
    // The key and the list itself are values too.
    let list = |items: usize| [b"d1:al".as_slice(), &b"0:".repeat(items), b"ee"].concat();
    assert!(dictionary(&list(MAX_ITEMS - 2)).is_ok());
    assert_eq!(dictionary(&list(MAX_ITEMS - 1)), Err(BencodeError::TooMany));

    let json = |items: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(items - 1));
    assert!(decode(json(MAX_ITEMS - 2).as_bytes()).is_ok());
    let one_more = json(MAX_ITEMS - 1);
    let refused = decode(one_more.as_bytes());
    assert!(matches!(refused, Err(BodyError::JsonDictionary)));
}

#[test]
fn json_says_the_same() {
    let body =
        br#"{"command":"offer","on":true,"off":false,"n":-4,"half":0.5,"none":null,"list":["a",{"b":[]}]}"#;
    let (format, entries) = decode(body).unwrap();
    assert_eq!(format, Format::Json);
    let inner = pairs(&[("b", Value::List(Vec::new()))]);
    let expected = pairs(&[
        ("command", "offer".into()),
        ("on", 1i64.into()),
        ("off", 0i64.into()),
        ("n", (-4i64).into()),
        ("half", "0.5".into()),
        ("list", Value::List(vec!["a".into(), inner.into()])),
    ]);
    assert_eq!(Dictionary::from(entries), expected);
}

#[test]
fn a_refused_body_gets_the_text_that_clients_know() {
    let text = |body: &[u8]| Request::parse(body).unwrap_err().to_string();
    assert_eq!(text(b""), "Invalid data (no payload)");
    assert_eq!(text(b"xyz"), "Invalid NG data format");
    assert_eq!(text(b"i42e"), "Invalid NG data format");
    assert_eq!(text(b"l3:fooe"), "Invalid NG data format");
    assert_eq!(text(b"d3:foo"), "Could not decode bencode dictionary");
    assert_eq!(text(b"{\"command\":"), "Failed to parse JSON document");
    assert_eq!(text(b"{\"command\":\"\xff\"}"), "Failed to parse JSON document");
}

#[test]
fn bytes_after_the_dictionary_are_tolerated() {
    for body in [
        "d7:command4:pinge trailing",
        "{ \"command\" : \"ping\" } ",
        "{\"command\":\"ping\"}x",
    ] {
        let request = Request::parse(body.as_bytes()).unwrap();
        assert_eq!(request.command().unwrap(), "ping", "{body}");
    }
}

/// Values as bendy knows them: its dictionaries are sorted.
fn to_bendy(value: &Value) -> bendy::value::Value<'_> {
    match value {
        Value::Integer(number) => bendy::value::Value::Integer(*number),
        Value::Bytes(bytes) => bendy::value::Value::Bytes(Cow::Borrowed(bytes)),
        Value::List(values) => bendy::value::Value::List(values.iter().map(to_bendy).collect()),
        Value::Dictionary(dictionary) => {
            let entries = dictionary.0.iter();
            let pairs = entries.map(|(key, value)| (octets::bytes(key), to_bendy(value)));
            bendy::value::Value::Dict(pairs.collect())
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::List),
            entries(inner).prop_map(Value::Dictionary),
        ]
    })
}

/// Dictionaries with their keys sorted.
fn entries(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Dictionary> {
    let key = prop_oneof![vec(any::<u8>(), 0..8), ".{0,8}".prop_map(String::into_bytes)];
    let text = |(key, value)| (octets::into_text(key), value);
    btree_map(key, inner, 0..8).prop_map(move |map| Dictionary(map.into_iter().map(text).collect()))
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(original in entries(value()), trailing in vec(any::<u8>(), 0..5)) {
        let mut body = bencode::encode(&original);
        let length = body.len();
        body.extend(trailing);
        let (decoded, consumed) = bencode::decode(&body).unwrap();
        prop_assert_eq!(consumed, length);
        prop_assert_eq!(Dictionary::from(decoded), original);
    }

    #[test]
    fn order_is_kept(keys in Just(vec!["z", "a", "m", "c", "b"]).prop_shuffle()) {
        let original: Vec<(&str, Value)> = keys.into_iter().map(|key| (key, key.into())).collect();
        let original = pairs(&original);
        let body = bencode::encode(&original);
        prop_assert_eq!(dictionary(&body), Ok(original));
    }

    #[test]
    fn bendy_agrees(original in entries(value())) {
        let ours = bencode::encode(&original);
        let original = Value::Dictionary(original);
        let mut encoder = Encoder::new().with_max_depth(MAX_DEPTH);
        encoder.emit(to_bendy(&original)).unwrap();
        prop_assert_eq!(&ours, &encoder.get_output().unwrap());
        let mut decoder = Decoder::new(&ours).with_max_depth(MAX_DEPTH);
        let object = decoder.next_object().unwrap().unwrap();
        let decoded = bendy::value::Value::decode_bencode_object(object).unwrap();
        prop_assert_eq!(decoded, to_bendy(&original));
    }

    #[test]
    fn json_is_decoded_again(texts in btree_map("[a-z]{1,5}", "\\PC{0,10}", 0..8)) {
        let original = Dictionary(texts.into_iter().map(|(key, text)| (key, text.into())).collect());
        let body = encode(&original, Format::Json);
        let (_, decoded) = decode(&body).unwrap();
        prop_assert_eq!(Dictionary::from(decoded), original);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Frame::split(&bytes);
        let _ = Request::parse(&bytes);
    }

    /// Bytes that look like bencode get further.
    #[test]
    fn nearly_bencode_does_not_make_it_panic(text in "d([dlie0-9:-]|[0-4]:|i[0-9]{1,3}e|3:abc){0,60}") {
        if let Ok((entries, length)) = bencode::decode(text.as_bytes()) {
            prop_assert!(length <= text.len());
            let again = bencode::encode(&entries.clone().into());
            let (decoded, _) = bencode::decode(&again).unwrap();
            prop_assert_eq!(decoded, entries);
        }
    }

    #[test]
    fn no_truncation_makes_it_panic(original in entries(value()), cut in any::<proptest::sample::Index>()) {
        let body = bencode::encode(&original);
        let _ = bencode::decode(&body[..cut.index(body.len())]);
    }
}
