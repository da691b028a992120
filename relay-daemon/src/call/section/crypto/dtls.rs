//! DTLS-SRTP in the SDP (RFC 5763, 8122, 8842): fingerprints, roles, and when an association ends.

use std::sync::Arc;

use crate::call::command::DtlsOptions;
use crate::call::section::kind::Kind;
use crate::call::section::random::{Random, hexadecimal};
use crate::dtls::Credentials;
use crate::plan::PortId;
use crate::sdp::{self, MediaSection, Setup, Text};
use crate::security::{DtlsPeer, DtlsRole, Fingerprint, HashFunction};

use super::Transport;

/// Digits of `a=tls-id`.
const TLS_ID_LENGTH: usize = 32;

/// How many former associations at other ports are remembered.
const MAX_ELSEWHERE: usize = 16;

/// DTLS with one party, in one media section.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Dtls {
    /// What the party's newest SDP says. None if it does without DTLS.
    peer: Option<Peer>,
    /// Our part, once it is clear.
    role: Option<DtlsRole>,
    /// Which parts may be ours.
    roles: &'static [DtlsRole],
    /// What the party was told, once it was.
    told: Option<Told>,
    /// Associations at other ports that the party was told of before, the newest last.
    elsewhere: Vec<(PortId, Names)>,
}

/// Our end of an association.
#[derive(Clone, Debug)]
struct Told {
    names: Names,
    /// Who we are in it.
    credentials: Arc<Credentials>,
    /// By which function the party is told our fingerprint.
    hash: HashFunction,
    /// What it goes over. The association ends where ICE begins or ceases; without ICE another port has another one.
    transport: Transport,
}

/// What an association is known by. Empty where it has no name yet.
#[derive(Clone, Debug, Default)]
struct Names {
    /// Among us: another one is another handshake.
    association: Arc<str>,
    /// `a=tls-id`: a new one at each ICE restart of a party that names its own end no more, or never did, as the reference
    /// does. Such a party goes by its fingerprint alone, and keeps the association.
    told: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Peer {
    fingerprint: Fingerprint,
    /// Names the party's end of the association.
    tls_id: Option<Text>,
}

/// What is known when a party speaks.
#[derive(Clone, Copy, Debug)]
pub(in crate::call) struct Hearing<'a> {
    pub(in crate::call) kind: Kind,
    pub(in crate::call) section: &'a MediaSection,
    pub(in crate::call) options: DtlsOptions,
    /// Whether we wait for the party to open the association if it leaves the choice to us, and the message does not say.
    pub(in crate::call) passive: bool,
    /// Whether the party has restarted ICE with this message.
    pub(in crate::call) ice_restarted: bool,
}

/// What is known when a party is told.
#[derive(Clone, Copy, Debug)]
pub(in crate::call) struct Telling<'a> {
    pub(in crate::call) kind: Kind,
    pub(in crate::call) options: DtlsOptions,
    /// Who we are to parties that were not told yet.
    pub(in crate::call) credentials: &'a Arc<Credentials>,
    pub(in crate::call) transport: Transport,
}

impl Dtls {
    /// The party speaks. Tells whether it does DTLS, as far as we can.
    pub(in crate::call) fn hear(&mut self, hearing: Hearing<'_>) -> bool {
        let setup = hearing.section.dtls.setup;
        let role = setup.and_then(|setup| role(setup, self.role, hearing));
        let roles = roles(setup, role, hearing.kind);
        let (Some(peer), Some(role)) = (peer(hearing.section), role) else {
            *self = Dtls {
                roles,
                ..Dtls::default()
            };
            return false;
        };
        if self.ends(&peer) {
            self.begin_again();
        } else if self.loses_its_name(&peer, hearing)
            && let Some(told) = &mut self.told
        {
            told.names.told = Arc::default();
        }
        self.roles = roles;
        self.role = Some(role);
        self.peer = Some(peer);
        true
    }

    /// Keys are agreed on otherwise. What the party has said of roles stays.
    pub(in crate::call) fn gives_way(&mut self) {
        *self = Dtls {
            roles: self.roles,
            ..Dtls::default()
        };
    }

