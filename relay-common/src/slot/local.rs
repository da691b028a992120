//! Which frames are for this host, and which slots their ports have.
//!
//! An address belongs to the device that has it: a frame is the relay's only if it came in there, with the tags of that
//! VLAN, for the Ethernet address of that device. The stack is less strict about some of it and stricter about other parts:
//! whatever does not fit is left to it.

use super::Address;

/// Key of the map from a local address to its range of slots.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalKey {
    /// The destination address of received packets.
    pub address: Address,
    /// The device that the program receives them from.
    pub ifindex: u32,
    /// The VLAN tags that it finds in them, as [`vlan_tag`] writes them, outer first.
    pub vlans: [u16; 2],
}

/// [`LocalKey::ifindex`] of the entry for frames that come in any other way (without tags in the key). The stack may take
/// them for its own all the same (the weak host model), so they are left to it; but no more of them than of other unexpected
/// packets. Its [`LocalRange::mac`] means nothing.
pub const ANY_DEVICE: u32 = 0;

/// Where the slots of one local address lie: port `p` has slot `base + p - port_min`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalRange {
    /// Slot of the lowest port.
    pub base: u32,
    /// Lowest port of the range, host byte order.
    pub port_min: u16,
    /// Highest port of the range, host byte order, inclusive.
    pub port_max: u16,
    /// The Ethernet address that frames must be for.
    pub mac: [u8; 6],
    /// Reserved; 0.
    pub reserved: u16,
}

/// A copy of an entry of the map of local addresses, found by [`local_hint`] in an array: hashing would be a
/// quarter of what a packet costs the program. Keys that share an index are found in the map, all but
/// one. One line of memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalHint {
    /// 1 while the entry may be used. Made 0, and everywhere so, before the rest changes.
    pub valid: u32,
    /// The key.
    pub key: LocalKey,
    /// Its slots.
    pub range: LocalRange,
    /// Reserved; 0.
    pub reserved: [u32; 5],
}

/// Number of entries of the map of [`LocalHint`]s.
pub const LOCAL_HINTS: u32 = 256;

/// Index of a key in the map of [`LocalHint`]s: the last byte of its address, moved by where it is.
#[inline(always)]
pub const fn local_hint(key: &LocalKey) -> u32 {
    let last = u32::from_be(key.address[3]);
    let place = key.ifindex.wrapping_mul(64) ^ key.vlans[0] as u32 ^ (key.vlans[1] as u32) << 4;
    last.wrapping_add(place) % LOCAL_HINTS
}

/// A VLAN tag in [`LocalKey::vlans`]: number and protocol; 0 for one that says no more than a priority, as if it were not
/// there.
#[inline(always)]
pub const fn vlan_tag(tpid: u16, tci: u16) -> u16 {
    const SERVICE: u16 = 0x88a8;
    let id = tci & 0xfff;
    match (id, tpid) {
        (0, _) => 0,
        (_, SERVICE) => id | 0x8000,
        _ => id,
    }
}

// The program and the daemon are compiled separately.
const _: () = {
    assert!(size_of::<LocalKey>() == 24 && size_of::<LocalRange>() == 16 && size_of::<LocalHint>() == 64);
};
