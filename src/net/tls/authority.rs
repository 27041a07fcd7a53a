//! A cluster's own authority: a key that signs the certificates of its servers and clients.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::pki_types::UnixTime;
use uuid::Uuid;

use super::files::{CertificateInfo, OwnFiles, TlsFiles};
use super::{TlsError, name_of};
use crate::net::handshake::Role;

/// A cluster's authority, in a directory: `ca.pem` and `ca.key`.
pub struct Authority {
    directory: PathBuf,
    cluster: Uuid,
    issuer: Issuer<'static, KeyPair>,
}

/// For how many days a certificate is valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity(pub u32);

/// Why a certificate was not made. What was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// It is there already.
    #[error("{0} exists, and nothing is ever overwritten: move it away, or name another directory")]
    Exists(String),
    /// There is no authority.
    #[error("{0}\n`jangada cert ca {1}` makes an authority there, if there is to be one")]
    NoAuthority(TlsError, String),
    /// The authority is not one of `jangada cert ca`.
    #[error("{0} is not the certificate of an authority that `jangada cert ca` made")]
    Foreign(String),
    /// A name that cannot be in a certificate.
    #[error("{0:?} cannot be the name of a client: up to 63 of a-z, 0-9 and -, no - at either end")]
    Client(String),
    /// A host that cannot be in a certificate.
    #[error("{0:?} is neither the name of a host nor an address")]
    Host(String),
    /// Servers are numbered from 1.
    #[error("servers are numbered from 1 to 99")]
    Server,
    /// The directory cannot be written.
    #[error("cannot write {path}: {error}")]
    Write {
        /// The file.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// The certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// In front of the cluster's name in the name of its authority.
const CALLED: &str = "jangada cluster ";
/// Certificates are valid from a day ago on: clocks differ.
const EARLIER: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Validity {
    /// Five years.
    fn default() -> Self {
        Self(5 * 365)
    }
}

impl Authority {
    /// Makes the authority of a cluster in a directory, which may be new; only its owner may read
    /// it then. It is valid for 20 years.
    ///
    /// # Errors
    /// If there is one already, or the directory cannot be written.
    pub fn create(directory: &Path, cluster: Uuid) -> Result<Self, CertError> {
        let key = KeyPair::generate()?;
        let mut params = params(&format!("{CALLED}{cluster}"), Validity(20 * 365));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        make_directory(directory)?;
        keep(&files_of_authority(directory), &certificate.pem(), &key)?;
        let issuer = Issuer::new(params, key);
        Ok(Self { directory: directory.to_owned(), cluster, issuer })
    }

    /// The authority that is in a directory.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(directory: &Path) -> Result<Self, CertError> {
        let OwnFiles { certificate, key } = files_of_authority(directory);
        let text = |path: &Path| {
            let read = fs::read_to_string(path);
            read.map_err(|error| {
                let error = TlsError::Read { path: path.display().to_string(), error };
                CertError::NoAuthority(error, directory.display().to_string())
            })
        };
        let (pem, key) = (text(&certificate)?, KeyPair::from_pem(&text(&key)?)?);
        let foreign = || CertError::Foreign(certificate.display().to_string());
        let info = CertificateInfo::of_file(&certificate).map_err(|_| foreign())?;
        let cluster = info.subject.strip_prefix(CALLED).and_then(|it| it.parse().ok());
        let cluster = cluster.filter(|_| info.is_authority).ok_or_else(foreign)?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key)?;
        Ok(Self { directory: directory.to_owned(), cluster, issuer })
    }

    /// The cluster whose servers and clients it vouches for.
    pub fn cluster(&self) -> Uuid {
        self.cluster
    }

    /// Makes the certificate of a server or a client, for these hosts too, if it is a server's and
    /// serves HTTPS.
    ///
    /// # Errors
    /// If there is one already, the name or a host cannot be in a certificate, or the directory
    /// cannot be written.
    pub fn issue(
        &self,
        role: &Role,
        hosts: &[String],
        validity: Validity,
    ) -> Result<OwnFiles, CertError> {
        check(role)?;
        let mut params = params(&name_of(role, self.cluster), validity);
        let mut names = vec![name_of(role, self.cluster)];
        for host in hosts {
            let is_name = |host: &str| host.split('.').all(is_label);
            if host.parse::<IpAddr>().is_err() && !is_name(host) {
                return Err(CertError::Host(host.clone()));
            }
            names.push(host.clone());
        }
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match role {
            // Servers connect to each other: each is also a client.
            Role::Server(_) => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
            Role::Client(_) => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files = TlsFiles::in_directory(&self.directory, role).own;
        let files = files.expect("invariant: a directory has a place for every role");
        keep(&files, &certificate.pem(), &key)?;
        Ok(files)
    }
}

fn files_of_authority(directory: &Path) -> OwnFiles {
    OwnFiles { certificate: directory.join("ca.pem"), key: directory.join("ca.key") }
}

fn params(name: &str, Validity(days): Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(UnixTime::now().as_secs());
    params.not_before = now - EARLIER;
    params.not_after = now + Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    params
}

fn check(role: &Role) -> Result<(), CertError> {
    match role {
        Role::Server(id) if (1..100).contains(&id.0) => Ok(()),
        Role::Server(_) => Err(CertError::Server),
        Role::Client(name) if is_label(name) && !name.contains(char::is_uppercase) => Ok(()),
        Role::Client(name) => Err(CertError::Client(name.clone())),
    }
}

/// Whether it can be a part between dots of a name (RFC 1123).
fn is_label(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn make_directory(path: &Path) -> Result<(), CertError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let error = |error| CertError::Write { path: path.display().to_string(), error };
    builder.recursive(true).create(path).map_err(error)
}

/// Writes both files, of which neither may be there.
fn keep(files: &OwnFiles, certificate: &str, key: &KeyPair) -> Result<(), CertError> {
    let shown = |path: &Path| path.display().to_string();
    if let Some(there) = [&files.certificate, &files.key].into_iter().find(|it| it.exists()) {
        return Err(CertError::Exists(shown(there)));
    }
    let both =
        [(&files.key, key.serialize_pem(), 0o600), (&files.certificate, certificate.into(), 0o644)];
    for (path, content, mode) in both {
        let written = create(path, mode)
            .and_then(|mut file| file.write_all(content.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => CertError::Exists(shown(path)),
            _ => CertError::Write { path: shown(path), error },
        })?;
    }
    Ok(())
}

/// Makes a file that is not there yet.
fn create(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}
