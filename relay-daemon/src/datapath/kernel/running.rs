//! The parts of the kernel datapath, put together.

use std::fmt;
use std::sync::Arc;

use aya::maps::{MapData, PerCpuArray};
use relay_common::slot::PassReason;

use super::attach::Attacher;
use super::grace::Grace;
use super::loader::{load, sums};
use super::offloader::KernelOffloader;
use super::routes::Routes;
use super::slots::SlotTable;
use super::xdp::LoadedProgram;
use super::{Attachment, KernelConfig, KernelError, Layout};

/// The program, loaded and attached. Fields are dropped in this order: detached first.
pub(crate) struct Running {
    routes: Routes,
    slots: Arc<SlotTable>,
    passes: PerCpuArray<MapData, u64>,
}

impl Running {
    pub(crate) fn start(config: &KernelConfig) -> Result<Running, KernelError> {
        let loaded = load(&Layout::new(&config.locals))?;
        let program = LoadedProgram::new(loaded.ebpf)?;
        let attacher = Attacher::new(config.clone(), Box::new(program));
        let grace = Arc::new(Grace::new());
        let slots = SlotTable::new(loaded.slots, loaded.annexes, grace.clone(), loaded.ticks);
        let slots = slots.map_err(|error| KernelError::Memory { map: "SLOTS", error })?;
        Ok(Running {
            routes: Routes::start(loaded.routes, grace, attacher)?,
            slots: Arc::new(slots),
            passes: loaded.passes,
        })
    }

    pub(crate) fn attachments(&self) -> Vec<Attachment> {
        self.routes.desk().attachments()
    }

    pub(crate) fn slots(&self) -> Arc<SlotTable> {
        self.slots.clone()
    }

    pub(crate) fn offloader(&self, waker: impl Fn() + Send + Sync + 'static) -> KernelOffloader {
        KernelOffloader::new(self.slots.clone(), self.routes.desk(), waker)
    }

    pub(crate) fn passes(&self) -> [u64; PassReason::COUNT as usize] {
        sums(&self.passes).unwrap_or_else(|error| {
            tracing::warn!(%error, "the pass counters cannot be read");
            [0; PassReason::COUNT as usize]
        })
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("attachments", &self.attachments())
            .finish_non_exhaustive()
    }
}
