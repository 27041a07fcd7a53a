//! The files that TLS needs, and what a certificate in one of them says.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::TlsError;
use crate::net::handshake::Role;

/// Where the certificates of one process are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The certificates of the authorities that are trusted. More than one lets a cluster go over
    /// to another.
    pub authority: PathBuf,
    /// What proves who this process is. A client that has a token needs none.
    pub own: Option<OwnFiles>,
}

/// Where the certificate of one process is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnFiles {
    /// The certificate, and those between it and an authority.
    pub certificate: PathBuf,
    /// Its key, which only its owner may read.
    pub key: PathBuf,
}

/// What is in the files.
pub(super) struct Read {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) own: Option<Own>,
}

/// A certificate with those between it and an authority, and its key.
pub(super) struct Own {
    pub(super) path: String,
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// What a certificate says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateInfo {
    /// Whose it is: its common name.
    pub subject: String,
    /// Whose it is, as others check it.
    pub names: Vec<String>,
    /// Who has signed it.
    pub issuer: String,
    /// It may sign others.
    pub is_authority: bool,
    /// From when on it is valid.
    pub not_before: String,
    /// Until when it is valid.
    pub not_after: String,
    /// How many days of that are left; less than 0 if it is over.
    pub days_left: i64,
}

/// With less days left than this, the log says so.
const FEW_DAYS: i64 = 30;
const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;

impl TlsFiles {
    /// As `jangada cert` names them in its directory.
    pub fn in_directory(directory: &Path, role: &Role) -> Self {
        let name = match role {
            Role::Server(id) => format!("server{}", id.0),
            Role::Client(name) => format!("client-{name}"),
        };
        Self {
            authority: directory.join("ca.pem"),
            own: Some(OwnFiles {
                certificate: directory.join(format!("{name}.pem")),
                key: directory.join(format!("{name}.key")),
            }),
        }
    }

    pub(super) fn read(&self) -> Result<Read, TlsError> {
        let own = self.own.as_ref().map(|own| {
            Ok(Own {
                path: text(&own.certificate),
                certificates: certificates(&own.certificate)?,
                key: key(&own.key)?,
            })
        });
        Ok(Read { authorities: certificates(&self.authority)?, own: own.transpose()? })
    }
}

impl Own {
    /// Says so in the log if the certificate is soon over.
    pub(super) fn warn_before_the_end(&self) {
        if let Some(info) = self.certificates.first().and_then(info)
            && info.days_left < FEW_DAYS
        {
            log::warn!(
                certificate = self.path.as_str(), days_left = info.days_left;
                "the certificate is valid for a short time only: make another with `jangada cert`, \
                 then have it read again"
            );
        }
    }
}

impl CertificateInfo {
    /// What the first certificate in a file says.
    ///
    /// # Errors
    /// If the file cannot be read or holds none.
    pub fn of_file(path: &Path) -> Result<Self, TlsError> {
        let certificates = certificates(path)?;
        let found = certificates.first().and_then(info);
        found.ok_or_else(|| TlsError::Content { path: text(path), what: "certificate" })
    }
}

fn info(certificate: &CertificateDer<'_>) -> Option<CertificateInfo> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut names = Vec::new();
    if let Ok(Some(alternative)) = parsed.subject_alternative_name() {
        names.extend(alternative.value.general_names.iter().map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => address(bytes),
            other => other.to_string(),
        }));
    }
    let common_name = |name: &x509_parser::x509::X509Name<'_>| {
        let first = name.iter_common_name().next().and_then(|it| it.as_str().ok());
        first.map_or_else(|| name.to_string(), str::to_owned)
    };
    let validity = parsed.validity();
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    Some(CertificateInfo {
        subject: common_name(parsed.subject()),
        names,
        issuer: common_name(parsed.issuer()),
        is_authority: parsed.is_ca(),
        not_before: validity.not_before.to_string(),
        not_after: validity.not_after.to_string(),
        days_left: (validity.not_after.timestamp() - now).div_euclid(SECONDS_OF_A_DAY),
    })
}

fn address(bytes: &[u8]) -> String {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return std::net::Ipv4Addr::from(bytes).to_string();
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(bytes) => std::net::Ipv6Addr::from(bytes).to_string(),
        Err(_) => "an address of unknown kind".to_owned(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = read(path)?;
    let nothing = |_| TlsError::Content { path: text(path), what: "certificate" };
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&content).collect::<Result<_, _>>().map_err(nothing)?;
    if found.is_empty() {
        return Err(TlsError::Content { path: text(path), what: "certificate" });
    }
    Ok(found)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let nothing = |_| TlsError::Content { path: text(path), what: "private key" };
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(nothing)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let error = |error: io::Error| TlsError::Read { path: text(path), error };
    std::fs::read(path).map_err(error)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

impl fmt::Display for CertificateInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, names, issuer, not_before, not_after, .. } = self;
        let kind = if self.is_authority { " (an authority)" } else { "" };
        writeln!(f, "subject     {subject}{kind}")?;
        if !names.is_empty() {
            writeln!(f, "names       {}", names.join(", "))?;
        }
        writeln!(f, "issued by   {issuer}")?;
        writeln!(f, "valid from  {not_before}")?;
        match self.days_left {
            ..0 => write!(f, "valid to    {not_after} (over)"),
            days => write!(f, "valid to    {not_after} ({days} days left)"),
        }
    }
}
