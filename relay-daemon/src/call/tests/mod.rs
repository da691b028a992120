//! Whole calls in virtual time.

mod counting;
mod mux;
mod properties;
mod scripts;
mod secure;
mod statistics;
mod timeouts;
mod world;
