//! What the tests share: network namespaces, packets, fixtures.

pub mod packets;
pub mod probe;
