//! A party with ICE and DTLS, made of the same engines, and the network between it and a session.

use std::sync::OnceLock;

use super::super::secure::packet;
use super::*;
use crate::dtls::Association;
use crate::ice::Agent;
use crate::plan::{Host, IcePlan};
use crate::security::{
    CandidateKind, DtlsPeer, HashFunction, IceAgent, IceCredentials, RemoteCandidate, candidate_priority,
};
use crate::srtp::{Inbound, Outbound};

pub(super) const BROWSER: &str = "198.51.100.10:50000";
const RELAY: &str = "203.0.113.1:30000";

/// The port of the browser.
const OWN: PortId = PortId(900);

/// A session, its parties, and the time.
pub(super) struct World {
    pub(super) call: Call,
    pub(super) browser: Browser,
}

pub(super) struct Browser {
    pub(super) agent: Agent,
    pub(super) association: Association,
    /// The one before: it hears what the newest hears.
    pub(super) former: Option<Association>,
    out: Outbox,
    pub(super) has_ice: bool,
    pub(super) has_dtls: bool,
    /// Where its datagrams seem to come from.
    pub(super) seen_as: SocketAddr,
    /// Whether it has vanished.
    pub(super) is_gone: bool,
    ciphers: Option<(Outbound, Inbound)>,
}

fn identity_of_browser() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::generate(CertificateSettings::default()).unwrap())
}

fn credentials(name: &str, generation: u32) -> IceCredentials {
    IceCredentials {
        ufrag: format!("{name}-{generation}").into(),
        pwd: format!("{name} has a long password {generation}").into(),
    }
}

/// ICE of one side, which knows of the other.
fn ice_plan(names: [&str; 2], own: (PortId, &str), theirs: &str, generation: u32, role: IceRole) -> IcePlan {
    let candidate = RemoteCandidate {
        foundation: "1".into(),
        component: 1,
        priority: candidate_priority(CandidateKind::Host, 0, 1),
        address: theirs.parse().unwrap(),
        kind: CandidateKind::Host,
    };
    IcePlan {
        agent: IceAgent {
            local: credentials(names[0], generation),
            remote: Some(credentials(names[1], generation)),
            candidates: vec![candidate],
            complete: true,
        },
        role,
        lite: false,
        peer_lite: false,
        hosts: SmallVec::from_iter([Host {
            component: 1,
            port: own.0,
            address: own.1.parse().unwrap(),
        }]),
    }
}

fn plan_of_relay(generation: u32, role: IceRole) -> IcePlan {
    ice_plan(
        ["relay", "browser"],
        (id(TO_ALICE), RELAY),
        BROWSER,
        generation,
        role,
    )
}

fn plan_of_browser(generation: u32, role: IceRole) -> IcePlan {
    ice_plan(["browser", "relay"], (OWN, BROWSER), RELAY, generation, role)
}

fn opposite(role: IceRole) -> IceRole {
    match role {
        IceRole::Controlling => IceRole::Controlled,
        IceRole::Controlled => IceRole::Controlling,
    }
}

impl World {
    /// With our parts in DTLS and ICE. The plan has been applied.
    pub(super) fn new(dtls: DtlsRole, ice: IceRole) -> World {
        let part = match dtls {
            DtlsRole::Active => DtlsRole::Passive,
            DtlsRole::Passive => DtlsRole::Active,
        };
        let browser = Browser::new(opposite(ice), part, false);
        let mut alice = stream(TO_ALICE, Some(BROWSER), &[TO_BOB], &[TO_BOB]);
        alice.ice = Some(Box::new(plan_of_relay(1, ice)));
        alice.security = browser.security("1");
        let bob = stream(TO_BOB, Some(BOB), &[TO_ALICE], &[TO_ALICE]);
        let mut call = Call::with(vec![alice, bob]);
        call.apply();
        World { call, browser }
    }

    /// Lets so many milliseconds pass, of which datagrams take none.
    pub(super) fn run(&mut self, milliseconds: u64) {
        let end = self.call.now + Duration::from_millis(milliseconds);
        loop {
            self.exchange();
            let timers = [self.call.session.poll_timeout(), self.browser.poll_timeout()];
            let Some(next) = timers.into_iter().flatten().min().filter(|next| *next <= end) else {
                break;
            };
            self.call.now = self.call.now.max(next);
            let now = self.call.now;
            self.call.session.handle_timeout(now);
            self.call.drain(&[]);
            self.browser.handle_timeout(now);
        }
        self.call.now = end;
    }

    /// Delivers what either side has sent.
    pub(super) fn exchange(&mut self) {
        loop {
            let now = self.call.now;
            let mut any = self.call.session.shake_hands(now);
            while let Some(datagram) = self.call.session.poll_datagram() {
                any = true;
                if datagram.to == self.browser.seen_as && !self.browser.is_gone {
                    assert_eq!(datagram.from, id(TO_ALICE));
                    self.browser.handle(now, datagram.bytes);
                }
            }
            self.browser.open(now);
            while let Some(datagram) = self.browser.out.pop() {
                any = true;
                let (source, mut bytes) = (self.browser.seen_as, datagram.bytes.to_vec());
                let session = &mut self.call.session;
                session.handle_datagram(now, id(TO_ALICE), source, &mut bytes);
                assert!(session.poll_transmit().is_none());
                self.call.drain(&[]);
            }
            if !any {
                return;
            }
        }
    }

