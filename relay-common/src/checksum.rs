//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! Sums are kept unfolded in 64 bits. One's complement addition does not care about word size or
//! byte order (RFC 1071 section 2), so 16 and 32 bit words may be added as they lie in memory, as
//! long as all sums and the checksum itself are read in the same byte order.

/// The one's complement sum of `bytes` as big-endian 16-bit words, an odd last byte padded with zero.
///
/// ```
/// # use relay_common::checksum::{fold, sum};
/// assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
/// ```
pub fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2);
    words
        .map(|word| u64::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)])))
        .sum()
}

/// Folds a sum to the 16 bits that a checksum field holds, not complemented. A sum that is not zero
/// never folds to zero.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the additions leave no more than 16 bits"
)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// The checksum field of data that sums to `sum`.
#[inline(always)]
pub const fn finish(sum: u64) -> u16 {
    !fold(sum)
}

/// The checksum field after words that sum to `removed` gave way to words that sum to `added`
/// (RFC 1624 equation 3). A checksum that was wrong stays wrong.
#[inline(always)]
pub const fn update(checksum: u16, removed: u64, added: u64) -> u16 {
    finish(!checksum as u64 + !fold(removed) as u64 + added)
}

/// A UDP checksum as it is sent: zero would mean "none" and is sent as its other form (RFC 768).
#[inline(always)]
pub const fn udp(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_rfcs() {
        // RFC 1624 section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
        assert_eq!(udp(0), 0xffff);
        assert_eq!(udp(0x1234), 0x1234);
    }

    #[test]
    fn folding_takes_every_carry() {
        assert_eq!(fold(u64::MAX), 0xffff);
        assert_eq!(fold(0x1_0000), 1);
        assert_eq!(fold(0xffff_ffff), 0xffff);
        assert_eq!(fold(0), 0);
    }

    #[test]
    fn an_odd_byte_is_padded() {
        assert_eq!(sum(&[0x12, 0x34, 0x56]), 0x1234 + 0x5600);
    }

    proptest! {
        #[test]
        fn an_update_equals_a_fresh_checksum(
            data in proptest::collection::vec(any::<u8>(), 4..64),
            new in any::<[u8; 4]>(),
            at in 0_usize..16,
        ) {
            let at = (at * 4).min(data.len() / 4 * 4 - 4);
            let before = udp(finish(17 + sum(&data)));
            let mut changed = data.clone();
            changed[at..at + 4].copy_from_slice(&new);
            // 17 stands for the pseudo-header's protocol: a sum on the wire is never zero.
            let fresh = udp(finish(17 + sum(&changed)));
            prop_assert_eq!(udp(update(before, sum(&data[at..at + 4]), sum(&new))), fresh);
        }

        #[test]
        fn byte_order_and_word_size_do_not_matter(words in proptest::collection::vec(any::<u32>(), 0..16)) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let native = fold(words.iter().map(|&word| u64::from(word)).sum());
            prop_assert_eq!(native.to_ne_bytes(), fold(sum(&bytes)).to_be_bytes());
        }
    }
}
