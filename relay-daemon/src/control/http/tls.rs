//! TLS below HTTP and WebSocket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslAcceptor, SslFiletype, SslMethod};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::super::connections::PATIENCE;
use crate::config::TlsFiles;

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate in the file, or no file.
    #[error("cannot read a certificate from {0}: {1}")]
    Certificate(PathBuf, #[source] ErrorStack),
    /// There is no key in the file, none for the certificate, or no file.
    #[error("cannot read the certificate's key from {0}: {1}")]
    Key(PathBuf, #[source] ErrorStack),
    /// The library fails.
    #[error(transparent)]
    Library(#[from] ErrorStack),
}

impl TlsFiles {
    /// Reads them.
    pub fn acceptor(&self) -> Result<SslAcceptor, TlsError> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
        let named = |path: &Path| path.to_owned();
        builder
            .set_certificate_chain_file(&self.certificate)
            .map_err(|error| TlsError::Certificate(named(&self.certificate), error))?;
        builder
            .set_private_key_file(&self.key, SslFiletype::PEM)
            .and_then(|()| builder.check_private_key())
            .map_err(|error| TlsError::Key(named(&self.key), error))?;
        Ok(builder.build())
    }
}

/// Shakes hands with a peer. None if that fails, or takes too long.
pub(super) async fn accept(
    acceptor: &SslAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<SslStream<TcpStream>> {
    let connect = async {
        let ssl = Ssl::new(acceptor.context()).map_err(|error| error.to_string())?;
        let mut stream = SslStream::new(ssl, stream).map_err(|error| error.to_string())?;
        let accepted = Pin::new(&mut stream).accept().await;
        accepted.map_err(|error| error.to_string())?;
        Ok::<_, String>(stream)
    };
    match timeout(PATIENCE, connect).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%peer, error, "no TLS connection");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "TLS handshake takes too long");
            None
        }
    }
}
