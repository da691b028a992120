//! What decodes can be encoded, and decodes to the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_common::ng::{Dictionary, bencode};

fuzz_target!(|data: &[u8]| {
    if let Ok((entries, length)) = bencode::decode(data) {
        assert!(length <= data.len());
        let dictionary = Dictionary::from(entries);
        let (again, _) = bencode::decode(&bencode::encode(&dictionary))
            .map(owned)
            .expect("our own bencode");
        assert_eq!(again, dictionary);
    }
});

fn owned((entries, length): (relay_common::ng::Entries<'_>, usize)) -> (Dictionary, usize) {
    (entries.into(), length)
}
