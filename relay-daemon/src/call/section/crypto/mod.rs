//! Encryption of media, as the SDPs of both sides negotiate it: SDES, DTLS, and opportunistic SRTP.
//!
//! Each side of a media section has its own [`Crypto`]: what the party offered or answered, what it was told, and what
//! came of it ([`MediaSecurity`]). An [`Exchange`] brings both up to date with one message.

pub(in crate::call) mod doubled;
mod dtls;
mod line;
mod sdes;
#[cfg(test)]
pub(in crate::call) mod testing;

use std::sync::Arc;

use crate::call::command::{DtlsOptions, SdesOptions, SignalOptions};
use crate::dtls::Credentials;
use crate::plan::PortId;
use crate::sdp::{self, MediaSection, Protocol, Text};
use crate::security::{DtlsRole, MediaSecurity, SrtpKeys, Suite};

use self::doubled::Doubled;
use self::dtls::{Dtls, Hearing, Telling};
use self::line::Line;
use self::sdes::Sdes;
use super::kind::Kind;
use super::random::Random;

/// Encryption between us and one party, in one media section.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Crypto {
    /// Whether the transport is one for plain RTP, and yet SRTP is offered.
    pub(in crate::call) opportunistic: bool,
    /// Whether the transport that the party spoke last does not count in the next offer: it is told that of the sender, and its
    /// own is a new one.
    pub(in crate::call) profile_open: bool,
    /// Whether the party has two sections in the place of this one.
    pub(in crate::call) doubled: Doubled,
    methods: Methods,
    sdes: Sdes,
    dtls: Dtls,
    /// What the newest SDP for the party says of it.
    told: Told,
    /// How the party's newest offer is to be answered.
    on_answer: OnAnswer,
    /// What came of the newest offer and answer. None before the first answer.
    agreed: Option<MediaSecurity>,
    /// What holds before the first answer.
    pending: Option<MediaSecurity>,
    /// What holds instead of all this while the section is on the transport of another one.
    carrier: Option<Box<Carrier>>,
    /// What the parties agree on by themselves, where we only pass it on.
    overheard: Option<Overheard>,
}

/// What can be told of encryption that is none of our business.
#[derive(Clone, Copy, Debug)]
struct Overheard {
    methods: Methods,
    roles: &'static [DtlsRole],
    suite: Option<Suite>,
    is_answered: bool,
}

/// Encryption of the transport that a section is on, if that is the transport of another one. What the section's own lines say
/// is negotiated all the same: it counts when the section is on its own again.
#[derive(Clone, Debug)]
struct Carrier {
    security: MediaSecurity,
    is_settled: bool,
    credentials: Option<Arc<Credentials>>,
    /// `a=tls-id` of the association there.
    tls_id: Option<Arc<str>>,
}

/// How keys can be agreed on with a party. Before anything is known of it, it is offered what the message allows; then
/// what it has shown that it can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Methods {
    sdes: bool,
    dtls: bool,
}

/// What an SDP for a party says of encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    Offered(Methods),
    Sdes,
    Dtls,
}

/// What an offer says of the answer to it.
#[derive(Clone, Copy, Debug, Default)]
struct OnAnswer {
    /// Whether it offers SDES.
    offers_sdes: bool,
    /// `SDES=prefer`
    prefer_sdes: bool,
    /// `SDES=static`
    keep_suite: bool,
}

/// Whether media with a party is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    No,
    Yes,
}

/// A message about a media section.
#[derive(Clone, Copy)]
pub(in crate::call) struct Exchange<'a> {
    pub(in crate::call) kind: Kind,
    /// What its sender says.
    pub(in crate::call) section: &'a MediaSection,
    pub(in crate::call) options: &'a SignalOptions,
    /// `dtls-passive` of the configuration.
    pub(in crate::call) dtls_passive: bool,
    /// Who we are in DTLS to parties that were not told yet.
    pub(in crate::call) credentials: &'a Arc<Credentials>,
    /// Whether the sender has restarted ICE with it.
    pub(in crate::call) ice_restarted: bool,
    /// Whether we offer what somebody else sends already: to a subscriber.
    pub(in crate::call) passes_on: bool,
}

