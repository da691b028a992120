//! Words made of random characters.

use std::sync::Arc;

/// Fills a buffer with random bytes.
pub(in crate::call) type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// So many of `0-9a-f`.
pub(in crate::call) fn hexadecimal(length: usize, random: Random<'_>) -> Arc<str> {
    word(b"0123456789abcdef", length, random)
}

/// So many of `A-Za-z0-9`.
pub(in crate::call) fn alphanumeric(length: usize, random: Random<'_>) -> Arc<str> {
    word(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        length,
        random,
    )
}

fn word(characters: &[u8], length: usize, random: Random<'_>) -> Arc<str> {
    let mut bytes = vec![0; length * 4];
    random(&mut bytes);
    let (numbers, _) = bytes.as_chunks::<4>();
    // With 32 bits a character the remainder prefers none by more than some billionths.
    let character = |number: &[u8; 4]| characters[u32::from_ne_bytes(*number) as usize % characters.len()];
    let word: String = numbers
        .iter()
        .map(|number| char::from(character(number)))
        .collect();
    Arc::from(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_wanted_length_and_characters() {
        let mut state = 0_u8;
        let mut random = |bytes: &mut [u8]| {
            for byte in bytes {
                state = state.wrapping_mul(181).wrapping_add(53);
                *byte = state;
            }
        };
        let tls_id = hexadecimal(32, &mut random);
        assert_eq!(tls_id.len(), 32);
        assert!(tls_id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
        let pwd = alphanumeric(26, &mut random);
        assert_eq!(pwd.len(), 26);
        assert!(pwd.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(pwd, alphanumeric(26, &mut random));
    }
}
