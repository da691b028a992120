//! Which devices the program is attached to, and how.
//!
//! It belongs on every device that carries a local address, on those that the configuration names, and on those that
//! packets leave by if their driver only then takes redirected frames, and if attaching it does not disturb them. Devices come,
//! go and change; whoever listens to the kernel shows the [`Attacher`] each new [`Snapshot`].

mod ingress;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::net::IpAddr;

pub(crate) use self::ingress::Ingress;
use self::ingress::is_everywhere;
use super::netlink::Link;
use super::{AttachedMode, Attachment, KernelConfig, KernelError, XdpMode};

/// What can be attached: the XDP program, or a table in tests.
pub(crate) trait Program: fmt::Debug + Send {
    /// Its number in the kernel.
    fn id(&self) -> u32;

    /// Attaches it to a device until what comes back is dropped.
    fn attach(&mut self, ifindex: u32, mode: AttachedMode) -> Result<Box<dyn Held>, Refusal>;

    /// Has it take packets of local addresses where they come in by now, and nowhere else.
    fn admit(&mut self, ingress: &[Ingress]);
}

/// Keeps the program attached.
pub(crate) trait Held: fmt::Debug + Send {}

/// Why the kernel does not attach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The process may not.
    NotPermitted,
    /// Another reason.
    Other(String),
}

/// Devices and addresses of a network namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// All devices.
    pub(crate) links: Vec<Link>,
    /// All addresses, each with the number of its device.
    pub(crate) addresses: Vec<(IpAddr, u32)>,
    /// Devices that packets are to leave by, but that take no redirected frames.
    pub(crate) egress: BTreeSet<u32>,
    /// Whether the kernel tells which devices take redirected frames (Linux 6.3). Drivers lose what is redirected to
    /// others, and nobody hears of it: without that, a device is attached to natively only if the configuration says so.
    pub(crate) tells_features: bool,
    /// Devices whose drivers take the (outer) tag off the frames of VLANs, or may do so.
    pub(crate) takes_tags_off: BTreeSet<u32>,
}

/// Where the program is attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The devices, in order of their numbers.
    pub(crate) devices: Vec<Attachment>,
    /// Local addresses whose packets it sees.
    pub(crate) addresses: HashSet<IpAddr>,
    /// Local addresses of devices that the configuration keeps it from.
    pub(crate) kept_out: HashSet<IpAddr>,
}

/// Attaches the program, and keeps it attached. Dropping it detaches.
#[derive(Debug)]
pub(crate) struct Attacher {
    config: KernelConfig,
    // Dropped before the program.
    devices: BTreeMap<u32, Device>,
    program: Box<dyn Program>,
    refused: BTreeMap<u32, Refused>,
}

#[derive(Debug)]
struct Device {
    name: String,
    mode: AttachedMode,
    _held: Box<dyn Held>,
}

/// A device that the program could not be attached to.
#[derive(Debug)]
struct Refused {
    /// As it was then: it is not worth another try while nothing about it has changed.
    link: Option<Link>,
    /// What the operator was told.
    text: String,
}

impl Attacher {
    pub(crate) fn new(config: KernelConfig, program: Box<dyn Program>) -> Attacher {
        Attacher {
            config,
            devices: BTreeMap::new(),
            program,
            refused: BTreeMap::new(),
        }
    }

    /// Attaches the program for the first time. An error if it never can be of use here; or, if the configuration is
    /// strict, if it cannot be attached to any one of the devices.
    pub(crate) fn begin(&mut self, snapshot: &Snapshot) -> Result<(), KernelError> {
        let mut errors = self.follow(snapshot);
        let fatal = |error: &KernelError| self.config.strict || matches!(error, KernelError::NotPermitted);
        if let Some(index) = errors.iter().position(fatal) {
            return Err(errors.swap_remove(index));
        }
        if !self.devices.is_empty() {
            return Ok(());
        }
        let hopeless = self.config.strict || (errors.is_empty() && !self.is_any_missing(snapshot));
        if hopeless {
            return Err(KernelError::NoInterface(self.why_nowhere(snapshot)));
        }
        tracing::warn!("the XDP program is not attached to any interface yet: relaying in userspace");
        Ok(())
    }

