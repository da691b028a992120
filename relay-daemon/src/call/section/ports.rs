//! The local ports of a media section: created for an endpoint of the other side, kept as long as the call.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use crate::host::{AddressId, Host, OutOfPorts, PortCount};
use crate::plan::{LocalPort, PortId};
use crate::report::Local;

/// A media section that keeps moving gives up its oldest ports beyond this many.
const MAX_SETS: usize = 16;
/// The port that stands for none where there are no candidates yet.
const PLACEHOLDER_PORT: u16 = 9;

/// Where ports are wanted: one address of a logical interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct Place {
    /// Index of the interface, which is neither a group nor an alias.
    pub(in crate::call) interface: usize,
    /// The address that they are bound to.
    pub(in crate::call) local: AddressId,
    /// What the SDP says instead of it.
    pub(in crate::call) advertised: IpAddr,
}

/// Where ports are wanted with ICE: at all addresses of a logical interface, those of the family of the main one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::call) struct Places {
    /// That which the SDP names.
    pub(in crate::call) main: Place,
    /// Those that are candidates besides.
    pub(in crate::call) others: SmallVec<[Place; 2]>,
}

/// The local ports of one media section of one party. The party is told the current ones.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Ports {
    /// From the longest unused to the current one.
    sets: Vec<PortSet>,
    /// Whether the last of them is in use: not so once the section was rejected.
    open: bool,
    /// Whether the section was rejected since ports were told last.
    refused: bool,
    /// Those of another section, which are told in place of them.
    borrowed: Option<PortSet>,
    /// Where the section's RTCP was last on a port of its own.
    rtcp: RtcpHistory,
}

/// What became of a section's last port for RTCP. Other ports for RTP alone do not change it.
#[derive(Clone, Copy, Debug, Default)]
enum RtcpHistory {
    /// There never was one.
    #[default]
    Never,
    /// It is still there.
    Open(LocalPort),
    /// It was given up for the one for RTP.
    Closed,
}

/// Ports that belong together.
#[derive(Clone, Debug)]
pub(in crate::call) struct PortSet {
    /// Where they are.
    pub(in crate::call) place: Place,
    /// The endpoint of the other side for which they were created. None until the other side names one.
    created_for: Option<SocketAddr>,
    /// RTP.
    pub(in crate::call) rtp: LocalPort,
    /// RTCP.
    pub(in crate::call) rtcp: RtcpPort,
    /// At other addresses, for ICE.
    others: SmallVec<[Transport; 1]>,
}

/// Ports at one address.
#[derive(Clone, Copy, Debug)]
pub(in crate::call) struct Transport {
    pub(in crate::call) place: Place,
    pub(in crate::call) rtp: LocalPort,
    pub(in crate::call) rtcp: RtcpPort,
}

/// Where a port set receives RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum RtcpPort {
    /// On a port of its own.
    Own(LocalPort),
    /// On the RTP port, as no other was reserved.
    Shared,
    /// On the RTP port. The other one stays bound, but is not told to anybody any more.
    Retired(LocalPort),
}

/// Whether a changed endpoint of the other side, or another address family, keeps the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Latch {
    /// It keeps them, also where the interface is another one.
    Keep,
    /// It keeps them, as long as there are ports at all addresses that are wanted: or, where the interface is another one, at
    /// as many.
    KeepWhole,
    /// It keeps them, as long as there are ports at all addresses that are wanted; ports that wait for an endpoint take it.
    KeepThere,
    /// It gets others.
    Change,
}

impl Ports {
    /// The ports that the party is told.
    pub(in crate::call) fn current(&self) -> Option<&PortSet> {
        let told = self.borrowed.as_ref().or(self.sets.last());
        told.filter(|_| self.open)
    }

    /// The ports that are shown for RTP and RTCP.
    pub(in crate::call) fn shown(&self) -> [Local; 2] {
        let Some(set) = self.current() else {
            return [Local::Closed; 2];
        };
        let rtcp = match (set.rtcp, self.rtcp) {
            (RtcpPort::Own(port), _) => Local::Open(port.address),
            (RtcpPort::Retired(_), _) if self.borrowed.is_some() => Local::Closed,
            (_, RtcpHistory::Open(port)) => Local::Open(port.address),
            (_, RtcpHistory::Closed) => Local::Closed,
            (_, RtcpHistory::Never) => Local::WithoutPort(set.rtp.address.ip()),
        };
        [Local::Open(set.rtp.address), rtcp]
    }

    /// Of its own ports those that were current last.
    pub(in crate::call) fn newest(&self) -> Option<&PortSet> {
        self.sets.last()
    }

    /// The party is told the ports of another section.
    pub(in crate::call) fn borrow(&mut self, ports: Option<PortSet>) {
        self.open = ports.is_some();
        self.refused &= !self.open;
        self.borrowed = ports;
    }

