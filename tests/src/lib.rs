//! What the tests share: network namespaces, packets, fixtures.

pub mod call;
pub mod capture;
pub mod daemon;
pub mod flow;
pub mod lab;
pub mod libsrtp;
pub mod names;
pub mod netns;
pub mod packets;
pub mod probe;
pub mod recording;
pub mod rounds;
pub mod stream;
