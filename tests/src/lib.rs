//! What the tests share: network namespaces, packets, fixtures.

pub mod probe;
pub mod packets;
