//! What is written to the log: commands, the session they belong to, and their bytes.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[cfg(doc)]
use super::limits::{KEY_WINDOW, MAX_VERSIONS};
use super::limits::{MAX_BATCH, MAX_DATA, Size};
use super::name::printable;
use super::nested;
use super::refusal::Refusal;

/// The header of a payload, everything before the data, has at most this many bytes for each
/// command.
const MAX_HEADER: usize = 8 * 1024;

/// How many commands of a batch are described.
const DESCRIBED: usize = 3;

/// One change of the files. Some commands come with data, which travels beside them (see
/// [`Request::encode`]).
///
/// `file` is a reference, resolved when the command is applied: an exact name, else a uuid, else
/// at least 4 hexadecimal digits with which exactly one uuid begins; or `/` and an exact name, which
/// then means no other file. Uuids of new files and uploads are drawn by whoever proposes the
/// command. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command {
    /// Stages the data as one chunk of an upload of this session, the first chunk opening it.
    /// Chunks may come in any order and repeatedly, but may not overlap.
    Stage {
        /// The upload.
        upload: Uuid,
        /// Where in the upload the chunk begins, in bytes.
        offset: u64,
        /// The file that the upload will be appended to, the same in every chunk; `None` for a
        /// new file. A hint: the hash of that file is carried on chunk by chunk, instead of all at
        /// once by the command that uses the upload.
        onto: Option<Uuid>,
    },
    /// Creates a file, visible all at once, from the data or from an upload, which is used up.
    Create {
        /// Its uuid, which no file has.
        uuid: Uuid,
        /// Its name: a [`FileName`](super::FileName).
        name: String,
        /// The size of its content, in bytes.
        size: u64,
        /// The upload that is its content; `None` if the data is.
        upload: Option<Uuid>,
        /// Whether a file that has the name is deleted, rather than the command refused.
        replace: bool,
    },
    /// Appends the data to a file.
    Append {
        /// Which file.
        file: String,
    },
    /// Appends an upload, all at once, which is used up.
    AppendStaged {
        /// Which file.
        file: String,
        /// The upload.
        upload: Uuid,
        /// The size of the upload, in bytes.
        size: u64,
    },
    /// Deletes a file.
    Delete {
        /// Which file.
        file: String,
    },
    /// Gives a file another name, which no file has.
    Rename {
        /// Which file.
        file: String,
        /// The new name: a [`FileName`](super::FileName).
        name: String,
    },
    /// Drops an upload of this session.
    Discard {
        /// The upload.
        upload: Uuid,
    },
    /// Carries a command out, with the data of this one, only if a file is as its client knows it;
    /// else it is refused with [`Refusal::RevisionChanged`]. Answered as the command is. Conditions
    /// and batches may be nested up to 3 deep.
    If {
        /// Which file: not necessarily one that the command changes.
        file: String,
        /// The revision it must have; 0 if it must not exist.
        revision: u64,
        /// What to do then.
        #[serde(deserialize_with = "nested::deserialize")]
        command: Box<Command>,
    },
    /// Carries commands out in order, all or none, as one change: nobody sees some of them done.
    /// Answered by [`Answer::Batch`](super::Answer::Batch), or refused with [`Refusal::InBatch`].
    /// At most [`MAX_BATCH`] commands, none of which is a batch. Made by [`Command::batch`].
    Batch {
        /// The commands, whose data is this one's, one behind the other.
        #[serde(deserialize_with = "nested::deserialize")]
        parts: Vec<Part>,
    },
    /// Carries a command out, with the data of this one, only if a file is, or is not, one of these
    /// versions; else it is refused with [`Refusal::OtherVersion`]. Answered as the command is.
    IfVersion {
        /// Which file.
        file: String,
        /// Uuids and revisions, at most [`MAX_VERSIONS`]; none of them stands for any file.
        versions: Vec<(Uuid, u64)>,
        /// Whether it must be one of them, or must not.
        is: bool,
        /// What to do then.
        #[serde(deserialize_with = "nested::deserialize")]
        command: Box<Command>,
    },
}