    /// Which parts may be ours.
    pub(in crate::call) fn roles(&self) -> &'static [DtlsRole] {
        self.roles
    }

    /// The party is offered encryption: which part is whose is open, by whatever way keys are agreed on.
    pub(in crate::call) fn open_roles(&mut self) {
        self.roles = &[DtlsRole::Active, DtlsRole::Passive];
    }

    /// Whether the newest SDP of the party has a fingerprint that we can check.
    pub(in crate::call) fn has_peer(&self) -> bool {
        self.peer.is_some()
    }

    /// The party is told of the association: gives it a name if it has none, and says who we are.
    pub(in crate::call) fn tell(&mut self, telling: Telling<'_>, random: Random<'_>) {
        let Telling {
            kind,
            options,
            credentials,
            transport,
        } = telling;
        if let (Kind::Answer, Some(role)) = (kind, self.role) {
            self.roles = only(role);
        }
        let wish = options.fingerprint.filter(|_| kind == Kind::Offer);
        let of_peer = self.peer.as_ref().map(|peer| peer.fingerprint.hash());
        let told = self.told.get_or_insert_with(|| Told {
            names: Names::default(),
            credentials: Arc::clone(credentials),
            hash: wish.or(of_peer).unwrap_or_default(),
            transport,
        });
        if told.transport.ice != transport.ice && !options.no_tls_id {
            told.names = Names::default();
        }
        if let (Some(former), Some(port)) = (told.transport.port, transport.port)
            && former != port
            && !transport.ice
        {
            let known = self.elsewhere.iter().position(|(known, _)| *known == port);
            let known = known.map(|index| self.elsewhere.remove(index).1);
            let former = (
                former,
                std::mem::replace(&mut told.names, known.unwrap_or_default()),
            );
            if self.elsewhere.len() == MAX_ELSEWHERE {
                self.elsewhere.remove(0);
            }
            self.elsewhere.push(former);
        }
        let names = &mut told.names;
        if names.told.is_empty() {
            names.told = hexadecimal(TLS_ID_LENGTH, random);
        }
        if names.association.is_empty() {
            names.association = Arc::clone(&names.told);
        }
        told.transport = transport;
    }

    /// The next association has another name.
    fn begin_again(&mut self) {
        if let Some(told) = &mut self.told {
            told.names = Names::default();
        }
    }

    /// `a=tls-id`, if the party was told one.
    pub(in crate::call) fn tls_id(&self) -> Option<Arc<str>> {
        let told = self.told.as_ref()?;
        Some(Arc::clone(&told.names.told))
    }

    /// Who we are to the party, if it was told.
    pub(in crate::call) fn credentials(&self) -> Option<&Arc<Credentials>> {
        self.told.as_ref().map(|told| &told.credentials)
    }

    /// What the association needs. None if the party does without, or before anything was said.
    pub(in crate::call) fn agreed(&self) -> Option<DtlsPeer> {
        let association = self.told.as_ref().map(|told| &told.names.association);
        Some(DtlsPeer {
            role: self.role?,
            fingerprint: self.peer.as_ref()?.fingerprint.clone(),
            association: Arc::clone(association.filter(|name| !name.is_empty())?),
        })
    }

    /// Whether it is agreed who opens the association.
    pub(in crate::call) fn is_settled(&self) -> bool {
        self.peer.is_some() && self.role.is_some()
    }

    /// The lines for the party: an offer leaves the roles open.
    pub(in crate::call) fn text(&self, kind: Kind, no_tls_id: bool) -> sdp::Dtls {
        let Some(told) = &self.told else {
            return sdp::Dtls::default();
        };
        let setup = match (kind, self.role) {
            (Kind::Offer, _) => Setup::ActPass,
            (Kind::Answer, Some(DtlsRole::Passive)) => Setup::Passive,
            (Kind::Answer, Some(DtlsRole::Active) | None) => Setup::Active,
        };
        let fingerprint = told.credentials.fingerprints().by(told.hash);
        sdp::Dtls {
            setup: Some(setup),
            fingerprints: vec![sdp::Fingerprint {
                hash: Text::from_static(told.hash.name()),
                digest: Text::from(fingerprint.to_string()),
            }],
            tls_id: (!no_tls_id).then(|| Text::from(&*told.names.told)),
        }
    }

    /// Whether what the party says ends the association (RFC 8842 section 4). An ICE restart alone does not: browsers, which do
    /// not name associations, go on with the one they have.
    fn ends(&self, heard: &Peer) -> bool {
        let Some(before) = &self.peer else {
            return false;
        };
        let renamed =
            matches!((&before.tls_id, &heard.tls_id), (Some(before), Some(heard)) if before != heard);
        before.fingerprint != heard.fingerprint || renamed
    }

    /// Whether the party is told another `a=tls-id` for the same association.
    fn loses_its_name(&self, heard: &Peer, hearing: Hearing<'_>) -> bool {
        let was_named = self.peer.as_ref().is_some_and(|before| before.tls_id.is_some());
        let unnamed = heard.tls_id.is_none() && !hearing.options.no_tls_id;
        unnamed && (was_named || (hearing.ice_restarted && self.peer.is_some()))
    }
}

/// Whether a section has a fingerprint that we can check.
pub(super) fn has_fingerprint(section: &MediaSection) -> bool {
    peer(section).is_some()
}

/// None without a fingerprint that we can check. Of several, the first that we can.
fn peer(section: &MediaSection) -> Option<Peer> {
    let fingerprint = section.dtls.fingerprints.iter().find_map(|fingerprint| {
        let hash = HashFunction::named(&fingerprint.hash)?;
        Fingerprint::parse(hash, &fingerprint.digest)
    })?;
    Some(Peer {
        fingerprint,
        tls_id: section.dtls.tls_id.clone(),
    })
}

/// Which parts may be ours: both if an answer leaves that open.
fn roles(setup: Option<Setup>, role: Option<DtlsRole>, kind: Kind) -> &'static [DtlsRole] {
    match (role, kind) {
        (None, _) => &[],
        (Some(_), Kind::Answer) if setup == Some(Setup::ActPass) => &[DtlsRole::Active, DtlsRole::Passive],
        (Some(role), _) => only(role),
    }
}

fn only(role: DtlsRole) -> &'static [DtlsRole] {
    match role {
        DtlsRole::Active => &[DtlsRole::Active],
        DtlsRole::Passive => &[DtlsRole::Passive],
    }
}

/// Our part. Where the party leaves the choice, the options of an offer make it; else what was settled stays. None if it
/// wants no association for now.
fn role(setup: Setup, former: Option<DtlsRole>, hearing: Hearing<'_>) -> Option<DtlsRole> {
    let part = |passive| match passive {
        true => DtlsRole::Passive,
        false => DtlsRole::Active,
    };
    let is_offer = hearing.kind == Kind::Offer;
    let wish = hearing.options.passive.filter(|_| is_offer).map(part);
    match setup {
        Setup::Active => Some(DtlsRole::Passive),
        Setup::Passive => Some(DtlsRole::Active),
        Setup::ActPass => wish.or(former).or(Some(part(hearing.passive && is_offer))),
        Setup::HoldConn => None,
    }
}

#[cfg(test)]
mod tests;
