//! What the tests share: network namespaces, packets, fixtures.

pub mod packets;
pub mod probe;
pub mod capture;
pub mod netns;
pub mod stream;
