//! The file that says what a data directory is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::DirectoryError;
use super::{Expected, Identity};
use crate::raft::ServerId;

/// The name of the file.
pub(super) const LABEL: &str = "identity";
/// Its name until it is whole.
pub(super) const NEW_LABEL: &str = "identity.new";
/// The layout of a data directory; the files of the log have a format of their own.
const FORMAT: u32 = 1;

/// The text of the file: one word and its value a line.
fn text(identity: &Identity) -> String {
    let Identity { cluster, server } = identity;
    format!("format {FORMAT}\ncluster {cluster}\nserver {}\n", server.0)
}

/// Writes the file, durably, in the place of one that is there.
pub(super) fn write(directory: &Path, identity: &Identity) -> Result<(), DirectoryError> {
    let path = directory.join(LABEL);
    let new = directory.join(NEW_LABEL);
    let written = (|| {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text(identity).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(directory)?.sync_all()
    })();
    written.map_err(|error| DirectoryError::io("write", &path, &error))
}

/// Reads the file.
pub(super) fn read(directory: &Path, expected: Expected) -> Result<Identity, DirectoryError> {
    let path = directory.join(LABEL);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DirectoryError::NotMade { path: directory.to_owned() });
        }
        Err(error) => return Err(DirectoryError::io("read", &path, &error)),
    };
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(str::trim)
    };
    let unreadable = |what| DirectoryError::Unreadable { path: path.clone(), what };
    let format: u32 = value("format").and_then(|it| it.parse().ok()).ok_or(unreadable("format"))?;
    if format != FORMAT {
        return Err(DirectoryError::Format {
            path: directory.into(),
            found: format,
            reads: FORMAT,
        });
    }
    let cluster = value("cluster").and_then(|it| it.parse().ok()).ok_or(unreadable("cluster"))?;
    let server = value("server").and_then(|it| it.parse().ok()).ok_or(unreadable("server"))?;
    let found = Identity { cluster, server: ServerId(server) };
    let expected = Identity {
        cluster: expected.cluster.unwrap_or(found.cluster),
        server: expected.server.unwrap_or(found.server),
    };
    match found == expected {
        true => Ok(found),
        false => Err(DirectoryError::Foreign { path: directory.to_owned(), found, expected }),
    }
}
