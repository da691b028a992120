use super::datagram::ipv4_mapped;
use super::*;
use proptest::prelude::*;

/// A datagram to the address 0.0.0.0 or ::, with any checksum.
fn frame(ipv6: bool, port: u8, checksum: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(UDP_HEADER + payload.len()).unwrap();
    let mut ip = if ipv6 {
        vec![0; IPV6_HEADER]
    } else {
        vec![0; IPV4_HEADER]
    };
    if ipv6 {
        (ip[0], ip[5], ip[6]) = (0x60, length, PROTOCOL_UDP);
    } else {
        (ip[0], ip[3], ip[9]) = (0x45, 20 + length, PROTOCOL_UDP);
        let checksum = checksum::finish(checksum::sum(&ip));
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    let ethertype = if ipv6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 };
    let udp = [0, 0, 0, port, 0, length, checksum[0], checksum[1]];
    [&[0; 12][..], &ethertype.to_be_bytes(), &ip, &udp, payload].concat()
}

/// An offloaded slot for every combination of flags.
fn slots() -> (Vec<Slot>, Vec<Annex>) {
    let slot = |flags| {
        let other_source = OtherSource::Forward as u8;
        let rule = ForwardRule {
            flags,
            other_source,
            ..ForwardRule::default()
        };
        let mut slot = Slot {
            state: SlotState::Offloaded as u16,
            active: flags & 1,
            ..Slot::default()
        };
        let mut annex = Annex::default();
        slot.set_active_rule(&mut annex, &rule);
        (slot, annex)
    };
    (0..16).map(slot).unzip()
}

proptest! {
    #[test]
    fn nothing_panics_and_the_payload_stays(
        ipv6: bool,
        port in 0_u8..18,
        checksum: [u8; 2],
        first in prop_oneof![Just(0x80), any::<u8>()],
        rest in proptest::collection::vec(any::<u8>(), 0..60),
        changes in proptest::collection::vec((12_usize..80, any::<u8>()), 0..3),
        length in prop_oneof![Just(200), 0_usize..90],
    ) {
        let payload = [&[first], &rest[..]].concat();
        let mut frame = frame(ipv6, port, checksum, &payload);
        let whole = length >= frame.len() && changes.is_empty();
        for (at, value) in changes {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        frame.truncate(length);

        let range = LocalRange { port_max: 20, ..LocalRange::default() };
        let locals = [[0; 4], ipv4_mapped([0; 4])].map(|address| (LocalKey { address, ..LocalKey::default() }, range));
        let route = Route { valid: 1, mtu: 1500, vlans: [0x8100_0001; 2], ..Route::default() };
        let (mut slots, mut annexes) = slots();
        let mut guards = vec![Guard::default(); slots.len()];
        let mut tables = Tables {
            locals: &locals,
            slots: &mut slots,
            annexes: &mut annexes,
            guards: &mut guards,
            routes: &[route],
            passes: &mut [0; PassReason::COUNT as usize],
            drops: &mut [0; DropReason::COUNT as usize],
            limits: &Limits::default(),
            prefixes: &mut [0],
        };
        let mut out = vec![0; frame.len() + MAX_GROWTH];
        let arrival = Arrival { time: 1, coarse: 1, tick: 1, cpu: 0, ifindex: 0 };
        if let Verdict::Redirect { length, .. } = rewrite(&mut tables, arrival, &frame, &mut out)
            && whole
        {
            prop_assert!(out[..length].ends_with(&payload));
        }
    }
}
