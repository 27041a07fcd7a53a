//! Why a command or a query was not carried out.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::file::ContentHash;
use super::limits::Size;
use super::name::{FileName, NameError, printable};
use super::nested;

/// A request that changed nothing, and why. An answer like any other: decided by the store and
/// the request alone, the same on all servers. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// Not a command or query that this version knows.
    #[error("these {bytes} bytes are not a request to the file store; is the client newer?")]
    Malformed {
        /// How many bytes came.
        bytes: u64,
    },
    /// Not an answer that this version knows; whether the request was carried out is unknown.
    #[error("these {bytes} bytes are not an answer of the file store; is the server newer?")]
    UnknownAnswer {
        /// How many bytes came.
        bytes: u64,
    },
    /// The session was closed, or expired because others were used since.
    #[error("session {session} has expired: open a new one and check what was applied before")]
    SessionExpired {
        /// The id it had.
        session: u64,
    },
    /// A request the client has declared to be answered.
    #[error("request {serial} was already acknowledged: all below {acknowledged} were")]
    AlreadyAcknowledged {
        /// Its serial number.
        serial: u64,
        /// All serial numbers below this one are acknowledged.
        acknowledged: u64,
    },
    /// Too many answers are kept for this session.
    #[error(
        "{limit} answers of this session are unacknowledged, which is the limit: acknowledge some"
    )]
    TooManyUnacknowledged {
        /// How many are kept at most.
        limit: u64,
    },
    /// A text that is not a [`FileName`].
    #[error("`{}` is not a file name: {reason}", printable(name))]
    BadName {
        /// The text.
        name: String,
        /// The rule it breaks.
        reason: NameError,
    },
    /// No file has this name or uuid, nor a uuid with this beginning.
    #[error("no file named `{}`, nor with that uuid; `list` shows what there is", printable(file))]
    NoSuchFile {
        /// The reference that was given.
        file: String,
    },
    /// Several uuids begin with these digits.
    #[error(
        "`{}` begins several uuids: {}; give more digits",
        printable(prefix),
        listed(candidates, *more)
    )]
    Ambiguous {
        /// The digits.
        prefix: String,
        /// The first few files meant, by uuid.
        candidates: Vec<(Uuid, FileName)>,
        /// Whether there are still more.
        more: bool,
    },
    /// The file was deleted or replaced.
    #[error("file {uuid} is gone: deleted or replaced")]
    Gone {
        /// The uuid it had.
        uuid: Uuid,
    },
    /// The name is taken.
    #[error("a file named `{name}` exists ({uuid}): choose another name, replace or delete it")]
    NameExists {
        /// The name.
        name: FileName,
        /// Whose it is.
        uuid: Uuid,
    },
    /// The uuid of a new file is taken.
    #[error("uuid {uuid} is taken by `{name}`: draw another one")]
    UuidExists {
        /// The uuid.
        uuid: Uuid,
        /// The file that has it.
        name: FileName,
    },
    /// The content does not have the announced size.
    #[error("{size} bytes were announced, {received} came")]
    SizeMismatch {
        /// Bytes announced.
        size: u64,
        /// Bytes received.
        received: u64,
    },
    /// This session has no such upload.
    #[error("no upload {upload} in this session: stage its chunks (again), then use it")]
    NoSuchUpload {
        /// Its uuid.
        upload: Uuid,
    },
    /// Chunks of the upload are missing.
    #[error("upload {upload} of {size} bytes is incomplete: the chunk at {received} is missing")]
    UploadIncomplete {
        /// Its uuid.
        upload: Uuid,
        /// Bytes received without a gap.
        received: u64,
        /// Bytes announced.
        size: u64,
    },
    /// The chunk covers bytes that came in another one.
    #[error("the chunk at {offset} of upload {upload} overlaps one staged before")]
    Overlap {
        /// The upload.
        upload: Uuid,
        /// Where the chunk begins.
        offset: u64,
    },
    /// Too many chunks wait for an earlier one.
    #[error("upload {upload} is too far ahead: the chunk at {received} must come first")]
    TooFarAhead {
        /// The upload.
        upload: Uuid,
        /// Bytes received without a gap.
        received: u64,
    },
    /// The file would be larger than files may be.
    #[error("`{file}` would have {size} bytes; the limit of a file is {limit} ({})", Size(*limit))]
    FileTooLarge {
        /// Its name.
        file: String,
        /// The size it would have, in bytes.
        size: u64,
        /// The most a file may have.
        limit: u64,
    },
    /// The data of one command is larger than allowed.
    #[error("{bytes} bytes in one command; the limit is {limit} ({}): send chunks", Size(*limit))]
    DataTooLarge {
        /// Bytes that came.
        bytes: u64,
        /// The most one command may carry.
        limit: u64,
    },
    /// The store would hold more bytes than it may.
    #[error("no room for {} more in the store of {}: delete files", Size(*bytes), Size(*limit))]
    StoreFull {
        /// Bytes to be added.
        bytes: u64,
        /// The most the store may hold, staged uploads included.
        limit: u64,
    },
    /// There are as many files as there may be.
    #[error("the store has {limit} files, which is the limit: delete some")]
    TooManyFiles {
        /// The most there may be.
        limit: u64,
    },
    /// There are as many uploads as there may be.
    #[error("{limit} uploads are open, which is the limit: finish or discard some")]
    TooManyUploads {
        /// The most there may be, over all sessions.
        limit: u64,
    },
    /// The file is not as the client knows it.
    #[error("{}", revision_changed(file, *expected, *found))]
    RevisionChanged {
        /// The reference that was given.
        file: String,
        /// The revision it was to have; 0 if it was not to exist.
        expected: u64,
        /// The revision it has; 0 if it does not exist.
        found: u64,
    },
    /// A command of a batch was refused, so none was carried out.
    #[error("nothing was done, because command {place} of the batch was refused: {reason}")]
    InBatch {
        /// Which one, from 1.
        place: u64,
        /// Why.
        #[serde(deserialize_with = "nested::deserialize")]
        reason: Box<Refusal>,
    },
    /// A batch in a batch.
    #[error("a batch cannot hold a batch: put all the commands into one")]
    NestedBatch,
    /// The batch has more commands than it may.
    #[error("{commands} commands in one batch; the limit is {limit}: send several")]
    BatchTooLong {
        /// How many it has.
        commands: u64,
        /// The most it may have.
        limit: u64,
    },
    /// What was asked about lies further back than this server's history.
    #[error("what was before entry {first} is forgotten here: ask from index {first} on")]
    HistoryGone {
        /// The first index that can be asked about.
        first: u64,
    },
    /// What was asked about has not happened yet, as far as this server knows.
    #[error("entry {index} is not applied yet, the last one was {applied}: ask again later")]
    NotYet {
        /// The index that was asked about.
        index: u64,
        /// The index of the last entry that was applied.
        applied: u64,
    },
    /// The file is not one of the versions that the client knows, or is one that it was not to be.
    #[error("{}", other_version(file, *found))]
    OtherVersion {
        /// The reference that was given.
        file: String,
        /// Its uuid and revision, if it exists.
        found: Option<(Uuid, u64)>,
    },
    /// A condition names more versions than it may.
    #[error("{count} versions in one condition; the limit is {limit}")]
    TooManyVersions {
        /// How many it names.
        count: u64,
        /// The most it may name.
        limit: u64,
    },
    /// A key comes again with another request.
    #[error("request {serial} of this client was another one: draw a new key for each request")]
    KeyReused {
        /// The serial number of the key.
        serial: u64,
    },
    /// A key so far behind the client's highest that its answer is forgotten.
    #[error(
        "request {serial} of this client is forgotten: all below {first} are; look whether it was \
         carried out"
    )]
    KeyForgotten {
        /// The serial number of the key.
        serial: u64,
        /// The lowest that is remembered.
        first: u64,
    },
    /// Content cannot be read from the disk of the server that was asked, which ends over it.
    #[error("chunk {chunk} of the content is lost on this server's disk: ask another server")]
    ContentLost {
        /// The hash of the chunk.
        chunk: ContentHash,
    },
}

