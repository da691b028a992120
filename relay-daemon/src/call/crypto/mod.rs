//! Encryption of media, as the SDPs of both sides negotiate it: SDES, DTLS, and opportunistic SRTP.
//!
//! Each side of a media section has its own [`Crypto`]: what the party offered or answered, what it was told, and what
//! came of it ([`MediaSecurity`]). An [`Exchange`] brings both up to date with one message.

mod dtls;
pub(super) mod legacy;
mod line;
mod options;
mod sdes;
#[cfg(test)]
pub(super) mod testing;

use std::sync::Arc;

pub use options::{DtlsOptions, OsrtpOffer, OsrtpOptions, ParameterChanges, SdesOptions};

use crate::dtls::Credentials;
use crate::sdp::{self, MediaSection, Protocol};
use crate::security::{DtlsRole, MediaSecurity, Srtp, Suite};

use self::dtls::{Dtls, Hearing};
use self::legacy::Doubled;
use self::sdes::Sdes;
use super::SignalOptions;
use super::negotiate::Kind;
use super::random::Random;

/// Encryption between us and one party, in one media section.
#[derive(Clone, Debug, Default)]
pub(super) struct Crypto {
    /// Whether the transport is one for plain RTP, and yet SRTP is offered.
    pub(super) opportunistic: bool,
    /// Whether the party has two sections in the place of this one.
    pub(super) doubled: Doubled,
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
}

/// What an SDP for a party says of encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    Offered {
        sdes: bool,
        dtls: bool,
    },
    Sdes,
    Dtls,
}

/// What an offer says of the answer to it.
#[derive(Clone, Copy, Debug, Default)]
struct OnAnswer {
    /// `SDES=prefer`
    prefer_sdes: bool,
    /// `SDES=static`
    keep_suite: bool,
    /// `OSRTP=accept`
    accept_opportunistic: bool,
}

/// Whether media with a party is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    No,
    /// If both want it.
    Opportunistic,
    Yes,
}

/// A message about a media section.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) kind: Kind,
    /// What its sender says.
    pub(super) section: &'a MediaSection,
    pub(super) options: &'a SignalOptions,
    /// `dtls-passive` of the configuration.
    pub(super) dtls_passive: bool,
    /// Who we are in DTLS to parties that were not told yet.
    pub(super) credentials: &'a Arc<Credentials>,
    /// Whether the sender has restarted ICE with it.
    pub(super) ice_restarted: bool,
}

/// One side of a media section.
pub(super) struct Side<'a> {
    pub(super) protocol: &'a Protocol,
    pub(super) crypto: &'a mut Crypto,
}

