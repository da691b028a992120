//! How we do DTLS.

use std::time::Duration;

use super::{MAX_SECONDS, choice, number};
use crate::config::error::ConfigError;
use crate::config::given::Given;
use crate::config::{CertificateKey, CertificateSettings, CertificateSignature, DtlsSettings, DtlsVersion};

pub(super) fn settings(given: &Given) -> Result<DtlsSettings, ConfigError> {
    let versions = [("1.0", DtlsVersion::V1_0), ("1.2", DtlsVersion::V1_2)];
    let default = DtlsSettings::default();
    Ok(DtlsSettings {
        certificate: certificate(given, default.certificate.lifetime)?,
        oldest: choice(given, "dtls-version", &versions, "1.0, 1.2")?.unwrap_or_default(),
        ciphers: given.value("dtls-ciphers").map_or(default.ciphers, str::to_owned),
        mtu: number(given, "dtls-mtu", 576..=65_535, default.mtu)?,
    })
}

fn certificate(given: &Given, lifetime: Duration) -> Result<CertificateSettings, ConfigError> {
    let bits: u32 = number(given, "dtls-rsa-key-size", 1024..=16384, 2048)?;
    let keys = [
        ("prime256v1", CertificateKey::P256),
        ("RSA", CertificateKey::Rsa { bits }),
    ];
    let signatures = [
        ("SHA-256", CertificateSignature::Sha256),
        ("SHA-1", CertificateSignature::Sha1),
    ];
    let seconds: u64 = number(given, "dtls-cert-lifetime", 2..=MAX_SECONDS, lifetime.as_secs())?;
    Ok(CertificateSettings {
        key: choice(given, "dtls-cert-cipher", &keys, "prime256v1, RSA")?.unwrap_or_default(),
        signature: choice(given, "dtls-signature", &signatures, "SHA-256, SHA-1")?.unwrap_or_default(),
        lifetime: Duration::from_secs(seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Start};

    fn config(options: &[&str]) -> Result<DtlsSettings, String> {
        let common = [
            "relay-daemon",
            "--config-file=none",
            "-i",
            "127.0.0.1",
            "-n",
            "2223",
        ];
        let arguments = common.iter().chain(options).map(Into::into);
        match Config::load(arguments.collect::<Vec<std::ffi::OsString>>()) {
            Ok(Start::Run(config)) => Ok(config.dtls),
            Ok(_) => Err("no start".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        assert_eq!(config(&[]), Ok(DtlsSettings::default()));
        assert_eq!(DtlsSettings::default().oldest, DtlsVersion::V1_2);
    }

    #[test]
    fn what_is_said_counts() {
        let settings = config(&[
            "--dtls-cert-cipher=RSA",
            "--dtls-rsa-key-size=3072",
            "--dtls-signature=SHA-1",
            "--dtls-cert-lifetime=600",
            "--dtls-version=1.0",
            "--dtls-ciphers=HIGH",
            "--dtls-mtu=1000",
        ]);
        let expected = DtlsSettings {
            certificate: CertificateSettings {
                key: CertificateKey::Rsa { bits: 3072 },
                signature: CertificateSignature::Sha1,
                lifetime: Duration::from_secs(600),
            },
            oldest: DtlsVersion::V1_0,
            ciphers: "HIGH".to_owned(),
            mtu: 1000,
        };
        assert_eq!(settings, Ok(expected));
        for bad in ["--dtls-version=1.1", "--dtls-mtu=575", "--dtls-cert-lifetime=1"] {
            assert!(config(&[bad]).is_err(), "{bad}");
        }
    }
}
