//! The certificate that we show in every DTLS association, and its key.

use std::time::{SystemTime, UNIX_EPOCH};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509Name};

use crate::config::{CertificateKey, CertificateSettings, CertificateSignature};
use crate::security::{HashFunction, OwnFingerprints};

/// Bits of the serial number.
const SERIAL_BITS: i32 = 64;

/// The name in the certificate. Nobody goes by it.
const COMMON_NAME: &str = "relay";

/// A self-signed certificate and its key.
#[derive(Clone)]
pub struct Identity {
    certificate: X509,
    key: PKey<Private>,
    fingerprints: OwnFingerprints,
}

impl Identity {
    /// Makes a key and a certificate.
    pub fn generate(settings: CertificateSettings) -> Result<Identity, ErrorStack> {
        let key = match settings.key {
            CertificateKey::P256 => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                PKey::from_ec_key(EcKey::generate(&group)?)?
            }
            CertificateKey::Rsa { bits } => PKey::from_rsa(Rsa::generate(bits)?)?,
        };
        let certificate = self_signed(&key, settings)?;
        let der = certificate.to_der()?;
        let mut failure = None;
        let fingerprints = OwnFingerprints::compute(|hash| {
            let digest = digest(hash, &der);
            digest.unwrap_or_else(|error| {
                failure = Some(error);
                vec![0; hash.length()]
            })
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(Identity {
                certificate,
                key,
                fingerprints,
            }),
        }
    }

    /// The certificate.
    pub fn certificate(&self) -> &X509 {
        &self.certificate
    }

    /// Its private key.
    pub fn key(&self) -> &PKey<Private> {
        &self.key
    }

    /// Its fingerprints.
    pub fn fingerprints(&self) -> &OwnFingerprints {
        &self.fingerprints
    }
}

/// The digest of a certificate in DER.
pub fn digest(hash: HashFunction, der: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    Ok(openssl::hash::hash(digest_of(hash), der)?.to_vec())
}

fn self_signed(key: &PKey<Private>, settings: CertificateSettings) -> Result<X509, ErrorStack> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COMMONNAME, COMMON_NAME)?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::MAYBE_ZERO, false)?;
    // The fingerprint is what counts: the time is for peers that look at it.
    let from = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let [from, until] = [from, from + settings.lifetime]
        .map(|time| Asn1Time::from_unix(libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX)));
    let (from, until) = (from?, until?);
    let serial: Asn1Integer = serial.to_asn1_integer()?;

    let mut certificate = X509::builder()?;
    // Counted from 0: version 3.
    certificate.set_version(2)?;
    certificate.set_serial_number(&serial)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_not_before(&from)?;
    certificate.set_not_after(&until)?;
    certificate.set_pubkey(key)?;
    certificate.sign(
        key,
        match settings.signature {
            CertificateSignature::Sha256 => MessageDigest::sha256(),
            CertificateSignature::Sha1 => MessageDigest::sha1(),
        },
    )?;
    Ok(certificate.build())
}

fn digest_of(hash: HashFunction) -> MessageDigest {
    match hash {
        HashFunction::Sha1 => MessageDigest::sha1(),
        HashFunction::Sha224 => MessageDigest::sha224(),
        HashFunction::Sha256 => MessageDigest::sha256(),
        HashFunction::Sha384 => MessageDigest::sha384(),
        HashFunction::Sha512 => MessageDigest::sha512(),
    }
}

#[cfg(test)]
mod tests {
    use openssl::pkey::Id;

    use super::*;

    fn check(settings: CertificateSettings, key: Id, signature: Nid) -> Identity {
        let identity = Identity::generate(settings).unwrap();
        let certificate = identity.certificate();
        assert!(certificate.verify(identity.key()).unwrap(), "signed with the key");
        assert_eq!(identity.key().id(), key);
        assert_eq!(certificate.signature_algorithm().object().nid(), signature);
        let now = Asn1Time::days_from_now(0).unwrap();
        assert!(certificate.not_before() <= now);
        let lifetime = now.diff(certificate.not_after()).unwrap();
        assert!((29..=30).contains(&lifetime.days));
        identity
    }

    #[test]
    fn certificates_are_as_configured() {
        check(CertificateSettings::default(), Id::EC, Nid::ECDSA_WITH_SHA256);
        let rsa = CertificateSettings {
            key: CertificateKey::Rsa { bits: 2048 },
            signature: CertificateSignature::Sha1,
            ..CertificateSettings::default()
        };
        check(rsa, Id::RSA, Nid::SHA1WITHRSAENCRYPTION);
    }

    #[test]
    fn fingerprints_are_those_of_the_certificate() {
        let identity = Identity::generate(CertificateSettings::default()).unwrap();
        for hash in HashFunction::ALL {
            let digest = identity.certificate().digest(digest_of(hash)).unwrap();
            assert_eq!(identity.fingerprints().by(hash).digest(), &*digest);
        }
    }

    #[test]
    fn no_two_are_alike() {
        let make = || Identity::generate(CertificateSettings::default()).unwrap();
        assert_ne!(make().fingerprints(), make().fingerprints());
    }
}
