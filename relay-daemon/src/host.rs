//! What the signalling engine needs of the machine; the daemon's is real, a test's is a table.

use relay_common::slot::Counters;

use crate::plan::{LocalPort, PortId};

/// Names a local address that media ports are bound to: its index in
/// [`crate::config::Interfaces::addresses`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressId(pub u16);

/// How many ports a media section needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCount {
    /// One port, even or odd.
    One,
    /// An even port and the next odd one.
    Pair,
}

/// No free port is left at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Ran out of ports")]
pub struct OutOfPorts;

/// The machine as the signalling engine sees it.
pub trait Host {
    /// Reserves and binds ports at a local address: one or two, the even one first.
    ///
    /// A reserved port belongs to the engine until it stands in a plan; a plan that leaves it out, or
    /// the call's end, gives it back. One that never got into a plan must be released.
    fn reserve(&mut self, address: AddressId, count: PortCount) -> Result<Vec<LocalPort>, OutOfPorts>;

    /// Whether a local address has free ports for one more media section, as far as the machine can tell.
    fn has_ports(&self, _address: AddressId) -> bool {
        true
    }

    /// Gives back a port that never stood in a plan.
    fn release(&mut self, port: PortId);

    /// What was counted for a port since it was reserved: by the XDP program, and for each SSRC by userspace too.
    fn kernel_counters(&self, port: PortId) -> Counters;

    /// Fills a buffer with random bytes.
    fn random(&mut self, bytes: &mut [u8]);
}