    /// Attaches the program where it belongs by now. Tells what went wrong; the operator has been told as well.
    pub(crate) fn follow(&mut self, snapshot: &Snapshot) -> Vec<KernelError> {
        self.let_go(snapshot);
        let mut errors = Vec::new();
        for (link, mode) in self.candidates(snapshot) {
            let held = match link.is_vlan() {
                true => self.hold_vlan(link, mode, snapshot),
                false => self.hold(link, mode, snapshot),
            };
            errors.extend(held.err());
        }
        for link in self.left_alone(snapshot) {
            errors.extend(self.leave_alone(link).err());
        }
        let ingress = self.ingress(snapshot);
        self.program.admit(&ingress);
        errors
    }

    /// Whether [`Attacher::follow`] may attach it to another driver.
    pub(crate) fn may_become_native(&self, snapshot: &Snapshot) -> bool {
        let is_open = |(link, mode): &(&Link, XdpMode)| {
            *mode != XdpMode::Generic && !self.is_held(link, snapshot) && !self.was_refused(link)
        };
        self.candidates(snapshot).iter().any(is_open)
    }

    /// Has devices tried again that refused before.
    pub(crate) fn forget_refusals(&mut self) {
        for refused in self.refused.values_mut() {
            refused.link = None;
        }
    }

