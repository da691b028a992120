use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How far the media of a call has followed signalling: which revision of its [`Plan`](super::Plan) was carried out
/// last. Written by the call's worker alone, read by anyone; clones are the same. The same for the call's whole life.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU32>);

impl Progress {
    /// The revision that was carried out last; 0 for none. Whoever has read it sees at least what it brought about.
    pub fn revision(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Publishes that a plan was carried out: what it takes out of the kernel is out, and what it lets in was asked for.
    pub fn publish(&self, revision: u32) {
        self.0.store(revision, Ordering::Release);
    }
}