/// A command of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What to do.
    pub command: Command,
    /// How many bytes of the batch's data are its own.
    pub bytes: u32,
}

/// A command as one request of a session (Raft thesis, section 6.3). Applied at most once: the
/// same session and serial number again are given the stored answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The id that opening the session answered.
    pub session: u64,
    /// The client's number for this request, used for no other.
    pub serial: u64,
    /// The client has the answers to all its requests below this serial number, and will not
    /// send them again.
    pub acknowledged: u64,
    /// What is asked.
    pub command: Command,
}

/// What makes a request recognisable in whatever session it comes again: a client's own number for
/// it. The first that uses a number is carried out; those that follow are given its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The client: a number that is drawn at random, or hashed from what it is called.
    pub client: u64,
    /// The client's number for the request. It must not use one that lies [`KEY_WINDOW`] or more
    /// behind the highest.
    pub serial: u64,
    /// A hash of what is asked: a number that comes again with something else is refused.
    pub fingerprint: u64,
}

/// All that a log entry can say: the header of its payload. Variants are only ever added at the
/// end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Operation<R = Request> {
    OpenSession,
    CloseSession { session: u64 },
    Request(R),
    Keyed(Key, R),
}

/// The payload that opens a session; answered by `SessionOpened`. Logged twice, it opens two: the
/// one nobody uses expires in time.
pub fn open_session() -> Bytes {
    Operation::<()>::OpenSession.encode(&[])
}

/// The payload that closes a session, drops its uploads and forgets its answers; answered by
/// `SessionClosed`.
pub fn close_session(session: u64) -> Bytes {
    Operation::<()>::CloseSession { session }.encode(&[])
}

/// One line about a payload, for people: `append notes.txt +5 B`. Any bytes will do.
pub fn describe(payload: &Bytes) -> String {
    match Operation::decode(payload) {
        Ok((Operation::OpenSession, _)) => "open session".to_owned(),
        Ok((Operation::CloseSession { session }, _)) => format!("close session {session}"),
        Ok((Operation::Request(request) | Operation::Keyed(_, request), data)) => {
            request.command.describe(data.len())
        }
        Err(_) => format!("not a file command ({})", Size(payload.len() as u64)),
    }
}

impl Command {
    /// This command, if `file` still has this revision then; 0: if there is no such file.
    pub fn if_revision(self, file: impl Into<String>, revision: u64) -> Self {
        Self::If { file: file.into(), revision, command: Box::new(self) }
    }

    /// This command, if `file` then is one of these versions (`is`), or none of them; no versions
    /// stand for all.
    pub fn if_version(self, file: impl Into<String>, versions: Vec<(Uuid, u64)>, is: bool) -> Self {
        Self::IfVersion { file: file.into(), versions, is, command: Box::new(self) }
    }

    /// The upload that it uses up, if it does.
    pub(super) fn upload(&self) -> Option<Uuid> {
        match self {
            Self::Create { upload, .. } => *upload,
            Self::AppendStaged { upload, .. } => Some(*upload),
            Self::If { command, .. } | Self::IfVersion { command, .. } => command.upload(),
            _ => None,
        }
    }

