//! The way to the servers: connections, TLS, and who asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use awc::http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// There is nobody to ask.
    #[error("no server to ask: name some with --endpoints or JANGADA_ENDPOINTS")]
    NoEndpoints,
    /// Nothing says whom to believe.
    #[error(
        "the servers are to be asked over TLS: name their authority's certificate with --cacert \
         or JANGADA_CACERT"
    )]
    NoAuthority,
    /// The authority's certificate cannot be used.
    #[error("{path}: {reason}")]
    Authority {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot be sent.
    #[error("the token must be visible ASCII characters on one line")]
    Token,
    /// TLS itself cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// How long a connection may take to be opened, its handshake included.
const CONNECT: Duration = Duration::from_secs(3);

/// Connections to the servers, as few as need be.
pub(super) fn open(
    authority: Option<&Path>,
    token: Option<&str>,
    secure: bool,
) -> Result<awc::Client, SetupError> {
    let mut connector = awc::Connector::new().timeout(CONNECT).handshake_timeout(CONNECT);
    if secure {
        let path = authority.ok_or(SetupError::NoAuthority)?;
        connector = connector.rustls_0_23(Arc::new(trust(path)?));
    }
    let mut client = awc::Client::builder()
        .connector(connector)
        .disable_timeout()
        .disable_redirects()
        .add_default_header((USER_AGENT, concat!("jangada/", env!("CARGO_PKG_VERSION"))));
    if let Some(token) = token {
        let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .ok()
            .filter(|_| visible)
            .ok_or(SetupError::Token)?;
        value.set_sensitive(true);
        client = client.add_default_header((AUTHORIZATION, value));
    }
    Ok(client.finish())
}

/// TLS that believes this authority alone.
fn trust(path: &Path) -> Result<ClientConfig, SetupError> {
    let wrong = |reason: String| SetupError::Authority { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|it| wrong(it.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