    /// What everybody can see of ICE and DTLS with the browser.
    pub(super) fn states(&self) -> (Option<IceState>, Option<DtlsState>) {
        let status = self.call.status(TO_ALICE);
        (status.ice(), status.dtls())
    }

    pub(super) fn change_ice(&mut self, change: impl FnOnce(&mut IcePlan)) {
        self.call
            .change(TO_ALICE, |stream| change(stream.ice.as_mut().unwrap()));
    }

    pub(super) fn restart_ice(&mut self, generation: u32) {
        self.change_ice(|plan| *plan = plan_of_relay(generation, IceRole::Controlled));
        let plan = plan_of_browser(generation, IceRole::Controlling);
        self.browser.agent.update(&plan);
        self.call.apply();
    }

    /// Packets of this sequence number go from each side to the other.
    pub(super) fn assert_media_flows(&mut self, sequence: u16) {
        self.call.take_sent();
        let wire = self.browser.protect(&packet(sequence));
        let source = self.browser.seen_as.to_string();
        self.call.receive(&source, TO_ALICE, &wire);
        assert_eq!(self.call.only_sent(BOB), packet(sequence));
        self.call.receive(BOB, TO_BOB, &packet(sequence));
        let wire = self.call.only_sent(&source);
        assert_eq!(self.browser.read(&wire), packet(sequence));
    }
}

impl Browser {
    pub(super) fn new(ice: IceRole, dtls: DtlsRole, relay_is_lite: bool) -> Browser {
        let plan = IcePlan {
            peer_lite: relay_is_lite,
            ..plan_of_browser(1, ice)
        };
        Browser {
            agent: Agent::new(&plan),
            association: association(dtls),
            former: None,
            out: Outbox::default(),
            has_ice: true,
            has_dtls: true,
            seen_as: BROWSER.parse().unwrap(),
            is_gone: false,
            ciphers: None,
        }
    }

    /// As signalling would have it.
    pub(super) fn security(&self, association: &str) -> MediaSecurity {
        MediaSecurity::Dtls(DtlsPeer {
            role: match self.association.role() {
                DtlsRole::Active => DtlsRole::Passive,
                DtlsRole::Passive => DtlsRole::Active,
            },
            fingerprint: identity_of_browser()
                .fingerprints()
                .by(HashFunction::Sha256)
                .clone(),
            association: association.into(),
        })
    }

    pub(super) fn renew_association(&mut self, role: DtlsRole) {
        self.former = Some(std::mem::replace(&mut self.association, association(role)));
        self.ciphers = None;
    }

    pub(super) fn protect(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = [packet, &[0; MAX_TRAILER]].concat();
        let (sends, _) = self.ciphers();
        let length = sends.protect_rtp(&mut buffer, packet.len(), None).unwrap();
        buffer.truncate(length);
        buffer
    }

    pub(super) fn read(&mut self, wire: &[u8]) -> Vec<u8> {
        let mut packet = wire.to_vec();
        let (_, receives) = self.ciphers();
        let length = receives.unprotect_rtp(&mut packet).unwrap().length;
        packet.truncate(length);
        packet
    }

    fn ciphers(&mut self) -> &mut (Outbound, Inbound) {
        let keys = self.association.keys().expect("the handshake is done");
        self.ciphers
            .get_or_insert_with(|| (Outbound::new(&keys.outbound), Inbound::new(&keys.inbound)))
    }

    fn handle(&mut self, now: Time, datagram: &[u8]) {
        match classify(datagram) {
            Kind::Stun if self.has_ice => {
                let remote = RELAY.parse().unwrap();
                self.agent.handle(now, OWN, remote, datagram, &mut self.out);
            }
            Kind::Dtls if self.has_dtls => {
                let out = &mut self.out;
                self.association.handle(now, datagram, |bytes| send(out, bytes));
                if let Some(former) = &mut self.former {
                    former.handle(now, datagram, |_| {});
                }
            }
            Kind::Stun | Kind::Dtls | Kind::Rtp | Kind::Rtcp | Kind::Other => {}
        }
    }

    /// Opens the association as soon as the relay can be reached.
    fn open(&mut self, now: Time) {
        if self.has_dtls && (!self.has_ice || self.agent.selected(1).is_some()) {
            let out = &mut self.out;
            self.association.open(now, |bytes| send(out, bytes));
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        let agent = self.agent.poll_timeout().filter(|_| self.has_ice);
        let association = self.association.poll_timeout().filter(|_| self.has_dtls);
        agent
            .into_iter()
            .chain(association)
            .min()
            .filter(|_| !self.is_gone)
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.is_gone {
            return;
        }
        if self.has_ice {
            self.agent.handle_timeout(now, &mut self.out);
        }
        let out = &mut self.out;
        self.association.handle_timeout(now, |bytes| send(out, bytes));
    }
}

fn association(role: DtlsRole) -> Association {
    let relay = identity().fingerprints().by(HashFunction::Sha256).clone();
    let context = Context::new(identity_of_browser(), &DtlsSettings::default()).unwrap();
    Association::new(&context, role, Some(relay)).unwrap()
}

fn send(out: &mut Outbox, bytes: &[u8]) {
    out.push(OWN, RELAY.parse().unwrap(), |buffer| {
        buffer.extend_from_slice(bytes)
    });
}