/// One side of a media section.
pub(in crate::call) struct Side<'a> {
    pub(in crate::call) protocol: &'a Protocol,
    pub(in crate::call) transport: Transport,
    pub(in crate::call) crypto: &'a mut Crypto,
}

/// What an association with a party goes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) struct Transport {
    /// The local port.
    pub(in crate::call) port: Option<PortId>,
    /// Whether ICE with the party ends here.
    pub(in crate::call) ice: bool,
}

impl Exchange<'_> {
    /// Takes over what the message says into both sides.
    pub(in crate::call) fn run(&self, mut sender: Side<'_>, mut receiver: Side<'_>, random: Random<'_>) {
        match self.kind {
            // Nobody needs keys for what nobody has ever heard of.
            Kind::Offer if self.section.is_rejected() && receiver.crypto.is_new() => {}
            Kind::Offer => {
                self.hear_offer(&mut sender);
                self.make_offer(sender.crypto, &mut receiver, random);
            }
            Kind::Answer => {
                self.hear_answer(&mut sender);
                if !self.section.is_rejected() {
                    self.make_answer(sender.crypto, &mut receiver, random);
                }
            }
        }
    }

    fn hear_offer(&self, sender: &mut Side<'_>) {
        let demand = sender.demand();
        let options = self.options;
        let crypto = &mut *sender.crypto;
        let sdes = self.keeping_suite(crypto, |sdes| sdes.offers(self.section, &options.sdes));
        self.hear_methods(crypto, sdes);
        crypto.on_answer = OnAnswer {
            offers_sdes: sdes,
            prefer_sdes: sdes && options.sdes.prefer,
            keep_suite: options.sdes.keep_suite,
        };
        crypto.pending = Some(match demand {
            Demand::No => MediaSecurity::Plain,
            Demand::Yes if crypto.methods == Methods::default() => MediaSecurity::Opaque,
            Demand::Yes => MediaSecurity::Offered { dtls: false },
        });
    }

    /// The sender speaks of SDES. Where it was offered DTLS and takes it, the suite that it was told stays.
    fn keeping_suite<T>(&self, crypto: &mut Crypto, hear: impl FnOnce(&mut Sdes) -> T) -> T {
        let does_dtls = crypto.tells_dtls() && !self.section.dtls.fingerprints.is_empty();
        let suite = crypto.sdes.told_suite();
        let heard = hear(&mut crypto.sdes);
        if does_dtls {
            let chosen = crypto.sdes.told_suite();
            crypto.sdes.keep_suite(chosen.or(suite));
        }
        heard
    }

    /// What the sender says that it can do.
    fn hear_methods(&self, crypto: &mut Crypto, sdes: bool) {
        if self.section.is_rejected() {
            return;
        }
        crypto.methods.dtls = crypto.dtls.hear(self.hearing());
        crypto.methods.sdes |= sdes;
    }

    fn make_offer(&self, sender: &Crypto, receiver: &mut Side<'_>, random: Random<'_>) {
        let demand = receiver.demand();
        let options = self.options;
        let crypto = &mut *receiver.crypto;
        if demand == Demand::No {
            crypto.do_without(self.section);
            crypto.pending = Some(MediaSecurity::Plain);
            return;
        }
        if !self.section.is_rejected() {
            crypto.dtls.open_roles();
        }
        if crypto.methods == Methods::default() {
            crypto.methods = match self.passes_on && sender.sdes.is_offered() {
                // Whoever gets what one sends with keys in the SDP gets the like.
                true => Methods {
                    sdes: true,
                    dtls: false,
                },
                false => Methods {
                    sdes: !options.sdes.off,
                    dtls: !options.dtls.off,
                },
            };
        }
        let Methods { sdes, dtls } = crypto.methods;
        let source = Some(&sender.sdes).filter(|_| sender.on_answer.offers_sdes);
        if self.passes_on && source.is_some() {
            crypto.sdes.tells_nothing();
        }
        let suite = crypto.sdes.told_suite();
        let sdes = sdes && crypto.sdes.make_offer(source, &options.sdes, &mut *random);
        if crypto.dtls.has_peer() {
            crypto.sdes.keep_suite(suite);
        }
        if dtls {
            crypto.dtls.tell(self.telling(receiver.transport), random);
        }
        crypto.told = Told::Offered(Methods { sdes, dtls });
        crypto.pending = Some(match sdes || dtls {
            true => MediaSecurity::Offered { dtls },
            false => MediaSecurity::Opaque,
        });
    }

    fn hear_answer(&self, sender: &mut Side<'_>) {
        let demand = sender.demand();
        let crypto = &mut *sender.crypto;
        let (has_lines, sdes) = self.keeping_suite(crypto, |sdes| sdes.answers(self.section));
        self.hear_methods(crypto, has_lines);
        crypto.agreed = Some(match demand {
            Demand::No => MediaSecurity::Plain,
            Demand::Yes => self.accepted(crypto, sdes),
        });
    }

    /// What the sender and we have agreed on.
    fn accepted(&self, crypto: &Crypto, sdes: Option<SrtpKeys>) -> MediaSecurity {
        let offered = match crypto.told {
            Told::Offered(methods) => methods,
            Told::Nothing | Told::Sdes | Told::Dtls => Methods::default(),
        };
        let dtls = crypto
            .dtls
            .agreed()
            .filter(|_| offered.dtls)
            .map(MediaSecurity::Dtls);
        let sdes = sdes.filter(|_| offered.sdes).map(MediaSecurity::Sdes);
        dtls.or(sdes).unwrap_or(MediaSecurity::Opaque)
    }

    fn make_answer(&self, sender: &Crypto, receiver: &mut Side<'_>, random: Random<'_>) {
        let demand = receiver.demand();
        let crypto = &mut *receiver.crypto;
        if demand == Demand::No {
            crypto.do_without(self.section);
            crypto.agreed = Some(MediaSecurity::Plain);
            return;
        }
        let Methods { sdes, dtls } = crypto.methods;
        let prefers_sdes =
            crypto.on_answer.prefer_sdes || (crypto.on_answer.offers_sdes && self.options.dtls.off);
        if sdes && crypto.sdes.is_offered() && (prefers_sdes || !dtls) {
            let far = sender.sdes.far().filter(|_| !self.section.crypto.is_empty());
            let keep_suite = crypto.on_answer.keep_suite || self.options.sdes.keep_suite;
            let keys = crypto.sdes.make_answer(far, keep_suite, random);
            crypto.told = Told::Sdes;
            crypto.methods = Methods {
                sdes: true,
                dtls: false,
            };
            crypto.dtls.gives_way();
            crypto.agreed = keys.map(MediaSecurity::Sdes);
        } else if dtls {
            crypto.dtls.tell(self.telling(receiver.transport), random);
            crypto.sdes.tells_nothing();
            crypto.told = Told::Dtls;
            crypto.methods = Methods {
                sdes: false,
                dtls: true,
            };
            crypto.agreed = crypto.dtls.agreed().map(MediaSecurity::Dtls);
        } else {
            // Who takes SDES but does not say anything of it is told what it was offered before.
            crypto.told = if sdes { Told::Sdes } else { Told::Nothing };
            crypto.agreed = Some(MediaSecurity::Opaque);
        }
    }

    fn telling(&self, transport: Transport) -> Telling<'_> {
        Telling {
            kind: self.kind,
            options: self.options.dtls,
            credentials: self.credentials,
            transport,
        }
    }

    fn hearing(&self) -> Hearing<'_> {
        Hearing {
            kind: self.kind,
            section: self.section,
            options: self.options.dtls,
            passive: self.dtls_passive,
            ice_restarted: self.ice_restarted,
        }
    }
}

