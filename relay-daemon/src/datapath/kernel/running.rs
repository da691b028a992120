//! The parts of the kernel datapath, put together.

use std::fmt;
use std::sync::Arc;

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use relay_common::slot::PassReason;

use super::attach::attach;
use super::grace::Grace;
use super::loader::{load, sums, xdp};
use super::offloader::{Coverage, KernelOffloader};
use super::routes::{Exits, Redirect, Routes};
use super::slots::SlotTable;
use super::{AttachedMode, Attachment, KernelConfig, KernelError, Layout};

/// The program, loaded and attached. Fields are dropped in this order: detached first.
pub(crate) struct Running {
    _program: Ebpf,
    routes: Routes,
    slots: Arc<SlotTable>,
    passes: PerCpuArray<MapData, u64>,
    attachments: Vec<Attachment>,
    coverage: Arc<Coverage>,
}

impl Running {
    pub(crate) fn start(config: &KernelConfig) -> Result<Running, KernelError> {
        let mut loaded = load(&Layout::new(&config.locals))?;
        let attached = attach(xdp(&mut loaded.ebpf)?, config)?;
        let any_native = attached
            .devices
            .iter()
            .any(|device| device.mode == AttachedMode::Native);
        let redirect = if any_native {
            Redirect::Native
        } else {
            Redirect::Generic
        };
        let grace = Arc::new(Grace::new());
        let exits = Exits {
            redirect,
            only: config.only.clone(),
        };
        let routes = Routes::start(loaded.routes, grace.clone(), exits).map_err(KernelError::Routes)?;
        Ok(Running {
            _program: loaded.ebpf,
            routes,
            slots: Arc::new(SlotTable::new(loaded.slots, loaded.annexes, grace)),
            passes: loaded.passes,
            attachments: attached.devices,
            coverage: Arc::new(attached.coverage),
        })
    }

    pub(crate) fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    pub(crate) fn slots(&self) -> Arc<SlotTable> {
        self.slots.clone()
    }

    pub(crate) fn offloader(&self, waker: impl Fn() + Send + Sync + 'static) -> KernelOffloader {
        let (slots, desk) = (self.slots.clone(), self.routes.desk());
        KernelOffloader::new(slots, desk, self.coverage.clone(), waker)
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
            .field("attachments", &self.attachments)
            .finish_non_exhaustive()
    }
}