    /// Whether the party is told those of another section.
    pub(in crate::call) fn are_borrowed(&self) -> bool {
        self.borrowed.is_some()
    }

    /// All sets of its own, the current one first.
    pub(in crate::call) fn all(&self) -> impl Iterator<Item = &PortSet> {
        self.sets.iter().rev()
    }

    /// Keeps the ports of a party that speaks, wherever it would be served from now: it may have been told them. Else makes
    /// new ones that wait for the endpoint of whoever answers.
    pub(in crate::call) fn keep_open(
        &mut self,
        places: &Places,
        count: PortCount,
        reservations: &mut Reservations<'_>,
    ) -> Result<(), OutOfPorts> {
        match self.open && !self.sets.is_empty() {
            true => {
                self.borrowed = None;
                Ok(())
            }
            false => self.open(places, count, reservations),
        }
    }

    /// Makes ports that wait for the endpoint of the other side: those that are at these places, else new ones.
    pub(in crate::call) fn open(
        &mut self,
        places: &Places,
        count: PortCount,
        reservations: &mut Reservations<'_>,
    ) -> Result<(), OutOfPorts> {
        let known = self.position(|set| set.place == places.main);
        self.make_current(known, places, None, count, reservations)
    }

    /// Makes the ports current that belong to an endpoint of the other side: those created for it earlier, those
    /// that wait for one, or new ones.
    pub(in crate::call) fn open_for(
        &mut self,
        endpoint: SocketAddr,
        latch: Latch,
        places: &Places,
        count: PortCount,
        reservations: &mut Reservations<'_>,
    ) -> Result<(), OutOfPorts> {
        // Hold by zero address names no endpoint; what stands for an address that is to come (RFC 8840 section 4.1.3) does.
        let endpoint = Some(endpoint)
            .filter(|endpoint| !endpoint.ip().is_unspecified() || endpoint.port() == PLACEHOLDER_PORT);
        let current = self.newest().filter(|set| {
            let stays = set.place.interface == places.main.interface;
            let fits = match latch {
                // Those at several addresses were for ICE, which has gone.
                Latch::Keep => set.others.is_empty() || !places.others.is_empty(),
                Latch::KeepWhole if stays => set.is_at(places),
                Latch::KeepWhole => set.others.len() >= places.others.len(),
                Latch::KeepThere => set.is_at(places),
                // A hold by zero address is no move.
                Latch::Change if endpoint.is_none() => set.is_at(places),
                Latch::Change => false,
            };
            self.open && fits && set.serves(count)
        });
        let suits = |set: &PortSet| set.is_at(places) && set.serves(count);
        let (known, endpoint) = match current {
            // They still wait for an endpoint if they did before.
            Some(_) => {
                let taken = endpoint.filter(|_| latch == Latch::KeepThere);
                (Some(self.sets.len() - 1), taken)
            }
            None => {
                let known = self
                    .position(|set| suits(set) && set.created_for == endpoint)
                    .or_else(|| self.position(|set| suits(set) && set.created_for.is_none()))
                    .or_else(|| self.position(|set| suits(set) && endpoint.is_none()));
                (known, endpoint)
            }
        };
        self.make_current(known, places, endpoint, count, reservations)
    }

    /// The section was rejected: its ports stay bound, but nobody is told them.
    pub(in crate::call) fn close(&mut self) {
        self.open = false;
        self.borrowed = None;
    }

    /// The same, until the party is told ports of the section again.
    pub(in crate::call) fn refuse(&mut self) {
        self.close();
        self.refused = true;
    }

    /// Whether the section was rejected, and no ports were told since.
    pub(in crate::call) fn are_refused(&self) -> bool {
        self.refused
    }

    /// Gives up all ports.
    pub(in crate::call) fn clear(&mut self) {
        *self = Ports::default();
    }

    fn position(&self, wanted: impl Fn(&PortSet) -> bool) -> Option<usize> {
        self.sets.iter().rposition(wanted)
    }

    fn make_current(
        &mut self,
        known: Option<usize>,
        places: &Places,
        endpoint: Option<SocketAddr>,
        count: PortCount,
        reservations: &mut Reservations<'_>,
    ) -> Result<(), OutOfPorts> {
        let mut set = match known {
            Some(index) => self.sets.remove(index),
            None => PortSet::new(places, count, reservations)?,
        };
        set.created_for = set.created_for.or(endpoint);
        if places.others.is_empty() {
            // Without ICE they are of no use.
            set.others.clear();
        }
        if count == PortCount::One {
            set.retire_rtcp();
        }
        self.rtcp = match (set.rtcp, self.rtcp) {
            (RtcpPort::Own(port), _) => RtcpHistory::Open(port),
            (RtcpPort::Retired(_), RtcpHistory::Never) => RtcpHistory::Closed,
            (RtcpPort::Retired(port), RtcpHistory::Open(known)) if known.id == port.id => RtcpHistory::Closed,
            (RtcpPort::Retired(_) | RtcpPort::Shared, known) => known,
        };
        self.sets.push(set);
        if self.sets.len() > MAX_SETS {
            self.sets.remove(0);
        }
        self.open = true;
        self.refused = false;
        self.borrowed = None;
        Ok(())
    }
}

