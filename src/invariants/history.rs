//! What clients asked of the file store and what they were told.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The content of a file, or a piece of one.
///
/// Serialised as a string with one character a byte (U+0000 to U+00FF), so that text stays
/// readable and every byte survives. The content of a file that is never appended to may be
/// replaced by a digest, the same for its writer and its readers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Content(pub Bytes);

/// What a client asks for. Files are known by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Makes a file with this content.
    Create {
        /// The name of the file.
        name: String,
        /// All of its content.
        content: Content,
        /// Whether a file of that name is replaced; otherwise the call is refused.
        replace: bool,
    },
    /// Adds bytes at the end of a file.
    Append {
        /// The name of the file.
        name: String,
        /// The bytes to add. The check is sharpest when no two calls add the same bytes.
        content: Content,
    },
    /// Adds bytes at the end of a file that still is as it was seen.
    AppendIf {
        /// The name of the file.
        name: String,
        /// What it must hold, exactly.
        holds: Content,
        /// The bytes to add.
        content: Content,
    },
    /// Adds the same bytes at the end of two different files, or of neither.
    AppendBoth {
        /// The names of the files.
        names: [String; 2],
        /// The bytes to add.
        content: Content,
    },
    /// Reads all of a file, linearizably: a stale read has no place in a history.
    Read {
        /// The name of the file.
        name: String,
    },
    /// Removes a file.
    Delete {
        /// The name of the file.
        name: String,
    },
    /// Gives a file another name, which no other file has.
    Rename {
        /// The present name.
        from: String,
        /// The new name.
        to: String,
    },
}

/// What a client was told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The write took effect.
    Done,
    /// The read saw this content.
    Observed(Content),
    /// Refused, and it is a fact about the files: none has the name.
    NoSuchFile,
    /// Refused, and it is a fact about the files: one has the name already.
    NameExists,
    /// Refused before anything entered the log: it did not happen and never will.
    NotDone,
    /// Nobody knows: it may have happened, may yet happen, or never.
    Unknown,
}

/// One answer to one call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// When the client had it, in nanoseconds since the history began.
    pub at: u64,
    /// What it said.
    pub outcome: Outcome,
}

/// One call of one client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Who called.
    pub client: u64,
    /// What was asked.
    pub operation: Operation,
    /// When, in nanoseconds since the history began.
    pub invoked: u64,
    /// The answer. Without one the outcome is unknown.
    pub answer: Option<Answer>,
}

/// Everything the clients did, by one clock. Grows with every call, contents included: how many
/// calls to record is for the recorder to limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    calls: Vec<Call>,
    latest: u64,
}

/// A call that waits for its answer, good for one.
#[derive(PartialEq, Eq, Debug)]
pub struct PendingCall(usize);

/// A recorded history that no clock can have produced.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "call {number} of the history ({call}) is answered before it is invoked: \
     record all calls of a history by the same clock"
)]
pub struct MalformedHistory {
    /// The call's place in the history, from 1.
    pub number: usize,
    /// The call.
    pub call: Box<Call>,
}

impl History {
    /// A history without calls.
    pub fn new() -> Self {
        Self::default()
    }

    /// The history of these calls, recorded earlier. Their order does not matter, their moments do:
    /// two calls whose moments touch are concurrent.
    ///
    /// # Errors
    ///
    /// If a call is answered before it is invoked.
    pub fn from_calls(calls: Vec<Call>) -> Result<Self, MalformedHistory> {
        let mut latest = 0;
        for (place, call) in calls.iter().enumerate() {
            let answered = call.answer.as_ref().map_or(call.invoked, |answer| answer.at);
            if answered < call.invoked {
                let call = Box::new(call.clone());
                return Err(MalformedHistory { number: place + 1, call });
            }
            latest = latest.max(answered);
        }
        Ok(Self { calls, latest })
    }

    /// Records that a client calls, `now` nanoseconds after the history began. Events recorded for
    /// the same moment are set a nanosecond apart, in the order in which they are recorded.
    pub fn invoke(&mut self, client: u64, operation: Operation, now: u64) -> PendingCall {
        let invoked = self.moment(now);
        self.calls.push(Call { client, operation, invoked, answer: None });
        PendingCall(self.calls.len() - 1)
    }

    /// Records the answer to a call of this history.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "taking the pending call away is what keeps it from being answered twice"
    )]
    pub fn answer(&mut self, call: PendingCall, outcome: Outcome, now: u64) {
        let at = self.moment(now);
        let PendingCall(place) = call;
        self.calls[place].answer = Some(Answer { at, outcome });
    }

    /// Every call, in the order of recording.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    fn moment(&mut self, now: u64) -> u64 {
        self.latest = now.max(self.latest.saturating_add(1));
        self.latest
    }
}

impl Operation {
    /// The file that the operation is about; of a rename, the present name, and of two the first.
    pub fn name(&self) -> &str {
        match self {
            Self::Create { name, .. }
            | Self::Append { name, .. }
            | Self::AppendIf { name, .. }
            | Self::AppendBoth { names: [name, _], .. }
            | Self::Read { name }
            | Self::Delete { name }
            | Self::Rename { from: name, .. } => name,
        }
    }
}

impl Call {
    /// What the client was told, as far as it knows.
    pub fn outcome(&self) -> &Outcome {
        self.answer.as_ref().map_or(&Outcome::Unknown, |answer| &answer.outcome)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::from(bytes))
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<Content> for String {
    fn from(content: Content) -> Self {
        content.0.iter().copied().map(char::from).collect()
    }
}

impl TryFrom<String> for Content {
    type Error = std::char::TryFromCharError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.chars().map(u8::try_from).collect::<Result<Vec<_>, _>>().map(Self::from)
    }
}

impl fmt::Display for Content {
    /// Quoted and escaped; of a long content its length and its end, where appends show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 48;
        match self.0.len().checked_sub(SHOWN) {
            None | Some(0) => write!(f, "\"{}\"", self.0.escape_ascii()),
            Some(hidden) => {
                let end = self.0[hidden..].escape_ascii();
                write!(f, "{} bytes ending in \"{end}\"", self.0.len())
            }
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { name, content, replace: false } => write!(f, "create {name} {content}"),
            Self::Create { name, content, replace: true } => write!(f, "replace {name} {content}"),
            Self::Append { name, content } => write!(f, "append {name} {content}"),
            Self::AppendIf { name, holds, content } => {
                write!(f, "append {name} {content} if it holds {holds}")
            }
            Self::AppendBoth { names: [one, other], content } => {
                write!(f, "append {one} and {other} {content}")
            }
            Self::Read { name } => write!(f, "read {name}"),
            Self::Delete { name } => write!(f, "delete {name}"),
            Self::Rename { from, to } => write!(f, "rename {from} {to}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Observed(content) => write!(f, "saw {content}"),
            Self::NoSuchFile => f.write_str("no such file"),
            Self::NameExists => f.write_str("name exists"),
            Self::NotDone => f.write_str("not done"),
            Self::Unknown => f.write_str("outcome unknown"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let (client, invoked) = (self.client, ms(self.invoked));
        write!(f, "client {client}: {}: {}, {invoked:.6} ms", self.operation, self.outcome())?;
        match &self.answer {
            Some(answer) => write!(f, " to {:.6} ms", ms(answer.at)),
            None => f.write_str(", never answered"),
        }
    }
}
