//! The parts of the kernel datapath, put together.

use std::fmt;
use std::sync::Arc;

use aya::maps::MapError;
use relay_common::slot::{DropReason, PassReason};

use super::attach::Attacher;
use super::grace::Grace;
use super::loader::{Counts, load};
use super::locals::Locals;
use super::offloader::KernelOffloader;
use super::routes::Routes;
use super::slots::SlotTable;
use super::xdp::LoadedProgram;
use super::{Attachment, KernelConfig, KernelError, Layout};

/// The program, loaded and attached. Fields are dropped in this order: detached first.
pub(crate) struct Running {
    routes: Routes,
    slots: Arc<SlotTable>,
    counts: Counts,
}

impl Running {
    pub(crate) fn start(config: &KernelConfig) -> Result<Running, KernelError> {
        let loaded = load(&Layout::new(&config.locals), &config.floods)?;
        let grace = Arc::new(Grace::new());
        let layout = Layout::new(&config.locals);
        let locals = Locals::new(loaded.locals, loaded.hints, layout, grace.clone());
        let program = LoadedProgram::new(loaded.ebpf, locals)?;
        let attacher = Attacher::new(config.clone(), Box::new(program));
        let slots = SlotTable::new(
            loaded.slots,
            loaded.annexes,
            loaded.guards,
            grace.clone(),
            loaded.ticks,
            &config.floods,
        );
        let slots = slots.map_err(|error| KernelError::Memory { map: "SLOTS", error })?;
        Ok(Running {
            routes: Routes::start(loaded.routes, grace, attacher)?,
            slots: Arc::new(slots),
            counts: loaded.counts,
        })
    }

    pub(crate) fn attachments(&self) -> Vec<Attachment> {
        self.routes.requests().attachments()
    }

    pub(crate) fn slots(&self) -> Arc<SlotTable> {
        self.slots.clone()
    }

    pub(crate) fn offloader(&self, waker: impl Fn() + Send + Sync + 'static) -> KernelOffloader {
        KernelOffloader::new(self.slots.clone(), self.routes.requests(), waker)
    }

    pub(crate) fn passes(&self) -> [u64; PassReason::COUNT as usize] {
        or_zero(self.counts.passes())
    }

    pub(crate) fn drops(&self) -> [u64; DropReason::COUNT as usize] {
        or_zero(self.counts.drops())
    }
}

fn or_zero<const N: usize>(counts: Result<[u64; N], MapError>) -> [u64; N] {
    counts.unwrap_or_else(|error| {
        tracing::warn!(%error, "the counters of the XDP program cannot be read");
        [0; N]
    })
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("attachments", &self.attachments())
            .finish_non_exhaustive()
    }
}