impl PortSet {
    /// The ports at each address, those that the SDP names first.
    pub(in crate::call) fn transports(&self) -> impl Iterator<Item = Transport> {
        let main = Transport {
            place: self.place,
            rtp: self.rtp,
            rtcp: self.rtcp,
        };
        std::iter::once(main).chain(self.others.iter().copied())
    }

    fn new(
        places: &Places,
        count: PortCount,
        reservations: &mut Reservations<'_>,
    ) -> Result<PortSet, OutOfPorts> {
        let Transport { place, rtp, rtcp } = reservations.reserve(places.main, count)?;
        let others = places.others.iter();
        Ok(PortSet {
            place,
            created_for: None,
            rtp,
            rtcp,
            others: others
                .map(|place| reservations.reserve(*place, count))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether there are ports at all of these addresses, whichever of them is the main one.
    pub(in crate::call) fn is_at(&self, places: &Places) -> bool {
        let is_at = |place: &Place| self.transports().any(|transport| transport.place == *place);
        let is_there = match places.others.is_empty() {
            true => self.place == places.main,
            false => is_at(&places.main),
        };
        is_there && places.others.iter().all(is_at)
    }

    /// Whether it was made for a known endpoint of the other side.
    pub(in crate::call) fn has_endpoint(&self) -> bool {
        self.created_for.is_some()
    }

    pub(in crate::call) fn serves(&self, count: PortCount) -> bool {
        match (count, self.rtcp) {
            (PortCount::Pair, RtcpPort::Shared) => false,
            (PortCount::Pair, RtcpPort::Own(_) | RtcpPort::Retired(_)) | (PortCount::One, _) => true,
        }
    }

    /// The same ports as whoever muxes is told them.
    pub(in crate::call) fn muxed(mut self) -> PortSet {
        self.retire_rtcp();
        self
    }

    fn retire_rtcp(&mut self) {
        let others = self.others.iter_mut().map(|ports| &mut ports.rtcp);
        for rtcp in others.chain([&mut self.rtcp]) {
            if let RtcpPort::Own(port) = *rtcp {
                *rtcp = RtcpPort::Retired(port);
            }
        }
    }
}

impl RtcpPort {
    /// The port that is bound besides the RTP port.
    pub(in crate::call) fn bound(self) -> Option<LocalPort> {
        match self {
            RtcpPort::Own(port) | RtcpPort::Retired(port) => Some(port),
            RtcpPort::Shared => None,
        }
    }
}

/// Ports reserved while a message is being handled. Unless it succeeds, they are given back.
pub(in crate::call) struct Reservations<'h> {
    host: &'h mut dyn Host,
    made: SmallVec<[PortId; 8]>,
}

impl<'h> Reservations<'h> {
    pub(in crate::call) fn new(host: &'h mut dyn Host) -> Reservations<'h> {
        Reservations {
            host,
            made: SmallVec::new(),
        }
    }

    /// The message was accepted: the ports stay.
    pub(in crate::call) fn keep(mut self) {
        self.made.clear();
    }

    /// Who gives the ports.
    pub(in crate::call) fn host(&self) -> &dyn Host {
        self.host
    }

    /// Fills a buffer with random bytes.
    pub(in crate::call) fn random(&mut self, bytes: &mut [u8]) {
        self.host.random(bytes);
    }

    /// What fills buffers with random bytes.
    pub(in crate::call) fn randomness(&mut self) -> impl FnMut(&mut [u8]) {
        |bytes| self.host.random(bytes)
    }

    fn reserve(&mut self, place: Place, count: PortCount) -> Result<Transport, OutOfPorts> {
        let ports = self.host.reserve(place.local, count)?;
        self.made.extend(ports.iter().map(|port| port.id));
        let mut ports = ports.into_iter();
        let rtp = ports.next().ok_or(OutOfPorts)?;
        let rtcp = ports.next().map_or(RtcpPort::Shared, RtcpPort::Own);
        Ok(Transport { place, rtp, rtcp })
    }
}

impl Drop for Reservations<'_> {
    fn drop(&mut self) {
        for port in self.made.drain(..) {
            self.host.release(port);
        }
    }
}

#[cfg(test)]
mod tests;
