//! A machine without sockets, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use relay_common::slot::Counters;

use crate::call::section::ports::Place;
use crate::host::{AddressId, Host, OutOfPorts, PortCount};
use crate::plan::{LocalPort, PortId};

/// Hands out ports from 30000 up at each of its addresses.
pub(crate) struct TestHost {
    addresses: Vec<IpAddr>,
    in_use: BTreeSet<PortId>,
    next: u16,
    /// Ports that may be in use at once.
    pub(crate) limit: usize,
    /// Addresses that are said to have no free ports.
    pub(crate) exhausted: BTreeSet<AddressId>,
    /// What the kernel counted.
    pub(crate) kernel: BTreeMap<PortId, Counters>,
    /// What random bytes are filled with, and whether each filling is another one.
    pub(crate) random: (u8, bool),
    /// Of what makes them different.
    state: u64,
}

impl TestHost {
    pub(crate) fn new(addresses: &[&str]) -> TestHost {
        TestHost {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            in_use: BTreeSet::new(),
            next: 30000,
            limit: usize::MAX,
            exhausted: BTreeSet::new(),
            kernel: BTreeMap::new(),
            random: (7, false),
            state: 1,
        }
    }

    pub(crate) fn place(&self, index: u16) -> Place {
        Place {
            interface: usize::from(index),
            local: AddressId(index),
            advertised: self.addresses[usize::from(index)],
        }
    }

    /// Number of ports that are reserved.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.len()
    }
}

impl Host for TestHost {
    fn reserve(&mut self, address: AddressId, count: PortCount) -> Result<Vec<LocalPort>, OutOfPorts> {
        let count = match count {
            PortCount::One => 1,
            PortCount::Pair => 2,
        };
        if self.in_use.len() + usize::from(count) > self.limit {
            return Err(OutOfPorts);
        }
        let first = self.next;
        self.next += 2;
        let port = |number| LocalPort {
            id: PortId(u32::from(address.0) << 16 | u32::from(number)),
            address: SocketAddr::new(self.addresses[usize::from(address.0)], number),
        };
        let ports: Vec<LocalPort> = (first..first + count).map(port).collect();
        self.in_use.extend(ports.iter().map(|port| port.id));
        Ok(ports)
    }

    fn has_ports(&self, address: AddressId) -> bool {
        !self.exhausted.contains(&address)
    }

    fn release(&mut self, port: PortId) {
        assert!(self.in_use.remove(&port), "{port:?} was not reserved");
    }

    fn kernel_counters(&self, port: PortId) -> Counters {
        self.kernel.get(&port).copied().unwrap_or_default()
    }

    fn random(&mut self, bytes: &mut [u8]) {
        let (value, is_different) = self.random;
        bytes.fill(value);
        if is_different {
            // A random walk from one filling to the next.
            for byte in bytes {
                self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte ^= self.state.to_be_bytes()[0];
            }
        }
    }
}