    /// Whether it waits for something to change.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.devices.is_empty() || !self.refused.is_empty()
    }

    /// Whether it is attached to a driver anywhere.
    pub(crate) fn is_native(&self) -> bool {
        self.devices
            .values()
            .any(|device| device.mode == AttachedMode::Native)
    }

    /// Where it is attached.
    pub(crate) fn attached(&self, snapshot: &Snapshot) -> Attached {
        let is_covered = |(address, ifindex): &&(IpAddr, u32)| {
            self.is_local(*address) && self.covers(*address, *ifindex, snapshot)
        };
        let addresses = snapshot.addresses.iter().filter(is_covered);
        let devices = self.devices.values().map(|device| Attachment {
            interface: device.name.clone(),
            mode: device.mode,
        });
        let is_off = |ifindex: u32| {
            let link = snapshot.links.iter().find(|link| link.ifindex == ifindex);
            link.is_some_and(|link| self.config.mode_of(&link.name) == XdpMode::Off)
        };
        let kept_out = snapshot.addresses.iter();
        let kept_out = kept_out.filter(|(address, ifindex)| self.is_local(*address) && is_off(*ifindex));
        Attached {
            addresses: addresses.map(|(address, _)| *address).collect(),
            kept_out: kept_out.map(|(address, _)| *address).collect(),
            devices: devices.collect(),
        }
    }

    /// What it goes by.
    pub(crate) fn config(&self) -> &KernelConfig {
        &self.config
    }

    /// Detaches the program everywhere.
    pub(crate) fn detach(&mut self) {
        self.devices.clear();
    }

    /// The devices that it belongs on. Those that stand on others, and those that packets only leave by, come last.
    fn candidates<'a>(&self, snapshot: &'a Snapshot) -> Vec<(&'a Link, XdpMode)> {
        let carriers = self.carriers(snapshot);
        let is_wanted = |link: &&Link| carriers.contains(&link.ifindex) || self.config.names(&link.name);
        let wanted = snapshot.links.iter().filter(is_wanted);
        let mut candidates: Vec<(&Link, XdpMode)> = wanted
            .map(|link| (link, self.config.mode_of(&link.name)))
            .collect();
        candidates.sort_by_key(|(link, _)| link.is_vlan());
        let egress = self.egress(snapshot).filter(|link| takes_it_at_any_time(link));
        candidates.extend(egress.map(|link| (link, XdpMode::Native)));
        candidates.retain(|(link, mode)| *mode != XdpMode::Off && not_eligible(link).is_none());
        candidates
    }

    /// The devices that packets only leave by, and would have it natively.
    fn egress<'a>(&self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Link> {
        let egress = snapshot.links.iter();
        let egress = egress.filter(|link| snapshot.egress.contains(&link.ifindex));
        egress.filter(|link| matches!(self.config.mode_of(&link.name), XdpMode::Auto | XdpMode::Native))
    }

    /// Of these, those that must not have it now, of which the operator has not been told yet.
    fn left_alone<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a Link> {
        let is_open = |link: &&Link| !self.devices.contains_key(&link.ifindex) && !self.was_refused(link);
        let egress = self.egress(snapshot).filter(is_open);
        egress.filter(|link| !takes_it_at_any_time(link)).collect()
    }

    /// That packets are to leave by a device is known when a call has them do so, and maybe other calls already go by it.
    fn leave_alone(&mut self, link: &Link) -> Result<(), KernelError> {
        const REASON: &str = "calls leave by it, and many drivers reset a device to which a program is attached; with \
                              --xdp-interface it is attached at the start";
        self.refuse(link, REASON, |interface, reason| KernelError::Attach {
            interface,
            wanted: XdpMode::Native,
            reason: reason.to_owned(),
        })
    }

    /// The devices with local addresses.
    fn carriers(&self, snapshot: &Snapshot) -> BTreeSet<u32> {
        let local = snapshot
            .addresses
            .iter()
            .filter(|(address, _)| self.is_local(*address));
        local.map(|(_, ifindex)| *ifindex).collect()
    }

    /// Whether the program sees the frames of a device.
    fn is_held(&self, link: &Link, snapshot: &Snapshot) -> bool {
        let below = || base_of(link, snapshot).and_then(|base| self.devices.get(&base.ifindex));
        self.devices.contains_key(&link.ifindex)
            || link.is_vlan() && below().is_some_and(|device| device.mode == AttachedMode::Native)
    }

    /// Drops what is no longer there: devices, and attachments that somebody else has ended.
    fn let_go(&mut self, snapshot: &Snapshot) {
        let link_of = |ifindex: &u32| snapshot.links.iter().find(|link| link.ifindex == *ifindex);
        self.refused.retain(|ifindex, _| link_of(ifindex).is_some());
        let own = self.program.id();
        self.devices.retain(|ifindex, device| match link_of(ifindex) {
            None => {
                tracing::info!(
                    interface = device.name,
                    "interface gone, and the XDP program with it"
                );
                false
            }
            Some(link) if link.xdp_program != Some(own) => {
                tracing::warn!(interface = link.name, "somebody has detached the XDP program");
                false
            }
            Some(link) => {
                device.name.clone_from(&link.name);
                true
            }
        });
    }

    /// Drivers hand up tagged frames as they are, or without the tag: the program takes both at the device below. The
    /// stack's entry there hides the tag from it and would send it on with the frame.
    fn hold_vlan(&mut self, link: &Link, mode: XdpMode, snapshot: &Snapshot) -> Result<(), KernelError> {
        if self.is_held(link, snapshot) || self.was_refused(link) {
            return Ok(());
        }
        let base = base_of(link, snapshot).filter(|base| not_eligible(base).is_none());
        let Some(base) = base else {
            return self.hold(link, mode, snapshot);
        };
        if self.devices.contains_key(&base.ifindex) {
            let reason = format!(
                "its frames come by {}, where it is attached generically",
                base.name
            );
            return self.refuse(link, reason, |interface, reason| KernelError::Attach {
                interface,
                wanted: mode,
                reason,
            });
        }
        let may_be_native = mode != XdpMode::Generic
            && matches!(self.config.mode_of(&base.name), XdpMode::Auto | XdpMode::Native);
        // What goes wrong below is no reason to complain: there is still the VLAN device.
        if may_be_native && base.xdp_program.is_none() && self.try_natively(base, mode, snapshot).is_ok() {
            return Ok(());
        }
        self.hold(link, mode, snapshot)
    }

    /// Sees to it that the program is attached to a device.
    fn hold(&mut self, link: &Link, mode: XdpMode, snapshot: &Snapshot) -> Result<(), KernelError> {
        if self.devices.contains_key(&link.ifindex) || self.was_refused(link) {
            return Ok(());
        }
        // Asked first, since a program attached by netlink would silently be replaced.
        if let Some(program) = link.xdp_program {
            return self.refuse(link, program, |interface, program| KernelError::Occupied {
                interface,
                program,
            });
        }
        let not_native = match mode {
            XdpMode::Off => return Ok(()),
            XdpMode::Generic => "as configured".to_owned(),
            XdpMode::Auto | XdpMode::Native => match self.try_natively(link, mode, snapshot) {
                Ok(()) => return Ok(()),
                Err(Refusal::NotPermitted) => return Err(KernelError::NotPermitted),
                Err(Refusal::Other(reason)) => reason,
            },
        };
        let failed = |interface, reason| KernelError::Attach {
            interface,
            wanted: mode,
            reason,
        };
        if mode == XdpMode::Native {
            return self.refuse(link, not_native, failed);
        }
        match self.program.attach(link.ifindex, AttachedMode::Generic) {
            Ok(held) => {
                let mode = AttachedMode::Generic;
                tracing::info!(interface = link.name, %mode, reason = not_native, "XDP program attached");
                self.note(link, mode, held);
                Ok(())
            }
            Err(Refusal::NotPermitted) => Err(KernelError::NotPermitted),
            Err(Refusal::Other(reason)) => {
                self.refuse(link, format!("{reason}; native: {not_native}"), failed)
            }
        }
    }

    /// A kernel that does not tell which devices take redirected frames leaves that to the operator: who asks for native
    /// mode knows the drivers.
    fn try_natively(&mut self, link: &Link, wanted: XdpMode, snapshot: &Snapshot) -> Result<(), Refusal> {
        if !snapshot.tells_features && wanted != XdpMode::Native {
            let reason = "this kernel (before 6.3?) does not tell which devices take redirected frames";
            return Err(Refusal::Other(reason.to_owned()));
        }
        let mode = AttachedMode::Native;
        let held = self.program.attach(link.ifindex, mode)?;
        tracing::info!(interface = link.name, %mode, "XDP program attached");
        if !snapshot.tells_features {
            tracing::warn!(
                interface = link.name,
                "this kernel (before 6.3?) does not tell which devices take redirected frames: what is sent by one that does \
                 not is lost"
            );
        }
        self.note(link, mode, held);
        Ok(())
    }

    fn note(&mut self, link: &Link, mode: AttachedMode, held: Box<dyn Held>) {
        self.refused.remove(&link.ifindex);
        let device = Device {
            name: link.name.clone(),
            mode,
            _held: held,
        };
        self.devices.insert(link.ifindex, device);
    }

    /// Remembers a refusal, and tells the operator if it is news.
    fn refuse<R>(
        &mut self,
        link: &Link,
        reason: R,
        error: impl FnOnce(String, R) -> KernelError,
    ) -> Result<(), KernelError> {
        let error = error(link.name.clone(), reason);
        let refused = Refused {
            link: Some(link.clone()),
            text: error.to_string(),
        };
        let before = self.refused.insert(link.ifindex, refused);
        if before.is_none_or(|before| before.text != error.to_string()) {
            tracing::warn!("{error}: its flows stay in userspace");
        }
        Err(error)
    }

    fn was_refused(&self, link: &Link) -> bool {
        let refused = self.refused.get(&link.ifindex);
        refused.is_some_and(|refused| refused.link.as_ref() == Some(link))
    }

    fn is_local(&self, address: IpAddr) -> bool {
        self.config.locals.iter().any(|local| local.address == address)
    }

    /// Whether the program sees packets to an address of a device.
    fn covers(&self, address: IpAddr, ifindex: u32, snapshot: &Snapshot) -> bool {
        let Some(link) = snapshot.links.iter().find(|link| link.ifindex == ifindex) else {
            return false;
        };
        if self.is_held(link, snapshot) {
            return true;
        }
        // An address that is routed to this host comes by the devices that the operator names.
        let mut named = self
            .devices
            .values()
            .filter(|device| self.config.names(&device.name));
        is_everywhere(link) && !address.is_loopback() && named.next().is_some()
    }

    fn is_any_missing(&self, snapshot: &Snapshot) -> bool {
        let is_there = |wanted: IpAddr| snapshot.addresses.iter().any(|(address, _)| *address == wanted);
        self.config.locals.iter().any(|local| !is_there(local.address))
    }

    fn why_nowhere(&self, snapshot: &Snapshot) -> String {
        let carriers = self.carriers(snapshot);
        let links = snapshot
            .links
            .iter()
            .filter(|link| carriers.contains(&link.ifindex));
        let reasons: Vec<String> = links
            .map(|link| {
                let reason = not_eligible(link).unwrap_or("left out by configuration");
                format!("{}: {reason}", link.name)
            })
            .collect();
        if reasons.is_empty() {
            return "no local address is on any".to_owned();
        }
        reasons.join(", ")
    }
}

fn not_eligible(link: &Link) -> Option<&'static str> {
    if link.is_loopback() {
        return Some("a loopback device");
    }
    (!link.ethernet).then_some("not an Ethernet device")
}

/// Whether a device goes on as it is when a program is attached to its driver. Drivers of hardware set up their queues anew,
/// and the link may be down for seconds.
fn takes_it_at_any_time(link: &Link) -> bool {
    link.kind.as_deref() == Some("veth")
}

/// The device that the frames of a VLAN device come by.
fn base_of<'a>(link: &Link, snapshot: &'a Snapshot) -> Option<&'a Link> {
    const MAX_TAGS: usize = 2;
    let below = |link: &Link| {
        let parent = link.parent?;
        snapshot.links.iter().find(|link| link.ifindex == parent)
    };
    let mut base = below(link)?;
    for _ in 1..MAX_TAGS {
        if base.is_vlan() {
            base = below(base)?;
        }
    }
    (!base.is_vlan()).then_some(base)
}

#[cfg(test)]
mod tests;
