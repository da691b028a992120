//! New certificates for DTLS, before the last one is too old.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;

use tokio::sync::mpsc as queue;

use crate::config::{DtlsSettings, Scheduling};
use crate::dtls::Credentials;

/// Makes credentials again and again, on a thread of its own, as an RSA key takes its time.
pub(super) struct Renewal {
    made: queue::Receiver<Credentials>,
    /// The thread ends when this goes.
    _keeps_going: mpsc::Sender<()>,
}

impl Renewal {
    /// The first ones come after half the lifetime of a certificate.
    pub(super) fn start(settings: DtlsSettings, scheduling: Scheduling) -> io::Result<Renewal> {
        let (give, made) = queue::channel(1);
        let (keeps_going, goes_on) = mpsc::channel();
        Builder::new().name("relay-dtls".to_owned()).spawn(move || {
            scheduling.apply();
            while goes_on.recv_timeout(settings.certificate.lifetime / 2) == Err(RecvTimeoutError::Timeout) {
                match Credentials::generate(&settings) {
                    // Nobody takes them: the daemon ends.
                    Ok(credentials) => drop(give.blocking_send(credentials)),
                    Err(error) => tracing::error!(%error, "the certificate for DTLS stays as it is"),
                }
            }
        })?;
        Ok(Renewal {
            made,
            _keeps_going: keeps_going,
        })
    }

    /// Waits for new credentials.
    pub(super) async fn next(&mut self) -> Credentials {
        match self.made.recv().await {
            Some(credentials) => credentials,
            // The thread is gone, which nothing but its end brings about.
            None => std::future::pending().await,
        }
    }
}
