//! Words of the options about encryption and ICE, one function each.

use crate::call::{DtlsOptions, IceLite, IceMode, IceOptions, OsrtpOptions, ParameterChanges, SdesOptions};
use crate::security::{HashFunction, Suite};

use super::options::{Applied, is_off};

/// `ICE`.
pub(super) fn ice(options: &mut IceOptions, word: &str) -> Applied {
    match word {
        "default" => options.mode = IceMode::Default,
        "remove" => options.mode = IceMode::Remove,
        "force" => options.mode = IceMode::Force,
        "optional" => options.mode = IceMode::Optional,
        "force-relay" | "force_relay" => options.mode = IceMode::ForceRelay,
        "trickle" => options.trickle = true,
        "ice2" | "ICE2" => options.ice2 = true,
        "lite" => return ice_lite(options, "forward"),
        "no-lite" => return ice_lite(options, "off"),
        _ => {
            let lite = word.strip_prefix("lite-");
            return lite.map_or(Applied::No, |word| ice_lite(options, word));
        }
    }
    Applied::Yes
}

/// `ICE-lite`.
pub(super) fn ice_lite(options: &mut IceOptions, word: &str) -> Applied {
    let (forward, backward) = match word {
        "forward" | "offer" | "fwd" | "fw" => (true, false),
        "backward" | "backwards" | "reverse" | "answer" | "back" | "bkw" | "bk" => (false, true),
        "both" => (true, true),
        "off" | "none" | "no" => (false, false),
        _ => return Applied::No,
    };
    options.lite = Some(IceLite { forward, backward });
    Applied::Yes
}

/// `DTLS`.
pub(super) fn dtls(options: &mut DtlsOptions, word: &str) -> Applied {
    match word {
        "passive" => options.passive = Some(true),
        "active" => options.passive = Some(false),
        word if is_off(word) => options.off = true,
        _ => return Applied::No,
    }
    Applied::Yes
}

/// `DTLS-fingerprint`.
pub(super) fn fingerprint(options: &mut DtlsOptions, word: &str) -> Applied {
    let hash = HashFunction::named(word);
    options.fingerprint = hash.or(options.fingerprint);
    applied(hash)
}

/// `OSRTP`.
pub(super) fn osrtp(options: &mut OsrtpOptions, word: &str) -> Applied {
    match word {
        "offer" | "offer-RFC" | "offer-rfc" => options.offer = true,
        "offer-legacy" => options.offer_legacy = true,
        // It is accepted from who offers it wherever the other side has not refused it.
        "accept-RFC" | "accept-rfc" => {}
        "accept" | "accept-legacy" => options.accept_legacy = true,
        _ => return Applied::No,
    }
    Applied::Yes
}

/// `SDES`.
pub(super) fn sdes(options: &mut SdesOptions, word: &str) -> Applied {
    match word {
        "nonew" => options.no_new = true,
        "pad" => options.pad = true,
        "lifetime" => options.lifetime = true,
        "static" => options.keep_suite = true,
        "prefer" | "priority" => options.prefer = true,
        word if is_off(word) => options.off = true,
        _ => return suites(options, word),
    }
    Applied::Yes
}

/// Entries of `SDES` that name suites or session parameters.
fn suites(options: &mut SdesOptions, word: &str) -> Applied {
    if let Some(suite) = word.strip_prefix("only-").map(Suite::named) {
        let allowed = options.allowed.get_or_insert_default();
        suite.into_iter().for_each(|suite| allowed.insert(suite));
        applied(suite)
    } else if let Some(suite) = word.strip_prefix("no-").map(Suite::named) {
        suite.into_iter().for_each(|suite| options.excluded.insert(suite));
        applied(suite)
    } else if let Some(suites) = word.strip_prefix("order:") {
        list(&mut options.order, suites)
    } else if let Some(suites) = word.strip_prefix("offerer_pref:") {
        list(&mut options.preferred, suites)
    } else {
        parameter(&mut options.parameters, word)
    }
}

/// Names of suites, separated by semicolons. The known ones count.
fn list(suites: &mut Vec<Suite>, names: &str) -> Applied {
    let mut all_known = Applied::Yes;
    for name in names.split(';').filter(|name| !name.is_empty()) {
        match Suite::named(name) {
            Some(suite) if suites.contains(&suite) => {}
            Some(suite) => suites.push(suite),
            None => all_known = Applied::No,
        }
    }
    all_known
}

fn parameter(changes: &mut ParameterChanges, word: &str) -> Applied {
    let (change, value) = match &*word.to_ascii_lowercase() {
        "unencrypted_srtp" => (&mut changes.unencrypted_srtp, true),
        "unencrypted_srtcp" => (&mut changes.unencrypted_srtcp, true),
        "unauthenticated_srtp" => (&mut changes.unauthenticated_srtp, true),
        "encrypted_srtp" => (&mut changes.unencrypted_srtp, false),
        "encrypted_srtcp" => (&mut changes.unencrypted_srtcp, false),
        "authenticated_srtp" => (&mut changes.unauthenticated_srtp, false),
        _ => return Applied::No,
    };
    *change = Some(value);
    Applied::Yes
}

fn applied<T>(value: Option<T>) -> Applied {
    value.map_or(Applied::No, |_| Applied::Yes)
}
