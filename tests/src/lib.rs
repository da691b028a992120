//! What the tests share: network namespaces, packets, fixtures.

pub mod capture;
pub mod lab;
pub mod netns;
pub mod packets;
pub mod probe;
pub mod stream;