impl Exchange<'_> {
    /// Takes over what the message says into both sides.
    pub(super) fn run(&self, mut sender: Side<'_>, mut receiver: Side<'_>, random: Random<'_>) {
        match self.kind {
            Kind::Offer => {
                self.hear_offer(&mut sender);
                self.make_offer(sender.crypto, &mut receiver, random);
            }
            Kind::Answer => {
                let far = self.hear_answer(&mut sender);
                self.make_answer(&far, &mut receiver, random);
            }
        }
    }

    fn hear_offer(&self, sender: &mut Side<'_>) {
        let demand = sender.demand();
        let options = self.options;
        let crypto = &mut *sender.crypto;
        crypto.on_answer = OnAnswer {
            prefer_sdes: options.sdes.prefer,
            keep_suite: options.sdes.keep_suite,
            accept_opportunistic: options.osrtp.accept && !options.sdes.off,
        };
        if demand == Demand::No {
            crypto.sdes.offers_none();
            crypto.dtls = Dtls::default();
            crypto.pending = Some(MediaSecurity::Plain);
            return;
        }
        crypto.sdes.offers(self.section, &options.sdes);
        crypto.dtls.hear(self.hearing());
        crypto.pending = Some(match crypto.sdes.is_offered() || crypto.dtls.is_offered() {
            true => MediaSecurity::Offered { dtls: false },
            false => MediaSecurity::Opaque,
        });
    }

    fn make_offer(&self, sender: &Crypto, receiver: &mut Side<'_>, random: Random<'_>) {
        let demand = receiver.demand();
        let options = self.options;
        let crypto = &mut *receiver.crypto;
        if demand == Demand::No {
            crypto.told = Told::Nothing;
            crypto.pending = Some(MediaSecurity::Plain);
            return;
        }
        let known = crypto.agreed.as_ref().filter(|_| !options.reset);
        // Who has chosen is not asked again.
        let sdes = !options.sdes.off && !matches!(known, Some(MediaSecurity::Dtls(_)));
        let dtls = !options.dtls.off && !matches!(known, Some(MediaSecurity::Sdes(_)));
        let sdes = sdes && crypto.sdes.make_offer(&sender.sdes, &options.sdes, &mut *random);
        let dtls = dtls && demand == Demand::Yes;
        if dtls {
            crypto.dtls.tell(self.credentials, random);
        }
        crypto.told = Told::Offered { sdes, dtls };
        crypto.pending = Some(match sdes || dtls {
            true => MediaSecurity::Offered { dtls },
            false => MediaSecurity::Opaque,
        });
    }

    /// What the sender and we have agreed on.
    fn hear_answer(&self, sender: &mut Side<'_>) -> MediaSecurity {
        let crypto = &mut *sender.crypto;
        // Plain RTP in the answer refuses what was opportunistic.
        crypto.opportunistic &= !self.section.crypto.is_empty();
        let agreed = match sender.demand() {
            Demand::No => MediaSecurity::Plain,
            Demand::Opportunistic | Demand::Yes => self.accepted(sender.crypto),
        };
        sender.crypto.agreed = Some(agreed.clone());
        agreed
    }

    fn accepted(&self, crypto: &mut Crypto) -> MediaSecurity {
        let (sdes, dtls) = match crypto.told {
            Told::Offered { sdes, dtls } => (sdes, dtls),
            Told::Nothing | Told::Sdes | Told::Dtls => (false, false),
        };
        let dtls = (dtls && crypto.dtls.hear(self.hearing())).then(|| crypto.dtls.agreed());
        let sdes = sdes.then(|| crypto.sdes.answers(self.section)).flatten();
        let dtls = dtls.flatten().map(MediaSecurity::Dtls);
        let sdes = sdes.map(MediaSecurity::Sdes);
        let chosen = match self.options.sdes.prefer {
            true => sdes.or(dtls),
            false => dtls.or(sdes),
        };
        chosen.unwrap_or(MediaSecurity::Opaque)
    }

    /// `far` is what the sender and we have agreed on.
    fn make_answer(&self, far: &MediaSecurity, receiver: &mut Side<'_>, random: Random<'_>) {
        let demand = receiver.demand();
        let crypto = &mut *receiver.crypto;
        let (far_encrypted, far): (bool, Option<&Srtp>) = match far {
            MediaSecurity::Sdes(keys) => (true, Some(&keys.inbound)),
            MediaSecurity::Dtls(_) => (true, None),
            MediaSecurity::Plain | MediaSecurity::Opaque | MediaSecurity::Offered { .. } => (false, None),
        };
        let accepted = far_encrypted || crypto.on_answer.accept_opportunistic;
        let refused = demand == Demand::Opportunistic && !accepted;
        if demand == Demand::No || refused {
            crypto.told = Told::Nothing;
            crypto.agreed = Some(MediaSecurity::Plain);
            return;
        }
        let by_sdes = crypto.sdes.is_offered() && (crypto.on_answer.prefer_sdes || !crypto.dtls.is_offered());
        if by_sdes {
            let keep_suite = crypto.on_answer.keep_suite || self.options.sdes.keep_suite;
            let keys = crypto.sdes.make_answer(far, keep_suite, random);
            crypto.told = Told::Sdes;
            crypto.agreed = keys.map(MediaSecurity::Sdes);
        } else if crypto.dtls.is_offered() {
            crypto.dtls.tell(self.credentials, random);
            crypto.told = Told::Dtls;
            crypto.agreed = crypto.dtls.agreed().map(MediaSecurity::Dtls);
        } else {
            crypto.told = Told::Nothing;
            crypto.agreed = Some(MediaSecurity::Opaque);
        }
    }

    fn hearing(&self) -> Hearing<'_> {
        Hearing {
            kind: self.kind,
            section: self.section,
            options: self.options.dtls,
            passive: self.options.dtls.passive.unwrap_or(self.dtls_passive),
            ice_restarted: self.ice_restarted,
        }
    }
}

/// Whether the sender of a section offers, or accepts, SRTP under a profile for plain RTP (RFC 8643).
pub(super) fn is_opportunistic(section: &MediaSection) -> bool {
    let plain = section.protocol.is_rtp() && !section.protocol.is_srtp();
    plain && !section.crypto.is_empty()
}

