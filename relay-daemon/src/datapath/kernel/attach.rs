//! Which devices the program is attached to, and how.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use aya::programs::{self, ProgramError, Xdp};

use super::error::{chain, is_not_permitted};
use super::netlink::{Link, Netdev, Rtnetlink};
use super::offloader::Coverage;
use super::{AttachedMode, Attachment, KernelConfig, KernelError, XdpMode};

/// What the program is attached to.
#[derive(Debug)]
pub(crate) struct Attached {
    /// The devices.
    pub(crate) devices: Vec<Attachment>,
    /// The local addresses that they carry, and that others do.
    pub(crate) coverage: Coverage,
}

/// Attaches the program to every eligible device that carries a local address; all or none.
pub(crate) fn attach(program: &mut Xdp, config: &KernelConfig) -> Result<Attached, KernelError> {
    let mut attached = Attached {
        devices: Vec::new(),
        coverage: Coverage::default(),
    };
    let mut left_out = Vec::new();
    for (link, addresses) in devices(config)? {
        if let Some(reason) = not_eligible(&link, config) {
            tracing::info!(interface = link.name, reason, "XDP program not attached");
            left_out.push(format!("{}: {reason}", link.name));
            if !config.allows(&link.name) {
                attached.coverage.not_allowed.extend(addresses);
            }
            continue;
        }
        let mode = attach_to(program, &link, config.mode)?;
        attached.devices.push(Attachment {
            interface: link.name,
            mode,
        });
        attached.coverage.attached.extend(addresses);
    }
    if attached.devices.is_empty() {
        let reason = match left_out.as_slice() {
            [] => "no local address is on any".to_owned(),
            reasons => reasons.join(", "),
        };
        return Err(KernelError::NoInterface(reason));
    }
    Ok(attached)
}

/// The devices that carry local addresses, with these.
fn devices(config: &KernelConfig) -> Result<Vec<(Link, Vec<IpAddr>)>, KernelError> {
    let mut rtnetlink = Rtnetlink::open().map_err(KernelError::Netlink)?;
    let mut by_device: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
    for (address, ifindex) in rtnetlink.addresses().map_err(KernelError::Netlink)? {
        if config.locals.iter().any(|local| local.address == address) {
            by_device.entry(ifindex).or_default().push(address);
        }
    }
    let mut devices = Vec::new();
    for (ifindex, addresses) in by_device {
        let link = rtnetlink.link(ifindex).map_err(KernelError::Netlink)?;
        devices.extend(link.map(|link| (link, addresses)));
    }
    Ok(devices)
}

fn not_eligible(link: &Link, config: &KernelConfig) -> Option<&'static str> {
    if link.is_loopback() {
        return Some("a loopback device");
    }
    if !link.ethernet {
        return Some("not an Ethernet device");
    }
    (!config.allows(&link.name)).then_some("not among those of xdp-interface")
}

fn attach_to(program: &mut Xdp, link: &Link, wanted: XdpMode) -> Result<AttachedMode, KernelError> {
    // Asked first, since a program attached by netlink would silently be replaced.
    if let Some(program) = link.xdp_program {
        return Err(KernelError::Occupied {
            interface: link.name.clone(),
            program,
        });
    }
    let refused = |reason| KernelError::Attach {
        interface: link.name.clone(),
        wanted,
        reason,
    };
    let not_native = match wanted {
        XdpMode::Generic => "as configured".to_owned(),
        XdpMode::Auto | XdpMode::Native => match attach_natively(program, link) {
            Ok(()) => {
                tracing::info!(interface = link.name, mode = %AttachedMode::Native, "XDP program attached");
                return Ok(AttachedMode::Native);
            }
            Err(NotNative::NotPermitted) => return Err(KernelError::NotPermitted),
            Err(NotNative::Refused(reason)) if wanted == XdpMode::Native => return Err(refused(reason)),
            Err(NotNative::Refused(reason)) => reason,
        },
    };
    match program.attach_to_if_index(link.ifindex, programs::XdpMode::Skb) {
        Ok(_) => {}
        Err(error) if is_not_permitted(&error) => return Err(KernelError::NotPermitted),
        Err(error) => return Err(refused(format!("{}; native: {not_native}", chain(&error)))),
    }
    let mode = AttachedMode::Generic;
    tracing::info!(interface = link.name, %mode, reason = not_native, "XDP program attached");
    Ok(mode)
}

enum NotNative {
    NotPermitted,
    Refused(String),
}

fn attach_natively(program: &mut Xdp, link: &Link) -> Result<(), NotNative> {
    // Drivers lose what is redirected to a device that does not take it, and nobody hears of it.
    Netdev::open().map_err(|error| NotNative::Refused(untold(&error)))?;
    match program.attach_to_if_index(link.ifindex, programs::XdpMode::Driver) {
        Ok(_) => Ok(()),
        Err(error) if is_not_permitted(&error) => Err(NotNative::NotPermitted),
        Err(error) => Err(NotNative::Refused(refusal(&error))),
    }
}

fn untold(error: &io::Error) -> String {
    format!("this kernel (before 6.3?) does not tell which devices take redirected frames: {error}")
}

fn refusal(error: &ProgramError) -> String {
    format!("the driver refuses native mode: {}", chain(error))
}
