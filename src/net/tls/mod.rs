//! TLS on both ends: who has connected is who its certificate says.
//!
//! A cluster has an authority of its own ([`Authority`]), and every certificate names the cluster
//! and whom it is for: `server3.CLUSTER.jangada`, or `NAME.client.CLUSTER.jangada`. The end that
//! connects demands the name of the server that it wants; the other demands that of whom the
//! greeting says it is. So no server can pass for another, no client for a server, and nobody of
//! one cluster for one of another, even if an authority were shared.
//!
//! TLS 1.3 alone, and no session is ever resumed: what [`Tls::reload`] has read holds for every
//! connection that is made after it.

mod authority;
mod files;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::client::{Resumption, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
    WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use uuid::Uuid;

pub use authority::{Authority, CertError, Validity};
pub use files::{CertificateInfo, OwnFiles, TlsFiles};

use super::handshake::Role;
use super::peers::Wire;
use crate::raft::ServerId;
use files::{Own, Read};

/// The certificates of one process, which can be read again while it runs.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    cluster: Uuid,
    role: Role,
    current: Mutex<Arc<Current>>,
}

/// What the next connection is made with.
struct Current {
    connector: TlsConnector,
    /// A client that has no certificate takes no connections.
    acceptor: Option<TlsAcceptor>,
    /// Its own certificate.
    own: Option<Arc<CertifiedKey>>,
}

/// Whoever asks is shown the certificate that was read last.
#[derive(Debug)]
struct Latest(Arc<Tls>);

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}; `jangada cert` makes what TLS needs")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("{path} holds no {what} in PEM form")]
    Content {
        /// The file.
        path: String,
        /// What it should hold.
        what: &'static str,
    },
    /// The certificate and its key, or its authority, do not fit.
    #[error("{path} cannot be used: {error}")]
    Unfit {
        /// The file with the certificate.
        path: String,
        /// Why not.
        error: rustls::Error,
    },
    /// The certificate is for somebody else.
    #[error("{path} is not for {name}: give the files of this server, or make them with `{make}`")]
    Name {
        /// The file with the certificate.
        path: String,
        /// The name that it lacks.
        name: String,
        /// The command that makes one.
        make: String,
    },
}

/// The name in the certificate of whoever has this role in this cluster.
pub fn name_of(role: &Role, cluster: Uuid) -> String {
    match role {
        Role::Server(id) => format!("server{}.{cluster}.jangada", id.0),
        Role::Client(name) => format!("{name}.client.{cluster}.jangada"),
    }
}

impl Tls {
    /// Reads the certificates of a server or client of this cluster.
    ///
    /// # Errors
    /// If a file cannot be read, or the certificate is not one of the authority's, for this role,
    /// with this key, and valid today.
    pub fn load(files: TlsFiles, cluster: Uuid, role: Role) -> Result<Arc<Self>, TlsError> {
        let current = Mutex::new(Arc::new(Current::read(&files, cluster, &role)?));
        Ok(Arc::new(Self { files, cluster, role, current }))
    }

