//! Whole calls in virtual time.

mod bundle;
mod counting;
mod interfaces;
mod mux;
mod properties;
mod scripts;
mod statistics;
mod timeouts;
mod world;