fn other_version(file: &str, found: Option<(Uuid, u64)>) -> String {
    let file = printable(file.strip_prefix('/').unwrap_or(file));
    match found {
        Some((uuid, revision)) => {
            format!("`{file}` is {uuid} at revision {revision}, which the condition excludes")
        }
        None => format!("`{file}` does not exist, and was to"),
    }
}

fn revision_changed(file: &str, expected: u64, found: u64) -> String {
    let file = printable(file);
    match (expected, found) {
        (0, _) => format!("`{file}` exists, at revision {found}, and was not to"),
        (_, 0) => format!("`{file}` is gone, and was to be at revision {expected}"),
        _ => format!("`{file}` is at revision {found}, not {expected}: see what changed"),
    }
}

fn listed(candidates: &[(Uuid, FileName)], more: bool) -> String {
    let shown: Vec<_> = candidates.iter().map(|(uuid, name)| format!("{uuid} `{name}`")).collect();
    shown.join(", ") + if more { ", …" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_file_and_the_limit() {
        let name = || FileName::new("notes.txt").unwrap();
        let limit = 1 << 30;
        let cases = [
            (
                Refusal::NoSuchFile { file: "notes\n".into() },
                "no file named `notes\\n`, nor with that uuid; `list` shows what there is",
            ),
            (
                Refusal::BadName { name: "/x".into(), reason: NameError::Absolute },
                "`/x` is not a file name: it starts with `/`; names are relative",
            ),
            (
                Refusal::FileTooLarge { file: "notes.txt".into(), size: limit + 1, limit },
                "`notes.txt` would have 1073741825 bytes; \
                 the limit of a file is 1073741824 (1 GiB)",
            ),
            (
                Refusal::Ambiguous {
                    prefix: "0000".into(),
                    candidates: vec![(Uuid::nil(), name())],
                    more: true,
                },
                "`0000` begins several uuids: \
                 00000000-0000-0000-0000-000000000000 `notes.txt`, …; give more digits",
            ),
            (
                Refusal::RevisionChanged { file: "a".into(), expected: 3, found: 4 },
                "`a` is at revision 4, not 3: see what changed",
            ),
            (
                Refusal::RevisionChanged { file: "a".into(), expected: 3, found: 0 },
                "`a` is gone, and was to be at revision 3",
            ),
            (
                Refusal::InBatch {
                    place: 2,
                    reason: Box::new(Refusal::RevisionChanged {
                        file: "a".into(),
                        expected: 0,
                        found: 4,
                    }),
                },
                "nothing was done, because command 2 of the batch was refused: \
                 `a` exists, at revision 4, and was not to",
            ),
        ];
        for (refusal, message) in cases {
            assert_eq!(refusal.to_string(), message);
        }
    }
}
