use super::testing::{counting, own_credentials, section};
use super::*;

const CRYPTO: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
const ANSWERED: &str =
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";
const DTLS: &str = "a=setup:actpass\r\na=fingerprint:sha-1 \
                    4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\r\n";

/// A side with its transport.
struct Party {
    protocol: Protocol,
    crypto: Crypto,
}

impl Party {
    fn new(protocol: &str, opportunistic: bool) -> Party {
        Party {
            protocol: Protocol::named(protocol).unwrap(),
            crypto: Crypto {
                opportunistic,
                ..Crypto::default()
            },
        }
    }

    fn side(&mut self) -> Side<'_> {
        Side {
            protocol: &self.protocol,
            transport: Transport::default(),
            crypto: &mut self.crypto,
        }
    }

    /// What stands in its SDP: `S` for SDES, `D` for DTLS.
    fn told(&self) -> String {
        let sdes = !self.crypto.sdes_text(&SdesOptions::default()).is_empty();
        let dtls = self.crypto.dtls_text(DtlsOptions::default(), false).fingerprints;
        let words = [(sdes, 'S'), (!dtls.is_empty(), 'D')];
        words
            .iter()
            .filter_map(|(told, word)| told.then_some(*word))
            .collect()
    }

    fn kind(&self) -> &'static str {
        match self.crypto.security() {
            MediaSecurity::Plain => "plain",
            MediaSecurity::Opaque => "opaque",
            MediaSecurity::Offered { .. } => "offered",
            MediaSecurity::Sdes(_) => "sdes",
            MediaSecurity::Dtls(_) => "dtls",
        }
    }
}

fn exchange(
    kind: Kind,
    sender: &mut Party,
    receiver: &mut Party,
    lines: &str,
    change: impl Fn(&mut SignalOptions),
) {
    let section = section(sender.protocol.as_str(), lines);
    let mut options = SignalOptions::default();
    change(&mut options);
    let exchange = Exchange {
        kind,
        section: &section,
        options: &options,
        dtls_passive: false,
        credentials: &own_credentials(),
        ice_restarted: false,
        passes_on: false,
    };
    exchange.run(sender.side(), receiver.side(), &mut counting());
}

fn none(_: &mut SignalOptions) {}

/// What the callee is told, then the caller; and what came of it with both.
fn call(
    caller: (&str, &str),
    callee: (&str, &str),
    change: impl Fn(&mut SignalOptions),
) -> (String, String, &'static str, &'static str) {
    let mut offerer = Party::new(caller.0, false);
    let mut answerer = Party::new(callee.0, false);
    exchange(Kind::Offer, &mut offerer, &mut answerer, caller.1, change);
    let offer = answerer.told();
    exchange(Kind::Answer, &mut answerer, &mut offerer, callee.1, none);
    (offer, offerer.told(), offerer.kind(), answerer.kind())
}

fn expected(
    offer: &str,
    answer: &str,
    caller: &'static str,
    callee: &'static str,
) -> (String, String, &'static str, &'static str) {
    (offer.to_owned(), answer.to_owned(), caller, callee)
}

#[test]
fn every_pair_of_transports() {
    let plain = ("RTP/AVP", "");
    let sdes = ("RTP/SAVP", CRYPTO);
    let dtls = ("UDP/TLS/RTP/SAVPF", DTLS);
    assert_eq!(call(plain, plain, none), expected("", "", "plain", "plain"));
    assert_eq!(call(plain, sdes, none), expected("SD", "", "plain", "sdes"));
    assert_eq!(call(plain, dtls, none), expected("SD", "", "plain", "dtls"));
    assert_eq!(call(sdes, plain, none), expected("", "S", "sdes", "plain"));
    assert_eq!(call(sdes, sdes, none), expected("SD", "S", "sdes", "sdes"));
    assert_eq!(call(sdes, dtls, none), expected("SD", "S", "sdes", "dtls"));
    assert_eq!(call(dtls, plain, none), expected("", "D", "dtls", "plain"));
    assert_eq!(call(dtls, dtls, none), expected("SD", "D", "dtls", "dtls"));
}

#[test]
fn kinds_can_be_switched_off() {
    let plain = ("RTP/AVP", "");
    let sdes = ("RTP/SAVP", CRYPTO);
    let off = |options: &mut SignalOptions| {
        options.sdes.off = true;
        options.dtls.off = true;
    };
    assert_eq!(call(plain, sdes, off), expected("", "", "plain", "opaque"));
    assert_eq!(
        call(sdes, plain, off),
        expected("", "S", "sdes", "plain"),
        "who offers is answered all the same"
    );
}

#[test]
fn of_both_kinds_dtls_is_answered_unless_sdes_is_preferred() {
    let both = format!("{DTLS}{CRYPTO}");
    let both = ("RTP/SAVPF", &*both);
    let plain = ("RTP/AVP", "");
    assert_eq!(call(both, plain, none), expected("", "D", "dtls", "plain"));
    let prefer = |options: &mut SignalOptions| options.sdes.prefer = true;
    assert_eq!(call(both, plain, prefer), expected("", "S", "sdes", "plain"));
}

#[test]
fn nothing_changes_before_the_answer() {
    let (mut caller, mut callee) = (Party::new("RTP/SAVP", false), Party::new("RTP/SAVP", false));
    exchange(Kind::Offer, &mut caller, &mut callee, CRYPTO, none);
    assert_eq!((caller.kind(), callee.kind()), ("offered", "offered"));
    exchange(Kind::Answer, &mut callee, &mut caller, ANSWERED, none);
    let before = callee.crypto.security().clone();
    assert!(before.passes_to(caller.crypto.security()));
    assert!(caller.crypto.security().passes_to(&before));
    exchange(
        Kind::Offer,
        &mut caller,
        &mut callee,
        &CRYPTO.replace("WVN", "XVN"),
        none,
    );
    assert_eq!(*callee.crypto.security(), before);
}

#[test]
fn who_has_chosen_keys_in_the_sdp_is_not_asked_for_dtls_again() {
    for (lines, told) in [(CRYPTO, "S"), (DTLS, "SD"), ("", "S")] {
        let (mut caller, mut callee) = (Party::new("RTP/AVP", false), Party::new("RTP/SAVPF", false));
        exchange(Kind::Offer, &mut caller, &mut callee, "", none);
        assert_eq!(callee.told(), "SD");
        exchange(Kind::Answer, &mut callee, &mut caller, lines, none);
        exchange(Kind::Offer, &mut caller, &mut callee, "", none);
        assert_eq!(callee.told(), told);
        let off = |options: &mut SignalOptions| {
            options.sdes.off = true;
            options.dtls.off = true;
        };
        exchange(Kind::Offer, &mut caller, &mut callee, "", off);
        assert_eq!(callee.told(), told, "only what is unknown can be switched off");
    }
}

#[test]
fn who_was_answered_is_offered_the_same() {
    for (lines, told) in [(CRYPTO, "S"), (DTLS, "D"), ("", "SD")] {
        let (mut caller, mut callee) = (Party::new("RTP/SAVPF", false), Party::new("RTP/AVP", false));
        exchange(Kind::Offer, &mut caller, &mut callee, lines, none);
        exchange(Kind::Answer, &mut callee, &mut caller, "", none);
        exchange(Kind::Offer, &mut callee, &mut caller, "", none);
        assert_eq!(caller.told(), told);
    }
}
