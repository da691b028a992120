//! The port pool and its binding, and with it the machine as the signalling engine sees it.
//!
//! Ports are used in turn: the one that has been free for longest comes next, so that late packets of an
//! ended call do not reach the next one. Every port is bound before anyone is told of it; one that
//! somebody else on the machine occupies goes to the end of the queue.

mod free;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::socket::{setsockopt, sockopt};
use relay_common::slot::Counters;
use socket2::{Domain, Protocol, Socket, Type};

use self::free::FreePorts;
use crate::datapath::kernel::{LocalPorts, Slots};
use crate::host::{AddressId, Host, OutOfPorts, PortCount};
use crate::plan::{LocalPort, PortId};

/// How many ports of an address are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortUsage {
    /// The address.
    pub address: IpAddr,
    /// Its lowest port.
    pub min: u16,
    /// Its highest port.
    pub max: u16,
    /// Ports that are reserved or in a plan.
    pub used: usize,
    /// All its ports.
    pub total: usize,
}

impl PortUsage {
    /// How many of a hundred ports are in use.
    pub fn percentage(&self) -> f64 {
        let [used, total] = [self.used, self.total].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        100.0 * f64::from(used) / f64::from(total.max(1))
    }
}

/// Fewer free ports than a message with many sections may need.
const FEW: usize = 512;

/// All ports of each address, once: from the lowest to the highest that any range has there.
pub fn united(ranges: &[LocalPorts]) -> Vec<LocalPorts> {
    let mut all: Vec<LocalPorts> = Vec::new();
    for range in ranges {
        match all.iter_mut().find(|known| known.address == range.address) {
            None => all.push(*range),
            Some(known) => {
                known.port_min = known.port_min.min(range.port_min);
                known.port_max = known.port_max.max(range.port_max);
            }
        }
    }
    all
}

/// The ports of all local addresses.
///
/// A [`PortId`] is the port's place in the sequence of all ports: those of the first address first. The
/// slots of the XDP program are numbered alike.
#[derive(Debug)]
pub struct PortPool {
    addresses: Vec<AddressPool>,
    /// For each [`AddressId`]: the address, and the range there.
    ranges: Vec<(usize, usize)>,
}

impl PortPool {
    /// All ports free, in random order. The index of an address is its [`AddressId`]: one address may have several ranges,
    /// also such that overlap. The slots are those of [`united`].
    pub fn new(ranges: &[LocalPorts]) -> PortPool {
        let mut base = 0;
        let all = united(ranges);
        let addresses = all.iter().map(|ports| {
            let pool = AddressPool::new(base, *ports);
            base += pool.total();
            pool
        });
        let mut pool = PortPool {
            addresses: addresses.collect(),
            ranges: Vec::new(),
        };
        for range in ranges {
            let index = all.iter().position(|known| known.address == range.address);
            let index = index.unwrap_or_default();
            if let Some(address) = pool.addresses.get_mut(index) {
                pool.ranges.push((index, address.add_range(*range)));
            }
        }
        pool
    }

    /// Takes ports of an address out of use, before any was reserved.
    pub fn exclude(&mut self, address: AddressId, ports: RangeInclusive<u16>) {
        if let Some((index, range)) = self.range(address)
            && let Some(range) = self.addresses[index].ranges.get_mut(range)
        {
            range.exclude(ports);
        }
    }

    /// Whether an address has two free ports that make a pair.
    pub fn has_pair(&self, address: AddressId) -> bool {
        let range = self.range(address);
        range.is_some_and(|(index, range)| self.addresses[index].ranges[range].free.has_pair())
    }

    /// Whether some address has so few free ports that a message may want more.
    pub fn is_nearly_out(&self) -> bool {
        let mut ranges = self.addresses.iter().flat_map(|address| &address.ranges);
        ranges.any(|range| range.free.len() < FEW)
    }

    /// Binds one or two free ports of an address, the even one first.
    pub fn reserve(&mut self, address: AddressId, count: PortCount) -> Result<Vec<LocalPort>, OutOfPorts> {
        let (index, range) = self.range(address).ok_or(OutOfPorts)?;
        self.addresses[index].reserve(range, count)
    }

    fn range(&self, address: AddressId) -> Option<(usize, usize)> {
        self.ranges.get(usize::from(address.0)).copied()
    }

    /// Closes and frees a reserved port whose socket nobody took. False for any other: it is left alone.
    pub fn release(&mut self, port: PortId) -> bool {
        self.free(port, |state| matches!(state, PortState::Bound(_)))
    }

    /// Hands out the socket of a reserved port, once. The taker closes it before it gives the port back.
    pub fn take_socket(&mut self, port: PortId) -> Option<UdpSocket> {
        let (pool, port) = self.locate(port)?;
        let state = pool.state_mut(port);
        match std::mem::replace(state, PortState::Taken) {
            PortState::Bound(socket) => Some(socket),
            PortState::Free => {
                *state = PortState::Free;
                None
            }
            PortState::Taken => None,
        }
    }

