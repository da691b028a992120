//! What a daemon that was killed has left behind.
//!
//! Where the kernel has links (Linux 5.9), the program goes with the daemon, however that ends. Attached in the older
//! way it stays on the device: it goes on with the rules it had, and keeps the next daemon away.

use std::fmt;
use std::fs;

use aya::maps::MapInfo;
use aya::programs::{ProgramInfo, loaded_programs};

use super::KernelError;
use super::loader;
use super::netlink::Rtnetlink;

/// What was found on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The device.
    pub interface: String,
    /// The program's number.
    pub program: u32,
    /// What became of it.
    pub fate: Fate,
}

/// What became of something that was left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Removed,
    /// A process has it, and needs it: its id.
    InUse(u32),
    /// The kernel does not let go of it.
    Refused(String),
}

/// Detaches programs of this daemon that no process has any more from all devices of the network namespace of the
/// calling thread.
pub fn clean_up() -> Result<Vec<Leftover>, KernelError> {
    let mut rtnetlink = Rtnetlink::open().map_err(KernelError::Netlink)?;
    let mut found = Vec::new();
    for link in rtnetlink.links().map_err(KernelError::Netlink)? {
        let Some(program) = link.xdp_program else {
            continue;
        };
        if is_ours(program)? {
            let fate = remove(&mut rtnetlink, link.ifindex, program)?;
            found.push(Leftover {
                interface: link.name,
                program,
                fate,
            });
        }
    }
    Ok(found)
}

fn remove(rtnetlink: &mut Rtnetlink, ifindex: u32, program: u32) -> Result<Fate, KernelError> {
    if let Some(process) = owner(program) {
        return Ok(Fate::InUse(process));
    }
    let refused = match rtnetlink.detach_xdp(ifindex) {
        Ok(()) => "it is still attached".to_owned(),
        Err(error) => error.to_string(),
    };
    let link = rtnetlink.link(ifindex).map_err(KernelError::Netlink)?;
    let is_left = link.is_some_and(|link| link.xdp_program == Some(program));
    Ok(match is_left {
        true => Fate::Refused(refused),
        false => Fate::Removed,
    })
}

/// Whether a program has our name and our maps.
fn is_ours(id: u32) -> Result<bool, KernelError> {
    for program in loaded_programs() {
        let program = program.map_err(KernelError::load)?;
        if program.id() == id {
            return Ok(program.name_as_str() == Some(loader::NAME) && has_our_maps(&program));
        }
    }
    Ok(false)
}

fn has_our_maps(program: &ProgramInfo) -> bool {
    let ids = program.map_ids().ok().flatten().unwrap_or_default();
    let names: Vec<String> = ids
        .into_iter()
        .filter_map(|id| Some(MapInfo::from_id(id).ok()?.name_as_str()?.to_owned()))
        .collect();
    ["SLOTS", "ROUTES", "PASSES"]
        .iter()
        .all(|wanted| names.iter().any(|name| name == wanted))
}

/// A process that holds the program.
fn owner(program: u32) -> Option<u32> {
    let held = format!("prog_id:\t{program}\n");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|process| {
        let files = fs::read_dir(format!("/proc/{process}/fdinfo"))
            .into_iter()
            .flatten();
        let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
        texts.into_iter().any(|text| text.contains(&held))
    })
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Leftover {
            interface,
            program,
            fate,
        } = self;
        write!(f, "{interface}: XDP program {program} ")?;
        match fate {
            Fate::Removed => f.write_str("detached"),
            Fate::InUse(process) => write!(f, "left alone: process {process} has it"),
            Fate::Refused(reason) => write!(f, "cannot be detached: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use nix::sched::{CloneFlags, unshare};

    use super::super::{FloodLimits, Layout, LocalPorts};
    use super::*;

    /// In a network namespace of the calling thread alone, which goes with it.
    fn in_a_namespace_of_its_own(test: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(move || match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => test(),
            Err(_) => eprintln!("skipped: a network namespace needs root"),
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_program_without_a_daemon_is_detached() {
        in_a_namespace_of_its_own(|| {
            assert_eq!(clean_up().unwrap(), []);
            let local = LocalPorts {
                address: [127, 0, 0, 1].into(),
                port_min: 30000,
                port_max: 30001,
            };
            let mut loaded = loader::load(&Layout::new(&[local]), &FloodLimits::default()).unwrap();
            let xdp = loader::xdp(&mut loaded.ebpf).unwrap();
            let program = xdp.info().unwrap().id();
            let mut rtnetlink = Rtnetlink::open().unwrap();
            let lo = rtnetlink.links().unwrap().remove(0);
            // As before links: it outlives the daemon.
            let descriptor = xdp.fd().unwrap().as_fd().as_raw_fd();
            rtnetlink.attach_xdp(lo.ifindex, descriptor).unwrap();

            let leftover = |fate| Leftover {
                interface: "lo".to_owned(),
                program,
                fate,
            };
            assert_eq!(clean_up().unwrap(), [leftover(Fate::InUse(std::process::id()))]);
            drop(loaded);
            // A child that another test starts just now may have a copy of the descriptor for a moment.
            while owner(program).is_some() {
                std::thread::yield_now();
            }
            assert_eq!(clean_up().unwrap(), [leftover(Fate::Removed)]);
            assert_eq!(rtnetlink.link(lo.ifindex).unwrap().unwrap().xdp_program, None);
            assert_eq!(clean_up().unwrap(), []);
        });
    }
}