    /// All of these commands or none, each with its data; and the data to send with them.
    pub fn batch<'a>(commands: impl IntoIterator<Item = (Self, &'a [u8])>) -> (Self, Bytes) {
        let mut all = Vec::new();
        let parts = commands.into_iter().map(|(command, data)| {
            all.extend_from_slice(data);
            // What does not fit in 32 bits is far beyond what any command may carry.
            Part { command, bytes: u32::try_from(data.len()).unwrap_or(u32::MAX) }
        });
        let parts = parts.collect();
        (Self::Batch { parts }, all.into())
    }

    /// Whether it is a batch, perhaps under a condition.
    pub(super) fn holds_batch(&self) -> bool {
        match self {
            Self::Batch { .. } => true,
            Self::If { command, .. } | Self::IfVersion { command, .. } => command.holds_batch(),
            _ => false,
        }
    }

    fn takes_data(&self) -> bool {
        match self {
            Self::Stage { .. } | Self::Create { upload: None, .. } | Self::Append { .. } => true,
            Self::If { command, .. } | Self::IfVersion { command, .. } => command.takes_data(),
            Self::Batch { parts } => {
                parts.iter().all(|part| part.bytes == 0 || part.command.takes_data())
            }
            _ => false,
        }
    }

    /// The command and how much data it comes with, in a few words.
    fn describe(&self, data: usize) -> String {
        match self {
            Self::Stage { .. } | Self::Append { .. } => format!("{self} +{}", Size(data as u64)),
            Self::If { command, .. } | Self::IfVersion { command, .. } => {
                format!("{}{}", self.condition(), command.describe(data))
            }
            Self::Batch { parts } => {
                let shown = parts.iter().take(DESCRIBED);
                let shown: Vec<_> =
                    shown.map(|part| part.command.describe(part.bytes as usize)).collect();
                let more = if parts.len() > DESCRIBED { "; …" } else { "" };
                format!("batch of {}: {}{more}", parts.len(), shown.join("; "))
            }
            _ => self.to_string(),
        }
    }

    /// What must hold before all else; empty if nothing must.
    fn condition(&self) -> String {
        match self {
            Self::If { file, revision: 0, .. } => format!("unless {} exists: ", printable(file)),
            Self::If { file, revision, .. } => {
                format!("if {} is at revision {revision}: ", printable(file))
            }
            Self::IfVersion { file, versions, is, .. } => {
                let known = if versions.is_empty() { "any" } else { "as known" };
                let word = if *is { "if" } else { "unless" };
                format!("{word} {} is {known}: ", printable(file))
            }
            _ => String::new(),
        }
    }
}

impl Request {
    /// The request as the payload of a log entry: a postcard header, then `data` as it is.
    pub fn encode(&self, data: &[u8]) -> Bytes {
        Operation::Request(self).encode(data)
    }

    /// The same, under a key.
    pub fn encode_keyed(&self, key: Key, data: &[u8]) -> Bytes {
        Operation::Keyed(key, self).encode(data)
    }
}

impl<R: Serialize> Operation<R> {
    fn encode(&self, data: &[u8]) -> Bytes {
        /// What most headers fit in.
        const USUAL: usize = 128;
        let mut buffer = [0; USUAL];
        if let Ok(header) = postcard::to_slice(self, &mut buffer) {
            return [header, data].concat().into();
        }
        let mut payload = postcard::to_extend(self, Vec::with_capacity(2 * USUAL + data.len()))
            .expect("invariant: a vector grows, and operations serialize");
        payload.reserve_exact(data.len());
        payload.extend_from_slice(data);
        payload.into()
    }
}

impl Operation {
    /// Reads a payload; the data is a slice of it.
    pub(super) fn decode(payload: &Bytes) -> Result<(Self, Bytes), Refusal> {
        let malformed = || Refusal::Malformed { bytes: payload.len() as u64 };
        let front = &payload[..payload.len().min(MAX_HEADER * MAX_BATCH)];
        let (operation, rest) =
            postcard::take_from_bytes::<Self>(front).map_err(|_| malformed())?;
        let header = front.len() - rest.len();
        if header > MAX_HEADER * operation.commands() {
            return Err(malformed());
        }
        let data = payload.slice(header..);
        if data.len() > MAX_DATA {
            let (bytes, limit) = (data.len() as u64, MAX_DATA as u64);
            return Err(Refusal::DataTooLarge { bytes, limit });
        }
        if data.is_empty() || operation.takes_data() {
            Ok((operation, data))
        } else {
            Err(malformed())
        }
    }

    fn takes_data(&self) -> bool {
        self.request().is_some_and(|request| request.command.takes_data())
    }

    fn request(&self) -> Option<&Request> {
        match self {
            Self::Request(request) | Self::Keyed(_, request) => Some(request),
            Self::OpenSession | Self::CloseSession { .. } => None,
        }
    }