/// A transport, with what it does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::call) struct Profile {
    pub(in crate::call) protocol: Protocol,
    /// Whether SRTP is offered or accepted, though it is one for plain RTP.
    pub(in crate::call) opportunistic: bool,
}

impl Profile {
    /// That of a section, as its sender has it.
    pub(in crate::call) fn of(section: &MediaSection) -> Profile {
        Profile {
            protocol: section.protocol.clone(),
            opportunistic: is_opportunistic(section),
        }
    }

    /// One that means what it says.
    pub(in crate::call) fn plain(protocol: Protocol) -> Profile {
        Profile {
            protocol,
            opportunistic: false,
        }
    }
}

/// Whether the sender of a section offers, or accepts, SRTP under a profile for plain RTP (RFC 8643).
pub(in crate::call) fn is_opportunistic(section: &MediaSection) -> bool {
    let has_keys = || section.crypto.iter().any(|line| Line::parse(line).is_some());
    section.protocol.is_plain_rtp() && (has_keys() || dtls::has_fingerprint(section))
}

impl Side<'_> {
    /// The answer to the party's offer does not mention the section. Who offered DTLS is told of our end all the same, as by the
    /// reference.
    pub(in crate::call) fn answer_unmentioned(
        self,
        options: DtlsOptions,
        credentials: &Arc<Credentials>,
        random: Random<'_>,
    ) {
        let demand = self.demand();
        let crypto = self.crypto;
        if demand == Demand::No || !crypto.methods.dtls || crypto.told != Told::Nothing {
            return;
        }
        let telling = Telling {
            kind: Kind::Answer,
            options,
            credentials,
            transport: self.transport,
        };
        crypto.dtls.tell(telling, random);
        crypto.told = Told::Dtls;
    }

    fn demand(&self) -> Demand {
        match self.protocol.is_srtp() || self.crypto.opportunistic {
            true => Demand::Yes,
            false => Demand::No,
        }
    }
}

