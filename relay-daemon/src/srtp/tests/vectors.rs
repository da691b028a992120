//! RFC 3711 appendix B, RFC 6188 section 7, RFC 7714 sections 16 and 17.

use super::*;
use crate::srtp::derive::{Label, derive};
use crate::srtp::transform::{AesKey, Cipher, F8, Which, aead_key, aead_open, aead_seal};

fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The key stream of counter mode: the first three blocks, and three around block 0xff00.
fn check_counter_mode(key: &str, blocks: [&str; 6]) {
    let salt = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000").try_into().unwrap();
    let cipher = Cipher::Counter(AesKey::new(&bytes(key)).unwrap(), salt);
    let which = Which {
        ssrc: 0,
        index: 0,
        rtcp: false,
    };
    let mut stream = vec![0; 0xff02 * 16];
    cipher.apply(&which, 0, &[], &mut stream);
    let stream: Vec<&[u8]> = stream.chunks(16).collect();
    for (place, block) in [0, 1, 2, 0xfeff, 0xff00, 0xff01].into_iter().zip(blocks) {
        assert_eq!(stream[place], bytes(block), "block {place:x}");
    }
}

#[test]
fn aes_128_counter_mode() {
    check_counter_mode(
        "2B7E151628AED2A6ABF7158809CF4F3C",
        [
            "E03EAD0935C95E80E166B16DD92B4EB4",
            "D23513162B02D0F72A43A2FE4A5F97AB",
            "41E95B3BB0A2E8DD477901E4FCA894C0",
            "EC8CDF7398607CB0F2D21675EA9EA1E4",
            "362B7C3C6773516318A077D7FC5073AE",
            "6A2CC3787889374FBEB4C81B17BA6C44",
        ],
    );
}

#[test]
fn aes_192_counter_mode() {
    check_counter_mode(
        "eab234764e517b2d3d160d587d8c86219740f65f99b6bcf7",
        [
            "35096cba4610028dc1b57503804ce37c",
            "5de986291dcce161d5165ec4568f5c9a",
            "474a40c77894bc17180202272a4c264d",
            "d108d1a31a00bad6367ec23eb044b415",
            "c8f57129fdeb970b59f917b257662d4c",
            "a5dab625811034e8cebdfeb6dc158dd3",
        ],
    );
}

#[test]
fn aes_256_counter_mode() {
    check_counter_mode(
        "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
        [
            "92bdd28a93c3f52511c677d08b5515a4",
            "9da71b2378a854f67050756ded165bac",
            "63c4868b7096d88421b563b8c94c9a31",
            "cea518c90fd91ced9cbb18c078a54711",
            "3dbc4814f4da5f00a08772b63c6a046d",
            "6eb246913062a16891433e97dd01a57f",
        ],
    );
}

#[test]
fn aes_f8() {
    let key = bytes("234829008467be186c3de14aae72d62c").try_into().unwrap();
    let mut salt = [0x55; 14];
    salt[..4].copy_from_slice(&bytes("32f2870d"));
    let which = Which {
        ssrc: 0x5c62_1599,
        index: 0xd462_564a_5cba,
        rtcp: false,
    };
    let header = bytes("806E5CBA50681DE55C621599");
    let mut text = b"pseudorandomness is the next best thing".to_vec();
    Cipher::F8(F8::new(key, salt)).apply(&which, 0, &header, &mut text);
    let expected = "019ce7a26e7854014a6366aa95d4eefd1ad4172a14f9faf455b7f1d4b62bd08f562c0eef7c4802";
    assert_eq!(text, bytes(expected));
}