    /// How many commands it consists of.
    fn commands(&self) -> usize {
        let Some(request) = self.request() else { return 1 };
        let mut command = &request.command;
        while let Command::If { command: inner, .. } | Command::IfVersion { command: inner, .. } =
            command
        {
            command = inner;
        }
        if let Command::Batch { parts } = command { parts.len().max(1) } else { 1 }
    }
}

/// The command in a few words, without its data.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage { upload, offset, .. } => write!(f, "stage {} @{offset}", Short(upload)),
            Self::Create { name, size, upload, replace, .. } => {
                let word = if *replace { "replace" } else { "create" };
                write!(f, "{word} {} {}", printable(name), Size(*size))?;
                upload.as_ref().map_or(Ok(()), |upload| write!(f, " from {}", Short(upload)))
            }
            Self::Append { file } => write!(f, "append {}", printable(file)),
            Self::AppendStaged { file, upload, size } => {
                write!(f, "append {} +{} from {}", printable(file), Size(*size), Short(upload))
            }
            Self::Delete { file } => write!(f, "delete {}", printable(file)),
            Self::Rename { file, name } => {
                write!(f, "rename {} {}", printable(file), printable(name))
            }
            Self::Discard { upload } => write!(f, "discard {}", Short(upload)),
            Self::If { command, .. } | Self::IfVersion { command, .. } => {
                write!(f, "{}{command}", self.condition())
            }
            Self::Batch { parts } => write!(f, "batch of {}", parts.len()),
        }
    }
}

