//! The new headers.

use core::mem::offset_of;

use aya_ebpf::helpers::bpf_xdp_adjust_head;
use aya_ebpf::programs::XdpContext;
use relay_common::checksum;
use relay_common::slot::{PassReason, Route, RuleHead};

use crate::access::Packet;
use crate::datagram::Datagram;
use crate::headers::{Ethernet, Udp, Vlan, WithUdp};
use crate::ip::Ip;
use crate::port::Rule;

/// Writes new headers in front of the payload, which stays where it is: a datagram that came over `In`
/// goes on over `Out`.
#[inline(always)]
pub fn rewrite<In: Ip, Out: Ip>(
    ctx: &XdpContext,
    datagram: &Datagram<In>,
    rule: Rule,
    route: &Route,
) -> Result<(), PassReason> {
    let length = u16::from_be(datagram.length);
    let ip_length = size_of::<Out>() as u32 + length as u32;
    if ip_length > route.mtu as u32 {
        return Err(PassReason::TooBig);
    }
    let tags = match route.vlans {
        [0, _] => 0,
        [_, 0] => 1,
        _ => 2,
    };
    let ip = size_of::<Ethernet>() + tags * size_of::<Vlan>();
    let surplus = datagram.payload as i32 - (ip + size_of::<WithUdp<Out>>()) as i32;
    // SAFETY: the helper checks its arguments. All pointers into the packet end here.
    if surplus != 0 && unsafe { bpf_xdp_adjust_head(ctx.ctx, surplus) } != 0 {
        return Err(PassReason::Unsupported);
    }

    let addresses = Out::new_addresses(rule)?;
    let rule = rule.head;
    let packet = Packet::new(ctx);
    let headers = packet.at::<WithUdp<Out>>(ip)?;
    write_link_layer::<Out>(packet, route, tags)?;
    let udp = Udp {
        source_port: rule.new_source_port.to_be(),
        destination_port: rule.new_destination_port.to_be(),
        length: datagram.length,
        checksum: udp_checksum(datagram, addresses.sum(), rule),
    };
    // SAFETY: `at` has checked the bounds.
    unsafe {
        *headers = WithUdp {
            ip: Out::new(addresses, rule.tos, route.hop_limit, length),
            udp,
        }
    };
    Ok(())
}

#[inline(always)]
fn udp_checksum<In: Ip>(datagram: &Datagram<In>, new_addresses: u64, rule: &RuleHead) -> u16 {
    if datagram.checksum == 0 {
        return 0;
    }
    let old_ports = datagram.source_port as u64 + datagram.destination_port as u64;
    let new_ports = rule.new_source_port.to_be() as u64 + rule.new_destination_port.to_be() as u64;
    let removed = datagram.addresses() + old_ports;
    let added = new_addresses + new_ports;
    checksum::udp(checksum::update(datagram.checksum, removed, added))
}

#[inline(always)]
fn write_link_layer<Out: Ip>(packet: Packet, route: &Route, tags: usize) -> Result<(), PassReason> {
    let ethernet = packet.at::<Ethernet>(0)?;
    // SAFETY: here and below `at` has checked the bounds.
    unsafe { copy_macs(route, ethernet) };
    if tags == 0 {
        unsafe { (*ethernet).ethertype = Out::ETHERTYPE };
        return Ok(());
    }
    let [outer, inner] = route.vlans;
    let tag = packet.at::<Vlan>(size_of::<Ethernet>())?;
    unsafe { (*ethernet).ethertype = tpid(outer) };
    if tags == 1 {
        unsafe {
            *tag = Vlan {
                tci: tci(outer),
                ethertype: Out::ETHERTYPE,
            }
        };
        return Ok(());
    }
    unsafe {
        *tag = Vlan {
            tci: tci(outer),
            ethertype: tpid(inner),
        }
    };
    let tag = packet.at::<Vlan>(size_of::<Ethernet>() + size_of::<Vlan>())?;
    unsafe {
        *tag = Vlan {
            tci: tci(inner),
            ethertype: Out::ETHERTYPE,
        }
    };
    Ok(())
}

/// Copies both MACs, which lie side by side in a route in the order in which they are sent. Word by
/// word: an assignment would become a call that copies byte by byte.
///
/// # Safety
///
/// `ethernet` must be within the packet.
#[inline(always)]
unsafe fn copy_macs(route: &Route, ethernet: *mut Ethernet) {
    const { assert!(offset_of!(Route, source_mac) == offset_of!(Route, destination_mac) + 6) };
    const { assert!(offset_of!(Route, destination_mac) % 4 == 0) };
    let from = (&raw const route.destination_mac).cast::<u32>();
    let to = ethernet.cast::<u32>();
    // SAFETY: both hold twelve bytes.
    unsafe {
        let words = (*from, *from.add(1), *from.add(2));
        *to = words.0;
        *to.add(1) = words.1;
        *to.add(2) = words.2;
    }
}

#[inline(always)]
fn tpid(tag: u32) -> u16 {
    ((tag >> 16) as u16).to_be()
}

#[inline(always)]
fn tci(tag: u32) -> u16 {
    (tag as u16).to_be()
}