    /// Frees a port whose socket was taken and closed. False for any other: it is left alone.
    pub fn give_back(&mut self, port: PortId) -> bool {
        self.free(port, |state| matches!(state, PortState::Taken))
    }

    /// How much of every address is in use, in the order of the addresses.
    pub fn usage(&self) -> impl Iterator<Item = PortUsage> + '_ {
        self.ranges.iter().map(|(index, range)| {
            let (address, range) = (&self.addresses[*index], &self.addresses[*index].ranges[*range]);
            PortUsage {
                address: address.address,
                min: range.min,
                max: range.max,
                used: range.usable - range.free.len(),
                total: range.usable,
            }
        })
    }

    fn free(&mut self, id: PortId, expected: impl FnOnce(&PortState) -> bool) -> bool {
        let Some((pool, port)) = self.locate(id) else {
            return false;
        };
        let freed = expected(pool.state_mut(port));
        if freed {
            *pool.state_mut(port) = PortState::Free;
            pool.put(port);
        }
        freed
    }

    fn locate(&mut self, id: PortId) -> Option<(&mut AddressPool, u16)> {
        // Few addresses: the last one whose base is not above the id.
        let index = self
            .addresses
            .partition_point(|pool| pool.base <= id.0)
            .checked_sub(1)?;
        let pool = self.addresses.get_mut(index)?;
        let offset = u16::try_from(id.0 - pool.base).ok()?;
        (usize::from(offset) < pool.states.len()).then(|| {
            let port = pool.min + offset;
            (pool, port)
        })
    }
}

/// Ports that workers have closed, until the pool has them back.
#[derive(Clone, Debug, Default)]
pub struct ClosedPorts(Arc<Mutex<Vec<PortId>>>);

impl ClosedPorts {
    /// Adds some.
    pub fn put(&self, ports: Vec<PortId>) {
        self.lock().extend(ports);
    }

    /// Takes all.
    pub fn take(&self) -> Vec<PortId> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PortId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine as the daemon has it: its ports, its slots, its random numbers.
#[derive(Debug)]
pub struct DaemonHost {
    pool: PortPool,
    slots: Slots,
}

impl DaemonHost {
    /// `slots` must have been made for the same addresses and ports, in the same order.
    pub fn new(pool: PortPool, slots: Slots) -> DaemonHost {
        DaemonHost { pool, slots }
    }

    /// The socket of a port that a plan names for the first time; none later.
    pub fn take_socket(&mut self, port: PortId) -> Option<UdpSocket> {
        self.pool.take_socket(port)
    }

    /// Frees ports that a worker has closed.
    pub fn give_back(&mut self, ports: &[PortId]) {
        for port in ports {
            if self.pool.give_back(*port) {
                self.slots.unclaim(*port);
            }
        }
    }

    /// How much of every address is in use.
    pub fn usage(&self) -> impl Iterator<Item = PortUsage> + '_ {
        self.pool.usage()
    }

    /// Whether some address has so few free ports that a message may want more.
    pub fn is_nearly_out(&self) -> bool {
        self.pool.is_nearly_out()
    }
}

impl Host for DaemonHost {
    fn reserve(&mut self, address: AddressId, count: PortCount) -> Result<Vec<LocalPort>, OutOfPorts> {
        let ports = self.pool.reserve(address, count)?;
        for port in &ports {
            self.slots.claim(port.id);
        }
        Ok(ports)
    }

    fn release(&mut self, port: PortId) {
        if self.pool.release(port) {
            self.slots.unclaim(port);
        }
    }

    fn has_ports(&self, address: AddressId) -> bool {
        self.pool.has_pair(address)
    }

    fn kernel_counters(&self, port: PortId) -> Counters {
        self.slots.counters(port)
    }

    fn random(&mut self, bytes: &mut [u8]) {
        fill_random(bytes);
    }
}

#[derive(Debug)]
struct AddressPool {
    address: IpAddr,
    min: u16,
    /// Name of the lowest port.
    base: u32,
    states: Vec<PortState>,
    /// Where ports are taken from. A port that several have is free in all of them, or in none.
    ranges: Vec<PortRange>,
}

/// A range of ports of one address.
#[derive(Debug)]
struct PortRange {
    min: u16,
    max: u16,
    excluded: Vec<RangeInclusive<u16>>,
    free: FreePorts,
    /// How many of its ports may be used at all.
    usable: usize,
}

impl PortRange {
    fn exclude(&mut self, ports: RangeInclusive<u16>) {
        for port in ports.clone() {
            if self.free.withhold(port) {
                self.usable -= 1;
            }
        }
        self.excluded.push(ports);
    }