    /// Reads the files again. Connections that are there go on; each new one is made with what
    /// was read.
    ///
    /// # Errors
    /// As [`load`](Self::load); what was read before stays in use then.
    pub fn reload(&self) -> Result<(), TlsError> {
        let read = Arc::new(Current::read(&self.files, self.cluster, &self.role)?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = read;
        log::info!(authority:% = self.files.authority.display(); "certificates read again");
        Ok(())
    }

    /// Serves HTTPS to whoever believes the authority, with the same certificate. Clients need none.
    pub fn https(self: &Arc<Self>) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        builder
            .with_safe_default_protocol_versions()
            .expect("invariant: ring has the suites of TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Latest(self.clone())))
    }

    /// Believes the certificates of the authority's that were read last, as a client of the servers
    /// that serve HTTPS.
    pub fn https_client(&self) -> Arc<ClientConfig> {
        self.current().connector.config().clone()
    }

    fn current(&self) -> Arc<Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a stream to this server secret, and makes sure that it is this server.
    pub(super) async fn connect(
        &self,
        stream: Box<dyn Wire>,
        to: ServerId,
    ) -> io::Result<Box<dyn Wire>> {
        let name = server_name(&Role::Server(to), self.cluster).map_err(io::Error::other)?;
        let connector = self.current().connector.clone();
        Ok(Box::new(connector.connect(name, stream).await?))
    }

    /// Makes a stream that somebody has made secret. Returns its certificate, if it has one of
    /// the authority's.
    pub(super) async fn accept(
        &self,
        stream: Box<dyn Wire>,
    ) -> io::Result<(Box<dyn Wire>, Option<CertificateDer<'static>>)> {
        let acceptor = self.current().acceptor.clone();
        let acceptor = acceptor.ok_or_else(|| io::Error::other("no certificate of its own"))?;
        let stream = acceptor.accept(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(|it| it.first()).map(|it| it.clone().into_owned());
        Ok((Box::new(stream), certificate))
    }

    /// Whether the certificate is for whoever has this role.
    pub(super) fn is_for(&self, certificate: Option<&CertificateDer<'_>>, role: &Role) -> bool {
        certificate.is_some_and(|it| proves(it, role, self.cluster).is_ok())
    }
}

impl Current {
    fn read(files: &TlsFiles, cluster: Uuid, role: &Role) -> Result<Self, TlsError> {
        let Read { authorities, own } = files.read()?;
        let unfit = |error| TlsError::Unfit { path: files.authority.display().to_string(), error };
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(unfit)?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let client = only_tls13(ClientConfig::builder_with_provider, &provider)
            .with_root_certificates(roots.clone());
        let Some(own) = own else {
            let connector = connector(client.with_no_client_auth());
            return Ok(Self { connector, acceptor: None, own: None });
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| unfit(rustls::Error::General(error.to_string())))?;
        check(&own, &*verifier, cluster, role)?;
        own.warn_before_the_end();
        let Own { path, certificates, key } = own;
        let unfit = |error| TlsError::Unfit { path: path.clone(), error };
        let client = client.with_client_auth_cert(certificates.clone(), key.clone_key());
        let pair = CertifiedKey::from_der(certificates.clone(), key.clone_key(), &provider);
        let mut server = only_tls13(ServerConfig::builder_with_provider, &provider)
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates, key)
            .map_err(unfit)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self {
            connector: connector(client.map_err(unfit)?),
            acceptor: Some(TlsAcceptor::from(Arc::new(server))),
            own: Some(Arc::new(pair.map_err(unfit)?)),
        })
    }
}

impl ResolvesServerCert for Latest {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.current().own.clone()
    }
}

fn connector(mut client: ClientConfig) -> TlsConnector {
    client.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(client))
}

/// Refuses what others would refuse, here, where it can be put right.
fn check(
    own: &Own,
    verifier: &dyn ClientCertVerifier,
    cluster: Uuid,
    role: &Role,
) -> Result<(), TlsError> {
    let path = || own.path.clone();
    let Some((first, between)) = own.certificates.split_first() else {
        return Err(TlsError::Content { path: path(), what: "certificate" });
    };
    let checked = verifier.verify_client_cert(first, between, UnixTime::now());
    checked.map_err(|error| TlsError::Unfit { path: path(), error })?;
    proves(first, role, cluster).map_err(|name| {
        let make = match role {
            Role::Server(id) => format!("jangada cert server {}", id.0),
            Role::Client(name) => format!("jangada cert client {name}"),
        };
        TlsError::Name { path: path(), name, make }
    })
}

fn only_tls13<S: rustls::ConfigSide>(
    builder: impl FnOnce(Arc<CryptoProvider>) -> rustls::ConfigBuilder<S, rustls::WantsVersions>,
    provider: &Arc<CryptoProvider>,
) -> rustls::ConfigBuilder<S, rustls::WantsVerifier> {
    let builder = builder(provider.clone()).with_protocol_versions(&[&TLS13]);
    builder.expect("invariant: ring has the suites of TLS 1.3")
}

/// Whether the certificate has the name of this role. Otherwise returns the name.
fn proves(certificate: &CertificateDer<'_>, role: &Role, cluster: Uuid) -> Result<(), String> {
    let name = || name_of(role, cluster);
    let parsed = ParsedCertificate::try_from(certificate).map_err(|_| name())?;
    let wanted = server_name(role, cluster).map_err(|_| name())?;
    verify_server_name(&parsed, &wanted).map_err(|_| name())
}

fn server_name(role: &Role, cluster: Uuid) -> Result<ServerName<'static>, rustls::Error> {
    let name = name_of(role, cluster);
    let error = |_| rustls::Error::General(format!("{name} is no name for a certificate"));
    ServerName::try_from(name.clone()).map_err(error)
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}
