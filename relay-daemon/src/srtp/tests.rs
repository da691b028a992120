//! Test vectors of the RFCs, and what holds for every suite.

mod attacks;
mod suites;
mod vectors;

use super::*;
use crate::security::{MasterKey, Srtp, Suite};

fn key(suite: Suite, fill: u8) -> Srtp {
    Srtp::new(MasterKey::cut(suite, [fill; MasterKey::MAX_LENGTH]))
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 160]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..160).map(|byte: u8| byte ^ sequence.to_be_bytes()[1]));
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x81, 202, 0, 4]);
    packet.extend([7; 16]);
    packet
}

/// The protected packet.
fn protected(outbound: &mut Outbound, packet: &[u8]) -> Result<Vec<u8>, Error> {
    let mut buffer = [packet, &[0; MAX_TRAILER]].concat();
    let length = match packet[1] {
        194..=223 => outbound.protect_rtcp(&mut buffer, packet.len(), None)?,
        _ => outbound.protect_rtp(&mut buffer, packet.len(), None)?,
    };
    buffer.truncate(length);
    Ok(buffer)
}

/// The packet without protection.
fn opened(inbound: &mut Inbound, packet: &[u8]) -> Result<Vec<u8>, Error> {
    let mut buffer = packet.to_vec();
    let opened = match packet[1] {
        194..=223 => inbound.unprotect_rtcp(&mut buffer)?,
        _ => inbound.unprotect_rtp(&mut buffer)?,
    };
    buffer.truncate(opened.length);
    Ok(buffer)
}