    fn has(&self, port: u16) -> bool {
        (self.min..=self.max).contains(&port)
            && !self.excluded.iter().any(|excluded| excluded.contains(&port))
    }
}

#[derive(Debug)]
enum PortState {
    Free,
    /// Reserved: the socket waits for its plan.
    Bound(UdpSocket),
    /// In a plan: a worker has the socket.
    Taken,
}

impl AddressPool {
    fn new(base: u32, ports: LocalPorts) -> AddressPool {
        let range = ports.port_min..=ports.port_max;
        AddressPool {
            address: ports.address,
            min: ports.port_min,
            base,
            states: range.map(|_| PortState::Free).collect(),
            ranges: Vec::new(),
        }
    }

    fn add_range(&mut self, ports: LocalPorts) -> usize {
        let range = ports.port_min..=ports.port_max;
        self.ranges.push(PortRange {
            min: ports.port_min,
            max: ports.port_max,
            excluded: Vec::new(),
            usable: range.len(),
            free: FreePorts::new(range, random_below),
        });
        self.ranges.len() - 1
    }

    /// The port is free again.
    fn put(&mut self, port: u16) {
        for range in self.ranges.iter_mut().filter(|range| range.has(port)) {
            range.free.put(port);
        }
    }

    /// Takes ports that have been free for longest in a range: the first, if they make a pair.
    fn take(&mut self, index: usize, count: PortCount) -> Option<RangeInclusive<u16>> {
        let first = self.ranges.get_mut(index)?.free.take(count)?;
        let ports = match count {
            PortCount::One => first..=first,
            PortCount::Pair => first..=first + 1,
        };
        let others = self.ranges.iter_mut().enumerate();
        for (_, other) in others.filter(|(other, _)| *other != index) {
            for port in ports.clone() {
                other.free.withhold(port);
            }
        }
        Some(ports)
    }

    fn total(&self) -> u32 {
        u32::try_from(self.states.len()).unwrap_or(u32::MAX)
    }

    fn reserve(&mut self, range: usize, count: PortCount) -> Result<Vec<LocalPort>, OutOfPorts> {
        // Ports that turn out to be occupied stay out of the queue until the search is over, so that it ends.
        let mut occupied = Vec::new();
        let result = self.bind_free(range, count, &mut occupied);
        for port in occupied {
            self.put(port);
        }
        result
    }

    fn bind_free(
        &mut self,
        range: usize,
        count: PortCount,
        occupied: &mut Vec<u16>,
    ) -> Result<Vec<LocalPort>, OutOfPorts> {
        while let Some(ports) = self.take(range, count) {
            let first = *ports.start();
            match ports.clone().map(|port| self.bind(port)).collect() {
                Ok(sockets) => return Ok(self.hand_out(first, sockets)),
                Err(error) => {
                    occupied.extend(ports);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        // No other port of the address would do better.
                        tracing::warn!(address = %self.address, port = first, %error, "cannot bind a media port");
                        return Err(OutOfPorts);
                    }
                }
            }
        }
        Err(OutOfPorts)
    }

    fn bind(&self, port: u16) -> io::Result<UdpSocket> {
        let address = SocketAddr::new(self.address, port);
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM.nonblocking(),
            Some(Protocol::UDP),
        )?;
        // So that the jitter is that of the network, whenever a worker looks. Without, its clock has to do.
        if let Err(error) = setsockopt(&socket, sockopt::ReceiveTimestampns, &true) {
            tracing::debug!(%error, "the kernel does not say when packets arrive");
        }
        socket.bind(&address.into())?;
        Ok(socket.into())
    }

    fn hand_out(&mut self, first: u16, sockets: Vec<UdpSocket>) -> Vec<LocalPort> {
        (first..)
            .zip(sockets)
            .map(|(port, socket)| {
                *self.state_mut(port) = PortState::Bound(socket);
                LocalPort {
                    id: PortId(self.base + u32::from(port - self.min)),
                    address: SocketAddr::new(self.address, port),
                }
            })
            .collect()
    }

    fn state_mut(&mut self, port: u16) -> &mut PortState {
        &mut self.states[usize::from(port - self.min)]
    }
}

/// An even choice among `0..bound`, near enough: the queue's first order only has to be hard to guess.
fn random_below(bound: usize) -> usize {
    let mut bytes = [0; 8];
    fill_random(&mut bytes);
    usize::from_ne_bytes(bytes) % bound
}

/// Fills a buffer from the kernel's random number generator.
fn fill_random(mut bytes: &mut [u8]) {
    while !bytes.is_empty() {
        // SAFETY: the pointer and the length are those of a writable slice.
        let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        match usize::try_from(filled) {
            Ok(filled) => bytes = &mut bytes[filled..],
            // Only EINTR is possible: the buffer is valid, the flags are 0, and every Linux that we run on has
            // the call.
            Err(_) => continue,
        }
    }
}

#[cfg(test)]
mod tests;