/// The first digits of a uuid.
struct Short<'a>(&'a Uuid);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, ..) = self.0.as_fields();
        write!(f, "{:04x}…", first >> 16)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::cases;
    use super::*;

    const UPLOAD: Uuid = Uuid::from_u128(0x0f3a_1111 << 96);

    fn request(command: Command) -> Request {
        Request { session: 300, serial: 2, acknowledged: 1, command }
    }

    fn append(file: &str) -> Request {
        request(Command::Append { file: file.into() })
    }

    #[test]
    fn the_data_is_a_slice_of_the_payload() {
        let payload = append("notes.txt").encode(b"hello");
        match Operation::decode(&payload) {
            Ok((Operation::Request(decoded), data)) => {
                assert_eq!(decoded, append("notes.txt"));
                assert_eq!(data, &b"hello"[..]);
                assert_eq!(data.as_ptr_range().end, payload.as_ptr_range().end);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn data_beside_a_command_that_takes_none_is_malformed() {
        let from_upload = Command::Create {
            uuid: UPLOAD,
            name: "a".into(),
            size: 1,
            upload: Some(UPLOAD),
            replace: false,
        };
        for command in [from_upload, Command::Delete { file: "a".into() }] {
            let payload = request(command).encode(b"x");
            let bytes = payload.len() as u64;
            assert_eq!(Operation::decode(&payload).unwrap_err(), Refusal::Malformed { bytes });
        }
    }

    #[test]
    fn data_and_header_are_bounded() {
        assert!(Operation::decode(&append("a").encode(&vec![0; MAX_DATA])).is_ok());
        let (bytes, limit) = (MAX_DATA as u64 + 1, MAX_DATA as u64);
        let too_much = Operation::decode(&append("a").encode(&vec![0; MAX_DATA + 1]));
        assert_eq!(too_much.unwrap_err(), Refusal::DataTooLarge { bytes, limit });
        let long_name = Operation::decode(&append(&"x".repeat(MAX_HEADER)).encode(b""));
        assert!(matches!(long_name, Err(Refusal::Malformed { .. })));
    }

    fn batch_of(count: usize) -> Bytes {
        let part = (Command::Append { file: "a".into() }, &b"x"[..]);
        let (command, data) = Command::batch(vec![part; count]);
        request(command).encode(&data)
    }

    #[test]
    fn a_batch_may_name_as_much_as_its_commands_may() {
        let name = "x".repeat(6000);
        let long = |count| {
            let part = (Command::Append { file: name.clone() }, &b""[..]);
            request(Command::batch(vec![part; count]).0).encode(b"")
        };
        assert!(Operation::decode(&long(1)).is_ok());
        assert!(Operation::decode(&long(MAX_BATCH)).is_ok());
        // The same bytes for one command are too many.
        let two = format!("{name}{name}");
        assert!(Operation::decode(&append(&two).encode(b"")).is_err());
    }

    #[test]
    fn data_for_a_part_that_takes_none_is_malformed() {
        let delete = Command::Delete { file: "a".into() };
        let (command, data) = Command::batch([(delete, &b"x"[..])]);
        let refused = Operation::decode(&request(command).encode(&data));
        assert!(matches!(refused, Err(Refusal::Malformed { .. })));
    }

    /// Nested without bound, a command of 8 KiB would overflow the stack of every server.
    #[test]
    fn what_is_nested_too_deep_is_malformed() {
        let innermost = request(Command::Discard { upload: UPLOAD }).encode(b"");
        let one = request(Command::Discard { upload: UPLOAD }.if_revision("", 0)).encode(b"");
        let (before, command) = innermost.split_at(innermost.len() - 18);
        let condition = &one[before.len()..one.len() - command.len()];
        let nested = |depth: usize| {
            let payload = [before, &condition.repeat(depth), command].concat();
            Operation::decode(&payload.into()).map(|_| ())
        };
        assert_eq!(nested(nested::MAX_DEPTH), Ok(()));
        for depth in [nested::MAX_DEPTH + 1, 2500] {
            assert!(matches!(nested(depth), Err(Refusal::Malformed { .. })));
        }
        assert_eq!(nested(nested::MAX_DEPTH), Ok(()), "the depth is counted anew each time");
    }

    #[test]
    fn payloads_are_described_in_one_line() {
        let create = |upload, replace| {
            let name = "notes.txt".into();
            request(Command::Create { uuid: UPLOAD, name, size: 5, upload, replace })
        };
        let file = || "notes.txt".to_owned();
        let stage = Command::Stage { upload: UPLOAD, offset: 262_144, onto: None };
        let append_staged = Command::AppendStaged { file: file(), upload: UPLOAD, size: 1 << 20 };
        let cases = [
            (open_session(), "open session"),
            (close_session(7), "close session 7"),
            (append("notes.txt").encode(b"hello"), "append notes.txt +5 B"),
            (append("two\nlines").encode(b""), "append two\\nlines +0 B"),
            (request(stage).encode(&[0; 262_144]), "stage 0f3a… @262144 +256 KiB"),
            (create(None, false).encode(b"hello"), "create notes.txt 5 B"),
            (create(Some(UPLOAD), true).encode(b""), "replace notes.txt 5 B from 0f3a…"),
            (request(append_staged).encode(b""), "append notes.txt +1 MiB from 0f3a…"),
            (request(Command::Delete { file: file() }).encode(b""), "delete notes.txt"),
            (
                request(Command::Rename { file: file(), name: "b".into() }).encode(b""),
                "rename notes.txt b",
            ),
            (request(Command::Discard { upload: UPLOAD }).encode(b""), "discard 0f3a…"),
            (
                request(Command::Append { file: file() }.if_revision("a", 3)).encode(b"hello"),
                "if a is at revision 3: append notes.txt +5 B",
            ),
            (
                request(Command::Discard { upload: UPLOAD }.if_revision("a", 0)).encode(b""),
                "unless a exists: discard 0f3a…",
            ),
            (batch_of(2), "batch of 2: append a +1 B; append a +1 B"),
            (batch_of(4), "batch of 4: append a +1 B; append a +1 B; append a +1 B; …"),
            (Bytes::from_static(b"\xff\xff"), "not a file command (2 B)"),
            (Bytes::new(), "not a file command (0 B)"),
        ];
        for (payload, line) in cases {
            assert_eq!(describe(&payload), line);
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_bytes_are_described_in_one_line(payload: Vec<u8>) {
            let line = describe(&payload.into());
            prop_assert!(!line.is_empty() && !line.contains(char::is_control));
        }
    }
}