/// Cipher key, salt, authentication key.
fn check_derivation(suite: Suite, key: &str, salt: &str, expected: [&str; 3]) {
    let (key, salt) = (bytes(key), bytes(salt));
    let prf = AesKey::new(&key).unwrap();
    let master = MasterKey::new(suite, &[key, salt].concat()).unwrap();
    let cipher_key: [u8; 32] = derive(&master, &prf, Label::RtpEncryption, 0);
    assert_eq!(cipher_key[..suite.key_length()], bytes(expected[0]));
    let salt: [u8; 14] = derive(&master, &prf, Label::RtpSalt, 0);
    assert_eq!(salt.as_slice(), bytes(expected[1]));
    let whole: [u8; 94] = derive(&master, &prf, Label::RtpAuthentication, 0);
    let expected = bytes(expected[2]);
    assert_eq!(whole[..expected.len()], expected);
}

#[test]
fn key_derivation() {
    check_derivation(
        Suite::AesCm128HmacSha1_80,
        "E1F97A0D3E018BE0D64FA32C06DE4139",
        "0EC675AD498AFEEBB6960B3AABE6",
        [
            "C61E7A93744F39EE10734AFE3FF7A087",
            "30CBBC08863D8C85D49DB34A9AE1",
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF722\
             70986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DB\
             DFB2",
        ],
    );
    check_derivation(
        Suite::Aes192CmHmacSha1_80,
        "73edc66c4fa15776fb57f9505c17136550ffda71f3e8e5f1",
        "c8522f3acd4ce86d5add78edbb11",
        [
            "31874736a8f1143870c26e4857d8a5b2c4a354407faadabb",
            "2372b82d639b6d8503a47adc0a6c",
            "355b10973cd95b9eacf4061c7e1a7151e7cfbfcb",
        ],
    );
    check_derivation(
        Suite::Aes256CmHmacSha1_80,
        "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
        "3b04803de51ee7c96423ab5b78d2",
        [
            "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
            "fa31791685ca444a9e07c6c64e93",
            "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05",
        ],
    );
}

const SALT: &[u8; 12] = b"Quid pro quo";

#[test]
fn gcm_rtp() {
    let packet = bytes(
        "8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e6973206469766973612069 6e207061727465732074726573",
    );
    let which = Which {
        ssrc: 0x5501_a0b2,
        index: 0xf17b,
        rtcp: false,
    };
    let keys: Vec<u8> = (0..32).collect();
    for (key, expected) in [
        (
            &keys[..16],
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            &keys,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ] {
        let key = aead_key(key).unwrap();
        let (header, text) = packet.split_at(12);
        let mut sealed = text.to_vec();
        let tag = aead_seal(&key, SALT, &which, header, &mut sealed).unwrap();
        sealed.extend(tag);
        assert_eq!(sealed, bytes(expected));
        aead_open(&key, SALT, &which, header, &mut sealed).unwrap();
        assert_eq!(&sealed[..text.len()], text);
    }
}

#[test]
fn gcm_rtcp() {
    let packet = bytes(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61\
         deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    );
    let which = Which {
        ssrc: 0x4d61_7273,
        index: 0x5d4,
        rtcp: true,
    };
    let key: Vec<u8> = (0..16).collect();
    let additional = [&packet[..8], &bytes("800005d4")].concat();
    let mut text = packet[8..].to_vec();
    let tag = aead_seal(&aead_key(&key).unwrap(), SALT, &which, &additional, &mut text).unwrap();
    let expected = "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded\
                    0bb9275bc84aa45896cf4d2fc5abf87245d9eade";
    assert_eq!([text, tag.to_vec()].concat(), bytes(expected));
}

/// What a widespread implementation makes of a packet with the keys of RFC 3711 appendix B.3.
#[test]
fn a_whole_packet() {
    let key = bytes("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6");
    let srtp = Srtp::new(MasterKey::new(Suite::AesCm128HmacSha1_80, &key).unwrap());
    let plain = bytes("800f1234decafbadcafebabeabababababababababababababababab");
    let wire = bytes("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb");
    assert_eq!(protected(&mut Outbound::new(&srtp), &plain).unwrap(), wire);
    assert_eq!(opened(&mut Inbound::new(&srtp), &wire).unwrap(), plain);
}
