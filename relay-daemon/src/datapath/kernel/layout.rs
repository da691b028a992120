//! Which slot belongs to which local port.

use std::net::IpAddr;

use relay_common::slot::{Annex, Guard, LocalRange, Slot};

use super::LocalPorts;
use crate::host::AddressId;
use crate::plan::PortId;

/// The slots of all local ports: those of the first address first, each address's in order of ports.
/// The same with and without the kernel datapath, so that a [`PortId`] always names one local port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    ranges: Vec<(IpAddr, LocalRange)>,
    slots: u32,
}

impl Layout {
    /// The layout of these addresses, in the order of [`AddressId`]. An empty range has no slots.
    pub fn new(locals: &[LocalPorts]) -> Layout {
        let mut layout = Layout::default();
        for local in locals {
            let range = LocalRange {
                base: layout.slots,
                port_min: local.port_min,
                port_max: local.port_max,
                ..LocalRange::default()
            };
            layout.ranges.push((local.address, range));
            layout.slots += ports(&range);
        }
        layout
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Bytes of the kernel's memory that the tables of the slots take, all of it from the beginning.
    pub fn kernel_memory(&self) -> u64 {
        let slot = size_of::<Slot>() + size_of::<Annex>() + size_of::<Guard>();
        u64::from(self.slots) * slot as u64
    }

    /// The name of a local port; none outside the address's range.
    pub fn port(&self, address: AddressId, port: u16) -> Option<PortId> {
        let (_, range) = self.ranges.get(usize::from(address.0))?;
        (range.port_min..=range.port_max)
            .contains(&port)
            .then(|| PortId(range.base + u32::from(port - range.port_min)))
    }

    /// Every address with its range.
    pub fn ranges(&self) -> impl Iterator<Item = (IpAddr, LocalRange)> + '_ {
        self.ranges.iter().copied()
    }
}

fn ports(range: &LocalRange) -> u32 {
    (u32::from(range.port_max) + 1).saturating_sub(u32::from(range.port_min))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_as_large_as_the_ranges() {
        let layout = Layout::new(&[local("10.0.0.1", 30000, 40000), local("10.0.0.2", 30000, 40000)]);
        assert_eq!(layout.slots(), 2 * 10_001);
        assert_eq!(layout.kernel_memory(), 2 * 10_001 * 552);
    }

    fn local(address: &str, port_min: u16, port_max: u16) -> LocalPorts {
        LocalPorts {
            address: address.parse().unwrap(),
            port_min,
            port_max,
        }
    }

    #[test]
    fn ranges_follow_each_other() {
        let layout = Layout::new(&[
            local("10.0.0.1", 30000, 30009),
            local("fd00::1", 1, 65535),
            local("10.0.0.2", 5, 4),
            local("10.0.0.3", 0, 0),
        ]);
        assert_eq!(layout.slots(), 10 + 65535 + 1);
        assert_eq!(layout.port(AddressId(0), 30000), Some(PortId(0)));
        assert_eq!(layout.port(AddressId(0), 30009), Some(PortId(9)));
        assert_eq!(layout.port(AddressId(0), 30010), None);
        assert_eq!(layout.port(AddressId(0), 29999), None);
        assert_eq!(layout.port(AddressId(1), 1), Some(PortId(10)));
        assert_eq!(layout.port(AddressId(2), 5), None);
        assert_eq!(layout.port(AddressId(3), 0), Some(PortId(65545)));
        assert_eq!(layout.port(AddressId(4), 0), None);
    }
}
