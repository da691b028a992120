//! The loaded program, as [`Attacher`](super::attach::Attacher) wants it.

use aya::Ebpf;
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, XdpMode};

use super::attach::{Held, Ingress, Program, Refusal};
use super::error::{chain, is_not_permitted};
use super::loader::xdp;
use super::locals::Locals;
use super::{AttachedMode, KernelError};

/// The program in the kernel.
#[derive(Debug)]
pub(crate) struct LoadedProgram {
    ebpf: Ebpf,
    id: u32,
    locals: Locals,
}

impl LoadedProgram {
    /// Takes over a program that is loaded.
    pub(crate) fn new(mut ebpf: Ebpf, locals: Locals) -> Result<LoadedProgram, KernelError> {
        let id = xdp(&mut ebpf)?.info().map_err(KernelError::load)?.id();
        Ok(LoadedProgram { ebpf, id, locals })
    }

    fn link(&mut self, ifindex: u32, mode: XdpMode) -> Result<XdpLink, ProgramError> {
        let program = self.ebpf.program_mut(super::loader::NAME);
        let program = program.ok_or(ProgramError::NotLoaded)?;
        let program: &mut aya::programs::Xdp = program.try_into()?;
        let link = program.attach_to_if_index(ifindex, mode)?;
        program.take_link(link)
    }
}

impl Program for LoadedProgram {
    fn id(&self) -> u32 {
        self.id
    }

    fn attach(&mut self, ifindex: u32, mode: AttachedMode) -> Result<Box<dyn Held>, Refusal> {
        let (mode, refused) = match mode {
            AttachedMode::Native => (XdpMode::Driver, "the driver refuses native mode: "),
            AttachedMode::Generic => (XdpMode::Skb, ""),
        };
        match self.link(ifindex, mode) {
            Ok(link) => Ok(Box::new(link)),
            Err(error) if is_not_permitted(&error) => Err(Refusal::NotPermitted),
            Err(error) => Err(Refusal::Other(format!("{refused}{}", chain(&error)))),
        }
    }

    fn admit(&mut self, ingress: &[Ingress]) {
        self.locals.set(ingress);
    }
}

impl Held for XdpLink {}
