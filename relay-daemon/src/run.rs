//! Start, wiring, shutdown.
