//! The samples of RFC 5769, and messages of our own.

use proptest::prelude::*;

use super::*;
use crate::security::IceRole;

const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 section 2.1.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
    802200105354554e207465737420636c69656e74\
    002400046e0001ff\
    80290008932ff9b151263b36\
    000600096576746a3a68367659202020\
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
    80280004e57a3bcf";

/// RFC 5769 section 2.2.
const RESPONSE_V4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220\
    002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7\
    80280004c07d4c96";

/// RFC 5769 section 2.3.
const RESPONSE_V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220\
    002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed41\
    80280004c8fb0b4c";

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn the_sample_request() {
    let bytes = bytes(REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.class, Class::Request);
    assert_eq!(message.transaction, bytes[8..20]);
    assert_eq!(message.username, Some(&b"evtj:h6vY"[..]));
    assert_eq!(message.priority, Some(0x6e00_01ff));
    assert_eq!(
        message.claim,
        Some(Claim {
            role: IceRole::Controlled,
            tie_breaker: 0x932f_f9b1_5126_3b36
        })
    );
    assert!(!message.use_candidate);
    assert!(message.unknown.is_empty());
    assert!(message.is_signed_with(&Key::new(PASSWORD)));
    assert!(!message.is_signed_with(&Key::new(b"another")));
}

#[test]
fn the_sample_responses() {
    for (digits, address) in [
        (RESPONSE_V4, "192.0.2.1:32853"),
        (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let bytes = bytes(digits);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.class, Class::Success);
        assert_eq!(message.mapped, Some(address.parse().unwrap()));
        assert!(message.is_signed_with(&Key::new(PASSWORD)));
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    for digits in [REQUEST, RESPONSE_V4, RESPONSE_V6] {
        let whole = bytes(digits);
        for index in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[index] ^= 0x04;
            assert!(Message::parse(&damaged).is_err(), "byte {index}");
        }
        for length in 0..whole.len() {
            assert!(Message::parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn a_signature_covers_what_a_new_fingerprint_does_not() {
    let mut forged = bytes(REQUEST);
    forged[47] ^= 1; // the priority
    let end = forged.len() - 8;
    let checksum = integrity::checksum(&forged[..end]) ^ FINGERPRINT_MASK;
    forged[end + 4..].copy_from_slice(&checksum.to_be_bytes());
    let message = Message::parse(&forged).unwrap();
    assert!(!message.is_signed_with(&Key::new(PASSWORD)));
}

#[test]
fn errors_and_what_is_not_understood() {
    let mut buffer = vec![7];
    let mut writer = Writer::new(&mut buffer, Class::Error, [1; 12]);
    writer.error(code::UNKNOWN_ATTRIBUTE);
    writer.unknown(&[0x7777, 0x0002, 0x0003]);
    writer.finish(None);
    let message = Message::parse(&buffer[1..]).unwrap();
    assert_eq!((message.class, message.error), (Class::Error, Some(420)));
    assert!(!message.is_signed());
    assert!(!message.is_signed_with(&Key::new(b"")));

    let mut request = Vec::new();
    let mut writer = Writer::new(&mut request, Class::Request, [1; 12]);
    writer.attribute(0x7777, &[1, 2, 3]);
    writer.attribute(0xC057, &[1, 2, 3, 4]);
    writer.finish(None);
    assert_eq!(Message::parse(&request).unwrap().unknown.as_slice(), [0x7777]);
}

#[test]
fn passwords_longer_than_a_block_are_hashed() {
    // RFC 2202 section 3, test case 6.
    let signature =
        Key::new(&[0xaa; 80]).sign(&[b"Test Using Larger Than Block-Size Key - ", b"Hash Key First"]);
    assert_eq!(
        signature.to_vec(),
        bytes("aa4ae5e15272d00e95705637ce8a3b55ed402112")
    );
}

#[test]
fn the_checksum_is_that_of_ethernet() {
    assert_eq!(integrity::checksum(b"123456789"), 0xCBF4_3926);
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        fuzz::fuzz(&bytes);
    }

    /// Bytes with a header and a fingerprint that are right, so that the attributes get looked at.
    #[test]
    fn any_attributes(
        kind in prop::sample::select(vec![0x0001_u16, 0x0101, 0x0011, 0x0111]),
        transaction: [u8; 12],
        attributes in prop::collection::vec(
            (prop::sample::select(vec![1_u16, 6, 8, 9, 10, 0x20, 0x24, 0x25, 0x77, 0x8029, 0x802a, 0x8028]),
             prop::collection::vec(any::<u8>(), 0..24)),
            0..6,
        ),
    ) {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, Class::Request, transaction);
        for (kind, value) in &attributes {
            writer.attribute(*kind, value);
        }
        writer.finish(None);
        buffer[..2].copy_from_slice(&kind.to_be_bytes());
        let end = buffer.len() - 8;
        let checksum = integrity::checksum(&buffer[..end]) ^ FINGERPRINT_MASK;
        buffer[end + 4..].copy_from_slice(&checksum.to_be_bytes());
        fuzz::fuzz(&buffer);
    }
}
