//! Sections, random bytes and fingerprints for tests.

use std::sync::Arc;

use crate::dtls::{Credentials, fuzz};
use crate::sdp::{Description, MediaSection};
use crate::security::OwnFingerprints;

/// A media section with attribute lines.
pub(in crate::call) fn section(protocol: &str, lines: &str) -> MediaSection {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 {protocol} 0\r\n{lines}"
    );
    let description = Description::parse(&sdp).expect("a valid SDP");
    description.media.into_iter().next().expect("a section")
}

/// Bytes that differ each time.
pub(in crate::call) fn counting() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |bytes| {
        for byte in bytes {
            next = next.wrapping_mul(181).wrapping_add(101);
            *byte = next;
        }
    }
}

/// Credentials whose fingerprints are those of no certificate.
pub(crate) fn own_credentials() -> Arc<Credentials> {
    let fingerprints = OwnFingerprints::compute(|hash| vec![0xAB; hash.length()]);
    let context = fuzz::credentials().context().clone();
    Arc::new(Credentials::new(fingerprints, context))
}