impl Crypto {
    /// Media with the party is not encrypted, and what it could do, or was told, of encryption is forgotten, unless there is no
    /// media at all.
    fn do_without(&mut self, section: &MediaSection) {
        self.told = Told::Nothing;
        if section.is_rejected() {
            return;
        }
        self.methods = Methods::default();
        self.sdes = self.sdes.forgotten();
        self.dtls = Dtls::default();
    }

    /// Whether the party was never told anything of it.
    fn is_new(&self) -> bool {
        self.methods == Methods::default() && self.told == Told::Nothing && self.agreed.is_none()
    }

    /// What holds at present. A new offer changes nothing before its answer.
    pub(in crate::call) fn security(&self) -> &MediaSecurity {
        if let Some(carrier) = &self.carrier {
            return &carrier.security;
        }
        let settled = self.agreed.as_ref().or(self.pending.as_ref());
        settled.unwrap_or(&MediaSecurity::Plain)
    }

    /// The media passes from one end to the other, and is none of our business. `own` is what would be if it were: of an answer no
    /// more is told than which suite comes first.
    pub(in crate::call) fn leave_to_the_ends(
        &mut self,
        protocol: &Protocol,
        kind: Kind,
        own: Option<&Crypto>,
    ) {
        let is_answered = self.overheard.is_some_and(|overheard| overheard.is_answered);
        let overheard = own.map(|own| match kind {
            Kind::Offer if !is_answered => Overheard {
                methods: own.methods,
                roles: own.dtls.roles(),
                suite: own.sdes.told_suite(),
                is_answered: false,
            },
            Kind::Offer | Kind::Answer => Overheard {
                methods: Methods::default(),
                roles: &[],
                suite: self.suite(),
                is_answered: true,
            },
        });
        *self = Crypto {
            overheard,
            doubled: self.doubled,
            opportunistic: self.opportunistic,
            profile_open: self.profile_open,
            agreed: Some(match protocol.is_srtp() {
                true => MediaSecurity::Opaque,
                false => MediaSecurity::Plain,
            }),
            ..Crypto::default()
        };
    }