/// Has SRTP with keys in the SDP offered under a profile for plain RTP. DTLS has none.
pub(super) fn make_opportunistic(protocol: &mut Protocol, crypto: &mut Crypto) {
    match protocol {
        Protocol::RtpSavp => *protocol = Protocol::RtpAvp,
        Protocol::RtpSavpf => *protocol = Protocol::RtpAvpf,
        Protocol::RtpAvp | Protocol::RtpAvpf => {}
        Protocol::UdpTlsRtpSavp | Protocol::UdpTlsRtpSavpf | Protocol::Udptl | Protocol::Other(_) => return,
    }
    crypto.opportunistic = true;
}

impl Side<'_> {
    fn demand(&self) -> Demand {
        match (self.protocol.is_srtp(), self.crypto.opportunistic) {
            (true, _) => Demand::Yes,
            (false, true) => Demand::Opportunistic,
            (false, false) => Demand::No,
        }
    }
}

impl Crypto {
    /// What holds at present. A new offer changes nothing before its answer.
    pub(super) fn security(&self) -> &MediaSecurity {
        let settled = self.agreed.as_ref().or(self.pending.as_ref());
        settled.unwrap_or(&MediaSecurity::Plain)
    }

    /// The media passes from one end to the other, and is none of our business.
    pub(super) fn leave_to_the_ends(&mut self, protocol: &Protocol) {
        *self = Crypto {
            doubled: self.doubled,
            opportunistic: self.opportunistic,
            agreed: Some(match protocol.is_srtp() {
                true => MediaSecurity::Opaque,
                false => MediaSecurity::Plain,
            }),
            ..Crypto::default()
        };
    }

    /// The section is encrypted like this from here on: as another one, on whose transport it is, or on its own again.
    pub(super) fn share(&mut self, other: Crypto) {
        *self = Crypto {
            doubled: self.doubled,
            ..other
        };
    }

    /// Whether anything was answered yet.
    pub(super) fn is_settled(&self) -> bool {
        self.agreed.is_some()
    }

    /// The suite of SRTP with keys from the SDP, once it is agreed on.
    pub(super) fn suite(&self) -> Option<Suite> {
        match &self.agreed {
            Some(MediaSecurity::Sdes(keys)) => Some(keys.outbound.suite()),
            Some(
                MediaSecurity::Plain
                | MediaSecurity::Opaque
                | MediaSecurity::Offered { .. }
                | MediaSecurity::Dtls(_),
            )
            | None => None,
        }
    }

    /// Who we are to the party in DTLS, if it was told.
    pub(super) fn credentials(&self) -> Option<Arc<Credentials>> {
        self.dtls.credentials().cloned()
    }

    /// Our part in DTLS with the party, if it does DTLS.
    pub(super) fn dtls_role(&self) -> Option<DtlsRole> {
        self.dtls.role().filter(|_| self.uses_dtls())
    }

    /// Whether DTLS is used with the party, or will be as far as its offer says.
    pub(super) fn uses_dtls(&self) -> bool {
        match &self.agreed {
            Some(agreed) => matches!(agreed, MediaSecurity::Dtls(_)),
            None => self.dtls.is_offered() && !(self.on_answer.prefer_sdes && self.sdes.is_offered()),
        }
    }

    /// Whether SDES is used with the party, or will be as far as its offer says.
    pub(super) fn uses_sdes(&self) -> bool {
        match &self.agreed {
            Some(agreed) => matches!(agreed, MediaSecurity::Sdes(_)),
            None => self.sdes.is_offered() && !self.uses_dtls(),
        }
    }

    /// `a=crypto` lines for the party.
    pub(super) fn sdes_text(&self, options: &SdesOptions) -> Vec<sdp::Crypto> {
        match self.told {
            Told::Offered { sdes: true, .. } => self.sdes.offer_text(options),
            Told::Sdes => self.sdes.answer_text(options),
            Told::Nothing | Told::Offered { sdes: false, .. } | Told::Dtls => Vec::new(),
        }
    }

    /// `a=setup`, `a=fingerprint`, `a=tls-id` for the party.
    pub(super) fn dtls_text(&self, options: DtlsOptions) -> sdp::Dtls {
        match self.told {
            Told::Offered { dtls: true, .. } => self.dtls.text(Kind::Offer, options),
            Told::Dtls => self.dtls.text(Kind::Answer, options),
            Told::Nothing | Told::Offered { dtls: false, .. } | Told::Sdes => sdp::Dtls::default(),
        }
    }
}

#[cfg(test)]
mod tests;
