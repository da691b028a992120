//! What must hold for any packet: for the fuzz targets and the property tests.

use super::{Inbound, MAX_SOURCES, MAX_TRAILER, Outbound};
use crate::security::{MasterKey, Mki, Srtp, Suite};

/// Any bytes as SRTP, by a suite that the first byte chooses: strangers are not let in, and what we protect is understood.
///
/// # Panics
///
/// If something does not hold.
pub fn fuzz_rtp(data: &[u8]) {
    let Some((choice, packet)) = data.split_first() else {
        return;
    };
    let srtp = chosen(*choice);
    let mut inbound = Inbound::new(&srtp);
    let mut stranger = packet.to_vec();
    let _ = inbound.unprotect_rtp(&mut stranger);
    assert!(inbound.source_count() <= 1 && MAX_SOURCES > 1);

    let mut buffer = [packet, &[0; MAX_TRAILER]].concat();
    let mut outbound = Outbound::new(&srtp);
    let Ok(length) = outbound.protect_rtp(&mut buffer, packet.len(), None) else {
        return;
    };
    let opened = inbound.unprotect_rtp(&mut buffer[..length]);
    assert_eq!(opened.map(|opened| opened.length), Ok(packet.len()), "{srtp:?}");
    assert_eq!(&buffer[..packet.len()], packet);
}

/// The same with SRTCP.
///
/// # Panics
///
/// If something does not hold.
pub fn fuzz_rtcp(data: &[u8]) {
    let Some((choice, packet)) = data.split_first() else {
        return;
    };
    let srtp = chosen(*choice);
    let mut inbound = Inbound::new(&srtp);
    let mut stranger = packet.to_vec();
    assert!(
        inbound.unprotect_rtcp(&mut stranger).is_err(),
        "nobody has the key"
    );
    assert_eq!(inbound.source_count(), 0);

    let mut buffer = [packet, &[0; MAX_TRAILER]].concat();
    let mut outbound = Outbound::new(&srtp);
    let Ok(length) = outbound.protect_rtcp(&mut buffer, packet.len(), None) else {
        return;
    };
    let opened = inbound.unprotect_rtcp(&mut buffer[..length]);
    assert_eq!(opened.map(|opened| opened.length), Ok(packet.len()), "{srtp:?}");
    assert_eq!(&buffer[..packet.len()], packet);
}

/// A suite, with an MKI or without, with or without encryption.
fn chosen(choice: u8) -> Srtp {
    let suite = Suite::ALL[usize::from(choice & 0x0f) % Suite::ALL.len()];
    let mut srtp = Srtp::new(MasterKey::cut(suite, [choice; MasterKey::MAX_LENGTH]));
    srtp.mki = (choice & 0x10 != 0).then_some(Mki { value: 7, length: 4 });
    srtp.parameters.unencrypted_srtp = choice & 0x20 != 0;
    srtp.parameters.unencrypted_srtcp = choice & 0x40 != 0;
    srtp.parameters.key_derivation_rate = (choice & 0x80 != 0).then_some(3);
    srtp
}