    /// The section is on the transport of another one, with this encryption.
    pub(in crate::call) fn share(&mut self, lead: &Crypto) {
        self.carrier = Some(Box::new(Carrier {
            security: lead.security().clone(),
            is_settled: lead.is_settled(),
            credentials: lead.credentials(),
            tls_id: lead.dtls.tls_id().filter(|_| lead.tells_dtls()),
        }));
    }

    /// The section is on a transport of its own.
    pub(in crate::call) fn stand_alone(&mut self) {
        self.carrier = None;
    }

    /// Whether anything was answered yet.
    pub(in crate::call) fn is_settled(&self) -> bool {
        match &self.carrier {
            Some(carrier) => carrier.is_settled,
            None => self.agreed.is_some(),
        }
    }

    /// The suite of the first key that the party knows from an SDP of ours.
    pub(in crate::call) fn suite(&self) -> Option<Suite> {
        match &self.overheard {
            Some(overheard) => overheard.suite,
            None => self.sdes.told_suite(),
        }
    }

    /// Who we are to the party in DTLS, if it was told.
    pub(in crate::call) fn credentials(&self) -> Option<Arc<Credentials>> {
        match &self.carrier {
            Some(carrier) => carrier.credentials.clone(),
            None => self.dtls.credentials().cloned(),
        }
    }

    /// Whether DTLS is a way of agreeing on keys with the party.
    pub(in crate::call) fn uses_dtls(&self) -> bool {
        self.shown_methods().dtls
    }

    /// Which parts are ours in DTLS with the party, or may be, as far as it or we have said.
    pub(in crate::call) fn dtls_roles(&self) -> &[DtlsRole] {
        self.overheard
            .map_or_else(|| self.dtls.roles(), |overheard| overheard.roles)
    }

    fn shown_methods(&self) -> Methods {
        self.overheard.map_or(self.methods, |overheard| overheard.methods)
    }

    /// Whether SDES is one.
    pub(in crate::call) fn uses_sdes(&self) -> bool {
        self.shown_methods().sdes
    }

    /// Those of the party's crypto lines that count: what it offered, or what was taken of that.
    pub(in crate::call) fn in_use(&self, offered: &[sdp::Crypto]) -> Vec<sdp::Crypto> {
        let counts = |line: &&sdp::Crypto| self.sdes.has_line(line);
        offered.iter().filter(counts).cloned().collect()
    }

    /// `a=crypto` lines for the party.
    pub(in crate::call) fn sdes_text(&self, options: &SdesOptions) -> Vec<sdp::Crypto> {
        match self.told {
            Told::Offered(Methods { sdes: true, .. }) | Told::Sdes => self.sdes.text(options),
            Told::Nothing | Told::Offered(Methods { sdes: false, .. }) | Told::Dtls => Vec::new(),
        }
    }

    /// `a=setup`, `a=fingerprint`, `a=tls-id` for the party. Where the message `is_silent` on the section, parts are those that
    /// are settled.
    pub(in crate::call) fn dtls_text(&self, options: DtlsOptions, is_silent: bool) -> sdp::Dtls {
        let kind = match self.told {
            _ if !self.tells_dtls() => return sdp::Dtls::default(),
            Told::Offered(_) if is_silent && self.dtls.is_settled() => Kind::Answer,
            Told::Offered(_) => Kind::Offer,
            Told::Nothing | Told::Sdes | Told::Dtls => Kind::Answer,
        };
        let text = self.dtls.text(kind, options.no_tls_id);
        let shared = self.carrier.as_ref().and_then(|carrier| carrier.tls_id.clone());
        let tls_id = match (&text.tls_id, shared) {
            (Some(_), Some(shared)) => Some(Text::from(&*shared)),
            (own, _) => own.clone(),
        };
        sdp::Dtls { tls_id, ..text }
    }

    /// Whether the newest SDP for the party says anything of DTLS.
    fn tells_dtls(&self) -> bool {
        match self.told {
            Told::Offered(methods) => methods.dtls,
            Told::Dtls => true,
            Told::Nothing | Told::Sdes => false,
        }
    }
}

#[cfg(test)]
mod tests;
