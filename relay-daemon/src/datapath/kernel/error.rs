//! Why the kernel datapath does not start.

use std::error::Error;
use std::io;

use relay_common::slot::MAX_LOCALS;

use super::XdpMode;

/// Why the kernel datapath cannot run.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The daemon was built without it.
    #[error("built without the kernel datapath (cargo feature `kernel`)")]
    NotBuilt,
    /// The process may not load or attach programs.
    #[error("not permitted: it needs root, or the capabilities BPF, PERFMON and NET_ADMIN")]
    NotPermitted,
    /// There is no local address, or none with ports.
    #[error("there are no local ports")]
    NoPorts,
    /// More local addresses than the program has room for.
    #[error("{0} local addresses are more than the {MAX_LOCALS} that the program has room for")]
    TooManyLocals(usize),
    /// The kernel does not take the program, or a map; with the verifier's log.
    #[error("the kernel refuses the XDP program: {}", chain(.0.as_ref()))]
    Load(Box<dyn Error + Send + Sync>),
    /// The embedded program lacks a map or its program.
    #[error("the XDP program was built without `{0}`")]
    Incomplete(&'static str),
    /// A map cannot be mapped into memory.
    #[error("the map `{map}` cannot be mapped into memory: {error}")]
    Memory {
        /// Its name.
        map: &'static str,
        /// What the kernel says.
        error: io::Error,
    },
    /// The kernel's coarse clock cannot be read.
    #[error("the coarse clock cannot be read: {0}")]
    Clock(io::Error),
    /// The kernel's network configuration cannot be read.
    #[error("netlink: {0}")]
    Netlink(io::Error),
    /// No device is there to attach to.
    #[error("no interface for the XDP program: {0}")]
    NoInterface(String),
    /// Another XDP program is attached to the device.
    #[error("interface {interface}: another XDP program is attached to it (id {program})")]
    Occupied {
        /// The device.
        interface: String,
        /// The other program's id, as `bpftool prog` shows it.
        program: u32,
    },
    /// The device takes the program in none of the wanted modes.
    #[error("interface {interface} does not take the XDP program ({wanted}): {reason}")]
    Attach {
        /// The device.
        interface: String,
        /// The wanted mode.
        wanted: XdpMode,
        /// What the kernel says.
        reason: String,
    },
    /// The thread that follows routes cannot be started.
    #[error("routes cannot be followed: {0}")]
    Routes(io::Error),
}

impl KernelError {
    /// What there is to say about any configuration.
    #[cfg(not(feature = "kernel"))]
    pub(super) fn not_built(_: &super::KernelConfig) -> KernelError {
        KernelError::NotBuilt
    }

    /// A refusal to load something: for want of permission, or for what the error says.
    #[cfg(feature = "kernel")]
    pub(super) fn load(error: impl Error + Send + Sync + 'static) -> KernelError {
        if is_not_permitted(&error) {
            return KernelError::NotPermitted;
        }
        KernelError::Load(Box::new(error))
    }
}

/// Whether somewhere below the error the kernel refused permission.
#[cfg(feature = "kernel")]
pub(super) fn is_not_permitted(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The error with its causes, in one line where they are; a cause that repeats its parent is left out.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let cause = cause.to_string();
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_are_named() {
        let error = Outer(io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(chain(&error), "outer: Operation not permitted (os error 1)");
    }

    #[cfg(feature = "kernel")]
    #[test]
    fn a_missing_permission_is_recognised() {
        let refused = Outer(io::Error::from_raw_os_error(libc::EPERM));
        assert!(matches!(KernelError::load(refused), KernelError::NotPermitted));
        let broken = Outer(io::Error::from_raw_os_error(libc::EINVAL));
        assert!(matches!(KernelError::load(broken), KernelError::Load(_)));
    }
}
