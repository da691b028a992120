//! What the same flood costs where an XDP program does nothing but drop it: no program could do with less.
//!
//! ```text
//! attacker ── caller c2 ── r2 relay: XDP_DROP
//! ```

use std::net::SocketAddr;

use anyhow::Context;
use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};
use relay_daemon::datapath::kernel::program::BENCH;
use relay_tests::lab::Lab;
use relay_tests::netns::connect;

/// Whom the flood is for.
const ADDRESS: &str = "10.67.0.1";

/// A device of the relay's machine that drops all that comes. Gone when it is dropped.
pub(crate) struct Decoy {
    _programs: Ebpf,
}

impl Decoy {
    /// Connected by a device beside that of the calls, on the same way from the attacker.
    pub(crate) fn new(lab: &Lab) -> anyhow::Result<Decoy> {
        connect((&lab.caller, "c2"), (&lab.relay, "r2"));
        lab.caller.ip("addr add 10.67.0.2/24 dev c2");
        let [a, b, c, d, e, f] = lab.relay.mac("r2");
        // It does not answer who asks for it.
        lab.caller.ip(&format!(
            "neigh replace {ADDRESS} lladdr {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x} dev c2 nud permanent"
        ));
        let mut programs = Ebpf::load(BENCH)?;
        lab.relay.run(|| {
            let program: &mut Xdp = programs
                .program_mut("drop")
                .context("no such program")?
                .try_into()?;
            program.load()?;
            program.attach("r2", XdpMode::Driver)?;
            anyhow::Ok(())
        })?;
        Ok(Decoy { _programs: programs })
    }

    /// Where to send instead of a port of the relay.
    pub(crate) fn in_place_of(&self, to: SocketAddr) -> SocketAddr {
        SocketAddr::new(ADDRESS.parse().expect("an address"), to.port())
    }
}
