//! What moves packets: sockets and workers ([`userspace`]), and the XDP program ([`kernel`]).

pub mod kernel;
pub mod userspace;
